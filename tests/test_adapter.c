/* Adapters: their values in one block, PEFT's files, merging.  tests/data/peft/ is what
 * `python3 tests/adapters.py make` made with the PEFT library (0.21.2). */
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

#include "bert/input/safetensors.h"
#include "ckks/random.h"
#include "split/adapterfile.h"
#include "split/merge.h"
#include "tests/scratch.h"

static const uint8_t seed[CKKS_SEED] = {16};

static const struct family {
    const char *name, *maps; /* those of the fixture */
    int layers;
} families[] = {{"bert", "q,v", 2}, {"gpt2", "q,k,v", 1}, {"llama", "q,k,gate,down", 1}};
enum { FAMILIES = 3 };

static const char *fixture(const char *name, const char *file) {
    static char path[4][300];
    static int turn;
    char *p = path[turn = (turn + 1) % 4];
    snprintf(p, sizeof path[0], "tests/data/peft/%s%s", name, file);
    return p;
}

static void read_base(struct split_base *b, const char *name) {
    assert_int_equal(split_base_read(b, fixture(name, "")), THOR_OK);
}

/* An adapter with maps of its own, every value drawn. */
static void make_random(struct split_adapter *a, const struct split_base *b, const char *maps) {
    struct split_adapter_ask ask;
    struct ckks_rng r;
    unsigned bits;
    assert_int_equal(split_maps_parse(&bits, maps, b->in), THOR_OK);
    split_base_ask(&ask, b, bits);
    ask.rank = 3;
    ask.alpha = 5;
    assert_int_equal(split_adapter_make(a, &ask, seed), THOR_OK);
    ckks_rng_init(&r, seed, 7);
    for (size_t i = 0; i < a->n; i++) {
        uint16_t word;
        ckks_rng_bytes(&r, &word, sizeof word);
        a->values[i] = (double)(word + 1) / 65537.0 - 0.5;
    }
    for (size_t i = 0; i < a->n; i++) a->values[i] = (double)(float)a->values[i];
}

/* ---- the block ---- */

static void make_draws_a_and_leaves_b_zero(void **state) {
    (void)state;
    struct split_base b;
    struct split_adapter_ask ask;
    struct split_adapter a, again, own;
    size_t n, all;
    read_base(&b, "bert");
    split_base_ask(&ask, &b, 1u << SPLIT_MAP_Q | 1u << SPLIT_MAP_DOWN);
    ask.rank = 2;
    ask.alpha = 4;
    assert_int_equal(split_adapter_make(&a, &ask, seed), THOR_OK);
    assert_int_equal(a.n, 2 * 2 * (8 + 8 + 16 + 8) + 2 * 9);
    double most = 0, sum = 0;
    for (int i = 0; i < 2 * SPLIT_MAPS; i++) {
        const struct split_lora *l = &a.lora[i];
        for (int j = 0; l->a && j < 2 * l->in; j++) {
            most = fmax(most, fabs(l->a[j]) * sqrt(l->in));
            sum += l->a[j];
        }
        for (int j = 0; l->b && j < 2 * l->out; j++) assert_true(l->b[j] == 0);
    }
    assert_true(most <= 1 && most > 0.8 && fabs(sum) < 10);
    assert_true(a.lora[SPLIT_MAP_K].a == NULL && a.lora[SPLIT_MAP_GATE].a == NULL);

    assert_int_equal(split_adapter_make(&again, &ask, seed), THOR_OK);
    assert_memory_equal(a.values, again.values, a.n * sizeof *a.values);
    assert_int_equal(split_adapter_make(&own, &ask, NULL), THOR_OK);
    assert_memory_not_equal(a.values, own.values, a.n * sizeof *a.values);

    assert_ptr_equal(split_adapter_trained(&a, &all), a.values);
    assert_int_equal(all, a.n);
    a.frozen_a = 1;
    assert_ptr_equal(split_adapter_trained(&a, &n), a.lora[SPLIT_MAP_Q].b); // the first B
    assert_int_equal(n, a.n - 2 * 2 * (8 + 16));
    split_adapter_free(&a);
    split_adapter_free(&again);
    split_adapter_free(&own);
}

static void make_refuses(void **state) {
    (void)state;
    struct split_base b;
    struct split_adapter_ask ask;
    struct split_adapter a;
    unsigned maps;
    read_base(&b, "bert");
    split_base_ask(&ask, &b, 1);
    ask.alpha = 1;
    assert_int_equal(split_adapter_make(&a, &ask, seed), THOR_USAGE); // rank 0
    ask.rank = SPLIT_RANK_MAX + 1;
    assert_int_equal(split_adapter_make(&a, &ask, seed), THOR_USAGE);
    ask.rank = 1;
    ask.alpha = NAN;
    assert_int_equal(split_adapter_make(&a, &ask, seed), THOR_USAGE);
    ask.alpha = 1;
    ask.maps = 1u << SPLIT_MAP_GATE;
    assert_int_equal(split_adapter_make(&a, &ask, seed), THOR_USAGE);
    assert_null(a.values);
    assert_int_equal(split_maps_parse(&maps, "q,gate", b.in), THOR_USAGE);
    assert_int_equal(split_maps_parse(&maps, "q,,v", b.in), THOR_USAGE);
    assert_int_equal(split_maps_parse(&maps, "", b.in), THOR_USAGE);
    assert_int_equal(split_maps_parse(&maps, "all", b.in), THOR_OK);
    assert_int_equal(maps, 0x7f & ~(1u << SPLIT_MAP_GATE));
}

