/* Linear transforms of slot vectors: baby steps, giant steps, double hoisting.
 *
 *   sum_m d_m rot(x, s(f+m)) = sum_G rot( sum_b rot(d_(G+b), -s(f+G)) rot(x, s b), s(f+G) ),
 *   m = G + b
 * Babies are made from one digit decomposition of x and stay in basis Q P (not divided by P); each
 * giant's inner sum is divided by P once, for its second part only, and switched into a common
 * accumulator in Q P; one conversion at the end divides by P and rescales.  Cost: babies + giants
 * key products, giants + 1 decompositions, one level.  Plaintexts have the scale S_l of the input's
 * level; those of a group serve all sets of inputs before the next are made.  Transforms with short
 * plaintexts take another route: shortmap.c. */
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "ckks/shortmap.h"

struct group { /* the plaintexts of one output and one giant step */
    int n;     /* terms */
    uint8_t *input, *baby;
    uint32_t *pt; /* n polynomials over Q P, short rows */
    double *z;    /* in a lean cache, instead of pt: their numbers() (NULL in a dry run) */
};

struct ckks_linear_cache {
    struct ckks *cx;
    int level, groups, lean;
    struct group *g;         /* outputs x giants */
    struct ckks_shortmap *s; /* instead of g where plaintexts are short */
};

static int giants_of(const struct ckks_linear *t) {
    return (t->count + t->baby - 1) / t->baby;
}

/* what diag writes for one diagonal, re and im */
static size_t numbers(const struct ckks_linear *t) {
    return 2 * t->period >> t->log_run;
}

static int sets_of(const struct ckks_linear *t) {
    return t->sets > 1 ? t->sets : 1;
}

static void free_group(struct ckks *cx, struct group *g) {
    cx->k->release(cx->k, g->pt);
    free(g->input);
    free(g->baby);
    free(g->z);
    memset(g, 0, sizeof *g);
}

int ckks_rotated_diag(const struct ckks_linear *t, int o, int i, int m, long shift, double *z,
                      double *tmp) {
    size_t p = t->period >> t->log_run;
    memset(tmp + p, 0, p * sizeof *tmp);
    if (!t->diag(t->ctx, o, i, m, tmp, tmp + p)) return 0;
    shift /= 1l << t->log_run;
    size_t s0 = (size_t)(((shift % (long)p) + (long)p) % (long)p);
    for (int h = 0; h < 2; h++, z += p, tmp += p) {
        memcpy(z + s0, tmp, (p - s0) * sizeof *z);
        memcpy(z, tmp + (p - s0), s0 * sizeof *z);
    }
    return 1;
}

/* Every candidate diagonal of group (o, G), numbers() each; used[j] says which are not zero. */
static int group_slots(struct ckks *cx, const struct ckks_linear *t, int o, int G, double scale,
                       double *z, double *work, uint8_t *used) {
    int st = THOR_OK, cand = t->inputs * t->baby;
    size_t words = numbers(t);
#pragma omp parallel for schedule(dynamic) num_threads(cx->k->threads)
    for (int j = 0; j < cand; j++) {
        int i = j / t->baby, m = G * t->baby + j % t->baby, bad = THOR_OK;
        double *to = z + (size_t)j * words;
        long shift = (long)t->stride * (t->first + G * t->baby);
        used[j] = 0;
        if (m < t->count)
            used[j] = (uint8_t)ckks_rotated_diag(t, o, i, m, shift, to,
                                                 work + (size_t)omp_get_thread_num() * words);
        if (used[j]) bad = ckks_check_slots(to, words, scale);
        if (bad) {
#pragma omp critical
            st = bad;
        }
    }
    /* messages are kept per thread: say it again in this one */
    return st ? thor_fail(
                    st, "a diagonal of a linear transform holds NaN, infinity or a value too large")
              : THOR_OK;
}

/* Which diagonals group (o, G) has, and their slots one after the other in scratch; *z NULL in a
 * dry run. */
