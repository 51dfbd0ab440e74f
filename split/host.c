#include "split/host.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "split/product.h"

struct split_sizes split_sizes_of(const struct ckks_params *p, const struct split_shape *shape,
                                  const struct split_ask *ask) {
    const int in = ask->transposed ? shape->out[ask->stage] : shape->in[ask->stage],
              out = ask->transposed ? shape->in[ask->stage] : shape->out[ask->stage];
    struct split_sizes z = {.packing = split_packing_of(1 << (p->log_n - 1), ask->tokens, in, out)};
    z.inputs = z.packing.sets * split_pieces_in(&z.packing, in);
    z.outputs = z.packing.sets * split_pieces_out(&z.packing, out);
    z.request = split_request_bytes(p, z.inputs);
    z.reply = split_reply_bytes(p, z.outputs);
    return z;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct work {
    struct ckks_ct *x, *y;
    const struct ckks_ct **in;
    uint64_t *numbers;
};

static int open_work(struct work *k, const struct ckks *cx, const struct split_sizes *z) {
    k->x = calloc((size_t)z->inputs, sizeof *k->x);
    k->y = calloc((size_t)z->outputs, sizeof *k->y);
    k->in = malloc((size_t)z->inputs * sizeof *k->in);
    k->numbers = malloc(sizeof *k->numbers << cx->params->log_n);
    return k->x && k->y && k->in && k->numbers ? THOR_OK
                                               : thor_fail(THOR_MEMORY, "no memory for a product");
}

static void close_work(struct work *k, const struct split_sizes *z) {
    for (int i = 0; k->x && i < z->inputs; i++) ckks_ct_free(&k->x[i]);
    for (int i = 0; k->y && i < z->outputs; i++) ckks_ct_free(&k->y[i]);
    free(k->x);
    free(k->y);
    free(k->in);
    free(k->numbers);
}

static int get_pieces(struct work *k, struct ckks *cx, const struct split_sizes *z,
                      const uint8_t *request, const uint8_t seed[CKKS_SEED]) {
    int st = THOR_OK;
    for (int i = 0; i < z->inputs; i++) {
        k->in[i] = &k->x[i];
        TRY(ckks_zero(&k->x[i], cx, 0));
        TRY(split_get_half(&k->x[i], 0, SPLIT_UP_DROP, request + split_request_at(cx->params, i),
                           k->numbers));
        TRY(ckks_ct_uniform(&k->x[i], seed, (uint32_t)i));
    }
out:
    return st;
}

static int put_pieces(uint8_t *reply, const struct work *k, const struct ckks *cx,
                      const struct split_sizes *z) {
    int st = THOR_OK;
    for (int i = 0; i < z->outputs; i++) {
        TRY(split_put_half(reply + split_reply_at(cx->params, i, 0), &k->y[i], 0, SPLIT_DOWN_DROP_B,
                           k->numbers));
        TRY(split_put_half(reply + split_reply_at(cx->params, i, 1), &k->y[i], 1, SPLIT_DOWN_DROP_A,
                           k->numbers));
    }
out:
    return st;
}

/* y = the map of `ask` times k->in, and the exponent of its factor. */
static int multiply(struct work *k, int *log_u, const struct split_host *h,
                    const struct split_ask *ask, const struct split_packing *p) {
    int st = THOR_OK;
    float *w = NULL;
    struct split_kept_map kept = {0};
    struct split_map_view m = {NULL, h->shape->out[ask->stage], h->shape->in[ask->stage],
                               ask->transposed};
    if (h->kept) TRY(split_kept_get(&kept, h->kept, ask, p, h->read, h->from));
    if (kept.map) {
        *log_u = kept.log_u;
        return split_product(k->y, k->in, p, &m, kept.log_u, kept.map);
    }
    if (!(w = malloc((size_t)m.out * (size_t)m.in * sizeof *w)))
        return thor_fail(THOR_MEMORY, "no memory for a map");
    m.w = w;
    TRY(h->read(w, h->from, ask->layer, ask->stage));
    TRY(split_map_exponent(log_u, h->cx, p, &m));
    TRY(split_product(k->y, k->in, p, &m, *log_u, NULL));
out:
    free(w);
    return st;
}

int split_host_product(uint8_t *reply, const struct split_host *h, const uint8_t *request,
                       size_t n) {
    int st = THOR_OK, log_u;
    const double began = now();
    struct split_ask ask;
    struct split_sizes z = {0};
    struct work k = {0};
    uint8_t seed[CKKS_SEED];
    TRY(split_get_request(&ask, seed, request, n));
    TRY(split_ask_check(&ask, h->shape));
    z = split_sizes_of(h->cx->params, h->shape, &ask);
    if (n != z.request) TRY(thor_fail(THOR_USAGE, "a request of %zu bytes, not %zu", n, z.request));
    TRY(open_work(&k, h->cx, &z));
    TRY(get_pieces(&k, h->cx, &z, request, seed));
    TRY(multiply(&k, &log_u, h, &ask, &z.packing));
    TRY(put_pieces(reply, &k, h->cx, &z));
    split_put_reply(reply, log_u, now() - began);
out:
    close_work(&k, &z);
    return st;
}

static int read_folder(float *w, const void *from, int layer, enum split_stage stage) {
    return split_weights_read(w, from, layer, stage);
}

struct split_host split_host_of(struct ckks *cx, const struct split_weights *w,
                                struct split_kept *kept) {
    return (struct split_host){cx, split_weights_shape(w), read_folder, w, kept};
}