/* ---- PEFT's files ---- */

static struct bert_tensors *open_tensors(const char *path) {
    struct bert_tensors *t;
    assert_int_equal(bert_tensors_open(&t, path), THOR_OK);
    return t;
}

/* Largest difference of the tensors that both files hold; they hold the same names. */
static double compare_files(const char *a, const char *b) {
    struct bert_tensors *x = open_tensors(a), *y = open_tensors(b);
    const char *name;
    json_t *entry;
    double worst = 0;
    static float p[4096], q[4096];
    assert_int_equal(json_object_size(bert_tensors_list(x)),
                     json_object_size(bert_tensors_list(y)));
    json_object_foreach((json_t *)bert_tensors_list(x), name, entry) {
        if (strcmp(name, "__metadata__") == 0) continue;
        const json_t *s = json_object_get(entry, "shape");
        const int two = json_array_size(s) == 2;
        const int rows = two ? (int)json_integer_value(json_array_get(s, 0)) : 0;
        const int cols = (int)json_integer_value(json_array_get(s, (size_t)two));
        assert_int_equal(bert_tensors_read(p, x, name, rows, cols), THOR_OK);
        assert_int_equal(bert_tensors_read(q, y, name, rows, cols), THOR_OK);
        for (int i = 0; i < (rows ? rows : 1) * cols; i++)
            worst = fmax(worst, fabs((double)(p[i] - q[i])));
    }
    bert_tensors_close(x);
    bert_tensors_close(y);
    return worst;
}

static void peft_is_read_and_merged(void **state) {
    (void)state;
    for (int i = 0; i < FAMILIES; i++) {
        const struct family *f = &families[i];
        struct split_base b;
        struct split_adapter a;
        unsigned maps;
        read_base(&b, f->name);
        assert_int_equal(split_adapter_load(&a, fixture(f->name, "/adapter"), &b), THOR_OK);
        assert_int_equal(split_maps_parse(&maps, f->maps, b.in), THOR_OK);
        assert_int_equal(a.maps, maps);
        assert_int_equal(a.rank, 2);
        assert_int_equal(a.layers, f->layers);
        assert_true(a.alpha == 6 && a.labels == b.labels);
        mkdir(scratch_path("merged"), 0700);
        assert_int_equal(split_merge(scratch_path("merged"), fixture(f->name, ""), &b, &a),
                         THOR_OK);
        assert_true(compare_files(scratch_path("merged/model.safetensors"),
                                  fixture(f->name, "/merged.safetensors")) < 3e-7);
        assert_true(compare_files(scratch_path("merged/model.safetensors"),
                                  fixture(f->name, "/model.safetensors")) > 1e-2);
        split_adapter_free(&a);
    }
}

static void same_values(const struct split_adapter *a, const struct split_adapter *b) {
    assert_true(split_adapter_alike(a, b));
    assert_memory_equal(a->values, b->values, a->n * sizeof *a->values);
}

static void saved_is_loaded(void **state) {
    (void)state;
    static const char *const maps[FAMILIES][3] = {
        {"q,v", "all", "down"}, {"q,v", "k,up,down", "o"}, {"q,k,v,o", "all", "gate"}};
    for (int i = 0; i < FAMILIES * 3; i++) {
        struct split_base b;
        struct split_adapter a, back;
        struct stat s;
        read_base(&b, families[i / 3].name);
        make_random(&a, &b, maps[i / 3][i % 3]);
        a.frozen_a = i % 2;
        mkdir(scratch_path("saved"), 0700);
        assert_int_equal(split_adapter_save(&a, scratch_path("saved"), &b, "base"), THOR_OK);
        assert_int_equal(split_adapter_load(&back, scratch_path("saved"), &b), THOR_OK);
        assert_int_equal(back.frozen_a, i % 2);
        same_values(&a, &back);
        assert_int_equal(stat(scratch_path("saved/adapter_model.safetensors"), &s), 0);
        assert_int_equal(s.st_mode & 0777, 0600);
        split_adapter_free(&a);
        split_adapter_free(&back);
    }
}

/* What was read is written as the library wrote it; three maps of c_attn are one as rank grows. */
static void peft_is_written(void **state) {
    (void)state;
    for (int i = 0; i < FAMILIES; i += 2) {
        struct split_base b;
        struct split_adapter a;
        read_base(&b, families[i].name);
        assert_int_equal(split_adapter_load(&a, fixture(families[i].name, "/adapter"), &b),
                         THOR_OK);
        mkdir(scratch_path("saved"), 0700);
        assert_int_equal(split_adapter_save(&a, scratch_path("saved"), &b, NULL), THOR_OK);
        assert_true(
            compare_files(scratch_path("saved/adapter_model.safetensors"),
                          fixture(families[i].name, "/adapter/adapter_model.safetensors")) == 0);
        split_adapter_free(&a);
    }
}

