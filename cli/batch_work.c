#include <omp.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "cli/batch.h"

/* What a row may fail with while the worker goes on to the next. */
static int is_of_row(int st) {
    return st == THOR_INPUT || st == THOR_RANGE;
}

int batch_plan(struct batch *b) {
    int st = THOR_OK, longest = 0, bucket = 0;
    struct bert_tokens t;
    for (int i = 0; i < b->in.n; i++) {
        if (input_tokenize(&t, &b->in.item[i], b->s.model) != THOR_OK || t.n <= longest) continue;
        if (bert_bucket(&bucket, b->s.model, t.n) == THOR_OK && bucket <= b->s.ranges->tokens) longest = t.n;
    }
    if (!longest)
        return thor_fail(THOR_INPUT, "%.200s: no row from %d to %d is a text that fits in the %d tokens of this model's "
                         "calibration", b->request.data, b->first, b->last, b->s.ranges->tokens);
    st = session_plan(&b->s, longest);
    return st;
}

static int classify(struct batch *b, struct result *r, int at) {
    int st = THOR_OK;
    struct bert_tokens t;
    const struct input *in = &b->in.item[at];
    *r = (struct result){.dataset_type = in->dataset_type, .target_idx = in->index, .label = in->label};
    TRY(input_tokenize(&t, in, b->s.model));
    if (t.n > b->s.plan->tokens)
        return thor_fail(THOR_INPUT, "row %d: the text has %d tokens, this batch takes %d: shorten it", in->index, t.n,
                         b->s.plan->tokens);
    TRY(b->approx ? session_approx(&b->s, r, &t) : session_encrypted(&b->s, r, &t));
    result_judge(r);
    r->peak_rss_mib = bench_peak_rss_mib();
out:
    return st;
}

static int one_row(struct batch *b, int at) {
    struct result r;
    int st = classify(b, &r, at);
    if (st == THOR_OK) st = batch_keep(b, at, &r);
    if (is_of_row(st)) st = batch_fail(b, at, st, thor_error());
    if (st == THOR_OK) atomic_fetch_add(&b->queue->done, 1);
    return st;
}

/* Position of the next row in the range, -1 at the end. */
static int take(struct batch *b) {
    const int next = atomic_fetch_add(&b->queue->next, b->step);
    return next < b->todos ? b->todo[next] : -1;
}

static int encrypted_rows(struct batch *b, struct batch_worker *w) {
    int st = THOR_OK;
    TRY(device_parse(&b->s.device, b->s.setup.device));
    TRY(session_start(&b->s));
    b->s.progress.quiet = 1;
    for (int at; (at = take(b)) >= 0;) {
        atomic_store(&w->row, at);
        TRY(one_row(b, at));
        atomic_store(&w->row, -1);
    }
out:
    return st;
}

/* Rows are independent: a thread each.  The first status that is no row's own stops all. */
static int approximate_rows(struct batch *b, struct batch_worker *w) {
    atomic_int worst = 0;
    if (b->setup.threads) omp_set_num_threads(b->setup.threads);
#pragma omp parallel
    for (int at; atomic_load(&worst) == THOR_OK && (at = take(b)) >= 0;) {
        int st = one_row(b, at);
        if (st == THOR_OK) continue;
#pragma omp critical
        snprintf(w->error, sizeof w->error, "%s", thor_error());
        atomic_store(&worst, st);
    }
    return worst ? thor_fail(worst, "%s", w->error) : THOR_OK;
}

int batch_work(struct batch *b, int worker) {
    struct batch_worker *w = &b->queue->worker[worker];
    atomic_store(&w->row, -1);
    b->s.setup.device = b->device[worker];
    b->s.setup.quiet |= worker > 0;
    int st = b->approx ? approximate_rows(b, w) : encrypted_rows(b, w);
    if (st != THOR_OK) snprintf(w->error, sizeof w->error, "%s", thor_error());
    atomic_store(&w->ended, 1 + st);
    return st;
}
