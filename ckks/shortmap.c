/* Linear transforms with short plaintexts: baby and giant steps around a blocked matrix product.
 *
 * A plaintext of period C has 2C words a row and each stands for N / 2C places, so that for one row
 * and one class of places the inner sums are a product of two matrices of residues, weights of
 * (output, giant) x (input, baby) and
 * babies: the table's linear().  Babies of all inputs are hoisted and divided by P; a giant's sum
 * is over Q, its second part is switched into an accumulator over Q P, and one conversion an output
 * divides by P and rescales (in a pending transform divides by P alone).
 * Cost: babies key products and divisions an input, a decomposition and a key product a giant, one
 * level.
 *
 * Memory beyond the babies: tables->work_bytes (1 GiB), three quarters for the giants' sums and a
 * quarter for the weights.  As many giants at a time as fit, and for these the weights of as many
 * rows as fit.  The diagonals are read once and kept in slots (16 bytes a slot); those that are
 * zero cost nothing where a whole giant step of an output, or a baby of an input for all outputs,
 * has no other.  Those of a pending transform are read as they are used, for its weights may be a
 * model's largest, and none is left out; ckks_linear_prepare() keeps them as residues, 8 bytes a
 * slot and prime, and then nothing is read or encoded when it runs. */
#include "ckks/shortmap.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { SHORT_REP = 4 }; /* log2 of the places a word stands for from which this route is taken */
enum { READ_BYTES = 64 << 20 };

struct ckks_shortmap {
    /* giant steps of outputs; babies of inputs; non-zero diagonals */
    int members, terms, diagonals;
    struct place {
        int outer, step;
    } * member, *term; /* (output, giant) by output; (input, baby) */
    size_t words;      /* numbers of a diagonal */
    double *z;         /* members x terms of them; NULL in a dry run and where they are not kept */
    /* of a pending transform that is kept: members x terms x rows x 2 period, as linear() takes
     * them */
    struct kernels *k;
    uint32_t *weights;
    size_t weight_bytes;
};

struct run { /* one transform under way */
    struct ckks *cx;
    const struct ckks_linear *t;
    const struct ckks_shortmap *m;
    int level, sets, chunk, block; /* giants and rows of weights at a time */
    struct kbasis q, ext;
    size_t n, one; /* words of a row; rows of a member: 2 sets polynomials over q */
    uint32_t *babies, *sums, *acc, *work, *weights; /* acc: 2 polynomials over ext a set */
    /* of a pending transform: the diagonals of a chunk, and for reading them */
    double *z, *tmp;
    uint8_t *used;
};

static int giants_of(const struct ckks_linear *t) {
    return (t->count + t->baby - 1) / t->baby;
}

static int babies_of(const struct ckks_linear *t) {
    return t->baby < t->count ? t->baby : t->count;
}

int ckks_is_short(const struct ckks *cx, const struct ckks_linear *t, int boot) {
    return t->pending || (!boot && cx->params->log_n - ckks_log2(2 * t->period) >= SHORT_REP);
}

/* ---- the diagonals ---- */

