/* thor with a service over HTTP that also keeps, in the file that RECORD names, what it was asked
 * and what it gave, in clear: for each product the number of doubles (u64) and the doubles of x,
 * then those of y.  Linked with --wrap=split_remote_open; for tests/serve/blind.py. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/tunejob.h"

int __real_split_remote_open(struct split_service **out, const char *folder,
                             const struct tune_where *w);
int __wrap_split_remote_open(struct split_service **out, const char *folder,
                             const struct tune_where *w);

struct recorder {
    struct split_service s, *of;
    FILE *f;
};

static void keep(const struct recorder *r, const double *x, int rows, int columns) {
    const uint64_t n = (uint64_t)rows * (uint64_t)columns;
    if (fwrite(&n, sizeof n, 1, r->f) != 1 || fwrite(x, sizeof *x, n, r->f) != n) abort();
}

static int product(struct split_service *s, double *y, const struct split_ask *ask,
                   const double *x) {
    struct recorder *r = (struct recorder *)s;
    const int in = s->shape.in[ask->stage], out = s->shape.out[ask->stage];
    keep(r, x, ask->tokens, ask->transposed ? out : in);
    const int st = r->of->product(r->of, y, ask, x);
    s->traffic = r->of->traffic;
    if (st == THOR_OK) keep(r, y, ask->tokens, ask->transposed ? in : out);
    return st;
}

static void close_recorder(struct split_service *s) {
    struct recorder *r = (struct recorder *)s;
    r->of->close(r->of);
    if (fclose(r->f) != 0) abort();
    free(r);
}

int __wrap_split_remote_open(struct split_service **out, const char *folder,
                             const struct tune_where *w) {
    int st = THOR_OK;
    struct recorder *r = calloc(1, sizeof *r);
    const char *path = getenv("RECORD");
    if (!r || !path || !(r->f = fopen(path, "wb"))) abort();
    TRY(__real_split_remote_open(&r->of, folder, w));
    r->s =
        (struct split_service){.shape = r->of->shape, .product = product, .close = close_recorder};
    *out = &r->s;
out:
    return st;
}
