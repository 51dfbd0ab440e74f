/* The asserted contract of the kernel table: what keeps it goes through, with the same bits; each
 * way of breaking it aborts with a line that names the entry. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/harness.h"

enum { LOG_N = 6, N = 1 << LOG_N, CHAIN = 6, ROWS = 24 };

struct bench { /* three runs of rows, canonical over the first four primes */
    struct kernels *k;
    struct kbasis b;
    uint32_t *x, *y, *out;
};

static void open_bench(struct bench *t, int checked) {
    uint32_t q[CHAIN];
    harness_chain(q, CHAIN, LOG_N);
    assert_int_equal(kernels_open_cpu(&t->k, LOG_N, q, CHAIN, KERN_TIER_BEST, 1), THOR_OK);
    if (checked && !t->k->checked) assert_int_equal(kernels_check(t->k), THOR_OK);
    t->b = harness_basis(0, 4);
    uint32_t **rows[] = {&t->x, &t->y, &t->out};
    for (int i = 0; i < 3; i++) {
        uint32_t *host = calloc(ROWS * N, sizeof *host);
        assert_int_equal(t->k->alloc(t->k, rows[i], ROWS), THOR_OK);
        harness_fill(host, t->k, &t->b, ROWS / 4, 4, N, FILL_RANDOM, (uint64_t)(7 + i));
        t->k->upload(t->k, *rows[i], host, ROWS * N);
        free(host);
    }
}

static void close_bench(struct bench *t) {
    t->k->release(t->k, t->x);
    t->k->release(t->k, t->y);
    t->k->release(t->k, t->out);
    kernels_close(t->k);
}

static struct kvec vec(uint32_t *p, size_t pitch) {
    return (struct kvec){p, pitch};
}

static struct kterm term(const uint32_t *a, const uint32_t *b) {
    return (struct kterm){.a = a, .b = b, .a_pitch = 4, .b_pitch = 4, .split = 4};
}

static void good_calls(struct bench *t) {
    struct kernels *k = t->k;
    struct kterm s[2] = {term(t->x, t->y), term(t->x + 8 * N, t->y)};
    uint32_t ones[] = {1, 1, 1, 1};
    k->add(k, vec(t->out, 4), vec(t->x, 4), vec(t->y, 0), &t->b, 2);
    k->mul(k, vec(t->out, 4), vec(t->out, 4), vec(t->y, 4), &t->b, 2);
    k->lincomb(k, vec(t->out, 4), vec(t->out, 4), ones, vec(NULL, 0), NULL, &t->b, 2);
    k->ntt_fwd(k, vec(t->out, 4), &t->b, 2, LOG_N);
    k->dot(k, vec(t->out, 4), s, 2, 5, 0, 1, &t->b, 2);
    k->autom(k, vec(t->out + 8 * N, 4), vec(t->out, 4), 5, 4, 2);
}

static void good_calls_go_through(void **state) {
    (void)state;
    static uint32_t got[2][16 * N];
    for (int i = 0; i < 2; i++) {
        struct bench t;
        open_bench(&t, i);
        good_calls(&t);
        t.k->download(t.k, got[i], t.out, 16 * N);
        close_bench(&t);
    }
    assert_memory_equal(got[0], got[1], sizeof got[0]);
}

static void spoil(struct bench *t, uint32_t *at, uint32_t value) {
    t->k->upload(t->k, at, &value, 1);
}

/* ---- what breaks the contract ---- */

static void input_not_canonical(struct bench *t) {
    spoil(t, t->x + 3 * N + 5, t->k->q[3]);
    t->k->add(t->k, vec(t->out, 4), vec(t->x, 4), vec(t->y, 4), &t->b, 1);
}

static void scalar_not_canonical(struct bench *t) {
    const uint32_t s[] = {0, 0, t->k->q[2], 0};
    t->k->add_scalar(t->k, vec(t->out, 4), vec(t->x, 4), s, &t->b, 1);
}

static void output_shifted_by_a_row(struct bench *t) {
    t->k->sub(t->k, vec(t->x + N, 4), vec(t->x, 4), vec(t->y, 4), &t->b, 1);
}

static void output_is_an_input_of_dot(struct bench *t) {
    struct kterm s = term(t->x, t->y);
    t->k->dot(t->k, vec(t->y, 4), &s, 1, 1, 0, 0, &t->b, 1);
}

static void automorphism_in_place(struct bench *t) {
    t->k->autom(t->k, vec(t->x, 4), vec(t->x, 4), 5, 4, 1);
}

static void rows_beyond_the_end(struct bench *t) {
    t->k->neg(t->k, vec(t->out, 4), vec(t->x + (ROWS - 3) * N, 4), &t->b, 1);
}

static void released_rows(struct bench *t) {
    t->k->release(t->k, t->y);
    t->k->mul(t->k, vec(t->out, 4), vec(t->x, 4), vec(t->y, 4), &t->b, 1);
}

