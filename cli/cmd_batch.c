/* thor batch: a range of rows over one worker process a device, or over the ranks of MPI. */
#include <errno.h>
#include <omp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "cli/batch.h"
#include "cli/options.h"
#include "cli/ranks.h"

enum { POLL = 100000 }; // microseconds between two looks at the workers
static const double NOTE_EVERY =
    5.0; // seconds between two lines of progress where there is no terminal

static int read_devices(struct batch *b, char *list) {
    for (char *name; (name = strsep(&list, ","));) {
        if (b->workers == BATCH_DEVICES)
            return thor_fail(THOR_USAGE, "--devices: more than %d", BATCH_DEVICES);
        for (int i = 0; i < b->workers; i++)
            if (strcmp(b->device[i], name) == 0)
                return thor_fail(THOR_USAGE,
                                 "--devices: %.40s twice; one worker has a whole device", name);
        if (strcmp(name, "cpu") != 0 && strncmp(name, "cuda", 4) != 0)
            return thor_fail(THOR_USAGE,
                             "--devices %.40s: no such device; name cpu, cuda:0, cuda:1, ..", name);
        b->device[b->workers++] = name;
    }
    if (b->approx && (b->workers > 1 || strcmp(b->device[0], "cpu") != 0))
        return thor_fail(THOR_USAGE, "--approx computes on the CPU; leave --devices away");
    return THOR_OK;
}

static int read_options(struct batch *b, int argc, char **argv) {
    int st = THOR_OK;
    struct session_setup *s = &b->setup;
    b->first = 0;
    b->last = INPUTS_END;
    b->devices = "cpu";
    const struct option_spec options[] = {
        {"data", "FILE", OPTION_TEXT, &b->request.data, 0, 0,
         "a table of texts (GLUE's layouts), or one text a line"},
        option_columns(&b->request.columns),
        {"start-idx", "A", OPTION_INT, &b->first, 0, 1000000, "first row, from 0 (0)"},
        {"end-idx", "B", OPTION_INT, &b->last, 0, 1000000, "last row, included (the table's last)"},
        {"output-dir", "DIR", OPTION_TEXT, &b->dir, 0, 0,
         "one folder a row: DIR/000017/result.json"},
        {"devices", "LIST", OPTION_TEXT, &b->devices, 0, 0,
         "one worker each: cpu (default), or cuda:0,cuda:1,.."},
        option_model(&s->model_dir),
        {"keys", "DIR", OPTION_TEXT, &s->keys_dir, 0, 0,
         "keys of thor keygen (each worker makes its own)"},
        option_weights(&s->container),
        {"tokens", "T", OPTION_INT, &b->tokens, 1, 1024,
         "length bucket, at least (of the longest row, or of the keys)"},
        option_threads(&s->threads),
        {"group", "N", OPTION_INT, &s->group, 1, BATCH_GROUP,
         "rows in lock step: weights encoded once for N (1)"},
        option_compact(&s->compact),
        {"approx", NULL, OPTION_FLAG, &b->approx, 0, 0,
         "no encryption: the polynomials in doubles, a row a thread"},
        {"mpi", NULL, OPTION_FLAG, &b->mpi, 0, 0,
         "share the rows among the ranks of mpirun; one device each"},
        option_layers(&b->layers),
        {"metric", "topk", OPTION_TEXT, &b->metric, 0, 0,
         "of a GPT-2: the next token's top-1, top-5, top-10 and KL (what the head has)"},
        {"json", NULL, OPTION_FLAG, &b->json, 0, 0, "print only summary.json"},
        option_require_locked(&s->require_locked),
        option_toy_set(&s->insecure),
        {0}};
    const struct command_spec spec = {
        "batch",
        "--data FILE --output-dir DIR [--start-idx A] [--end-idx B] [OPTIONS]",
        "Classify rows A to B (both included).  Rows that have a complete result are passed over, "
        "so that the same\n"
        "command goes on where it was stopped, in whatever way.  DIR/summary.json counts all rows "
        "of the range.",
        "  thor batch --data dev.tsv --end-idx 407 --keys keys --devices cuda:0,cuda:1 "
        "--output-dir results\n"
        "  thor batch --data data/examples.tsv --approx --output-dir approx\n"
        "  thor batch --model data/gpt2-tiny --metric topk --data data/gpt2-tiny/held-back.txt "
        "--approx --output-dir next\n"
        "  mpirun -n 4 thor batch --mpi --data dev.tsv --keys keys --output-dir results\n",
        options,
        0};
    TRY(options_parse(&spec, argc, argv, NULL));
    if (!b->request.data || !b->dir)
        return thor_fail(THOR_USAGE, "--%s is missing; see thor batch --help",
                         b->dir ? "data" : "output-dir");
    if (strcmp(b->request.data, "-") == 0)
        return thor_fail(THOR_USAGE,
                         "--data -: a batch goes on where it was stopped, which wants a file");
    if (b->last < b->first)
        return thor_fail(THOR_USAGE, "--end-idx %d is before --start-idx %d", b->last, b->first);
    if (b->metric && strcmp(b->metric, "topk") != 0)
        return thor_fail(THOR_USAGE, "--metric %.40s: there is topk, of a GPT-2", b->metric);
    if (s->group > 1 && (b->approx || s->compact))
        return thor_fail(THOR_USAGE, "--group is not for %s: leave one of them away",
                         b->approx ? "--approx" : "--compact");
    b->request.rows = (struct option_spans){.first = {b->first}, .last = {b->last}, .n = 1};
    s->quiet = b->json || b->approx;
    if (b->approx) TRY(session_unencrypted(s, "--approx"));
out:
    return st;
}

