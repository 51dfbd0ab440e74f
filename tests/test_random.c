/* Streams and samplers.  Known answers come from the published ChaCha20 vectors and from an
 * independent implementation of the format in random.c, tests/constants.py, which makes them again.
 * The statistical tests run on fixed seeds; for a fresh seed each would raise a false alarm with
 * probability below e^-30 = 1e-13:
 *   P(chi2_k >= k + 2 sqrt(k t) + 2 t) <= e^-t  (Laurent and Massart 2000), here t = 30. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ckks/random.h"
#include "kernels/uniform.h"

static const uint8_t seed0[CKKS_SEED]; /* zeros */

static void counting_seed(uint8_t seed[CKKS_SEED]) {
    for (int i = 0; i < CKKS_SEED; i++) seed[i] = (uint8_t)i;
}

static struct ckks_rng rng_of(uint64_t domain) {
    struct ckks_rng r;
    uint8_t seed[CKKS_SEED];
    counting_seed(seed);
    ckks_rng_init(&r, seed, domain);
    return r;
}

static void check_chi2(const double *seen, const double *expected, int cells) {
    double x = 0, k = cells - 1, t = 30;
    for (int i = 0; i < cells; i++)
        x += (seen[i] - expected[i]) * (seen[i] - expected[i]) / expected[i];
    if (x > k + 2 * sqrt(k * t) + 2 * t) fail_msg("chi2 = %g for %g degrees of freedom", x, k);
}

static void published_stream(void **state) {
    (void)state; /* RFC 7539, appendix A.1, vectors 1 and 2: blocks 0 and 1 of the zero key */
    static const uint8_t block0[16] = {0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90,
                                       0x40, 0x5d, 0x6a, 0xe5, 0x53, 0x86, 0xbd, 0x28};
    static const uint8_t block1[16] = {0x9f, 0x07, 0xe7, 0xbe, 0x55, 0x51, 0x38, 0x7a,
                                       0x98, 0xba, 0x97, 0x7c, 0x73, 0x2d, 0x08, 0x0d};
    uint8_t out[128];
    struct ckks_rng r;
    ckks_rng_init(&r, seed0, 0);
    ckks_rng_bytes(&r, out, sizeof out);
    assert_memory_equal(out, block0, 16);
    assert_memory_equal(out + 64, block1, 16);
}

static void known_samples(void **state) {
    (void)state;
    static const uint32_t uniform[8] = {266056, 782433, 486579, 871354,
                                        68600,  135648, 805879, 266225};
    static const int64_t cbd[8] = {-7, -2, -2, -3, 1, -3, -5, 4},
                         ternary[8] = {-1, 1, -1, 0, -1, -1, -1, 0};
    static uint32_t u[1000];
    static int64_t c[1000];
    int64_t sum = 0;
    struct ckks_rng r = rng_of(7);
    ckks_rng_uniform(&r, u, 1000, 1179649);
    assert_memory_equal(u, uniform, sizeof uniform);
    assert_int_equal(u[999], 440201); /* beyond the first buffer */
    r = rng_of(7);
    ckks_rng_cbd21(&r, c, 1000);
    assert_memory_equal(c, cbd, sizeof cbd);
    assert_int_equal(c[999], 0);
    r = rng_of(7);
    ckks_rng_ternary(&r, c, 1000);
    assert_memory_equal(c, ternary, sizeof ternary);
    for (int i = 0; i < 1000; i++) sum += c[i];
    assert_int_equal(sum, 6);
}

static void known_halves_of_keys(void **state) {
    (void)state;
    static const uint32_t halves[8] = {111151390, 88302303,  146353763, 215098794,
                                       261797918, 204074078, 180366292, 85450816};
    uint32_t words[UNIFORM_WORDS], p[512];
    uint8_t seed[CKKS_SEED];
    counting_seed(seed);
    memcpy(words, seed, sizeof words);
    uniform_ref(p, words, 130, 512, 268369921);
    assert_memory_equal(p, halves, sizeof halves);
    assert_int_equal(p[511], 203528224);
}

static void derived_seeds(void **state) {
    (void)state; /* BLAKE2b-256 keyed with 00 01 .. 1f of "thor seed v1\0" and the label 5 */
    static const uint8_t want[8] = {0xa0, 0xe8, 0x12, 0xe5, 0x19, 0xde, 0xd7, 0x0a};
    uint8_t seed[CKKS_SEED], five[CKKS_SEED], six[CKKS_SEED];
    counting_seed(seed);
    ckks_seed_derive(five, seed, 5);
    ckks_seed_derive(six, seed, 6);
    assert_memory_equal(five, want, sizeof want);
    assert_memory_not_equal(five, six, sizeof five);
    ckks_seed_derive(seed, seed, 5);
    assert_memory_equal(seed, five, sizeof seed);
}

