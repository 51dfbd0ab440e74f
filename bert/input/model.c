#include "bert/input/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bert/input/architecture.h"
#include "bert/input/gpt2.h"
#include "bert/input/readfile.h"
#include "bert/input/shards.h"
#include "bert/input/tokenrules.h"
#include "bert/input/vocab.h"

/* The weights are visited twice in one order: first to check names and shapes and to count, with
 * base = NULL, then to read.  So nothing is allocated that the file does not hold. */
struct visit {
    const struct bert_shards *file;
    const char *path;
    const struct bert_arch_tensors *name;
    float *base;
    size_t used;
    const char *wrap; /* what a program put in front of all names, or "" */
    const char *body; /* name->body or "" in front of the encoder's names */
    int bare;         /* of bert_model_load_bare */
    char prefix[128];
};

static int take(float **w, struct visit *v, const char *name, int rows, int cols) {
    char full[256];
    int st = THOR_OK;
    snprintf(full, sizeof full, "%s%s", v->prefix, name);
    if (v->base) {
        *w = v->base + v->used;
        TRY(bert_shards_read(*w, v->file, full, rows, cols));
    } else {
        TRY(bert_shards_expect(v->file, full, rows, cols));
    }
    v->used += (size_t)(rows ? rows : 1) * (size_t)cols;
out:
    return st;
}

static int take_affine(struct bert_linear *l, struct visit *v, const char *name, int in, int out,
                       int bare) {
    char part[96];
    int st = THOR_OK;
    l->in = in;
    l->out = out;
    snprintf(part, sizeof part, "%s.weight", name);
    TRY(bare ? THOR_OK : take(&l->w, v, part, out, in));
    snprintf(part, sizeof part, "%s.bias", name);
    TRY(take(&l->b, v, part, 0, out));
out:
    return st;
}

static int take_linear(struct bert_linear *l, struct visit *v, const char *name, int in, int out) {
    return take_affine(l, v, name, in, out, 0);
}

// of a layer
static int take_map(struct bert_linear *l, struct visit *v, const char *name, int in, int out) {
    return take_affine(l, v, name, in, out, v->bare);
}

/* Old conversions call the two vectors gamma and beta. */
static int take_norm(struct bert_norm *n, struct visit *v, const char *name, int hidden) {
    char part[96], old[256];
    int st = THOR_OK, is_old;
    snprintf(old, sizeof old, "%s%s.gamma", v->prefix, name);
    is_old = bert_shards_has(v->file, old);
    snprintf(part, sizeof part, "%s.%s", name, is_old ? "gamma" : "weight");
    TRY(take(&n->gamma, v, part, 0, hidden));
    snprintf(part, sizeof part, "%s.%s", name, is_old ? "beta" : "bias");
    TRY(take(&n->beta, v, part, 0, hidden));
out:
    return st;
}

static int take_layer(struct bert_layer *l, struct visit *v, const struct bert_config *c) {
    const struct bert_arch_tensors *a = v->name;
    const int h = c->hidden;
    int st = THOR_OK;
    TRY(take_map(&l->q, v, a->q, h, h));
    TRY(take_map(&l->k, v, a->k, h, h));
    TRY(take_map(&l->v, v, a->v, h, h));
    TRY(take_map(&l->o, v, a->o, h, h));
    TRY(take_norm(&l->ln1, v, a->ln1, h));
    TRY(take_map(&l->ffn1, v, a->ffn1, h, c->ffn));
    TRY(take_map(&l->ffn2, v, a->ffn2, c->ffn, h));
    TRY(take_norm(&l->ln2, v, a->ln2, h));
out:
    return st;
}

static void in_body(struct visit *v) {
    snprintf(v->prefix, sizeof v->prefix, "%s%s", v->wrap, v->body);
}

static void in_layer(struct visit *v, int layer) {
    snprintf(v->prefix, sizeof v->prefix, "%s%s%s%d.%s", v->wrap, v->body, v->name->layers, layer,
             v->name->in_layer);
}

static int take_embeddings(struct bert_model *m, struct visit *v) {
    const struct bert_config *c = &m->cfg;
    const int e = bert_embedding(c);
    int st = THOR_OK;
    in_body(v);
    TRY(take(&m->word, v, "embeddings.word_embeddings.weight", c->vocab, e));
    TRY(take(&m->position, v, "embeddings.position_embeddings.weight", c->positions, e));
    if (c->type_vocab)
        TRY(take(&m->type, v, "embeddings.token_type_embeddings.weight", c->type_vocab, e));
    TRY(take_norm(&m->emb_ln, v, "embeddings.LayerNorm", e));
    if (c->embedding) TRY(take_linear(&m->emb_map, v, v->name->emb_map, e, c->hidden));
out:
    return st;
}