/* GPT-2's file of q and v says the same to who knows nothing of blocks: one A, a B of three parts
 * and rank 6 in place of 3. */
static void blocks_are_one_map(void **state) {
    (void)state;
    struct split_base b;
    struct split_adapter a, whole;
    json_t *config;
    json_error_t err;
    read_base(&b, "gpt2");
    make_random(&a, &b, "q,v");
    mkdir(scratch_path("saved"), 0700);
    assert_int_equal(split_adapter_save(&a, scratch_path("saved"), &b, NULL), THOR_OK);
    config = json_load_file(scratch_path("saved/adapter_config.json"), 0, &err);
    assert_int_equal(6, json_integer_value(json_object_get(json_object_get(config, "rank_pattern"),
                                                           "attn.c_attn")));
    assert_true(10 == json_number_value(json_object_get(json_object_get(config, "alpha_pattern"),
                                                        "attn.c_attn")));
    json_object_set_new(config, "r", json_integer(6));
    json_object_set_new(config, "lora_alpha", json_real(10));
    assert_int_equal(json_dump_file(config, scratch_path("saved/adapter_config.json"), 0), 0);
    remove(scratch_path("saved/thor_adapter.json"));
    assert_int_equal(split_adapter_load(&whole, scratch_path("saved"), &b), THOR_OK);
    assert_int_equal(whole.rank, 6);
    mkdir(scratch_path("one"), 0700);
    mkdir(scratch_path("two"), 0700);
    assert_int_equal(split_merge(scratch_path("one"), fixture("gpt2", ""), &b, &a), THOR_OK);
    assert_int_equal(split_merge(scratch_path("two"), fixture("gpt2", ""), &b, &whole), THOR_OK);
    assert_true(compare_files(scratch_path("one/model.safetensors"),
                              scratch_path("two/model.safetensors")) < 1e-7);
    json_decref(config);
    split_adapter_free(&a);
    split_adapter_free(&whole);
}

/* ---- refusals ---- */

static void with_key(const char *key, json_t *value) {
    json_error_t err;
    json_t *config = json_load_file(fixture("bert", "/adapter/adapter_config.json"), 0, &err);
    size_t n;
    uint8_t *bytes;
    json_object_set_new(config, key, value);
    mkdir(scratch_path("bad"), 0700);
    assert_int_equal(json_dump_file(config, scratch_path("bad/adapter_config.json"), 0), 0);
    FILE *f = fopen(fixture("bert", "/adapter/adapter_model.safetensors"), "rb");
    bytes = malloc(1 << 16);
    n = fread(bytes, 1, 1 << 16, f);
    fclose(f);
    scratch_write("bad/adapter_model.safetensors", bytes, n, 0600);
    free(bytes);
    json_decref(config);
}

static void refuse_with(const char *key, json_t *value, const char *word) {
    struct split_base b;
    struct split_adapter a;
    read_base(&b, "bert");
    with_key(key, value);
    assert_int_equal(split_adapter_load(&a, scratch_path("bad"), &b), THOR_MODEL);
    assert_non_null(strstr(thor_error(), word));
    assert_null(a.values);
}

static void others_are_refused(void **state) {
    (void)state;
    struct split_base b;
    struct split_adapter a;
    refuse_with("peft_type", json_string("IA3"), "LORA");
    refuse_with("bias", json_string("all"), "biases");
    refuse_with("use_dora", json_true(), "DoRA");
    refuse_with("r", json_integer(0), "r or lora_alpha");
    refuse_with("r", json_integer(3), "lora_A"); // the tensors have rank 2
    refuse_with("lora_alpha", json_null(), "r or lora_alpha");
    read_base(&b, "llama");
    assert_int_equal(split_adapter_load(&a, fixture("bert", "/adapter"), &b), THOR_MODEL);
    read_base(&b, "bert");
    b.layers = 1; // a tensor of layer 1 is one too many
    assert_int_equal(split_adapter_load(&a, fixture("bert", "/adapter"), &b), THOR_MODEL);
    assert_non_null(strstr(thor_error(), "layer.1."));
    read_base(&b, "bert");
    assert_int_equal(split_adapter_load(&a, fixture("bert", "/adapter"), &b), THOR_OK);
    mkdir(scratch_path("none"), 0700);
    assert_int_equal(split_merge(scratch_path("none"), fixture("llama", ""), &b, &a), THOR_MODEL);
    a.values[0] = INFINITY;
    assert_int_equal(split_merge(scratch_path("none"), fixture("bert", ""), &b, &a), THOR_RANGE);
    assert_int_equal(access(scratch_path("none/model.safetensors"), F_OK), -1);
    split_adapter_free(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(make_draws_a_and_leaves_b_zero),
        cmocka_unit_test(make_refuses),
        cmocka_unit_test(peft_is_read_and_merged),
        cmocka_unit_test(saved_is_loaded),
        cmocka_unit_test(peft_is_written),
        cmocka_unit_test(blocks_are_one_map),
        cmocka_unit_test(others_are_refused),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
