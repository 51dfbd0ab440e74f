#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/status.h"
#include "split/parts.h"

void split_softmax(double *row, int n) {
    double top = row[0], sum = 0;
    for (int j = 1; j < n; j++) top = fmax(top, row[j]);
    for (int j = 0; j < n; j++) sum += row[j] = exp(row[j] - top);
    for (int j = 0; j < n; j++) row[j] /= sum;
}

// where the columns of head a begin, and those of the k and v that it sees
static size_t at_head(const struct split_attention *t, int a) {
    return (size_t)a * (size_t)t->head;
}

static size_t at_group(const struct split_attention *t, int a) {
    return (size_t)(a * t->groups / t->heads) * (size_t)t->head;
}

static int seen(const struct split_attention *t, int row, int past, int keys) {
    return t->causal ? past + row + 1 : keys;
}

static void attend_head(double *out, double *p, const double *q, const double *k, const double *v,
                        int rows, int past, const struct split_attention *t) {
    const size_t d = (size_t)t->head, keys = (size_t)(past + rows);
    const double scale = 1 / sqrt(t->head);
    for (int i = 0; i < rows; i++, p += keys, out += (size_t)t->heads * d, q += t->stride) {
        const int n = seen(t, i, past, past + rows);
        for (int j = 0; j < n; j++) p[j] = scale * split_dot(q, k + (size_t)j * t->stride, d);
        split_softmax(p, n);
        memset(p + n, 0, (keys - (size_t)n) * sizeof *p);
        memset(out, 0, d * sizeof *out);
        for (int j = 0; j < n; j++) split_axpy(out, p[j], v + (size_t)j * t->stride, d);
    }
}

void split_attend(double *out, double *p, const double *q, const double *k, const double *v,
                  int rows, int past, const struct split_attention *t) {
    const size_t each = (size_t)rows * (size_t)(past + rows);
#pragma omp parallel for schedule(static)
    for (int a = 0; a < t->heads; a++)
        attend_head(out + at_head(t, a), p + (size_t)a * each, q + at_head(t, a),
                    k + at_group(t, a), v + at_group(t, a), rows, past, t);
}

/* dp_ij = dout_i v_j;   ds_ij = p_ij (dp_ij - sum_k p_ik dp_ik) / sqrt(head)
 * dq_i = sum_j ds_ij k_j;   dk_j += ds_ij q_i;   dv_j += p_ij dout_i;   ds: rows of scratch */
static void back_head(double *dq, double *dk, double *dv, double *ds, const double *dout,
                      const double *p, const double *q, const double *k, const double *v, int rows,
                      const struct split_attention *t) {
    const size_t d = (size_t)t->head, step = t->stride;
    const double scale = 1 / sqrt(t->head);
    for (int i = 0; i < rows; i++, p += rows, dout += (size_t)t->heads * d, q += step, dq += step) {
        const int n = seen(t, i, 0, rows);
        for (int j = 0; j < n; j++) ds[j] = split_dot(dout, v + (size_t)j * step, d);
        const double sum = split_dot(ds, p, (size_t)n);
        memset(dq, 0, d * sizeof *dq);
        for (int j = 0; j < n; j++) {
            const double s = scale * p[j] * (ds[j] - sum);
            split_axpy(dq, s, k + (size_t)j * step, d);
            split_axpy(dk + (size_t)j * step, s, q, d);
            split_axpy(dv + (size_t)j * step, p[j], dout, d);
        }
    }
}

int split_attend_backward(double *dq, double *dk, double *dv, const double *dout, const double *p,
                          const double *q, const double *k, const double *v, int rows,
                          const struct split_attention *t) {
    const size_t n = (size_t)rows, wide = (size_t)t->groups * (size_t)t->head * sizeof *dk;
    double *ds = malloc((size_t)t->groups * n * sizeof *ds);
    if (!ds) return thor_fail(THOR_MEMORY, "no memory for attention over %d tokens", rows);
    for (size_t i = 0; i < n; i++) {
        memset(dk + i * t->stride, 0, wide);
        memset(dv + i * t->stride, 0, wide);
    }
    // the heads of a group add to the same dk and dv: they are one thread's, in their order
#pragma omp parallel for schedule(static)
    for (int b = 0; b < t->groups; b++)
        for (int a = b * t->heads / t->groups; a < (b + 1) * t->heads / t->groups; a++)
            back_head(dq + at_head(t, a), dk + at_group(t, a), dv + at_group(t, a),
                      ds + (size_t)b * n, dout + at_head(t, a), p + (size_t)a * n * n,
                      q + at_head(t, a), k + at_group(t, a), v + at_group(t, a), rows, t);
    free(ds);
    return THOR_OK;
}
