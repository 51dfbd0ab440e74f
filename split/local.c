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
};

static int product(struct split_service *s, double *y, const struct split_ask *ask,
                   const double *x) {
    int st = THOR_OK;
    struct local *l = (struct local *)s;
    struct split_call call = {0};
    double seconds;
    uint8_t *reply = NULL;
    TRY(split_call_make(&call, l->caller, &s->shape, ask, x));
    reply = malloc(call.reply);
    if (!reply) TRY(thor_fail(THOR_MEMORY, "no memory for a reply"));
    TRY(split_host_compute(reply, split_caller_context(l->caller), l->weights, call.body,
                           call.bytes));
    TRY(split_call_end(y, &seconds, &call, l->caller, reply, call.reply));
    s->traffic.rounds++;
    s->traffic.up += call.bytes;
    s->traffic.down += call.reply;
    s->traffic.server_seconds += seconds;
out:
    split_call_free(&call);
    free(reply);
    return st;
}

static void close_local(struct split_service *s) {
    struct local *l = (struct local *)s;
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
    ckks_use_keys(split_caller_context(l->caller), l->keys);
    *out = &l->s;
    l = NULL;
out:
    if (l) close_local(&l->s);
    return st;
}
