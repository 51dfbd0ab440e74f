#include "bert/input/filekind.h"

#include <string.h>

#define TO_CSV "write it as CSV or JSON lines (in pandas, to_csv or to_json(lines=True))"

/* `bytes` stand at byte `at`.  `letters`: a text might begin so too, and is one unless what follows
 * is no text. */
static const struct kind {
    size_t at, n;
    const char *bytes;
    int letters;
    const char *what;
} kinds[] = {
    {0, 40, "version https://git-lfs.github.com/spec/", 0,
     "is a Git LFS pointer, not the file: run git lfs pull, or download the file itself"},
    {0, 2, "\x1f\x8b", 0, "is compressed by gzip: unpack it with gunzip"},
    {0, 6,
     "\xfd"
     "7zXZ",
     0, "is compressed by xz: unpack it with unxz"},
    {0, 4, "\x28\xb5\x2f\xfd", 0, "is compressed by zstd: unpack it with unzstd"},
    {4, 6, "1AY&SY", 1, "is compressed by bzip2: unpack it with bunzip2"},
    {0, 4, "PK\3\4", 0,
     "is a zip file, or an Excel workbook (.xlsx): unpack it with unzip, or save it as CSV"},
    {0, 8, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0, "is an Excel workbook (.xls): save it as CSV"},
    {0, 4, "PAR1", 1, "is a Parquet file: " TO_CSV},
    {0, 6, "ARROW1", 1, "is an Arrow file: " TO_CSV},
    {0, 4, "\xff\xff\xff\xff", 0, "is an Arrow stream: " TO_CSV},
    {0, 4, "\xff\xfe\0\0", 0, "is UTF-32: convert it with iconv -f UTF-32 -t UTF-8"},
    {0, 4, "\0\0\xfe\xff", 0, "is UTF-32: convert it with iconv -f UTF-32 -t UTF-8"},
    {0, 2, "\xff\xfe", 0, "is UTF-16: convert it with iconv -f UTF-16 -t UTF-8"},
    {0, 2, "\xfe\xff", 0, "is UTF-16: convert it with iconv -f UTF-16 -t UTF-8"},
};

/* No byte of plain ASCII text. */
static int is_binary(char c) {
    const unsigned char byte = (unsigned char)c;
    return byte >= 0x7f || (byte < ' ' && !memchr("\t\n\r", byte, 3));
}

static int begins(const struct kind *k, const char *bytes, size_t n) {
    const size_t end = k->at + k->n;
    if (n < end || memcmp(bytes + k->at, k->bytes, k->n) != 0) return 0;
    return !k->letters || (n > end && is_binary(bytes[end]));
}

int bert_file_is_text(const char *path, const char *bytes, size_t n, int code) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (begins(&kinds[i], bytes, n)) return thor_fail(code, "%.400s: %s", path, kinds[i].what);
    return THOR_OK;
}