/* 1 when there is a tensor of this name, wrapped as the others or not: v->prefix says how. */
static int has_head(struct visit *v, const char *name) {
    char full[256];
    snprintf(v->prefix, sizeof v->prefix, "%s", v->wrap);
    for (;;) {
        snprintf(full, sizeof full, "%s%s.weight", v->prefix, name);
        if (bert_shards_has(v->file, full)) return 1;
        if (!v->prefix[0]) return 0;
        v->prefix[0] = 0;
    }
}

/* Programs that put a linear map of their own behind the encoder call it one of these. */
static const char *find_classifier(struct visit *v, const char *usual) {
    static const char *const other[] = {"classifier.0", "classifier.1", "fc",       "linear",
                                        "cls",          "out",          "out_proj", "output",
                                        "head",         "score"};
    const char *found = usual;
    int n = 0;
    for (size_t i = 0; i < sizeof other / sizeof *other && !has_head(v, usual); i++)
        if (has_head(v, other[i]) && n++ == 0) found = other[i];
    return n > 1 ? usual : found; // usual, which is missing, says take
}

static int take_pooler(struct bert_model *m, struct visit *v) {
    const struct bert_arch_tensors *a = v->name;
    if (a->pooler)
        in_body(v);
    else
        has_head(v, a->dense);
    return take_linear(&m->pooler, v, a->pooler ? a->pooler : a->dense, m->cfg.hidden,
                       m->cfg.hidden);
}

/* The head that config.json names; without a name, that of a sequence classifier where it is there,
 * else that of next-sentence prediction, else none.  The head for tokens is one map in every
 * architecture. */
static int take_head(struct bert_model *m, struct visit *v) {
    static const char next_sentence[] = "cls.seq_relationship";
    const struct bert_config *c = &m->cfg;
    const char *name = c->head == BERT_HEAD_TOKENS ? "classifier" : v->name->classifier;
    int st = THOR_OK;
    if (c->head == BERT_HEAD_STATE) return THOR_OK;
    if (c->head == BERT_HEAD_NEXT_SENTENCE ||
        (c->head == BERT_HEAD_ANY && !has_head(v, name) && has_head(v, next_sentence)))
        name = next_sentence;
    else
        name = find_classifier(v, name);
    if (c->head == BERT_HEAD_ANY && !has_head(v, name)) {
        m->cfg.head = BERT_HEAD_STATE;
        return THOR_OK;
    }
    if (c->head != BERT_HEAD_TOKENS) TRY(take_pooler(m, v));
    has_head(v, name);
    TRY(take_linear(&m->classifier, v, name, c->hidden, c->labels));
out:
    return st;
}

/* A file of more layers than config.json counts would be computed in part. */
static int check_layers(const struct bert_model *m, struct visit *v) {
    char name[256];
    in_layer(v, bert_stored_layers(&m->cfg));
    snprintf(name, sizeof name, "%s%s.weight", v->prefix, v->name->ffn2);
    if (!bert_shards_has(v->file, name)) return THOR_OK;
    return thor_fail(THOR_MODEL, "%.300s: holds %s, but %s of config.json is %d", v->path, name,
                     bert_archs[m->cfg.arch].key.layers, m->cfg.layers);
}

static int take_all(struct bert_model *m, struct visit *v) {
    const int stored = bert_stored_layers(&m->cfg);
    int st = THOR_OK;
    v->used = 0;
    TRY(take_embeddings(m, v));
    for (int i = 0; i < stored; i++) {
        in_layer(v, i);
        TRY(take_layer(&m->layer[i], v, &m->cfg));
    }
    for (int i = stored; i < m->cfg.layers; i++) m->layer[i] = m->layer[0];
    TRY(check_layers(m, v));
    TRY(take_head(m, v));
out:
    return st;
}

/* Names stand as the usual library writes them, without the encoder's part, or with what wrappers
 * of whole models put in front. */
static int find_prefix(struct visit *v, const char *path, const struct bert_arch_row *a) {
    static const char *const wrap[] = {"", "module.", "model.", "base_model.", "encoder."};
    char name[256];
    for (size_t i = 0; i < 2 * sizeof wrap / sizeof *wrap; i++) {
        v->wrap = wrap[i / 2];
        v->body = i % 2 ? "" : a->name.body;
        in_body(v);
        snprintf(name, sizeof name, "%sembeddings.word_embeddings.weight", v->prefix);
        if (bert_shards_has(v->file, name)) return THOR_OK;
    }
    return thor_fail(THOR_MODEL,
                     "%s: no weights of %s: %sembeddings.word_embeddings.weight is missing", path,
                     a->title, a->name.body);
}

