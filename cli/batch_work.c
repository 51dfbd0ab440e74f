#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "bert/encrypted.h"
#include "cli/batch.h"
#include "cli/nexttoken.h"
#include "cli/tagged.h"

/* What a row may fail with while the worker goes on to the next. */
static int is_of_row(int st) {
    return st == THOR_INPUT || st == THOR_RANGE;
}

/* Tokens of the longest row that the model takes; THOR_INPUT says what the first row has when there
 * is none. */
static int find_longest(int *longest, const struct batch *b) {
    struct bert_tokens t;
    char first[BATCH_ERROR] = "it is too long";
    int bucket = 0;
    *longest = 0;
    for (int i = 0; i < b->in.n; i++) {
        const int st = input_tokenize(&t, &b->in.item[i], b->s.model);
        if (st != THOR_OK && i == 0) snprintf(first, sizeof first, "%s", thor_error());
        if (st != THOR_OK || t.n <= *longest) continue;
        if (bert_bucket(&bucket, b->s.model, t.n) == THOR_OK && bucket <= b->s.ranges->tokens)
            *longest = t.n;
    }
    if (*longest) return THOR_OK;
    return thor_fail(
        THOR_INPUT,
        "%.100s: no row from %d to %d is a text that fits in the %d tokens of this model's "
        "calibration; of the first: %.250s",
        b->request.data, b->first, b->last, b->s.ranges->tokens, first);
}

int batch_bucket(struct batch *b) {
    int st = THOR_OK, longest;
    TRY(find_longest(&longest, b));
    if (b->tokens > b->s.ranges->tokens)
        return thor_fail(
            THOR_INPUT,
            "%d tokens: the model was calibrated up to %d; give --tokens %d, or calibrate again",
            b->tokens, b->s.ranges->tokens, b->s.ranges->tokens);
    TRY(session_plan(&b->s, longest > b->tokens ? longest : b->tokens));
    if (b->setup.keys_dir && !b->approx) TRY(session_fit_keys(&b->s));
    b->tokens = b->s.plan->tokens;
out:
    return st;
}

int batch_plan(struct batch *b) {
    b->s.setup.texts = b->todos / (b->workers * b->step);
    return session_plan(&b->s, b->tokens);
}

static int begin_row(struct batch *b, struct result *r, struct bert_tokens *t, int at) {
    int st = THOR_OK;
    const struct input *in = &b->in.item[at];
    result_free(r);
    TRY(input_result(r, in, &b->s.model->cfg));
    TRY(input_tokenize(t, in, b->s.model));
    if (t->n > b->s.plan->tokens)
        return thor_fail(THOR_INPUT,
                         "row %d: the text has %d tokens, this batch takes %d: shorten it",
                         in->index, t->n, b->s.plan->tokens);
out:
    return st;
}

/* Row `at` ended with st: its file, of result or failure. */
static int end_row(struct batch *b, struct result *r, const struct bert_tokens *t, int at, int st) {
    const struct bert_config *c = &b->s.model->cfg;
    if (st == THOR_OK) st = result_is_one(r);
    if (st == THOR_OK) st = next_token(r, b->s.model);
    if (st == THOR_OK) {
        result_judge(r, c);
        st = spans_make(r, c, t, &b->in.item[at], 1);
    }
    if (st == THOR_OK) {
        r->peak_rss_mib = bench_peak_rss_mib();
        st = batch_keep(b, at, r);
    }
    if (st == THOR_RANGE) {
        char row[32];
        snprintf(row, sizeof row, "row %d", b->first + at);
        st = thor_fail_in(st, row);
    }
    if (is_of_row(st)) st = batch_fail(b, at, st, thor_error());
    if (st == THOR_OK) atomic_fetch_add(&b->queue->done, 1);
    return st;
}

/* Position of the next row in the range, -1 at the end. */
static int take(struct batch *b) {
    const int next = atomic_fetch_add(&b->queue->next, b->step);
    return next < b->todos ? b->todo[next] : -1;
}

