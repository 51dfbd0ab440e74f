#include "split/product.h"

#include <math.h>
#include <string.h>

struct blocks {
    const struct split_map_view *m;
    int columns, in, out;
    size_t down, right; /* from one row of the map that is computed to the next, and column */
    double factor;
};

/* The map less its zeros: row r, column c of W, or of W^T. */
static void view(struct blocks *b, const struct split_map_view *m, int columns) {
    *b = (struct blocks){.m = m,
                         .columns = columns,
                         .in = split_view_in(m),
                         .out = split_view_out(m),
                         .down = m->transposed ? 1 : (size_t)m->in,
                         .right = m->transposed ? (size_t)m->in : 1};
}

int split_map_exponent(int *log_u, const struct ckks *cx, const struct split_packing *p,
                       const struct split_map_view *m) {
    struct blocks b;
    double most = 0;
    view(&b, m, p->columns);
    for (int o = 0; o < b.out; o += b.columns) {
        double sum = 0;
        for (int r = o; r < b.out && r < o + b.columns; r++)
            for (int c = 0; c < b.in; c++) {
                const double v = m->w[(size_t)r * b.down + (size_t)c * b.right];
                sum += v * v;
            }
        if (!(sum < INFINITY)) return thor_fail(THOR_MODEL, "a map holds NaN or infinity");
        if (sum > most) most = sum;
    }
    const double limit = ckks_log_modulus(cx->params, 0, 0) - 2 - SPLIT_LOG_LENGTH -
                         log2(sqrt(2.0 / p->columns * most) + 0x1p-40);
    *log_u = (int)floor(limit < 40 ? limit : 40);
    return THOR_OK;
}

/* Diagonal m - C of block (o, i). */
static int diagonal(void *ctx, int o, int i, int m, double *re, double *im) {
    const struct blocks *b = ctx;
    const int C = b->columns, off = m - C, row0 = o * C, col0 = i * C + off;
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

static struct ckks_linear transform(struct blocks *b, const struct ckks *cx,
                                    const struct split_packing *p, const struct split_map_view *m,
                                    int log_u) {
    view(b, m, p->columns);
    b->factor = ldexp(1, log_u) / ckks_level_scale(cx->params, 0, 0);
    return (struct ckks_linear){.stride = 1,
                                .first = -p->columns,
                                .count = 2 * p->columns,
                                .baby = split_babies(p->columns),
                                .period = (size_t)p->columns,
                                .inputs = split_pieces(p, b->in),
                                .outputs = split_pieces(p, b->out),
                                .sets = p->sets,
                                .pending = 1,
                                .diag = diagonal,
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
    const size_t C = (size_t)p->columns, rows = (size_t)ckks_basis(cx->params, 0).n,
                 blocks = (size_t)split_pieces(p, split_view_in(m)) *
                          (size_t)split_pieces(p, split_view_out(m));
    return blocks * 4 * C * C * rows * sizeof(uint32_t);
}
