/* What is counted: answers by route and status, refusals by reason, seconds by stage.  No label
 * carries a token, a ticket or anything of a text. */
#ifndef SERVE_COUNTERS_H
#define SERVE_COUNTERS_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { SERIES = 256, HISTOGRAM = 14 };

struct series { /* the latest values */
    double v[SERIES];
    uint64_t n; /* all that there were */
    double sum;
    uint64_t below[HISTOGRAM]; /* up to metrics_bound(i) */
};
void series_add(struct series *s, double v);
double series_quantile(const struct series *s, double q); /* 0 when there are none */
double metrics_bound(int i);                              /* 0.01, 0.03, 0.1 .. */

struct metrics;
struct metrics *metrics_new(void); /* NULL without memory */
void metrics_free(struct metrics *m);
void metrics_answer(struct metrics *m, const char *route, unsigned status);
void metrics_refuse(struct metrics *m, const char *reason);
void metrics_stage(struct metrics *m, const char *stage, double seconds);
void metrics_sentence(struct metrics *m, double seconds);
double metrics_median(struct metrics *m); /* of a sentence; 0: not known */
/* Into an object: "refused", "seconds", "stages". */
void metrics_json(json_t *o, struct metrics *m);
void metrics_print(FILE *f, struct metrics *m);

#ifdef __cplusplus
}
#endif
#endif
