/* The local page over HTTP (libmicrohttpd), on 127.0.0.1 alone.
 *
 * Other users of the machine can connect, and so can pages of other sites in the same browser:
 * every path begins with 128 random bits of this start; Host must be this address (names that an
 * attacker points at 127.0.0.1 are none); Origin and Sec-Fetch-Site, where a browser sends them,
 * must be this page's own; what changes something must have an Origin. */
#ifndef CLI_REMOTE_WEBSERVER_H
#define CLI_REMOTE_WEBSERVER_H

#include "cli/remote/webrun.h"
#include "cli/remote/webtune.h"

#ifdef __cplusplus
extern "C" {
#endif

struct webserver;

/* port 0: a free one. */
int webserver_start(struct webserver **out, struct webrun *run, struct webtune *tune,
                    const struct asker *a, int port);
const char *webserver_url(const struct webserver *s);
void webserver_stop(struct webserver *s); /* NULL is allowed */

#ifdef __cplusplus
}
#endif
#endif
