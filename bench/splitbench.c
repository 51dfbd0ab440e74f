#include "bench/splitbench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bert/synth/synth.h"
#include "bert/synth/synthllama.h"
#include "split/caller.h"
#include "split/host.h"
#include "split/product.h"

/* ---- shapes ---- */

enum { WIDEST = 1 << 17 };

static void set_maps(struct splitbench_shape *s, const int in[SPLIT_STAGES],
                     const int out[SPLIT_STAGES]) {
    s->stages = SPLIT_STAGES;
    s->maps.layers = 1;
    memcpy(s->maps.in, in, sizeof s->maps.in);
    memcpy(s->maps.out, out, sizeof s->maps.out);
}

int splitbench_shape(struct splitbench_shape *s, const char *name) {
    struct bert_config c;
    const struct bert_synth_llama *l = bert_synth_llama_shape(name);
    int in, out, end = 0;
    *s = (struct splitbench_shape){0};
    snprintf(s->name, sizeof s->name, "%s", name);
    if (l) {
        const int q = l->heads * l->head, kv = l->groups * l->head;
        s->layers = l->layers;
        set_maps(s, (int[]){l->hidden, q, l->hidden, l->ffn},
                 (int[]){q + 2 * kv, l->hidden, 2 * l->ffn, l->hidden});
    } else if (bert_synth_shape(&c, name)) {
        s->layers = c.layers;
        set_maps(s, (int[]){c.hidden, c.hidden, c.hidden, c.ffn},
                 (int[]){3 * c.hidden, c.hidden, c.ffn, c.hidden});
    } else if (sscanf(name, "%6dx%6d%n", &out, &in, &end) == 2 && !name[end] && in > 0 && out > 0 &&
               in <= WIDEST && out <= WIDEST) {
        s->layers = s->stages = s->maps.layers = 1;
        s->maps.in[0] = in;
        s->maps.out[0] = out;
    } else {
        return thor_fail(THOR_USAGE,
                         "--model %.40s: no shape of thor synth (gpt2, llama-1b, ..) and no map as "
                         "768x768",
                         name);
    }
    return THOR_OK;
}

/* ---- a layer's round trips one way ---- */

struct splitbench {
    struct split_caller *caller;
    struct ckks_keys *keys;
    double seconds;
};

struct trip { /* of one stage */
    double *x;
    struct split_call call;
    uint8_t *reply;
};

struct layer {
    struct splitbench *b;
    const struct splitbench_shape *shape;
    float *w[SPLIT_STAGES];
    struct trip trip[SPLIT_STAGES];
    struct split_kept *kept; /* NULL while cold ones are timed */
};

static uint32_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 40);
}

static size_t map_size(const struct splitbench_shape *s, int stage) {
    return (size_t)s->maps.in[stage] * (size_t)s->maps.out[stage];
}

static int make_weights(struct layer *l) {
    uint64_t state = 1;
    for (int i = 0; i < l->shape->stages; i++) {
        const size_t n = map_size(l->shape, i);
        if (!(l->w[i] = malloc(n * sizeof *l->w[i])))
            return thor_fail(THOR_MEMORY, "no memory for the maps of %s", l->shape->name);
        for (size_t k = 0; k < n; k++)
            l->w[i][k] = (float)next_random(&state) * 0x1p-23f - 1; // uniform in -1 .. 1
    }
    return THOR_OK;
}

static int read_map(float *w, const void *from, int layer, enum split_stage stage) {
    const struct layer *l = from;
    (void)layer;
    memcpy(w, l->w[stage], map_size(l->shape, (int)stage) * sizeof *w);
    return THOR_OK;
}

static void close_trips(struct layer *l) {
    for (int i = 0; i < SPLIT_STAGES; i++) {
        free(l->trip[i].x);
        free(l->trip[i].reply);
        split_call_free(&l->trip[i].call);
        l->trip[i] = (struct trip){0};
    }
}

static int make_trip(struct layer *l, const struct split_ask *ask) {
    int st = THOR_OK;
    struct trip *t = &l->trip[ask->stage];
    const struct split_shape *s = &l->shape->maps;
    const size_t n =
        (size_t)ask->tokens * (size_t)(ask->transposed ? s->out[ask->stage] : s->in[ask->stage]);
    uint64_t state = 2;
    if (!(t->x = malloc(n * sizeof *t->x))) return thor_fail(THOR_MEMORY, "no memory for rows");
    for (size_t i = 0; i < n; i++) t->x[i] = next_random(&state) * 0x1p-23 - 1;
    TRY(split_call_make(&t->call, l->b->caller, s, ask, t->x));
    if (!(t->reply = malloc(t->call.reply))) st = thor_fail(THOR_MEMORY, "no memory for a reply");
out:
    return st;
}

