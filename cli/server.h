/* The server's run: weights and evaluation keys, then one request after the other.  Nothing here,
 * nor below it in the program thor-eval, can read a secret key. */
#ifndef CLI_SERVER_H
#define CLI_SERVER_H

#include "bert/encrypted.h"
#include "bert/message.h"
#include "cli/cli.h"
#include "bench/device.h"

#ifdef __cplusplus
extern "C" {
#endif

struct server_setup {
    const char *keys_dir;  /* with eval.key */
    const char *container; /* of thor encode, or NULL: */
    const char *model_dir; /* a model folder with calibration.json; NULL: the default model */
    const char *insecure;  /* name of a toy set, or NULL */
    const char *device;
    int threads, quiet;
    int compact; /* keys come from their file when they are used */
    /* at least so many are to come: of BERT_RECORD_FROM, layers are recorded */
    int requests;
};

struct server {
    struct server_setup setup;
    const struct ckks_params *params;
    struct bert_model *model;
    struct bert_ranges *ranges;
    struct device_choice device;
    struct ckks *cx;
    struct ckks_keyfile *keyfile;
    struct progress progress;
    /* of the bucket in use */
    struct bert_plan *plan;
    struct bert_shape shape;
    struct ckks_keys *keys; /* with `bert`, when the first good request of the bucket has come */
    struct bert_server *bert;
    /* of all keys, of those in memory at a time, of the rest */
    size_t key_bytes, held_bytes, work_bytes;
    char stage[64]; /* that runs */
    int reading;    /* 1: the request; what fails then is its fault, not that of keys or disk */
};

struct server_times {
    int tokens;         /* the bucket */
    double io, compute; /* seconds; io: of the request and of what had to be loaded for it */
    uint64_t bytes_in, bytes_out;
};

int server_open(struct server *s, const struct server_setup *setup);
/* Read the request at `in`, refuse what is no request for this model, these parameters and these
 * keys before any memory is taken for it, compute, and write the answer to `out` whole or not at
 * all. */
int server_answer(struct server *s, const char *in, const char *out, struct server_times *t);
void server_close(struct server *s);

#ifdef __cplusplus
}
#endif
#endif
