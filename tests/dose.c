#include "tests/dose.h"

#include <stdlib.h>
#include <string.h>

int dose_small(void) {
    const char *full = getenv("THOR_FULL");
    return full && strcmp(full, "0") == 0;
}

int dose(const char *name, int usual) {
    const char *n = getenv(name);
    return n && *n ? atoi(n) : usual;
}
