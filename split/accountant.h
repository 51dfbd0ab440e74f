/* What noise costs: differential privacy of DP-SGD and of single releases.
 *
 * An (epsilon, delta) holds against whoever sees what was released (a trained adapter, noisy
 * embeddings), whatever encryption does on the way: encryption hides texts from the server, noise
 * hides rows from who has the result.  Neighbours differ by one row added or removed.
 *
 * Renyi differential privacy of the Gaussian mechanism with Poisson sampling: Mironov, Talwar,
 * Zhang, "Renyi Differential Privacy of the Sampled Gaussian Mechanism" (arXiv 1908.10530); to
 * (epsilon, delta): Balle, Barthe, Gaboardi, Hsu, Sato, "Hypothesis Testing Interpretations and
 * Renyi Differential Privacy" (2020).
 */
#ifndef SPLIT_ACCOUNTANT_H
#define SPLIT_ACCOUNTANT_H

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SPLIT_ORDERS 160

struct split_orders {
    int n;
    double a[SPLIT_ORDERS]; /* each above 1 */
};

/* 1.1, 1.2, .., 10.9 and 12, 13, .., 63. */
void split_orders_usual(struct split_orders *o);
/* first, first + 1, .., last. */
void split_orders_whole(struct split_orders *o, int first, int last);

/* R(a) of one step: the Renyi divergence of order a > 1 between the mixture
 * (1 - q) N(0, sigma^2) + q N(1, sigma^2) and N(0, sigma^2).  q in [0, 1]; q = 1: a / (2 sigma^2);
 * sigma = 0: infinity. */
double split_rdp(double a, double q, double sigma);

/* What was spent so far, at each order; mechanisms compose by addition. */
struct split_spent {
    struct split_orders orders;
    double r[SPLIT_ORDERS];
};

/* Nothing yet, at these orders; NULL: the usual ones. */
void split_spent_none(struct split_spent *s, const struct split_orders *orders);
/* `steps` steps of one mechanism more. */
void split_spend(struct split_spent *s, double q, double sigma, long steps);
/* The same where one step is known: s += steps * one, of the same orders. */
void split_spend_again(struct split_spent *s, const struct split_spent *one, long steps);
/* epsilon(delta) = min over a of R(a) - (log delta + log a) / (a - 1) + log((a - 1) / a), at least
 * 0 and 0 where nothing was spent; *order (may be NULL): the a of the minimum.  delta in (0, 1). */
double split_spent_epsilon(double *order, const struct split_spent *s, double delta);

/* The smallest sigma, to 1e-6 of itself from above, whose `steps` steps at q stay within (epsilon,
 * delta) by the usual orders.  THOR_USAGE for values out of range, and for an epsilon that these
 * orders show for no sigma (below about 0.1 at delta 1e-5). */
int split_sigma_for(double *sigma, double epsilon, double delta, double q, long steps);

/* The smallest sigma / D, to 1e-12 of itself from above, with which one release of a value plus
 * N(0, sigma^2 I) is (epsilon, delta) private, where two values may differ by D (Balle and Wang,
 * "Improving the Gaussian Mechanism", 2018):
 *   Phi(D / 2 sigma - epsilon sigma / D) - e^epsilon Phi(-D / 2 sigma - epsilon sigma / D) <= delta
 * THOR_USAGE for values out of range: epsilon in (0, 1000], delta in (0, 1). */
int split_analytic_sigma(double *ratio, double epsilon, double delta);

#ifdef __cplusplus
}
#endif
#endif
