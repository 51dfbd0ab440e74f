#include "split/caller.h"

#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "split/product.h"
#include "split/weights.h"

struct split_caller {
    const struct ckks_params *params;
    struct ckks *cx;
    struct ckks_secret *secret;
    struct ckks_rng *rng;
};

int split_caller_open(struct split_caller **out, const char *set, int allow_insecure, int threads) {
    int st = THOR_OK;
    struct split_caller *c = calloc(1, sizeof *c);
    if (!c) return thor_fail(THOR_MEMORY, "no memory for a client");
    TRY(ckks_params_get(&c->params, set, allow_insecure));
    TRY(ckks_open(&c->cx, c->params, KERN_CPU, KERN_TIER_BEST, threads));
    TRY(ckks_secret_new(&c->secret, c->params, NULL));
    TRY(ckks_rng_new(&c->rng));
    *out = c;
    c = NULL;
out:
    split_caller_close(c);
    return st;
}

void split_caller_close(struct split_caller *c) {
    if (!c) return;
    ckks_rng_free(c->rng);
    ckks_secret_free(c->secret);
    ckks_close(c->cx);
    free(c);
}

struct ckks *split_caller_context(struct split_caller *c) {
    return c->cx;
}

int split_caller_keys(struct ckks_keys **out, struct split_caller *c) {
    int st = THOR_OK, n;
    struct ckks_need *need = NULL;
    TRY(split_needs(&need, &n, c->params));
    TRY(ckks_keys_new(out, c->cx, c->secret, need, n, NULL, NULL, NULL));
out:
    free(need);
    return st;
}

int split_caller_save_keys(struct split_caller *c, const char *path) {
    int st = THOR_OK, n;
    struct ckks_need *need = NULL;
    TRY(split_needs(&need, &n, c->params));
    TRY(ckks_keys_generate(path, c->cx, c->secret, need, n, NULL, NULL, NULL));
out:
    free(need);
    return st;
}

/* ---- the request ---- */

/* Length of a row; 0 below 1e-280, where products with it are 0 as well. */
static double length_of(const double *x, int n) {
    double most = 0, sum = 0;
    for (int i = 0; i < n; i++) most = fabs(x[i]) > most ? fabs(x[i]) : most;
    if (most < 1e-280) return 0;
    for (int i = 0; i < n; i++) sum += x[i] / most * (x[i] / most);
    return most * sqrt(sum);
}

static int measure(struct split_call *call, const double *x) {
    int st = THOR_OK;
    call->length = malloc((size_t)call->ask.tokens * sizeof *call->length);
    if (!call->length) return thor_fail(THOR_MEMORY, "no memory for a request");
    for (int t = 0; t < call->ask.tokens; t++) {
        const double *row = x + (size_t)t * (size_t)call->in;
        for (int i = 0; i < call->in; i++)
            if (!isfinite(row[i]))
                TRY(thor_fail(THOR_RANGE, "row %d of layer %d holds NaN or infinity", t,
                              call->ask.layer));
        call->length[t] = length_of(row, call->in);
    }
out:
    return st;
}

struct slots { /* of one piece, and the rows' factors */
    double *re, *im, *factor;
    size_t n, tokens;
    uint64_t *numbers;
};

static int open_slots(struct slots *z, const struct split_caller *c, int tokens) {
    z->n = (size_t)ckks_slots(c->cx);
    z->tokens = (size_t)tokens;
    z->re = malloc(2 * z->n * sizeof *z->re);
    z->im = z->re ? z->re + z->n : NULL;
    z->factor = malloc(z->tokens * sizeof *z->factor);
    z->numbers = malloc(2 * z->n * sizeof *z->numbers);
    return z->re && z->factor && z->numbers ? THOR_OK
                                            : thor_fail(THOR_MEMORY, "no memory for slots");
}

static void close_slots(struct slots *z) {
    if (z->re) sodium_memzero(z->re, 2 * z->n * sizeof *z->re);
    free(z->re);
    free(z->factor);
    free(z->numbers);
}

static int put_pieces(struct split_call *call, struct split_caller *c, struct slots *z,
                      const double *x, const uint8_t seed[CKKS_SEED]) {
    int st = THOR_OK;
    struct ckks_ct ct = {0};
    const int pieces = split_pieces_in(&call->packing, call->in);
    for (int i = 0; i < call->packing.sets * pieces; i++) {
        split_to_slots(z->re, z->im, &call->packing, x, z->factor, call->in, i / pieces,
                       i % pieces);
        TRY(ckks_encrypt_seeded(&ct, c->cx, z->re, z->im, z->n, c->secret, seed, (uint32_t)i,
                                c->rng));
        TRY(split_put_half(call->body + split_request_at(c->params, i), &ct, 0, SPLIT_UP_DROP,
                           z->numbers));
    }
out:
    ckks_ct_free(&ct);
    return st;
}

