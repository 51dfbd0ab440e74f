/* The client's half: embed, pack, encrypt; and what a dry run needs of it. */
#include <stdlib.h>

#include "bert/encrypted.h"
#include "bert/reference.h"

int bert_input_count(const struct bert_shape *s)
{
    return s->nx + 1;
}

static int seal(struct ckks_ct *out, struct ckks *cx, const double *x, size_t period, int level,
                const struct bert_sealer *with)
{
    if (with->secret)
        return ckks_encrypt_secret(out, cx, x, NULL, period, level, with->secret, with->rng);
    return ckks_encrypt_public(out, cx, x, NULL, period, level, with->public_key, with->rng);
}

/* Levels of the state and of the mask: no higher than the server uses them. */
static int input_levels(int *state, int *mask, const struct bert_plan *p,
                        const struct bert_shape *s)
{
    int st = THOR_OK;
    struct bert_levels *v = calloc((size_t)p->layers + 1, sizeof *v);
    if (!v)
        return thor_fail(THOR_MEMORY, "no memory for the levels of %d layers", p->layers);
    TRY(bert_levels_set(v, p, s));
    *state = v[0].y;
    *mask = 0;
    for (int l = 0; l < p->layers; l++)
        if (v[l].P + 1 > *mask)
            *mask = v[l].P + 1;
out:
    free(v);
    return st;
}

static int seal_all(struct ckks_ct *in, struct ckks *cx, const struct bert_shape *s,
                    const double *x, int rows, const struct bert_plan *p,
                    const struct bert_sealer *with)
{
    int st = THOR_OK, state = 0, mask = 0;
    double *slots = malloc((size_t)bert_shape_slots(s) * sizeof *slots);
    if (!slots)
        return thor_fail(THOR_MEMORY, "no memory to pack the input");
    TRY(input_levels(&state, &mask, p, s));
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

static int dry_input(struct ckks_ct *in, struct ckks *dry, const struct bert_shape *s,
                     const struct bert_plan *p)
{
    int st = THOR_OK;
    uint8_t seed[CKKS_SEED] = {0}; // a dry back end computes nothing: this key protects nothing
    struct ckks_rng rng;
    struct ckks_secret *key = NULL;
    double *zero = calloc((size_t)s->hidden, sizeof *zero);
    if (!zero)
        return thor_fail(THOR_MEMORY, "no memory for a dry run");
    ckks_rng_init(&rng, seed, 0);
    TRY(ckks_secret_new(&key, dry->params, seed));
    st = seal_all(in, dry, s, zero, 1, p, &(struct bert_sealer){key, NULL, &rng});
out:
    ckks_secret_free(key);
    free(zero);
    return st;
}

int bert_dry_run(struct ckks *dry, const struct bert_model *m, const struct bert_plan *p)
{
    int st = THOR_OK, n = 0;
    struct bert_server *srv = NULL;
    struct ckks_ct logits = {0}, *in = NULL;
    TRY(bert_server_new(&srv, dry, m, p));
    n = bert_input_count(bert_server_shape(srv));
    in = calloc((size_t)n, sizeof *in);
    if (!in)
        TRY(thor_fail(THOR_MEMORY, "no memory for a dry run"));
    TRY(dry_input(in, dry, bert_server_shape(srv), p));
    st = bert_server_forward(&logits, srv, in, NULL);
out:
    for (int i = 0; in && i < n; i++)
        ckks_ct_free(&in[i]);
    free(in);
    ckks_ct_free(&logits);
    bert_server_free(srv);
    return st;
}
