#include "split/dpforward.h"

#include <string.h>

#include "split/accountant.h"
#include "split/gaussian.h"

int split_dpforward_start(struct split_dpforward *p, double epsilon, double delta, double clip) {
    int st = THOR_OK;
    double ratio;
    memset(p, 0, sizeof *p);
    if (!(clip > 0 && clip < 1e100))
        return thor_fail(THOR_USAGE, "clip %g: give the norm of a text's embeddings, above 0",
                         clip);
    TRY(split_analytic_sigma(&ratio, epsilon, delta));
    p->clip = clip;
    p->sigma = ratio * 2 * clip;
    TRY(ckks_random_start());
    TRY(ckks_rng_new(&p->rng));
out:
    return st;
}

void split_dpforward_end(struct split_dpforward *p) {
    ckks_rng_free(p->rng);
    p->rng = NULL;
}

void split_dpforward_apply(const struct split_dpforward *p, double *x, int tokens, int width) {
    if (!p) return;
    const size_t n = (size_t)tokens * (size_t)width;
    split_clip(x, n, p->clip);
    split_add_normals(p->rng, x, n, p->sigma);
}
