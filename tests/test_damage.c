/* Damage of every kind of file.
 *   keys, ciphertexts, containers   every byte is under a checksum or compared: 10,000 flipped bits
 *                                   and every
 *                                   shorter length are refused, without exception
 *   safetensors                     every shorter length is refused; a flipped bit is refused or
 *                                   changes the hash that
 *                                   ranges and containers are bound to
 *   config, ranges, vocabulary      every shorter length is refused, save the end of a vocabulary's
 *                                   last word
 *   tables                          text of its user's own: only its form is checked (test_table.c)
 * THOR_FULL=0: a tenth of it, for the sanitizers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <fcntl.h>

#include <cmocka.h>

#include "bert/container.h"
#include "bert/input/safetensors.h"
#include "bert/input/vocab.h"
#include "tests/dose.h"
#include "tests/harness.h"
#include "tests/keyfiles.h"
#include "tests/scratch.h"
#include "tests/tinyfiles.h"

#define OK(x) assert_int_equal((x), THOR_OK)
enum { FLIPS = 10000 };

static int thin(void) { // 1, or 10 under the sanitizers
    return dose_small() ? 10 : 1;
}

/* ---- loaders, by one name: `damaged` in the scratch folder ---- */

static int load_secret(void) {
    return keyfiles_load(CKKS_FILE_SECRET, "damaged");
}
static int load_public(void) {
    return keyfiles_load(CKKS_FILE_PUBLIC, "damaged");
}
static int load_keys(void) {
    return keyfiles_load(CKKS_FILE_KEYS, "damaged");
}
static int load_cipher(void) {
    return keyfiles_load(CKKS_FILE_CIPHER, "damaged");
}

static int load_container(void) {
    struct bert_model *m;
    struct bert_ranges *r;
    int st = bert_container_load(&m, &r, scratch_path("damaged"));
    assert_true((st == THOR_OK) == (m != NULL) && (st == THOR_OK) == (r != NULL));
    bert_model_free(m);
    bert_ranges_free(r);
    return st;
}

static uint64_t tensors_hash;

static int load_tensors(void) {
    struct bert_tensors *t;
    int st = bert_tensors_open(&t, scratch_path("damaged"));
    if (t) assert_int_equal(bert_tensors_hash(&tensors_hash, t), THOR_OK);
    bert_tensors_close(t);
    return st;
}

static int load_ranges(void) {
    struct bert_model *m = tinyfiles_model();
    struct bert_ranges *r;
    int st = bert_ranges_load(&r, scratch_path("damaged"), m);
    bert_ranges_free(r);
    bert_model_free(m);
    return st;
}

static int load_config(void) {
    struct bert_config c;
    assert_int_equal(rename(scratch_path("damaged"), scratch_path("config.json")), 0);
    int st = bert_config_load(&c, scratch_path(""));
    assert_int_equal(rename(scratch_path("config.json"), scratch_path("damaged")), 0);
    return st;
}

static int load_vocab(void) {
    struct bert_vocab *v;
    int st = bert_vocab_load(&v, scratch_path("damaged"));
    bert_vocab_free(v);
    return st;
}

/* ---- damage ---- */

struct format {
    const char *name;
    int (*load)(void);
    int code;
};

static void set_byte(size_t at, uint8_t x) {
    int fd = open(scratch_path("damaged"), O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &x, 1, (off_t)at), 1);
    close(fd);
}

static void refused(const struct format *f, const char *how, size_t at) {
    int st = f->load();
    if (st != f->code) fail_msg("%s, %s %zu: status %d, not %d", f->name, how, at, st, f->code);
    assert_true(thor_error()[0] != 0);
    assert_null(strchr(thor_error(), '\n'));
}

