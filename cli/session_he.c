/* The encrypted half of a run: engine, keys, server, and one text from tokens to logits. */
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bert/container.h"
#include "bert/input/readfile.h"
#include "bert/reference.h"
#include "cli/plots.h"
#include "cli/session.h"
#include "kernels/shown.h"

/* Logits are published rounded to 2^-LOGIT_BITS: 8 bits above the mean error of a bootstrap
 * (2^-20), and far below what the polynomials leave. */
enum { LOGIT_BITS = 12 };

static int group_size(const struct session *s) {
    return s->setup.group > 1 ? s->setup.group : 1;
}

/* Recordings want keys that stay where they are, and groups enough. */
static int layers_recorded(const struct session *s) {
    return s->cx && s->cx->k->records && !s->setup.compact &&
           s->setup.texts / group_size(s) >= BERT_RECORD_FROM;
}

int session_needs(struct session *s, struct ckks_need **need, int *n) {
    int st = THOR_OK;
    struct ckks *dry = NULL;
    TRY(ckks_open(&dry, s->params, KERN_DRY, KERN_TIER_BEST, s->setup.threads));
    dry->lean = s->setup.compact;
    dry->k->records = layers_recorded(s);
    if (s->cx) dry->k->generates = s->cx->k->generates;
    TRY(bert_dry_group(dry, s->model, s->plan, group_size(s)));
    *n = dry->n_needs;
    *need = malloc((size_t)(*n + 1) * sizeof **need);
    if (!*need) {
        st = thor_fail(THOR_MEMORY, "no memory for the list of keys");
        goto out;
    }
    memcpy(*need, dry->needs, (size_t)*n * sizeof **need);
    s->key_bytes = ckks_needs_bytes(dry, *need, *n);
    s->key_count = *n;
    s->constant_bytes = dry->k->counts.bytes_constant;
    s->work_bytes = dry->k->counts.bytes_peak + dry->kept_bytes + s->constant_bytes;
    s->moved_bytes = dry->k->counts.bytes_moved;
    s->circuit = dry->count;
    free(s->uses);
    s->uses = dry->uses;
    s->n_uses = dry->n_uses;
    dry->uses = NULL;
out:
    ckks_close(dry);
    return st;
}

/* Said once a run, whatever else is quiet. */
static int see_locks(const struct session *s) {
    if (ckks_secrets_locked(s->params)) return THOR_OK;
    if (s->setup.require_locked)
        return thor_fail(
            THOR_IO, "--require-locked: the system locks no memory for secrets; raise ulimit -l");
    fprintf(stderr, "note: the system locks no memory for secrets: a swap could see the key; raise "
                    "ulimit -l, or refuse "
                    "this with --require-locked\n");
    return THOR_OK;
}

int session_open(struct session *s) {
    int st = THOR_OK;
    TRY(see_locks(s));
    TRY(device_open(&s->cx, &s->device, s->params, s->setup.threads));
    s->cx->lean = s->setup.compact;
    s->slots = malloc(2 * (size_t)ckks_slots(s->cx) * sizeof *s->slots);
    if (!s->slots) {
        st = thor_fail(THOR_MEMORY, "no memory for the slots of a ciphertext");
        goto out;
    }
    TRY(ckks_rng_new(&s->rng));
out:
    return st;
}

/* Better one line now than to be stopped half way.  On a CUDA device, one stretch for everything is
 * set aside. */
static int take_room(struct session *s, size_t *keys) {
    int st = THOR_OK;
    char group[32];
    TRY(device_fit(keys, s->cx, &s->device, s->work_bytes));
    TRY(s->cx->k->reserve(s->cx->k, *keys + s->work_bytes - s->constant_bytes));
out:
    snprintf(group, sizeof group, "--group %d", s->setup.group);
    return st != THOR_OK && s->setup.group > 1 ? thor_fail_in(st, group) : st;
}

