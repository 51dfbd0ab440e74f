/* Constants of Goldschmidt's inverse with adaptive over-relaxation: struct bert_inverse in plan.h
 * has the formulas.  Each step maps b in [e, 1] to k b (2 - k b) in [k e (2 - k e), 1]; both ends
 * of the interval come out equal, so [e_i, 1] is tight for every i. */
#include <math.h>

#include "bert/polyfit.h"

#define SPAN_POINTS 4096
#define BOOT_TOP 4 /* a bootstrap takes more, small values stand clearer of its noise */

static double relax(double e) {
    return 2 / (e + 1);
}

double bert_inverse_low(double e, int i) {
    for (; i > 0; i--) e = relax(e) * e * (2 - relax(e) * e);
    return e;
}

int bert_inverse_iterations(double e, double err) {
    int m = 1;
    while (m <= BERT_MAX_ITER && bert_inverse_low(e, m) < 1 - 2 * err) m++;
    return m;
}

// a_1 .. a_i of one denominator
static void products(double *a, const struct bert_inverse *v, double d, int i) {
    double g = v->s[1] - v->sigma * d;
    a[1] = v->alpha * (v->s[1] + g);
    for (int j = 2; j <= i; j++) {
        g = g * g + v->add[j];
        a[j] = a[j - 1] * (v->s[j] + g);
    }
}

void bert_inverse_span(const struct bert_inverse *v, int i, double *lo, double *hi) {
    double a[BERT_MAX_ITER + 1];
    *lo = INFINITY;
    *hi = 0;
    for (int p = 0; p <= SPAN_POINTS; p++) {
        products(a, v, exp(log(v->e) * p / SPAN_POINTS), i);
        *lo = fmin(*lo, a[i]);
        *hi = fmax(*hi, a[i]);
    }
}

void bert_inverse_set(struct bert_inverse *v, double e, int m, int boot) {
    double lo, hi, top = 0, last = bert_inverse_low(e, m);
    *v = (struct bert_inverse){.e = e, .m = m, .alpha = 1, .err = (1 - last) / (1 + last)};
    v->scale = 2 / (1 + last);
    for (int i = m; i > 0; i--) {
        v->k[i] = relax(bert_inverse_low(e, i - 1));
        v->s[i] = i == m ? 1 : sqrt(v->s[i + 1] * v->k[i + 1]);
        v->add[i] = v->s[i] * (1 - v->k[i]);
        v->scale *= v->k[i] / v->s[i];
    }
    v->sigma = v->s[1] * v->k[1];
    for (int i = 1; i <= boot; i++) {
        bert_inverse_span(v, i, &lo, &hi);
        top = fmax(top, hi);
    }
    v->alpha = boot ? BOOT_TOP / top : v->scale;
    v->scale /= v->alpha;
}

double bert_square_top(int tokens, double err) {
    return log(tokens / 3.0) / 2 + 2 * log1p(err);
}

double bert_square_span(int tokens, double err) {
    return log(tokens) + 2 * (log1p(err) - log1p(-err));
}

double bert_inverse_eval(const struct bert_inverse *v, double d) {
    double a[BERT_MAX_ITER + 1];
    products(a, v, d, v->m);
    return v->scale * a[v->m];
}