static int read_group(struct group *g, double **z, struct ckks *cx, const struct ckks_linear *t,
                      int o, int G, double scale) {
    int st = THOR_OK, cand = t->inputs * t->baby;
    size_t words = numbers(t), all = (size_t)cand * words;
    uint8_t *used = malloc((size_t)cand);
    memset(g, 0, sizeof *g);
    g->input = malloc((size_t)cand);
    g->baby = malloc((size_t)cand);
    *z = ckks_is_dry(cx) ? NULL
                         : ckks_scratch(cx, (all + (size_t)cx->k->threads * words) * sizeof **z);
    if (!used || !g->input || !g->baby || (!*z && !ckks_is_dry(cx))) {
        st = thor_fail(THOR_MEMORY, "no memory for a linear transform");
        goto out;
    }
    if (*z) TRY(group_slots(cx, t, o, G, scale, *z, *z + all, used));
    for (int j = 0; j < cand; j++) {
        if (*z ? !used[j] : G * t->baby + j % t->baby >= t->count) continue;
        if (*z && g->n != j)
            memmove(*z + (size_t)g->n * words, *z + (size_t)j * words, words * sizeof **z);
        g->input[g->n] = (uint8_t)(j / t->baby);
        g->baby[g->n++] = (uint8_t)(j % t->baby);
    }
out:
    free(used);
    if (st) free_group(cx, g);
    return st;
}

/* g->pt from the slots z. */
static int expand_group(struct group *g, struct ckks *cx, const struct ckks_linear *t,
                        const double *z, int level, double scale) {
    int st = THOR_OK;
    size_t words = 2 * t->period, n = ckks_n(cx);
    struct kbasis ext = ckks_with_special(cx->params, ckks_basis(cx->params, level));
    cx->count.encodes += (uint64_t)g->n;
    if (!g->n) return THOR_OK;
    TRY(cx->k->alloc(cx->k, &g->pt, ((size_t)g->n * (size_t)ext.n * words + n - 1) / n));
    cx->k->encode(cx->k, kv(g->pt, ext.n), z, ckks_log2(t->period), t->log_run, scale, &ext, g->n);
    cx->k->ntt_fwd(cx->k, kv(g->pt, ext.n), &ext, g->n, ckks_log2(words));
out:
    return st;
}

static int make_group(struct group *g, struct ckks *cx, const struct ckks_linear *t, int o, int G,
                      int level, int boot) {
    int st = THOR_OK;
    double *z, scale = ckks_level_scale(cx->params, level, boot);
    TRY(read_group(g, &z, cx, t, o, G, scale));
    TRY(expand_group(g, cx, t, z, level, scale));
out:
    if (st) free_group(cx, g);
    return st;
}

/* The same, but the slots are kept and not the polynomials: a thirtieth of the memory. */
static int keep_slots(struct group *g, struct ckks *cx, const struct ckks_linear *t, int o, int G,
                      double scale) {
    int st = THOR_OK;
    double *z;
    TRY(read_group(g, &z, cx, t, o, G, scale));
    size_t bytes = (size_t)g->n * numbers(t) * sizeof *z;
    cx->kept_bytes += bytes;
    if (!z || !g->n) return THOR_OK;
    g->z = malloc(bytes);
    if (g->z)
        memcpy(g->z, z, bytes);
    else
        st = thor_fail(THOR_MEMORY, "no memory for a linear transform");
out:
    if (st) free_group(cx, g);
    return st;
}

int ckks_linear_prepare(struct ckks_linear_cache **out, struct ckks *cx,
                        const struct ckks_linear *t, int level, int boot) {
    int st = THOR_OK, giants = giants_of(t);
    struct ckks_linear_cache *c = calloc(1, sizeof *c);
    if (!c) return thor_fail(THOR_MEMORY, "no memory for a linear transform");
    c->cx = cx;
    c->level = level;
    c->lean = cx->lean;
    if (ckks_is_short(cx, t, boot)) {
        TRY(ckks_shortmap_new(&c->s, cx, t, level, 1));
        cx->kept_bytes += ckks_shortmap_bytes(c->s);
        *out = c;
        return THOR_OK;
    }
    c->g = calloc((size_t)(t->outputs * giants), sizeof *c->g);
    if (!c->g) {
        st = thor_fail(THOR_MEMORY, "no memory for a linear transform");
        goto out;
    }
    for (int o = 0; o < t->outputs; o++)
        for (int G = 0; G < giants; G++, c->groups++) {
            struct group *g = &c->g[c->groups];
            TRY(c->lean ? keep_slots(g, cx, t, o, G, ckks_level_scale(cx->params, level, boot))
                        : make_group(g, cx, t, o, G, level, boot));
        }
    *out = c;
    c = NULL;
out:
    ckks_linear_cache_free(c);
    return st;
}

