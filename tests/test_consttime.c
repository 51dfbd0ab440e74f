/* Constant time: no branch and no address depends on a secret.  The test runs itself under valgrind
 * with the secrets marked as undefined; memcheck then reports every branch and every address that
 * depends on them.
 *
 * Secret: the coefficients of the secret key, of every error and of the ternary u of an encryption,
 * marked where the samplers hand them out (ckks_rng_ternary, _cbd21, _sparse are wrapped).  Public:
 * what comes out, keys and ciphertexts. Checked: making a public key and evaluation keys,
 * encryption under either key, decryption up to the phase c0 + c1 s, which is the plaintext with
 * its noise and belongs to the caller; turning it into numbers is not constant time in it. The
 * samplers: the binomial one and each draw of the others work on undefined bytes as they are; those
 * that reject take as long as the rejected draws, which say nothing about the accepted ones
 * (sampler.c).  The whole ternary one runs on bytes of which it is known which pairs are rejected,
 * and not what the others are.  Division
 * instructions are not seen by this method: the portable tier has none on secrets (kern_mont,
 * kern_reduce64).  Toy ring, portable tier and AVX2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ckks/ckks.h"

#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#define HAVE_VALGRIND 1
#endif
#endif
#ifndef HAVE_VALGRIND
#define HAVE_VALGRIND 0
#define VALGRIND_MAKE_MEM_UNDEFINED(p, n) ((void)(p), (void)(n))
#define VALGRIND_MAKE_MEM_DEFINED(p, n) ((void)(p), (void)(n))
#define VALGRIND_SET_VBITS(p, v, n) ((void)(p), (void)(v), (void)(n))
#endif

enum { N = 1024, FOUND = 99 };

/* ---- the samplers, wrapped by the linker ---- */

static int marking;

void __real_ckks_rng_ternary(struct ckks_rng *r, int64_t *out, size_t n);
void __real_ckks_rng_cbd21(struct ckks_rng *r, int64_t *out, size_t n);
void __real_ckks_rng_sparse(struct ckks_rng *r, int64_t *out, size_t n, int h);
void __wrap_ckks_rng_ternary(struct ckks_rng *r, int64_t *out, size_t n);
void __wrap_ckks_rng_cbd21(struct ckks_rng *r, int64_t *out, size_t n);
void __wrap_ckks_rng_sparse(struct ckks_rng *r, int64_t *out, size_t n, int h);

static void secret(const void *p, size_t bytes) {
    if (marking) VALGRIND_MAKE_MEM_UNDEFINED(p, bytes);
}

void __wrap_ckks_rng_ternary(struct ckks_rng *r, int64_t *out, size_t n) {
    __real_ckks_rng_ternary(r, out, n);
    secret(out, n * sizeof *out);
}

void __wrap_ckks_rng_cbd21(struct ckks_rng *r, int64_t *out, size_t n) {
    __real_ckks_rng_cbd21(r, out, n);
    secret(out, n * sizeof *out);
}

void __wrap_ckks_rng_sparse(struct ckks_rng *r, int64_t *out, size_t n, int h) {
    __real_ckks_rng_sparse(r, out, n, h);
    secret(out, n * sizeof *out);
}

/* ---- what runs inside ---- */

static void (*real_download)(struct kernels *k, uint32_t *host, const uint32_t *src, size_t words);

static void download(struct kernels *k, uint32_t *host, const uint32_t *src, size_t words) {
    real_download(k, host, src, words);
    // what leaves the back end is public, or the caller's
    VALGRIND_MAKE_MEM_DEFINED(host, words * sizeof *host);
}

/* Pairs in turns: 3; 0 or 1, which of them is undefined; 0 or 2, the same. */
static void hide_accepted(struct ckks_rng *r) {
    (void)ckks_rng_words(r, 1); // fills the buffer
    for (size_t i = 0; i < sizeof r->buf; i++) {
        uint8_t byte = 0, hidden = 0;
        for (size_t k = 0; k < 4; k++) {
            const size_t kind = (4 * i + k) % 3;
            if (kind == 0)
                byte = (uint8_t)(byte | 3 << (2 * k));
            else
                hidden = (uint8_t)(hidden | (int)kind << (2 * k));
        }
        r->buf[i] = (uint8_t)(byte | (r->buf[i] & hidden));
        if (marking) (void)VALGRIND_SET_VBITS(&r->buf[i], &hidden, 1);
    }
}

