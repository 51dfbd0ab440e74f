/* Drives a fuzz target where there is no libFuzzer: mutate CORPUS..  Every file of the folders as
 * it is, cut at 200 lengths, then mutations of them for FUZZ_SECONDS (60), the same ones in every
 * run. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/fuzz/fuzz.h"

enum { SEEDS = 64, MOST = 1 << 18 };

static struct {
    uint8_t *data;
    size_t size;
} corpus[SEEDS];
static int seeds;
static uint64_t stream = 1;

static uint64_t next(void) { // splitmix64
    uint64_t z = (stream += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void read_folder(const char *folder) {
    struct dirent *e;
    DIR *d = opendir(folder);
    FUZZ_MUST(d);
    while ((e = readdir(d))) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        FILE *f = e->d_type == DT_REG && seeds < SEEDS ? fopen(path, "rb") : NULL;
        if (!f) continue;
        corpus[seeds].data = malloc(MOST);
        FUZZ_MUST(corpus[seeds].data);
        corpus[seeds].size = fread(corpus[seeds].data, 1, MOST, f);
        seeds++;
        fclose(f);
    }
    closedir(d);
}

/* One change: a bit, a byte, a word, a piece moved, cut out or put in twice. */
static size_t change(uint8_t *x, size_t n) {
    static const uint32_t words[] = {0,          1,          0x7f,       0xff, 0x7fff,  0xffff,
                                     0x7fffffff, 0x80000000, 0xffffffff, 4096, 1u << 28};
    const char *const parts = "{}[],:\"\\\n\t0123456789eE+-.truefalsn";
    size_t at = n ? next() % n : 0, from = n ? next() % n : 0, len = next() % 64;
    if (next() % 2 && n > 256) at %= 256; // headers first
    uint32_t w = words[next() % (sizeof words / sizeof *words)];
    if (len > n - at) len = n - at;
    if (len > n - from) len = n - from;
    switch (n ? next() % 8 : 7) {
    case 0:
        x[at] ^= (uint8_t)(1 << next() % 8);
        break;
    case 1:
        x[at] = (uint8_t)next();
        break;
    case 2:
        memcpy(x + at, &w, n - at < 4 ? n - at : 4);
        break;
    case 3:
        memmove(x + at, x + from, len);
        break;
    case 4:
        memmove(x + at, x + at + len, n - at - len);
        return n - len;
    case 5:
        return at;
    case 6:
        x[at] = (uint8_t)parts[next() % strlen(parts)];
        break;
    default:
        if (n + len > MOST) return n;
        memmove(x + at + len, x + at, n - at);
        return n + len;
    }
    return n;
}

int main(int argc, char **argv) {
    static uint8_t x[2 * MOST];
    const char *dose = getenv("FUZZ_SECONDS");
    const time_t end = time(NULL) + (dose ? atoi(dose) : 60);
    unsigned long runs = 0;
    for (int i = 1; i < argc; i++)
        if (argv[i][0] != '-') read_folder(argv[i]);
    FUZZ_MUST(seeds > 0);
    for (int s = 0; s < seeds; s++)
        for (size_t k = 0; k <= 200; k++, runs++)
            LLVMFuzzerTestOneInput(corpus[s].data, corpus[s].size * k / 200);
    for (; time(NULL) < end; runs++) {
        int s = (int)(next() % (uint64_t)seeds);
        size_t n = corpus[s].size;
        memcpy(x, corpus[s].data, n);
        for (uint64_t k = 1 + next() % 4; k > 0; k--) n = change(x, n);
        uint8_t *exact = malloc(n ? n : 1); // so that a read behind the end is seen
        FUZZ_MUST(exact);
        memcpy(exact, x, n);
        LLVMFuzzerTestOneInput(exact, n);
        free(exact);
    }
    fprintf(stderr, "Done %lu runs\n", runs);
    return 0;
}
