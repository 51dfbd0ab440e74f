#include "cli/serve/products.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "ckks/serial.h"
#include "cli/folder.h"
#include "cli/serve/counters.h"
#include "cli/serve/logline.h"
#include "cli/serve/uploads.h"
#include "kernels/shown.h"

enum { RESIDENT = 16 }; /* keys in memory, 12 MB each */

struct resident {
    char key[STORE_ID];
    struct ckks_keys *keys;
    uint64_t used;
};

struct products {
    struct products_setup setup;
    const struct store *store;
    struct split_weights *weights;
    struct ckks *cx;
    struct split_kept *kept;
    struct ckks_need *need;
    int needs;
    uint64_t key_bytes;
    char id[17], name[64];
    /* of the worker */
    pthread_t thread;
    int running;
    struct resident resident[RESIDENT];
    int residents;
    uint64_t turn;
    /* under the lock */
    pthread_mutex_t lock;
    pthread_cond_t work, changed;
    struct product *line, *all;
    int count, waiting, closing;
    size_t held;
    struct series seconds;
    struct split_kept_state maps;
};

/* ---- keys in memory ---- */

static void drop_keys(struct products *p, int i) {
    if (p->cx->keys == p->resident[i].keys) ckks_use_keys(p->cx, NULL);
    ckks_keys_free(p->resident[i].keys);
    p->resident[i] = p->resident[--p->residents];
}

/* Keys that were deleted or have expired go; then, for one more, those used longest ago. */
static void make_room(struct products *p) {
    int oldest = 0;
    for (int i = p->residents - 1; i >= 0; i--)
        if (!upload_is_ready(p->store, p->resident[i].key)) drop_keys(p, i);
    for (int i = 0; i < p->residents; i++)
        if (p->resident[i].used < p->resident[oldest].used) oldest = i;
    if (p->residents == RESIDENT) drop_keys(p, oldest);
}

static int load_keys(struct products *p, const char *key) {
    int st = THOR_OK;
    char path[STORE_PATH];
    struct ckks_keyfile *file = NULL;
    struct resident k = {0};
    make_room(p);
    memcpy(k.key, key, sizeof k.key);
    upload_file(path, p->store, key);
    TRY(ckks_keyfile_open(&file, p->cx, path));
    TRY(ckks_keys_take(&k.keys, file, p->need, p->needs, NULL, NULL));
    p->resident[p->residents++] = k;
out:
    ckks_keyfile_close(file);
    return st;
}

static int use_keys(struct products *p, const char *key) {
    int st = THOR_OK, at = 0;
    if (!upload_is_ready(p->store, key))
        return thor_fail(THOR_KEY, "the evaluation keys were deleted: upload them again");
    while (at < p->residents && strcmp(p->resident[at].key, key) != 0) at++;
    if (at == p->residents) {
        TRY(load_keys(p, key));
        at = p->residents - 1;
    }
    p->resident[at].used = ++p->turn;
    upload_used(p->store, key);
    ckks_use_keys(p->cx, p->resident[at].keys);
out:
    return st;
}

/* ---- the worker ---- */

static int compute(struct product *x, struct products *p) {
    int st = THOR_OK;
    TRY(use_keys(p, x->key));
    const struct split_host h = split_host_of(p->cx, p->weights, p->kept);
    TRY(split_host_product(x->reply, &h, x->request, x->sizes.request));
out:
    return st;
}

static struct product *take_first(struct products *p) {
    pthread_mutex_lock(&p->lock);
    while (!p->line && !p->closing) pthread_cond_wait(&p->work, &p->lock);
    struct product *x = p->line;
    if (x) p->line = x->line;
    pthread_mutex_unlock(&p->lock);
    return x;
}