static void same_bytes_in_any_portions(void **state) {
    (void)state;
    enum { BYTES = 20000 };
    uint8_t *a = malloc(BYTES), *b = malloc(BYTES);
    struct ckks_rng r = rng_of(3);
    ckks_rng_bytes(&r, a, BYTES);
    r = rng_of(3);
    for (size_t at = 0, n = 1; at < BYTES; at += n, n = n * 7 % 4999 + 1) {
        if (n > BYTES - at) n = BYTES - at;
        ckks_rng_bytes(&r, b + at, n);
    }
    assert_memory_equal(a, b, BYTES);
    free(a);
    free(b);
}

static void words_begin_at_their_size(void **state) {
    (void)state;
    uint32_t a[3], b[2], skip;
    struct ckks_rng r = rng_of(9);
    ckks_rng_uniform(&r, a, 3, 1u << 20);
    r = rng_of(9);
    ckks_rng_bytes(&r, &skip, 3);
    ckks_rng_uniform(&r, b, 2, 1u << 20); /* a power of two takes every word */
    assert_memory_equal(a + 1, b, sizeof b);
}

static void domains_and_seeds_differ(void **state) {
    (void)state;
    enum { STREAMS = 64 };
    uint8_t out[STREAMS][32], seed[CKKS_SEED];
    for (int i = 0; i < STREAMS; i++) {
        struct ckks_rng r;
        counting_seed(seed);
        if (i >= 32) seed[i - 32] ^= 0x80;
        ckks_rng_init(&r, seed, i < 32 ? 1ull << (2 * i) : 1);
        ckks_rng_bytes(&r, out[i], sizeof out[i]);
        for (int j = 0; j < i; j++) assert_memory_not_equal(out[i], out[j], sizeof out[i]);
    }
}

static void system_seeds_differ(void **state) {
    (void)state;
    uint8_t a[CKKS_SEED] = {0}, b[CKKS_SEED] = {0};
    ckks_random_seed(a);
    ckks_random_seed(b);
    assert_memory_not_equal(a, b, sizeof a); /* equal with probability 2^-256 */
    assert_memory_not_equal(a, seed0, sizeof a);
}

static void uniform_of(uint32_t q, uint64_t domain) {
    enum { CELLS = 64, DRAWS = 1 << 18 };
    uint32_t *u = malloc(DRAWS * sizeof *u), most = 0;
    double seen[CELLS] = {0}, expected[CELLS];
    struct ckks_rng r = rng_of(domain);
    ckks_rng_uniform(&r, u, DRAWS, q);
    for (int i = 0; i < CELLS; i++) { /* cell i: the x with floor(64 x / q) = i */
        uint64_t low = ((uint64_t)i * q + CELLS - 1) / CELLS,
                 high = ((uint64_t)(i + 1) * q + CELLS - 1) / CELLS;
        expected[i] = (double)DRAWS * (double)(high - low) / q;
    }
    for (int i = 0; i < DRAWS; i++) {
        assert_true(u[i] < q);
        if (u[i] > most) most = u[i];
        seen[(uint64_t)u[i] * CELLS / q]++;
    }
    check_chi2(seen, expected, CELLS);
    assert_true(most >= q - q / 4096 - 1); /* fails for a fresh seed with probability below e^-64 */
    free(u);
}

/* Seeds drawn after a fork differ in parent and children: nobody inherits a state to draw from. */
static void seeds_after_a_fork(void **state) {
    (void)state;
    enum { CHILDREN = 8 };
    uint8_t seed[CHILDREN + 1][CKKS_SEED];
    int ends[2];
    assert_int_equal(ckks_random_start(), THOR_OK);
    assert_int_equal(pipe(ends), 0);
    for (int i = 0; i < CHILDREN; i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            ckks_random_seed(seed[i]);
            _exit(write(ends[1], seed[i], CKKS_SEED) != CKKS_SEED);
        }
        assert_int_equal(read(ends[0], seed[i], CKKS_SEED), CKKS_SEED);
        assert_int_equal(waitpid(child, NULL, 0), child);
    }
    ckks_random_seed(seed[CHILDREN]);
    for (int i = 0; i <= CHILDREN; i++)
        for (int j = 0; j < i; j++) assert_memory_not_equal(seed[i], seed[j], CKKS_SEED);
    close(ends[0]);
    close(ends[1]);
}