static int load_weights(struct bert_model *m, const char *path) {
    int st = THOR_OK;
    struct bert_shards *file = NULL;
    struct visit v = {.base = NULL};
    TRY(bert_shards_open(&file, path));
    if (m->cfg.arch == BERT_ARCH_GPT2) {
        TRY(bert_gpt2_weights(m, file, path));
        TRY(bert_shards_hash(&m->hash, file));
        goto out;
    }
    v.file = file;
    v.path = path;
    v.bare = m->bare;
    v.name = &bert_archs[m->cfg.arch].name;
    TRY(find_prefix(&v, path, &bert_archs[m->cfg.arch]));
    m->layer = calloc((size_t)m->cfg.layers, sizeof *m->layer);
    if (!m->layer) TRY(thor_fail(THOR_MEMORY, "%s: no memory for %d layers", path, m->cfg.layers));
    TRY(take_all(m, &v));
    m->nweights = v.used;
    m->weights = v.base = malloc(v.used * sizeof(float));
    if (!m->weights) TRY(thor_fail(THOR_MEMORY, "%s: no memory for its %zu weights", path, v.used));
    TRY(take_all(m, &v));
    TRY(bert_shards_hash(&m->hash, file));
out:
    bert_shards_close(file);
    return st;
}

/* 1 when path is a weight file rather than a folder. */
static int is_weight_file(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot && strcmp(dot, ".safetensors") == 0;
}

int bert_model_folder(char *dir, size_t size, const char *path) {
    const char *slash = strrchr(path, '/');
    int n = (int)strlen(path);
    if (is_weight_file(path)) n = slash ? (int)(slash - path) + (slash == path) : 0;
    if (snprintf(dir, size, "%.*s", n ? n : 1, n ? path : ".") < (int)size) return THOR_OK;
    return thor_fail(THOR_MODEL, "%.60s..: the folder's name is too long", path);
}

/* The folder's weights in another form: say which, and how they become this one. */
static int refuse_other(const char *dir) {
    static const char *const other[] = {"pytorch_model.bin", "pytorch_model.bin.index.json",
                                        "tf_model.h5", "flax_model.msgpack"};
    char there[4300];
    for (int i = 0; i < 4; i++) {
        snprintf(there, sizeof there, "%s/%s", dir, other[i]);
        if (bert_file_exists(there))
            return thor_fail(THOR_MODEL,
                             "%.100s: only .safetensors files are read; python3 -c 'import "
                             "transformers as t; i, o = \"IN\", \"OUT\"; "
                             "getattr(t, t.AutoConfig.from_pretrained(i).architectures[0])"
                             ".from_pretrained(i%s).save_pretrained(o, safe_serialization=True); "
                             "t.AutoTokenizer.from_pretrained(i).save_pretrained(o)' makes one",
                             there,
                             i == 2   ? ", from_tf=True"
                             : i == 3 ? ", from_flax=True"
                                      : "");
    }
    return THOR_OK;
}

/* As in the usual library the one file goes before an index. */
static int find_weights(char *path, size_t room, const char *dir) {
    snprintf(path, room, "%s/model.safetensors.index.json", dir);
    const int sharded = bert_file_exists(path);
    snprintf(path, room, "%s/model.safetensors", dir);
    if (bert_file_exists(path)) return THOR_OK;
    if (!sharded) return refuse_other(dir); // bert_shards_open says that it is missing
    snprintf(path, room, "%s/model.safetensors.index.json", dir);
    return THOR_OK;
}

static int load_folder(struct bert_model *m, const char *dir, const char *weights) {
    int st = THOR_OK;
    char path[4300];
    TRY(bert_config_load(&m->cfg, dir));
    TRY(bert_rules_load(&m->rules, &m->vocab, &m->cfg, dir));
    if (!weights) TRY(find_weights(path, sizeof path, dir));
    TRY(load_weights(m, weights ? weights : path));
out:
    return st;
}

static int load(struct bert_model **out, const char *path, int bare) {
    int st = THOR_OK;
    char dir[4200];
    struct bert_model *m = calloc(1, sizeof *m);
    *out = NULL;
    if (!m) return thor_fail(THOR_MEMORY, "%s: no memory for the model", path);
    m->bare = bare;
    TRY(bert_model_folder(dir, sizeof dir, path));
    TRY(load_folder(m, dir, is_weight_file(path) ? path : NULL));
    *out = m;
    m = NULL;
out:
    bert_model_free(m);
    return st;
}

int bert_model_load(struct bert_model **out, const char *path) {
    return load(out, path, 0);
}

int bert_model_load_bare(struct bert_model **out, const char *path) {
    return load(out, path, 1);
}

void bert_model_part(struct bert_model *m, int first, int last) {
    m->after = m->cfg.layers - 1 - last;
    m->before = first;
    m->layer += first;
    m->cfg.layers = last - first + 1;
}

void bert_model_free(struct bert_model *m) {
    if (!m) return;
    if (m->layer) m->layer -= m->before;
    bert_vocab_free(m->vocab);
    bert_rules_free(m->rules);
    free(m->layer);
    free(m->weights);
    free(m);
}