static void *work(void *ctx) {
    struct products *p = ctx;
    for (struct product *x; (x = take_first(p));) {
        const double began = bench_now();
        const int st = compute(x, p);
        if (st != THOR_OK) {
            logline("product", "{s:s, s:s}", "key", x->key, "why", thor_error());
            snprintf(x->why, sizeof x->why, "%s", plain_error());
        }
        pthread_mutex_lock(&p->lock);
        x->status = st;
        x->seconds = bench_now() - began;
        series_add(&p->seconds, x->seconds);
        x->done = 1;
        p->maps = split_kept_state(p->kept);
        p->waiting--;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
    }
    while (p->residents) drop_keys(p, 0);
    return NULL;
}

/* ---- open and close ---- */

static int name_model(struct products *p) {
    int st = THOR_OK;
    char copy[STORE_PATH];
    uint64_t hash;
    TRY(split_weights_hash(&hash, p->weights));
    snprintf(p->id, sizeof p->id, "%016" PRIx64, hash);
    snprintf(copy, sizeof copy, "%s", p->setup.folder);
    for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--) copy[n - 1] = 0;
    shown_in(p->name, sizeof p->name, folder_last(copy));
out:
    return st;
}

int products_open(struct products **out, const struct products_setup *setup,
                  const struct store *s) {
    int st = THOR_OK;
    const struct ckks_params *params;
    struct products *p = calloc(1, sizeof *p);
    if (!p) return thor_fail(THOR_MEMORY, "no memory for split mode");
    p->setup = *setup;
    p->store = s;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->changed, NULL);
    TRY(split_weights_open(&p->weights, setup->folder));
    TRY(name_model(p));
    TRY(ckks_params_get(&params, "n12", 0));
    TRY(ckks_open(&p->cx, params, KERN_CPU, KERN_TIER_BEST, setup->threads));
    TRY(split_kept_open(&p->kept, p->cx, split_weights_shape(p->weights), setup->maps));
    p->maps = split_kept_state(p->kept);
    TRY(split_needs(&p->need, &p->needs, params));
    p->key_bytes = ckks_file_size(CKKS_FILE_KEYS, params, p->need, p->needs);
    if (pthread_create(&p->thread, NULL, work, p) != 0)
        TRY(thor_fail(THOR_MEMORY, "cannot start a worker"));
    p->running = 1;
    *out = p;
    p = NULL;
out:
    products_close(p);
    return st;
}

