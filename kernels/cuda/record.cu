/* Recordings as CUDA graphs.
 *
 * First pass over some work: done as it is asked, while the rows that it allocates are placed a
 * second time in a stretch without end, whose height is what the work needs.  Second pass: the
 * stream captures, and rows come from a workspace of that height, placed by the same rule.  Then
 * one launch each; the workspace stays, so the addresses in the graph do.  All recordings share one
 * workspace, since the stream runs them one after the other.  What lift and encode read goes to the
 * device once, in the first pass, and stays; the second must bring the same.  What a capture cannot
 * hold (another copy from the host, a wait, memory beyond the workspace) ends it, and the work is
 * never recorded. */
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/device.cuh"

static struct record *find(struct device *d, uint64_t id) {
    struct record *r = d->records;
    while (r && r->id != id) r = r->next;
    return r;
}

static struct record *make(struct device *d, uint64_t id) {
    struct record *r = (struct record *)calloc(1, sizeof *r);
    if (!r) return NULL;
    r->id = id;
    r->next = d->records;
    return d->records = r;
}

/* counts += or -= the work between two moments; memory is no work */
static void counts_plus(struct kernels_counts *c, const struct kernels_counts *more,
                        uint64_t sign) {
    const struct kernels_counts was = *c;
    uint64_t *x = (uint64_t *)c;
    for (size_t i = 0; i < sizeof *c / sizeof *x; i++) x[i] += sign * ((const uint64_t *)more)[i];
    c->bytes_now = was.bytes_now, c->bytes_peak = was.bytes_peak;
    c->bytes_constant = was.bytes_constant;
}

/* ---- what lift and encode read ---- */

static void forget_kept(struct device *d, struct record *r) {
    for (int i = 0; i < r->n; i++) {
        memory_give_pool(d, &r->kept[i].at);
        count_forgotten(&d->k, r->kept[i].at.bytes);
    }
    free(r->kept);
    r->kept = NULL;
    r->n = r->cap = 0;
}

static struct constant *new_constant(struct record *r) {
    if (r->n == r->cap) {
        const int cap = r->cap ? 2 * r->cap : 64;
        void *more = realloc(r->kept, (size_t)cap * sizeof *r->kept);
        if (!more) return NULL;
        r->kept = (struct constant *)more;
        r->cap = cap;
    }
    memset(&r->kept[r->n], 0, sizeof *r->kept);
    return &r->kept[r->n];
}

static const void *keep(struct device *d, struct record *r, const void *host, size_t bytes) {
    struct constant *c = new_constant(r);
    if (c) c->at.bytes = bytes;
    if (!c || memory_take_pool(d, &c->at)) {
        r->state = NEVER;
        return NULL;
    }
    count_constant(&d->k, bytes);
    c->sum = XXH3_128bits(host, bytes);
    memory_upload(d, c->at.p, host, bytes);
    r->n++;
    return c->at.p;
}

const void *record_keep(struct device *d, const void *host, size_t bytes) {
    struct record *r = d->now;
    if (d->mode == MEASURING && r->state != NEVER) return keep(d, r, host, bytes);
    if (d->mode != CAPTURING) return NULL;
    const struct constant *c = r->next_kept < r->n ? &r->kept[r->next_kept++] : NULL;
    if (c && c->at.bytes == bytes && XXH128_isEqual(c->sum, XXH3_128bits(host, bytes)))
        return c->at.p;
    record_break(d);
    return NULL;
}

/* ---- graphs and their workspace ---- */

/* It may still run. */
static void forget_graph(struct device *d, struct record *r) {
    if (r->graph) {
        record_break(d);
        device_note(d, "record", cudaStreamSynchronize(d->stream));
        cudaGraphExecDestroy(r->graph);
    }
    if (r->state == RECORDED) r->state = MEASURED;
    r->graph = NULL;
}

/* The workspace holds at least `bytes`; graphs of a smaller one are made anew when they come up. */
static int workspace_ready(struct device *d, size_t bytes) {
    if (d->work.size >= bytes) return 1;
    if (d->work_base && !record_forget_workspace(d)) return 0;
    d->work_span.bytes = bytes;
    if (memory_take(d, &d->work_span)) return 0;
    d->work_base = (char *)d->work_span.p;
    extents_open(&d->work, bytes);
    return 1;
}

int record_forget_workspace(struct device *d) {
    if (!d->work_base || d->mode == CAPTURING || d->work.top) return 0;
    for (struct record *r = d->records; r; r = r->next) forget_graph(d, r);
    memory_give(d, &d->work_span);
    extents_close(&d->work);
    d->work_base = NULL;
    return 1;
}

