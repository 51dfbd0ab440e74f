/* What every stage of the encrypted forward cost and, with --compare, how far it was from the plain
 * model. */
#ifndef CLI_STAGES_H
#define CLI_STAGES_H

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define STAGES_MAX 1024

struct stage_time {
    int layer;
    char name[24];
    /* seconds, summed over the texts; total includes decrypting to compare */
    double compute, total;
};

struct stage_error { /* of one tensor, the worst over its ciphertexts and over the texts */
    int layer;
    char name[24];
    double err, size, bound;
};

struct stages {
    struct stage_time time[STAGES_MAX];
    struct stage_error error[STAGES_MAX];
    int times, errors, texts;
    double began, paused; /* of the stage that runs, in seconds of bench_now() */
};

void stages_begin(struct stages *s);
void stages_pause(struct stages *s, double seconds); /* spent in the stage on looking at it */
void stages_end(struct stages *s, int layer, const char *name);
void stages_error(struct stages *s, int layer, const char *name, double err, double size,
                  double bound);
double stages_compute(const struct stages *s); /* seconds so far, of all texts */
/* The first tensor whose error is above its bound, or NULL. */
const struct stage_error *stages_wrong(const struct stages *s);
/* THOR_RANGE names it. */
int stages_check(const struct stages *s);
/* Times a text: of every stage of every layer (layer `layers`: the head), then by stage summed over
 * layers; then the errors, when there are any and `errors`. */
void stages_print(const struct stages *s, int layers, int errors, FILE *f);

#ifdef __cplusplus
}
#endif
#endif
