#include "slots.h"

#include <math.h>
#include <string.h>

static uint64_t state;

void slots_random(double *x, int n)
{
    for (int i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        x[i] = (double)(state >> 11) * 0x1p-52 - 1;
    }
}

void slots_random_map(struct slots_map *p, int in, int out)
{
    p->m = (struct bert_map){in, out, p->w, p->b};
    slots_random(p->w, in * out);
    slots_random(p->b, out);
}

void slots_times(double *y, const struct slots_map *p, const double *x, int rows)
{
    for (int t = 0; t < rows; t++)
        for (int o = 0; o < p->m.out; o++) {
            y[t * p->m.out + o] = 0;
            for (int i = 0; i < p->m.in; i++)
                y[t * p->m.out + o] += p->w[o * p->m.in + i] * x[t * p->m.in + i];
        }
}

struct slots_vec slots_rot(const struct slots_vec *v, long r, int n)
{
    struct slots_vec o;
    for (long i = 0; i < n; i++)
        o.x[i] = v->x[(((i + r) % n) + n) % n];
    return o;
}

void slots_add_product(struct slots_vec *sum, const struct slots_vec *a, const struct slots_vec *b,
                       int n)
{
    for (int i = 0; i < n; i++)
        sum->x[i] += a->x[i] * b->x[i];
}

void slots_add(struct slots_vec *sum, const struct slots_vec *a, int n)
{
    for (int i = 0; i < n; i++)
        sum->x[i] += a->x[i];
}

// the numbers of a diagonal in their slots
static void spread(struct slots_vec *v, const struct ckks_linear *t, int n)
{
    for (int i = (int)t->period - 1; i >= 0; i--)
        v->x[i] = v->x[i >> t->log_run];
    slots_repeat(v, (int)t->period, n);
}

void slots_apply(struct slots_vec *out, struct slots_vec *im, const struct slots_vec *in,
                 const struct ckks_linear *t, int n)
{
    for (int o = 0; o < t->outputs; o++) {
        memset(&out[o], 0, sizeof out[o]);
        if (im)
            memset(&im[o], 0, sizeof im[o]);
        for (int i = 0; i < t->inputs; i++)
            for (int m = 0; m < t->count; m++) {
                struct slots_vec re = {{0}}, other = {{0}},
                                 x = slots_rot(&in[i], (long)t->stride * (t->first + m), n);
                if (!t->diag(t->ctx, o, i, m, re.x, other.x))
                    continue;
                spread(&re, t, n);
                spread(&other, t, n);
                slots_add_product(&out[o], &re, &x, n);
                if (im)
                    slots_add_product(&im[o], &other, &x, n);
            }
    }
}

void slots_repeat(struct slots_vec *v, int period, int n)
{
    for (int i = period; i < n; i++)
        v->x[i] = v->x[i % period];
}

double slots_worst(const double *a, const double *b, int n)
{
    double w = 0;
    for (int i = 0; i < n; i++)
        if (!(fabs(a[i] - b[i]) <= w))
            w = fabs(a[i] - b[i]);
    return w;
}
