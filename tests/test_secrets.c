/* Where the secret key is in memory.  The process looks at itself as a core file would: every
 * readable mapping that is not marked "do not dump", searched for pieces of the key in every form
 * that the engine gives it: bytes, two bits each (files), 64-bit integers (sampling, lifting),
 * residues, and the evaluation form modulo several primes.  Before, while and after keys are made
 * and used there must be nothing; a copy put there on purpose is found. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "ckks/ckks.h"
#include "tests/scratch.h"

#define OK(x) assert_int_equal((x), THOR_OK)
enum { N = 1024, FORMS = 12, MOST = 128, WINDOW = 1 << 16 };

/* All in memory that is not dumped. */
static struct {
    struct {
        uint8_t piece[MOST];
        size_t bytes;
        const char *name;
    } form[FORMS];
    int forms;
    uint8_t window[WINDOW + MOST];
} * w;
static struct ckks *cx;
static struct ckks_secret *sk;
static const struct ckks_params *p;

static void add_form(const void *piece, size_t bytes, const char *name) {
    assert_true(w->forms < FORMS && bytes <= MOST);
    memcpy(w->form[w->forms].piece, piece, bytes);
    w->form[w->forms].bytes = bytes;
    w->form[w->forms++].name = name;
}

static void add_rows(int place, const char *residues, const char *evaluation) {
    struct kernels *k = cx->k;
    const struct kbasis one = {.n = 1, .prime = {(uint8_t)place}};
    int64_t *c = sodium_malloc(N * sizeof *c);
    uint32_t *host = sodium_malloc(N * sizeof *host), *t;
    struct kvec v = {0};
    for (int i = 0; i < N; i++) c[i] = sk->s[i];
    OK(k->alloc(k, &t, 1));
    v.p = t;
    k->lift(k, v, c, N, &one, 1);
    k->download(k, host, t, N);
    if (residues) add_form(host + 200, 4 * 32, residues);
    k->ntt_fwd(k, v, &one, 1, 10);
    k->download(k, host, t, N);
    OK(k->sync(k));
    add_form(host + 200, 4 * 16, evaluation);
    k->zero(k, v, 1, 1);
    k->release(k, t);
    sodium_free(c);
    sodium_free(host);
}

static void make_forms(void) {
    int64_t *c = sodium_malloc(16 * sizeof *c);
    uint8_t *pairs = sodium_malloc(32);
    w->forms = 0;
    add_form(sk->s + 100, 64, "bytes");
    memset(pairs, 0, 32);
    for (int i = 0; i < 128; i++) {
        int v = sk->s[400 + i];
        pairs[i / 4] |= (uint8_t)((v == 1 ? 1 : v == -1 ? 2 : 0) << (2 * (i % 4)));
    }
    add_form(pairs, 32, "file");
    for (int i = 0; i < 16; i++) c[i] = sk->s[300 + i];
    add_form(c, 16 * sizeof *c, "integers");
    add_rows(0, "residues mod terminal 0", "evaluation mod terminal 0");
    add_rows(CKKS_TERMINALS, "residues mod main 0", "evaluation mod main 0");
    add_rows(CKKS_SPECIAL0, NULL, "evaluation mod special 0");
    sodium_free(c);
    sodium_free(pairs);
}

static const char *search(const uint8_t *x, size_t n) {
    for (int f = 0; f < w->forms; f++)
        if (n >= w->form[f].bytes && memmem(x, n, w->form[f].piece, w->form[f].bytes))
            return w->form[f].name;
    return NULL;
}

/* A mapping's flags end its entry in smaps: "VmFlags: rd wr .. dd .."; is it in a core file? */
static const char *scan_mapping(int mem, int pages, unsigned long from, unsigned long to) {
    enum { ENTRIES = 1 << 16 };
    // bits 63, 62: in memory, in swap; not the gigabytes that are only reserved
    static uint64_t entry[ENTRIES];
    const unsigned long page = 4096, step = WINDOW / page;
    for (unsigned long at = from; at < to; at += ENTRIES * page) {
        unsigned long n = (to - at) / page < ENTRIES ? (to - at) / page : ENTRIES;
        if (pread(pages, entry, 8 * n, (off_t)(at / page * 8)) != (ssize_t)(8 * n)) continue;
        for (unsigned long i = 0; i < n; i++) {
            if (!(entry[i] >> 62)) continue;
            unsigned long here = at + i / step * WINDOW, left = to - here;
            ssize_t got =
                pread(mem, w->window, left < WINDOW + MOST ? left : WINDOW + MOST, (off_t)here);
            const char *found = got > 0 ? search(w->window, (size_t)got) : NULL;
            if (found) return found;
            i = i / step * step + step - 1;
        }
    }
    return NULL;
}

