#include "cli/serve/counters.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWERS = 400, REASONS = 64, STAGES = 48, NAME = 40 };

struct count {
    char name[2 * NAME];
    unsigned status;
    uint64_t n;
};

struct metrics {
    pthread_mutex_t lock;
    struct count answer[ANSWERS], reason[REASONS];
    struct {
        char name[NAME];
        struct series s;
    } stage[STAGES];
    struct series sentence;
};

double metrics_bound(int i) {
    return pow(10, -2 + i / 2) * (i % 2 ? 3 : 1);
}

void series_add(struct series *s, double v) {
    s->v[s->n++ % SERIES] = v;
    s->sum += v;
    for (int i = 0; i < HISTOGRAM; i++) s->below[i] += v <= metrics_bound(i);
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double series_quantile(const struct series *s, double q) {
    double v[SERIES];
    const size_t n = s->n < SERIES ? (size_t)s->n : SERIES;
    if (!n) return 0;
    memcpy(v, s->v, n * sizeof *v);
    qsort(v, n, sizeof *v, by_size);
    return v[(size_t)(q * (double)(n - 1))];
}

struct metrics *metrics_new(void) {
    struct metrics *m = calloc(1, sizeof *m);
    if (m) pthread_mutex_init(&m->lock, NULL);
    return m;
}

void metrics_free(struct metrics *m) {
    if (m) pthread_mutex_destroy(&m->lock);
    free(m);
}

/* Names come from tables of the program: there are few. */
static void count(struct count *c, int most, const char *name, unsigned status) {
    for (int i = 0; i < most; i++) {
        if (!c[i].n) snprintf(c[i].name, sizeof c[i].name, "%s", name), c[i].status = status;
        if (c[i].status != status || strcmp(c[i].name, name) != 0) continue;
        c[i].n++;
        return;
    }
}

void metrics_answer(struct metrics *m, const char *route, unsigned status) {
    pthread_mutex_lock(&m->lock);
    count(m->answer, ANSWERS, route, status);
    pthread_mutex_unlock(&m->lock);
}

void metrics_refuse(struct metrics *m, const char *reason) {
    pthread_mutex_lock(&m->lock);
    count(m->reason, REASONS, reason, 0);
    pthread_mutex_unlock(&m->lock);
}

void metrics_stage(struct metrics *m, const char *stage, double seconds) {
    pthread_mutex_lock(&m->lock);
    for (int i = 0; i < STAGES; i++) {
        if (!m->stage[i].name[0]) snprintf(m->stage[i].name, NAME, "%s", stage);
        if (strcmp(m->stage[i].name, stage) != 0) continue;
        series_add(&m->stage[i].s, seconds);
        break;
    }
    pthread_mutex_unlock(&m->lock);
}

void metrics_sentence(struct metrics *m, double seconds) {
    pthread_mutex_lock(&m->lock);
    series_add(&m->sentence, seconds);
    pthread_mutex_unlock(&m->lock);
}

double metrics_median(struct metrics *m) {
    pthread_mutex_lock(&m->lock);
    const double v = series_quantile(&m->sentence, 0.5);
    pthread_mutex_unlock(&m->lock);
    return v;
}

static json_t *quantiles(const struct series *s, const char *stage) {
    json_t *o = json_pack("{s:f, s:f, s:I}", "p50", series_quantile(s, 0.5), "p95",
                          series_quantile(s, 0.95), "n", (json_int_t)s->n);
    if (stage) json_object_set_new(o, "stage", json_string(stage));
    return o;
}

void metrics_json(json_t *o, struct metrics *m) {
    json_t *refused = json_object(), *stages = json_array();
    pthread_mutex_lock(&m->lock);
    for (int i = 0; i < REASONS && m->reason[i].n; i++)
        json_object_set_new(refused, m->reason[i].name, json_integer((json_int_t)m->reason[i].n));
    for (int i = 0; i < STAGES && m->stage[i].name[0]; i++)
        json_array_append_new(stages, quantiles(&m->stage[i].s, m->stage[i].name));
    json_object_set_new(o, "seconds", quantiles(&m->sentence, NULL));
    pthread_mutex_unlock(&m->lock);
    json_object_set_new(o, "refused", refused);
    json_object_set_new(o, "stages", stages);
}

static void print_series(FILE *f, const char *name, const char *label, const struct series *s) {
    const char *comma = label[0] ? "," : "";
    for (int i = 0; i < HISTOGRAM; i++)
        fprintf(f, "%s_bucket{%s%sle=\"%g\"} %" PRIu64 "\n", name, label, comma, metrics_bound(i),
                s->below[i]);
    fprintf(f, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, label, comma, s->n);
    fprintf(f, label[0] ? "%s_sum{%s} %g\n" : "%s_sum%s %g\n", name, label, s->sum);
    fprintf(f, label[0] ? "%s_count{%s} %" PRIu64 "\n" : "%s_count%s %" PRIu64 "\n", name, label,
            s->n);
}

void metrics_print(FILE *f, struct metrics *m) {
    char label[NAME + 16];
    pthread_mutex_lock(&m->lock);
    fputs("# HELP thor_requests_total Answers by route and status.\n"
          "# TYPE thor_requests_total counter\n",
          f);
    for (int i = 0; i < ANSWERS && m->answer[i].n; i++)
        fprintf(f, "thor_requests_total{route=\"%s\",status=\"%u\"} %" PRIu64 "\n",
                m->answer[i].name, m->answer[i].status, m->answer[i].n);
    fputs("# HELP thor_refused_total Refusals by reason.\n# TYPE thor_refused_total counter\n", f);
    for (int i = 0; i < REASONS && m->reason[i].n; i++)
        fprintf(f, "thor_refused_total{reason=\"%s\"} %" PRIu64 "\n", m->reason[i].name,
                m->reason[i].n);
    fputs("# HELP thor_sentence_seconds Computing of a sentence.\n"
          "# TYPE thor_sentence_seconds histogram\n",
          f);
    print_series(f, "thor_sentence_seconds", "", &m->sentence);
    fputs("# HELP thor_stage_seconds Computing by stage.\n"
          "# TYPE thor_stage_seconds histogram\n",
          f);
    for (int i = 0; i < STAGES && m->stage[i].name[0]; i++) {
        snprintf(label, sizeof label, "stage=\"%s\"", m->stage[i].name);
        print_series(f, "thor_stage_seconds", label, &m->stage[i].s);
    }
    pthread_mutex_unlock(&m->lock);
}
