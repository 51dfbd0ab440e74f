#include "kernels/status.h"

#include <stdarg.h>
#include <stdio.h>

#include "kernels/shown.h"

static _Thread_local char message[512];

/* Parts of a message come from files: nothing in them commands a terminal or starts another
 * line. */
int thor_fail(int code, const char *fmt, ...) {
    char raw[2 * sizeof message];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(raw, sizeof raw, fmt, ap);
    va_end(ap);
    shown_in(message, sizeof message, raw);
    return code;
}

const char *thor_error(void) {
    return message;
}

int thor_fail_in(int code, const char *prefix) {
    char raw[2 * sizeof message];
    snprintf(raw, sizeof raw, "%.500s: %s", prefix, message);
    shown_in(message, sizeof message, raw);
    return code;
}