/* What the plan needs of these keys.  They may have been made for a longer bucket than the texts
 * need: then that bucket is planned for. */
static int fit_plan(struct session *s, const struct ckks_keyfile *f, struct ckks_need **need,
                    int *n) {
    int st = THOR_OK;
    TRY(session_needs(s, need, n));
    while (!ckks_keyfile_covers(f, *need, *n)) {
        free(*need);
        *need = NULL;
        if (session_plan(s, s->plan->tokens + 1) != THOR_OK)
            return thor_fail(
                THOR_KEY,
                "%.300s: the keys lack some that this model needs; make keys with thor keygen "
                "--model %.100s",
                s->setup.keys_dir, s->model_dir);
        TRY(session_needs(s, need, n));
    }
out:
    return st;
}

int session_fit_keys(struct session *s) {
    int st = THOR_OK, n = 0;
    struct ckks *dry = NULL;
    struct ckks_keyfile *f = NULL;
    struct ckks_need *need = NULL;
    TRY(ckks_open(&dry, s->params, KERN_DRY, KERN_TIER_BEST, s->setup.threads));
    TRY(keyset_open_file(&f, dry, s->setup.keys_dir));
    TRY(fit_plan(s, f, &need, &n));
out:
    free(need);
    ckks_keyfile_close(f);
    ckks_close(dry);
    return st;
}

static int load_keys(struct session *s) {
    int st = THOR_OK, n = 0;
    struct ckks_need *need = NULL;
    TRY(keyset_load(&s->keys, s->cx, s->setup.keys_dir, s->setup.insecure != NULL));
    TRY(fit_plan(s, s->keys.file, &need, &n));
    s->key_bytes = ckks_keyfile_memory(s->keys.file, need, n);
    if (s->setup.compact) {
        size_t held = ckks_compact_bytes(s->key_bytes);
        TRY(take_room(s, &held));
        TRY(ckks_keys_stream(&s->keys.eval, s->keys.file, need, n, s->uses, s->n_uses, held));
        s->cx->k->records = 0;
    } else {
        TRY(take_room(s, &s->key_bytes));
        TRY(keyset_take(&s->keys, need, n, &s->progress));
    }
out:
    free(need);
    return st;
}

static int make_keys(struct session *s) {
    int st = THOR_OK, n = 0;
    struct ckks_need *need = NULL;
    TRY(session_needs(s, &need, &n));
    if (!s->setup.quiet)
        fprintf(stderr, "no --keys: making %d keys (%.0f MiB) in memory for this run\n", n + 2,
                (double)s->key_bytes / 1048576);
    TRY(take_room(s, &s->key_bytes));
    TRY(keyset_make(&s->keys, s->cx, need, n, &s->progress));
out:
    free(need);
    return st;
}

/* A container beside the model serves when it holds the weights of the folder and the ranges of its
 * calibration.json; an older one is passed over, a damaged one refused. */
static int take_beside(struct session *s, const char *path) {
    int st = THOR_OK;
    const char *old = NULL;
    struct bert_model *m = NULL;
    struct bert_ranges *r = NULL;
    TRY(bert_container_load(&m, &r, path));
    if (bert_container_match(m, s->model, path) != THOR_OK)
        old = "weights";
    else if (!bert_ranges_same(r, s->ranges))
        old = "ranges";
    if (old && !s->setup.quiet)
        fprintf(stderr, "note: %s is of other %s, and not used; run thor encode again\n",
                shown(path), old);
    if (old) goto out;
    s->container = m;
    m = NULL;
out:
    bert_ranges_free(r);
    bert_model_free(m);
    return st;
}