static int by_bytes(const void *a, const void *b) {
    return memcmp(a, b, CKKS_SEED);
}

/* One seed, every label that keys use (ckks/keygen.c: up to 16 + the largest galois element of a
 * toy ring): all the derived seeds differ, from each other and from their parent. */
static void labels_are_domains(void **state) {
    (void)state;
    enum { LABELS = 16 + 2 * 8192 };
    uint8_t(*seed)[CKKS_SEED] = malloc((LABELS + 1) * sizeof *seed);
    counting_seed(seed[LABELS]);
    for (uint64_t i = 0; i < LABELS; i++) ckks_seed_derive(seed[i], seed[LABELS], i);
    qsort(seed, LABELS + 1, sizeof *seed, by_bytes);
    for (int i = 0; i < LABELS; i++) assert_memory_not_equal(seed[i], seed[i + 1], CKKS_SEED);
    free(seed);
}

static void uniform_is_uniform(void **state) {
    (void)state;
    static const uint32_t q[] = {97,        65537,     1179649,   2752513,
                                 134217757, 207880193, 268042241, (1u << 28) - 1};
    for (size_t i = 0; i < sizeof q / sizeof *q; i++) uniform_of(q[i], i);
}

static void uniform_of_tiny_ranges(void **state) {
    (void)state;
    uint32_t u[1000];
    int ones = 0;
    struct ckks_rng r = rng_of(1);
    ckks_rng_uniform(&r, u, 1000, 1);
    for (int i = 0; i < 1000; i++) assert_int_equal(u[i], 0);
    ckks_rng_uniform(&r, u, 1000, 2);
    for (int i = 0; i < 1000; i++) ones += (int)u[i];
    /* Hoeffding: beyond with probability 2 exp(-2 130^2/1000) = 4e-15 */
    assert_in_range(ones, 370, 630);
    u[0] = 77;
    ckks_rng_uniform(&r, u, 0, 5);
    assert_int_equal(u[0], 77);
}

static void uniform_stays_in_its_buffer(void **state) {
    (void)state;
    uint32_t u[1100];
    struct ckks_rng r = rng_of(4);
    for (uint32_t n = 1; n < 1099; n += 61) {
        memset(u, 0xee, sizeof u);
        ckks_rng_uniform(&r, u, n, 1179649);
        assert_true(u[n - 1] < 1179649);
        assert_int_equal(u[n], 0xeeeeeeee);
    }
}

static void ternary_thirds(void **state) {
    (void)state;
    enum { DRAWS = 300000 };
    int64_t *c = malloc((DRAWS + 1) * sizeof *c);
    double seen[3] = {0}, expected[3] = {DRAWS / 3, DRAWS / 3, DRAWS / 3};
    struct ckks_rng r = rng_of(11);
    c[DRAWS] = 42;
    ckks_rng_ternary(&r, c, DRAWS);
    assert_int_equal(c[DRAWS], 42);
    for (int i = 0; i < DRAWS; i++) {
        assert_true(c[i] >= -1 && c[i] <= 1);
        seen[c[i] + 1]++;
    }
    check_chi2(seen, expected, 3);
    free(c);
}

/* For each set of pairs passed over, which is what the time tells, every sequence of the others
 * occurs once among all
 * bytes: the two are independent. */
static void passed_over_tells_nothing(void **state) {
    (void)state;
    int seen[16][81] = {{0}};
    for (int byte = 0; byte < 256; byte++) {
        struct ckks_rng r = rng_of(15);
        int64_t c[4];
        int passed = 0, n = 0, at = 0;
        for (int k = 0; k < 4; k++)
            if ((byte >> (2 * k) & 3) == 3)
                passed |= 1 << k;
            else
                n++;
        r.used = 0;
        r.buf[0] = (uint8_t)byte;
        ckks_rng_ternary(&r, c, (size_t)n);
        assert_int_equal(r.used, n > 0);
        for (int i = 0; i < n; i++) at = 3 * at + (int)c[i] + 1;
        seen[passed][at]++;
    }
    for (int passed = 0; passed < 16; passed++) {
        int all = 1;
        for (int k = 0; k < 4; k++) all *= passed >> k & 1 ? 1 : 3;
        for (int at = 0; at < 81; at++) assert_int_equal(seen[passed][at], at < all);
    }
}

