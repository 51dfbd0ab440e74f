/* What client and server write on the ciphertext files that go between them (ckks_ct_save's note).
 *
 * A request holds the client's ciphertexts of one text, an answer the ciphertext of its logits, or
 * those of its final state where the head is the client's.  In the clear stand the length bucket,
 * the model and a random ticket that goes back on the answer; how many tokens the text has does
 * not. */
#ifndef BERT_MESSAGE_H
#define BERT_MESSAGE_H

#include "bert/encrypted.h"
#include "ckks/serial.h"

#ifdef __cplusplus
extern "C" {
#endif

enum bert_role { BERT_REQUEST = 1, BERT_ANSWER = 2 };

enum bert_holds { BERT_HOLDS_LOGITS, BERT_HOLDS_STATE };

struct bert_message {      /* stored as it is, little endian */
    uint32_t role, tokens; /* tokens: the bucket */
    uint64_t model;        /* XXH3-64 of the weights that text and answer are for */
    uint64_t ticket;
    uint64_t holds; /* of an answer: enum bert_holds; of a request 0 */
};

/* The message of a file and its checked header (free it with serial_free), nothing of its
 * ciphertexts.  THOR_KEY when it is no message of that role. */
int bert_message_peek(struct bert_message *m, struct serial_head *h, const char *path,
                      enum bert_role role);
/* THOR_KEY unless the message is for the model of these weights. */
int bert_message_model(const struct bert_message *m, uint64_t model, const char *path);
/* THOR_KEY unless the file's number of ciphertexts and every level are those of a request for this
 * plan, and its model is the plan's; level and N fix scale and size: nothing is left to differ. */
int bert_request_check(const struct bert_message *m, const struct serial_head *h,
                       const struct bert_plan *p, const struct bert_shape *s, const char *path);
/* The same for an answer of `model` and the shape s of its bucket: bert_answer_count ciphertexts
 * at level 0. */
int bert_answer_check(struct bert_shape *s, const struct bert_message *m,
                      const struct serial_head *h, const struct bert_model *model,
                      const char *path);

/* What stands on the answer to a request for this model. */
struct bert_message bert_message_answer(const struct bert_message *request,
                                        const struct bert_model *model);
int bert_message_save(const struct bert_message *m, const struct ckks_ct *ct, int n,
                      const uint8_t id[16], const char *path);
/* THOR_KEY when the file is no longer the one that was peeked at. */
int bert_message_load(struct ckks_ct **ct, int *n, const struct bert_message *m,
                      const struct serial_head *h, struct ckks *cx, const char *path);

#ifdef __cplusplus
}
#endif
#endif
