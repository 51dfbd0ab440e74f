#include "cli/tagged.h"

#include "bert/reference.h"
#include "kernels/shown.h"

void spans_print(FILE *f, const struct result *r, const struct bert_config *c) {
    double p[BERT_MAX_LABELS];
    for (int i = 0; i < r->rows; i++) {
        const int pred = bert_argmax(r->he_logits + i * r->labels, r->labels);
        result_scores(p, c, r->he_logits + i * r->labels);
        fprintf(f, "  token %-6d %s %.2f", i, shown(c->label_names[pred]), p[pred]);
        fprintf(f, "   plain: %s\n",
                shown(c->label_names[bert_argmax(r->plain_logits + i * r->labels, r->labels)]));
    }
}
