/* split/service.h: the frozen maps of a model as a service.
 *
 * y = x W^T for each map of each layer, and g W (transposed) for gradients; biases, norms,
 * activations, attention and all that is trained are the client's.  Who computes is the service's
 * own business: doubles (plainmaps.c), ciphertexts in this process (local.c), ciphertexts at a
 * server (cli/remote/computing.c). */
#ifndef THOR_SPLIT_SERVICE_H
#define THOR_SPLIT_SERVICE_H

#include <stdint.h>

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The maps of a layer that need one round trip each.  QKV: q, k, v stacked; UP: gate and up stacked
 * (Llama), or ffn1, c_fc; maps with the same input travel together. */
enum split_stage { SPLIT_QKV, SPLIT_O, SPLIT_UP, SPLIT_DOWN, SPLIT_STAGES };

/* Columns that go into a stage's map and come out of it; W is out x in.  The same for every
 * layer. */
struct split_shape {
    int layers;
    int in[SPLIT_STAGES], out[SPLIT_STAGES];
};

#define SPLIT_TOKENS_MAX 4096

struct split_ask {
    int layer;
    enum split_stage stage;
    int transposed; // W^T g instead of W x
    int tokens;     // rows of x and of y, 1 .. SPLIT_TOKENS_MAX
};

/* What a service was asked so far: round trips, bytes up to the server and down from it, seconds
 * that the server computed. Bytes are 0 where nothing travels. */
struct split_traffic {
    uint64_t rounds, up, down;
    double server_seconds;
};

struct split_service {
    struct split_shape shape;
    struct split_traffic traffic;

    /* y = x W^T, rows are tokens: x is tokens x in, y tokens x out; transposed: y (tokens x in) = x
     * (tokens x out) W. No bias.  A status; y is unchanged on failure. */
    int (*product)(struct split_service *s, double *y, const struct split_ask *ask,
                   const double *x);
    void (*close)(struct split_service *s);
};

/* Doubles, weights from the Hugging Face folder. */
int split_plain_open(struct split_service **out, const char *folder);
/* Ciphertexts, with fresh keys of set "n12" (NULL), or of a toy, for tests; threads 0: all. */
int split_local_open(struct split_service **out, const char *folder, const char *set,
                     int allow_insecure, int threads);

#ifdef __cplusplus
}
#endif

#endif
