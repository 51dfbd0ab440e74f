/* Labels of tokens as labels of words and of groups of words. */
#ifndef CLI_TAGGED_H
#define CLI_TAGGED_H

#include "bert/input/text.h"
#include "cli/inputs.h"
#include "cli/result.h"

#ifdef __cplusplus
extern "C" {
#endif

/* r->words and r->groups of a head for tokens, else nothing.
 * words   [{"word", "start", "end", "label", "score"}]: that of a word's first token, its
 *         probability rounded to 1/100; start and end count characters of the text, "second": true
 *         is that of the pair; with plain, "plain_label" too
 * groups  [{"label", "text", "start", "end", "score"}]: neighbours of one label, less a B-, I-, E-,
 *         L-, S- or U- in front; B-, S- and U- begin a group of their own, and O is in none */
int spans_make(struct result *r, const struct bert_config *c, const struct bert_tokens *t,
               const struct input *in, int plain);
/* A line a word and a group, or, where they were not made, a token. */
void spans_print(FILE *f, const struct result *r, const struct bert_config *c);

#ifdef __cplusplus
}
#endif
#endif
