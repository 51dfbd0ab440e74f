#include "cli/stages.h"

#include <math.h>
#include <string.h>

#include "bench/bench.h"

void stages_begin(struct stages *s) {
    s->began = bench_now();
    s->paused = 0;
}

void stages_pause(struct stages *s, double seconds) {
    s->paused += seconds;
}

void stages_end(struct stages *s, int layer, const char *name) {
    double total = bench_now() - s->began;
    int i = 0;
    while (i < s->times && (s->time[i].layer != layer || strcmp(s->time[i].name, name) != 0)) i++;
    if (i == STAGES_MAX) return;
    if (i == s->times) {
        s->time[s->times++].layer = layer;
        snprintf(s->time[i].name, sizeof s->time[i].name, "%s", name);
    }
    s->time[i].total += total;
    s->time[i].compute += total - s->paused;
}

void stages_error(struct stages *s, int layer, const char *name, double err, double size,
                  double bound) {
    int i = 0;
    while (i < s->errors && (s->error[i].layer != layer || strcmp(s->error[i].name, name) != 0))
        i++;
    if (i == STAGES_MAX) return;
    struct stage_error *e = &s->error[i];
    if (i == s->errors) {
        s->errors++;
        e->layer = layer;
        snprintf(e->name, sizeof e->name, "%s", name);
    }
    if (!(err <= e->err) && !isnan(e->err)) e->err = err; // NaN stays visible
    e->size = fmax(e->size, size);
    e->bound = fmax(e->bound, bound);
}

double stages_compute(const struct stages *s) {
    double sum = 0;
    for (int i = 0; i < s->times; i++) sum += s->time[i].compute;
    return sum;
}

const struct stage_error *stages_wrong(const struct stages *s) {
    for (int i = 0; i < s->errors; i++)
        if (!(s->error[i].err <= s->error[i].bound)) return &s->error[i];
    return NULL;
}

int stages_check(const struct stages *s) {
    const struct stage_error *e = stages_wrong(s);
    if (!e) return THOR_OK;
    return thor_fail(
        THOR_RANGE,
        "layer %d, %s: error %.2e is above its bound %.2e: the text may be outside the "
        "calibrated ranges; calibrate with more texts",
        e->layer, e->name, e->err, e->bound);
}

static void row(FILE *f, const char *name, double compute, double total, int texts) {
    fprintf(f, "  %-16s %10.2f %10.2f\n", name, compute / texts, total / texts);
}

static int first_of_name(const struct stages *s, int i) {
    for (int j = 0; j < i; j++)
        if (strcmp(s->time[j].name, s->time[i].name) == 0) return 0;
    return 1;
}

static void by_stage(const struct stages *s, int texts, FILE *f) {
    double all[2] = {0, 0};
    for (int i = 0; i < s->times; i++) {
        double compute = 0, total = 0;
        if (!first_of_name(s, i)) continue;
        for (int j = i; j < s->times; j++) {
            if (strcmp(s->time[j].name, s->time[i].name) != 0) continue;
            compute += s->time[j].compute;
            total += s->time[j].total;
        }
        row(f, s->time[i].name, compute, total, texts);
        all[0] += compute;
        all[1] += total;
    }
    row(f, "All", all[0], all[1], texts);
}

static void sum_of_layer(double sum[2], const struct stages *s, int layer) {
    sum[0] = sum[1] = 0;
    for (int i = 0; i < s->times; i++) {
        if (s->time[i].layer != layer) continue;
        sum[0] += s->time[i].compute;
        sum[1] += s->time[i].total;
    }
}

static void by_layer(const struct stages *s, int layers, int texts, FILE *f) {
    char name[32];
    double sum[2];
    for (int l = 0; l <= layers; l++) {
        snprintf(name, sizeof name, "Layer %d", l);
        sum_of_layer(sum, s, l);
        row(f, l < layers ? name : "Head", sum[0], sum[1], texts);
        for (int i = 0; l < layers && i < s->times; i++) {
            snprintf(name, sizeof name, "  %s", s->time[i].name);
            if (s->time[i].layer == l) row(f, name, s->time[i].compute, s->time[i].total, texts);
        }
    }
}

static void errors(const struct stages *s, int layers, FILE *f) {
    fprintf(f, "  %-16s %10s %10s %10s\n", "tensor", "error", "largest", "bound");
    for (int i = 0; i < s->errors; i++) {
        const struct stage_error *e = &s->error[i];
        char name[48];
        if (e->layer < layers)
            snprintf(name, sizeof name, "%d %s", e->layer, e->name);
        else
            snprintf(name, sizeof name, "head %s", e->name);
        fprintf(f, "  %-16s %10.2e %10.2e %10.2e%s\n", name, e->err, e->size, e->bound,
                e->err <= e->bound ? "" : "   WRONG");
    }
}

void stages_print(const struct stages *s, int layers, int show_errors, FILE *f) {
    int texts = s->texts > 0 ? s->texts : 1;
    fprintf(f, "  %-16s %10s %10s   seconds a text\n", "stage", "compute", "total");
    by_layer(s, layers, texts, f);
    fprintf(f, "  %-16s\n", "All layers");
    by_stage(s, texts, f);
    if (show_errors && s->errors) errors(s, layers, f);
}
