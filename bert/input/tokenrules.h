/* How a model folder says that text becomes tokens: tokenizer.json, or vocab.txt, or vocab.json and
 * merges.txt; tokenizer_config.json, special_tokens_map.json, added_tokens.json.  What the usual
 * library (transformers, its fast tokenizers) answers is computed, or the folder is refused:
 *
 *   tokenizer_class  (of tokenizer_config.json or config.json, else by model_type)
 *     Bert, DistilBert, Electra  WordPiece; the steps of do_lower_case (true unless said),
 *                                strip_accents, tokenize_chinese_chars of tokenizer_config.json
 *     Roberta, GPT2              byte-level BPE; add_prefix_space of tokenizer_config.json (false)
 *     XLMRoberta, Camembert, Albert, Llama, Qwen2, PreTrainedTokenizerFast, TokenizersBackend
 *                                what tokenizer.json says (transformers 5 rebuilds the first three
 *                                with WhitespaceSplit and Metaspace, which published files have)
 *   <mask>           of classes whose files do not say takes the white space before it, as in
 *                    transformers 4 and in training; in 5 it does not
 *   added tokens     stand in the text as one token each: special ones in the text as it is, those
 *                    with `normalized` in what the steps make of it
 *   types            0 everywhere when model_input_names is without token_type_ids
 */
#ifndef BERT_TOKENRULES_H
#define BERT_TOKENRULES_H

#include "bert/input/model.h"
#include "bert/input/template.h"
#include "bert/input/textsteps.h"
#include "bert/input/tokenmodel.h"
#include "bert/input/vocab.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bert_added {
    char *name;
    struct bert_chars text; /* after the steps where it is `normalized` */
    int id;
    int single_word;    /* only where no letter, mark or digit stands beside it */
    int lstrip, rstrip; /* takes the white space before, behind it */
    int normalized, special;
};

enum bert_types { BERT_TYPES_TEMPLATE, BERT_TYPES_ZERO, BERT_TYPES_UNKNOWN };

struct bert_rules {
    struct bert_steps normalizer, cuts;
    struct bert_wordpiece wordpiece; /* where bpe and unigram are NULL */
    struct bert_bpe *bpe;
    struct bert_unigram *unigram;
    struct bert_templates templates;
    enum bert_types types; /* UNKNOWN: whether the model is given types is not said */
    struct bert_added *added;
    int n;
    uint8_t starts[256]; /* bit `normalized`: such a token's first character has these low bits */
};

/* Rules and vocabulary of a folder, with the ids of special tokens.  cfg->lower_case is set.
 * THOR_MODEL with file and field; nothing is kept then. */
int bert_rules_load(struct bert_rules **rules, struct bert_vocab **vocab, struct bert_config *cfg,
                    const char *dir);
/* BertTokenizer's, without added tokens; holds nothing to be freed. */
int bert_rules_default(struct bert_rules *r, const struct bert_vocab *v, int lower_case);
void bert_rules_free(struct bert_rules *r); /* NULL is allowed */

/* ---- addedtokens.c */

/* Tokens being collected from several files, each under its name; the last flags count. */
struct bert_adding {
    struct bert_added *item;
    int n, room;
};

/* flags.id -1: whatever is next.  The text must not be empty. */
int bert_adding_put(struct bert_adding *a, const char *name, size_t len, struct bert_added flags);
/* Ids: that of the vocabulary, else the next free one, which must be the one that was asked for.
 * Moves all into r, whose normalizer is known. */
int bert_adding_finish(struct bert_rules *r, struct bert_adding *a, const struct bert_vocab *v,
                       const char *dir);
void bert_adding_free(struct bert_adding *a);

#ifdef __cplusplus
}
#endif
#endif
