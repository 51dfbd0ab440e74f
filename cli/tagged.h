/* Labels of tokens as labels of words and of groups of words. */
#ifndef CLI_TAGGED_H
#define CLI_TAGGED_H

#include "cli/result.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A line a token. */
void spans_print(FILE *f, const struct result *r, const struct bert_config *c);

#ifdef __cplusplus
}
#endif
#endif