static int choose_weights(struct session *s) {
    int st = THOR_OK;
    char beside[4200];
    const char *from = s->setup.container;
    snprintf(beside, sizeof beside, "%s/weights.thor", s->model_dir);
    const int all = !s->model->before && !s->model->after; // what lies beside has all layers
    if (!from && all && bert_file_exists(beside)) TRY(take_beside(s, beside));
    if (!from && s->container) from = beside;
    if (s->setup.quiet) goto out;
    if (from)
        fprintf(stderr, "weights of %s\n", shown(from));
    else
        fprintf(stderr, "no --weights: folding the weights of %s in memory\n", shown(s->model_dir));
out:
    return st;
}

int session_start(struct session *s) {
    int st = THOR_OK;
    double began = bench_now();
    s->progress.quiet = s->setup.quiet;
    TRY(choose_weights(s));
    TRY(session_open(s));
    TRY(s->setup.keys_dir ? load_keys(s) : make_keys(s));
    ckks_use_keys(s->cx, s->keys.eval);
    s->keygen = bench_now() - began;
    began = bench_now();
    TRY(bert_server_new(&s->server, s->cx, s->container ? s->container : s->model, s->plan));
    if (layers_recorded(s)) TRY(bert_server_record(s->server, group_size(s)));
    s->encode = bench_now() - began;
out:
    return st;
}

/* ---- hooks of the forward ---- */
static void on_begin(void *ctx, int layer, const char *stage) {
    struct session *s = ctx;
    char what[64];
    if (layer < s->plan->layers)
        snprintf(what, sizeof what, "layer %d: %s", layer, stage);
    else
        snprintf(what, sizeof what, "%s", stage);
    progress_note(&s->progress, s->done, bert_server_stages(s->server), what);
    stages_begin(&s->stages);
}

/* A device works on while the next stage is asked for: where stages are shown, each waits for its
 * end. */
static void on_end(void *ctx, int layer, const char *stage) {
    struct session *s = ctx;
    int st = s->setup.quiet ? THOR_OK : s->cx->k->sync(s->cx->k);
    if (!s->failed) s->failed = st;
    stages_end(&s->stages, layer, stage);
}

static void on_progress(void *ctx, int done, int total) {
    struct session *s = ctx;
    (void)total;
    s->done = done;
}

static void on_see(void *ctx, int layer, enum bert_node node, int index, const struct ckks_ct *ct) {
    struct session *s = ctx;
    const char *name = bert_tensor_of(bert_server_shape(s->server), node)->name;
    struct bert_compare_result r;
    double began = bench_now();
    int st = THOR_OK;
    if (s->failed) return;
    if (s->plots) plots_tensor(s->plots, layer, name);
    TRY(ckks_decrypt(s->slots, NULL, ct, s->keys.secret));
    TRY(bert_compare_node(&r, s->compare, layer, node, index, s->slots));
    stages_error(&s->stages, layer, name, r.err, r.size, r.bound);
out:
    s->failed = st;
    stages_pause(&s->stages, bench_now() - began);
}

static int on_stop(void *ctx) {
    return ((struct session *)ctx)->failed;
}

static int forward(struct session *s, struct ckks_ct *answer, const struct ckks_ct *const *in,
                   int n, double *compute) {
    int st = THOR_OK;
    struct bert_hooks hooks = {
        .ctx = s, .progress = on_progress, .begin = on_begin, .end = on_end, .stop = on_stop};
    double began = bench_now(), before = stages_compute(&s->stages);
    if (s->compare) hooks.see = on_see;
    s->done = 0;
    progress_begin(&s->progress, "forward");
    st = bert_server_forward_group(answer, s->server, in, n, &hooks);
    if (st == THOR_OK) st = s->cx->k->sync(s->cx->k);
    progress_end(&s->progress);
    *compute = s->compare ? stages_compute(&s->stages) - before : bench_now() - began;
    return st;
}

static int seal(struct session *s, struct ckks_ct *in, struct result *r,
                const struct bert_tokens *t) {
    int st = THOR_OK;
    const struct bert_sealer sealer = {.public_key = s->keys.public_key, .rng = s->rng};
    TRY(session_describe(s, r, s->setup.device, t->n));
    TRY(bert_forward(r->plain_logits, s->model, t, NULL));
    TRY(bert_encrypt_input(in, s->cx, s->model, s->plan, t, &sealer));
out:
    return st;
}

