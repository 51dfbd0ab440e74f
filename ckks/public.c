/* What only users of the library call: contexts by device, getters of structs that they do not see,
 * rows of ciphertexts, keys by name. */
#include <stdlib.h>
#include <string.h>

#include "ckks/internal.h"

_Static_assert(CKKS_OK == (int)THOR_OK && CKKS_INTERNAL == (int)THOR_INTERNAL &&
                   CKKS_USAGE == (int)THOR_USAGE && CKKS_KEY == (int)THOR_KEY &&
                   CKKS_IO == (int)THOR_IO && CKKS_MEMORY == (int)THOR_MEMORY &&
                   CKKS_RANGE == (int)THOR_RANGE,
               "statuses of the library are those of the program");

const char *ckks_error(void) {
    return thor_error();
}

const char *ckks_version(void) {
    return CKKS_VERSION; // file VERSION: install.mk
}

const char *ckks_params_name(const struct ckks_params *p) {
    return p->name;
}

int ckks_params_log_n(const struct ckks_params *p) {
    return p->log_n;
}

int ckks_params_levels(const struct ckks_params *p) {
    return p->max_level;
}

int ckks_params_security(const struct ckks_params *p) {
    return p->security_bits;
}

double ckks_params_log_qp(const struct ckks_params *p) {
    return p->log_qp;
}

double ckks_params_scale(const struct ckks_params *p, int level) {
    return level < 0 || level > p->max_level ? 0 : ckks_level_scale(p, level, 0);
}

int ckks_params_bootstraps(const struct ckks_params *p) {
    return p->bootstraps;
}

int ckks_open_on(struct ckks **out, const struct ckks_params *p, enum ckks_device device,
                 int number) {
    static const enum kern_kind kinds[] = {
        [CKKS_CPU] = KERN_CPU, [CKKS_CUDA] = KERN_CUDA, [CKKS_DRY] = KERN_DRY};
    if ((unsigned)device > CKKS_DRY || number < 0)
        return thor_fail(THOR_USAGE, "no device %d of kind %d", number, (int)device);
    return ckks_open(out, p, kinds[device], KERN_TIER_BEST, number);
}

const struct ckks_params *ckks_params_of(const struct ckks *cx) {
    return cx->params;
}

int ckks_slots(const struct ckks *cx) {
    return 1 << (cx->params->log_n - 1);
}

uint32_t ckks_key_rotation(const struct ckks_params *p, int r) {
    const uint32_t slots = 1u << (p->log_n - 1), mask = 4 * slots - 1;
    uint32_t g = 1;
    for (uint32_t power = 5, e = (uint32_t)r & (slots - 1); e;
         e >>= 1, power = power * power & mask)
        if (e & 1) g = g * power & mask;
    return g;
}

uint32_t ckks_key_conjugation(const struct ckks_params *p) {
    return (2u << p->log_n) - 1;
}

int ckks_needs(const struct ckks_need **list, const struct ckks *cx) {
    if (list) *list = cx->needs;
    return cx->n_needs;
}

int ckks_ct_new(struct ckks_ct **out, int n) {
    struct ckks_ct *a = n < 1 ? NULL : calloc((size_t)n, sizeof *a);
    if (n < 1) return thor_fail(THOR_INTERNAL, "a row of %d ciphertexts", n);
    if (!a) return thor_fail(THOR_MEMORY, "no memory for %d ciphertexts", n);
    *out = a;
    return THOR_OK;
}

void ckks_ct_delete(struct ckks_ct *a, int n) {
    for (int i = 0; a && i < n; i++) ckks_ct_free(&a[i]);
    free(a);
}

struct ckks_ct *ckks_ct_at(struct ckks_ct *a, int i) {
    return &a[i];
}

int ckks_ct_level(const struct ckks_ct *a) {
    return a->c ? a->level : -1;
}

struct ckks *ckks_ct_context(const struct ckks_ct *a) {
    return a->cx;
}

/* The needs of a bootstrap of zeros over a dry back end. */
int ckks_boot_needs(struct ckks_need **out, int *n, const struct ckks_params *p, int log_slots,
                    int complex_lanes) {
    int st = THOR_OK;
    struct ckks *cx = NULL;
    struct ckks_boot *b = NULL;
    struct ckks_ct x = {0};
    TRY(ckks_open(&cx, p, KERN_DRY, KERN_TIER_BEST, 0));
    TRY(ckks_boot_new(&b, cx, log_slots, complex_lanes));
    TRY(ckks_zero(&x, cx, ckks_boot_levels(log_slots)));
    TRY(ckks_bootstrap(&x, &x, b));
    struct ckks_need *list = malloc((size_t)cx->n_needs * sizeof *list);
    if (!list) {
        st = thor_fail(THOR_MEMORY, "no memory for a list of keys");
        goto out;
    }
    memcpy(list, cx->needs, (size_t)cx->n_needs * sizeof *list);
    *out = list;
    *n = cx->n_needs;
out:
    ckks_ct_free(&x);
    ckks_boot_free(b);
    ckks_close(cx);
    return st;
}

void ckks_boot_needs_free(struct ckks_need *list) {
    free(list);
}
