#include "split/product.h"

#include <math.h>
#include <string.h>

struct blocks {
    const struct split_map_view *m;
    const struct split_packing *p;
    int in, out;
    size_t down, right; /* from one row of the map that is computed to the next, and column */
    double factor;
};

/* The map less its zeros: row r, column c of W, or of W^T. */
static void view(struct blocks *b, const struct split_map_view *m, const struct split_packing *p) {
    *b = (struct blocks){.m = m,
                         .p = p,
                         .in = split_view_in(m),
                         .out = split_view_out(m),
                         .down = m->transposed ? 1 : (size_t)m->in,
                         .right = m->transposed ? (size_t)m->in : 1};
}

int split_map_exponent(int *log_u, const struct ckks *cx, const struct split_packing *p,
                       const struct split_map_view *m) {
    struct blocks b;
    double most = 0;
    view(&b, m, p);
    for (int o = 0; o < b.out; o += p->out) {
        double sum = 0;
        for (int r = o; r < b.out && r < o + p->out; r++)
            for (int c = 0; c < b.in; c++) {
                const double v = m->w[(size_t)r * b.down + (size_t)c * b.right];
                sum += v * v;
            }
        if (!(sum < INFINITY)) return thor_fail(THOR_MODEL, "a map holds NaN or infinity");
        if (sum > most) most = sum;
    }
    const double each = p->form == SPLIT_ROWS ? 2.0 / p->columns : 1.0 / p->period,
                 limit = ckks_log_modulus(cx->params, 0, 0) - 2 - SPLIT_LOG_LENGTH -
                         log2(sqrt(each * most) + 0x1p-40);
    *log_u = (int)floor(limit < 40 ? limit : 40);
    return THOR_OK;
}

/* Diagonal m - C of block (o, i). */
static int diagonal(void *ctx, int o, int i, int m, double *re, double *im) {
    const struct blocks *b = ctx;
    const int C = b->p->columns, off = m - C, row0 = o * C, col0 = i * C + off;
    int from = off < 0 ? -off : 0, to = off < 0 ? C : C - off;
    (void)im;
    if (to > b->out - row0) to = b->out - row0;
    if (to > b->in - col0) to = b->in - col0;
    if (from >= to) return 0;
    const float *w = b->m->w + (size_t)row0 * b->down + (size_t)(i * C) * b->right;
    memset(re, 0, (size_t)C * sizeof *re);
    for (int c = from; c < to; c++)
        re[c] = w[(size_t)c * b->down + (size_t)(c + off) * b->right] * b->factor;
    return 1;
}

/* The map's part for one lane: of rows row0 + s % rows and columns col0 + (s + m) % columns. */
static int lane_of(double *z, const struct blocks *b, int row0, int rows, int col0, int columns,
                   int m, double factor) {
    int some = 0;
    for (int s = 0; s < b->p->period; s++) {
        const int r = row0 + s % rows, c = col0 + (s + m) % columns;
        const int there = r < b->out && c < b->in;
        z[s] = there ? b->m->w[(size_t)r * b->down + (size_t)c * b->right] * factor : 0;
        some |= there;
    }
    return some;
}

/* Diagonal m of a single row's block. */
static int spread(void *ctx, int o, int i, int m, double *re, double *im) {
    const struct blocks *b = ctx;
    const int C = b->p->columns, p = b->p->period, row = o * 2 * p;
    const int real = lane_of(re, b, row, p, i * C, C, m, b->factor);
    return lane_of(im, b, row + p, p, i * C, C, m, b->factor) | real;
}

static int gathered(void *ctx, int o, int i, int m, double *re, double *im) {
    const struct blocks *b = ctx;
    const int C = b->p->columns, p = b->p->period, column = i * 2 * p;
    const int real = lane_of(re, b, o * C, C, column, p, m, b->factor);
    return lane_of(im, b, o * C, C, column + p, p, m, -b->factor) | real;
}

static struct ckks_linear transform(struct blocks *b, const struct ckks *cx,
                                    const struct split_packing *p, const struct split_map_view *m,
                                    int log_u) {
    static int (*const diagonals[])(void *, int, int, int, double *, double *) = {
        [SPLIT_ROWS] = diagonal, [SPLIT_SPREAD] = spread, [SPLIT_GATHERED] = gathered};
    const struct split_steps z = split_steps_of(p->form, p->columns);
    view(b, m, p);
    b->factor = ldexp(1, log_u) / ckks_level_scale(cx->params, 0, 0);
    return (struct ckks_linear){.stride = 1,
                                .first = z.first,
                                .count = z.count,
                                .baby = z.baby,
                                .period = (size_t)p->period,
                                .inputs = split_pieces_in(p, b->in),
                                .outputs = split_pieces_out(p, b->out),
                                .sets = p->sets,
                                .pending = 1,
                                .diag = diagonals[p->form],
                                .ctx = b};
}

int split_product(struct ckks_ct *y, const struct ckks_ct *const *x, const struct split_packing *p,
                  const struct split_map_view *m, int log_u, const struct ckks_linear_cache *kept) {
    struct blocks b;
    const struct ckks_linear t = transform(&b, x[0]->cx, p, m, log_u);
    return ckks_linear_run(y, x, &t, kept);
}

int split_product_keep(struct ckks_linear_cache **kept, struct ckks *cx,
                       const struct split_packing *p, const struct split_map_view *m, int log_u) {
    struct blocks b;
    const struct ckks_linear t = transform(&b, cx, p, m, log_u);
    return ckks_linear_prepare(kept, cx, &t, 0, 0);
}

size_t split_product_bytes(const struct ckks *cx, const struct split_packing *p,
                           const struct split_map_view *m) {
    const size_t words = 2 * (size_t)p->period, rows = (size_t)ckks_basis(cx->params, 0).n,
                 diagonals = (size_t)split_steps_of(p->form, p->columns).count,
                 blocks = (size_t)split_pieces_in(p, split_view_in(m)) *
                          (size_t)split_pieces_out(p, split_view_out(m));
    return blocks * diagonals * words * rows * sizeof(uint32_t);
}
