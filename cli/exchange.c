#include "cli/exchange.h"

#include <stdlib.h>

#include "bert/witness.h"
#include "cli/cli.h"

enum { ROUND_BITS = 12 }; /* of outputs, before they are looked at */

/* ---- requests ---- */

static int save(const struct session *s, const struct ckks_ct *ct, int n, int with_secret,
                uint64_t ticket, const char *path) {
    const uint8_t *id = with_secret ? s->keys.secret->id : s->keys.public_key->id;
    const struct bert_message m = {.role = BERT_REQUEST,
                                   .tokens = (uint32_t)s->plan->tokens,
                                   .model = s->model->hash,
                                   .ticket = ticket};
    interrupt_hold();
    int st = bert_message_save(&m, ct, n, id, path);
    interrupt_release();
    return st;
}

int exchange_seal(struct session *s, const struct bert_sealer *with, const struct bert_tokens *t,
                  uint64_t ticket, const char *path) {
    int st = THOR_OK, n = 0;
    struct bert_shape shape;
    struct ckks_ct *ct = NULL;
    TRY(bert_shape_make(&shape, &s->model->cfg, s->plan->tokens, ckks_slots(s->cx)));
    n = bert_input_count(&shape);
    ct = calloc((size_t)n, sizeof *ct);
    if (!ct) {
        st = thor_fail(THOR_MEMORY, "no memory for the input");
        goto out;
    }
    TRY(bert_encrypt_input(ct, s->cx, s->model, s->plan, t, with));
    TRY(save(s, ct, n, with->secret != NULL, ticket, path));
out:
    for (int k = 0; ct && k < n; k++) ckks_ct_free(&ct[k]);
    free(ct);
    return st;
}

/* ---- answers ---- */

int exchange_peek(struct bert_shape *shape, struct bert_message *m, struct serial_head *h,
                  struct session *s, const char *path) {
    int st = THOR_OK;
    TRY(bert_message_peek(m, h, path, BERT_ANSWER));
    if (h->params != s->params)
        TRY(thor_fail(THOR_KEY,
                      "%.300s: made for parameters %s, this run uses %s: give the same set", path,
                      h->params->name, s->params->name));
    TRY(ckks_check_id(h->id, s->keys.secret->id, path));
    TRY(bert_answer_check(shape, m, h, s->model, path));
out:
    if (st) serial_free(h);
    return st;
}

int exchange_open(struct result *r, struct session *s, const struct bert_shape *shape,
                  const struct bert_message *m, const struct serial_head *h, int n, int raw,
                  const char *path) {
    int st = THOR_OK, count = 0;
    struct ckks_ct *ct = NULL;
    TRY(result_new(r, &s->model->cfg, n));
    TRY(bert_message_load(&ct, &count, m, h, s->cx, path));
    st = bert_open_answer(r->he_logits, shape, s->model, n, ct, s->keys.secret,
                          raw ? 0 : ROUND_BITS);
    if (st == THOR_RANGE) st = thor_fail(THOR_RANGE, "%.300s: " BERT_NO_RESULT, path);
out:
    for (int i = 0; i < count; i++) ckks_ct_free(&ct[i]);
    free(ct);
    return st;
}
