/* A client's side of the exchange with a server: a text into a request file, an answer file into
 * outputs. */
#ifndef CLI_EXCHANGE_H
#define CLI_EXCHANGE_H

#include "bert/message.h"
#include "cli/session.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The request of one text for s->plan, whole or not at all.  `with`: s->rng, a key of s->keys. */
int exchange_seal(struct session *s, const struct bert_sealer *with, const struct bert_tokens *t,
                  uint64_t ticket, const char *path);

/* bert_message_peek of an answer for the session's parameters, secret key and model; *shape: of its
 * bucket.  Whether its ticket is that of the request is the caller's to ask. */
int exchange_peek(struct bert_shape *shape, struct bert_message *m, struct serial_head *h,
                  struct session *s, const char *path);
/* The outputs of the answer that was peeked at, of a text of n tokens where its head asks for that;
 * r: zeroed or used before.  THOR_RANGE when it is no result.  Rounded to 2^-12 but `raw`. */
int exchange_open(struct result *r, struct session *s, const struct bert_shape *shape,
                  const struct bert_message *m, const struct serial_head *h, int n, int raw,
                  const char *path);

#ifdef __cplusplus
}
#endif
#endif
