/* The steps of a tokenizer on the characters of a text: those of its normalizer, then those of its
 * pre-tokenizer, which say where words begin.  What tokenizer.json calls one thing may be several
 * steps: ByteLevel is PREFIX, CUT by BERT_MATCH_GPT2, BYTES; Metaspace is REPLACE, PREFIX, CUT. */
#ifndef BERT_TEXTSTEPS_H
#define BERT_TEXTSTEPS_H

#include <jansson.h>

#include "bert/input/charsmap.h"
#include "bert/input/textclean.h"

#ifdef __cplusplus
extern "C" {
#endif

enum bert_step_kind {
    BERT_STEP_CLEAN,    /* `clean` */
    BERT_STEP_REPLACE,  /* `what`, or where least > 0 that many or more of its one character (of
                         * white space where it is empty), become `with` */
    BERT_STEP_STRIP,    /* white space at both ends; `left`, `right` */
    BERT_STEP_CHARSMAP, /* `map` */
    BERT_STEP_PREFIX,   /* `with` before each word, as `prefix` says */
    BERT_STEP_BYTES,    /* a character for each byte of UTF-8: bert_byte_char */
    BERT_STEP_CUT       /* words end where `match` says, as `cut` and `invert` say */
};

enum bert_prefix {
    BERT_PREFIX_EVERY,  /* of the words */
    BERT_PREFIX_UNLESS, /* the word begins with it */
    BERT_PREFIX_FIRST   /* the same, where the word is made of the text's first byte */
};

enum bert_match {
    BERT_MATCH_WHITE,
    BERT_MATCH_PUNCTUATION,
    BERT_MATCH_NUMBER,
    BERT_MATCH_WORD, /* \w+|[^\w\s]+ */
    BERT_MATCH_GPT2, /* '(s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
    /* (?i:'(s|t|re|ve|m|ll|d))|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
     * \s*[\r\n]+|\s+(?!\S)|\s+, and the same with \p{N} */
    BERT_MATCH_LLAMA3,
    BERT_MATCH_QWEN2,
    BERT_MATCH_TEXT /* `what` */
};

enum bert_cut {                  /* what becomes of a match */
                BERT_CUT_REMOVE, /* it is dropped */
                BERT_CUT_ALONE,  /* it is a word */
                BERT_CUT_RUN,    /* it and those next to it are a word */
                BERT_CUT_BEFORE, /* it ends the word before it */
                BERT_CUT_BEHIND  /* it begins the word behind it */
};

struct bert_step {
    enum bert_step_kind kind;
    enum bert_clean clean;
    enum bert_prefix prefix;
    enum bert_match match;
    enum bert_cut cut;
    int invert; /* a match is what the pattern does not match */
    int least, left, right;
    struct bert_chars what, with;
    struct bert_charsmap *map;
};

enum { BERT_STEPS_MAX = 32 };

struct bert_steps {
    struct bert_step step[BERT_STEPS_MAX];
    int n, bytes; /* bytes: one is BERT_STEP_BYTES */
};

/* THOR_MEMORY, or THOR_MODEL where a charsmap is damaged. */
int bert_steps_apply(struct bert_chars *t, const struct bert_steps *s);
void bert_steps_free(struct bert_steps *s);
/* A step more, which is taken with what it holds, or freed and refused. */
int bert_steps_add(struct bert_steps *s, struct bert_step *step);

int bert_step_cut(struct bert_chars *t, const struct bert_step *s); /* textcuts.c */
/* 1: c, of n characters, begins with `what`, which is not empty. */
int bert_chars_match(const struct bert_char *c, size_t n, const struct bert_chars *what);

/* The printable character that stands for a byte in byte-level vocabularies, and back (-1: none) */
int32_t bert_byte_char(uint8_t byte);
int bert_char_byte(int32_t c);

/* ---- stepsjson.c: both from tokenizer.json (o may be NULL), whose path refusals name; and the
 * steps of BertNormalizer (strip -1: as lower), BertPreTokenizer, ByteLevel */
int bert_steps_normalizer(struct bert_steps *s, const json_t *o, const char *path);
int bert_steps_pretokenizer(struct bert_steps *s, const json_t *o, const char *path);
int bert_steps_bert(struct bert_steps *s, int clean, int ideographs, int strip, int lower);
int bert_steps_bert_words(struct bert_steps *s);
int bert_steps_bytelevel(struct bert_steps *s, int prefix, int pattern);

#ifdef __cplusplus
}
#endif
#endif
