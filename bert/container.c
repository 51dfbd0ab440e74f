/* Format of the weight container, version 6; all numbers little endian, XXH3 is XXH3-64.
 *
 *   header, 96 bytes   struct disk_head
 *   table              16 bytes a block, struct disk_block: type, zero, XXH3 of the block
 *   check, 8 bytes     XXH3 of header and table
 *   blocks             one behind the other, no gaps
 *
 * Order of the blocks: of each layer weight (out x in, row major) and bias of query, key, value,
 * attention output, then gamma and beta of LayerNorm 1, weight and bias of FFN 1 and FFN 2, gamma
 * and beta of LayerNorm 2; weight and bias of pooler and classifier; last the ranges.  Layers that
 * share their weights are one, and a head that the client computes is not there, of a GPT-2 neither
 * its last LayerNorm nor the embeddings but those of its first token, which is public (fold.h):
 * word
 * and position, behind the layers; its LayerNorms stand before the halves.  How many values a block
 * holds follows from the header, how long it is from its type too.
 *
 * Versions 2 to 5 are read too.  They end their header before the architecture: a BERT with a head
 * of tanh.  2 to 4 have no sums of rounds in the ranges of a layer, and 2 and 3 have two values,
 * which are read over, where the four of the windows stand now: not measured.  Version 2 ends its
 * header before the activation: it is gelu.
 *
 * Weights are F16 where every value of the tensor is one, else BF16 where every value is one, else
 * F32: nothing is rounded, so what is folded from a container is what is folded from the model
 * folder, bit for bit.  Ranges are F64: margin, top, tanh; then of each layer the fields of struct
 * bert_layer_ranges in their order.
 *
 * A reader believes nothing: magic, version, bounds and size come first, then the check, then the
 * size again from header and table.  Only then memory for the weights is taken, at most twice the
 * file, and for its largest block; each block is hashed before it is used, and NaN and infinite
 * values are refused. */
#include "bert/container.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "bert/input/architecture.h"
#include "bert/input/readfile.h"
#include "bert/input/safetensors.h"
#include "bert/input/text.h"
#include "ckks/file.h"

#define MAGIC "THORWGTS"
enum { VERSION = 6, VERSION_2 = 2, VERSION_3 = 3, VERSION_4 = 4, VERSION_5 = 5, CHECK = 8 };
enum type { F16, BF16, F32, F64, TYPES };
static const size_t type_bytes[TYPES] = {2, 2, 4, 8};
static const char *const type_name[TYPES] = {"F16", "BF16", "F32", "F64"};

struct disk_head {
    char magic[8];
    uint32_t version, blocks;
    uint32_t hidden, layers, heads, ffn, max_positions, labels;
    uint32_t tokens, rows; /* of the ranges */
    double eps;
    uint64_t model_hash;       /* of the model.safetensors it was made from */
    uint64_t bytes;            /* of the whole file */
    uint32_t activation, arch; /* enum bert_activation, enum bert_arch */
    uint32_t head, task;       /* enum bert_head, enum bert_task */
    uint32_t squash, zero;     /* enum bert_squash */
};
struct disk_block {
    uint32_t type, zero;
    uint64_t hash;
};
enum { HEAD_2 = 72, HEAD_3 = 80 }; /* bytes of it in version 2, and in 3 to 5 */
_Static_assert(sizeof(struct disk_head) == 96 && sizeof(struct disk_block) == 16, "as stored");

static int damaged(const char *path, const char *what) {
    return thor_fail(THOR_MODEL, "%s: damaged (%s): copy it again, or run thor encode again",
                     ckks_file_name(path), what);
}

/* ---- one walk over the weights, for all purposes ---- */

struct walk {
    int (*each)(struct walk *w, float **x, size_t n);
    const char *path;
    int layer; /* of the tensor at hand; -1: the head */
    const char *map, *part;
    uint32_t block; /* its number */
    size_t values, of_type[TYPES];
    uint64_t bytes; /* of the blocks measured or packed */
    struct disk_block *table;
    const struct bert_file *in; /* reading */
    size_t from, largest;       /* reading: where the block lies; bytes of the largest */
    float *to;                  /* reading: where the next tensor goes */
    void *scratch;              /* room for the largest block */
    struct ckks_file_out *out;  /* writing */
};

