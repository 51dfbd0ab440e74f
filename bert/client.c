/* The client's half: embed, pack, encrypt, unpack. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "bert/encrypted.h"
#include "bert/fold.h"
#include "bert/reference.h"
#include "bert/witness.h"

static int seal(struct ckks_ct *out, struct ckks *cx, const double *x, size_t period, int level,
                const struct bert_sealer *with) {
    if (with->secret)
        return ckks_encrypt_secret(out, cx, x, NULL, period, level, with->secret, with->rng);
    return ckks_encrypt_public(out, cx, x, NULL, period, level, with->public_key, with->rng);
}

static int seal_all(struct ckks_ct *in, struct ckks *cx, const struct bert_shape *s,
                    const double *x, int rows, const struct bert_plan *p,
                    const struct bert_sealer *with) {
    int st = THOR_OK, state = 0, mask = 0;
    double *slots = malloc((size_t)bert_shape_slots(s) * sizeof *slots);
    if (!slots) return thor_fail(THOR_MEMORY, "no memory to pack the input");
    TRY(bert_input_levels(&state, &mask, p, s));
    for (int i = 0; i < s->nx; i++) {
        bert_pack_state(slots, s, i, x, rows);
        TRY(seal(&in[i], cx, slots, (size_t)(s->tokens * s->columns), state, with));
    }
    bert_pack_mask(slots, s, rows);
    st = seal(&in[s->nx], cx, slots, (size_t)bert_shape_slots(s), mask, with);
out:
    free(slots);
    return st;
}

int bert_encrypt_input(struct ckks_ct *in, struct ckks *cx, const struct bert_model *m,
                       const struct bert_plan *p, const struct bert_tokens *tok,
                       const struct bert_sealer *with) {
    int st = THOR_OK, rows;
    struct bert_shape s;
    double *x = NULL;
    if (tok->n > p->tokens)
        return thor_fail(THOR_INPUT, "the text has %d tokens, the plan takes %d: shorten it",
                         tok->n, p->tokens);
    TRY(bert_shape_make(&s, &m->cfg, p->tokens, ckks_slots(cx)));
    x = malloc((size_t)p->tokens * (size_t)s.hidden * sizeof *x);
    if (!x) TRY(thor_fail(THOR_MEMORY, "no memory to embed %d tokens", tok->n));
    TRY(bert_first_state(x, &rows, m, p, &s, tok));
    st = seal_all(in, cx, &s, x, rows, p, with);
out:
    free(x);
    return st;
}

int bert_read_answer(double *y, const struct bert_shape *s, const struct bert_model *m, int rows,
                     int i, const double *re, const double *im) {
    const int at_client = bert_head_at_client(&m->cfg);
    for (int l = 0; !at_client && l < m->cfg.labels; l++)
        y[l] = re[bert_slot(s, BERT_OUTER, l, 0, 0)];
    for (int c = 0; at_client && c < s->columns; c++) {
        const int f = bert_feature(s, BERT_HIDDEN, i, c);
        for (int t = 0; f < s->hidden && t < rows; t++)
            y[(size_t)t * (size_t)s->hidden + (size_t)f] = re[bert_slot(s, BERT_OUTER, c, 0, t)];
    }
    if (bert_witness_holds(im, (size_t)bert_shape_slots(s))) return THOR_OK;
    return thor_fail(THOR_RANGE, BERT_NO_RESULT);
}

int bert_finish_answer(double *out, const struct bert_model *m, double *y, int rows) {
    const int at_client = bert_head_at_client(&m->cfg);
    if (!(at_client ? bert_state_possible(y, m, rows) : bert_logits_possible(y, m)))
        return thor_fail(THOR_RANGE, BERT_NO_RESULT);
    if (!at_client) {
        memcpy(out, y, (size_t)m->cfg.labels * sizeof *out);
        return THOR_OK;
    }
    const int st = bert_final_state(y, m, rows);
    if (st) return st;
    return bert_head_forward(out, m, y, rows);
}

int bert_open_answer(double *out, const struct bert_shape *s, const struct bert_model *m, int rows,
                     const struct ckks_ct *answer, const struct ckks_secret *key, int bits) {
    int st = THOR_OK;
    const size_t n = (size_t)bert_shape_slots(s), outputs = bert_outputs(&m->cfg, rows);
    const size_t state = (size_t)rows * (size_t)s->hidden + (size_t)m->cfg.labels;
    double *re = malloc((2 * n + state) * sizeof *re), *im = re + n, *y = im + n;
    if (!re) TRY(thor_fail(THOR_MEMORY, "no memory to decrypt an answer"));
    for (int i = 0; i < bert_answer_count(s, &m->cfg); i++) {
        TRY(bits ? ckks_decrypt_rounded(re, im, &answer[i], key, bits)
                 : ckks_decrypt(re, im, &answer[i], key));
        TRY(bert_read_answer(y, s, m, rows, i, re, im));
    }
    st = bert_finish_answer(out, m, y, rows);
out:
    for (size_t i = 0; st == THOR_RANGE && i < outputs; i++) out[i] = NAN;
    if (re) sodium_memzero(re, (2 * n + state) * sizeof *re); // they carry the noise of the key
    free(re);
    return st;
}
