/* Log lines: one JSON object each, on stderr, in one write. */
#ifndef SERVE_LOGLINE_H
#define SERVE_LOGLINE_H

#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

/* {"time", "event", ..}: the rest as of json_pack, e.g. "{s:s}", "name", value. */
void logline(const char *event, const char *fmt, ...);
/* The same time as text: 2026-11-29T12:00:00Z; "" of 0. */
void utc_text(char out[24], long long seconds);

#ifdef __cplusplus
}
#endif
#endif