/* Name of the form found in memory that would be dumped; NULL: none.  seen: how many bytes were
 * searched. */
static const char *scan(size_t *seen) {
    static char line[1024];
    unsigned long from = 0, to = 0, a, b;
    char rights[8] = "", r[8];
    const char *found = NULL;
    int mem = open("/proc/self/mem", O_RDONLY), pages = open("/proc/self/pagemap", O_RDONLY);
    FILE *maps = fopen("/proc/self/smaps", "r");
    assert_true(mem >= 0 && pages >= 0 && maps);
    *seen = 0;
    while (!found && fgets(line, sizeof line, maps)) {
        if (sscanf(line, "%lx-%lx %7s", &a, &b, r) == 3) {
            from = a, to = b;
            memcpy(rights, r, sizeof rights);
        } else if (strncmp(line, "VmFlags:", 8) == 0 && rights[0] == 'r' && rights[1] == 'w' &&
                   !strstr(line, " dd")) {
            if (strstr(line, " rd")) found = scan_mapping(mem, pages, from, to);
            *seen += to - from;
        }
    }
    fclose(maps);
    close(mem);
    close(pages);
    sodium_memzero(w->window, sizeof w->window);
    return found;
}

static void nothing(const char *when) {
    size_t seen;
    const char *found = scan(&seen);
    if (found)
        fail_msg("%s: the secret key (%s) is in memory that a core file would hold", when, found);
    assert_true(seen > 100000); // stack, heap, data
}

#ifdef __SANITIZE_ADDRESS__ // its allocator keeps what is freed, and takes the place of the pool
#define PLAIN_MEMORY 0
#else
#define PLAIN_MEMORY 1
#endif

/* ---- tests ---- */

static void the_search_finds(void **state) {
    (void)state;
    size_t seen;
    for (int f = 0; f < w->forms; f++) {
        uint8_t *copy = malloc(MOST);
        memcpy(copy, w->form[f].piece, w->form[f].bytes);
        assert_string_equal(scan(&seen), w->form[f].name);
        sodium_memzero(copy, MOST);
        free(copy);
    }
    nothing("afterwards");
}

static void check_locked(const void *p) {
    char line[1024];
    unsigned long a, b, at = (unsigned long)(uintptr_t)p;
    int inside = 0, dontdump = 0, locked = 0;
    struct rlimit limit;
    FILE *maps = fopen("/proc/self/smaps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        char rights[8];
        if (sscanf(line, "%lx-%lx %7s", &a, &b, rights) == 3)
            inside = at >= a && at < b;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            dontdump = strstr(line, " dd") != NULL, locked = strstr(line, " lo") != NULL;
    }
    fclose(maps);
    assert_true(dontdump);
    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
    // the sanitizer swallows mlock
    if (PLAIN_MEMORY && limit.rlim_cur >= 1 << 16) assert_true(locked);
}

static void locked_and_guarded(void **state) {
    (void)state;
    check_locked(sk->s);
}

/* What a text is encrypted with tells the text: its key and its buffer are nowhere else, and gone
 * when it is freed. */
static void streams(void **state) {
    (void)state;
    static double x[N / 2] = {0.5};
    static struct ckks_rng plain;
    const int forms = w->forms;
    struct ckks_public *pk;
    struct ckks_ct ct = {0};
    struct ckks_rng *rng;
    unsigned char resident[1];
    size_t seen;
    if (!PLAIN_MEMORY) skip();
    OK(ckks_public_new(&pk, cx, sk, NULL));
    OK(ckks_rng_new(&rng));
    check_locked(rng->key);
    check_locked(rng->buf + sizeof rng->buf - 1);
    add_form(rng->key, sizeof rng->key, "key of a stream");
    OK(ckks_encrypt_public(&ct, cx, x, NULL, N / 2, 2, pk, rng));
    add_form(rng->buf + 500, 64, "buffer of a stream");
    nothing("after encryption under the public key");
    plain.domain = 1; // the controls: one in plain memory is found, by either
    memcpy(plain.key, rng->key, sizeof plain.key);
    assert_string_equal(scan(&seen), "key of a stream");
    ckks_rng_wipe(&plain);
    memcpy(plain.buf, rng->buf, sizeof plain.buf);
    assert_string_equal(scan(&seen), "buffer of a stream");
    ckks_rng_wipe(&plain);
    void *page = (void *)((uintptr_t)rng->buf & ~(uintptr_t)4095);
    ckks_rng_free(rng);
    ckks_rng_free(NULL);
    assert_int_equal(mincore(page, 1, resident), -1);
    nothing("after freeing a stream");
    w->forms = forms;
    ckks_ct_free(&ct);
    ckks_public_free(pk);
}

static void in_progress(void *ctx, int done, int total) {
    int *looked = ctx;
    if (done == total) return;
    nothing("while keys are made");
    ++*looked;
}

