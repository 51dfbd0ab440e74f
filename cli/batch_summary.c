#include <stdio.h>

#include "cli/batch.h"
#include "cli/batch_quality.h"
#include "cli/json.h"
#include "kernels/shown.h"

enum { SHOWN = 10 }; // failures in the table; summary.json has all

struct tally {
    int done, failed, missing, worst_row, first_code;
    struct quality q;
    double error, worst, compute, total; /* sums, but for worst */
    json_t *failures;
};

static void count(struct tally *t, const struct result *r) {
    t->done++;
    t->error += r->max_abs_error;
    t->compute += r->compute;
    t->total += r->total;
    if (r->max_abs_error > t->worst || t->done == 1) {
        t->worst = r->max_abs_error;
        t->worst_row = r->target_idx;
    }
    quality_count(&t->q, r);
}

static int collect(struct tally *t, const struct batch *b) {
    int st = THOR_OK;
    char error[BATCH_ERROR];
    struct result r = {0};
    *t = (struct tally){.failures = json_array()};
    TRY(quality_new(&t->q, &b->s.model->cfg, b->in.n));
    for (int i = 0; i < b->in.n; i++) {
        int code;
        if (batch_complete(&r, b, i)) {
            count(t, &r);
            result_free(&r);
        } else if ((code = batch_failure(b, i, error))) {
            t->failed++;
            if (!t->first_code) t->first_code = code;
            json_array_append_new(t->failures,
                                  json_pack("{s:i, s:i, s:s}", "target_idx", b->first + i, "code",
                                            code, "error", error));
        } else {
            t->missing++;
        }
    }
out:
    return st;
}

static json_t *real_or_null(double x, int known) {
    return known ? json_real(x) : json_null();
}

/* NULL without memory. */
static json_t *summary_json(const struct tally *t, const struct batch *b, int computed) {
    json_t *of_run = json_pack("{s:i, s:f, s:f, s:i}", "rows", computed, "seconds", b->seconds,
                               "rows_per_second", b->seconds > 0 ? computed / b->seconds : 0,
                               "workers", b->mpi ? b->step : b->workers);
    json_t *o =
        json_pack("{s:i, s:i, s:i, s:i, s:i, s:i}", "start_idx", b->first, "end_idx", b->last,
                  "rows", b->in.n, "done", t->done, "failed", t->failed, "missing", t->missing);
    json_t *rest = json_pack(
        "{s:o, s:o, s:i, s:o, s:o, s:o, s:O}", "mean_logit_error",
        real_or_null(t->done ? t->error / t->done : 0, t->done), "worst_logit_error",
        real_or_null(t->worst, t->done), "worst_row", t->done ? t->worst_row : -1,
        "compute_seconds_a_row", real_or_null(t->done ? t->compute / t->done : 0, t->done),
        "total_seconds_a_row", real_or_null(t->done ? t->total / t->done : 0, t->done), "this_run",
        of_run, "failures", t->failures);
    if (!o || !rest || quality_json(o, &t->q) != THOR_OK || json_object_update(o, rest) != 0) {
        json_decref(o);
        o = NULL;
    }
    json_decref(rest);
    return o;
}

static void print_quality(const struct tally *t, const struct batch *b) {
    quality_print(&t->q, b->approx ? "approximate" : "encrypted");
    printf("%-15s mean %.2e, worst %.2e (row %d)\n", "logit error", t->error / t->done, t->worst,
           t->worst_row);
    printf("%-15s %.2f s a row, of it %.2f s compute\n", "time", t->total / t->done,
           t->compute / t->done);
}

static void print_table(const struct tally *t, const struct batch *b, int computed) {
    printf("%-15s %d (%d to %d): %d done, %d failed, %d missing\n", "rows", b->in.n, b->first,
           b->last, t->done, t->failed, t->missing);
    if (t->done) print_quality(t, b);
    if (computed > 0)
        printf("%-15s %d rows in %.1f s, %.3g rows a second\n", "this run", computed, b->seconds,
               computed / b->seconds);
    for (size_t i = 0; i < json_array_size(t->failures) && i < SHOWN; i++) {
        const json_t *o = json_array_get(t->failures, i);
        printf("%-15s %s\n", i ? "" : "failures",
               shown(json_string_value(json_object_get(o, "error"))));
    }
    if (t->failed > SHOWN) printf("%-15s and %d more: see summary.json\n", "", t->failed - SHOWN);
}

int batch_summary(const struct batch *b, int *failed) {
    int st = THOR_OK;
    char path[4200];
    struct tally t;
    json_t *o = NULL;
    TRY(collect(&t, b));
    const int computed = t.done - (b->in.n - b->todos);
    o = summary_json(&t, b, computed);
    snprintf(path, sizeof path, "%s/summary.json", b->dir);
    TRY(save_object(json_incref(o), path));
    if (b->json)
        TRY(put_object(json_incref(o), JSON_FILE));
    else
        print_table(&t, b, computed);
    *failed = t.first_code;
out:
    json_decref(o);
    json_decref(t.failures);
    quality_free(&t.q);
    return st;
}
