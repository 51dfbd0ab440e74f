#include "kernels/status.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[512];

/* Parts of a message come from files: nothing in them commands a terminal or starts another line. */
int thor_fail(int code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    for (char *c = message; *c; c++)
        if (iscntrl((unsigned char)*c)) *c = '?';
    return code;
}

const char *thor_error(void) {
    return message;
}

int thor_fail_in(int code, const char *prefix) {
    char tail[sizeof message];
    memcpy(tail, message, sizeof tail);
    snprintf(message, sizeof message, "%s: %.400s", prefix, tail);
    return code;
}
