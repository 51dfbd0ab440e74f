#include "bert/input/textclean.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "bert/input/charclass.h"

int bert_chars_room(struct bert_char **c, size_t n) {
    enum { MOST = 1 << 24 };
    *c = NULL;
    if (n > MOST)
        return thor_fail(THOR_INPUT,
                         "a text of %zu characters, as its tokenizer makes it; the limit is %d: "
                         "shorten it",
                         n, MOST);
    *c = malloc((n + 1) * sizeof **c);
    return *c ? THOR_OK : thor_fail(THOR_MEMORY, "no memory for a text of %zu characters", n);
}

int bert_chars_decode(struct bert_chars *out, const char *text, size_t len) {
    int st = THOR_OK;
    *out = (struct bert_chars){0};
    TRY(bert_chars_room(&out->c, len));
    for (size_t at = 0; at < len;) {
        struct bert_char *c = &out->c[out->n++];
        c->start = (uint32_t)at;
        at += (size_t)utf8proc_iterate((const utf8proc_uint8_t *)text + at,
                                       (utf8proc_ssize_t)(len - at), &c->c);
        c->end = (uint32_t)at;
        c->begins = 0;
    }
out:
    return st;
}

static void clean(struct bert_chars *t) {
    size_t kept = 0;
    for (size_t i = 0; i < t->n; i++) {
        if (bert_is_dropped(t->c[i].c)) continue;
        t->c[kept] = t->c[i];
        if (bert_is_white(t->c[i].c)) t->c[kept].c = ' ';
        kept++;
    }
    t->n = kept;
}

/* The classes of SentencePiece's normalisation rules for translation, less U+00A0 and U+3000. */
static void clean_nmt(struct bert_chars *t) {
    size_t kept = 0;
    for (size_t i = 0; i < t->n; i++) {
        struct bert_char c = t->c[i];
        if ((c.c >= 1 && c.c <= 8) || c.c == 0xb || (c.c >= 0xe && c.c <= 0x1f) || c.c == 0x7f ||
            c.c == 0x8f || c.c == 0x9f)
            continue;
        if (c.c == '\t' || c.c == '\n' || c.c == '\f' || c.c == '\r' || c.c == 0x1680 ||
            (c.c >= 0x200b && c.c <= 0x200f) || c.c == 0x2028 || c.c == 0x2029 || c.c == 0x2581 ||
            c.c == 0xfeff || c.c == 0xfffd)
            c.c = ' ';
        t->c[kept++] = c;
    }
    t->n = kept;
}

static void replace(struct bert_chars *t, struct bert_char *c, size_t n) {
    free(t->c);
    *t = (struct bert_chars){c, n};
}

static int part_ideographs(struct bert_chars *t) {
    int st = THOR_OK;
    size_t n = 0;
    struct bert_char *c, blank;
    TRY(bert_chars_room(&c, 3 * t->n));
    for (size_t i = 0; i < t->n; i++) {
        const int alone = bert_is_ideograph(t->c[i].c);
        blank = t->c[i];
        blank.c = ' ';
        if (alone) c[n++] = blank;
        c[n++] = t->c[i];
        if (alone) c[n++] = blank;
    }
    replace(t, c, n);
out:
    return st;
}

/* ---- normal forms of Unicode */

enum { PARTS_MAX = 32 }; /* of one character; 18 is the most (U+FDFA) */

static int parts_of(int32_t *part, int32_t c, utf8proc_option_t how) {
    int bound = 0;
    if (!bert_has_compat(c)) how &= (utf8proc_option_t)~UTF8PROC_COMPAT;
    return (int)utf8proc_decompose_char(c, part, PARTS_MAX,
                                        UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | how, &bound);
}

static int decompose(struct bert_chars *t, utf8proc_option_t how) {
    int st = THOR_OK;
    int32_t part[PARTS_MAX];
    size_t n = 0;
    struct bert_char *c;
    for (size_t i = 0; i < t->n; i++) n += (size_t)parts_of(part, t->c[i].c, how);
    TRY(bert_chars_room(&c, n));
    n = 0;
    for (size_t i = 0; i < t->n; i++) {
        const int parts = parts_of(part, t->c[i].c, how);
        for (int k = 0; k < parts; k++) {
            c[n] = t->c[i];
            c[n++].c = part[k];
        }
    }
    replace(t, c, n);
out:
    return st;
}

static int class_of(int32_t c) {
    return utf8proc_get_property(c)->combining_class & 0xff;
}

/* n marks in the order of their combining classes, equal ones as they stand: counted, so that a
 * text of marks alone takes no longer. */
