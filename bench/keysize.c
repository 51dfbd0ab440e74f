/* How large a key set is, from a dry run: nothing is computed. */
#include <stdlib.h>

#include "bench/rig.h"
#include "split/columnsfast.h"

static int circuit(struct bench_rig *r, int boot) {
    int st = THOR_OK;
    TRY(ckks_mul(&r->out, &r->a, &r->b));
    if (!boot) goto out;
    TRY(ckks_boot_new(&r->boot, r->cx, r->log_slots, 1));
    TRY(ckks_adjust(&r->out, &r->a, ckks_boot_levels(r->log_slots)));
    TRY(ckks_bootstrap(&r->out, &r->out, r->boot));
out:
    return st;
}

/* Of a set without a level, n12: what split mode uses. */
static int of_split(size_t *bytes, int *keys, const struct bench_rig *r) {
    int st = THOR_OK;
    struct ckks_need *need;
    TRY(split_needs(&need, keys, r->cx->params));
    *bytes = ckks_needs_bytes(r->cx, need, *keys);
    free(need);
out:
    return st;
}

int bench_key_bytes(size_t *bytes, int *keys, const struct bench_setup *s) {
    int st = THOR_OK;
    struct bench_setup dry = *s;
    struct bench_rig r = {.lanes = 1};
    dry.device.kind = KERN_DRY;
    TRY(bench_rig_open(&r, &dry));
    if (r.cx->params->max_level == 0) {
        st = of_split(bytes, keys, &r);
        goto out;
    }
    TRY(bench_rig_random(&r, r.cx->params->max_level));
    r.log_slots = r.cx->params->log_n - 1;
    TRY(circuit(&r, r.cx->params->bootstraps));
    *keys = r.cx->n_needs;
    *bytes = ckks_needs_bytes(r.cx, r.cx->needs, r.cx->n_needs);
out:
    bench_rig_close(&r);
    return st;
}