static void released_twice(struct bench *t) {
    t->k->release(t->k, t->y);
    t->k->release(t->k, t->y);
}

static void prime_outside_the_chain(struct bench *t) {
    t->b.prime[1] = CHAIN;
    t->k->ntt_inv(t->k, vec(t->x, 4), &t->b, 1, LOG_N);
}

static void polynomials_that_overlap(struct bench *t) {
    t->k->ntt_fwd(t->k, vec(t->x, 3), &t->b, 2, LOG_N);
}

static void digits_with_a_gap(struct bench *t) {
    struct kdigit d[2] = {{.first = 0, .n = 1}, {.first = 2, .n = 1}};
    t->k->mod_up(t->k, vec(t->out, 4), t->x, t->y, d, 2, &t->b, 0);
}

static void sums_that_overlap(struct bench *t) {
    uint32_t *o[2] = {t->out, t->out + 4 * N};
    const uint32_t *a[] = {t->x}, *b[] = {t->y, t->y};
    struct kdots d = {.out = o, .a = a, .outputs = 2, .terms = 1, .b = b};
    d.out_pitch = d.a_pitch = 4;
    t->k->dots(t->k, &d, &t->b, 2);
}

static void sum_of_none(struct bench *t) {
    t->k->combine(t->k, vec(t->out, 4), NULL, 0, &t->b, 1);
}

static void product_over_its_factor(struct bench *t) {
    struct kpair p = {t->x, t->y, 4, 4};
    t->k->tensor(t->k, vec(t->x, 4), &p, 1, &t->b);
}

static void key_that_is_short(struct bench *t) {
    struct kkey key = {.digit = {t->y + (ROWS - 4) * N}, .pitch = 4, .split = 4, .g = 5};
    const struct kvec out = vec(t->out, 4);
    t->k->key_sum(t->k, &out, vec(t->x, 4), 1, &key, 1, NULL, &t->b);
}

static void even_automorphism_of_a_key(struct bench *t) {
    struct kdigit d = {.first = 0, .n = 2};
    struct kkey key = {.digit = {t->y}, .pitch = 4, .split = 4, .g = 6};
    const struct kvec out = vec(t->out, 4);
    const uint32_t *const x = t->x;
    t->k->mod_up_sum(t->k, &out, &x, 1, t->x + 4 * N, &d, 1, &key, NULL, &t->b, 0);
}

static void slot_not_finite(struct bench *t) {
    double z[2] = {1, 0};
    z[1] /= z[1];
    t->k->encode(t->k, vec(t->out, 4), z, 0, 0, 1.0, &t->b, 1);
}

static void coefficient_too_large(struct bench *t) {
    const int64_t c = (int64_t)1 << 62;
    t->k->lift(t->k, vec(t->out, 4), &c, 1, &t->b, 1);
}

/* The call in a child, which has to abort; its stderr is what `line` says. */
static void aborts(void (*call)(struct bench *), const char *line) {
    char said[256] = "";
    int end[2], status = 0;
    size_t n = 0;
    assert_int_equal(pipe(end), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        struct bench t;
        const struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        open_bench(&t, 1);
        dup2(end[1], STDERR_FILENO);
        call(&t);
        _exit(0);
    }
    close(end[1]);
    for (ssize_t got;
         n < sizeof said - 1 && (got = read(end[0], said + n, sizeof said - 1 - n)) > 0;)
        n += (size_t)got;
    close(end[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(said, line));
}

static void breaks_are_named(void **state) {
    (void)state;
    const struct {
        void (*call)(struct bench *);
        const char *line;
    } want[] = {
        {input_not_canonical, "add is broken: a residue"},
        {scalar_not_canonical, "add_scalar is broken: a scalar"},
        {output_shifted_by_a_row, "sub is broken: an output overlaps"},
        {output_is_an_input_of_dot, "dot is broken: an output overlaps"},
        {automorphism_in_place, "autom is broken: an output overlaps"},
        {rows_beyond_the_end, "neg is broken: an operand lies outside"},
        {released_rows, "mul is broken: an operand lies outside"},
        {released_twice, "release is broken"},
        {prime_outside_the_chain, "ntt_inv is broken: a basis"},
        {polynomials_that_overlap, "ntt_fwd is broken: polynomials"},
        {digits_with_a_gap, "mod_up is broken: the digits"},
        {sums_that_overlap, "dots is broken: an output overlaps"},
        {sum_of_none, "combine is broken: a number"},
        {product_over_its_factor, "tensor is broken: an output overlaps"},
        {key_that_is_short, "key_sum is broken: an operand lies outside"},
        {even_automorphism_of_a_key, "mod_up_sum is broken: a size or the automorphism"},
        {slot_not_finite, "encode is broken: a slot"},
        {coefficient_too_large, "lift is broken: a coefficient"},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) aborts(want[i].call, want[i].line);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_calls_go_through),
        cmocka_unit_test(breaks_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