static int sort_marks(struct bert_char *c, size_t n) {
    int st = THOR_OK;
    size_t at[257] = {0};
    struct bert_char *old;
    TRY(bert_chars_room(&old, n));
    memcpy(old, c, n * sizeof *c);
    for (size_t i = 0; i < n; i++) at[class_of(old[i].c) + 1]++;
    for (int k = 1; k < 257; k++) at[k] += at[k - 1];
    for (size_t i = 0; i < n; i++) c[at[class_of(old[i].c)]++] = old[i];
    free(old);
out:
    return st;
}

static int order_marks(struct bert_chars *t) {
    int st = THOR_OK;
    for (size_t i = 0, end; i < t->n; i = end) {
        end = i + 1;
        if (class_of(t->c[i].c) == 0) continue;
        while (end < t->n && class_of(t->c[end].c) != 0) end++;
        if (end - i > 1) TRY(sort_marks(t->c + i, end - i));
    }
out:
    return st;
}

/* What was put together has the bytes of all its parts, which stand in `from` in this order, others
 * perhaps between them; `begins` says there which are taken. */
static void lend_bytes(struct bert_char *c, size_t n, struct bert_char *from, size_t from_n) {
    int32_t part[PARTS_MAX];
    size_t next = 0;
    for (size_t i = 0; i < n; i++) {
        const int parts = parts_of(part, c[i].c, 0);
        while (next < from_n && from[next].begins) next++;
        c[i].start = UINT32_MAX;
        c[i].end = c[i].begins = 0;
        size_t at = next;
        for (int k = 0; k < parts; k++) {
            while (at < from_n && (from[at].begins || from[at].c != part[k])) at++;
            if (at == from_n) break;
            if (from[at].start < c[i].start) c[i].start = from[at].start;
            if (from[at].end > c[i].end) c[i].end = from[at].end;
            from[at].begins = 1;
        }
    }
}

static int compose(struct bert_chars *t) {
    int st = THOR_OK;
    struct bert_char *c = NULL;
    int32_t *plain = malloc((t->n + 1) * sizeof *plain);
    TRY(plain ? THOR_OK : thor_fail(THOR_MEMORY, "no memory for %zu characters", t->n));
    for (size_t i = 0; i < t->n; i++) plain[i] = t->c[i].c;
    const size_t n = (size_t)utf8proc_normalize_utf32(plain, (utf8proc_ssize_t)t->n,
                                                      UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    TRY(bert_chars_room(&c, n));
    for (size_t i = 0; i < n; i++) c[i].c = plain[i];
    lend_bytes(c, n, t->c, t->n);
    replace(t, c, n);
out:
    free(plain);
    return st;
}

static int normal_form(struct bert_chars *t, utf8proc_option_t how, int composed) {
    int st = THOR_OK;
    TRY(decompose(t, how));
    TRY(order_marks(t));
    if (composed) TRY(compose(t));
out:
    return st;
}

/* ---- */

static void drop(struct bert_chars *t, int mn_alone) {
    size_t kept = 0;
    for (size_t i = 0; i < t->n; i++)
        if (mn_alone ? !bert_is_mn(t->c[i].c) : !bert_is_mark(t->c[i].c)) t->c[kept++] = t->c[i];
    t->n = kept;
}

/* U+0130 alone becomes two characters. */
static int lower(struct bert_chars *t) {
    int st = THOR_OK;
    size_t n = 0;
    struct bert_char *c;
    TRY(bert_chars_room(&c, 2 * t->n));
    for (size_t i = 0; i < t->n; i++) {
        const int dotted = t->c[i].c == 0x130;
        c[n] = t->c[i];
        c[n++].c = dotted ? 'i' : bert_lower(t->c[i].c);
        if (!dotted) continue;
        c[n] = t->c[i];
        c[n++].c = 0x307;
    }
    replace(t, c, n);
out:
    return st;
}

int bert_chars_clean(struct bert_chars *t, enum bert_clean step) {
    switch (step) {
    case BERT_CLEAN_CONTROLS:
        clean(t);
        return THOR_OK;
    case BERT_CLEAN_IDEOGRAPHS:
        return part_ideographs(t);
    case BERT_CLEAN_NFC:
        return normal_form(t, 0, 1);
    case BERT_CLEAN_NFD:
        return normal_form(t, 0, 0);
    case BERT_CLEAN_NFKC:
        return normal_form(t, UTF8PROC_COMPAT, 1);
    case BERT_CLEAN_NFKD:
        return normal_form(t, UTF8PROC_COMPAT, 0);
    case BERT_CLEAN_LOWER:
        return lower(t);
    case BERT_CLEAN_NMT:
        clean_nmt(t);
        return THOR_OK;
    default:
        drop(t, step == BERT_CLEAN_MN);
        return THOR_OK;
    }
}
