#include "split/tokencipher.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckks/file.h"

static const char title[] = "thor-token-cipher 1 ";
enum { LINE = 128, HEX = 2 * CKKS_SEED };

/* Uniform among 0 .. n - 1, n <= 2^24. */
static uint32_t below(struct ckks_rng *r, uint32_t n) {
    uint32_t x;
    ckks_rng_uniform(r, &x, 1, n);
    return x;
}

int split_tokencipher_of(struct split_tokencipher *c, int words, const uint8_t key[CKKS_SEED]) {
    struct ckks_rng r;
    memset(c, 0, sizeof *c);
    if (words < 1 || words > SPLIT_WORDS_MAX)
        return thor_fail(THOR_USAGE, "a vocabulary of %d: there are 1 to %d words", words,
                         SPLIT_WORDS_MAX);
    c->to = malloc((size_t)words * sizeof *c->to);
    c->from = malloc((size_t)words * sizeof *c->from);
    if (!c->to || !c->from) {
        split_tokencipher_free(c);
        return thor_fail(THOR_MEMORY, "no memory for a permutation of %d words", words);
    }
    c->words = words;
    memcpy(c->key, key, CKKS_SEED);
    ckks_rng_init(&r, key, 0);
    for (int i = 0; i < words; i++) c->to[i] = i;
    for (int i = words - 1; i > 0; i--) {
        const int k = (int)below(&r, (uint32_t)i + 1), other = c->to[k];
        c->to[k] = c->to[i];
        c->to[i] = other;
    }
    for (int i = 0; i < words; i++) c->from[c->to[i]] = i;
    ckks_rng_wipe(&r);
    return THOR_OK;
}

int split_tokencipher_make(struct split_tokencipher *c, int words) {
    int st = THOR_OK;
    uint8_t key[CKKS_SEED];
    memset(c, 0, sizeof *c);
    TRY(ckks_random_start());
    ckks_random_seed(key);
    TRY(split_tokencipher_of(c, words, key));
out:
    sodium_memzero(key, sizeof key);
    return st;
}

void split_tokencipher_free(struct split_tokencipher *c) {
    const size_t bytes = (size_t)c->words * sizeof *c->to;
    if (c->to) sodium_memzero(c->to, bytes);
    if (c->from) sodium_memzero(c->from, bytes);
    free(c->to);
    free(c->from);
    sodium_memzero(c, sizeof *c);
}

int split_tokencipher_save(const struct split_tokencipher *c, const char *path) {
    int st = THOR_OK;
    struct ckks_file_out *f = NULL;
    char line[LINE], hex[HEX + 1];
    if (access(path, F_OK) == 0)
        return thor_fail(THOR_IO, "%.300s: is there already; a cipher is never replaced", path);
    sodium_bin2hex(hex, sizeof hex, c->key, sizeof c->key);
    snprintf(line, sizeof line, "%s%d %s\n", title, c->words, hex);
    TRY(ckks_file_create(&f, path, CKKS_FILE_PRIVATE));
    TRY(ckks_file_write(f, line, strlen(line)));
    TRY(ckks_file_commit(&f));
out:
    ckks_file_abandon(&f);
    sodium_memzero(line, sizeof line);
    sodium_memzero(hex, sizeof hex);
    return st;
}

/* The line of a file, without its end: 1, or 0 when it is none. */
static int parse(int *words, uint8_t key[CKKS_SEED], const char *line) {
    char *end;
    size_t bytes;
    const size_t name = strlen(title);
    if (strncmp(line, title, name) != 0) return 0;
    const long n = strtol(line + name, &end, 10);
    if (n < 1 || n > SPLIT_WORDS_MAX || *end != ' ' || strlen(end + 1) != HEX) return 0;
    *words = (int)n;
    return sodium_hex2bin(key, CKKS_SEED, end + 1, HEX, NULL, &bytes, NULL) == 0 &&
           bytes == CKKS_SEED;
}

int split_tokencipher_load(struct split_tokencipher *c, const char *path) {
    int st = THOR_OK, words = 0;
    struct ckks_file_in *f = NULL;
    uint8_t key[CKKS_SEED];
    char line[LINE] = "";
    memset(c, 0, sizeof *c);
    TRY(ckks_file_open(&f, path, CKKS_FILE_PRIVATE));
    const uint64_t bytes = ckks_file_bytes(f);
    if (bytes > 0 && bytes < LINE) TRY(ckks_file_read(f, line, (size_t)bytes));
    if (bytes == 0 || bytes >= LINE || line[bytes - 1] != '\n') {
        st = thor_fail(THOR_KEY, "%.300s: is no token cipher", path);
        goto out;
    }
    line[bytes - 1] = 0;
    if (!parse(&words, key, line)) TRY(thor_fail(THOR_KEY, "%.300s: is no token cipher", path));
    TRY(split_tokencipher_of(c, words, key));
out:
    ckks_file_close(&f);
    sodium_memzero(key, sizeof key);
    sodium_memzero(line, sizeof line);
    return st;
}

static int permute(const struct split_tokencipher *c, const int *by, int *ids, int n) {
    for (int i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= c->words)
            return thor_fail(THOR_INPUT, "token %d: the cipher is one of %d words", ids[i],
                             c->words);
    for (int i = 0; i < n; i++) ids[i] = by[ids[i]];
    return THOR_OK;
}

int split_tokencipher_hide(const struct split_tokencipher *c, int *ids, int n) {
    return permute(c, c->to, ids, n);
}

int split_tokencipher_show(const struct split_tokencipher *c, int *ids, int n) {
    return permute(c, c->from, ids, n);
}
