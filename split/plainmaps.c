/* The service in doubles: what the encrypted ones are compared with, and a way to train without a
 * server.  Maps that were asked for stay in memory. */
#include <stdlib.h>
#include <string.h>

#include "kernels/status.h"
#include "split/weights.h"

struct plain {
    struct split_service s;
    struct split_weights *weights;
    float **map; /* layers x SPLIT_STAGES, NULL: not read yet */
};

static int map_of(const float **out, struct plain *p, const struct split_ask *ask) {
    int st = THOR_OK;
    const size_t n = (size_t)p->s.shape.in[ask->stage] * (size_t)p->s.shape.out[ask->stage];
    float **at = &p->map[ask->layer * SPLIT_STAGES + (int)ask->stage], *w = NULL;
    if (!*at) {
        w = malloc(n * sizeof *w);
        if (!w) TRY(thor_fail(THOR_MEMORY, "no memory for the maps of layer %d", ask->layer));
        TRY(split_weights_read(w, p->weights, ask->layer, ask->stage));
        *at = w;
        w = NULL;
    }
    *out = *at;
out:
    free(w);
    return st;
}

static void forward(double *y, const float *w, const double *x, int in, int out) {
    for (int o = 0; o < out; o++, w += in) {
        double sum = 0;
        for (int i = 0; i < in; i++) sum += (double)w[i] * x[i];
        y[o] = sum;
    }
}

static void backward(double *y, const float *w, const double *g, int in, int out) {
    memset(y, 0, (size_t)in * sizeof *y);
    for (int o = 0; o < out; o++, w += in)
        for (int i = 0; i < in; i++) y[i] += (double)w[i] * g[o];
}

static int product(struct split_service *s, double *y, const struct split_ask *ask,
                   const double *x) {
    int st = THOR_OK;
    const float *w;
    TRY(split_ask_check(ask, &s->shape));
    const int in = s->shape.in[ask->stage], out = s->shape.out[ask->stage];
    TRY(map_of(&w, (struct plain *)s, ask));
#pragma omp parallel for schedule(static)
    for (int t = 0; t < ask->tokens; t++) {
        if (ask->transposed)
            backward(y + (size_t)t * (size_t)in, w, x + (size_t)t * (size_t)out, in, out);
        else
            forward(y + (size_t)t * (size_t)out, w, x + (size_t)t * (size_t)in, in, out);
    }
    s->traffic.rounds++;
out:
    return st;
}

static void close_plain(struct split_service *s) {
    struct plain *p = (struct plain *)s;
    for (int i = 0; p->map && i < s->shape.layers * SPLIT_STAGES; i++) free(p->map[i]);
    free(p->map);
    split_weights_close(p->weights);
    free(p);
}

int split_plain_open(struct split_service **out, const char *folder) {
    int st = THOR_OK;
    struct plain *p = calloc(1, sizeof *p);
    if (!p) return thor_fail(THOR_MEMORY, "no memory for a service");
    TRY(split_weights_open(&p->weights, folder));
    p->s = (struct split_service){
        .shape = *split_weights_shape(p->weights), .product = product, .close = close_plain};
    p->map = calloc((size_t)(p->s.shape.layers * SPLIT_STAGES), sizeof *p->map);
    if (!p->map) TRY(thor_fail(THOR_MEMORY, "no memory for a service"));
    *out = &p->s;
    p = NULL;
out:
    if (p) close_plain(&p->s);
    return st;
}