/* Diagonals of n members from `from` on, and all terms, into z; used: which are not zero. */
static int read_members(double *z, struct ckks *cx, const struct ckks_linear *t,
                        const struct ckks_shortmap *m, int from, int n, double scale, double *tmp,
                        uint8_t *used) {
    int st = THOR_OK, all = n * m->terms;
#pragma omp parallel for schedule(dynamic) num_threads(cx->k->threads)
    for (int j = 0; j < all; j++) {
        struct place g = m->member[from + j / m->terms], b = m->term[j % m->terms];
        int first = g.step * t->baby, d = first + b.step, bad = THOR_OK;
        double *to = z + (size_t)j * m->words;
        long shift = (long)t->stride * (t->first + first);
        used[j] = d < t->count && ckks_rotated_diag(t, g.outer, b.outer, d, shift, to,
                                                    tmp + (size_t)omp_get_thread_num() * m->words);
        if (used[j])
            bad = ckks_check_slots(to, m->words, scale);
        else
            memset(to, 0, m->words * sizeof *to);
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

/* Is some of `n` flags, `step` apart, set? */
static int any(const uint8_t *used, int n, int step) {
    for (int i = 0; i < n; i++)
        if (used[(size_t)i * (size_t)step]) return 1;
    return 0;
}

/* Leave out members and terms without a diagonal; every output keeps one, and so do the terms. */
static int drop_empty(struct ckks_shortmap *m, const uint8_t *used) {
    int terms = m->terms, members = m->members, kept = 0,
        *keep = calloc((size_t)terms, sizeof *keep);
    if (!keep) return thor_fail(THOR_MEMORY, "no memory for a linear transform");
    for (int k = 0; k < terms; k++)
        if (any(used + k, members, terms)) m->term[kept] = m->term[k], keep[kept++] = k;
    if (!kept) m->term[kept] = m->term[0], keep[kept++] = 0;
    m->terms = kept;
    m->members = 0;
    for (int j = 0; j < members; j++) {
        struct place p = m->member[j];
        int last = j + 1 == members || m->member[j + 1].outer != p.outer;
        int has = m->members && m->member[m->members - 1].outer == p.outer;
        if (!any(used + (size_t)j * (size_t)terms, terms, 1) && !(last && !has)) continue;
        double *to = m->z + (size_t)m->members * (size_t)kept * m->words,
               *from = m->z + (size_t)j * (size_t)terms * m->words;
        for (int k = 0; k < kept; k++)
            memmove(to + (size_t)k * m->words, from + (size_t)keep[k] * m->words,
                    m->words * sizeof *to);
        m->member[m->members++] = p;
    }
    free(keep);
    return THOR_OK;
}

static int read_diagonals(struct ckks_shortmap *m, struct ckks *cx, const struct ckks_linear *t,
                          int level) {
    int st = THOR_OK;
    size_t all = (size_t)m->members * (size_t)m->terms;
    uint8_t *used = malloc(all);
    double *tmp = malloc((size_t)cx->k->threads * m->words * sizeof *tmp);
    m->z = malloc(all * m->words * sizeof *m->z);
    if (!used || !tmp || !m->z) {
        st = thor_fail(THOR_MEMORY, "no memory for a linear transform");
        goto out;
    }
    TRY(read_members(m->z, cx, t, m, 0, m->members, ckks_level_scale(cx->params, level, 0), tmp,
                     used));
    m->diagonals = 0;
    for (size_t j = 0; j < all; j++) m->diagonals += used[j];
    TRY(drop_empty(m, used));
out:
    free(used);
    free(tmp);
    return st;
}

/* As many as `each` bytes go into `room`, 1 to `all`, in parts of about one size. */
static int portion(size_t room, size_t each, int all) {
    size_t fit = room / each, parts;
    if (!fit) fit = 1;
    if (fit > (size_t)all) fit = (size_t)all;
    parts = ((size_t)all + fit - 1) / fit;
    return (int)(((size_t)all + parts - 1) / parts);
}

/* All weights as residues.  Diagonals are read for as many members as fit into READ_BYTES. */
static int keep_weights(struct ckks_shortmap *m, struct ckks *cx, const struct ckks_linear *t,
                        int level) {
    int st = THOR_OK, log = ckks_log2(2 * t->period);
    struct kernels *k = cx->k;
    const struct kbasis q = ckks_basis(cx->params, level);
    const double scale = ckks_level_scale(cx->params, level, 0);
    const size_t n = ckks_n(cx), each = (size_t)m->terms * (size_t)q.n << log,
                 all = (size_t)m->members * each, slots = (size_t)m->terms * m->words;
    const int chunk = portion(READ_BYTES, slots * sizeof *m->z, m->members);
    double *z = malloc((size_t)chunk * slots * sizeof *z),
           *tmp = malloc((size_t)k->threads * m->words * sizeof *tmp);
    uint8_t *used = malloc((size_t)chunk * (size_t)m->terms);
    m->k = k;
    m->weight_bytes = all * sizeof *m->weights;
    if (!z || !tmp || !used) TRY(thor_fail(THOR_MEMORY, "no memory for a linear transform"));
    TRY(k->alloc(k, &m->weights, (all + n - 1) / n));
    for (int j = 0; j < m->members; j += chunk) {
        const int some = m->members - j < chunk ? m->members - j : chunk;
        const struct kvec to = kv(m->weights + (size_t)j * each, q.n);
        TRY(read_members(z, cx, t, m, j, some, scale, tmp, used));
        k->encode(k, to, z, ckks_log2(t->period), t->log_run, scale, &q, some * m->terms);
        k->ntt_fwd(k, to, &q, some * m->terms, log);
    }
out:
    free(z);
    free(tmp);
    free(used);
    return st;
}

/* All pairs of outer < outers and step < steps. */
static struct place *places(int outers, int steps) {
    struct place *p = malloc((size_t)(outers * steps) * sizeof *p);
    for (int j = 0; p && j < outers * steps; j++) p[j] = (struct place){j / steps, j % steps};
    return p;
}

int ckks_shortmap_new(struct ckks_shortmap **out, struct ckks *cx, const struct ckks_linear *t,
                      int level, int keep) {
    int st = THOR_OK;
    struct ckks_shortmap *m = calloc(1, sizeof *m);
    if (!m) return thor_fail(THOR_MEMORY, "no memory for a linear transform");
    m->members = t->outputs * giants_of(t);
    m->terms = t->inputs * babies_of(t);
    m->diagonals = t->outputs * t->inputs * t->count;
    m->words = 2 * t->period >> t->log_run;
    m->member = places(t->outputs, giants_of(t));
    m->term = places(t->inputs, babies_of(t));
    if (!m->member || !m->term) {
        st = thor_fail(THOR_MEMORY, "no memory for a linear transform");
        goto out;
    }
    if (!ckks_is_dry(cx) && !t->pending) TRY(read_diagonals(m, cx, t, level));
    if (!ckks_is_dry(cx) && t->pending && keep) TRY(keep_weights(m, cx, t, level));
    *out = m;
    m = NULL;
out:
    ckks_shortmap_free(m);
    return st;
}

void ckks_shortmap_free(struct ckks_shortmap *m) {
    if (!m) return;
    if (m->weights) m->k->release(m->k, m->weights);
    free(m->member);
    free(m->term);
    free(m->z);
    free(m);
}

size_t ckks_shortmap_bytes(const struct ckks_shortmap *m) {
    return m->weights ? m->weight_bytes
                      : (size_t)m->members * (size_t)m->terms * m->words * sizeof *m->z;
}

/* ---- baby steps ---- */

/* The babies of input i of set s: member k of `babies` holds 2 polynomials of every set. */
static int make_babies(const struct run *r, const struct ckks_ct *in, int i, int s) {
    int st = THOR_OK, nd, n = 0;
    struct ckks *cx = r->cx;
    struct ckks_ct x = {0};
    uint32_t *digits = NULL, g[CKKS_HOISTED];
    struct kvec out[CKKS_HOISTED];
    TRY(ckks_adjust(&x, in, r->level));
    TRY(ckks_decompose(cx, &digits, &nd, ct_poly(&x, 1), r->level));
    for (int k = 0; k < r->m->terms; k++) {
        struct place p = r->m->term[k];
        uint32_t *to = r->babies + ((size_t)k * r->one + (size_t)(2 * s * r->q.n)) * r->n;
        if (p.outer != i) continue;
        g[n] = ckks_galois(cx, r->t->stride * p.step);
        out[n] = kv(to, r->q.n);
        if (g[n] == 1)
            cx->k->copy(cx->k, out[n], kv(x.c, x.rows), r->q.n, 2);
        else if (++n == CKKS_HOISTED) {
            TRY(ckks_hoisted(cx, out, &x, digits, nd, g, n, r->work));
            n = 0;
        }
    }
    if (n) TRY(ckks_hoisted(cx, out, &x, digits, nd, g, n, r->work));
out:
    cx->k->release(cx->k, digits);
    ckks_ct_free(&x);
    return st;
}

/* ---- inner sums ---- */

/* The sums of members j .. j + n - 1, block by block of rows. */
static int inner_sums(const struct run *r, int j, int n) {
    int st = THOR_OK, log_rep = r->cx->params->log_n - ckks_log2(2 * r->t->period);
    const struct ckks_shortmap *m = r->m;
    struct kernels *k = r->cx->k;
    const double *z = m->z ? m->z + (size_t)j * (size_t)m->terms * m->words : r->z;
    double scale = ckks_level_scale(r->cx->params, r->level, 0);
    const size_t kept = (size_t)j * (size_t)m->terms * (size_t)r->q.n * 2 * r->t->period;
    if (r->z) TRY(read_members(r->z, r->cx, r->t, m, j, n, scale, r->tmp, r->used));
    for (int row = 0; row < r->q.n; row += r->block) {
        struct kbasis b = {.n = r->q.n - row < r->block ? r->q.n - row : r->block};
        memcpy(b.prime, r->q.prime + row, (size_t)b.n);
        size_t at = (size_t)row * r->n, pitch = (size_t)r->q.n;
        struct klinear l = {.out = {r->sums + at, r->one, pitch},
                            .a = {r->babies + at, r->one, pitch},
                            .outputs = n,
                            .terms = m->terms,
                            .w = r->weights,
                            .w_pitch = (size_t)b.n,
                            .log_rep = log_rep};
        if (m->weights) {
            l.w = m->weights + kept + (size_t)row * 2 * r->t->period;
            l.w_pitch = (size_t)r->q.n;
            TRY(k->linear(k, &l, &b, 2 * r->sets));
            continue;
        }
        k->encode(k, kv(r->weights, b.n), z, ckks_log2(r->t->period), r->t->log_run, scale, &b,
                  n * m->terms);
        k->ntt_fwd(k, kv(r->weights, b.n), &b, n * m->terms, ckks_log2(2 * r->t->period));
        TRY(k->linear(k, &l, &b, 2 * r->sets));
    }
out:
    return st;
}

/* ---- giant steps ---- */

/* acc (2 polynomials over Q P) += P rot(sum, turn), sum over Q. */
static int giant_step(const struct run *r, uint32_t *acc, uint32_t *sum, int turn) {
    int st = THOR_OK;
    struct ckks *cx = r->cx;
    struct kernels *k = cx->k;
    const struct ckks_plus plus = {kv(sum, 0), 1, 1};
    const uint32_t *const second = sum + (size_t)r->q.n * r->n;
    uint32_t one[KERN_MAX_LIMBS], P[KERN_MAX_LIMBS], g = ckks_galois(cx, turn);
    if (g == 1) {
        for (int i = 0; i < r->q.n; i++) one[i] = 1, P[i] = cx->tables->special[r->q.prime[i]];
        k->lincomb(k, kv(acc, r->ext.n), kv(acc, r->ext.n), one, kv(sum, r->q.n), P, &r->q, 2);
        return THOR_OK;
    }
    TRY(ckks_switch(cx, &acc, &second, 1, g, g, r->level, 1, &plus));
    cx->count.rotations++;
out:
    return st;
}

/* Output o of every set from its accumulators. */
static int end_output(const struct run *r, struct ckks_ct *out, int o) {
    int st = THOR_OK;
    int level = r->level - !r->t->pending;
    struct kbasis dst = ckks_basis(r->cx->params, level);
    size_t acc = (size_t)(2 * r->ext.n) * r->n;
    for (int s = 0; s < r->sets; s++) {
        struct ckks_ct *x = &out[s * r->t->outputs + o];
        TRY(ckks_ct_make(x, r->cx, 2, level));
        x->pending = r->t->pending;
        r->cx->count.rescales += !x->pending;
        TRY(ckks_rebase(r->cx, x->c, x->rows, &dst, r->acc + (size_t)s * acc, r->ext.n, &r->ext, 1,
                        2));
    }
out:
    return st;
}

/* Member j, whose inner sums are member `at` of sums. */
static int add_member(const struct run *r, struct ckks_ct *out, int j, int at) {
    int st = THOR_OK;
    const struct place *p = &r->m->member[j];
    uint32_t *sum = r->sums + (size_t)at * r->one * r->n;
    int turn = r->t->stride * (r->t->first + p->step * r->t->baby), set = 2 * r->q.n;
    if (!j || p[-1].outer != p->outer)
        r->cx->k->zero(r->cx->k, kv(r->acc, r->ext.n), r->ext.n, 2 * r->sets);
    for (int s = 0; s < r->sets; s++)
        TRY(giant_step(r, r->acc + (size_t)(2 * s * r->ext.n) * r->n,
                       sum + (size_t)(s * set) * r->n, turn));
    if (j + 1 == r->m->members || p[1].outer != p->outer) TRY(end_output(r, out, p->outer));
out:
    return st;
}

/* ---- all of it ---- */

/* Diagonals that are not kept: those of as many members as fit into READ_BYTES at a time. */
static int open_reading(struct run *r) {
    const struct ckks_shortmap *m = r->m;
    size_t member = (size_t)m->terms * m->words * sizeof *r->z;
    int most = portion(READ_BYTES, member, m->members);
    if (r->chunk > most) r->chunk = most;
    r->z = malloc((size_t)r->chunk * member);
    r->tmp = malloc((size_t)r->cx->k->threads * m->words * sizeof *r->tmp);
    r->used = malloc((size_t)r->chunk * (size_t)m->terms);
    return r->z && r->tmp && r->used ? THOR_OK
                                     : thor_fail(THOR_MEMORY, "no memory for a linear transform");
}

static int open_run(struct run *r) {
    int st = THOR_OK;
    struct kernels *k = r->cx->k;
    const struct ckks_shortmap *m = r->m;
    size_t bytes = r->cx->tables->work_bytes, word = sizeof *r->sums;
    r->chunk = portion(bytes / 4 * 3, r->one * r->n * word, m->members);
    if (r->t->pending && !m->weights && !ckks_is_dry(r->cx)) TRY(open_reading(r));
    /* words of one row of all */
    size_t weights = (size_t)r->chunk * (size_t)m->terms * 2 * r->t->period;
    r->block = portion(bytes / 4, weights * word, r->q.n);
    TRY(k->alloc(k, &r->babies, (size_t)m->terms * r->one));
    TRY(k->alloc(k, &r->sums, (size_t)r->chunk * r->one));
    TRY(k->alloc(k, &r->acc, (size_t)(2 * r->ext.n * r->sets)));
    TRY(k->alloc(k, &r->work, (size_t)(2 * r->ext.n * CKKS_HOISTED)));
    if (!m->weights) TRY(k->alloc(k, &r->weights, (weights * (size_t)r->block + r->n - 1) / r->n));
out:
    return st;
}

static void close_run(struct run *r) {
    struct kernels *k = r->cx->k;
    k->release(k, r->babies);
    k->release(k, r->sums);
    k->release(k, r->acc);
    k->release(k, r->work);
    k->release(k, r->weights);
    free(r->z);
    free(r->tmp);
    free(r->used);
}

int ckks_shortmap_run(struct ckks_ct *out, const struct ckks_ct *const in[],
                      const struct ckks_linear *t, const struct ckks_shortmap *m, int level) {
    int st = THOR_OK, sets = t->sets > 1 ? t->sets : 1;
    struct ckks *cx = in[0]->cx;
    struct run r = {.cx = cx,
                    .t = t,
                    .m = m,
                    .level = level,
                    .sets = sets,
                    .q = ckks_basis(cx->params, level),
                    .n = ckks_n(cx)};
    r.ext = ckks_with_special(r.cx->params, r.q);
    r.one = (size_t)(2 * r.q.n * sets);
    struct ckks_ct *res = calloc((size_t)(sets * t->outputs), sizeof *res);
    if (!res) return thor_fail(THOR_MEMORY, "no memory for a linear transform");
    TRY(open_run(&r));
    for (int i = 0; i < sets * t->inputs; i++)
        TRY(make_babies(&r, in[i], i % t->inputs, i / t->inputs));
    for (int j = 0; j < m->members; j += r.chunk) {
        int n = m->members - j < r.chunk ? m->members - j : r.chunk;
        TRY(inner_sums(&r, j, n));
        for (int i = 0; i < n; i++) TRY(add_member(&r, res, j + i, i));
    }
    cx->count.encodes += (uint64_t)m->diagonals;
    cx->count.ptct += (uint64_t)m->diagonals * (uint64_t)sets;
    for (int o = 0; o < sets * t->outputs; o++) ckks_ct_move(&out[o], &res[o]);
out:
    close_run(&r);
    for (int o = 0; o < sets * t->outputs; o++) ckks_ct_free(&res[o]);
    free(res);
    return st;
}
