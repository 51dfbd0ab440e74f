/* This side of the tests against Microsoft SEAL (tests/seal/check.sh), by include/ckks.h alone.
 *   ours start SET OWNER DIR    parameters and levels for driver.cpp; OWNER ours: keys, too
 *   ours answer SET DIR LEVEL   reads what SEAL made at that level, decrypts and compares, writes
 *                               the same encrypted here, products, rotations, plaintexts */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "include/ckks.h"
#include "tests/seal/values.h"

#define TRY(call)                                                                                  \
    do {                                                                                           \
        if ((st = (call)) != CKKS_OK) goto out;                                                    \
    } while (0)

struct side {
    const struct ckks_params *p;
    struct ckks *cx;
    struct ckks_secret *secret;
    struct ckks_public *public;
    struct ckks_keys *keys;
    struct ckks_rng *rng;
    struct ckks_ct *ct; /* SEAL's, all cases of a level; then work */
    double *z, *want;   /* re, im each */
    size_t n;           /* slots */
    const char *dir;
    int level, passed, failed;
};

static const char *in(const struct side *t, const char *name) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", t->dir, name);
    return path;
}

static const char *numbered(const struct side *t, char what, int number) {
    char name[64];
    snprintf(name, sizeof name, "%c%d_%d", what, t->level, number);
    return in(t, name);
}

static int open_side(struct side *t, const char *set, const char *dir) {
    int st = CKKS_OK;
    t->dir = dir;
    TRY(ckks_params_get(&t->p, set, 1));
    TRY(ckks_open_on(&t->cx, t->p, CKKS_CPU, 0));
    TRY(ckks_rng_new(&t->rng));
    TRY(ckks_ct_new(&t->ct, SEAL_CASES + 1));
    t->n = (size_t)ckks_slots(t->cx);
    t->z = calloc(2 * t->n, sizeof *t->z);
    t->want = calloc(2 * t->n, sizeof *t->want);
    if (!t->z || !t->want) st = CKKS_MEMORY;
out:
    return st;
}

static void close_side(struct side *t) {
    ckks_ct_delete(t->ct, SEAL_CASES + 1);
    ckks_rng_free(t->rng);
    ckks_keys_free(t->keys);
    ckks_public_free(t->public);
    ckks_secret_free(t->secret);
    ckks_close(t->cx);
    free(t->z);
    free(t->want);
}

/* Primes of a level: from the size of a ciphertext of SEAL, 113 bytes and 16 N for each. */
static long primes_of(const char *path, size_t slots) {
    struct stat s;
    return stat(path, &s) ? -1 : (long)((size_t)(s.st_size - 113) / (32 * slots));
}

static int write_levels(struct side *t) {
    int st = CKKS_OK;
    FILE *f = fopen(in(t, "levels"), "w");
    if (!f) return CKKS_IO;
    for (int l = 0; l <= ckks_params_levels(t->p); l++) {
        TRY(ckks_zero(t->ct, t->cx, l));
        TRY(ckks_seal_ct_save(t->ct, in(t, "zero")));
        fprintf(f, "%ld %a\n", primes_of(in(t, "zero"), t->n), ckks_params_scale(t->p, l));
    }
    remove(in(t, "zero"));
out:
    fclose(f);
    return st;
}

static int start(struct side *t, int keys) {
    int st = CKKS_OK;
    TRY(ckks_seal_params_save(t->p, in(t, "parms")));
    TRY(write_levels(t));
    if (!keys) return st;
    TRY(ckks_secret_new(&t->secret, t->p, NULL));
    TRY(ckks_seal_secret_save(t->secret, t->cx, in(t, "secret")));
    TRY(ckks_seal_public_save(t->cx, t->secret, t->rng, in(t, "public")));
out:
    return st;
}

static int open_keys(struct side *t) {
    int st = CKKS_OK, n = 0, by, conjugate;
    struct ckks_need need[8] = {{CKKS_KEY_RELIN, ckks_params_levels(t->p)},
                                {ckks_key_conjugation(t->p), ckks_params_levels(t->p)}};
    TRY(ckks_seal_secret_load(&t->secret, t->cx, in(t, "secret")));
    TRY(ckks_seal_public_load(&t->public, t->cx, ckks_secret_id(t->secret), in(t, "public")));
    for (n = 2; n < 8; n++) {
        ckks_seal_rotation(&by, &conjugate, t->p, seal_step(n - 2));
        need[n] = (struct ckks_need){ckks_key_rotation(t->p, by), ckks_params_levels(t->p)};
        for (int i = 2; i < n; i++)
            if (need[i].id == need[n].id || need[n].id == 1) return CKKS_INTERNAL;
    }
    TRY(ckks_keys_new(&t->keys, t->cx, t->secret, need, n, NULL, NULL, NULL));
    ckks_use_keys(t->cx, t->keys);
out:
    return st;
}

