#include "bert/message.h"

#include <stdlib.h>
#include <string.h>

#include "bert/levels.h"

_Static_assert(sizeof(struct bert_message) == CKKS_NOTE, "a message is a note");

static const char *const role_name[] = {"", "a request", "an answer"};

int bert_message_peek(struct bert_message *m, struct serial_head *h, const char *path,
                      enum bert_role role) {
    int st = THOR_OK;
    const char *name = ckks_file_name(path);
    memset(h, 0, sizeof *h);
    TRY(ckks_file_describe(h, path));
    if (h->kind != CKKS_FILE_CIPHER)
        TRY(thor_fail(THOR_KEY, "%s: holds %s, not %s: give another file", name,
                      ckks_file_kind_name(h->kind), role_name[role]));
    memcpy(m, h->entry[0].seed, sizeof *m);
    if ((m->role != BERT_REQUEST && m->role != BERT_ANSWER) ||
        m->holds > (m->role == BERT_ANSWER ? BERT_HOLDS_STATE : 0))
        TRY(thor_fail(THOR_KEY,
                      "%s: ciphertexts of no text: give a file of thor encrypt or "
                      "thor eval",
                      name));
    if (m->role != role)
        st = thor_fail(THOR_KEY, "%s: is %s, not %s: give another file", name, role_name[m->role],
                       role_name[role]);
out:
    if (st) serial_free(h);
    return st;
}

int bert_message_model(const struct bert_message *m, uint64_t model, const char *path) {
    if (m->model == model) return THOR_OK;
    return thor_fail(THOR_KEY, "%s: made for another model: encrypt again for this one",
                     ckks_file_name(path));
}

int bert_request_check(const struct bert_message *m, const struct serial_head *h,
                       const struct bert_plan *p, const struct bert_shape *s, const char *path) {
    int st = THOR_OK, state = 0, mask = 0, n = bert_input_count(s);
    const char *name = ckks_file_name(path);
    TRY(bert_message_model(m, p->model_hash, path));
    TRY(bert_input_levels(&state, &mask, p, s));
    if ((int)m->tokens != p->tokens || (int)h->count != n)
        return thor_fail(THOR_KEY,
                         "%s: %u ciphertexts for %u tokens, a text of %d tokens has %d: "
                         "encrypt again",
                         name, h->count, m->tokens, p->tokens, n);
    for (int i = 0; i < n; i++) {
        int want = i < s->nx ? state : mask;
        if ((int)h->entry[i].level != want)
            return thor_fail(THOR_KEY,
                             "%s: ciphertext %d is at level %u, the server takes it at "
                             "%d: encrypt again, with the calibration of the server",
                             name, i, h->entry[i].level, want);
    }
out:
    return st;
}

int bert_answer_check(struct bert_shape *s, const struct bert_message *m,
                      const struct serial_head *h, const struct bert_model *model,
                      const char *path) {
    int st = THOR_OK;
    const char *name = ckks_file_name(path);
    TRY(bert_message_model(m, model->hash, path));
    if (m->tokens > BERT_MAX_TOKENS ||
        bert_shape_make(s, &model->cfg, (int)m->tokens, 1 << (h->params->log_n - 1)))
        TRY(thor_fail(THOR_KEY, "%s: for texts of %u tokens, which this model does not serve", name,
                      m->tokens));
    const int state = bert_head_at_client(&model->cfg);
    int as_told = (int)h->count == bert_answer_count(s, &model->cfg) &&
                  m->holds == (state ? BERT_HOLDS_STATE : BERT_HOLDS_LOGITS);
    for (uint32_t i = 0; i < h->count; i++) as_told &= h->entry[i].level == 0;
    if (!as_told)
        st = thor_fail(THOR_KEY, "%s: is no answer with %s: ask the server again", name,
                       state ? "the final state of a text" : "logits");
out:
    return st;
}

struct bert_message bert_message_answer(const struct bert_message *request,
                                        const struct bert_model *model) {
    struct bert_message m = *request;
    m.role = BERT_ANSWER;
    m.holds = bert_head_at_client(&model->cfg) ? BERT_HOLDS_STATE : BERT_HOLDS_LOGITS;
    return m;
}

int bert_message_save(const struct bert_message *m, const struct ckks_ct *ct, int n,
                      const uint8_t id[16], const char *path) {
    uint8_t note[CKKS_NOTE];
    memcpy(note, m, sizeof note);
    return ckks_ct_save(ct, n, id, note, path);
}

int bert_message_load(struct ckks_ct **ct, int *n, const struct bert_message *m,
                      const struct serial_head *h, struct ckks *cx, const char *path) {
    int st = THOR_OK;
    uint8_t id[16], note[CKKS_NOTE];
    TRY(ckks_ct_load(ct, n, id, note, cx, path));
    int same = memcmp(id, h->id, sizeof id) == 0 && memcmp(note, m, sizeof note) == 0 &&
               *n == (int)h->count;
    for (int i = 0; same && i < *n; i++) same = (*ct)[i].level == (int)h->entry[i].level;
    if (same) return THOR_OK;
    st = thor_fail(THOR_KEY, "%s: changed while it was read: give it again", ckks_file_name(path));
    for (int i = 0; i < *n; i++) ckks_ct_free(&(*ct)[i]);
    free(*ct);
    *ct = NULL;
    *n = 0;
out:
    return st;
}