static void keys_and_ciphertexts(void **state) {
    (void)state;
    static const struct ckks_need need[] = {{CKKS_KEY_RELIN, 2}, {5, 1}, {CKKS_KEY_TO_SPARSE, 0}};
    static double x[N / 2] = {0.5}, re[N / 2];
    struct ckks_public *pk;
    struct ckks_keys *keys;
    struct ckks_ct ct = {0};
    struct ckks_rng rng;
    uint8_t seed[CKKS_SEED] = {1};
    int looked = 0;
    if (!PLAIN_MEMORY) skip();
    nothing("with a secret key");
    OK(ckks_public_new(&pk, cx, sk, NULL));
    nothing("after a public key");
    OK(ckks_keys_new(&keys, cx, sk, need, 3, NULL, in_progress, &looked));
    assert_int_equal(looked, 2); // behind the first and the second
    nothing("after evaluation keys");
    ckks_rng_init(&rng, seed, 0);
    OK(ckks_encrypt_secret(&ct, cx, x, NULL, N / 2, 2, sk, &rng));
    nothing("after encryption");
    OK(ckks_decrypt(re, NULL, &ct, sk));
    nothing("after decryption");
    ckks_ct_free(&ct);
    ckks_keys_free(keys);
    ckks_public_free(pk);
}

static void files(void **state) {
    (void)state;
    struct ckks_secret *back;
    struct stat s;
    if (!PLAIN_MEMORY) skip();
    OK(ckks_secret_save(sk, scratch_path("s")));
    nothing("after saving");
    assert_int_equal(stat(scratch_path("s"), &s), 0);
    assert_int_equal(s.st_mode & 07777, 0600);
    OK(ckks_secret_load(&back, scratch_path("s"), 1));
    nothing("after loading");
    ckks_secret_free(back);
    nothing("after freeing");
}

/* Wiped: after ckks_secret_free nothing is left anywhere, dumped or not. */
static void freed_is_gone(void **state) {
    (void)state;
    struct ckks_secret *s;
    uint8_t seed[CKKS_SEED] = {77}, piece[64];
    OK(ckks_secret_new(&s, p, seed));
    int8_t *at = s->s;
    memcpy(piece, at, 64);
    unsigned char resident[1];
    ckks_secret_free(s);
    /* the pages are unmapped: nothing can be read there */
    void *page = (void *)((uintptr_t)at & ~(uintptr_t)4095);
    assert_int_equal(mincore(page, 1, resident), -1);
    sodium_memzero(piece, sizeof piece);
}

/* A process that dies of a signal in the middle of all this leaves no core file when it is the
 * program. */
static void no_core_of_the_program(void **state) {
    (void)state;
    const char *thor = getenv("THOR_PROGRAM");
    struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    int dumped[2];
    if (!thor || !PLAIN_MEMORY) skip();
    for (int i = 0; i < 2; i++) { // the control: this test, which may be dumped
        int status;
        pid_t child = fork();
        if (child == 0) {
            if (chdir(scratch_path("")) != 0) _exit(1);
            setrlimit(RLIMIT_CORE, &unlimited);
            if (i == 0) abort();
            int null = open("/dev/null", O_RDWR);
            dup2(null, 1);
            dup2(null, 2);
            alarm(20);
            execl(thor, thor, "bench", "ntt", "--threads", "1", (char *)NULL);
            _exit(1);
        }
        if (i == 1) {
            usleep(300000);
            kill(child, SIGABRT);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        dumped[i] = WIFSIGNALED(status) && WCOREDUMP(status);
        if (i == 1) assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
        scratch_empty();
    }
    if (!dumped[0]) skip(); // this system writes none
    assert_false(dumped[1]);
}

static int setup(void **state) {
    uint8_t seed[CKKS_SEED] = {3};
    if (scratch_open(state)) return -1;
    OK(ckks_params_get(&p, "toy10", 1));
    OK(ckks_open(&cx, p, KERN_CPU, KERN_TIER_BEST, 1));
    OK(ckks_secret_new(&sk, p, seed));
    w = sodium_malloc(sizeof *w);
    assert_non_null(w);
    make_forms();
    return 0;
}

static int teardown(void **state) {
    sodium_free(w);
    ckks_secret_free(sk);
    ckks_close(cx);
    return scratch_close(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_search_finds),
        cmocka_unit_test(locked_and_guarded),
        cmocka_unit_test(keys_and_ciphertexts),
        cmocka_unit_test(files),
        cmocka_unit_test(freed_is_gone),
        cmocka_unit_test(no_core_of_the_program),
        cmocka_unit_test(streams),
    };
    return cmocka_run_group_tests_name("secrets", tests, setup, teardown);
}