static int refuse_tensor(const struct walk *w, const char *what) {
    char name[64];
    if (w->layer < 0)
        snprintf(name, sizeof name, "%s %s", w->map, w->part);
    else
        snprintf(name, sizeof name, "layer %d, %s %s", w->layer, w->map, w->part);
    return thor_fail(THOR_MODEL, "%s: %s %s: run thor encode again, from a whole model folder",
                     ckks_file_name(w->path), name, what);
}

static int visit(struct walk *w, const char *part, float **x, size_t n) {
    int st = THOR_OK;
    w->part = part;
    TRY(w->each(w, x, n));
    w->block++;
    w->values += n;
out:
    return st;
}

static int visit_linear(struct walk *w, const char *name, struct bert_linear *l, int in, int out) {
    int st = THOR_OK;
    w->map = name;
    l->in = in;
    l->out = out;
    TRY(visit(w, "weight", &l->w, (size_t)in * (size_t)out));
    TRY(visit(w, "bias", &l->b, (size_t)out));
out:
    return st;
}

static int visit_norm(struct walk *w, const char *name, struct bert_norm *l, int hidden) {
    int st = THOR_OK;
    w->map = name;
    TRY(visit(w, "gamma", &l->gamma, (size_t)hidden));
    TRY(visit(w, "beta", &l->beta, (size_t)hidden));
out:
    return st;
}

static int visit_layer(struct walk *w, struct bert_layer *y, const struct bert_config *c) {
    int st = THOR_OK;
    const int h = c->hidden;
    TRY(visit_linear(w, "query", &y->q, h, h));
    TRY(visit_linear(w, "key", &y->k, h, h));
    TRY(visit_linear(w, "value", &y->v, h, h));
    TRY(visit_linear(w, "attention output", &y->o, h, h));
    TRY(visit_norm(w, "LayerNorm 1", &y->ln1, h));
    TRY(visit_linear(w, "FFN 1", &y->ffn1, h, c->ffn));
    TRY(visit_linear(w, "FFN 2", &y->ffn2, c->ffn, h));
    TRY(visit_norm(w, "LayerNorm 2", &y->ln2, h));
out:
    return st;
}

/* m->layer may be NULL when `each` looks at sizes alone. */
static int visit_model(struct walk *w, struct bert_model *m) {
    int st = THOR_OK;
    struct bert_layer none = {0};
    w->block = 0;
    w->values = 0;
    for (w->layer = 0; w->layer < bert_stored_layers(&m->cfg); w->layer++)
        TRY(visit_layer(w, m->layer ? &m->layer[w->layer] : &none, &m->cfg));
    w->layer = -1;
    w->map = "first token,";
    if (bert_is_causal(&m->cfg)) {
        TRY(visit(w, "word", &m->word, (size_t)m->cfg.hidden));
        TRY(visit(w, "position", &m->position, (size_t)m->cfg.hidden));
    }
    if (bert_head_at_client(&m->cfg)) return THOR_OK;
    TRY(visit_linear(w, "pooler", &m->pooler, m->cfg.hidden, m->cfg.hidden));
    TRY(visit_linear(w, "classifier", &m->classifier, m->cfg.hidden, m->cfg.labels));
out:
    return st;
}

/* ---- ranges as one block ---- */

static size_t heads_values(const struct bert_config *c,
                           uint32_t version) { // of a layer, from delta
    const size_t all = bert_ranges_heads(c->heads, c->hidden / c->heads);
    return version > VERSION_4 ? all : all - 2 * BERT_MAX_ROUNDS * (size_t)c->heads;
}

static size_t ranges_values(const struct bert_config *c, uint32_t version) {
    return 3 + (size_t)c->layers * (heads_values(c, version) + (version > VERSION_3 ? 9 : 7));
}