static int inside(const char *what) {
    int st = THOR_OK;
    static const struct ckks_need need[] = {
        {CKKS_KEY_RELIN, 2}, {5, 1}, {CKKS_KEY_TO_SPARSE, 0}, {CKKS_KEY_FROM_SPARSE, 17}};
    static double x[N / 2] = {0.5, -0.25}, re[N / 2];
    const uint8_t seed[CKKS_SEED] = {1};
    const struct ckks_params *p;
    struct ckks *cx = NULL;
    struct ckks_secret *s = NULL;
    struct ckks_public *pk = NULL;
    struct ckks_keys *keys = NULL;
    struct ckks_ct ct = {0};
    struct ckks_rng rng;
    TRY(ckks_params_get(&p, "toy10", 1));
    TRY(ckks_open(&cx, p, KERN_CPU, KERN_TIER_BEST, 1));
    real_download = cx->k->download;
    cx->k->download = download;
    TRY(ckks_secret_new(&s, p, seed));
    ckks_rng_init(&rng, seed, 1);
    marking = 1;
    secret(s->s, N);
    if (strcmp(what, "control") == 0) { // a branch on the secret, as a careless sum would have it
        volatile int ones = 0;
        for (int i = 0; i < N; i++)
            if (s->s[i] > 0) ones++;
    }
    if (strcmp(what, "keys") == 0) {
        TRY(ckks_public_new(&pk, cx, s, seed));
        TRY(ckks_keys_new(&keys, cx, s, need, 4, seed, NULL, NULL));
    }
    if (strcmp(what, "encrypt") == 0) {
        marking = 0;
        VALGRIND_MAKE_MEM_DEFINED(s->s, N);
        TRY(ckks_public_new(&pk, cx, s, seed));
        marking = 1;
        secret(s->s, N);
        TRY(ckks_encrypt_secret(&ct, cx, x, NULL, N / 2, 2, s, &rng));
        TRY(ckks_encrypt_public(&ct, cx, x, NULL, N / 2, 2, pk, &rng));
    }
    if (strcmp(what, "decrypt") == 0) {
        marking = 0;
        VALGRIND_MAKE_MEM_DEFINED(s->s, N);
        TRY(ckks_encrypt_secret(&ct, cx, x, NULL, N / 2, 2, s, &rng));
        marking = 1;
        secret(s->s, N);
        TRY(ckks_decrypt(re, NULL, &ct, s));
    }
    if (strcmp(what, "binomial") == 0) {
        int64_t e[100];
        rng.used = 0;
        VALGRIND_MAKE_MEM_UNDEFINED(rng.buf, sizeof rng.buf);
        __real_ckks_rng_cbd21(&rng, e, 100);
    }
    if (strcmp(what, "ternary") == 0) {
        static int64_t e[N];
        for (uint32_t i = 0; i < 4; i++) {
            secret(&i, sizeof i);
            ckks_ternary_put(e, i);
            VALGRIND_MAKE_MEM_DEFINED(&i, sizeof i);
        }
        hide_accepted(&rng);
        __real_ckks_rng_ternary(&rng, e, N);
    }
    if (strcmp(what, "sparse") == 0) {
        static int64_t e[N];
        for (uint32_t i = 0; i < 64; i++) {
            uint32_t word = i * 0x9e3779b9u;
            secret(&word, sizeof word);
            ckks_sparse_put(e, N, word);
        }
    }
out:
    ckks_ct_free(&ct);
    ckks_keys_free(keys);
    ckks_public_free(pk);
    ckks_secret_free(s);
    ckks_close(cx);
    return st;
}

/* ---- from outside ---- */

static char self[1024];

static int run(const char *what, const char *tier) {
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("THOR_CPU", tier, 1);
        execlp("valgrind", "valgrind", "-q", "--error-exitcode=99", "--undef-value-errors=yes",
               "--leak-check=no", self, "--inside", what, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int there(void) {
#ifdef __SANITIZE_ADDRESS__
    return 0;
#endif
    if (HAVE_VALGRIND && system("command -v valgrind >/dev/null 2>&1") == 0) return 1;
    print_message("no valgrind here (Debian package valgrind)\n");
    return 0;
}

static void constant_time(void **state) {
    (void)state;
    static const char *const parts[] = {"binomial", "ternary", "sparse",
                                        "keys",     "encrypt", "decrypt"},
                             *const tiers[] = {"ref", "avx2"};
    if (!there()) skip();
    for (int t = 0; t < 2; t++)
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            int code = run(parts[i], tiers[t]);
            if (code)
                fail_msg("%s, %s: %s", parts[i], tiers[t],
                         code == FOUND ? "depends on a secret" : "does not run");
        }
}

static void the_check_is_alive(void **state) {
    (void)state;
    if (!there()) skip();
    assert_int_equal(run("control", "ref"), FOUND);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_check_is_alive),
                                       cmocka_unit_test(constant_time)};
    if (argc == 3 && strcmp(argv[1], "--inside") == 0) {
        int st = inside(argv[2]);
        if (st != THOR_OK) fprintf(stderr, "%s\n", thor_error());
        return st;
    }
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0) return 1;
    return cmocka_run_group_tests_name("constant time", tests, NULL, NULL);
}