void ckks_linear_cache_free(struct ckks_linear_cache *c) {
    if (!c) return;
    for (int i = 0; i < c->groups; i++) free_group(c->cx, &c->g[i]);
    ckks_shortmap_free(c->s);
    free(c->g);
    free(c);
}

/* A group of a lean cache for one use: own->pt is its own, the rest the cache's. */
static int borrow_group(struct group *own, const struct group *g, struct ckks *cx,
                        const struct ckks_linear *t, int level, int boot) {
    *own = *g;
    return expand_group(own, cx, t, g->z, level, ckks_level_scale(cx->params, level, boot));
}

static void end_group(struct ckks *cx, struct group *own, const struct ckks_linear_cache *cache) {
    if (cache) own->input = own->baby = NULL, own->z = NULL; // the cache's
    free_group(cx, own);
}

/* acc (2 polys over Q P) = P x */
static void baby_zero(struct ckks *cx, uint32_t *acc, const struct ckks_ct *x) {
    struct kernels *k = cx->k;
    struct kbasis q = ckks_basis(cx->params, x->level), ext = ckks_with_special(cx->params, q);
    uint32_t P[KERN_MAX_LIMBS];
    struct kvec none = {NULL, 0};
    for (int i = 0; i < q.n; i++) P[i] = cx->tables->special[q.prime[i]];
    k->lincomb(k, kv(acc, ext.n), kv(x->c, x->rows), P, none, NULL, &q, 2);
    k->zero(k, kv(acc + (size_t)q.n * ckks_n(cx), ext.n), cx->params->specials, 2);
}

int ckks_giant(struct ckks *cx, uint32_t *sum, uint32_t *acc, int level, uint32_t g, uint32_t *tmp,
               int accumulate) {
    int st = THOR_OK;
    struct kbasis q = ckks_basis(cx->params, level), ext = ckks_with_special(cx->params, q);
    const struct ckks_plus plus = {kv(acc, 0), 1, 0};
    TRY(ckks_rebase(cx, tmp, q.n, &q, acc + (size_t)ext.n * ckks_n(cx), ext.n, &ext, 1, 1));
    const uint32_t *const from = tmp;
    TRY(ckks_switch(cx, &sum, &from, 1, g, g, level, accumulate, &plus));
    cx->count.rotations++;
out:
    return st;
}

/* The groups of one output whose inner sums share a pass over the babies. */
struct pass {
    int n, started; /* groups; do sums hold something? */
    const struct group *g[KERN_MAX_OUTPUTS];
    uint32_t galois[KERN_MAX_OUTPUTS]; /* of their giant steps */
    const uint32_t **a, **w;           /* 255 terms, and as many weights an output */
};

/* terms and weights: the babies that occur, each once */
static int pass_terms(struct pass *p, const struct ckks_linear *t, const uint32_t *babies,
                      size_t ct, size_t pt) {
    int terms = 0, at[255];
    memset(at, -1, sizeof at);
    for (int o = 0; o < p->n; o++)
        for (int j = 0; j < p->g[o]->n; j++) {
            int *i = &at[p->g[o]->input[j] * t->baby + p->g[o]->baby[j]];
            if (*i < 0) p->a[ *i = terms++] = babies + (size_t)(i - at) * ct;
        }
    memset(p->w, 0, (size_t)(p->n * terms) * sizeof *p->w);
    for (int o = 0; o < p->n; o++)
        for (int j = 0; j < p->g[o]->n; j++) {
            int i = at[p->g[o]->input[j] * t->baby + p->g[o]->baby[j]];
            p->w[o * terms + i] = p->g[o]->pt + (size_t)j * pt;
        }
    return terms;
}

/* sum = or += the groups of one set: its babies times their plaintexts, rotated.  work: a
 * ciphertext over Q P a group, and one more. */