static void move(double **block, double *field, size_t n, int in) {
    memcpy(in ? field : *block, in ? *block : field, n * sizeof *field);
    *block += n;
}

static void move_ranges(double *block, struct bert_ranges *r, const struct bert_config *c,
                        uint32_t version, int in) {
    move(&block, &r->margin, 1, in);
    move(&block, &r->top, 1, in);
    move(&block, &r->tanh, 1, in);
    for (int l = 0; l < c->layers; l++) {
        struct bert_layer_ranges *y = &r->layer[l];
        move(&block, y->delta, heads_values(c, version), in); // delta .. round_hi are one array
        move(&block, y->var_lo, 2, in);
        move(&block, y->var_hi, 2, in);
        if (version > VERSION_3) {
            move(&block, y->win_lo, 2, in);
            move(&block, y->win_hi, 2, in);
        } else {
            block += 2;
        }
        move(&block, &y->gelu, 1, in);
    }
}

/* ---- the header ---- */

static int within(uint32_t x, uint32_t low, uint32_t high) {
    return x >= low && x <= high;
}

static uint32_t blocks_of(const struct bert_config *c) {
    return 16 * (uint32_t)bert_stored_layers(c) + (bert_head_at_client(c) ? 1 : 5) +
           (bert_is_causal(c) ? 2 : 0);
}

/* The bounds of config.c, and of ranges. */
static int sizes_sound(const struct disk_head *d) {
    return within(d->hidden, 8, 4096) && within(d->layers, 1, 64) && within(d->heads, 1, 64) &&
           d->hidden % d->heads == 0 && within(d->ffn, 8, 16384) &&
           within(d->labels, 1, BERT_MAX_LABELS) && within(d->max_positions, 4, BERT_MAX_TOKENS) &&
           d->eps >= 0 && d->eps <= 1e-3 && within(d->tokens, 1, BERT_MAX_TOKENS) &&
           within(d->rows, 1, INT32_MAX);
}

static int kind_sound(const struct disk_head *d) {
    return d->activation < BERT_ACTIVATIONS && d->arch < BERT_ARCHS && d->head < BERT_HEADS &&
           d->task < BERT_TASKS && d->squash < BERT_SQUASHES && !d->zero &&
           (bert_archs[d->arch].name.body ||
            (d->arch == BERT_ARCH_GPT2 && d->head == BERT_HEAD_STATE)) &&
           (d->version > VERSION_5 || d->arch == BERT_ARCH_BERT);
}

/* Of a header whose sizes and kind are sound. */
static void config_of(struct bert_config *c, const struct disk_head *d) {
    *c = (struct bert_config){.hidden = (int)d->hidden, .layers = (int)d->layers};
    c->heads = (int)d->heads;
    c->ffn = (int)d->ffn;
    c->max_positions = (int)d->max_positions;
    c->labels = (int)d->labels;
    c->eps = d->eps;
    c->activation = (enum bert_activation)d->activation;
    c->arch = (enum bert_arch)d->arch;
    c->head = (enum bert_head)d->head;
    c->task = (enum bert_task)d->task;
    c->squash = (enum bert_squash)d->squash;
    if (bert_is_causal(c)) c->vocab = c->positions = 1; // its first token alone, which is word 0
    for (int i = 0; i < c->labels; i++) snprintf(c->label_names[i], BERT_LABEL_BYTES, "%d", i);
}

static size_t head_bytes(const struct disk_head *d) {
    return d->version == VERSION_2 ? HEAD_2 : d->version <= VERSION_5 ? HEAD_3 : sizeof *d;
}

static size_t data_start(const struct disk_head *d) {
    return head_bytes(d) + d->blocks * sizeof(struct disk_block) + CHECK;
}

