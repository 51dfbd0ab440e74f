/* Activations: their names, their polynomials, and the container that knows which one it is of. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bert/container.h"
#include "bert/polyfit.h"
#include "tests/scratch.h"
#include "tests/tinyfiles.h"
#include "tests/worse.h"

#define OK(x) assert_int_equal((x), THOR_OK)
#define REACH 5 /* of the polynomials */

static void names(void **state) {
    (void)state;
    enum bert_activation a;
    char list[200], cut[20];
    for (int i = 0; i < BERT_ACTIVATIONS; i++)
        for (int k = 0; bert_activations[i].names[k]; k++) {
            assert_true(bert_activation_find(&a, bert_activations[i].names[k]));
            assert_int_equal(a, i);
        }
    assert_false(bert_activation_find(&a, "relu"));
    assert_false(bert_activation_find(&a, "gelu_10")); // clipped
    assert_false(bert_activation_find(&a, ""));
    bert_activation_list(list, sizeof list);
    assert_string_equal(list, "gelu, gelu_python, gelu_new, gelu_fast, gelu_pytorch_tanh, "
                              "gelu_python_tanh, gelu_accurate");
    bert_activation_list(cut, sizeof cut);
    assert_string_equal(cut, "gelu, gelu_python, ");
}

static void configured(const char *field, enum bert_activation want) {
    struct bert_config c;
    char text[400];
    const int n = snprintf(text, sizeof text,
                           "{%s\"model_type\":\"bert\",\"hidden_size\":8,\"num_hidden_layers\":1,"
                           "\"num_attention_heads\":2,\"intermediate_size\":16,\"vocab_size\":5,"
                           "\"max_position_embeddings\":4,\"type_vocab_size\":2}",
                           field);
    scratch_write("config.json", text, (size_t)n, 0600);
    OK(bert_config_read(&c, scratch_path("config.json")));
    assert_int_equal(c.activation, want);
}

static void in_the_configuration(void **state) {
    (void)state;
    configured("", BERT_GELU);
    configured("\"hidden_act\":null,", BERT_GELU);
    configured("\"hidden_act\":\"gelu\",", BERT_GELU);
    configured("\"hidden_act\":\"gelu_python\",", BERT_GELU);
    configured("\"hidden_act\":\"gelu_new\",", BERT_GELU_TANH);
    configured("\"hidden_act\":\"gelu_fast\",", BERT_GELU_TANH);
    configured("\"hidden_act\":\"gelu_pytorch_tanh\",", BERT_GELU_TANH);
}

static double gelu(double x) {
    return x * erfc(-x / sqrt(2)) / 2;
}

static double gelu_tanh(double x) { // 1 + tanh(y) = 2/(1 + exp(-2 y))
    return x / (1 + exp(-sqrt(8 / acos(-1)) * (x + 0.044715 * x * x * x)));
}

static double off(const struct bert_poly *p, double (*f)(double)) {
    double most = 0;
    for (double x = -REACH; x <= REACH; x += 1. / 1024)
        most = worse(
            most,
            fabs(x / 2 + bert_cheb_eval(p->c, p->degree, 2 * x * x / (REACH * REACH) - 1) - f(x)));
    return most;
}

/* The forms of GELU are 4.7e-4 apart: a polynomial this near is of one of them, not of both. */
static void polynomials(void **state) {
    (void)state;
    static double (*const f[BERT_ACTIVATIONS])(double) = {gelu, gelu_tanh};
    struct bert_poly p;
    for (int i = 0; i < BERT_ACTIVATIONS; i++) {
        OK(bert_fit_activation[i](&p, REACH, 31));
        assert_true(p.err < 1e-5 && off(&p, f[i]) <= 1.01 * p.err + 1e-13);
        for (int k = 0; k < BERT_ACTIVATIONS; k++) assert_true(k == i || off(&p, f[k]) > 4e-4);
    }
}

/* ---- containers ---- */

static void loaded(enum bert_activation want, int version, const struct bert_ranges *r) {
    struct bert_model *m;
    struct bert_ranges *ranges;
    struct bert_container_info info;
    OK(bert_container_load(&m, &ranges, scratch_path("c")));
    OK(bert_container_describe(&info, scratch_path("c")));
    assert_int_equal(m->cfg.activation, want);
    assert_int_equal(info.cfg.activation, want);
    assert_int_equal(info.version, version);
    assert_true(bert_ranges_same(r, ranges));
    bert_ranges_free(ranges);
    bert_model_free(m);
}

static void container_knows(void **state) {
    (void)state;
    struct bert_model *m = tinyfiles_model();
    struct bert_ranges *r = tinyfiles_some_ranges();
    for (int a = 0; a < BERT_ACTIVATIONS; a++) {
        m->cfg.activation = r->activation = (enum bert_activation)a;
        OK(bert_container_save(scratch_path("c"), m, r));
        loaded((enum bert_activation)a, 6, r);
    }
    m->cfg.activation = BERT_GELU; // the ranges stay with another
    assert_int_equal(bert_container_save(scratch_path("d"), m, r), THOR_MODEL);
    assert_non_null(strstr(thor_error(), "not of this model"));
    bert_ranges_free(r);
    bert_model_free(m);
}

static void older_versions(void **state) {
    (void)state;
    struct bert_ranges *r = tinyfiles_some_ranges();
    for (int i = 0; i < 2; i++) r->layer->win_lo[i] = r->layer->win_hi[i] = 0; // not measured
    for (int version = 2; version <= 3; version++) {
        size_t n;
        tinyfiles_container(scratch_path("c"));
        uint8_t *data = scratch_read("c", &n);
        n = tinyfiles_older(data, n, (uint32_t)version);
        scratch_write("c", data, n, 0644);
        free(data);
        loaded(BERT_GELU, version, r);
    }
    bert_ranges_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),          cmocka_unit_test(in_the_configuration),
        cmocka_unit_test(polynomials),    cmocka_unit_test(container_knows),
        cmocka_unit_test(older_versions),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