static void cuda_record_begin(struct kernels *k, uint64_t id) {
    struct device *d = device_enter(k, "record");
    struct record *r = find(d, id);
    if (!k->records || d->now || (!r && !(r = make(d, id)))) return;
    d->now = r;
    d->began = k->counts;
    d->live = 0;
    r->next_kept = 0;
    if (r->state == UNSEEN) {
        d->pass++;
        d->mode = MEASURING;
        extents_open(&d->shadow, SIZE_MAX / 2);
    } else if (r->state == MEASURED && workspace_ready(d, r->bytes)) {
        const cudaError_t e = cudaStreamBeginCapture(d->stream, cudaStreamCaptureModeThreadLocal);
        if (e == cudaSuccess)
            d->mode = CAPTURING;
        else
            r->state = NEVER;
        cudaGetLastError();
    }
}

static int end_measuring(struct device *d, struct record *r) {
    if (r->state != NEVER) r->state = d->live ? NEVER : MEASURED;
    r->bytes = d->shadow.high;
    extents_close(&d->shadow);
    return 1;
}

static int end_capturing(struct device *d, struct record *r) {
    cudaGraph_t g = NULL;
    cudaError_t e = cudaStreamEndCapture(d->stream, &g);
    if (e == cudaSuccess && d->live) e = cudaErrorIllegalState;
    if (e == cudaSuccess) e = cudaGraphInstantiate(&r->graph, g, 0);
    if (g) cudaGraphDestroy(g);
    cudaGetLastError();
    r->state = e == cudaSuccess ? RECORDED : NEVER;
    if (e != cudaSuccess) r->graph = NULL;
    r->work = d->k.counts;
    counts_plus(&r->work, &d->began, -1ull);
    counts_plus(&d->k.counts, &r->work, -1ull);
    return e == cudaSuccess && d->k.replay(&d->k, r->id);
}

/* What comes next does not fit a recording: what was captured so far is done, and work goes on as
 * it is asked. */
void record_break(struct device *d) {
    cudaGraph_t g = NULL;
    cudaGraphExec_t x = NULL;
    if (d->mode != CAPTURING) return;
    cudaError_t e = cudaStreamEndCapture(d->stream, &g);
    if (e == cudaSuccess) e = cudaGraphInstantiate(&x, g, 0);
    if (e == cudaSuccess) e = cudaGraphLaunch(x, d->stream);
    if (e == cudaSuccess) e = cudaStreamSynchronize(d->stream);
    if (x) cudaGraphExecDestroy(x);
    if (g) cudaGraphDestroy(g);
    cudaGetLastError();
    d->now->state = NEVER;
    d->mode = e == cudaSuccess ? BROKEN : LOST;
}

/* Nothing of the work is wanted. */
static void give_up(struct device *d) {
    cudaGraph_t g = NULL;
    if (d->mode != CAPTURING) return;
    cudaStreamEndCapture(d->stream, &g);
    if (g) cudaGraphDestroy(g);
    cudaGetLastError();
    d->mode = LOST;
}

static int cuda_record_end(struct kernels *k, uint64_t id, int keep) {
    struct device *d = device_of(k);
    struct record *r = d->now;
    if (!r || r->id != id) return 1;
    device_enter(k, "record");
    if (!keep) give_up(d);
    const enum record_mode mode = d->mode;
    d->now = NULL;
    d->mode = LIVE;
    int done = mode != LOST;
    if (mode == MEASURING) done = end_measuring(d, r);
    if (mode == CAPTURING) done = end_capturing(d, r);
    if (mode == LOST) {
        struct kernels_counts work = k->counts;
        counts_plus(&work, &d->began, -1ull);
        counts_plus(&k->counts, &work, -1ull);
    }
    if (r->state == NEVER) forget_kept(d, r);
    if (!keep) k->record_drop(k, id);
    return done;
}

static int cuda_replay(struct kernels *k, uint64_t id) {
    struct device *d = device_of(k);
    struct record *r = find(d, id);
    if (!r || r->state != RECORDED || d->now) return 0;
    device_enter(k, "replay");
    device_note(d, "replay", cudaGraphLaunch(r->graph, d->stream));
    device_leave(d, "replay");
    counts_plus(&k->counts, &r->work, 1);
    k->counts.replays++;
    return 1;
}

static void cuda_record_drop(struct kernels *k, uint64_t id) {
    struct device *d = device_enter(k, "record");
    for (struct record **at = &d->records; *at;) {
        struct record *r = *at;
        if ((id && r->id != id) || r == d->now) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        forget_graph(d, r);
        forget_kept(d, r);
        free(r);
    }
    if (!d->records) record_forget_workspace(d);
}

void record_entries(struct kernels *k) {
    const char *wish = getenv("THOR_GRAPHS");
    k->records = !wish || strcmp(wish, "0") != 0;
    k->replay = cuda_replay;
    k->record_begin = cuda_record_begin, k->record_end = cuda_record_end;
    k->record_drop = cuda_record_drop;
}
