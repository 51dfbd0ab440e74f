/* The client's side of one product: rows to a request, a reply to rows.  The secret key stays
 * here. */
#ifndef SPLIT_CALLER_H
#define SPLIT_CALLER_H

#include "split/service.h"
#include "split/wireformat.h"

#ifdef __cplusplus
extern "C" {
#endif

struct split_caller;

/* A secret key of its own, and a context of `threads` (0: all).  set: "n12", or a toy, which is for
 * tests and wants allow_insecure. */
int split_caller_open(struct split_caller **out, const char *set, int allow_insecure, int threads);
void split_caller_close(struct split_caller *c); /* NULL is allowed; wipes */

struct ckks *split_caller_context(struct split_caller *c);
/* The rotation keys that a server needs: in memory, or into a file as of thor keygen (eval.key). */
int split_caller_keys(struct ckks_keys **out, struct split_caller *c);
int split_caller_save_keys(struct split_caller *c, const char *path);

struct split_call { /* one product under way */
    uint8_t *body;  /* the request */
    size_t bytes;
    size_t reply;   /* bytes that the reply will have */
    double *length; /* of each row */
    struct split_packing packing;
    struct split_ask ask;
    int in, out; /* columns of x and of y */
};
/* THOR_RANGE when x holds NaN or infinity. */
int split_call_make(struct split_call *call, struct split_caller *c,
                    const struct split_shape *shape, const struct split_ask *ask, const double *x);
/* y of a reply of n bytes, and the seconds that the server says it computed; y is unchanged on
 * failure. */
int split_call_end(double *y, double *seconds, const struct split_call *call,
                   struct split_caller *c, const uint8_t *reply, size_t n);
void split_call_free(struct split_call *call);
/* All of a service's product (service.h), counted in its traffic: `answer` fills the reply of the
 * call, call->reply bytes. */
int split_caller_product(struct split_service *s, struct split_caller *c, double *y,
                         const struct split_ask *ask, const double *x,
                         int (*answer)(uint8_t *reply, struct split_service *s,
                                       const struct split_call *call));

/* Standard deviation of the error of one number of a result, relative to the length of its row, for
 * map rows of length `map_row`, in SPLIT_SPREAD together with the row of the other lane; log_u as
 * in the reply (product.h).  e^2 is the sum of
 *   (N/2) (4^14/12 + 10.5 + k) map_row^2 / L^2      the row, rounded, encrypted and rotated:
 *            k = 2 N 10.5 (q/P)^2 / 12 + (1 + 2 N/3) / 12, of a baby's key switching
 *   (C/3) / u^2                                     the map's plaintexts, 2 C rounded coefficients
 *            each: C/12 a slot and lane; those of all 2 C diagonals meet two tokens in two lanes;
 *            of a single row p/12, as they meet it once
 *   (N/2) (4^34/12 + 4^29 N/18) / (u L)^2           the reply, rounded; p/C times where shares
 *                                                   of it are added
 * The key switching of giants is 2^20 below the last.  That is the mean over slots.  What half a
 * lost is multiplied by the secret, whose value in a slot is Gaussian, too: a product of two, so
 * that an error is beyond k deviations with probability exp(-sqrt(2) k) at most (Laplace's law),
 * and not as rarely as a Gaussian one. */
double split_error_of(const struct ckks_params *p, const struct split_packing *packing,
                      double map_row, int log_u);

#ifdef __cplusplus
}
#endif
#endif