/* What is no result says so in r, and does not fail: the other texts of a group have theirs. */
static int unseal(struct session *s, struct result *r, int tokens, const struct ckks_ct *answer) {
    int st = bert_open_answer(r->he_logits, bert_server_shape(s->server), s->model, tokens, answer,
                              s->keys.secret, LOGIT_BITS);
    r->no_result = st == THOR_RANGE;
    s->stages.texts++;
    return r->no_result ? THOR_OK : st;
}

static int compare_with(struct session *s, const struct bert_tokens *t) {
    int st = THOR_OK;
    if (!s->setup.compare && !s->plots) return THOR_OK;
    TRY(bert_compare_new(&s->compare, s->model, s->plan, bert_server_shape(s->server), t));
    if (s->plots) bert_compare_watch(s->compare, plots_point, s->plots);
out:
    return st;
}

int session_group(struct session *s, struct result *r, const struct bert_tokens *t, int n) {
    const struct bert_shape *shape = bert_server_shape(s->server);
    int st = THOR_OK, count = bert_input_count(shape);
    int each = bert_answer_count(shape, &s->model->cfg), all = n * (count + each);
    double began = bench_now(), compute;
    struct ckks_ct *answer = calloc((size_t)all, sizeof *answer);
    const struct ckks_ct **in = calloc((size_t)n, sizeof *in);
    if (!answer || !in) TRY(thor_fail(THOR_MEMORY, "no memory for the input"));
    for (int i = 0; i < n; i++) {
        struct ckks_ct *to = answer + n * each + i * count;
        in[i] = to;
        TRY(seal(s, to, &r[i], &t[i]));
    }
    if (n == 1) TRY(compare_with(s, t));
    TRY(forward(s, answer, in, n, &compute));
    for (int i = 0; i < n; i++) TRY(unseal(s, &r[i], t[i].n, answer + i * each));
    for (int i = 0; i < n; i++) {
        r[i].compute = compute / n;
        r[i].total = (bench_now() - began) / n;
    }
out:
    for (int i = 0; answer && i < all; i++) ckks_ct_free(&answer[i]);
    free(answer);
    free(in);
    bert_compare_free(s->compare);
    s->compare = NULL;
    return st;
}

int session_encrypted(struct session *s, struct result *r, const struct bert_tokens *t) {
    int st = session_group(s, r, t, 1);
    return st == THOR_OK ? result_is_one(r) : st;
}

void session_print(const struct session *s, FILE *f) {
    const struct ckks_params *p = s->params;
    int full = 0, sparse = 0;
    bert_plan_bootstraps(s->plan, &full, &sparse);
    fprintf(f, "\nparameters   %s: N = 2^%d, log QP %.1f, uniform ternary secret\n", p->name,
            p->log_n, p->log_qp);
    if (p->security_bits)
        fprintf(f, "security     %d bits, classical (eprint 2024/463)\n", p->security_bits);
    else
        fprintf(f, "security     NONE: a toy set, for tests only\n");
    fprintf(f, "plan         %d layers, %d tokens, bootstraps: %d full, %d sparse\n",
            s->plan->layers, s->plan->tokens, full, sparse);
    fprintf(f, "keys         %d evaluation keys, %.0f MiB, %s in %.1f s; server ready in %.1f s\n",
            s->keys.eval->n, (double)s->key_bytes / 1048576, s->setup.keys_dir ? "loaded" : "made",
            s->keygen, s->encode);
    fprintf(f, "threads      %d (%s)\n\n", s->cx->k->threads, s->cx->k->tier);
    stages_print(&s->stages, s->plan->layers, s->setup.compare, f);
}
