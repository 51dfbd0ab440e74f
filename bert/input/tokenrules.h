/* How a model folder says that text becomes tokens: tokenizer.json, tokenizer_config.json,
 * special_tokens_map.json, added_tokens.json.  What the usual library (transformers, its fast
 * tokenizers) answers is computed, or the folder is refused:
 *
 *   tokenizer_class   BertTokenizer, BertTokenizerFast or none: the steps of do_lower_case (true
 *                     unless said), strip_accents, tokenize_chinese_chars of tokenizer_config.json.
 *                     PreTrainedTokenizerFast, TokenizersBackend: those of tokenizer.json.  Others
 *                     are refused.
 *   added tokens      stand in the text as one token each: special ones in the text as it is, those
 *                     with `normalized` in what the steps make of it
 *   types             0 everywhere when model_input_names is without token_type_ids
 */
#ifndef BERT_TOKENRULES_H
#define BERT_TOKENRULES_H

#include "bert/input/model.h"
#include "bert/input/textclean.h"
#include "bert/input/vocab.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { BERT_STEPS_MAX = 16, BERT_PREFIX_MAX = 16, BERT_WORD_CHARS_MAX = 1000 };
#define BERT_PAIR_UNKNOWN (-1) /* whether a second text has type 1 is not said */

struct bert_added {
    struct bert_chars text; /* after the steps where it is `normalized` */
    int id;
    int single_word;    /* only where no letter, mark or digit stands beside it */
    int lstrip, rstrip; /* takes the white space before, behind it */
    int normalized, special;
};

struct bert_rules {
    enum bert_step step[BERT_STEPS_MAX];
    int steps;
    char prefix[BERT_PREFIX_MAX + 1]; /* of a piece inside a word */
    int word_chars;                   /* a longer word is [UNK] */
    int pair_type;                    /* of the second text's tokens: 0, 1, BERT_PAIR_UNKNOWN */
    struct bert_added *added;
    int n;
};

/* Rules and vocabulary of a folder: tokenizer.json where it is, else vocab.txt.  cfg->lower_case is
 * set.  THOR_MODEL with file and field; nothing is kept then. */
int bert_rules_load(struct bert_rules **rules, struct bert_vocab **vocab, struct bert_config *cfg,
                    const char *dir);
/* BertTokenizer's, without added tokens. */
void bert_rules_default(struct bert_rules *r, int lower_case);
void bert_rules_free(struct bert_rules *r); /* NULL is allowed */

int bert_rules_apply(struct bert_chars *t, const struct bert_rules *r); /* all steps */

/* ---- addedtokens.c */

/* Tokens being collected from several files, each under its name; the last flags count. */
struct bert_adding {
    struct bert_added *item;
    char **name;
    int n, room;
};

/* id -1: whatever is next.  The text must not be empty. */
int bert_adding_put(struct bert_adding *a, const char *name, size_t len, struct bert_added flags);
/* Ids: that of the vocabulary, else the next free one, which must be the one that was asked for.
 * Moves all into r, whose steps are known. */
int bert_adding_finish(struct bert_rules *r, struct bert_adding *a, const struct bert_vocab *v,
                       const char *dir);
void bert_adding_free(struct bert_adding *a);

#ifdef __cplusplus
}
#endif
#endif