static int serve(void *ctx, int times) {
    int st = THOR_OK;
    const struct layer *l = ctx;
    const struct split_host h = {split_caller_context(l->b->caller), &l->shape->maps, read_map, l,
                                 l->kept};
    for (int i = 0; i < times * l->shape->stages; i++) {
        const struct trip *t = &l->trip[i % l->shape->stages];
        TRY(split_host_product(t->reply, &h, t->call.body, t->call.bytes));
    }
out:
    return st;
}

/* ---- against doubles ---- */

static double plain_value(const struct split_map_view *m, int o, const double *x) {
    const size_t right = m->transposed ? (size_t)m->in : 1;
    const float *w = m->w + (m->transposed ? (size_t)o : (size_t)o * (size_t)m->in);
    double sum = 0;
    for (int i = 0; i < split_view_in(m); i++) sum += w[(size_t)i * right] * x[i];
    return sum;
}

static double correlation(const double *y, const struct split_map_view *m, const double *x,
                          int tokens) {
    enum { LOOKED_AT = 64 };
    const int out = split_view_out(m), in = split_view_in(m), step = (out - 1) / LOOKED_AT + 1;
    double ab = 0, aa = 0, bb = 0;
    for (int t = 0; t < tokens; t++)
        for (int o = 0; o < out; o += step) {
            const double a = y[(size_t)t * (size_t)out + (size_t)o],
                         b = plain_value(m, o, x + (size_t)t * (size_t)in);
            ab += a * b;
            aa += a * a;
            bb += b * b;
        }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

static int check_trip(double *least, const struct layer *l, int stage) {
    int st = THOR_OK;
    const struct trip *t = &l->trip[stage];
    const struct split_shape *s = &l->shape->maps;
    const struct split_map_view m = {l->w[stage], s->out[stage], s->in[stage],
                                     t->call.ask.transposed};
    double seconds, *y = malloc((size_t)t->call.ask.tokens * (size_t)t->call.out * sizeof *y);
    if (!y) return thor_fail(THOR_MEMORY, "no memory for results");
    TRY(split_call_end(y, &seconds, &t->call, l->b->caller, t->reply, t->call.reply));
    const double c = correlation(y, &m, t->x, t->call.ask.tokens);
    if (c < *least) *least = c;
out:
    free(y);
    return st;
}

static int one_way(struct splitbench_way *way, double *least, struct layer *l, int tokens,
                   int transposed) {
    int st = THOR_OK;
    for (int i = 0; i < l->shape->stages; i++) {
        const struct split_ask ask = {0, (enum split_stage)i, transposed, tokens};
        TRY(make_trip(l, &ask));
        way->up += l->trip[i].call.bytes;
        way->down += l->trip[i].call.reply;
    }
    way->time.batch = way->time.of_cores = way->warm.batch = way->warm.of_cores = 1;
    TRY(bench_time(&way->time, l->b->seconds, serve, l));
    TRY(split_kept_open(&l->kept, split_caller_context(l->b->caller), &l->shape->maps,
                        split_kept_room()));
    TRY(serve(l, 1));
    TRY(bench_time(&way->warm, l->b->seconds, serve, l));
    way->kept = split_kept_state(l->kept).bytes;
    for (int i = 0; i < l->shape->stages; i++) TRY(check_trip(least, l, i));
out:
    split_kept_close(l->kept);
    l->kept = NULL;
    close_trips(l);
    return st;
}

int splitbench_run(struct splitbench_result *r, struct splitbench *b,
                   const struct splitbench_shape *shape, int tokens) {
    int st = THOR_OK;
    struct layer l = {.b = b, .shape = shape};
    *r = (struct splitbench_result){.shape = shape, .tokens = tokens, .correlation = 1};
    TRY(make_weights(&l));
    for (int i = 0; i < 2; i++) TRY(one_way(&r->way[i], &r->correlation, &l, tokens, i));
out:
    for (int i = 0; i < SPLIT_STAGES; i++) free(l.w[i]);
    return st;
}

int splitbench_open(struct splitbench **out, const char *params, int allow_insecure,
                    double seconds) {
    int st = THOR_OK;
    struct splitbench *b = calloc(1, sizeof *b);
    if (!b) return thor_fail(THOR_MEMORY, "no memory for a measurement");
    b->seconds = seconds;
    TRY(split_caller_open(&b->caller, params, allow_insecure, 1));
    TRY(split_caller_keys(&b->keys, b->caller));
    ckks_use_keys(split_caller_context(b->caller), b->keys);
    *out = b;
    b = NULL;
out:
    splitbench_close(b);
    return st;
}

void splitbench_close(struct splitbench *b) {
    if (!b) return;
    ckks_keys_free(b->keys);
    split_caller_close(b->caller);
    free(b);
}