static int check_metric(const struct batch *b) {
    if (!b->metric || bert_is_causal(&b->s.model->cfg)) return THOR_OK;
    return thor_fail(THOR_MODEL, "--metric topk: the model is no GPT-2: leave it away, and what "
                                 "the model's head gives is counted");
}

/* Texts, model and plan: shared by all workers, for they are forked from here.  No thread may have
 * run before. */
static int prepare(struct batch *b) {
    int st = THOR_OK;
    TRY(inputs_open(&b->in, &b->request));
    b->last = b->first + b->in.n - 1;
    TRY(session_load(&b->s, &b->setup));
    if (b->embed) TRY(embed_check(&b->s.model->cfg));
    TRY(check_metric(b));
    TRY(session_split(&b->s, &b->layers));
    TRY(inputs_labels(&b->in, &b->s.model->cfg));
    TRY(batch_bucket(b));
out:
    return st;
}

static int claim(struct batch *b) {
    int st = THOR_OK;
    TRY(batch_claim(b));
    TRY(batch_find_todo(b));
    if (!b->json && b->todos < b->in.n)
        printf("%d of %d rows have a result already\n", b->in.n - b->todos, b->in.n);
out:
    return st;
}

/* ---- workers as processes */

static int spawn(pid_t *pid, struct batch *b, int w) {
    const pid_t parent = getpid();
    fflush(NULL);
    *pid = fork();
    if (*pid < 0) return thor_fail(THOR_MEMORY, "cannot start a worker: %s", strerror(errno));
    if (*pid > 0) return THOR_OK;
    batch_unclaim();
    interrupt_silently();
    prctl(PR_SET_PDEATHSIG, SIGTERM); // a worker does not outlive its parent
    if (getppid() != parent) _exit(THOR_INTERRUPTED);
    interrupt_release();
    int st = batch_work(b, w);
    fflush(NULL);
    _exit(st);
}