/* Cells -10 .. 10 and one for both tails; P(x) = binom(42, 21 + x) / 2^42. */
static void binomial_errors(void **state) {
    (void)state;
    enum { DRAWS = 1 << 20, EDGE = 10, CELLS = 2 * EDGE + 2 };
    int64_t *c = malloc(DRAWS * sizeof *c);
    double seen[CELLS] = {0}, expected[CELLS] = {0}, mean = 0, square = 0;
    struct ckks_rng r = rng_of(12);
    ckks_rng_cbd21(&r, c, DRAWS);
    for (int x = -21; x <= 21; x++) {
        double p = exp(lgamma(43) - lgamma(22 + x) - lgamma(22 - x) - 42 * log(2));
        expected[abs(x) <= EDGE ? x + EDGE : CELLS - 1] += DRAWS * p;
    }
    for (int i = 0; i < DRAWS; i++) {
        assert_true(c[i] >= -21 && c[i] <= 21);
        seen[llabs(c[i]) <= EDGE ? c[i] + EDGE : CELLS - 1]++;
        mean += (double)c[i] / DRAWS;
        square += (double)(c[i] * c[i]) / DRAWS;
    }
    check_chi2(seen, expected, CELLS);
    /* eight standard deviations */
    assert_true(fabs(mean) < 8 * sqrt(10.5 / DRAWS));
    assert_true(fabs(square - 10.5) < 8 * 10.5 * sqrt(2.0 / DRAWS)); /* kurtosis is below 3 */
    free(c);
}

static void sparse_weight_and_places(void **state) {
    (void)state;
    enum { N = 1024, H = 32, DRAWS = 4000, CELLS = 32 };
    int64_t c[N];
    double seen[CELLS] = {0}, expected[CELLS], signs[2] = {0},
           half[2] = {DRAWS * H / 2, DRAWS * H / 2};
    struct ckks_rng r = rng_of(13);
    for (int i = 0; i < CELLS; i++) expected[i] = DRAWS * H / CELLS;
    for (int d = 0; d < DRAWS; d++) {
        int weight = 0;
        ckks_rng_sparse(&r, c, N, H);
        for (int i = 0; i < N; i++) {
            assert_true(c[i] >= -1 && c[i] <= 1);
            if (!c[i]) continue;
            weight++;
            seen[i % CELLS]++;
            signs[c[i] > 0]++;
        }
        assert_int_equal(weight, H);
    }
    /* places of one draw exclude each other: the spread is smaller still */
    check_chi2(seen, expected, CELLS);
    check_chi2(signs, half, 2);
}

static void sparse_extremes(void **state) {
    (void)state;
    int64_t c[48];
    struct ckks_rng r = rng_of(14);
    ckks_rng_sparse(&r, c, 48, 48); /* no power of two, every place */
    for (int i = 0; i < 48; i++) assert_int_equal(llabs(c[i]), 1);
    ckks_rng_sparse(&r, c, 48, 0);
    for (int i = 0; i < 48; i++) assert_int_equal(c[i], 0);
}

static void wiping_leaves_nothing(void **state) {
    (void)state;
    uint8_t some[100];
    struct ckks_rng r = rng_of(5);
    ckks_rng_bytes(&r, some, sizeof some);
    ckks_rng_wipe(&r);
    for (size_t i = 0; i < sizeof r.key; i++) assert_int_equal(r.key[i], 0);
    for (size_t i = 0; i < sizeof r.buf; i++) assert_int_equal(r.buf[i], 0);
}

static int start(void **state) {
    (void)state;
    return ckks_random_start();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_stream),
        cmocka_unit_test(known_samples),
        cmocka_unit_test(known_halves_of_keys),
        cmocka_unit_test(derived_seeds),
        cmocka_unit_test(same_bytes_in_any_portions),
        cmocka_unit_test(words_begin_at_their_size),
        cmocka_unit_test(domains_and_seeds_differ),
        cmocka_unit_test(system_seeds_differ),
        cmocka_unit_test(seeds_after_a_fork),
        cmocka_unit_test(labels_are_domains),
        cmocka_unit_test(uniform_is_uniform),
        cmocka_unit_test(uniform_of_tiny_ranges),
        cmocka_unit_test(uniform_stays_in_its_buffer),
        cmocka_unit_test(ternary_thirds),
        cmocka_unit_test(passed_over_tells_nothing),
        cmocka_unit_test(binomial_errors),
        cmocka_unit_test(sparse_weight_and_places),
        cmocka_unit_test(sparse_extremes),
        cmocka_unit_test(wiping_leaves_nothing),
    };
    return cmocka_run_group_tests_name("random", tests, start, NULL);
}