static int add_groups(struct ckks *cx, struct pass *p, const struct ckks_linear *t,
                      uint32_t *babies, uint32_t *sum, uint32_t *work, int level) {
    int st = THOR_OK, started = p->started;
    struct kbasis ext = ckks_with_special(cx->params, ckks_basis(cx->params, level));
    size_t row = ckks_n(cx), ct = 2 * (size_t)ext.n * row;
    uint32_t *out[KERN_MAX_OUTPUTS];
    struct kdots d = {.out = out,
                      .a = p->a,
                      .out_pitch = (size_t)ext.n,
                      .a_pitch = (size_t)ext.n,
                      .outputs = p->n,
                      .b = p->w,
                      .log_rep = cx->params->log_n - ckks_log2(2 * t->period)};
    d.terms = pass_terms(p, t, babies, ct, (size_t)ext.n * (row >> d.log_rep));
    for (int o = 0; o < p->n; o++) {
        int still = p->galois[o] == 1;
        out[o] = still ? sum : work + (size_t)o * ct;
        if (still) d.accumulate = (unsigned)started << o, started = 1;
        cx->count.ptct += (uint64_t)p->g[o]->n;
    }
    cx->k->dots(cx->k, &d, &ext, 2);
    for (int o = 0; o < p->n; o++) {
        if (p->galois[o] == 1) continue;
        TRY(ckks_giant(cx, sum, out[o], level, p->galois[o], work + (size_t)p->n * ct, started));
        started = 1;
    }
out:
    return st;
}

/* Groups of one output that share a pass: as many as there are at once. */
static int together(const struct ckks_linear *t, const struct ckks_linear_cache *cache) {
    int giants = giants_of(t);
    return !cache || cache->lean ? 1 : giants < KERN_MAX_OUTPUTS ? giants : KERN_MAX_OUTPUTS;
}

/* Output o of every set: sums over giants, then the final divisions.  work: a ciphertext over Q P a
 * set, each of the groups together, and one more. */
static int one_output(struct ckks_ct *out, struct ckks *cx, const struct ckks_linear *t, int o,
                      uint32_t *babies, uint32_t *work, int level, int boot,
                      const struct ckks_linear_cache *cache) {
    int st = THOR_OK, giants = giants_of(t), sets = sets_of(t);
    struct kernels *k = cx->k;
    struct kbasis q = ckks_basis(cx->params, level), ext = ckks_with_special(cx->params, q),
                  dst = ckks_basis(cx->params, level - 1);
    size_t ct = 2 * (size_t)ext.n * ckks_n(cx), set = (size_t)(t->inputs * t->baby) * ct;
    int most = together(t, cache);
    uint32_t *sums = work + (size_t)(most + 1) * ct;
    struct group own = {0};
    const uint32_t **pointers = malloc(255 * (1 + KERN_MAX_OUTPUTS) * sizeof *pointers);
    struct pass p = {.a = pointers, .w = pointers + 255};
    struct ckks_ct r = {0};
    if (!pointers) return thor_fail(THOR_MEMORY, "no memory for a linear transform");
    for (int G = 0; G < giants; G++) {
        const struct group *g = cache && !cache->lean ? &cache->g[o * giants + G] : &own;
        if (!cache)
            TRY(make_group(&own, cx, t, o, G, level, boot));
        else if (cache->lean)
            TRY(borrow_group(&own, &cache->g[o * giants + G], cx, t, level, boot));
        p.galois[p.n] = ckks_galois(cx, t->stride * (t->first + G * t->baby));
        p.g[p.n] = g;
        p.n += g->n > 0;
        if (p.n == most || (p.n && G == giants - 1)) {
            for (int s = 0; s < sets; s++)
                TRY(add_groups(cx, &p, t, babies + (size_t)s * set, sums + (size_t)s * ct, work,
                               level));
            p.started = 1;
            p.n = 0;
        }
        end_group(cx, &own, cache);
    }
    if (!p.started) k->zero(k, kv(sums, ext.n), ext.n, 2 * sets);
    for (int s = 0; s < sets; s++) {
        TRY(ckks_ct_make(&r, cx, 2, level - 1));
        r.boot = boot;
        cx->count.rescales++;
        TRY(ckks_rebase(cx, r.c, r.rows, &dst, sums + (size_t)s * ct, ext.n, &ext, 1, 2));
        ckks_ct_move(&out[s * t->outputs + o], &r);
    }
out:
    free(pointers);
    end_group(cx, &own, cache);
    ckks_ct_free(&r);
    return st;
}

