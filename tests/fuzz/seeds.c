/* Small valid files of every format, one folder a fuzz target: seeds DIR. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "bert/container.h"
#include "bert/message.h"
#include "split/adapterfile.h"
#include "split/checkpoint.h"
#include "tests/fuzz/splitfiles.h"
#include "tests/fuzz/splitwire.h"
#include "tests/keyfiles.h"
#include "tests/scratch.h"
#include "tests/tinyfiles.h"

static const char *root;

static void seed(const char *target, const char *name, const void *data, size_t bytes) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", root, target);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/%s/%s", root, target, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, bytes, f), bytes);
    assert_int_equal(fclose(f), 0);
}

static void text(const char *target, const char *name, const char *s) {
    seed(target, name, s, strlen(s));
}

static void key_files(void) {
    static const char *const targets[] = {"secret", "public", "keys", "cipher"};
    for (int kind = 0; kind < 4; kind++) {
        size_t bytes;
        uint8_t *f = keyfiles_small((enum ckks_file_kind)kind, &bytes);
        seed(targets[kind], "whole", f, bytes);
        free(f);
    }
}

static void seal_files(void) {
    static const char *const names[] = {"parms", "plain", "secret", "public", "cipher"};
    const uint8_t fixed[CKKS_SEED] = {1};
    const double one = 1;
    const struct ckks_params *p;
    struct ckks *cx;
    struct ckks_secret *s;
    struct ckks_ct ct = {0};
    struct ckks_rng rng;
    int st = ckks_params_get(&p, "t10q28x0b25p1", 1) ||
             ckks_open(&cx, p, KERN_CPU, KERN_TIER_BEST, 1) || ckks_secret_new(&s, p, fixed);
    assert_int_equal(st, THOR_OK);
    ckks_rng_init(&rng, fixed, 2);
    st = ckks_encrypt_secret(&ct, cx, &one, NULL, 1, 0, s, &rng) ||
         ckks_seal_params_save(p, scratch_path("parms")) ||
         ckks_seal_plain_save(cx, &one, NULL, 1, 0, scratch_path("plain")) ||
         ckks_seal_secret_save(s, cx, scratch_path("secret")) ||
         ckks_seal_public_save(cx, s, &rng, scratch_path("public")) ||
         ckks_seal_ct_save(&ct, scratch_path("cipher"));
    assert_int_equal(st, THOR_OK);
    for (int i = 0; i < 5; i++) {
        size_t bytes;
        uint8_t *f = scratch_read(names[i], &bytes);
        seed("seal", names[i], f, bytes);
        free(f);
    }
    ckks_ct_free(&ct);
    ckks_secret_free(s);
    ckks_close(cx);
}

static void messages(void) {
    static const char *const names[] = {"request", "answer"};
    for (int i = 0; i < 2; i++) {
        const struct bert_message m = {.role = (uint32_t)(i ? BERT_ANSWER : BERT_REQUEST),
                                       .tokens = 32,
                                       .model = 0x5eed,
                                       .ticket = 7};
        size_t bytes;
        assert_int_equal(bert_message_save(&m, &kf.ct[2], 1, kf.sk->id, scratch_path("m")),
                         THOR_OK);
        uint8_t *f = scratch_read("m", &bytes);
        seed("message", names[i], f, bytes);
        free(f);
    }
}

static void tensor_files(void) {
    static uint8_t f[1024];
    const char *head = "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                       "\"b\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[24,32]},"
                       "\"c\":{\"dtype\":\"BF16\",\"shape\":[1,2],\"data_offsets\":[32,36]},"
                       "\"__metadata__\":{\"x\":\"y\"}}";
    f[0] = (uint8_t)strlen(head);
    f[1] = (uint8_t)(strlen(head) >> 8);
    memcpy(f + 8, head, strlen(head));
    seed("safetensors", "whole", f, 8 + strlen(head) + 36);
}

static void model_files(void) {
    size_t bytes;
    uint8_t *f;
    tinyfiles_container(scratch_path("weights"));
    f = scratch_read("weights", &bytes);
    seed("container", "whole", f, bytes);
    seed("container", "version2", f, tinyfiles_older(f, bytes, 2));
    free(f);
    tinyfiles_ranges(scratch_path("ranges"));
    f = scratch_read("ranges", &bytes);
    seed("ranges", "whole", f, bytes);
    free(f);
    struct bert_ranges *r = tinyfiles_some_ranges();
    for (int i = 0; i < 2; i++) r->layer->win_lo[i] = r->layer->win_hi[i] = 0;
    assert_int_equal(bert_ranges_save(r, scratch_path("ranges")), THOR_OK);
    f = scratch_read("ranges", &bytes);
    seed("ranges", "no-windows", f, bytes);
    bert_ranges_free(r);
    free(f);
}

static void texts(void) {
    text("config", "whole",
         "{\"model_type\":\"bert\",\"hidden_act\":\"gelu\",\"hidden_size\":8,"
         "\"num_hidden_layers\":1,"
         "\"num_attention_heads\":2,\"intermediate_size\":8,\"vocab_size\":9,\"type_vocab_size\":2,"
         "\"max_position_embeddings\":16,\"layer_norm_eps\":1e-12,"
         "\"id2label\":{\"0\":\"no\",\"1\":\"yes\"},"
         "\"position_embedding_type\":\"absolute\",\"is_decoder\":false}");
    text("config", "distilbert",
         "{\"model_type\":\"distilbert\",\"activation\":\"gelu\",\"dim\":8,\"n_layers\":1,"
         "\"n_heads\":2,\"hidden_dim\":8,\"vocab_size\":9,\"max_position_embeddings\":16}");
    text("config", "roberta",
         "{\"model_type\":\"xlm-roberta\",\"hidden_act\":\"gelu\",\"hidden_size\":8,"
         "\"num_hidden_layers\":1,\"num_attention_heads\":2,\"intermediate_size\":8,"
         "\"vocab_size\":9,\"type_vocab_size\":1,\"max_position_embeddings\":18,"
         "\"pad_token_id\":1,\"layer_norm_eps\":1e-5,\"pruned_heads\":{}}");
    text("config", "albert",
         "{\"model_type\":\"albert\",\"hidden_size\":8,\"embedding_size\":16,"
         "\"num_hidden_layers\":3,\"num_hidden_groups\":1,\"inner_group_num\":1,"
         "\"num_attention_heads\":2,\"intermediate_size\":8,\"vocab_size\":9,"
         "\"type_vocab_size\":2,\"max_position_embeddings\":16}");
    text("pooling", "whole",
         "[{\"idx\":0,\"path\":\"\",\"type\":\"sentence_transformers.models.Transformer\"},"
         "{\"idx\":1,\"path\":\"1_Pooling\",\"type\":\"sentence_transformers.models.Pooling\"},"
         "{\"idx\":2,\"path\":\"2_Normalize\",\"type\":\"sentence_transformers.models.Normalize\"}"
         "]");
    text("pooling", "alone", "[{\"path\":\"\",\"type\":\"x.Transformer\"}]");
    text("shards", "whole",
         "{\"metadata\":{\"total_size\":16},\"weight_map\":{\"a\":"
         "\"1.safetensors\",\"b\":\"2.safetensors\"}}");
    text("shards", "other", "{\"weight_map\":{\"b\":\"./../2.safetensors\",\"c\":\"3\"}}");
    text("vocab", "whole", "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##b\n\xc3\xa9\n");
    text("table", "mrpc",
         "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\tone text\tanother\n0\t9\t9\tx\t\n");
    text("table", "lists",
         "{\"text\":\"a\",\"labels\":[\"x\",3,\"y\"]}\n{\"text\":\"b\",\"labels\":[]}\n"
         "{\"text\":\"c\",\"label\":3.75}\n{\"text\":\"d\",\"label\":\"1,2\"}\n");
    text("table", "scores", "sentence1\tsentence2\tscore\na\tb\t3.8\nc\td\t-\n");
    text("table", "sst2", "sentence\tlabel\na good film\t1\na bad one\t0\n");
    text("table", "plain", "1\tgood\n-\tbad\r\n");
    text("table", "pairs", "label\ttext\ttext2\n0\ta\tb\n");
    text("table", "json",
         "{\"text\":\"a\",\"label\":\"positive\"}\n{\"text\":\"b\\u00e9\",\"label\":0.0}\n");
    text("table", "jsonpairs",
         "{\"sentence1\":\"a\",\"sentence2\":\"b\",\"label\":\"1\",\"idx\":[{}]}\n");
    text("text", "mixed",
         "The ab\xc3\xa9 \xe4\xbd\xa0.. aing\xff"
         "bab");
}

static void lines_of(const char *target, const char *path) {
    char name[16], *line = NULL;
    size_t room = 0;
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    for (int i = 0; i < 30 && getline(&line, &room, f) > 0; i++) {
        snprintf(name, sizeof name, "line-%02d", i);
        text(target, name, line);
    }
    free(line);
    fclose(f);
}

#define TOKENS "\"<unk>\":0,\"<s>\":1,\"a\":2,\"b\":3,\"ab\":4,\"t\":5,\"h\":6,\"th\":7,\"##a\":8"
#define POST                                                                                       \
    "\"post_processor\":{\"type\":\"RobertaProcessing\",\"sep\":[\"<s>\",1],\"cls\":[\"<s>\",1]}"

static void tokenizers(void) {
    static uint8_t map[4 + 1024 + 8] = {0, 4}; // a trie of 256 units: "a" stands for "x"
    text("tokenizer", "bpe",
         "{\"model\":{\"type\":\"BPE\",\"vocab\":{" TOKENS "},\"merges\":[\"a b\",[\"t\",\"h\"]],"
         "\"unk_token\":\"<unk>\",\"fuse_unk\":true},\"pre_tokenizer\":{\"type\":\"ByteLevel\"},"
         "\"added_tokens\":[{\"id\":1,\"content\":\"<s>\",\"special\":true,\"lstrip\":true}]," POST
         "}");
    text("tokenizer", "unigram",
         "{\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"byte_fallback\":true,\"vocab\":[[\"<unk>"
         "\",0],"
         "[\"a\",-1.5],[\"\\u2581\",-2],[\"<0x62>\",-3]]},\"normalizer\":{\"type\":\"Sequence\","
         "\"normalizers\":[{\"type\":\"NFKC\"},{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" "
         "{2,}\"},"
         "\"content\":\"ab\"}]},\"pre_tokenizer\":{\"type\":\"Metaspace\",\"prepend_scheme\":"
         "\"first\"}}");
    text("tokenizer", "wordpiece",
         "{\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"<unk>\",\"vocab\":{" TOKENS "}},"
         "\"normalizer\":{\"type\":\"BertNormalizer\"},\"pre_tokenizer\":{\"type\":\"Split\","
         "\"pattern\":"
         "{\"String\":\"a\"},\"behavior\":\"MergedWithNext\",\"invert\":true},\"post_processor\":{"
         "\"type\":"
         "\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},{"
         "\"SpecialToken\":"
         "{\"id\":\"<s>\",\"type_id\":0}}],\"pair\":[{\"Sequence\":{\"id\":\"A\"}},{\"Sequence\":{"
         "\"id\":\"B\"}}]"
         ",\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[1]}}}}");
    text("merges", "whole", "#version: 0.2\na b\nab a\nb a\na a\nb b\n");
    map[4] = 0, map[5] = 4;                                       // offset 1
    map[4 + 4 * ('a' ^ 1)] = 'a', map[5 + 4 * ('a' ^ 1)] = 1 + 4; // label a, a leaf, offset 1
    map[4 + 4 * 'a' + 3] = 0x80;                                  // value 0
    map[4 + 1024] = 'x';
    seed("charsmap", "whole", map, 4 + 1024 + 2);
    lines_of("pieces", "tests/data/awkward.jsonl");
}

static void split_files(void) {
    struct splitwire w;
    struct split_base b;
    struct split_adapter a;
    struct split_trainer t;
    size_t bytes;
    assert_true(splitwire_open(&w));
    uint8_t *f = malloc(w.call.reply);
    assert_non_null(f);
    assert_int_equal(splitwire_answer(f, &w, w.call.body, w.call.bytes), THOR_OK);
    seed("splitrequest", "whole", w.call.body, w.call.bytes);
    seed("splitreply", "whole", f, w.call.reply);
    free(f);
    splitwire_close(&w);
    splitfiles_base(&b);
    assert_true(splitfiles_trainer(&t, &a));
    mkdir(scratch_path("adapter"), 0700);
    assert_int_equal(split_adapter_save(&a, scratch_path("adapter"), &b, "m"), THOR_OK);
    f = scratch_read("adapter/adapter_model.safetensors", &bytes);
    seed("adapter", "whole", f, bytes);
    free(f);
    assert_int_equal(split_checkpoint_save(&t, scratch_path("t"), "settings", 7), THOR_OK);
    f = scratch_read("t", &bytes);
    seed("checkpoint", "whole", f, bytes);
    free(f);
    splitfiles_end(&t, &a);
    text("questions", "letters",
         "{\"question\":\"q\",\"answer\":\"y\",\"options\":{\"A\":\"x\",\"B\":\"y\"},"
         "\"meta_info\":\"step1\",\"answer_idx\":\"B\"}\n\n{\"question\":\"r\",\"options\":{"
         "\"A\":\"x\",\"B\":\"y\",\"C\":\"z\"},\"answer_idx\":\"A\"}\r\n");
    text("questions", "lists",
         "{\"question\":\"q\",\"options\":[{\"key\":\"B\",\"value\":\"y\"},{\"key\":\"A\","
         "\"value\":\"x\"}],\"answer_idx\":\"B\"}\n{\"question\":\"q\",\"options\":[\"x\","
         "\"y\"],\"answer\":\"y\"}\n");
}

int main(int argc, char **argv) {
    void *state = NULL;
    if (argc != 2) return 2;
    root = argv[1];
    mkdir(root, 0777);
    if (keyfiles_open(&state)) return 1;
    key_files();
    seal_files();
    messages();
    tensor_files();
    model_files();
    texts();
    tokenizers();
    split_files();
    return keyfiles_close(&state);
}
