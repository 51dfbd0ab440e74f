/* The service on ciphertexts, client and server in one process: every product is made to the bytes
 * that would travel, computed from them alone, and read from bytes again. */
#include <stdlib.h>

#include "split/caller.h"
#include "split/host.h"

struct local {
    struct split_service s;
    struct split_weights *weights;
    struct split_caller *caller;
    struct ckks_keys *keys;
    struct split_kept *kept;
    struct split_host host;
};

static int answer(uint8_t *reply, struct split_service *s, const struct split_call *call) {
    return split_host_product(reply, &((struct local *)s)->host, call->body, call->bytes);
}

static int product(struct split_service *s, double *y, const struct split_ask *ask,
                   const double *x) {
    return split_caller_product(s, ((struct local *)s)->caller, y, ask, x, answer);
}

static void close_local(struct split_service *s) {
    struct local *l = (struct local *)s;
    split_kept_close(l->kept);
    ckks_keys_free(l->keys);
    split_caller_close(l->caller);
    split_weights_close(l->weights);
    free(l);
}

int split_local_open(struct split_service **out, const char *folder, const char *set,
                     int allow_insecure, int threads) {
    int st = THOR_OK;
    struct local *l = calloc(1, sizeof *l);
    if (!l) return thor_fail(THOR_MEMORY, "no memory for a service");
    TRY(split_weights_open(&l->weights, folder));
    l->s = (struct split_service){
        .shape = *split_weights_shape(l->weights), .product = product, .close = close_local};
    TRY(split_caller_open(&l->caller, set ? set : "n12", allow_insecure, threads));
    TRY(split_caller_keys(&l->keys, l->caller));
    struct ckks *cx = split_caller_context(l->caller);
    ckks_use_keys(cx, l->keys);
    TRY(split_kept_open(&l->kept, cx, split_weights_shape(l->weights), split_kept_room()));
    l->host = split_host_of(cx, l->weights, l->kept);
    *out = &l->s;
    l = NULL;
out:
    if (l) close_local(&l->s);
    return st;
}
