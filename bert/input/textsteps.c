#include "bert/input/textsteps.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "bert/input/charclass.h"

static void keep(struct bert_chars *t, struct bert_char *c, size_t n) {
    free(t->c);
    *t = (struct bert_chars){c, n};
}

/* Puts `with` behind c[n]: each character with the bytes of `like`, the first one with `begins`. */
static size_t put(struct bert_char *c, size_t n, const struct bert_chars *with,
                  const struct bert_char *like, uint32_t begins) {
    for (size_t i = 0; i < with->n; i++) {
        c[n + i] = *like;
        c[n + i].c = with->c[i].c;
        c[n + i].begins = i == 0 ? begins : 0;
    }
    return n + with->n;
}

/* ---- REPLACE */

int bert_chars_match(const struct bert_char *c, size_t n, const struct bert_chars *what) {
    size_t i = 0;
    if (what->n == 0 || what->n > n) return 0;
    while (i < what->n && c[i].c == what->c[i].c) i++;
    return i == what->n;
}

/* Characters from c on that are replaced. */
static size_t replaced(const struct bert_char *c, size_t n, const struct bert_step *s) {
    size_t run = 0;
    if (s->least == 0) return bert_chars_match(c, n, &s->what) ? s->what.n : 0;
    while (run < n && (s->what.n ? c[run].c == s->what.c[0].c : bert_is_white(c[run].c))) run++;
    return run >= (size_t)s->least ? run : 0;
}

static int replace(struct bert_chars *t, const struct bert_step *s) {
    int st = THOR_OK;
    size_t n = 0, m;
    struct bert_char *c;
    for (size_t i = 0; i < t->n; i += m ? m : 1) {
        m = replaced(t->c + i, t->n - i, s);
        n += m ? s->with.n : 1;
    }
    TRY(bert_chars_room(&c, n));
    n = 0;
    for (size_t i = 0; i < t->n; i += m ? m : 1) {
        m = replaced(t->c + i, t->n - i, s);
        if (m)
            n = put(c, n, &s->with, &t->c[i + m - 1], t->c[i].begins);
        else
            c[n++] = t->c[i];
    }
    keep(t, c, n);
out:
    return st;
}

/* ---- STRIP, PREFIX, BYTES */

static void strip(struct bert_chars *t, const struct bert_step *s) {
    size_t from = 0;
    while (s->right && t->n > 0 && bert_is_white(t->c[t->n - 1].c)) t->n--;
    while (s->left && from < t->n && bert_is_white(t->c[from].c)) from++;
    t->n -= from;
    memmove(t->c, t->c + from, t->n * sizeof *t->c);
}

static int wants_prefix(const struct bert_chars *t, size_t at, const struct bert_step *s) {
    if (at > 0 && !t->c[at].begins) return 0;
    if (s->prefix == BERT_PREFIX_EVERY) return 1;
    if (bert_chars_match(t->c + at, t->n - at, &s->with)) return 0;
    return s->prefix == BERT_PREFIX_UNLESS || t->c[at].start == 0;
}

static int prefix(struct bert_chars *t, const struct bert_step *s) {
    int st = THOR_OK;
    size_t n = t->n;
    struct bert_char *c;
    for (size_t i = 0; i < t->n; i++) n += wants_prefix(t, i, s) ? s->with.n : 0;
    TRY(bert_chars_room(&c, n));
    n = 0;
    for (size_t i = 0; i < t->n; i++) {
        const int wants = s->with.n > 0 && wants_prefix(t, i, s);
        struct bert_char none = t->c[i]; // made of no bytes
        none.end = none.start;
        if (wants) n = put(c, n, &s->with, &none, none.begins);
        c[n] = t->c[i];
        if (wants) c[n].begins = 0;
        n++;
    }
    keep(t, c, n);
out:
    return st;
}

/* Printable bytes of Latin-1 stand for themselves, the 68 others for U+0100 and on, in order. */
static int stands_for_itself(int32_t c) {
    return (c >= '!' && c <= '~') || (c >= 0xa1 && c <= 0xac) || (c >= 0xae && c <= 0xff);
}

int32_t bert_byte_char(uint8_t byte) {
    int32_t c = 0x100;
    if (stands_for_itself(byte)) return byte;
    for (int b = 0; b < byte; b++) c += !stands_for_itself(b);
    return c;
}

int bert_char_byte(int32_t c) {
    if (stands_for_itself(c)) return c;
    for (int b = 0; b < 256; b++)
        if (!stands_for_itself(b) && c-- == 0x100) return b;
    return -1;
}

static int bytes(struct bert_chars *t) {
    int st = THOR_OK;
    int32_t table[256];
    size_t n = 0;
    utf8proc_uint8_t u[4];
    struct bert_char *c;
    for (int b = 0; b < 256; b++) table[b] = bert_byte_char((uint8_t)b);
    for (size_t i = 0; i < t->n; i++) n += (size_t)utf8proc_encode_char(t->c[i].c, u);
    TRY(bert_chars_room(&c, n));
    n = 0;
    for (size_t i = 0; i < t->n; i++) {
        const int len = (int)utf8proc_encode_char(t->c[i].c, u);
        for (int k = 0; k < len; k++) {
            c[n] = t->c[i];
            c[n].c = table[u[k]];
            if (k > 0) c[n].begins = 0;
            n++;
        }
    }
    keep(t, c, n);
out:
    return st;
}

/* ---- all */

static int apply(struct bert_chars *t, const struct bert_step *s) {
    switch (s->kind) {
    case BERT_STEP_CLEAN:
        return bert_chars_clean(t, s->clean);
    case BERT_STEP_REPLACE:
        return replace(t, s);
    case BERT_STEP_STRIP:
        strip(t, s);
        return THOR_OK;
    case BERT_STEP_CHARSMAP:
        return bert_charsmap_apply(t, s->map);
    case BERT_STEP_PREFIX:
        return prefix(t, s);
    case BERT_STEP_BYTES:
        return bytes(t);
    default:
        return bert_step_cut(t, s);
    }
}

int bert_steps_apply(struct bert_chars *t, const struct bert_steps *s) {
    int st = THOR_OK;
    for (int i = 0; i < s->n; i++) TRY(apply(t, &s->step[i]));
out:
    return st;
}

static void free_step(struct bert_step *s) {
    free(s->what.c);
    free(s->with.c);
    bert_charsmap_free(s->map);
}

int bert_steps_add(struct bert_steps *s, struct bert_step *step) {
    if (s->n == BERT_STEPS_MAX) {
        free_step(step);
        return thor_fail(THOR_MODEL, "the tokenizer has more than %d steps", BERT_STEPS_MAX);
    }
    s->bytes |= step->kind == BERT_STEP_BYTES;
    s->step[s->n++] = *step;
    return THOR_OK;
}

void bert_steps_free(struct bert_steps *s) {
    for (int i = 0; i < s->n; i++) free_step(&s->step[i]);
    s->n = 0;
}
