/* The client's half: embed, pack, encrypt, unpack. */
#include <math.h>
#include <stdlib.h>

#include "bert/encrypted.h"
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
    int st = THOR_OK;
    struct bert_shape s;
    double *x = NULL;
    if (tok->n > p->tokens)
        return thor_fail(THOR_INPUT, "the text has %d tokens, the plan takes %d: shorten it",
                         tok->n, p->tokens);
    TRY(bert_shape_make(&s, &m->cfg, p->tokens, ckks_slots(cx)));
    x = malloc((size_t)tok->n * (size_t)s.hidden * sizeof *x);
    if (!x) TRY(thor_fail(THOR_MEMORY, "no memory to embed %d tokens", tok->n));
    TRY(bert_embed(x, m, tok));
    st = seal_all(in, cx, &s, x, tok->n, p, with);
out:
    free(x);
    return st;
}

int bert_read_answer(double *logits, const struct bert_shape *s, const struct bert_model *m,
                     const double *re, const double *im) {
    for (int l = 0; l < m->cfg.labels; l++) logits[l] = re[bert_slot(s, BERT_OUTER, l, 0, 0)];
    if (bert_witness_holds(im, (size_t)bert_shape_slots(s)) && bert_logits_possible(logits, m))
        return THOR_OK;
    for (int l = 0; l < m->cfg.labels; l++) logits[l] = NAN;
    return thor_fail(THOR_RANGE, BERT_NO_RESULT);
}
