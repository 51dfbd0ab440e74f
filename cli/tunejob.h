/* What the actions of thor tune share: the model at the client, the service of its frozen maps,
 * rows of a table as texts to train or evaluate on. */
#ifndef CLI_TUNEJOB_H
#define CLI_TUNEJOB_H

#include <jansson.h>

#include "bert/input/table.h"
#include "cli/options.h"
#include "split/adapterfile.h"
#include "split/gradient.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where the frozen maps are computed.  Nothing said: local. */
struct tune_where {
    int plain, local;   /* in doubles, nothing encrypted; encrypted, both ends in this process */
    const char *server; /* encrypted, at a server: its address */
    const char *login;  /* file of the token, NULL: the usual one */
    int wait;           /* seconds for a busy or missing server, a product */
    int threads;        /* 0: all */
};
enum { TUNE_WAIT = 600 }; /* to begin with */
/* Rows of a table of options for it. */
#define TUNE_WHERE_OPTIONS(w)                                                                      \
    {"local",                                                                                      \
     NULL,                                                                                         \
     OPTION_FLAG,                                                                                  \
     &(w).local,                                                                                   \
     0,                                                                                            \
     0,                                                                                            \
     "frozen weights on ciphertexts, both ends in this program (the default)"},                    \
        {"plain",                                                                                  \
         NULL,                                                                                     \
         OPTION_FLAG,                                                                              \
         &(w).plain,                                                                               \
         0,                                                                                        \
         0,                                                                                        \
         "frozen weights in doubles: NOTHING IS ENCRYPTED; to compare with"},                      \
        {"server",                                                                                 \
         "URL",                                                                                    \
         OPTION_TEXT,                                                                              \
         &(w).server,                                                                              \
         0,                                                                                        \
         0,                                                                                        \
         "frozen weights on ciphertexts at a thor serve (thor remote login)"},                     \
        {"login",                                                                                  \
         "FILE",                                                                                   \
         OPTION_TEXT,                                                                              \
         &(w).login,                                                                               \
         0,                                                                                        \
         0,                                                                                        \
         "what thor remote login keeps (~/.config)"},                                              \
        {"wait",                                                                                   \
         "S",                                                                                      \
         OPTION_INT,                                                                               \
         &(w).wait,                                                                                \
         0,                                                                                        \
         86400,                                                                                    \
         "seconds to wait for a busy server, a product (600)"},                                    \
    {                                                                                              \
        "threads", "N", OPTION_INT, &(w).threads, 1, 1024, "of this program (all cores)"           \
    }

struct tune_job {
    struct split_base base;
    struct split_model *model;
    struct split_service *service;
};

/* The model at the client alone (service stays NULL), then the service.  THOR_USAGE when several
 * are named; --plain is said on stderr, loudly. */
int tune_model_open(struct tune_job *j, const char *folder);
int tune_service_open(struct tune_job *j, const char *folder, const struct tune_where *w);
/* cli/remote/computing.c: ciphertexts at w->server; the folder's weights are those that it has.
 * With a key pair of its own, whose evaluation keys the server gets here and loses in close. */
int split_remote_open(struct split_service **out, const char *folder, const struct tune_where *w);
const char *tune_where_name(const struct tune_where *w); /* "plain", "local", "server" */
json_t *tune_traffic(const struct split_service *s);     /* what the service was asked */
void tune_job_close(struct tune_job *j);                 /* also of one set to zero */

/* Rows of a table (bert/input/table.h) as texts. */
struct tune_data {
    struct bert_table *table; /* row i is text i */
    struct split_text *text;
    int n;
    int *block;    /* every ids, types and targets lie in it */
    uint64_t hash; /* of tokens and labels */
};

/* A classifier's rows have labels, by number or by name; THOR_INPUT names a row without one where
 * they are `wanted`.  Of a language model every token but the first is a target, and labels are
 * passed over.  tokens: the most that a text may have, 0: as many as the model takes. */
int tune_data_open(struct tune_data *d, const struct split_model *m, const char *path,
                   const char *columns, int tokens, int wanted);
void tune_data_close(struct tune_data *d);

/* An adapter to start from: A drawn, B zero, with `head` the classifier as the model has it. */
struct tune_shape {
    int rank, frozen_a, head;
    double alpha;
    const char *maps; /* "q,v", "all" */
};
int tune_adapter_make(struct split_adapter *a, const struct tune_job *j, const struct tune_shape *s,
                      const uint8_t *seed);

/* A number of an option: THOR_USAGE unless min <= *x <= max; text NULL: *x stays. */
int tune_number(double *x, const char *option, const char *text, double min, double max);

#ifdef __cplusplus
}
#endif
#endif