/* What an older version has behind its header is none of its fields. */
static int read_head(struct disk_head *d, const struct bert_file *f) {
    int st = THOR_OK;
    memset(d, 0, sizeof *d);
    if (f->n >= HEAD_2) TRY(bert_file_read(f, d, f->n < sizeof *d ? f->n : sizeof *d, 0));
    memset((char *)d + head_bytes(d), 0, sizeof *d - head_bytes(d));
out:
    return st;
}

static int check_head(struct bert_config *c, struct disk_head *d, const struct bert_file *f) {
    int st = THOR_OK;
    const char *name = ckks_file_name(f->path);
    TRY(read_head(d, f));
    if (memcmp(d->magic, MAGIC, sizeof d->magic) != 0)
        return thor_fail(THOR_MODEL, "%s: no weight container: name one of thor encode", name);
    if (!within(d->version, VERSION_2, VERSION))
        return thor_fail(THOR_MODEL, "%s: format version %u, not %d to %d: run thor encode again",
                         name, d->version, VERSION_2, VERSION);
    if (!sizes_sound(d)) return damaged(f->path, "a size in its header");
    if (!kind_sound(d)) return damaged(f->path, "the kind of model in its header");
    config_of(c, d);
    if (d->blocks != blocks_of(c)) return damaged(f->path, "a size in its header");
    if (d->bytes != f->n || data_start(d) > f->n) return damaged(f->path, "cut short or too long");
out:
    return st;
}

/* The table behind a header whose sizes are sound; the caller frees it. */
static int read_table(struct walk *w, const struct disk_head *d) {
    int st = THOR_OK;
    uint64_t check;
    const size_t end = data_start(d) - CHECK, head = head_bytes(d);
    char *begin = malloc(end + CHECK);
    if (!begin)
        return thor_fail(THOR_MEMORY, "%s: no memory for its table", ckks_file_name(w->path));
    TRY(bert_file_read(w->in, begin, end + CHECK, 0));
    memcpy(&check, begin + end, CHECK);
    if (check != XXH3_64bits(begin, end) || memcmp(begin, d, head) != 0)
        TRY(damaged(w->path, "checksum of its header"));
    w->table = malloc(end - head);
    if (!w->table)
        TRY(thor_fail(THOR_MEMORY, "%s: no memory for its table", ckks_file_name(w->path)));
    memcpy(w->table, begin + head, end - head);
out:
    free(begin);
    return st;
}

/* ---- reading ---- */

static int each_measured(struct walk *w, float **x, size_t n) {
    (void)x;
    const struct disk_block *b = &w->table[w->block];
    if (b->type > F32 || b->zero) return refuse_tensor(w, "is of an unknown type");
    w->of_type[b->type] += n;
    if (w->largest < n * type_bytes[b->type]) w->largest = n * type_bytes[b->type];
    w->bytes += (uint64_t)n * type_bytes[b->type];
    return THOR_OK;
}

/* The size that header and table ask for is the size of the file.  Nothing is allocated here. */
static int check_sizes(struct walk *w, const struct disk_head *d, struct bert_model *m) {
    int st = THOR_OK;
    w->each = each_measured;
    TRY(visit_model(w, m));
    if (w->table[w->block].type != F64 || w->table[w->block].zero)
        return damaged(w->path, "the type of its ranges");
    const size_t ranges = ranges_values(&m->cfg, d->version) * sizeof(double);
    w->bytes += data_start(d) + ranges;
    if (w->largest < ranges) w->largest = ranges;
    if (w->bytes != d->bytes) st = damaged(w->path, "not of the size its header asks for");
out:
    return st;
}

/* The next block, into w->scratch. */
static int read_block(struct walk *w, size_t bytes) {
    int st = bert_file_read(w->in, w->scratch, bytes, w->from);
    w->from += bytes;
    return st;
}

static int each_checked(struct walk *w, float **x, size_t n) {
    (void)x;
    int st = THOR_OK;
    const struct disk_block *b = &w->table[w->block];
    const size_t bytes = n * type_bytes[b->type];
    TRY(read_block(w, bytes));
    if (XXH3_64bits(w->scratch, bytes) != b->hash) st = refuse_tensor(w, "is damaged (checksum)");
out:
    return st;
}

