/* Training and trying an adapter from the local page: what is filled in there becomes the options
 * of `thor tune train`, and of `thor tune classify` or, for a model that goes on with texts, `thor
 * tune generate`, which run as jobs (webjob.h). */
#ifndef CLI_REMOTE_WEBTUNE_H
#define CLI_REMOTE_WEBTUNE_H

#include "cli/remote/webjob.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { WEBTUNE_TRAIN, WEBTUNE_TRY, WEBTUNE_JOBS };

struct webtune {
    struct webjob *job[WEBTUNE_JOBS];
    pthread_mutex_t lock;
    json_t *form;      /* of the latest training, or NULL */
    const char *login; /* file of the token, NULL: the usual one; borrowed */
};

struct webtune_bad { /* what is wrong with a form: the name of the field, and one line */
    const char *field;
    char why[400];
};

int webtune_new(struct webtune **out, const char *login);
void webtune_end(struct webtune *t); /* as webjob_end, NULL is allowed, in both */
void webtune_free(struct webtune *t);
/* The fields as texts, and for a try "text" and "pair", or "text" and "tokens": the run's number; 0
 * while another goes on; -1, and *bad, when it cannot be. */
int webtune_begin(struct webtune_bad *bad, struct webtune *t, int which, const json_t *form);
/* Whether a training runs, its number (0: none did) and its form; where relative paths begin. */
json_t *webtune_about(struct webtune *t);

#ifdef __cplusplus
}
#endif
#endif
