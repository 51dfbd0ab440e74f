#include "split/dpsgd.h"

#include <string.h>

#include "split/gaussian.h"

static int check(const struct split_dpsgd_ask *a) {
    if (a->rows < 1 || !(a->batch > 0 && a->batch <= a->rows))
        return thor_fail(THOR_USAGE, "batch of %g of %d rows: give one above 0, at most all rows",
                         a->batch, a->rows);
    if (a->steps < 1) return thor_fail(THOR_USAGE, "%ld steps: give at least one", a->steps);
    if (!(a->clip > 0 && a->clip < 1e100))
        return thor_fail(THOR_USAGE, "clip %g: give the norm of a row's gradient, above 0",
                         a->clip);
    if (!(a->epsilon >= 0 && a->sigma >= 0 && a->sigma < 1e100) ||
        (a->epsilon == 0 && a->sigma == 0))
        return thor_fail(THOR_USAGE, "epsilon %g, sigma %g: give one of them above 0", a->epsilon,
                         a->sigma);
    if (!(a->delta > 0 && a->delta < 1))
        return thor_fail(THOR_USAGE, "delta %g: give one between 0 and 1, below 1 / %d", a->delta,
                         a->rows);
    return THOR_OK;
}

int split_dpsgd_start(struct split_dpsgd *p, const struct split_dpsgd_ask *ask) {
    int st = THOR_OK;
    memset(p, 0, sizeof *p);
    TRY(check(ask));
    p->ask = *ask;
    p->q = ask->batch / ask->rows;
    if (ask->sigma == 0)
        TRY(split_sigma_for(&p->ask.sigma, ask->epsilon, ask->delta, p->q, ask->steps));
    split_spent_none(&p->one, NULL);
    split_spend(&p->one, p->q, p->ask.sigma, 1);
    TRY(ckks_random_start());
    TRY(ckks_rng_new(&p->rng));
out:
    return st;
}

void split_dpsgd_end(struct split_dpsgd *p) {
    ckks_rng_free(p->rng);
    p->rng = NULL;
}

void split_dpsgd_resume(struct split_dpsgd *p, long steps) {
    p->steps = steps;
}

int split_dpsgd_batch(struct split_dpsgd *p, int *chosen) {
    return split_poisson(p->rng, chosen, p->ask.rows, p->q);
}

double split_dpsgd_take(const struct split_dpsgd *p, double *sum, double *example, size_t n) {
    const double norm = split_clip(example, n, p->ask.clip);
    for (size_t i = 0; i < n; i++) sum[i] += example[i];
    return norm;
}

static double epsilon_after(const struct split_dpsgd *p, long steps) {
    struct split_spent s;
    split_spent_none(&s, &p->one.orders);
    split_spend_again(&s, &p->one, steps);
    return split_spent_epsilon(NULL, &s, p->ask.delta);
}

double split_dpsgd_epsilon(const struct split_dpsgd *p) {
    return epsilon_after(p, p->steps);
}

int split_dpsgd_used_up(const struct split_dpsgd *p) {
    return p->ask.epsilon > 0 && epsilon_after(p, p->steps + 1) > p->ask.epsilon;
}

int split_dpsgd_step(struct split_dpsgd *p, double *sum, size_t n) {
    if (split_dpsgd_used_up(p))
        return thor_fail(THOR_USAGE, "epsilon %g is used up after %ld steps: stop, or allow more",
                         p->ask.epsilon, p->steps);
    split_add_normals(p->rng, sum, n, p->ask.sigma * p->ask.clip);
    for (size_t i = 0; i < n; i++) sum[i] /= p->ask.batch; // q N
    p->steps++;
    return THOR_OK;
}
