#include "bert/synth/synthwords.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "bert/input/jsonfile.h"
#include "ckks/file.h"

#define WORDS_MAX 126

enum { BYTES = 256, SYLLABLES = 80, PAIRS = SYLLABLES * SYLLABLES, FEWEST = 16 };
enum { MOST = BYTES + SYLLABLES + 2 * PAIRS + PAIRS * SYLLABLES + 1 }; // of the BPE below

static char *syllable(char *to, int k) {
    static const char first[] = "bcdfghklmnprstvz", second[] = "aeiou";
    *to++ = first[k % 16];
    *to++ = second[k / 16];
    *to = 0;
    return to;
}

/* ---- WordPiece ---- */

/* Line `id` of vocab.txt: the special tokens, every printable ASCII character that can stand alone
 * and inside a word, then syllables: id -> text is one to one. */
static void token(char text[16], int id) {
    static const char *const special[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    static const char alone[] = "abcdefghijklmnopqrstuvwxyz0123456789"
                                "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
    enum { SPECIAL = 5, ALONE = sizeof alone - 1, INSIDE = 36 };
    if (id < SPECIAL) {
        snprintf(text, 16, "%s", special[id]);
    } else if (id < SPECIAL + ALONE) {
        snprintf(text, 16, "%c", alone[id - SPECIAL]);
    } else if (id < SPECIAL + ALONE + INSIDE) {
        snprintf(text, 16, "##%c", alone[id - SPECIAL - ALONE]);
    } else {
        char *to = text;
        for (int k = id - SPECIAL - ALONE - INSIDE + SYLLABLES; k > 0; k /= SYLLABLES)
            to = syllable(to, k % SYLLABLES);
    }
}

enum { WORDS_FROM = 109 }; // behind specials and characters

static int put_line(struct ckks_file_out *f, const char *text) {
    int st = THOR_OK;
    TRY(ckks_file_write(f, text, strlen(text)));
    TRY(ckks_file_write(f, "\n", 1));
out:
    return st;
}

static int write_wordpiece(const char *path, int size) {
    int st = THOR_OK;
    char text[16];
    struct ckks_file_out *f = NULL;
    TRY(ckks_file_create(&f, path, CKKS_FILE_SHARED));
    for (int id = 0; id < size; id++) {
        token(text, id);
        TRY(put_line(f, text));
    }
    TRY(ckks_file_commit(&f));
out:
    ckks_file_abandon(&f);
    return st;
}

/* ---- byte-level BPE ---- */

/* Bytes stand as characters: those that print as themselves, the others from U+0100 on. */
static void byte_text(char *to, int byte) {
    int c = byte, others = 0;
    for (int b = 0; b <= byte; b++) {
        const int prints = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b != 0xad);
        if (b == byte && !prints) c = 256 + others;
        others += !prints;
    }
    if (c < 128)
        snprintf(to, 3, "%c", c);
    else
        snprintf(to, 3, "%c%c", 0xc0 | c >> 6, 0x80 | (c & 63));
}

#define BLANK "\xc4\xa0" /* the byte 0x20 */

/* What token `id` behind the bytes is merged from: syllables, words of two, the same behind a
 * blank, words of three. */
static void halves(char a[16], char b[16], int id) {
    int k = id - BYTES;
    if (k < SYLLABLES) {
        char both[4];
        syllable(both, k);
        snprintf(a, 16, "%c", both[0]);
        snprintf(b, 16, "%c", both[1]);
    } else if ((k -= SYLLABLES) < PAIRS) {
        syllable(a, k % SYLLABLES);
        syllable(b, k / SYLLABLES);
    } else if ((k -= PAIRS) < PAIRS) {
        strcpy(a, BLANK);
        syllable(syllable(b, k % SYLLABLES), k / SYLLABLES);
    } else {
        k -= PAIRS;
        syllable(syllable(a, k % SYLLABLES), k / SYLLABLES % SYLLABLES);
        syllable(b, k / PAIRS);
    }
}

static int write_merges(const char *path, int size) {
    int st = THOR_OK;
    char a[16], b[16], line[40];
    struct ckks_file_out *f = NULL;
    TRY(ckks_file_create(&f, path, CKKS_FILE_SHARED));
    TRY(put_line(f, "#version: 0.2"));
    for (int id = BYTES; id < size - 1; id++) {
        halves(a, b, id);
        snprintf(line, sizeof line, "%s %s", a, b);
        TRY(put_line(f, line));
    }
    TRY(ckks_file_commit(&f));
out:
    ckks_file_abandon(&f);
    return st;
}

// ids by token; the last token is `last`
static json_t *bpe_vocab(int size, const char *last) {
    char a[16], b[16], text[40];
    json_t *root = json_object();
    for (int id = 0; id < size - 1; id++) {
        if (id < BYTES) {
            byte_text(text, id);
        } else {
            halves(a, b, id);
            snprintf(text, sizeof text, "%s%s", a, b);
        }
        json_object_set_new(root, text, json_integer(id));
    }
    json_object_set_new(root, last, json_integer(size - 1));
    return root;
}

static int write_bpe(const char *dir, int size) {
    int st = THOR_OK;
    char path[4200];
    snprintf(path, sizeof path, "%s/vocab.json", dir);
    TRY(bert_json_save(bpe_vocab(size, "<|endoftext|>"), path));
    snprintf(path, sizeof path, "%s/merges.txt", dir);
    TRY(write_merges(path, size));
out:
    return st;
}

