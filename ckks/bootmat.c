/* Stages of the embedding as sparse matrices.
 *
 * slots = F_log .. F_2 F_1 (bit-reversed u), u_k = c_k + i c_(k+p) (kernels/embed.c).  Stage with
 * half length h, w = exp(2 pi i (5^j mod 8h)/(8h)):
 *   upper half of a block: x[s] + w x[s+h];  lower half: x[s-h] - w x[s].
 * SlotsToCoeffs applies F, CoeffsToSlots its inverse, both without the bit reversal: everything
 * between is slot-wise.  A stage has the diagonals 0, h, -h; five stages from stride h merge into
 * at most 63 diagonals at multiples of h, 32 when the last of them spans the whole period.  Zero
 * levels beyond one a band. */
#include "ckks/bootmat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct stage { /* new[s] = d0[s] x[s] + dp[s] x[s+h] + dm[s] x[s-h] */
    double re[3], im[3];
};

static struct stage stage_at(const struct ckks *cx, size_t h, size_t s, int inverse) {
    size_t j = s % h;
    int up = s % (2 * h) < h;
    double wr = cx->k->root_re[h + j], wi = cx->k->root_im[h + j];
    struct stage r = {{0, 0, 0}, {0, 0, 0}};
    if (!inverse) {
        r.re[0] = up ? 1 : -wr, r.im[0] = up ? 0 : -wi;
        r.re[1] = up ? wr : 0, r.im[1] = up ? wi : 0;
        r.re[2] = up ? 0 : 1;
    } else { /* 1/w is the conjugate */
        r.re[0] = up ? 0.5 : -0.5 * wr, r.im[0] = up ? 0 : 0.5 * wi;
        r.re[1] = up ? 0.5 : 0;
        r.re[2] = up ? 0 : 0.5 * wr, r.im[2] = up ? 0 : -0.5 * wi;
    }
    return r;
}

/* A matrix M as diagonals: offsets first .. first + count - 1, modulo `wrap` where first is 0. */
struct merge {
    const struct ckks *cx;
    double *re, *im;   /* (stage h) after M */
    double *mre, *mim; /* M */
    int count, first, shift, wrap, inverse;
    size_t p, h;
    uint8_t live[64]; /* diagonals of M that may have values */
};

static int moved(const struct merge *g, int m, int sign) {
    const int to = m + sign * g->shift;
    return g->first ? to : (to + g->wrap) % g->wrap;
}

enum { SPAN = 256 };

// the slots from `from` on, diagonal by diagonal: they lie side by side in memory
static void compose_span(const struct merge *g, size_t from, size_t n) {
    static const int sign[3] = {0, 1, -1};
    struct stage a[SPAN];
    for (size_t i = 0; i < n; i++) a[i] = stage_at(g->cx, g->h, from + i, g->inverse);
    for (int part = 0; part < 3; part++) {
        const size_t turn = from + g->p + (size_t)sign[part] * g->h;
        for (int m = 0; m < g->count; m++) {
            if (!g->live[m]) continue;
            const double *x = g->mre + (size_t)m * g->p, *y = g->mim + (size_t)m * g->p;
            const size_t to = (size_t)moved(g, m, sign[part]) * g->p + from;
            for (size_t i = 0; i < n; i++) {
                const size_t at = (turn + i) & (g->p - 1);
                const double u = x[at], v = y[at];
                g->re[to + i] += a[i].re[part] * u - a[i].im[part] * v;
                g->im[to + i] += a[i].re[part] * v + a[i].im[part] * u;
            }
        }
    }
}

/* M = (stage h) after M */
static void compose(struct merge *g, size_t h, size_t unit) {
    uint8_t live[64] = {0};
    const size_t cells = (size_t)g->count * g->p;
    g->h = h;
    g->shift = (int)(h / unit);
    memset(g->re, 0, cells * sizeof *g->re);
    memset(g->im, 0, cells * sizeof *g->im);
#pragma omp parallel for schedule(static) num_threads(g->cx->k->threads)
    for (size_t s = 0; s < g->p; s += SPAN) compose_span(g, s, g->p - s < SPAN ? g->p - s : SPAN);
    for (int m = 0; m < g->count; m++)
        if (g->live[m]) live[m] = live[moved(g, m, 1)] = live[moved(g, m, -1)] = 1;
    memcpy(g->live, live, sizeof live);
    memcpy(g->mre, g->re, cells * sizeof *g->re);
    memcpy(g->mim, g->im, cells * sizeof *g->im);
}