static int each_read(struct walk *w, float **x, size_t n) {
    int st = THOR_OK;
    TRY(each_checked(w, x, n));
    *x = w->to;
    w->to += n;
    bert_tensors_widen(*x, w->scratch, n, type_name[w->table[w->block].type]);
    for (size_t i = 0; i < n; i++)
        if (!isfinite((*x)[i])) return refuse_tensor(w, "holds NaN or an infinite value");
out:
    return st;
}

static int check_ranges_block(struct walk *w, const struct bert_config *c, uint32_t version) {
    int st = THOR_OK;
    const size_t bytes = ranges_values(c, version) * sizeof(double);
    TRY(read_block(w, bytes));
    if (XXH3_64bits(w->scratch, bytes) != w->table[w->block].hash)
        st = damaged(w->path, "checksum of its ranges");
out:
    return st;
}

static int read_ranges(struct bert_ranges **out, struct walk *w, const struct disk_head *d,
                       const struct bert_config *c) {
    int st = THOR_OK;
    struct bert_ranges *r = NULL;
    TRY(check_ranges_block(w, c, d->version));
    TRY(bert_ranges_new(&r, c->layers, c->heads, c->hidden / c->heads));
    r->tokens = (int)d->tokens;
    r->rows = (int)d->rows;
    r->model_hash = d->model_hash;
    r->activation = c->activation;
    move_ranges(w->scratch, r, c, d->version, 1);
    TRY(bert_ranges_check(r, ckks_file_name(w->path)));
    *out = r;
    r = NULL;
out:
    bert_ranges_free(r);
    return st;
}

static int open_container(struct bert_file *f, struct disk_head *d, struct walk *w,
                          struct bert_model *m) {
    int st = THOR_OK;
    if (!bert_file_exists(w->path))
        TRY(thor_fail(THOR_MODEL, "%s: no such file: make it with thor encode --out",
                      ckks_file_name(w->path)));
    TRY(bert_file_open(f, w->path, THOR_MODEL));
    w->in = f;
    if (f->n == 0) TRY(thor_fail(THOR_MODEL, "%s: is empty", ckks_file_name(w->path)));
    TRY(check_head(&m->cfg, d, f));
    TRY(read_table(w, d));
    m->hash = d->model_hash;
    TRY(check_sizes(w, d, m));
    w->from = data_start(d);
    w->scratch = malloc(w->largest);
    if (!w->scratch)
        st = thor_fail(THOR_MEMORY, "%s: no memory to read it", ckks_file_name(w->path));
out:
    return st;
}

static void close_container(struct bert_file *f, struct walk *w) {
    bert_file_close(f);
    free(w->table);
    free(w->scratch);
}

static int read_weights(struct bert_model *m, struct walk *w) {
    int st = THOR_OK;
    m->nweights = w->values;
    m->layer = calloc((size_t)m->cfg.layers, sizeof *m->layer);
    m->weights = w->to = malloc(m->nweights * sizeof(float));
    if (!m->layer || !m->weights)
        return thor_fail(THOR_MEMORY, "%s: no memory for its %zu weights", ckks_file_name(w->path),
                         m->nweights);
    w->each = each_read;
    TRY(visit_model(w, m));
    for (int i = bert_stored_layers(&m->cfg); i < m->cfg.layers; i++) m->layer[i] = m->layer[0];
out:
    return st;
}

int bert_container_load(struct bert_model **model, struct bert_ranges **ranges, const char *path) {
    int st = THOR_OK;
    struct bert_file file = {0};
    struct disk_head d;
    struct walk w = {.path = path};
    struct bert_model *m = calloc(1, sizeof *m);
    *model = NULL, *ranges = NULL;
    if (!m) return thor_fail(THOR_MEMORY, "no memory for a model");
    TRY(open_container(&file, &d, &w, m));
    TRY(read_weights(m, &w));
    TRY(read_ranges(ranges, &w, &d, &m->cfg));
    *model = m;
    m = NULL;
out:
    close_container(&file, &w);
    bert_model_free(m);
    return st;
}

