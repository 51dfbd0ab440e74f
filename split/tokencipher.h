/* A secret permutation of a model's token ids: word i of the text stands as number p(i).
 *
 * It is a substitution, and as weak as one: whoever has enough of the numbers and knows how often
 * words come (or which follow which) reads the text, however long the key; a text that is known
 * gives away each of its words for ever.  tests/test_tokencipher.c does it by counting.  It hides
 * a word list from a glance, no text from a reader: for that there is encryption, beside which it
 * adds nothing.
 */
#ifndef SPLIT_TOKENCIPHER_H
#define SPLIT_TOKENCIPHER_H

#include <stdint.h>

#include "ckks/random.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SPLIT_WORDS_MAX (1 << 24)

struct split_tokencipher {
    int words;
    uint8_t key[CKKS_SEED];
    int *to, *from; /* words each: from[to[i]] = i */
};

/* A uniform permutation of 0 .. words - 1 by a key of the system. */
int split_tokencipher_make(struct split_tokencipher *c, int words);
/* The permutation of a key: Fisher and Yates, from the key's own stream. */
int split_tokencipher_of(struct split_tokencipher *c, int words, const uint8_t key[CKKS_SEED]);
void split_tokencipher_free(struct split_tokencipher *c); /* wipes; also of one set to zero */

/* One line, "thor-token-cipher 1 WORDS KEY", KEY 64 hexadecimal digits, mode 0600; no file of that
 * name is replaced.  Reading: THOR_KEY for what others may read, or is no such file. */
int split_tokencipher_save(const struct split_tokencipher *c, const char *path);
int split_tokencipher_load(struct split_tokencipher *c, const char *path);

/* ids[n] in place, there and back.  THOR_INPUT, ids as they were, for an id that is no word. */
int split_tokencipher_hide(const struct split_tokencipher *c, int *ids, int n);
int split_tokencipher_show(const struct split_tokencipher *c, int *ids, int n);

#ifdef __cplusplus
}
#endif
#endif
