/* Linear transforms whose plaintexts are short: the inner route of linear.c, see shortmap.c. */
#ifndef THOR_CKKS_SHORTMAP_H
#define THOR_CKKS_SHORTMAP_H

#include "ckks/internal.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ckks_shortmap; /* the diagonals of a transform: in slots, or as residues */

/* Write diagonal m rotated by -shift, re then im (2 period >> log_run numbers), by way of tmp, as
 * large; 0 when it is zero (linear.c). */
int ckks_rotated_diag(const struct ckks_linear *t, int o, int i, int m, long shift, double *z,
                      double *tmp);

/* Are t's plaintexts short enough, outside a bootstrap? */
int ckks_is_short(const struct ckks *cx, const struct ckks_linear *t, int boot);
/* Read every diagonal, for inputs at `level`; in a dry run all are taken for non-zero.  Of a
 * pending transform they are encoded and kept as residues with `keep`, and read at each use
 * without. */
int ckks_shortmap_new(struct ckks_shortmap **out, struct ckks *cx, const struct ckks_linear *t,
                      int level, int keep);
void ckks_shortmap_free(struct ckks_shortmap *m);
size_t ckks_shortmap_bytes(const struct ckks_shortmap *m); /* of its numbers */
/* As ckks_linear_run; out's old rows are freed when all went well. */
int ckks_shortmap_run(struct ckks_ct *out, const struct ckks_ct *const in[],
                      const struct ckks_linear *t, const struct ckks_shortmap *m, int level);

#ifdef __cplusplus
}
#endif
#endif