/* The rotations of one input by the baby steps, times P, over Q P. */
static int make_babies(struct ckks *cx, uint32_t *babies, const struct ckks_ct *in,
                       const struct ckks_linear *t, int level) {
    int st = THOR_OK, nd, n = 0, used = t->baby < t->count ? t->baby : t->count;
    int rows = ckks_with_special(cx->params, ckks_basis(cx->params, level)).n;
    struct ckks_ct x = {0};
    uint32_t *digits = NULL, g[255];
    struct kvec acc[255];
    TRY(ckks_adjust(&x, in, level));
    TRY(ckks_decompose(cx, &digits, &nd, ct_poly(&x, 1), level));
    for (int b = 0; b < used; b++) {
        uint32_t *to = babies + (size_t)(2 * b * rows) * ckks_n(cx);
        g[n] = ckks_galois(cx, t->stride * b);
        acc[n] = kv(to, rows);
        if (g[n] == 1)
            baby_zero(cx, to, &x);
        else
            n++;
    }
    const struct ckks_plus plus = {kv(x.c, 0), 1, 1};
    TRY(ckks_inner(cx, acc, digits, nd, g, n, level, &plus));
    cx->count.rotations += (uint64_t)n;
out:
    cx->k->release(cx->k, digits);
    ckks_ct_free(&x);
    return st;
}

static int run_short(struct ckks_ct *out, const struct ckks_ct *const in[],
                     const struct ckks_linear *t, int level,
                     const struct ckks_linear_cache *cache) {
    int st = THOR_OK;
    struct ckks_shortmap *own = NULL;
    if (!cache) TRY(ckks_shortmap_new(&own, in[0]->cx, t, level, 0));
    TRY(ckks_shortmap_run(out, in, t, cache ? cache->s : own, level));
out:
    ckks_shortmap_free(own);
    return st;
}

static int run_dense(struct ckks_ct *out, const struct ckks_ct *const in[],
                     const struct ckks_linear *t, int level,
                     const struct ckks_linear_cache *cache) {
    int st = THOR_OK, inputs = sets_of(t) * t->inputs, outputs = sets_of(t) * t->outputs;
    struct ckks *cx = in[0]->cx;
    struct kernels *k = cx->k;
    struct ckks_ct *res = calloc((size_t)outputs, sizeof *res);
    uint32_t *babies = NULL, *work = NULL;
    if (!res) return thor_fail(THOR_MEMORY, "no memory for a linear transform");
    int rows =
        2 *
        ckks_with_special(cx->params, ckks_basis(cx->params, level)).n; // of a ciphertext over Q P
    size_t input = (size_t)t->baby * (size_t)rows * ckks_n(cx);
    TRY(k->alloc(k, &babies, (size_t)(inputs * t->baby) * (size_t)rows));
    TRY(k->alloc(k, &work, (size_t)(together(t, cache) + 1 + sets_of(t)) * (size_t)rows));
    for (int i = 0; i < inputs; i++)
        TRY(make_babies(cx, babies + (size_t)i * input, in[i], t, level));
    for (int o = 0; o < t->outputs; o++)
        TRY(one_output(res, cx, t, o, babies, work, level, in[0]->boot, cache));
    for (int o = 0; o < outputs; o++) ckks_ct_move(&out[o], &res[o]);
out:
    k->release(k, babies);
    k->release(k, work);
    for (int o = 0; o < outputs; o++) ckks_ct_free(&res[o]);
    free(res);
    return st;
}

int ckks_linear_run(struct ckks_ct *out, const struct ckks_ct *const in[],
                    const struct ckks_linear *t, const struct ckks_linear_cache *cache) {
    int level = CKKS_LEVELS, is_short = ckks_is_short(in[0]->cx, t, in[0]->boot);
    for (int i = 0; i < sets_of(t) * t->inputs; i++)
        if (in[i]->level < level) level = in[i]->level;
    if ((!is_short && (t->inputs * t->baby > 255 || t->inputs > 255)) || level < !t->pending ||
        t->stride % (1 << t->log_run) ||
        (cache && (cache->level != level || is_short != (cache->s != NULL))))
        return thor_fail(THOR_INTERNAL,
                         "a linear transform at level %d with %d inputs of %d baby steps", level,
                         t->inputs, t->baby);
    return (is_short ? run_short : run_dense)(out, in, t, level, cache);
}

int ckks_linear_apply(struct ckks_ct *out, const struct ckks_ct *const in[],
                      const struct ckks_linear *t) {
    return ckks_linear_run(out, in, t, NULL);
}
