/* The client's half: embed, pack, encrypt, unpack. */
#include <math.h>
#include <stdlib.h>

#include "bert/encrypted.h"
#include "bert/reference.h"

static int seal(struct ckks_ct *out, struct ckks *cx, const double *x, size_t period, int level,
                const struct bert_sealer *with)
{
    if (with->secret)
        return ckks_encrypt_secret(out, cx, x, NULL, period, level, with->secret, with->rng);
    return ckks_encrypt_public(out, cx, x, NULL, period, level, with->public_key, with->rng);
}

static int seal_all(struct ckks_ct *in, struct ckks *cx, const struct bert_shape *s,
                    const double *x, int rows, const struct bert_plan *p,
                    const struct bert_sealer *with)
{
    int st = THOR_OK, state = 0, mask = 0;
    double *slots = malloc((size_t)bert_shape_slots(s) * sizeof *slots);
    if (!slots)
        return thor_fail(THOR_MEMORY, "no memory to pack the input");
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
                       const struct bert_sealer *with)
{
    int st = THOR_OK;
    struct bert_shape s;
    double *x = NULL;
    if (tok->n > p->tokens)
        return thor_fail(THOR_INPUT, "the text has %d tokens, the plan takes %d: shorten it",
                         tok->n, p->tokens);
    TRY(bert_shape_make(&s, &m->cfg, p->tokens, ckks_slots(cx)));
    x = malloc((size_t)tok->n * (size_t)s.hidden * sizeof *x);
    if (!x)
        TRY(thor_fail(THOR_MEMORY, "no memory to embed %d tokens", tok->n));
    TRY(bert_embed(x, m, tok));
    st = seal_all(in, cx, &s, x, tok->n, p, with);
out:
    free(x);
    return st;
}

void bert_unpack_logits(double *logits, const struct bert_shape *s, int labels, const double *slots)
{
    for (int l = 0; l < labels; l++)
        logits[l] = slots[bert_slot(s, BERT_OUTER, l, 0, 0)];
}

// the largest |logit l| of any text: sum of |w| over pooled values, all of size 1 or less, + |b|
static double largest_logit(const struct bert_linear *classifier, int l)
{
    double sum = fabs((double)classifier->b[l]);
    for (int i = 0; i < classifier->in; i++)
        sum += fabs((double)classifier->w[(size_t)l * (size_t)classifier->in + (size_t)i]);
    return sum;
}

int bert_answer_possible(const double *logits, const struct bert_model *m)
{
    for (int l = 0; l < m->cfg.labels; l++)
        if (!(fabs(logits[l]) <= (1 + BERT_ANSWER_SLACK) * largest_logit(&m->classifier, l)))
            return thor_fail(THOR_RANGE, "out of range, no result: no text gives such logits, a value left its "
                             "calibrated range; shorten the text, or calibrate with texts like it");
    return THOR_OK;
}
