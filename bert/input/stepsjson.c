/* The normalizer and the pre_tokenizer of tokenizer.json. */
#include <stdlib.h>
#include <string.h>

#include "bert/input/readfile.h"
#include "bert/input/textsteps.h"

struct reader {
    struct bert_steps *s;
    const char *path, *what; /* "normalizer" or "pre_tokenizer" */
};

static int refuse(const struct reader *r, const char *type, const char *why) {
    return thor_fail(THOR_MODEL, "%.300s: the %s \"%.60s\" %.120s", r->path, r->what, type, why);
}

static int add(const struct reader *r, struct bert_step step) {
    return bert_steps_add(r->s, &step);
}

static int add_clean(const struct reader *r, enum bert_clean clean) {
    return add(r, (struct bert_step){.kind = BERT_STEP_CLEAN, .clean = clean});
}

static int add_cut(const struct reader *r, enum bert_match match, enum bert_cut cut, int invert) {
    return add(
        r, (struct bert_step){.kind = BERT_STEP_CUT, .match = match, .cut = cut, .invert = invert});
}

/* null: as it is. */
static int get_flag(int *flag, const struct reader *r, const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    if (!v || json_is_null(v)) return THOR_OK;
    if (!json_is_boolean(v))
        return thor_fail(THOR_MODEL, "%.300s: %.60s must be true or false", r->path, key);
    *flag = json_is_true(v);
    return THOR_OK;
}

static int decode(struct bert_chars *out, const json_t *text) {
    return bert_chars_decode(out, json_string_value(text), json_string_length(text));
}

static int is(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

static const char *type_of(const json_t *o) {
    const char *type = json_string_value(json_object_get(o, "type"));
    return type ? type : "?";
}

typedef int read_fn(const struct reader *r, const json_t *o, const char *type);

static int read_all(const struct reader *r, const json_t *list, read_fn *each) {
    int st = THOR_OK;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        TRY(each(r, o, type_of(o)));
    }
out:
    return st;
}

/* ---- normalizer */

int bert_steps_bert(struct bert_steps *s, int clean, int ideographs, int strip, int lower) {
    const struct reader r = {.s = s};
    int st = THOR_OK;
    if (clean) TRY(add_clean(&r, BERT_CLEAN_CONTROLS));
    if (ideographs) TRY(add_clean(&r, BERT_CLEAN_IDEOGRAPHS));
    if (strip < 0 ? lower : strip) {
        TRY(add_clean(&r, BERT_CLEAN_NFD));
        TRY(add_clean(&r, BERT_CLEAN_MN));
    }
    if (lower) TRY(add_clean(&r, BERT_CLEAN_LOWER));
out:
    return st;
}

static int read_bert(const struct reader *r, const json_t *o) {
    int st = THOR_OK, clean = 1, ideographs = 1, strip = -1, lower = 1;
    TRY(get_flag(&clean, r, o, "clean_text"));
    TRY(get_flag(&ideographs, r, o, "handle_chinese_chars"));
    TRY(get_flag(&strip, r, o, "strip_accents"));
    TRY(get_flag(&lower, r, o, "lowercase"));
    TRY(bert_steps_bert(r->s, clean, ideographs, strip, lower));
out:
    return st;
}

/* Of regular expressions: one character or \s, then + or {N,}, as those that join blanks. */
static int read_pattern(struct bert_step *s, const struct reader *r, const json_t *o,
                        const char *type) {
    const json_t *text = json_object_get(o, "String"), *regex = json_object_get(o, "Regex");
    const char *p = json_string_value(regex);
    char *end;
    if (json_string_length(text) > 0) return decode(&s->what, text); // "" is in every text
    const size_t white = p && strncmp(p, "\\s", 2) == 0;
    if (!p || (!white && (!*p || strchr("\\^$.|?*+()[]{}", *p))))
        return refuse(r, type, "has a pattern that is not supported");
    const int st = bert_chars_decode(&s->what, p, json_string_length(regex));
    if (st != THOR_OK) return st;
    p += white ? 2 : s->what.c[0].end;
    s->what.n = !white;
    if (is(p, "+")) {
        s->least = 1;
    } else {
        s->least = *p == '{' ? (int)strtol(p + 1, &end, 10) : 0;
        if (s->least < 1 || s->least > 1000 || !is(end, ",}"))
            return refuse(r, type, "has a pattern that is not supported");
    }
    return THOR_OK;
}