/* A worker that was killed takes its rows with it; 1 when another may go on in its place. */
static int after_death(struct batch *b, int w, int sig) {
    char line[BATCH_ERROR];
    atomic_int *row = b->queue->worker[w].row;
    snprintf(line, sizeof line, "the worker of %s was killed by signal %d%s", b->device[w], sig,
             sig == SIGKILL ? " (out of memory?)" : "");
    if (atomic_load(&row[0]) < 0 || b->approx) {
        snprintf(b->queue->worker[w].error, BATCH_ERROR, "%s", line);
        atomic_store(&b->queue->worker[w].ended, 1 + THOR_INTERNAL);
        return 0;
    }
    for (int i = 0; i < BATCH_GROUP; i++) {
        const int at = atomic_load(&row[i]);
        if (at >= 0 && batch_fail(b, at, THOR_INTERNAL, line) != THOR_OK) return 0;
    }
    return 1;
}

static int look_after(pid_t *pid, struct batch *b, int w, int stopping) {
    int status;
    if (*pid <= 0 || waitpid(*pid, &status, WNOHANG) != *pid) return THOR_OK;
    *pid = 0;
    if (stopping || !WIFSIGNALED(status)) return THOR_OK;
    return after_death(b, w, WTERMSIG(status)) ? spawn(pid, b, w) : THOR_OK;
}

static void show(struct progress *p, const struct batch *b, double *noted) {
    char what[64];
    const int done = atomic_load(&b->queue->done);
    if (p->tty) {
        progress_step(p, done, b->todos);
    } else if (done != (int)p->drawn && bench_now() - *noted > NOTE_EVERY) {
        snprintf(what, sizeof what, "%d of %d rows", done, b->todos);
        progress_note(p, done, b->todos, what);
        *noted = bench_now();
        p->drawn = done;
    }
}

static int run_workers(struct batch *b) {
    int st = THOR_OK, living = 1, stopping = 0;
    pid_t pid[BATCH_DEVICES] = {0};
    struct progress p = {.quiet = b->json};
    double noted = bench_now();
    progress_begin(&p, "batch");
    for (int w = 0; w < b->workers && st == THOR_OK; w++) st = spawn(&pid[w], b, w);
    while (living) {
        if (!stopping && (st != THOR_OK || interrupt_pending() != THOR_OK)) {
            stopping = 1;
            for (int w = 0; w < b->workers; w++)
                if (pid[w] > 0) kill(pid[w], SIGTERM);
        }
        living = 0;
        for (int w = 0; w < b->workers; w++) {
            int now = look_after(&pid[w], b, w, stopping);
            if (now != THOR_OK) st = now;
            living += pid[w] > 0;
        }
        show(&p, b, &noted);
        if (living) usleep(POLL);
    }
    b->seconds = progress_end(&p);
    return st;
}

static int queue_new(struct batch *b) {
    void *at =
        mmap(NULL, sizeof *b->queue, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return thor_fail(THOR_MEMORY, "no memory for a queue of rows");
    b->queue = at;
    for (int w = 0; w < BATCH_DEVICES; w++) batch_no_rows(&b->queue->worker[w]);
    b->step = 1;
    return THOR_OK;
}

/* The error of the first worker that ended with one. */
static int workers_status(const struct batch *b) {
    for (int w = 0; w < b->workers; w++) {
        const struct batch_worker *x = &b->queue->worker[w];
        const int st = atomic_load(&x->ended) - 1;
        if (st > THOR_OK) return thor_fail(st, "%s: %s", b->device[w], x->error);
    }
    return THOR_OK;
}

static int finish(const struct batch *b) {
    int st = THOR_OK, failed = 0;
    TRY(batch_summary(b, &failed));
    if (interrupt_pending() != THOR_OK)
        return thor_fail(THOR_INTERRUPTED,
                         "interrupted; the same command goes on with the rows that are missing");
    TRY(workers_status(b));
    if (failed) st = thor_fail(failed, "some rows have no result; see %.300s/summary.json", b->dir);
out:
    return st;
}

static int on_cpu_alone(const struct batch *b) {
    for (int w = 0; w < b->workers; w++)
        if (strcmp(b->device[w], "cpu") != 0) return 0;
    return 1;
}

/* All devices are there: asked before the folder is written, by a process of its own, for CUDA once
 * awake in this one would not live on in the workers. */
static int find_devices(struct batch *b) {
    int status = 0;
    if (on_cpu_alone(b)) return THOR_OK;
    struct device_choice d;
    char *error = b->queue->worker[0].error;
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        int st = THOR_OK;
        for (int w = 0; w < b->workers && st == THOR_OK; w++) st = device_parse(&d, b->device[w]);
        snprintf(error, BATCH_ERROR, "%s", thor_error());
        _exit(st);
    }
    if (pid < 0) return thor_fail(THOR_MEMORY, "cannot start a worker: %s", strerror(errno));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) == THOR_OK) return THOR_OK;
    if (!WIFEXITED(status)) return thor_fail(THOR_INTERNAL, "the search for devices was killed");
    return thor_fail(WEXITSTATUS(status), "%s", error);
}