int bert_container_describe(struct bert_container_info *info, const char *path) {
    int st = THOR_OK;
    struct bert_file file = {0};
    struct disk_head d;
    struct walk w = {.path = path};
    struct bert_model m = {0};
    TRY(open_container(&file, &d, &w, &m));
    w.each = each_checked;
    TRY(visit_model(&w, &m));
    TRY(check_ranges_block(&w, &m.cfg, d.version));
    *info = (struct bert_container_info){.cfg = m.cfg,
                                         .model_hash = d.model_hash,
                                         .bytes = d.bytes,
                                         .version = (int)d.version,
                                         .tokens = (int)d.tokens,
                                         .rows = (int)d.rows,
                                         .blocks = (int)d.blocks,
                                         .values = w.values,
                                         .f16 = w.of_type[F16],
                                         .bf16 = w.of_type[BF16],
                                         .f32 = w.of_type[F32]};
out:
    close_container(&file, &w);
    return st;
}

int bert_container_is(const char *path) {
    char magic[8];
    struct ckks_file_in *f = NULL;
    int is = ckks_file_open(&f, path, CKKS_FILE_SHARED) == THOR_OK &&
             ckks_file_read(f, magic, sizeof magic) == THOR_OK && memcmp(magic, MAGIC, 8) == 0;
    ckks_file_close(&f);
    return is;
}

int bert_container_match(const struct bert_model *server, const struct bert_model *client,
                         const char *path) {
    const struct bert_config *a = &server->cfg, *b = &client->cfg;
    const int head = bert_head_at_client(b) || (a->labels == b->labels && a->squash == b->squash);
    const int same = head && a->hidden == b->hidden && a->layers == b->layers &&
                     a->heads == b->heads && a->ffn == b->ffn &&
                     a->max_positions == b->max_positions && a->eps == b->eps &&
                     a->activation == b->activation && a->arch == b->arch &&
                     bert_head_at_client(a) == bert_head_at_client(b);
    if (same && server->hash == client->hash) return THOR_OK;
    return thor_fail(THOR_MODEL, "%s: was made from other %s; run thor encode again",
                     ckks_file_name(path), same ? "weights" : "settings (config.json)");
}

/* ---- writing ---- */

static int each_packed(struct walk *w, float **x, size_t n) {
    struct disk_block *b = &w->table[w->block];
    for (size_t i = 0; i < n; i++)
        if (!isfinite((*x)[i])) return refuse_tensor(w, "holds NaN or an infinite value");
    b->type = F16;
    while (!bert_tensors_narrow(w->scratch, *x, n, type_name[b->type])) b->type++;
    b->hash = XXH3_64bits(w->scratch, n * type_bytes[b->type]);
    w->bytes += n * type_bytes[b->type];
    return THOR_OK;
}

static int each_written(struct walk *w, float **x, size_t n) {
    const uint32_t type = w->table[w->block].type;
    bert_tensors_narrow(w->scratch, *x, n, type_name[type]);
    return ckks_file_write(w->out, w->scratch, n * type_bytes[type]);
}

/* Of a head that is the client's the server learns nothing: the state is all that it gives. */
static void tell_head(struct disk_head *d, const struct bert_config *c) {
    const int at_client = bert_head_at_client(c);
    d->labels = at_client ? 1 : (uint32_t)c->labels;
    d->head = at_client ? BERT_HEAD_STATE : c->head;
    d->task = at_client ? BERT_ONE_OF : c->task;
    d->squash = at_client ? BERT_TANH : c->squash;
}

