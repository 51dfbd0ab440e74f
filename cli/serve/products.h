/* Split mode's half of the server (split/host.h): the frozen maps of one model folder, multiplied
 * with ciphertexts of clients that do all else themselves.
 *
 * A product is held from the head of its request to the end of its answer, and counts with the
 * bytes of both: no more than a budget is held at a time, and no more than a few of an account.
 * Products wait in line for one worker, which has all threads and the keys of those who asked
 * last; nothing of a product reaches the disk. */
#ifndef SERVE_PRODUCTS_H
#define SERVE_PRODUCTS_H

#include <jansson.h>

#include "cli/serve/store.h"
#include "cli/serve/tokens.h"
#include "split/host.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { PRODUCTS_EACH = 4 }; /* of an account at a time */

struct products_setup {
    const char *folder; /* NULL: no split mode */
    int threads;        /* 0: all */
    size_t bytes;       /* the budget of products */
    size_t maps;        /* and of maps that are kept encoded (split/keptmaps.h) */
};

struct product {
    char owner[ACCOUNT_NAME], key[STORE_ID]; /* key: of the store */
    struct split_sizes sizes;
    uint8_t *request, *reply; /* reply NULL: it was given away */
    size_t held;
    double seconds; /* from its turn to the reply */
    int status;     /* how it ended, THOR_.. */
    char why[400];
    /* of products.c */
    int done;
    struct product *line, *next; /* in line; of all that are held */
};

struct products;
int products_open(struct products **out, const struct products_setup *setup, const struct store *s);
/* NULL is allowed.  Products that run or wait are finished; none is taken on. */
void products_close(struct products *p);
/* Waits until no product is held, at most so many seconds. */
void products_drain(struct products *p, double seconds);

/* The model's id is the hash of its weights, as of other models. */
const char *products_id(const struct products *p);
const struct ckks_params *products_params(const struct products *p);
/* The keys that a client uploads: tokens 0 in its upload (uploads.h). */
const struct ckks_need *products_needs(int *n, uint64_t *bytes, const struct products *p);
json_t *products_json(const struct products *p);
size_t products_most(const struct products *p); /* bytes: the budget */
/* Products held, and their bytes. */
int products_held(struct products *p, size_t *bytes);
/* Of its maps that are kept encoded. */
struct split_kept_state products_maps(struct products *p);
/* Seconds until one more has room: what the last ones took, times those in line. */
double products_wait(struct products *p);

enum { PRODUCT_LATER = -1 }; /* beside the statuses */
/* A product of this head, SPLIT_HEAD bytes, with room for request and reply.  THOR_USAGE when it is
 * none of this model, THOR_INPUT when it is larger than the budget, PRODUCT_LATER when there is
 * no room now. */
int product_take(struct product **out, struct products *p, const char *owner, const char *key,
                 const uint8_t *head);
/* Computes it: product->status. */
void product_run(struct product *x, struct products *p);
void product_free(struct product *x, struct products *p); /* NULL is allowed */

#ifdef __cplusplus
}
#endif
#endif