static void flip_bits(const struct format *f, const uint8_t *data, size_t bytes) {
    uint64_t s = 11, all = 8 * (uint64_t)bytes;
    scratch_write("damaged", data, bytes, 0600);
    for (size_t i = 0; i < (size_t)(FLIPS / thin()); i++) {
        uint64_t bit =
            all <= FLIPS ? i % all : harness_next(&s) % (i % 2 || all < 8192 ? all : 8192);
        set_byte(bit / 8, data[bit / 8] ^ (uint8_t)(1 << bit % 8));
        refused(f, "bit", bit);
        set_byte(bit / 8, data[bit / 8]);
    }
    OK(f->load());
}

/* Every length below `bytes`; under the sanitizers all up to 1000, then every 37th. */
static void cut(const struct format *f, const uint8_t *data, size_t bytes) {
    scratch_write("damaged", data, bytes, 0600);
    OK(f->load());
    for (size_t n = bytes; n-- > 0;) {
        if (thin() > 1 && n > 1000 && n % 37) continue;
        assert_int_equal(truncate(scratch_path("damaged"), (off_t)n), 0);
        refused(f, "length", n);
    }
}

static void key_files(void **state) {
    (void)state;
    static const struct format formats[4] = {{"secret key", load_secret, THOR_KEY},
                                             {"public key", load_public, THOR_KEY},
                                             {"evaluation keys", load_keys, THOR_KEY},
                                             {"ciphertext", load_cipher, THOR_KEY}};
    for (int kind = 0; kind < 4; kind++) {
        size_t bytes;
        uint8_t *f = keyfiles_small((enum ckks_file_kind)kind, &bytes);
        flip_bits(&formats[kind], f, bytes);
        cut(&formats[kind], f, bytes);
        free(f);
    }
}

static void containers(void **state) {
    (void)state;
    static const struct format format = {"container", load_container, THOR_MODEL};
    size_t bytes;
    tinyfiles_container(scratch_path("w"));
    uint8_t *f = scratch_read("w", &bytes);
    flip_bits(&format, f, bytes);
    cut(&format, f, bytes);
    free(f);
}

/* One tensor of 3 F16 values; the JSON text ends where the data begin. */
static const char tensors[] =
    "\x3a\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[0,6]}}    "
    "\0\x3c\0\x40\0\x42";

static void safetensors(void **state) {
    (void)state;
    static const struct format format = {"safetensors", load_tensors, THOR_MODEL};
    const uint8_t *data = (const uint8_t *)tensors;
    const size_t bytes = sizeof tensors - 1;
    cut(&format, data, bytes);
    scratch_write("damaged", data, bytes, 0600);
    OK(load_tensors());
    const uint64_t hash = tensors_hash;
    for (size_t bit = 0; bit < 8 * bytes; bit++) {
        set_byte(bit / 8, data[bit / 8] ^ (uint8_t)(1 << bit % 8));
        int st = load_tensors();
        assert_true(st == THOR_MODEL || (st == THOR_OK && tensors_hash != hash));
        set_byte(bit / 8, data[bit / 8]);
    }
}

static void texts(void **state) {
    (void)state;
    static const struct format ranges = {"ranges", load_ranges, THOR_MODEL},
                               config = {"config", load_config, THOR_MODEL},
                               vocab = {"vocabulary", load_vocab, THOR_MODEL};
    static const char json[] =
        "{\"hidden_size\":8,\"num_hidden_layers\":1,\"num_attention_heads\":2,"
        "\"intermediate_size\":8,\"vocab_size\":9,"
        "\"type_vocab_size\":2,\"max_position_embeddings\":16}";
    static const char words[] = "a\n[PAD]\n[UNK]\n[CLS]\n[SEP]"; // fewer words are allowed
    size_t bytes;
    tinyfiles_ranges(scratch_path("r"));
    uint8_t *f = scratch_read("r", &bytes);
    while (bytes && f[bytes - 1] <= ' ') bytes--;
    cut(&ranges, f, bytes);
    free(f);
    cut(&config, (const uint8_t *)json, sizeof json - 1);
    scratch_write("damaged", words, sizeof words - 1, 0600);
    OK(load_vocab());
    for (size_t n = sizeof words - 1; n-- > 0;) {
        assert_int_equal(truncate(scratch_path("damaged"), (off_t)n), 0);
        refused(&vocab, "length", n);
    }
}

