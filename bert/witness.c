/* That every value was in the range of its polynomial, told by the answer itself.
 *
 * T_m is within +-1 on [-1, 1] and grows like (|u| + sqrt(u^2 - 1))^m / 2 outside; of degree d <
 * 2^D, the polynomial's T_m with m = 2^(D-1) is made anyway (cheb.c).  The inverse's last eps_m is
 * at most `rest` when the denominator was in range, and grows twice as fast: what is left of d/d is
 * 1 - eps_m^2, between 1 - rest^2 and 1, and out halves the error (goldschmidt.c): err = rest^2/(2
 * - rest^2), rest^2 = 2 err/(1 + err).  In every slot W = (1 + S/limit)/4,   S = sum of all T_m^2
 * and (eps_m/rest)^2, limit = max(256, 2 n), n summands (bert_witness_limit), leaves as the
 * imaginary part of the logits.  In range S <= n, so W is in [1/4, 3/8]; above 1/2 some T_m^2 is
 * above limit/n, nothing can cancel it, and what the polynomials of this text gave is worth
 * nothing: their errors grow with T_(d+1) = 2 T_m^2 - 1.  The first value that leaves its range was
 * computed from values that had not, so it is told truly, whatever comes of it. Cost: no level, as
 * all are squared at level 1, and one relinearisation there a layer. The imaginary noise of W is a
 * part in 2^20 of it, and so stays below that of the logits. */
#include <math.h>
#include <stdlib.h>

#include "bert/circuit.h"
#include "bert/witness.h"

#define LEAST_LIMIT 256
#define SQUARE_LEVEL 1
#define TANH_ERROR 2e-3    /* the budget of tanh in plan.c */
#define NORM_ERROR 0x1p-6  /* that of 1/sqrt in plan.c is 4e-3; and noise */
#define LOGIT_NOISE 0x1p-8 /* of the engine, and rounding for publication */
#define TOLERANCE 0x1p-8   /* of W: the same */

double bert_witness_limit(const struct bert_plan *p, const struct bert_shape *s) {
    int n = p->layers * (s->scores + 1 + bert_nf(s) + 2) + (p->at_client ? 0 : s->nx);
    for (int l = 0; l < p->layers; l++) n += p->layer[l].rounds;
    return fmax(LEAST_LIMIT, 2.0 * n);
}

int bert_witness_holds(const double *w, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!(w[i] >= 0.25 - TOLERANCE && w[i] <= 0.5 + TOLERANCE)) return 0;
    return 1;
}

double bert_witness_of(double u, int degree) {
    int m = 1;
    while (2 * m <= degree) m *= 2;
    double a = fabs(u), t = a <= 1 ? cos(m * acos(a)) : cosh(m * acosh(a));
    return t * t;
}

double bert_witness_of_inverse(const struct bert_inverse *v, double eps) {
    return eps * eps * (1 + v->err) / (2 * v->err);
}

int bert_state_possible(const double *y, const struct bert_model *m, int rows) {
    const int hidden = m->cfg.hidden;
    const double most = bert_is_causal(&m->cfg) ? INFINITY : 1 + NORM_ERROR;
    for (int t = 0; t < rows; t++) {
        double sum = 0;
        for (int k = 0; k < hidden; k++)
            sum += y[(size_t)t * (size_t)hidden + (size_t)k] *
                   y[(size_t)t * (size_t)hidden + (size_t)k];
        if (!(sqrt(sum / hidden) <= most)) return 0;
    }
    return 1;
}

int bert_logits_possible(const double *logits, const struct bert_model *m) {
    int in = m->classifier.in;
    for (int l = 0; l < m->cfg.labels; l++) {
        double most = fabs((double)m->classifier.b[l]) + LOGIT_NOISE;
        for (int j = 0; j < in; j++)
            most += (1 + TANH_ERROR) *
                    fabs((double)m->classifier.w[(size_t)l * (size_t)in + (size_t)j]);
        if (!(fabs(logits[l]) <= most)) return 0;
    }
    return 1;
}

struct bert_witness *bert_witness_new(int n) {
    struct bert_witness *w = calloc((size_t)n, sizeof *w);
    if (!w) thor_fail(THOR_MEMORY, "no memory for the witnesses of %d texts", n);
    return w;
}

static void drop_parts(struct bert_witness *w) {
    for (int i = 0; i < w->parts; i++) ckks_ct_free(&w->part[i]);
    w->parts = 0;
}

void bert_witness_free(struct bert_witness *w, int n) {
    for (int i = 0; w && i < n; i++) {
        drop_parts(&w[i]);
        ckks_ct_free(&w[i].sum);
    }
    free(w);
}

int bert_witness_add(struct bert_witness *w, const struct ckks_ct *x) {
    return w->sum.c ? ckks_add(&w->sum, &w->sum, x) : ckks_copy(&w->sum, x);
}

// sum += the squares of the parts
static int square(struct bert_witness *w) {
    int st = THOR_OK;
    const struct ckks_ct *x[BERT_WITNESS_PARTS];
    struct ckks_ct t = {0};
    if (!w->parts) return THOR_OK;
    for (int i = 0; i < w->parts; i++) x[i] = &w->part[i];
    TRY(ckks_dot(&t, x, x, w->parts, 1));
    TRY(bert_witness_add(w, &t));
out:
    ckks_ct_free(&t);
    drop_parts(w);
    return st;
}

int bert_witness_close(struct bert_run *r) {
    int st = THOR_OK;
    for (int i = 0; i < r->n; i++) TRY(square(&r->witness[i]));
out:
    return st;
}

// t times c is squared and summed
static int tell(struct bert_run *r, const struct ckks_ct *t, double c) {
    int st = THOR_OK;
    struct bert_witness *w = &r->witness[r->who];
    c /= 2 * sqrt(bert_witness_limit(r->srv->plan, r->s));
    if (w->parts == BERT_WITNESS_PARTS) TRY(square(w));
    TRY(ckks_combine(&w->part[w->parts], &t, &c, 1, 0, SQUARE_LEVEL));
    w->parts++;
out:
    return st;
}

int bert_cheb_parts(const struct ckks_cheb_part *part, int n, struct bert_run *r,
                    const struct ckks_ct *x, const double *c, int degree) {
    int st = THOR_OK;
    struct ckks_ct top = {0};
    TRY(ckks_cheb_parts(part, n, &top, x, c, degree));
    TRY(tell(r, &top, 1));
out:
    ckks_ct_free(&top);
    return st;
}

int bert_cheb_watched(struct ckks_ct *x, struct bert_run *r, const double *c, int degree) {
    const struct ckks_cheb_part whole = {x, NULL, 0};
    return bert_cheb_parts(&whole, 1, r, x, c, degree);
}

int bert_inverse_watched(struct bert_run *r, const struct ckks_ct *g,
                         const struct bert_inverse *v) {
    return tell(r, g, sqrt(bert_witness_of_inverse(v, 1)));
}

int bert_witness_join(struct ckks_ct *answer, int each, struct bert_run *r) {
    int st = THOR_OK;
    struct ckks_ct w = {0};
    for (int i = 0; i < r->n; i++) {
        TRY(ckks_add_const(&w, &r->witness[i].sum, 0.25));
        TRY(ckks_mul_i(&w, &w, 1));
        for (struct ckks_ct *x = answer + i * each; x < answer + (i + 1) * each; x++)
            TRY(ckks_add(x, x, &w));
    }
out:
    ckks_ct_free(&w);
    return st;
}
