#include <stdio.h>

#include "cli/batch.h"
#include "cli/json.h"
#include "kernels/shown.h"

enum { SHOWN = 10 }; // failures in the table; summary.json has all

struct score {               /* of one model's predictions */
    int right, hit, claimed; /* hit: label and prediction 1; claimed: prediction 1 */
};

struct tally {
    int done, failed, missing, labelled, positive, agree, worst_row, first_code;
    struct score he, plain;
    double error, worst, compute, total; /* sums, but for worst */
    json_t *failures;
};

static void score(struct score *s, int pred, int label) {
    s->right += pred == label;
    s->hit += pred == 1 && label == 1;
    s->claimed += pred == 1;
}

static void count(struct tally *t, const struct result *r) {
    t->done++;
    t->agree += r->pred == r->plain_pred;
    t->error += r->max_abs_error;
    t->compute += r->compute;
    t->total += r->total;
    if (r->max_abs_error > t->worst || t->done == 1) {
        t->worst = r->max_abs_error;
        t->worst_row = r->target_idx;
    }
    if (r->label < 0) return;
    t->labelled++;
    t->positive += r->label == 1;
    score(&t->he, r->pred, r->label);
    score(&t->plain, r->plain_pred, r->label);
}

static void collect(struct tally *t, const struct batch *b) {
    char error[BATCH_ERROR];
    struct result r = {0};
    *t = (struct tally){.failures = json_array()};
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
}

/* 2 hits / (claimed + positive): the harmonic mean of precision and recall. */
static double f1(const struct score *s, int positive) {
    return s->claimed + positive ? 2.0 * s->hit / (s->claimed + positive) : 0;
}

static double share(int part, int of) {
    return of ? (double)part / of : 0;
}

static json_t *real_or_null(double x, int known) {
    return known ? json_real(x) : json_null();
}

static json_t *summary_json(const struct tally *t, const struct batch *b, int computed) {
    const int two = t->labelled && b->s.model->cfg.labels == 2;
    json_t *of_run = json_pack("{s:i, s:f, s:f, s:i}", "rows", computed, "seconds", b->seconds,
                               "rows_per_second", b->seconds > 0 ? computed / b->seconds : 0,
                               "workers", b->mpi ? b->step : b->workers);
    return json_pack(
        "{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:i, s:o, s:o, "
        "s:o, s:O}",
        "start_idx", b->first, "end_idx", b->last, "rows", b->in.n, "done", t->done, "failed",
        t->failed, "missing", t->missing, "labelled", t->labelled, "accuracy",
        real_or_null(share(t->he.right, t->labelled), t->labelled), "plain_accuracy",
        real_or_null(share(t->plain.right, t->labelled), t->labelled), "f1",
        real_or_null(f1(&t->he, t->positive), two), "plain_f1",
        real_or_null(f1(&t->plain, t->positive), two), "agreement",
        real_or_null(share(t->agree, t->done), t->done), "mean_logit_error",
        real_or_null(t->done ? t->error / t->done : 0, t->done), "worst_logit_error",
        real_or_null(t->worst, t->done), "worst_row", t->done ? t->worst_row : -1,
        "compute_seconds_a_row", real_or_null(t->done ? t->compute / t->done : 0, t->done),
        "total_seconds_a_row", real_or_null(t->done ? t->total / t->done : 0, t->done), "this_run",
        of_run, "failures", t->failures);
}

static void print_quality(const struct tally *t, const struct batch *b) {
    const char *name = b->approx ? "approximate" : "encrypted";
    const int two = b->s.model->cfg.labels == 2;
    if (t->labelled) {
        printf("%-15s %10s %10s\n", "", name, "plain");
        printf("%-15s %9.2f%% %9.2f%%   of %d labelled rows\n", "accuracy",
               100 * share(t->he.right, t->labelled), 100 * share(t->plain.right, t->labelled),
               t->labelled);
        if (two)
            printf("%-15s %9.2f%% %9.2f%%\n", "F1", 100 * f1(&t->he, t->positive),
                   100 * f1(&t->plain, t->positive));
    }
    printf("%-15s %d of %d rows predicted as by the plain model (%.2f %%)\n", "agreement", t->agree,
           t->done, 100 * share(t->agree, t->done));
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
    collect(&t, b);
    const int computed = t.done - (b->in.n - b->todos);
    json_t *o = summary_json(&t, b, computed);
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
    return st;
}
