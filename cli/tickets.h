/* The client's memory of its requests: which random ticket stands on the request of which name.  A
 * ticket comes back on the answer, so that an answer under another's name is noticed.
 *
 * A JSON file (0600), {"format": "thor-tickets-1", "requests": {"/path/0.ct": "0123456789abcdef"}};
 * names are absolute paths, as of shown.h.  ":17" behind a ticket is the number of the text's
 * tokens, noted where an answer cannot be read without it (labels of tokens, embeddings, the last
 * token of a GPT-2's text): nothing that the server sees tells it.
 * A request that is written over loses its old ticket. */
#ifndef CLI_TICKETS_H
#define CLI_TICKETS_H

#include <stdint.h>

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tickets;

/* The file that was named, or KEYS/tickets.json when `named` is NULL. */
void tickets_file(char *out, unsigned size, const char *named, const char *keys_dir);
/* A file that is not there is an empty one.  THOR_KEY when it is damaged.  With `change` other
 * programs that change it wait until tickets_close. */
int tickets_open(struct tickets **out, const char *file, int change);
/* The request that is about to be written to `path`, whose folder must be there.  tokens 0: not
 * noted. */
int tickets_put(struct tickets *t, const char *path, uint64_t ticket, int tokens);
int tickets_save(struct tickets *t); /* whole or not at all */
/* Name of the request with that ticket and its tokens (0: not noted), or NULL; of a file opened
 * without `change`. */
const char *tickets_find(int *tokens, const struct tickets *t, uint64_t ticket);
void tickets_close(struct tickets *t); /* NULL is allowed */

#ifdef __cplusplus
}
#endif
#endif
