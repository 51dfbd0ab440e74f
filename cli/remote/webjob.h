/* An action of this program in a process of its own, for the local page: what it prints, an object
 * a line, becomes events, and its last word the last of them:
 *
 *   {"kind": "past", ..}  a line of a log of before
 *   {"kind": "line", ..}  a line of its standard output
 *   {"kind": "end", "code": 0}, or with "error": its exit code (-1: killed), and its line on stderr
 *
 * It ends by SIGINT, as with Ctrl-C at a terminal; a page that is killed takes nothing with it. */
#ifndef CLI_REMOTE_WEBJOB_H
#define CLI_REMOTE_WEBJOB_H

#include "cli/remote/webevents.h"

#ifdef __cplusplus
extern "C" {
#endif

struct webjob;

struct webjob_ask {
    const char *const *argv; /* behind "thor"; NULL behind the last */
    const char *input;       /* of its standard input; NULL: nothing */
    const char *past;        /* file of a log that it goes on with; NULL: none */
};

int webjob_new(struct webjob **out);
/* The number of its run, or 0 while another goes on; all of it is copied. */
int webjob_begin(struct webjob *j, const struct webjob_ask *ask);
void webjob_stop(struct webjob *j); /* it has still to end */
struct webevents *webjob_events(struct webjob *j);
/* Stops what runs, waits for it and wakes the listeners; then, when there are none, free. */
void webjob_end(struct webjob *j); /* NULL is allowed, in both */
void webjob_free(struct webjob *j);

#ifdef __cplusplus
}
#endif
#endif