static int over_processes(struct batch *b) {
    int st = THOR_OK;
    TRY(prepare(b));
    TRY(find_devices(b));
    TRY(claim(b));
    if (b->todos) {
        TRY(batch_plan(b));
        omp_pause_resource_all(omp_pause_hard); // threads do not live on in a forked process
        interrupt_hold();
        TRY(run_workers(b));
    }
    TRY(finish(b));
out:
    return st;
}

/* ---- workers as ranks: each has every `step`-th row of rank 0's list */

static int share_todo(struct batch *b, int rank) {
    ranks_share(&b->todos, 1);
    if (rank) b->todo = calloc((size_t)b->todos + 1, sizeof *b->todo);
    if (ranks_worst(b->todo ? THOR_OK : THOR_MEMORY) != THOR_OK)
        return thor_fail(THOR_MEMORY, "no memory for %d rows", b->todos);
    ranks_share(b->todo, b->todos);
    return THOR_OK;
}

static int over_ranks(struct batch *b) {
    int st = THOR_OK, rank, worst;
    TRY(ranks_start(&rank, &b->step));
    atomic_store(&b->queue->next, rank);
    b->setup.quiet |= rank > 0;
    st = prepare(b);
    if (st == THOR_OK && rank == 0) st = claim(b);
    worst = ranks_worst(st);
    if (worst != THOR_OK)
        return st != THOR_OK ? st : thor_fail(worst, "another rank has failed; see its line");
    ranks_share(&b->tokens, 1);
    TRY(share_todo(b, rank));
    b->device[0] = b->device[rank % b->workers];
    b->workers = 1;
    double began = bench_now();
    if (b->todos) st = batch_plan(b);
    if (b->todos && st == THOR_OK) st = batch_work(b, 0);
    ranks_worst(st); // all have ended
    b->seconds = bench_now() - began;
    if (rank == 0 && st == THOR_OK) st = finish(b);
out:
    return st;
}

int batch_run(struct batch *b) {
    int st = THOR_OK;
    char *list = strdup(b->devices);
    if (!list) TRY(thor_fail(THOR_MEMORY, "no memory to start"));
    TRY(read_devices(b, list));
    TRY(queue_new(b));
    TRY(b->mpi ? over_ranks(b) : over_processes(b));
out:
    ranks_end();
    free(list);
    return st;
}

void batch_close(struct batch *b) {
    session_close(&b->s);
    inputs_close(&b->in);
    if (b->queue) munmap(b->queue, sizeof *b->queue);
    free(b->todo);
    free(b);
}

int cmd_batch(int argc, char **argv) {
    int st = THOR_OK;
    struct batch *b = calloc(1, sizeof *b);
    if (!b) return thor_fail(THOR_MEMORY, "no memory to start");
    TRY(read_options(b, argc, argv));
    TRY(batch_run(b));
out:
    batch_close(b);
    return st;
}
