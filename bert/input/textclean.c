/* The classes are those of the reference implementation (Hugging Face tokenizers: BertNormalizer,
 * BertPreTokenizer), with its gap at U+2B820..U+2B91F among the ideographs. */
#include "bert/input/textclean.h"

#include <stdlib.h>

#include <utf8proc.h>

static int no_memory(size_t n) {
    return thor_fail(THOR_MEMORY, "no memory for a text of %zu characters", n);
}

int bert_chars_decode(struct bert_chars *out, const char *text, size_t len) {
    *out = (struct bert_chars){.c = malloc((len + 1) * sizeof *out->c)};
    if (!out->c) return no_memory(len);
    for (size_t at = 0; at < len;)
        at += (size_t)utf8proc_iterate((const utf8proc_uint8_t *)text + at,
                                       (utf8proc_ssize_t)(len - at), &out->c[out->n++]);
    return THOR_OK;
}

int bert_is_white(int32_t c) {
    if ((c >= '\t' && c <= '\r') || c == 0x85) return 1;
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return 1;
    default:
        return 0;
    }
}

int bert_is_punctuation(int32_t c) {
    if (c < 128) // in ASCII the symbols count too
        return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
               (c >= 123 && c <= 126);
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
        return 1;
    default:
        return 0;
    }
}

static int is_mark(int32_t c) {
    const utf8proc_category_t k = utf8proc_category(c);
    return k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_MC || k == UTF8PROC_CATEGORY_ME;
}

/* \w of a Unicode regular expression.  The circled and squared letters are symbols by category. */
int bert_is_word(int32_t c) {
    if (c == 0x200c || c == 0x200d || (c >= 0x24b6 && c <= 0x24e9) ||
        (c >= 0x1f130 && c <= 0x1f149) || (c >= 0x1f150 && c <= 0x1f169) ||
        (c >= 0x1f170 && c <= 0x1f189))
        return 1;
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return 1;
    default:
        return is_mark(c);
    }
}

static int is_dropped(int32_t c) {
    if (c == '\t' || c == '\n' || c == '\r') return 0;
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CO:
        return 1;
    default:
        return c == 0 || c == 0xfffd;
    }
}

static void clean(struct bert_chars *t) {
    size_t kept = 0;
    for (size_t i = 0; i < t->n; i++)
        if (!is_dropped(t->c[i])) t->c[kept++] = bert_is_white(t->c[i]) ? ' ' : t->c[i];
    t->n = kept;
}

static int is_ideograph(int32_t c) {
    static const struct {
        int32_t first, last;
    } block[] = {{0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xf900, 0xfaff},   {0x20000, 0x2a6df},
                 {0x2a700, 0x2b73f}, {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf}, {0x2f800, 0x2fa1f}};
    for (size_t i = 0; i < sizeof block / sizeof *block; i++)
        if (c >= block[i].first && c <= block[i].last) return 1;
    return 0;
}

static int part_ideographs(struct bert_chars *t) {
    size_t n = 0;
    int32_t *c = malloc((3 * t->n + 1) * sizeof *c);
    if (!c) return no_memory(t->n);
    for (size_t i = 0; i < t->n; i++) {
        const int alone = is_ideograph(t->c[i]);
        if (alone) c[n++] = ' ';
        c[n++] = t->c[i];
        if (alone) c[n++] = ' ';
    }
    free(t->c);
    *t = (struct bert_chars){c, n};
    return THOR_OK;
}

/* A normal form of Unicode: `how` decomposes, and compose says whether it is put together again. */
static int normal_form(struct bert_chars *t, utf8proc_option_t how, int compose) {
    int st = THOR_OK;
    utf8proc_ssize_t room, n;
    size_t len = 0;
    int32_t *c = NULL;
    utf8proc_uint8_t *text = malloc(4 * t->n + 1);
    if (!text) TRY(no_memory(t->n));
    for (size_t i = 0; i < t->n; i++) len += (size_t)utf8proc_encode_char(t->c[i], text + len);
    how |= UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
    room = utf8proc_decompose(text, (utf8proc_ssize_t)len, NULL, 0, how);
    if (room < 0)
        TRY(thor_fail(THOR_INTERNAL, "the text does not decompose: %s", utf8proc_errmsg(room)));
    c = malloc(((size_t)room + 1) * sizeof *c);
    if (!c) TRY(no_memory((size_t)room));
    n = utf8proc_decompose(text, (utf8proc_ssize_t)len, c, room, how);
    if (compose) n = utf8proc_normalize_utf32(c, n, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    free(t->c);
    *t = (struct bert_chars){c, (size_t)n};
out:
    free(text);
    return st;
}

static void drop(struct bert_chars *t, int mn_alone) {
    size_t kept = 0;
    for (size_t i = 0; i < t->n; i++)
        if (mn_alone ? utf8proc_category(t->c[i]) != UTF8PROC_CATEGORY_MN : !is_mark(t->c[i]))
            t->c[kept++] = t->c[i];
    t->n = kept;
}

/* U+0130 alone becomes two characters. */
static int lower(struct bert_chars *t) {
    size_t n = 0;
    int32_t *c = malloc((2 * t->n + 1) * sizeof *c);
    if (!c) return no_memory(t->n);
    for (size_t i = 0; i < t->n; i++) {
        c[n++] = t->c[i] == 0x130 ? 'i' : utf8proc_tolower(t->c[i]);
        if (t->c[i] == 0x130) c[n++] = 0x307;
    }
    free(t->c);
    *t = (struct bert_chars){c, n};
    return THOR_OK;
}

int bert_chars_apply(struct bert_chars *t, enum bert_step step) {
    switch (step) {
    case BERT_STEP_CLEAN:
        clean(t);
        return THOR_OK;
    case BERT_STEP_IDEOGRAPHS:
        return part_ideographs(t);
    case BERT_STEP_NFC:
        return normal_form(t, 0, 1);
    case BERT_STEP_NFD:
        return normal_form(t, 0, 0);
    case BERT_STEP_NFKC:
        return normal_form(t, UTF8PROC_COMPAT, 1);
    case BERT_STEP_NFKD:
        return normal_form(t, UTF8PROC_COMPAT, 0);
    case BERT_STEP_LOWER:
        return lower(t);
    default:
        drop(t, step == BERT_STEP_DROP_MN);
        return THOR_OK;
    }
}
