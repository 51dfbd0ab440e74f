#include "cli/serve/logline.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void utc_text(char out[24], long long seconds) {
    const time_t t = (time_t)seconds;
    struct tm tm;
    out[0] = 0;
    if (t && gmtime_r(&t, &tm)) strftime(out, 24, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void logline(const char *event, const char *fmt, ...) {
    char now[24], *text, *line = NULL;
    va_list ap;
    utc_text(now, (long long)time(NULL));
    json_t *o = json_pack("{s:s, s:s}", "time", now, "event", event);
    va_start(ap, fmt);
    json_t *rest = json_vpack_ex(NULL, 0, fmt, ap);
    va_end(ap);
    if (o && rest) json_object_update(o, rest);
    text = o ? json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(6)) : NULL;
    if (text && asprintf(&line, "%s\n", text) > 0) {
        ssize_t n = write(STDERR_FILENO, line, strlen(line));
        (void)n; // a lost line stops nothing
    }
    free(line);
    free(text);
    json_decref(rest);
    json_decref(o);
}