static int read_replace(const struct reader *r, const json_t *o, const char *type) {
    int st = THOR_OK;
    struct bert_step s = {.kind = BERT_STEP_REPLACE};
    const json_t *content = json_object_get(o, "content");
    if (!json_is_string(content)) TRY(refuse(r, type, "has no content"));
    TRY(read_pattern(&s, r, json_object_get(o, "pattern"), type));
    TRY(decode(&s.with, content));
    return add(r, s);
out:
    free(s.what.c);
    free(s.with.c);
    return st;
}

static int read_prepend(const struct reader *r, const json_t *o, const char *type) {
    int st = THOR_OK;
    struct bert_step s = {.kind = BERT_STEP_PREFIX, .prefix = BERT_PREFIX_EVERY};
    const json_t *text = json_object_get(o, "prepend");
    if (!json_is_string(text)) return refuse(r, type, "has no text to prepend");
    TRY(decode(&s.with, text));
    TRY(add(r, s));
out:
    return st;
}

static int read_strip(const struct reader *r, const json_t *o) {
    int st = THOR_OK;
    struct bert_step s = {.kind = BERT_STEP_STRIP, .left = 1, .right = 1};
    TRY(get_flag(&s.left, r, o, "strip_left"));
    TRY(get_flag(&s.right, r, o, "strip_right"));
    TRY(add(r, s));
out:
    return st;
}

/* "" and null map nothing. */
static int read_charsmap(const struct reader *r, const json_t *o, const char *type) {
    int st = THOR_OK;
    struct bert_step s = {.kind = BERT_STEP_CHARSMAP};
    const json_t *map = json_object_get(o, "precompiled_charsmap");
    if (json_is_null(map) || (json_is_string(map) && json_string_length(map) == 0)) return THOR_OK;
    if (!json_is_string(map)) return refuse(r, type, "has no precompiled_charsmap");
    st = bert_charsmap_open(&s.map, json_string_value(map), json_string_length(map));
    if (st == THOR_MODEL) thor_fail_in(st, "precompiled_charsmap");
    if (st != THOR_OK) return thor_fail_in(st, r->path);
    return add(r, s);
}

