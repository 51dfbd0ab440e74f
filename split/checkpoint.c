#include "split/checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>
#include <xxhash.h>

#include "bert/input/readfile.h"
#include "ckks/file.h"

static const char magic[8] = "THORTUNE";
enum { VERSION = 2, WORDS = 7, SEED_AT = 8 + 8 * WORDS, HEADER = SEED_AT + CKKS_SEED, HASH = 8 };
#define VALUES_MAX ((uint64_t)1 << 31)
#define STEPS_MAX ((uint64_t)1 << 40)

struct place { /* what the header says */
    uint64_t version, settings, weights, step, spent, values, moments;
    uint8_t seed[CKKS_SEED];
};

static void put(uint8_t *to, uint64_t x) {
    for (int i = 0; i < 8; i++) to[i] = (uint8_t)(x >> 8 * i);
}

static uint64_t get(const uint8_t *from) {
    uint64_t x = 0;
    for (int i = 7; i >= 0; i--) x = x << 8 | from[i];
    return x;
}

static void put_doubles(uint8_t *to, const double *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint64_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        put(to + 8 * i, bits);
    }
}

static void get_doubles(double *x, const uint8_t *from, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const uint64_t bits = get(from + 8 * i);
        memcpy(&x[i], &bits, sizeof bits);
    }
}

static void put_header(uint8_t *to, const struct place *p) {
    const uint64_t word[WORDS] = {p->version, p->settings, p->weights, p->step,
                                  p->spent,   p->values,   p->moments};
    memcpy(to, magic, sizeof magic);
    for (int i = 0; i < WORDS; i++) put(to + 8 + 8 * i, word[i]);
    memcpy(to + SEED_AT, p->seed, CKKS_SEED);
}

static void get_header(struct place *p, const uint8_t *from) {
    uint64_t word[WORDS];
    for (int i = 0; i < WORDS; i++) word[i] = get(from + 8 + 8 * i);
    *p = (struct place){word[0], word[1], word[2], word[3], word[4], word[5], word[6], {0}};
    memcpy(p->seed, from + SEED_AT, CKKS_SEED);
}

static struct place place_of(const struct split_trainer *t, const char *settings,
                             uint64_t weights) {
    struct place p = {.version = VERSION,
                      .settings = XXH3_64bits(settings, strlen(settings)),
                      .weights = weights,
                      .step = (uint64_t)t->adam.step,
                      .spent = (uint64_t)t->privacy.steps,
                      .values = t->adapter->n,
                      .moments = t->adam.n};
    memcpy(p.seed, t->ask.seed, CKKS_SEED);
    return p;
}

static size_t bytes_of(const struct place *p) {
    return HEADER + 8 * (size_t)(p->values + 2 * p->moments) + HASH;
}

int split_checkpoint_save(const struct split_trainer *t, const char *path, const char *settings,
                          uint64_t weights) {
    int st = THOR_OK;
    struct ckks_file_out *f = NULL;
    const struct place p = place_of(t, settings, weights);
    const size_t n = bytes_of(&p);
    uint8_t *bytes = malloc(n);
    if (!bytes) return thor_fail(THOR_MEMORY, "no memory for a checkpoint of %zu bytes", n);
    put_header(bytes, &p);
    put_doubles(bytes + HEADER, t->adapter->values, p.values);
    put_doubles(bytes + HEADER + 8 * p.values, t->adam.m, p.moments);
    put_doubles(bytes + HEADER + 8 * (p.values + p.moments), t->adam.v, p.moments);
    put(bytes + n - HASH, XXH3_64bits(bytes, n - HASH));
    TRY(ckks_file_create(&f, path, CKKS_FILE_PRIVATE));
    TRY(ckks_file_write(f, bytes, n));
    TRY(ckks_file_commit(&f));
out:
    ckks_file_abandon(&f);
    sodium_memzero(bytes, n);
    free(bytes);
    return st;
}

static int check(const struct place *p, const struct place *want, const uint8_t *bytes, size_t n,
                 const char *path) {
    if (memcmp(bytes, magic, sizeof magic) != 0 || p->version != VERSION)
        return thor_fail(THOR_MODEL, "%.300s: no checkpoint of this version", path);
    if (p->values > VALUES_MAX || p->moments > VALUES_MAX || p->step > STEPS_MAX ||
        p->spent > STEPS_MAX || n != bytes_of(p) ||
        get(bytes + n - HASH) != XXH3_64bits(bytes, n - HASH))
        return thor_fail(THOR_MODEL, "%.300s: damaged; remove it to train from the start", path);
    if (p->weights != want->weights)
        return thor_fail(THOR_USAGE,
                         "%.300s: of a training on other weights than those of --model; give the "
                         "same model to go on, or name another --out",
                         path);
    if (p->settings != want->settings || p->values != want->values || p->moments != want->moments)
        return thor_fail(THOR_USAGE,
                         "%.300s: of a training with other options; give the same ones "
                         "to go on, or name another --out",
                         path);
    return THOR_OK;
}

int split_checkpoint_load(struct split_trainer *t, const char *path, const char *settings,
                          uint64_t weights) {
    int st = THOR_OK;
    char *text = NULL;
    size_t n = 0;
    struct place p;
    const struct place want = place_of(t, settings, weights);
    TRY(bert_read_file(&text, &n, path, bytes_of(&want) + (1 << 20), THOR_MODEL));
    const uint8_t *bytes = (const uint8_t *)text;
    if (n < HEADER + HASH)
        TRY(thor_fail(THOR_MODEL,
                      "%.300s: damaged; remove it to train from the "
                      "start",
                      path));
    get_header(&p, bytes);
    TRY(check(&p, &want, bytes, n, path));
    get_doubles(t->adapter->values, bytes + HEADER, p.values);
    get_doubles(t->adam.m, bytes + HEADER + 8 * p.values, p.moments);
    get_doubles(t->adam.v, bytes + HEADER + 8 * (p.values + p.moments), p.moments);
    t->adam.step = (long)p.step;
    if (t->is_private) split_dpsgd_resume(&t->privacy, (long)p.spent);
    memcpy(t->ask.seed, p.seed, CKKS_SEED);
    t->epoch = -1;
out:
    if (text) sodium_memzero(text, n);
    free(text);
    return st;
}
