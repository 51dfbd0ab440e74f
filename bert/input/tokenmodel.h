/* The models of tokenizers: each cuts one word into tokens of the vocabulary.  All do what the
 * `tokenizers` library (0.23) does, ties included. */
#ifndef BERT_TOKENMODEL_H
#define BERT_TOKENMODEL_H

#include <jansson.h>

#include "bert/input/text.h"
#include "bert/input/textclean.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { BERT_PREFIX_MAX = 16, BERT_WORD_CHARS_MAX = 1000 };

struct bert_writer { /* counts on when the list is full, so that a refusal can name the number */
    struct bert_tokens *out;
    int limit, n;
    int type, word, second; /* of the tokens that come */
    void *scratch;          /* the models', which bert_writer_scratch makes as large as is asked */
    size_t scratch_bytes;
};

/* A token of the characters c[0] .. c[n-1]; n is 0 for one of the template. */
void bert_put(struct bert_writer *w, int id, const struct bert_char *c, size_t n);
int bert_writer_scratch(struct bert_writer *w, size_t bytes);

struct bert_unknown { /* what becomes of characters that the vocabulary does not hold */
    int id;           /* BERT_UNKNOWN_DROPPED, BERT_UNKNOWN_REFUSED or that of its token */
    int fused;        /* those next to each other are one */
    int bytes;        /* they are the tokens <0x00> .. <0xFF> of their bytes, where all exist */
};
enum { BERT_UNKNOWN_DROPPED = -1, BERT_UNKNOWN_REFUSED = -2 };
int bert_refuse_unknown(const struct bert_char *c); /* THOR_INPUT */
/* The id of the token <0xNN>, -1 when there is none. */
int bert_byte_token(const struct bert_vocab *v, uint8_t byte);

/* ---- wordpiece.c: from the left, always the longest token there is ("##x" inside a word) */

struct bert_wordpiece {
    char prefix[BERT_PREFIX_MAX + 1]; /* of a piece inside a word */
    int word_chars;                   /* a longer word is unknown */
    int unk;
};

int bert_wordpiece_put(struct bert_writer *w, const struct bert_wordpiece *p,
                       const struct bert_vocab *v, const struct bert_char *c, size_t n);

/* ---- bpe.c: characters are merged pair by pair, in the order of a list of pairs */

struct bert_bpe;

/* model of tokenizer.json; THOR_MODEL with path and field. */
int bert_bpe_from_json(struct bert_bpe **out, const json_t *model, const struct bert_vocab *v,
                       const char *path);
/* merges.txt: a pair a line, perhaps behind a line "#version: ..". */
int bert_bpe_load(struct bert_bpe **out, const struct bert_vocab *v, const char *path);
void bert_bpe_free(struct bert_bpe *b); /* NULL is allowed */
/* 1: characters that are no tokens become the tokens of their bytes. */
int bert_bpe_falls_back(const struct bert_bpe *b);
/* O(n log n) */
int bert_bpe_put(struct bert_writer *w, const struct bert_bpe *b, const struct bert_vocab *v,
                 const struct bert_char *c, size_t n);

/* ---- unigram.c: the tokens whose scores have the largest sum */

struct bert_unigram;

/* model of tokenizer.json, whose list of tokens v was made of. */
int bert_unigram_from_json(struct bert_unigram **out, const json_t *model,
                           const struct bert_vocab *v, const char *path);
void bert_unigram_free(struct bert_unigram *u); /* NULL is allowed */
int bert_unigram_put(struct bert_writer *w, const struct bert_unigram *u,
                     const struct bert_vocab *v, const struct bert_char *c, size_t n);

#ifdef __cplusplus
}
#endif
#endif