/* What the same looks like in tokenizer.json, with a token in front of every text. */
static json_t *bpe_json(int size, const char *first) {
    char a[16], b[16], line[40];
    json_t *merges = json_array();
    for (int id = BYTES; id < size - 1; id++) {
        halves(a, b, id);
        snprintf(line, sizeof line, "%s %s", a, b);
        json_array_append_new(merges, json_string(line));
    }
    return json_pack(
        "{s:s, s:[{s:i, s:s, s:b, s:b, s:b, s:b, s:b}], s:n, s:{s:s, s:b, s:b, s:b}, s:{s:s,"
        "s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}], s:[{s:{s:s, s:i}}, {s:{s:s, s:i}}, {s:{s:s, s:i}}],"
        "s:{s:{s:s, s:[i], s:[s]}}}, s:{s:s, s:b, s:b, s:b}, s:{s:s, s:o, s:o}}",
        "version", "1.0", "added_tokens", "id", size - 1, "content", first, "single_word", 0,
        "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1, "normalizer", "pre_tokenizer",
        "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 1, "use_regex", 1,
        "post_processor", "type", "TemplateProcessing", "single", "SpecialToken", "id", first,
        "type_id", 0, "Sequence", "id", "A", "type_id", 0, "pair", "SpecialToken", "id", first,
        "type_id", 0, "Sequence", "id", "A", "type_id", 0, "Sequence", "id", "B", "type_id", 0,
        "special_tokens", first, "id", first, "ids", size - 1, "tokens", first, "decoder", "type",
        "ByteLevel", "add_prefix_space", 1, "trim_offsets", 1, "use_regex", 1, "model", "type",
        "BPE", "vocab", bpe_vocab(size, first), "merges", merges);
}

int bert_synth_tokenizer(const char *dir, int size) {
    static const char first[] = "<|begin_of_text|>";
    int st = THOR_OK;
    char path[4200];
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    TRY(bert_json_save(bpe_json(size, first), path));
    snprintf(path, sizeof path, "%s/tokenizer_config.json", dir);
    TRY(bert_json_save(json_pack("{s:s, s:s, s:[s,s]}", "tokenizer_class",
                                 "PreTrainedTokenizerFast", "bos_token", first, "model_input_names",
                                 "input_ids", "attention_mask"),
                       path));
out:
    return st;
}

/* ---- all of them ---- */

int bert_synth_check(const struct bert_config *c) {
    const int bpe = c->arch == BERT_ARCH_GPT2, fewest = bpe ? BYTES + SYLLABLES : FEWEST;
    if (c->vocab < fewest)
        return thor_fail(THOR_USAGE, "vocab_size %d: random texts need at least %d tokens",
                         c->vocab, fewest);
    if (bpe && c->vocab > MOST)
        return thor_fail(THOR_USAGE, "vocab_size %d: there are at most %d tokens", c->vocab, MOST);
    return THOR_OK;
}

int bert_synth_vocab(const char *dir, const struct bert_config *c) {
    int st = THOR_OK;
    char path[4200];
    if (c->arch == BERT_ARCH_GPT2) return write_bpe(dir, c->vocab);
    snprintf(path, sizeof path, "%s/vocab.txt", dir);
    TRY(write_wordpiece(path, c->vocab));
    snprintf(path, sizeof path, "%s/tokenizer_config.json", dir);
    if (c->arch != BERT_ARCH_BERT)
        TRY(bert_json_save(json_pack("{s:s}", "tokenizer_class", "BertTokenizer"), path));
out:
    return st;
}

/* ---- texts ---- */

struct words { /* of which texts are made */
    int bpe, from, count;
    int tokens; /* of one, at most */
};

static struct words words_of(const struct bert_config *c) {
    const int all = BYTES + SYLLABLES + 2 * PAIRS,
              from = c->vocab > 2 * WORDS_FROM ? WORDS_FROM : 5;
    if (c->arch == BERT_ARCH_GPT2)
        return (struct words){1, 0, PAIRS, c->vocab > all ? 1 : c->vocab > all - PAIRS ? 2 : 5};
    return (struct words){0, from, c->vocab - from, 1};
}

static void word(char text[16], const struct words *w, uint64_t draw) {
    const int k = w->from + (int)(draw % (uint64_t)w->count);
    if (w->bpe)
        syllable(syllable(text, k % SYLLABLES), k / SYLLABLES);
    else
        token(text, k);
}

int bert_synth_texts(const char *path, const struct bert_config *c, uint64_t seed, int rows) {
    int st = THOR_OK;
    char text[16], label[16];
    const struct words w = words_of(c);
    const int room = (c->max_positions - 2) / w.tokens, most = room < WORDS_MAX ? room : WORDS_MAX;
    const int labels = c->labels ? c->labels : 1;
    struct ckks_file_out *f = NULL;
    TRY(ckks_file_create(&f, path, CKKS_FILE_SHARED));
    TRY(ckks_file_write(f, "label\ttext\n", 11));
    for (int i = 0; i < rows; i++) {
        const uint64_t key = bert_synth_draw(seed, ~(uint64_t)i);
        int limit = i % 4 == 3 ? 126 : i % 4 == 1 ? 62 : 30;
        limit = limit < most ? limit : most;
        const int words = 1 + (int)(bert_synth_draw(key, 0) % (uint64_t)limit);
        snprintf(label, sizeof label, "%d\t", (int)(bert_synth_draw(key, 1) % (uint64_t)labels));
        TRY(ckks_file_write(f, label, strlen(label)));
        for (int k = 0; k < words; k++) {
            word(text, &w, bert_synth_draw(key, (uint64_t)k + 2));
            TRY(ckks_file_write(f, text, strlen(text)));
            TRY(ckks_file_write(f, k + 1 < words ? " " : "\n", 1));
        }
    }
    TRY(ckks_file_commit(&f));
out:
    ckks_file_abandon(&f);
    return st;
}
