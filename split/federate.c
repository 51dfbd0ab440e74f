#include "split/federate.h"

#include <math.h>
#include <string.h>

static size_t frozen_values(const struct split_adapter *a) {
    size_t n;
    return (size_t)(split_adapter_trained(a, &n) - a->values);
}

static int check(const struct split_adapter *first, const struct split_adapter *a, double rows) {
    if (!split_adapter_alike(first, a))
        return thor_fail(THOR_USAGE, "adapters of different rank, alpha, maps or model have no "
                                     "average");
    if (!first->frozen_a != !a->frozen_a)
        return thor_fail(THOR_USAGE, "one adapter has its A frozen, another not");
    if (memcmp(first->values, a->values, frozen_values(a) * sizeof *a->values) != 0)
        return thor_fail(THOR_USAGE, "their frozen A differ: clients start from the same adapter, "
                                     "by --from or the same --seed");
    if (first->base && a->base && first->base != a->base)
        return thor_fail(THOR_USAGE, "clients that started from different weights have no average");
    if (!(rows > 0) || !isfinite(rows))
        return thor_fail(THOR_USAGE, "a client of %g rows: give the number that it trained on",
                         rows);
    return THOR_OK;
}

int split_federate_add(struct split_adapter *sum, const struct split_adapter *first,
                       const struct split_adapter *a, double rows) {
    int st = THOR_OK;
    TRY(check(first, a, rows));
    for (size_t i = 0; i < a->n; i++) sum->values[i] += rows * a->values[i];
out:
    return st;
}

void split_federate_end(struct split_adapter *sum, const struct split_adapter *first, double rows) {
    for (size_t i = 0; i < sum->n; i++) sum->values[i] /= rows;
    memcpy(sum->values, first->values, frozen_values(first) * sizeof *first->values);
}
