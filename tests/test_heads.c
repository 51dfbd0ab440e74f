/* Heads: embeddings and labels of tokens against values by plain Python (constants.py), how a
 * folder says what its pooling is, and what the polynomials give of a final state that comes home.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "bert/input/pooling.h"
#include "bert/input/readfile.h"
#include "bert/input/table.h"
#include "bert/plan.h"
#include "bert/reference.h"
#include "bert/synth/synth.h"
#include "tests/scratch.h"
#include "tests/worse.h"

#define GOLDEN "tests/data/heads.jsonl"
#define TOLERANCE 1e-9 /* doubles on both sides, printed with ten decimals */
#define BUDGET 0.05    /* of the polynomials, as in test_approx.c */

static void ok(int st) {
    if (st != THOR_OK) fail_msg("%s", thor_error());
}

/* The folder that `thor synth --config tests/data/architecture.json --arch bert --seed 7` writes,
 * whose config.json then names another class. */
static struct bert_model *load(const char *class) {
    static struct bert_config c;
    static const char was[] = "BertForSequenceClassification";
    char *text, *at, *now = NULL;
    size_t n;
    struct bert_model *m = NULL;
    ok(bert_config_read(&c, "tests/data/architecture.json"));
    bert_synth_arch(&c, BERT_ARCH_BERT);
    if (mkdir(scratch_path("m"), 0700) == 0) ok(bert_synth_write(scratch_path("m"), &c, 7, 60, 0));
    ok(bert_read_file(&text, &n, scratch_path("m/config.json"), 1 << 20, THOR_MODEL));
    at = strstr(text, was);
    assert_non_null(at);
    assert_true(asprintf(&now, "%.*s%s%s", (int)(at - text), text, class, at + strlen(was)) > 0);
    mkdir(scratch_path("h"), 0700);
    scratch_write("h/config.json", now, strlen(now), 0600);
    free(text);
    free(now);
    for (int i = 0; i < 2; i++) {
        static const char *const name[] = {"vocab.txt", "model.safetensors"};
        char from[64], to[64];
        snprintf(from, sizeof from, "../m/%s", name[i]);
        snprintf(to, sizeof to, "h/%s", name[i]);
        remove(scratch_path(to));
        assert_int_equal(symlink(from, scratch_path(to)), 0);
    }
    ok(bert_model_load(&m, scratch_path("h")));
    return m;
}

/* ---- golden values ---- */

static double far(const double *x, const json_t *want, int n) {
    double most = 0;
    assert_int_equal(json_array_size(want), n);
    for (int i = 0; i < n; i++)
        most = worse(most, fabs(x[i] - json_real_value(json_array_get(want, (size_t)i))));
    return most;
}

static void numbers(int *to, const json_t *from, int n) {
    for (int i = 0; i < n; i++) to[i] = (int)json_integer_value(json_array_get(from, (size_t)i));
}

enum { H = 32, LABELS = 3 };

static void check_line(const json_t *o, const struct bert_tokens *t) {
    const json_t *tokens = json_object_get(o, "tokens"), *pool = json_object_get(o, "pool");
    double out[16 * H], off = 0;
    struct bert_model *m = load(tokens ? "BertForTokenClassification" : "BertModel");
    assert_int_equal(m->cfg.hidden, H);
    ok(bert_forward(out, m, t, NULL));
    for (int i = 0; tokens && i < t->n; i++)
        off = worse(off, far(out + i * LABELS, json_array_get(tokens, (size_t)i), LABELS));
    if (pool) {
        m->cfg.pool = strcmp(json_string_value(pool), "cls") ? BERT_POOL_MEAN : BERT_POOL_CLS;
        m->cfg.normalize = (int)json_integer_value(json_object_get(o, "normalize"));
        bert_pool(out, &m->cfg, out, t->n);
        off = far(out, json_object_get(o, "out"), H);
    }
    print_message("%s: off by %.1e\n", pool ? json_string_value(pool) : "tokens", off);
    assert_true(off < TOLERANCE);
    bert_model_free(m);
}

static void test_golden(void **state) {
    static struct bert_tokens t;
    char *line = NULL;
    size_t room = 0;
    int rows = 0;
    (void)state;
    FILE *f = fopen(GOLDEN, "r");
    assert_non_null(f);
    for (; getline(&line, &room, f) > 0; rows++) {
        json_t *o = json_loads(line, 0, NULL);
        if (rows) {
            check_line(o, &t);
        } else {
            t.n = (int)json_array_size(json_object_get(o, "ids"));
            numbers(t.ids, json_object_get(o, "ids"), t.n);
            numbers(t.type_ids, json_object_get(o, "types"), t.n);
        }
        json_decref(o);
    }
    assert_int_equal(rows, 6);
    free(line);
    fclose(f);
}

/* ---- pooling of folders ---- */

#define MODULE(i, path, class)                                                                     \
    "{\"idx\":" #i ",\"name\":\"" #i "\",\"path\":\"" path                                         \
    "\",\"type\":\"sentence_transformers.models." class "\"}"
#define TRANSFORMER MODULE(0, "", "Transformer")
#define POOLING "," MODULE(1, "1_Pooling", "Pooling")
#define NORMALIZE "," MODULE(2, "2_Normalize", "Normalize")