struct group { /* rows in lock step */
    int n, at[BATCH_GROUP];
    struct result r[BATCH_GROUP];
    struct bert_tokens t[BATCH_GROUP];
};

/* As many rows as go together; those that are refused end here. */
static int gather(struct batch *b, struct group *g, struct batch_worker *w) {
    int st = THOR_OK;
    const int most = b->setup.group > 1 ? b->setup.group : 1;
    for (g->n = 0; g->n < most && (g->at[g->n] = take(b)) >= 0;) {
        const int i = g->n;
        atomic_store(&w->row[i], g->at[i]);
        const int begun = begin_row(b, &g->r[i], &g->t[i], g->at[i]);
        if (begun == THOR_OK)
            g->n++;
        else
            TRY(end_row(b, &g->r[i], &g->t[i], g->at[i], begun));
    }
    if (g->n < most) atomic_store(&w->row[g->n], -1);
out:
    return st;
}

/* When one of several fails by itself, they run one by one. */
static int run_group(struct batch *b, struct group *g) {
    int st = THOR_OK, all = session_group(&b->s, g->r, g->t, g->n);
    const int alone = is_of_row(all) && g->n > 1;
    for (int i = 0; i < g->n; i++)
        TRY(end_row(b, &g->r[i], &g->t[i], g->at[i],
                    alone ? session_group(&b->s, &g->r[i], &g->t[i], 1) : all));
out:
    return st;
}

void batch_no_rows(struct batch_worker *w) {
    for (int i = 0; i < BATCH_GROUP; i++) atomic_store(&w->row[i], -1);
}

static int encrypted_rows(struct batch *b, struct batch_worker *w) {
    int st = THOR_OK;
    struct group *g = calloc(1, sizeof *g); // results are freed when the next take their places
    if (!g) return thor_fail(THOR_MEMORY, "no memory for a group of rows");
    TRY(device_parse(&b->s.device, b->s.setup.device));
    TRY(session_start(&b->s));
    b->s.progress.quiet = 1;
    for (;;) {
        TRY(gather(b, g, w));
        if (!g->n) break;
        TRY(run_group(b, g));
        batch_no_rows(w);
    }
out:
    for (int i = 0; i < BATCH_GROUP; i++) result_free(&g->r[i]);
    free(g);
    return st;
}

static int approximate_row(struct batch *b, int at) {
    struct result r = {0};
    struct bert_tokens t;
    int st = begin_row(b, &r, &t, at);
    if (st == THOR_OK) st = session_approx(&b->s, &r, &t);
    st = end_row(b, &r, &t, at, st);
    result_free(&r);
    return st;
}

/* Rows are independent: a thread each.  The first status that is no row's own stops all. */
static int approximate_rows(struct batch *b, struct batch_worker *w) {
    atomic_int worst = 0;
    if (b->setup.threads) omp_set_num_threads(b->setup.threads);
#pragma omp parallel
    for (int at; atomic_load(&worst) == THOR_OK && (at = take(b)) >= 0;) {
        int st = approximate_row(b, at);
        if (st == THOR_OK) continue;
#pragma omp critical
        snprintf(w->error, sizeof w->error, "%s", thor_error());
        atomic_store(&worst, st);
    }
    return worst ? thor_fail(worst, "%s", w->error) : THOR_OK;
}

int batch_work(struct batch *b, int worker) {
    struct batch_worker *w = &b->queue->worker[worker];
    batch_no_rows(w);
    b->s.setup.device = b->device[worker];
    b->s.setup.quiet |= worker > 0;
    int st = b->approx ? approximate_rows(b, w) : encrypted_rows(b, w);
    if (st != THOR_OK) snprintf(w->error, sizeof w->error, "%s", thor_error());
    atomic_store(&w->ended, 1 + st);
    return st;
}