static int read_normalizer(const struct reader *r, const json_t *o, const char *type) {
    static const struct {
        const char *type;
        enum bert_clean clean;
    } known[] = {{"NFC", BERT_CLEAN_NFC},
                 {"NFD", BERT_CLEAN_NFD},
                 {"NFKC", BERT_CLEAN_NFKC},
                 {"NFKD", BERT_CLEAN_NFKD},
                 {"StripAccents", BERT_CLEAN_MARKS},
                 {"Lowercase", BERT_CLEAN_LOWER},
                 {"Nmt", BERT_CLEAN_NMT}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (is(type, known[i].type)) return add_clean(r, known[i].clean);
    if (is(type, "Sequence"))
        return read_all(r, json_object_get(o, "normalizers"), read_normalizer);
    if (is(type, "BertNormalizer")) return read_bert(r, o);
    if (is(type, "Replace")) return read_replace(r, o, type);
    if (is(type, "Prepend")) return read_prepend(r, o, type);
    if (is(type, "Strip")) return read_strip(r, o);
    if (is(type, "Precompiled")) return read_charsmap(r, o, type);
    if (is(type, "ByteLevel")) return add(r, (struct bert_step){.kind = BERT_STEP_BYTES});
    return refuse(r, type, "is not supported");
}

int bert_steps_normalizer(struct bert_steps *s, const json_t *o, const char *path) {
    const struct reader r = {s, path, "normalizer"};
    return !o || json_is_null(o) ? THOR_OK : read_normalizer(&r, o, type_of(o));
}

/* ---- pre_tokenizer */

#define GPT2_PATTERN                                                                               \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define GPT2_SHORTER                                                                               \
    "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define LLAMA3_PATTERN(digits)                                                                     \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" digits                     \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static int add_prefix(const struct reader *r, int32_t c, enum bert_prefix when) {
    struct bert_step s = {.kind = BERT_STEP_PREFIX, .prefix = when, .with.n = 1};
    const int st = bert_chars_room(&s.with.c, 1);
    if (st != THOR_OK) return st;
    s.with.c[0] = (struct bert_char){.c = c};
    return add(r, s);
}

/* Of one text, or of one character. */
static int add_text_cut(const struct reader *r, const json_t *text, enum bert_cut cut, int invert) {
    struct bert_step s = {
        .kind = BERT_STEP_CUT, .match = BERT_MATCH_TEXT, .cut = cut, .invert = invert};
    const int st = decode(&s.what, text);
    return st == THOR_OK ? add(r, s) : st;
}

static int get_cut(enum bert_cut *cut, const struct reader *r, const json_t *o, const char *type) {
    static const char *const name[] = {"Removed", "Isolated", "Contiguous", "MergedWithPrevious",
                                       "MergedWithNext"};
    const json_t *v = json_object_get(o, "behavior");
    const char *said = json_string_value(v);
    if (!v) return THOR_OK;
    for (int i = 0; said && i < 5; i++)
        if (is(said, name[i])) {
            *cut = (enum bert_cut)i;
            return THOR_OK;
        }
    return refuse(r, type, "has an unknown behavior");
}

int bert_steps_bytelevel(struct bert_steps *s, int prefix, int pattern) {
    const struct reader r = {.s = s};
    int st = THOR_OK;
    if (prefix) TRY(add_prefix(&r, ' ', BERT_PREFIX_UNLESS));
    if (pattern) TRY(add_cut(&r, BERT_MATCH_GPT2, BERT_CUT_ALONE, 0));
    TRY(add(&r, (struct bert_step){.kind = BERT_STEP_BYTES}));
out:
    return st;
}

static int read_bytelevel(const struct reader *r, const json_t *o) {
    int st = THOR_OK, first = 1, pattern = 1;
    TRY(get_flag(&first, r, o, "add_prefix_space"));
    TRY(get_flag(&pattern, r, o, "use_regex"));
    TRY(bert_steps_bytelevel(r->s, first, pattern));
out:
    return st;
}

/* Files from before 2024 say add_prefix_space, later ones prepend_scheme. */
static int read_scheme(enum bert_prefix *when, int *never, const struct reader *r, const json_t *o,
                       const char *type) {
    int st = THOR_OK, add_space = 1;
    const json_t *v = json_object_get(o, "prepend_scheme");
    const char *scheme = json_is_null(v) || !v ? "always" : json_string_value(v);
    TRY(get_flag(&add_space, r, o, "add_prefix_space"));
    if (!scheme || !(is(scheme, "always") || is(scheme, "first") || is(scheme, "never")))
        TRY(refuse(r, type, "has an unknown prepend_scheme"));
    if (v && !json_is_null(v) && !add_space && !is(scheme, "never"))
        TRY(refuse(r, type, "has an add_prefix_space that contradicts its prepend_scheme"));
    *never = is(scheme, "never") || !add_space;
    *when = is(scheme, "first") ? BERT_PREFIX_FIRST : BERT_PREFIX_UNLESS;
out:
    return st;
}

static int add_blank(const struct reader *r, int32_t c) { /* c for every blank */
    int st = THOR_OK;
    struct bert_step s = {.kind = BERT_STEP_REPLACE, .what.n = 1, .with.n = 1};
    TRY(bert_chars_room(&s.what.c, 1));
    TRY(bert_chars_room(&s.with.c, 1));
    s.what.c[0] = (struct bert_char){.c = ' '};
    s.with.c[0] = (struct bert_char){.c = c};
    return add(r, s);
out:
    free(s.what.c);
    return st;
}

static int read_metaspace(const struct reader *r, const json_t *o, const char *type) {
    int st = THOR_OK, never = 0, split = 1;
    enum bert_prefix when = BERT_PREFIX_UNLESS;
    struct bert_chars sign = {0};
    json_t *text = json_object_get(o, "replacement"), *usual = json_string("\xe2\x96\x81");
    if (!json_is_string(text)) text = usual;
    TRY(read_scheme(&when, &never, r, o, type));
    TRY(get_flag(&split, r, o, "split"));
    TRY(decode(&sign, text));
    if (sign.n != 1) TRY(refuse(r, type, "has a replacement that is not one character"));
    TRY(add_blank(r, sign.c[0].c));
    if (!never) TRY(add_prefix(r, sign.c[0].c, when));
    if (split) TRY(add_text_cut(r, text, BERT_CUT_BEHIND, 0));
out:
    json_decref(usual);
    free(sign.c);
    return st;
}

static int read_split(const struct reader *r, const json_t *o, const char *type) {
    int st = THOR_OK, invert = 0;
    enum bert_cut cut = BERT_CUT_ALONE;
    const json_t *text = json_object_get(json_object_get(o, "pattern"), "String");
    const char *regex = json_string_value(json_object_get(json_object_get(o, "pattern"), "Regex"));
    TRY(get_cut(&cut, r, o, type));
    TRY(get_flag(&invert, r, o, "invert"));
    if (json_string_length(text) > 0) return add_text_cut(r, text, cut, invert);
    if (regex && (is(regex, GPT2_PATTERN) || is(regex, GPT2_SHORTER)))
        return add_cut(r, BERT_MATCH_GPT2, cut, invert);
    if (regex && is(regex, LLAMA3_PATTERN("{1,3}")))
        return add_cut(r, BERT_MATCH_LLAMA3, cut, invert);
    if (regex && is(regex, LLAMA3_PATTERN(""))) return add_cut(r, BERT_MATCH_QWEN2, cut, invert);
    if (regex && is(regex, "\\s+") && cut <= BERT_CUT_RUN &&
        !(invert && cut == BERT_CUT_REMOVE)) // each run is one match
        return add_cut(r, BERT_MATCH_WHITE, cut == BERT_CUT_ALONE ? BERT_CUT_RUN : cut, invert);
    return refuse(r, type, "has a pattern that is not supported");
out:
    return st;
}

static int read_digits(const struct reader *r, const json_t *o) {
    int alone = 0;
    const int st = get_flag(&alone, r, o, "individual_digits");
    if (st != THOR_OK) return st;
    return add_cut(r, BERT_MATCH_NUMBER, alone ? BERT_CUT_ALONE : BERT_CUT_RUN, 0);
}

static int read_punctuation(const struct reader *r, const json_t *o, const char *type) {
    enum bert_cut cut = BERT_CUT_ALONE;
    const int st = get_cut(&cut, r, o, type);
    return st == THOR_OK ? add_cut(r, BERT_MATCH_PUNCTUATION, cut, 0) : st;
}

static int read_delimiter(const struct reader *r, const json_t *o, const char *type) {
    const json_t *text = json_object_get(o, "delimiter");
    if (!json_is_string(text) || json_string_length(text) == 0)
        return refuse(r, type, "has no delimiter");
    return add_text_cut(r, text, BERT_CUT_REMOVE, 0);
}

int bert_steps_bert_words(struct bert_steps *s) {
    const struct reader r = {.s = s};
    int st = THOR_OK;
    TRY(add_cut(&r, BERT_MATCH_WHITE, BERT_CUT_REMOVE, 0));
    TRY(add_cut(&r, BERT_MATCH_PUNCTUATION, BERT_CUT_ALONE, 0));
out:
    return st;
}

static int read_pretokenizer(const struct reader *r, const json_t *o, const char *type) {
    if (is(type, "Sequence"))
        return read_all(r, json_object_get(o, "pretokenizers"), read_pretokenizer);
    if (is(type, "Whitespace")) return add_cut(r, BERT_MATCH_WORD, BERT_CUT_REMOVE, 1);
    if (is(type, "WhitespaceSplit")) return add_cut(r, BERT_MATCH_WHITE, BERT_CUT_REMOVE, 0);
    if (is(type, "BertPreTokenizer")) return bert_steps_bert_words(r->s);
    if (is(type, "ByteLevel")) return read_bytelevel(r, o);
    if (is(type, "Metaspace")) return read_metaspace(r, o, type);
    if (is(type, "Digits")) return read_digits(r, o);
    if (is(type, "Punctuation")) return read_punctuation(r, o, type);
    if (is(type, "CharDelimiterSplit")) return read_delimiter(r, o, type);
    if (is(type, "Split")) return read_split(r, o, type);
    return refuse(r, type, "is not supported");
}

int bert_steps_pretokenizer(struct bert_steps *s, const json_t *o, const char *path) {
    const struct reader r = {s, path, "pre_tokenizer"};
    return !o || json_is_null(o) ? THOR_OK : read_pretokenizer(&r, o, type_of(o));
}
