/* Windows of variances against their formula, and those that a calibration records. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bert/reference.h"
#include "bert/windows.h"
#include "tests/synthetic.h"

struct span {
    double lo, hi;
};

static const struct span nothing = {INFINITY, 0};

// w[t][c] as windows.h has it, of rows centred here
static double window(const double *x, int rows, int H, int C, int t, int c) {
    double sum = 0;
    for (int k = 0; k < H; k++) {
        const double *row = x + ((k % C >= c ? t : t + 1) % rows) * H;
        double mean = 0;
        for (int j = 0; j < H; j++) mean += row[j] / H;
        sum += (row[k] - mean) * (row[k] - mean) / H;
    }
    return sum;
}

static struct span by_force(const double *x, int rows, int H, int C) {
    struct span s = nothing;
    for (int t = 0; t < rows; t++)
        for (int c = 0; c < C; c++) {
            double w = window(x, rows, H, C, t, c);
            s.lo = fmin(s.lo, w);
            s.hi = fmax(s.hi, w);
        }
    return s;
}

// rows of different size, off zero by `mean`; their first or last quarter of features is large
static void fill(double *x, int rows, int H, double mean) {
    uint64_t s = 7;
    for (int i = 0; i < rows * H; i++) {
        s = s * 6364136223846793005u + 1442695040888963407u;
        const int large = i / H % 2 ? i % H < H / 4 : i % H >= H - H / 4;
        const double size = (1 + 0.2 * (i / H % 3)) * (large ? 5 : 1);
        x[i] = mean + size * ((double)(s >> 11) * 0x1p-52 - 1);
    }
}

static void assert_near(double a, double b) {
    assert_true(fabs(a - b) <= 1e-12 * fabs(b) + 1e-13);
}

static void as_the_formula(void **state) {
    (void)state;
    static const int sizes[] = {8, 48, 64, 65, 100}, rows[] = {1, 2, 7};
    double x[7 * 100];
    int below = 0, above = 0;
    for (int h = 0; h < 5; h++)
        for (int r = 0; r < 3; r++)
            for (int C = 1; C <= 256; C *= 2) {
                struct span s = nothing, want, variance = nothing;
                fill(x, rows[r], sizes[h], h == 2 ? 0 : 3);
                want = by_force(x, rows[r], sizes[h], C);
                bert_windows(&s.lo, &s.hi, x, rows[r], sizes[h], C);
                assert_near(s.lo, want.lo);
                assert_near(s.hi, want.hi);
                bert_windows(&variance.lo, &variance.hi, x, rows[r], sizes[h], 1);
                below += s.lo < 0.5 * variance.lo;
                above += s.hi > 1.5 * variance.hi;
                if (rows[r] == 1) { // its own neighbour
                    assert_near(s.lo, variance.lo);
                    assert_near(s.hi, variance.hi);
                }
            }
    assert_true(below > 5 && above > 5); // neighbours do matter
}

// wider than before, never narrower; the same for all columns >= H; none negative by rounding
static void widens(void **state) {
    (void)state;
    double x[5 * 48];
    struct span s = {0.001, 1e6}, a = nothing, b = nothing, flat = nothing;
    fill(x, 5, 48, 0);
    bert_windows(&s.lo, &s.hi, x, 5, 48, 16);
    assert_true(s.lo == 0.001 && s.hi == 1e6);
    bert_windows(&a.lo, &a.hi, x, 5, 48, 64);
    bert_windows(&b.lo, &b.hi, x, 5, 48, 1024);
    assert_true(a.lo == b.lo && a.hi == b.hi);
    for (int k = 1; k < 20; k++) { // from large rows to a flat one
        flat = nothing;
        for (int i = 0; i < 48; i++) {
            const double large = i % 16 < 14 ? 1e8 * sin(k + i / 2) : 0;
            x[i] = x[48 + i] = i % 2 ? -large : large, x[96 + i] = 0.5;
        }
        bert_windows(&flat.lo, &flat.hi, x, 3, 48, 16);
        assert_true(flat.lo == 0 && flat.hi > 1e15);
    }
}

static void see(void *ctx, int layer, const char *stage, const double *x, int rows, int cols) {
    struct span(*s)[2] = ctx;
    if (layer < 0 || (strcmp(stage, "ln1_in") && strcmp(stage, "ln2_in"))) return;
    struct span *to = &s[layer][stage[2] - '1'];
    for (int C = 16; C <= 64; C *= 2) {
        const struct span w = by_force(x, rows, cols, C);
        to->lo = fmin(to->lo, w.lo);
        to->hi = fmax(to->hi, w.hi);
    }
}

// what a calibration records of pairs (which it neither joins nor cuts), of every C up to H = 64
static void calibration_records_them(void **state) {
    (void)state;
    enum { TEXTS = 20 };
    struct span want[2][2] = {{nothing, nothing}, {nothing, nothing}};
    struct bert_tokens *t = calloc(TEXTS, sizeof *t);
    struct bert_model *m = synthetic_model(11);
    struct bert_ranges *r;
    double logits[BERT_MAX_LABELS];
    for (int i = 0; i < TEXTS; i++) {
        synthetic_tokens(&t[i], m, 3 + i, (uint64_t)i);
        t[i].type_ids[t[i].n - 1] = 1;
        assert_int_equal(bert_forward(logits, m, &t[i], &(struct bert_trace){see, want}), THOR_OK);
    }
    assert_int_equal(bert_calibrate_tokens(&r, m, t, TEXTS, 32), THOR_OK);
    assert_true(bert_ranges_windows(r));
    for (int l = 0; l < 2; l++)
        for (int i = 0; i < 2; i++) {
            const struct bert_layer_ranges *y = &r->layer[l];
            assert_near(y->win_lo[i], want[l][i].lo);
            assert_near(y->win_hi[i], want[l][i].hi);
            assert_true(y->win_lo[i] < y->var_lo[i] && y->win_hi[i] >= y->var_hi[i]);
        }
    bert_ranges_free(r);
    synthetic_free(m);
    free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_formula),
        cmocka_unit_test(widens),
        cmocka_unit_test(calibration_records_them),
    };
    return cmocka_run_group_tests_name("windows", tests, NULL, NULL);
}