/* With both files as given; NULL: not there. */
static int read_pooling(struct bert_config *c, const char *modules, const char *pooling) {
    mkdir(scratch_path("p"), 0700);
    mkdir(scratch_path("p/1_Pooling"), 0700);
    remove(scratch_path("p/modules.json"));
    remove(scratch_path("p/1_Pooling/config.json"));
    if (modules) scratch_write("p/modules.json", modules, strlen(modules), 0600);
    if (pooling) scratch_write("p/1_Pooling/config.json", pooling, strlen(pooling), 0600);
    memset(c, 0, sizeof *c);
    c->head = BERT_HEAD_STATE;
    return bert_pooling_load(c, scratch_path("p"));
}

#define MEAN "{\"pooling_mode_cls_token\":false,\"pooling_mode_mean_tokens\":true}"
#define CLS                                                                                        \
    "{\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":false,\"include_prompt\":true}"

static void test_pooling_files(void **state) {
    static struct bert_config c;
    (void)state;
    static const struct {
        const char *modules, *pooling;
        enum bert_pool pool;
        int normalize;
    } good[] = {{NULL, CLS, BERT_POOL_MEAN, 0},
                {"[" TRANSFORMER "]", NULL, BERT_POOL_MEAN, 0},
                {"[" TRANSFORMER POOLING "]", MEAN, BERT_POOL_MEAN, 0},
                {"[" TRANSFORMER POOLING "]", CLS, BERT_POOL_CLS, 0},
                {"[" TRANSFORMER POOLING NORMALIZE "]", MEAN, BERT_POOL_MEAN, 1}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ok(read_pooling(&c, good[i].modules, good[i].pooling));
        assert_int_equal(c.pool, good[i].pool);
        assert_int_equal(c.normalize, good[i].normalize);
    }
    static const struct {
        const char *modules, *pooling, *says;
    } bad[] = {
        {"[" TRANSFORMER POOLING "]", "{\"pooling_mode_max_tokens\":true}", "pools by max_tokens"},
        {"[" TRANSFORMER POOLING "]",
         "{\"pooling_mode_mean_tokens\":true,\"pooling_mode_cls_token\":true}", "several modes"},
        {"[" TRANSFORMER POOLING "]", "{}", "no mode"},
        {"[" TRANSFORMER POOLING "]", "[", "1_Pooling/config.json"},
        {"[" TRANSFORMER POOLING "]", NULL, "1_Pooling/config.json"},
        {"[" TRANSFORMER "," MODULE(1, "../1_Pooling", "Pooling") "]", MEAN, "module 1"},
        {"[" TRANSFORMER POOLING "," MODULE(2, "2_Dense", "Dense") "]", MEAN, "module 2 is Dense"},
        {"[" MODULE(0, "", "CLIPModel") "]", NULL, "module 0 is CLIPModel"},
        {"[7]", NULL, "module 0"},
        {"{}", NULL, "no list of modules"},
        {"[", NULL, "modules.json"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(read_pooling(&c, bad[i].modules, bad[i].pooling), THOR_MODEL);
        if (!strstr(thor_error(), bad[i].says))
            fail_msg("\"%s\" does not say \"%s\"", thor_error(), bad[i].says);
    }
    c.head = BERT_HEAD_CLASSIFIER; // which has no use for it
    ok(bert_pooling_load(&c, scratch_path("p")));
    const double a[] = {3, 0, 4}, b[] = {0, 1, 0}, none[] = {0, 0, 0};
    assert_true(fabs(bert_cosine(a, a, 3) - 1) < 1e-15 && bert_cosine(a, b, 3) == 0);
    assert_true(bert_cosine(a, none, 3) == 0);
}

/* ---- the final state by the polynomials ---- */

static void test_polynomials(void **state) {
    static const char *const class[] = {"BertModel", "BertForTokenClassification"};
    struct bert_table *t;
    (void)state;
    for (int k = 0; k < 2; k++) {
        struct bert_model *m = load(class[k]);
        struct bert_ranges *r;
        struct bert_plan *p;
        const char *text[60];
        double worst = 0, least = 1;
        ok(bert_table_load(&t, scratch_path("m/texts.tsv"), NULL));
        for (int i = 0; i < t->n; i++) text[i] = t->row[i].text;
        ok(bert_calibrate(&r, m, text, NULL, t->n, 32));
        assert_true(r->tanh == 0);
        ok(bert_plan_new(&p, m, r, 32));
        assert_true(p->at_client && bert_head_levels(p) == 0);
        for (int i = 0; i < 20; i++) {
            static double want[32 * H], got[32 * H], e[2][H];
            static struct bert_tokens tok;
            struct bert_outside outside;
            if (bert_tokenize(&tok, m, text[i], NULL, 32) != THOR_OK) continue;
            ok(bert_forward(want, m, &tok, NULL));
            ok(bert_approx_forward(got, m, p, &tok, 5, &outside));
            for (size_t x = 0; x < bert_outputs(&m->cfg, tok.n); x++)
                worst = worse(worst, fabs(want[x] - got[x]));
            if (k) continue;
            bert_pool(e[0], &m->cfg, want, tok.n);
            bert_pool(e[1], &m->cfg, got, tok.n);
            least = fmin(least, bert_cosine(e[0], e[1], H));
        }
        print_message("%s: worst error %.4f, least cosine %.7f\n", class[k], worst, least);
        assert_true(worst > 0 && worst < BUDGET && least > 0.9999);
        bert_plan_free(p);
        bert_ranges_free(r);
        bert_table_free(t);
        bert_model_free(m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_pooling_files),
        cmocka_unit_test(test_polynomials),
    };
    return cmocka_run_group_tests_name("heads", tests, scratch_open, scratch_close);
}