/* z in SEAL's order against those of a case, or the product with those of the next. */
static void compare(struct side *t, char what, int number, double bound) {
    size_t off = 0;
    for (size_t s = 0; s < t->n; s++) {
        double re = t->want[s], im = t->want[t->n + s];
        if (what == 't') {
            const int next = (number + 1) % SEAL_CASES;
            const double re2 = seal_value(t->level, next, (int)s, 0),
                         im2 = seal_value(t->level, next, (int)s, 1), re1 = re;
            re = re * re2 - im * im2;
            im = re1 * im2 + im * re2;
        }
        off += !(fabs(t->z[s] - re) < bound && fabs(t->z[t->n + s] - im) < bound);
    }
    *(off ? &t->failed : &t->passed) += 1;
    if (off) printf("%c%d_%d: %zu slots are off by %g\n", what, t->level, number, off, bound);
}

/* The numbers of a case: want in SEAL's order, z in ours. */
static int numbers(struct side *t, int number) {
    for (size_t s = 0; s < t->n; s++) {
        t->want[s] = seal_value(t->level, number, (int)s, 0);
        t->want[t->n + s] = seal_value(t->level, number, (int)s, 1);
    }
    memcpy(t->z, t->want, 2 * t->n * sizeof *t->z);
    return ckks_seal_slots(t->z, t->z + t->n, t->p, 0);
}

static int read_case(struct side *t, int i) {
    int st = CKKS_OK, level = -1;
    const double n = 2 * (double)t->n, scale = ckks_params_scale(t->p, t->level);
    struct ckks_ct *ct = ckks_ct_at(t->ct, i), *product = ckks_ct_at(t->ct, SEAL_CASES);
    TRY(numbers(t, i));
    TRY(ckks_seal_plain_load(t->z, t->z + t->n, &level, t->cx, numbered(t, 'p', i)));
    TRY(ckks_seal_slots(t->z, t->z + t->n, t->p, 1));
    compare(t, level == t->level ? 'p' : '?', i, seal_bound_fresh(n, scale));
    TRY(ckks_seal_ct_load(ct, t->cx, numbered(t, 's', i)));
    TRY(ckks_decrypt(t->z, t->z + t->n, ct, t->secret));
    TRY(ckks_seal_slots(t->z, t->z + t->n, t->p, 1));
    compare(t, ckks_ct_level(ct) == t->level ? 's' : '?', i, seal_bound_fresh(n, scale));
    if (!t->level) return st;
    TRY(ckks_seal_ct_load(product, t->cx, numbered(t, 't', i)));
    TRY(ckks_decrypt(t->z, t->z + t->n, product, t->secret));
    TRY(ckks_seal_slots(t->z, t->z + t->n, t->p, 1));
    compare(t, ckks_ct_level(product) == t->level - 1 ? 't' : '?', i,
            seal_bound_product(n, ckks_params_scale(t->p, t->level - 1)));
out:
    return st;
}

static int write_case(struct side *t, int i) {
    int st = CKKS_OK, by, conjugate;
    double *re = t->z, *im = t->z + t->n;
    struct ckks_ct *out = ckks_ct_at(t->ct, SEAL_CASES);
    TRY(numbers(t, i));
    TRY(ckks_seal_plain_save(t->cx, re, im, t->n, t->level, numbered(t, 'q', i)));
    TRY(i % 2 ? ckks_encrypt_secret(out, t->cx, re, im, t->n, t->level, t->secret, t->rng)
              : ckks_encrypt_public(out, t->cx, re, im, t->n, t->level, t->public, t->rng));
    TRY(ckks_seal_ct_save(out, numbered(t, 'o', i)));
    ckks_seal_rotation(&by, &conjugate, t->p, seal_step(i));
    TRY(ckks_rotate(out, ckks_ct_at(t->ct, i), by));
    if (conjugate) TRY(ckks_conj(out, out));
    TRY(ckks_seal_ct_save(out, numbered(t, 'r', i)));
    if (!t->level) return st;
    TRY(ckks_mul(out, ckks_ct_at(t->ct, i), ckks_ct_at(t->ct, (i + 1) % SEAL_CASES)));
    TRY(ckks_seal_ct_save(out, numbered(t, 'm', i)));
out:
    return st;
}

static int answer(struct side *t, int level) {
    int st = CKKS_OK;
    t->level = level;
    TRY(open_keys(t));
    for (int i = 0; i < SEAL_CASES; i++) TRY(read_case(t, i));
    for (int i = 0; i < SEAL_CASES; i++) TRY(write_case(t, i));
out:
    return st;
}

int main(int argc, char **argv) {
    struct side t = {0};
    int st = argc == 5 ? CKKS_OK : CKKS_USAGE;
    if (!st && strcmp(argv[1], "start") == 0) {
        st = open_side(&t, argv[2], argv[4]);
        if (!st) st = start(&t, strcmp(argv[3], "ours") == 0);
    } else if (!st) {
        st = open_side(&t, argv[2], argv[3]);
        if (!st) st = answer(&t, atoi(argv[4]));
    }
    if (st)
        fprintf(stderr, "ours: %s\n",
                argc == 5 ? ckks_error() : "start SET OWNER DIR | answer SET DIR LEVEL");
    if (t.passed + t.failed) printf("ours: %d passed, %d failed\n", t.passed, t.failed);
    close_side(&t);
    return st ? st : t.failed != 0;
}
