#include "cli/tunejob.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>
#include <xxhash.h>

#include "cli/cli.h"

int tune_number(double *x, const char *option, const char *text, double min, double max) {
    char *end;
    if (!text) return THOR_OK;
    errno = 0;
    const double v = strtod(text, &end);
    if (end == text || *end || errno || !isfinite(v) || v < min || v > max)
        return thor_fail(THOR_USAGE, "--%s %.40s: not a number from %g to %g", option, text, min,
                         max);
    *x = v;
    return THOR_OK;
}

/* ---- model and service ---- */

int tune_model_open(struct tune_job *j, const char *folder) {
    int st = THOR_OK;
    *j = (struct tune_job){0};
    TRY(split_base_read(&j->base, folder));
    TRY(split_model_open(&j->model, folder));
out:
    return st;
}

const char *tune_where_name(const struct tune_where *w) {
    return w->plain ? "plain" : w->server ? "server" : "local";
}

static int open_remote(struct tune_job *j, const char *folder, const struct tune_where *w) {
#ifdef THOR_REMOTE
    return split_remote_open(&j->service, folder, w);
#else
    (void)j, (void)folder, (void)w;
    return thor_fail(THOR_USAGE, "--server: this program was built without libcurl; use --local");
#endif
}

int tune_service_open(struct tune_job *j, const char *folder, const struct tune_where *w) {
    if (w->plain + w->local + (w->server != NULL) > 1)
        return thor_fail(THOR_USAGE, "--plain, --local and --server exclude each other");
    if (w->threads) omp_set_num_threads(w->threads);
    if (w->server) return open_remote(j, folder, w);
    if (!w->plain) return split_local_open(&j->service, folder, NULL, 0, w->threads);
    fputs("thor: --plain: NOTHING IS ENCRYPTED; the service of the frozen weights sees the hidden "
          "states of every text\n",
          stderr);
    return split_plain_open(&j->service, folder);
}

json_t *tune_traffic(const struct split_service *s) {
    const struct split_traffic *t = &s->traffic;
    return json_pack("{s:I, s:I, s:I, s:f}", "rounds", (json_int_t)t->rounds, "up",
                     (json_int_t)t->up, "down", (json_int_t)t->down, "server_seconds",
                     t->server_seconds);
}

void tune_job_close(struct tune_job *j) {
    if (j->service) j->service->close(j->service);
    split_model_free(j->model);
    *j = (struct tune_job){0};
}

/* ---- rows as texts ---- */

struct reading {
    struct tune_data *d;
    const struct split_model *m;
    const char *path;
    int labels, tokens, wanted;
    struct bert_tokens *one;
    size_t used, room; /* of d->block */
};

static int bad_row(const struct reading *r, int i, const char *what, const char *name) {
    return thor_fail(THOR_INPUT, "%.200s: row %d: %s%.60s", r->path, i, what, name);
}

static int set_label(struct reading *r, int i) {
    const struct bert_row *row = &r->d->table->row[i];
    struct split_text *t = &r->d->text[i];
    t->label = r->labels ? row->label : -1;
    for (int l = 0; r->labels && row->label_name && l < r->labels; l++)
        if (strcasecmp(row->label_name, split_model_label(r->m, l)) == 0) t->label = l;
    if (!r->labels || !r->wanted) return t->label < r->labels ? THOR_OK : bad_row(r, i, "", "");
    if (t->label < 0 && row->label_name)
        return bad_row(r, i, "the model has no label ", row->label_name);
    if (t->label < 0) return bad_row(r, i, "has no label, and training wants one", "");
    if (t->label >= r->labels) return bad_row(r, i, "its label is not one of the model's", "");
    return THOR_OK;
}

/* Offsets into the block until it has its last place: ids, then types or targets. */
static int keep(struct reading *r, int i) {
    const struct bert_tokens *k = r->one;
    const size_t n = (size_t)k->n;
    if (r->used + 2 * n > r->room) {
        const size_t room = 2 * r->room + 2 * n + 4096;
        int *grown = realloc(r->d->block, room * sizeof *grown);
        if (!grown) return thor_fail(THOR_MEMORY, "no memory for the tokens of %d rows", r->d->n);
        r->d->block = grown;
        r->room = room;
    }
    int *ids = r->d->block + r->used, *second = ids + n;
    memcpy(ids, k->ids, n * sizeof *ids);
    if (r->labels)
        memcpy(second, k->type_ids, n * sizeof *second);
    else
        for (size_t t = 0; t < n; t++) second[t] = t + 1 < n ? k->ids[t + 1] : -1;
    r->d->text[i].n = k->n;
    r->used += 2 * n;
    return THOR_OK;
}

static void place(struct reading *r) {
    const int *at = r->d->block;
    for (int i = 0; i < r->d->n; i++) {
        struct split_text *t = &r->d->text[i];
        t->ids = at;
        if (r->labels)
            t->types = at + t->n;
        else
            t->targets = at + t->n;
        at += 2 * t->n;
        r->d->hash = XXH3_64bits_withSeed(t->ids, 2 * (size_t)t->n * sizeof *at, r->d->hash);
        r->d->hash = XXH3_64bits_withSeed(&t->label, sizeof t->label, r->d->hash);
    }
}

static int read_row(struct reading *r, int i) {
    int st = THOR_OK;
    char where[260];
    const struct bert_row *row = &r->d->table->row[i];
    snprintf(where, sizeof where, "%.200s: row %d", r->path, i);
    st = split_tokenize(r->one, r->m, row->text, row->text2, r->tokens);
    if (st != THOR_OK) return thor_fail_in(st, where);
    if (!r->labels && r->one->n < 2) return bad_row(r, i, "one token alone foretells nothing", "");
    TRY(set_label(r, i));
    TRY(keep(r, i));
out:
    return st;
}

int tune_data_open(struct tune_data *d, const struct split_model *m, const char *path,
                   const char *columns, int tokens, int wanted) {
    int st = THOR_OK;
    struct reading r = {.d = d, .m = m, .path = path, .tokens = tokens, .wanted = wanted};
    *d = (struct tune_data){0};
    r.labels = split_model_config(m)->labels;
    r.one = malloc(sizeof *r.one);
    TRY(bert_table_load(&d->table, path, columns));
    d->n = d->table->n;
    d->text = calloc((size_t)d->n + 1, sizeof *d->text);
    if (!r.one || !d->text) TRY(thor_fail(THOR_MEMORY, "no memory for %d rows", d->n));
    for (int i = 0; i < d->n; i++) TRY(read_row(&r, i));
    place(&r);
out:
    free(r.one);
    if (st != THOR_OK) tune_data_close(d);
    return st;
}

void tune_data_close(struct tune_data *d) {
    bert_table_free(d->table);
    free(d->text);
    free(d->block);
    *d = (struct tune_data){0};
}

/* ---- an adapter to start from ---- */

int tune_adapter_make(struct split_adapter *a, const struct tune_job *j, const struct tune_shape *s,
                      const uint8_t *seed) {
    int st = THOR_OK;
    struct split_adapter_ask ask;
    unsigned maps;
    *a = (struct split_adapter){0};
    TRY(split_maps_parse(&maps, s->maps, j->base.in));
    split_base_ask(&ask, &j->base, maps);
    ask.rank = s->rank;
    ask.alpha = s->alpha;
    ask.frozen_a = s->frozen_a;
    if (!s->head) ask.labels = 0;
    TRY(split_adapter_make(a, &ask, seed));
    if (a->labels) split_model_head(a->head_w, a->head_b, j->model);
out:
    return st;
}