void products_close(struct products *p) {
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    p->closing = 1;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    if (p->running) pthread_join(p->thread, NULL);
    split_kept_close(p->kept);
    ckks_close(p->cx);
    split_weights_close(p->weights);
    free(p->need);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void products_drain(struct products *p, double seconds) {
    struct timespec end;
    if (!p) return;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += (time_t)seconds;
    pthread_mutex_lock(&p->lock);
    while (p->count && pthread_cond_timedwait(&p->changed, &p->lock, &end) == 0) {
    }
    pthread_mutex_unlock(&p->lock);
}

/* ---- what is served ---- */

const char *products_id(const struct products *p) {
    return p->id;
}

const struct ckks_params *products_params(const struct products *p) {
    return p->cx->params;
}

const struct ckks_need *products_needs(int *n, uint64_t *bytes, const struct products *p) {
    *n = p->needs;
    *bytes = p->key_bytes;
    return p->need;
}

json_t *products_json(const struct products *p) {
    const struct split_shape *s = split_weights_shape(p->weights);
    json_t *in = json_array(), *out = json_array();
    for (int i = 0; i < SPLIT_STAGES; i++) {
        json_array_append_new(in, json_integer(s->in[i]));
        json_array_append_new(out, json_integer(s->out[i]));
    }
    return json_pack(
        "{s:s, s:s, s:s, s:i, s:o, s:o, s:i, s:i, s:I, s:i, s:[s, s, s, s]}", "id", p->id, "name",
        p->name, "parameters", p->cx->params->name, "layers", s->layers, "in", in, "out", out,
        "tokens", SPLIT_TOKENS_MAX, "keys", p->needs, "key_bytes", (json_int_t)p->key_bytes,
        "block_bytes", (int)UPLOAD_BLOCK, "server_sees", "the account and the keys of a product",
        "its layer, its map, whether it is transposed (a gradient), and its number of tokens",
        "times and sizes, which are the same for all rows of that number",
        "ciphertexts: no text, hidden state, gradient or adapter");
}

size_t products_most(const struct products *p) {
    return p->setup.bytes;
}

int products_held(struct products *p, size_t *bytes) {
    pthread_mutex_lock(&p->lock);
    const int n = p->count;
    *bytes = p->held;
    pthread_mutex_unlock(&p->lock);
    return n;
}

struct split_kept_state products_maps(struct products *p) {
    pthread_mutex_lock(&p->lock);
    const struct split_kept_state maps = p->maps;
    pthread_mutex_unlock(&p->lock);
    return maps;
}

double products_wait(struct products *p) {
    pthread_mutex_lock(&p->lock);
    const double each = series_quantile(&p->seconds, 0.5);
    const int before = p->waiting;
    pthread_mutex_unlock(&p->lock);
    return (each > 0 ? each : 1) * (before + 1);
}

/* ---- one product ---- */

/* Into the list of those that are held, or PRODUCT_LATER. */
static int hold(struct product *x, struct products *p) {
    int own = 0;
    pthread_mutex_lock(&p->lock);
    for (const struct product *o = p->all; o; o = o->next) own += strcmp(o->owner, x->owner) == 0;
    const int full = own >= PRODUCTS_EACH || p->held + x->held > p->setup.bytes;
    if (!full) {
        x->next = p->all;
        p->all = x;
        p->count++;
        p->held += x->held;
    }
    pthread_mutex_unlock(&p->lock);
    return full ? PRODUCT_LATER : THOR_OK;
}

static int size_product(struct product *x, const struct products *p, const uint8_t *head) {
    int st = THOR_OK;
    struct split_ask ask;
    uint8_t seed[CKKS_SEED];
    const struct split_shape *shape = split_weights_shape(p->weights);
    TRY(split_get_request(&ask, seed, head, SPLIT_HEAD));
    TRY(split_ask_check(&ask, shape));
    x->sizes = split_sizes_of(p->cx->params, shape, &ask);
    x->held = x->sizes.request + x->sizes.reply;
    if (x->held > p->setup.bytes)
        st = thor_fail(THOR_INPUT, "a product of %d tokens and %zu MB: send fewer tokens at a time",
                       ask.tokens, x->held >> 20);
out:
    return st;
}

int product_take(struct product **out, struct products *p, const char *owner, const char *key,
                 const uint8_t *head) {
    int st = THOR_OK;
    struct product *x = calloc(1, sizeof *x);
    if (!x) return thor_fail(THOR_MEMORY, "no memory for a product");
    snprintf(x->owner, sizeof x->owner, "%s", owner);
    memcpy(x->key, key, sizeof x->key);
    if ((st = size_product(x, p, head)) != THOR_OK || (st = hold(x, p)) != THOR_OK) {
        free(x);
        return st;
    }
    x->request = malloc(x->sizes.request);
    x->reply = malloc(x->sizes.reply);
    if (!x->request || !x->reply) {
        product_free(x, p);
        return thor_fail(THOR_MEMORY, "no memory for a product");
    }
    memcpy(x->request, head, SPLIT_HEAD);
    *out = x;
    return THOR_OK;
}

void product_run(struct product *x, struct products *p) {
    struct product **end = &p->line;
    pthread_mutex_lock(&p->lock);
    while (*end) end = &(*end)->line;
    *end = x;
    p->waiting++;
    pthread_cond_signal(&p->work);
    while (!x->done) pthread_cond_wait(&p->changed, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

void product_free(struct product *x, struct products *p) {
    if (!x) return;
    struct product **at = &p->all;
    pthread_mutex_lock(&p->lock);
    while (*at != x) at = &(*at)->next;
    *at = x->next;
    p->count--;
    p->held -= x->held;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    free(x->request);
    free(x->reply);
    free(x);
}