int split_call_make(struct split_call *call, struct split_caller *c,
                    const struct split_shape *shape, const struct split_ask *ask, const double *x) {
    int st = THOR_OK;
    struct slots z = {0};
    uint8_t seed[CKKS_SEED];
    *call = (struct split_call){.ask = *ask};
    TRY(split_ask_check(ask, shape));
    call->in = ask->transposed ? shape->out[ask->stage] : shape->in[ask->stage];
    call->out = ask->transposed ? shape->in[ask->stage] : shape->out[ask->stage];
    call->packing = split_packing_of(ckks_slots(c->cx), ask->tokens, call->in, call->out);
    const struct split_packing *p = &call->packing;
    call->bytes = split_request_bytes(c->params, p->sets * split_pieces_in(p, call->in));
    call->reply = split_reply_bytes(c->params, p->sets * split_pieces_out(p, call->out));
    call->body = malloc(call->bytes);
    if (!call->body) TRY(thor_fail(THOR_MEMORY, "no memory for a request"));
    TRY(open_slots(&z, c, ask->tokens));
    TRY(measure(call, x));
    const double unit = ldexp(1, SPLIT_LOG_LENGTH) / ckks_level_scale(c->params, 0, 0);
    for (int t = 0; t < ask->tokens; t++)
        z.factor[t] = call->length[t] > 0 ? unit / call->length[t] : 0;
    ckks_random_seed(seed);
    split_put_request(call->body, ask, seed);
    TRY(put_pieces(call, c, &z, x, seed));
out:
    close_slots(&z);
    if (st) split_call_free(call);
    return st;
}

void split_call_free(struct split_call *call) {
    free(call->body);
    free(call->length);
    memset(call, 0, sizeof *call);
}

/* ---- the reply ---- */

static int take_pieces(double *y, const struct split_call *call, struct split_caller *c,
                       struct slots *z, const uint8_t *reply) {
    int st = THOR_OK;
    struct ckks_ct ct = {0};
    const struct split_packing *p = &call->packing;
    const int pieces = split_pieces_out(p, call->out);
    TRY(ckks_zero(&ct, c->cx, 0));
    ct.pending = 1;
    for (int i = 0; i < p->sets * pieces; i++) {
        TRY(split_get_half(&ct, 0, SPLIT_DOWN_DROP_B, reply + split_reply_at(c->params, i, 0),
                           z->numbers));
        TRY(split_get_half(&ct, 1, SPLIT_DOWN_DROP_A, reply + split_reply_at(c->params, i, 1),
                           z->numbers));
        TRY(ckks_decrypt(z->re, z->im, &ct, c->secret));
        split_from_slots(y, p, z->re, z->im, z->factor, call->out, i / pieces, i % pieces);
    }
out:
    ckks_ct_free(&ct);
    return st;
}

int split_call_end(double *y, double *seconds, const struct split_call *call,
                   struct split_caller *c, const uint8_t *reply, size_t n) {
    int st = THOR_OK, log_u;
    struct slots z = {0};
    const size_t all = (size_t)call->ask.tokens * (size_t)call->out;
    double *own = malloc(all * sizeof *own), took;
    if (!own) return thor_fail(THOR_MEMORY, "no memory for a reply");
    if (n != call->reply) TRY(thor_fail(THOR_IO, "a reply of %zu bytes, not %zu", n, call->reply));
    TRY(split_get_reply(&log_u, &took, reply, n));
    TRY(open_slots(&z, c, call->ask.tokens));
    const double scale = ckks_level_scale(c->params, 0, 0),
                 unit = scale * scale / ldexp(1, SPLIT_LOG_LENGTH + log_u);
    for (int t = 0; t < call->ask.tokens; t++) z.factor[t] = call->length[t] * unit;
    TRY(take_pieces(own, call, c, &z, reply));
    memcpy(y, own, all * sizeof *own);
    *seconds = took;
out:
    close_slots(&z);
    sodium_memzero(own, all * sizeof *own);
    free(own);
    return st;
}

double split_error_of(const struct ckks_params *p, const struct split_packing *packing,
                      double map_row, int log_u) {
    const double n = exp2(p->log_n), L = exp2(SPLIT_LOG_LENGTH), u = exp2(log_u),
                 ratio = p->prime[CKKS_TERMINALS] / (double)p->prime[CKKS_SPECIAL0],
                 switched = 2 * n * 10.5 * ratio * ratio / 12 + (1 + 2 * n / 3) / 12,
                 row = n / 2 * (exp2(2 * SPLIT_UP_DROP) / 12 + 10.5 + switched) * map_row *
                       map_row / (L * L),
                 map = (packing->form == SPLIT_ROWS ? packing->columns / 3.0
                                                    : packing->period / 12.0) /
                       (u * u),
                 shares = packing->form == SPLIT_GATHERED
                              ? (double)packing->period / packing->columns
                              : 1,
                 reply = shares * n / 2 *
                         (exp2(2 * SPLIT_DOWN_DROP_B) / 12 + exp2(2 * SPLIT_DOWN_DROP_A) * n / 18) /
                         (u * u * L * L);
    return sqrt(row + map + reply);
}

int split_caller_product(struct split_service *s, struct split_caller *c, double *y,
                         const struct split_ask *ask, const double *x,
                         int (*answer)(uint8_t *reply, struct split_service *s,
                                       const struct split_call *call)) {
    int st = THOR_OK;
    struct split_call call = {0};
    double seconds;
    uint8_t *reply = NULL;
    TRY(split_call_make(&call, c, &s->shape, ask, x));
    reply = malloc(call.reply);
    if (!reply) TRY(thor_fail(THOR_MEMORY, "no memory for a reply"));
    TRY(answer(reply, s, &call));
    TRY(split_call_end(y, &seconds, &call, c, reply, call.reply));
    s->traffic.rounds++;
    s->traffic.up += call.bytes;
    s->traffic.down += call.reply;
    s->traffic.server_seconds += seconds;
out:
    split_call_free(&call);
    free(reply);
    return st;
}
