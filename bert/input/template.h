/* What stands around a text: "[CLS] A [SEP]", "<s> A </s></s> B </s>", .. */
#ifndef BERT_TEMPLATE_H
#define BERT_TEMPLATE_H

#include <jansson.h>

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { BERT_TEMPLATE_MAX = 32, BERT_TEXT_A = -1, BERT_TEXT_B = -2 };

struct bert_template {
    struct bert_item {
        int id; /* of a token, or BERT_TEXT_A, BERT_TEXT_B */
        int type;
    } item[BERT_TEMPLATE_MAX];
    int n;
};

struct bert_templates {
    struct bert_template single, pair;
};

void bert_templates_plain(struct bert_templates *t); /* A, A B, with types 0 and 1 */
void bert_templates_bert(struct bert_templates *t, int cls, int sep);
void bert_templates_roberta(struct bert_templates *t, int cls, int sep);
int bert_templates_equal(const struct bert_templates *a, const struct bert_templates *b);

/* post_processor of tokenizer.json, which may be NULL. */
int bert_templates_read(struct bert_templates *t, const json_t *o, const char *path);

#ifdef __cplusplus
}
#endif
#endif
