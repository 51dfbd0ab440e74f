/* The forward on a back end that computes nothing: its keys, operations and memory, known before the work. */
#include "bert/circuit.h"

static int dry_input(struct ckks_ct *in, struct ckks *dry, const struct bert_plan *p,
                     const struct bert_shape *s)
{
    int st = THOR_OK, state = 0, mask = 0;
    TRY(bert_input_levels(&state, &mask, p, s));
    for (int i = 0; i < s->nx; i++)
        TRY(ckks_zero(&in[i], dry, state));
    st = ckks_zero(&in[s->nx], dry, mask);
out:
    return st;
}

int bert_dry_run(struct ckks *dry, const struct bert_model *m, const struct bert_plan *p)
{
    int st = THOR_OK, n = 0;
    struct bert_server *srv = NULL;
    struct ckks_ct logits = {0}, *in = NULL;
    TRY(bert_server_new(&srv, dry, m, p));
    n = bert_input_count(bert_server_shape(srv));
    in = bert_cts_new(n);
    if (!in)
        TRY(THOR_MEMORY);
    TRY(dry_input(in, dry, p, bert_server_shape(srv)));
    st = bert_server_forward(&logits, srv, in, NULL);
out:
    bert_cts_free(in, n);
    ckks_ct_free(&logits);
    bert_server_free(srv);
    return st;
}