static int make_head(struct disk_head *d, const struct bert_model *m, const struct bert_ranges *r,
                     const char *path) {
    const struct bert_config *c = &m->cfg;
    *d = (struct disk_head){.version = VERSION, .eps = c->eps, .model_hash = m->hash};
    d->blocks = blocks_of(c);
    d->hidden = (uint32_t)c->hidden;
    d->layers = (uint32_t)c->layers;
    d->heads = (uint32_t)c->heads;
    d->ffn = (uint32_t)c->ffn;
    d->max_positions = (uint32_t)c->max_positions;
    d->activation = c->activation;
    d->arch = c->arch;
    tell_head(d, c);
    d->tokens = (uint32_t)r->tokens;
    d->rows = (uint32_t)r->rows;
    memcpy(d->magic, MAGIC, sizeof d->magic);
    if (r->model_hash == m->hash && r->layers == c->layers && r->heads == c->heads &&
        r->head_size * r->heads == c->hidden && r->activation == c->activation && sizes_sound(d) &&
        kind_sound(d))
        return bert_ranges_check(r, "ranges"); // what could not be read again is not written
    return thor_fail(THOR_MODEL,
                     "%s: not written, its ranges are not of this model: run thor encode "
                     "--calibrate",
                     ckks_file_name(path));
}

/* begin: header, table and room for the check. */
static int write_file(struct walk *w, void *begin, struct bert_model *m, const double *ranges) {
    int st = THOR_OK;
    const size_t data = data_start(begin);
    const uint64_t check = XXH3_64bits(begin, data - CHECK);
    memcpy((char *)begin + data - CHECK, &check, CHECK);
    TRY(ckks_file_create(&w->out, w->path, CKKS_FILE_SHARED));
    TRY(ckks_file_write(w->out, begin, data));
    w->each = each_written;
    TRY(visit_model(w, m));
    TRY(ckks_file_write(w->out, ranges, ranges_values(&m->cfg, VERSION) * sizeof *ranges));
    TRY(ckks_file_commit(&w->out));
out:
    ckks_file_abandon(&w->out);
    return st;
}

/* Two walks: types and checksums for the table, then the blocks. */
static int pack_and_write(struct walk *w, struct disk_head *d, struct bert_model *m,
                          const struct bert_ranges *r) {
    int st = THOR_OK;
    const struct bert_config *c = &m->cfg;
    const size_t n = ranges_values(c, VERSION) * sizeof(double);
    double *ranges = malloc(n);
    struct disk_head *begin = calloc(1, data_start(d));
    w->scratch = malloc((size_t)c->hidden * (size_t)(c->hidden + c->ffn) * sizeof(float));
    if (!begin || !w->scratch || !ranges)
        TRY(thor_fail(THOR_MEMORY, "%s: no memory to write it", ckks_file_name(w->path)));
    w->table = (struct disk_block *)(begin + 1);
    w->each = each_packed;
    TRY(visit_model(w, m));
    move_ranges(ranges, (struct bert_ranges *)(uintptr_t)r, c, VERSION, 0); // only read
    w->table[w->block] = (struct disk_block){.type = F64, .hash = XXH3_64bits(ranges, n)};
    d->bytes = data_start(d) + w->bytes + n;
    *begin = *d;
    TRY(write_file(w, begin, m, ranges));
out:
    free(begin);
    free(ranges);
    free(w->scratch);
    return st;
}

int bert_container_save(const char *path, const struct bert_model *m, const struct bert_ranges *r) {
    int st = THOR_OK;
    struct disk_head d;
    struct walk w = {.path = path};
    struct bert_model view = *m; // the walk sets shapes, but not in the caller's model
    const size_t layers = (size_t)m->cfg.layers * sizeof *view.layer;
    view.layer = NULL;
    TRY(make_head(&d, m, r, path));
    view.layer = malloc(layers);
    if (!view.layer) TRY(thor_fail(THOR_MEMORY, "%s: no memory to write it", ckks_file_name(path)));
    memcpy(view.layer, m->layer, layers);
    if (bert_is_causal(&m->cfg)) view.word += (size_t)m->cfg.first_token * (size_t)m->cfg.hidden;
    TRY(pack_and_write(&w, &d, &view, r));
out:
    free(view.layer);
    return st;
}
