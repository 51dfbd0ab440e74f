/* The texts of the local page, one at a time: a thread of its own asks the server, and what happens
 * is a list of events that any number of listeners read from its start. */
#ifndef CLI_REMOTE_WEBRUN_H
#define CLI_REMOTE_WEBRUN_H

#include "cli/remote/asker.h"
#include "cli/remote/webevents.h"

#ifdef __cplusplus
extern "C" {
#endif

struct webrun;

/* Borrows the asker, whose news it takes. */
int webrun_new(struct webrun **out, struct asker *a);
/* Ends what runs, and wakes the listeners; then, when there are none, free.  NULL is allowed. */
void webrun_end(struct webrun *r);
void webrun_free(struct webrun *r);
/* Begins with a text (pair: NULL, or the second one): its number, or 0 while another runs. */
int webrun_begin(struct webrun *r, const char *text, const char *pair);
void webrun_cancel(struct webrun *r);
struct webevents *webrun_events(struct webrun *r);

/* For the asker's connection (wire_setup). */
int webrun_stop(void *run);
void webrun_waits(void *run, double seconds, const char *why);

#ifdef __cplusplus
}
#endif
#endif