/* ---- allocation bombs: refused while the address space may grow by 32 MiB at most ---- */

static struct rlimit keep;

static void squeeze(void) {
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld", &pages), 1);
    fclose(f);
    getrlimit(RLIMIT_AS, &keep);
    struct rlimit low = keep;
#ifndef __SANITIZE_ADDRESS__ // it keeps terabytes of addresses
    low.rlim_cur = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + (32u << 20);
#endif
    assert_int_equal(setrlimit(RLIMIT_AS, &low), 0);
}

static void release(void) {
    assert_int_equal(setrlimit(RLIMIT_AS, &keep), 0);
}

static void claims_of_key_files(void **state) {
    (void)state;
    static const uint32_t claims[] = {4096, 1u << 20, 0x7fffffff, 0xffffffff};
    static const size_t places[] = {AT_COUNT,       AT_LOG_N,      AT_BYTES,      AT_BYTES + 4,
                                    HEAD + E_PARTS, HEAD + E_ROWS, HEAD + E_LEVEL};
    for (int kind = 0; kind < 4; kind++)
        for (size_t p = 0; p < sizeof places / sizeof *places; p++)
            for (size_t c = 0; c < 4; c++) {
                size_t bytes;
                uint8_t *f = keyfiles_small((enum ckks_file_kind)kind, &bytes);
                put32(f + places[p], claims[c]);
                reseal(f, bytes);
                scratch_write("damaged", f, bytes, 0600);
                free(f);
                squeeze();
                int st = keyfiles_load((enum ckks_file_kind)kind, "damaged");
                release();
                assert_int_equal(st, THOR_KEY);
            }
}

static void claims_of_models(void **state) {
    (void)state;
    static const char *const headers[] = {
        "{\"a\":{\"dtype\":\"F64\",\"shape\":[4611686018427387903],\"data_offsets\":[0,6]}}",
        "{\"a\":{\"dtype\":\"F64\",\"shape\":[2147483648,2147483648],\"data_offsets\":[0,6]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4611686018427387904]}}",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],"
        "\"data_offsets\":[4611686018427387900,4611686018427387904]}}"};
    static const char config[] =
        "{\"hidden_size\":4096,\"num_hidden_layers\":64,\"num_attention_heads\":64,"
        "\"intermediate_size\":16384,"
        "\"vocab_size\":1000000,\"type_vocab_size\":16,\"max_position_embeddings\":1024}";
    for (size_t i = 0; i < 5; i++) {
        char f[256] = {0};
        uint64_t n = i < 4 ? strlen(headers[i]) : UINT64_MAX / 2;
        memcpy(f, &n, 8);
        if (i < 4) memcpy(f + 8, headers[i], n);
        scratch_write("damaged", f, i < 4 ? 8 + n + 6 : sizeof f, 0600);
        squeeze();
        int st = load_tensors();
        release();
        assert_int_equal(st, THOR_MODEL);
    }
    struct bert_model *m;
    scratch_write("config.json", config, sizeof config - 1, 0600);
    scratch_write("model.safetensors", tensors, sizeof tensors - 1, 0600);
    squeeze();
    int st = bert_model_load(&m, scratch_path(""));
    release();
    assert_int_equal(st, THOR_MODEL);
    assert_null(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_files),           cmocka_unit_test(containers),
        cmocka_unit_test(safetensors),         cmocka_unit_test(texts),
        cmocka_unit_test(claims_of_key_files), cmocka_unit_test(claims_of_models),
    };
    return cmocka_run_group_tests_name("damage", tests, keyfiles_open, keyfiles_close);
}