static int band_diag(void *ctx, int o, int i, int m, double *re, double *im) {
    const struct ckks_band *b = ctx;
    (void)o;
    (void)i;
    if (b->zero[m]) return 0;
    memcpy(re, b->re + (size_t)m * b->period, b->period * sizeof *re);
    memcpy(im, b->im + (size_t)m * b->period, b->period * sizeof *im);
    return 1;
}

static void double_period(double *re, double *im, size_t p) { /* second half: times -i */
    for (size_t s = 0; s < p; s++) {
        re[p + s] = im[s];
        im[p + s] = -re[s];
    }
}

int ckks_boot_levels(int log_slots) {
    return (log_slots + CKKS_BAND - 1) / CKKS_BAND;
}

int ckks_band_width(int log_slots) {
    int bands = ckks_boot_levels(log_slots);
    return (log_slots + bands - 1) / bands;
}

int ckks_band_make(struct ckks_band *b, const struct ckks *cx, int log_slots, int index,
                   int inverse, double factor, int doubled) {
    int done = ckks_band_width(log_slots) * index, stages = log_slots - done;
    size_t p = (size_t)1 << log_slots, unit = (size_t)1 << done;
    if (stages > ckks_band_width(log_slots)) stages = ckks_band_width(log_slots);
    int whole = done + stages == log_slots; /* offsets wrap around the period */
    memset(b, 0, sizeof *b);
    b->first = whole ? 0 : -(1 << stages);
    b->count = whole ? 1 << stages : 2 << stages;
    b->period = doubled ? 2 * p : p;
    size_t cells = (size_t)b->count * b->period;
    b->re = calloc(cells, sizeof *b->re);
    b->im = calloc(cells, sizeof *b->im);
    double *re = malloc(cells * sizeof *re), *im = malloc(cells * sizeof *im);
    if (!b->re || !b->im || !re || !im) {
        free(re);
        free(im);
        ckks_band_free(b);
        return thor_fail(THOR_MEMORY, "no memory for the bootstrapping matrices");
    }
    struct merge g = {cx,      re, im, b->re, b->im, b->count, b->first, 0, (int)(p / unit),
                      inverse, p,  0,  {0}};
    for (size_t s = 0; s < p; s++) b->re[(size_t)(-b->first) * p + s] = factor;
    g.live[-b->first] = 1;
    for (int k = 0; k < stages; k++) compose(&g, unit << (inverse ? stages - 1 - k : k), unit);
    if (doubled) {
        for (int m = b->count - 1; m >= 0; m--) {
            memmove(b->re + (size_t)m * 2 * p, b->re + (size_t)m * p, p * sizeof *re);
            memmove(b->im + (size_t)m * 2 * p, b->im + (size_t)m * p, p * sizeof *im);
            double_period(b->re + (size_t)m * 2 * p, b->im + (size_t)m * 2 * p, p);
        }
    }
    for (int m = 0; m < b->count; m++) {
        b->zero[m] = 1;
        for (size_t s = 0; s < b->period && b->zero[m]; s++)
            if (fabs(b->re[(size_t)m * b->period + s]) > 1e-14 * factor ||
                fabs(b->im[(size_t)m * b->period + s]) > 1e-14 * factor)
                b->zero[m] = 0;
    }
    free(re);
    free(im);
    /* a giant step is worth 5 to 12 babies; whole bands have few giants, keys cost memory */
    int most = whole ? b->count : b->count / 2, baby = whole ? 8 : 16;
    if (baby > most) baby = most;
    b->t = (struct ckks_linear){.stride = (int)unit,
                                .first = b->first,
                                .count = b->count,
                                .baby = baby,
                                .period = b->period,
                                .inputs = 1,
                                .outputs = 1,
                                .diag = band_diag,
                                .ctx = b};
    return THOR_OK;
}

void ckks_band_free(struct ckks_band *b) {
    free(b->re);
    free(b->im);
    b->re = b->im = NULL;
}
