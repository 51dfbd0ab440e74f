/* result_print: what a text's outputs say, in lines for people. */
#include <math.h>
#include <string.h>

#include "cli/nexttoken.h"
#include "cli/tagged.h"
#include "kernels/shown.h"

enum { LINE = 10, TOP = 5 }; // logits on one line; labels that are shown where there are more

static void print_row(FILE *f, const char *label, const double *x, int n) {
    fprintf(f, "  %-12s", label);
    for (int i = 0; i < n; i++) fprintf(f, " %10.6f", x[i]);
    fputc('\n', f);
}

/* The most probable labels, with the plain model's probability beside. */
static void print_top(FILE *f, const struct result *r, const struct bert_config *c, int top) {
    double p[BERT_MAX_LABELS], plain[BERT_MAX_LABELS];
    int best[BERT_MAX_LABELS];
    result_scores(p, c, r->he_logits);
    result_scores(plain, c, r->plain_logits);
    result_order(best, p, r->labels);
    for (int i = 0; i < top && i < r->labels; i++)
        fprintf(f, "  %3d. %6.2f %%  plain %6.2f %%  %s\n", i + 1, 100 * p[best[i]],
                100 * plain[best[i]], shown(c->label_names[best[i]]));
}

static void print_logits(FILE *f, const struct result *r, const struct bert_config *c,
                         const char *how) {
    const int approx = strcmp(how, "encrypted") != 0, few = r->labels <= LINE;
    if (few) {
        print_row(f, approx ? "approx logits" : "HE logits", r->he_logits, r->labels);
        print_row(f, "plain logits", r->plain_logits, r->labels);
    }
    if (c->task != BERT_SCORE && (r->top || !few)) print_top(f, r, c, r->top ? r->top : TOP);
}

static void print_one(FILE *f, const struct result *r, const struct bert_config *c,
                      const char *how) {
    fprintf(f, "  %-12s %s", how, shown(c->label_names[r->pred]));
    fprintf(f, "   plain: %s", shown(c->label_names[r->plain_pred]));
    if (r->label >= 0 && r->label < r->labels)
        fprintf(f, "   label: %s", shown(c->label_names[r->label]));
    fputc('\n', f);
}

/* Those of several labels at once that are meant: logits above 0, or bytes that are 1. */
static void print_several(FILE *f, const struct bert_config *c, const double *x,
                          const unsigned char *want) {
    int n = 0;
    for (int l = 0; l < c->labels; l++) {
        if (!(x ? x[l] > 0 : want[l])) continue;
        fprintf(f, "%s%s", n++ ? ", " : "", shown(c->label_names[l]));
        if (x) fprintf(f, " %.2f", 1 / (1 + exp(-x[l])));
    }
    if (!n) fputs("none", f);
}

static void print_any(FILE *f, const struct result *r, const struct bert_config *c,
                      const char *how) {
    fprintf(f, "  %-12s ", how);
    print_several(f, c, r->he_logits, NULL);
    fputs("   plain: ", f);
    print_several(f, c, r->plain_logits, NULL);
    if (r->want) {
        fputs("   label: ", f);
        print_several(f, c, NULL, r->want);
    }
    fputc('\n', f);
}

static void print_score(FILE *f, const struct result *r, const char *how) {
    fprintf(f, "  %-12s score %.4f   plain: %.4f", how, r->he_logits[0], r->plain_logits[0]);
    if (!isnan(r->score)) fprintf(f, "   label: %g", r->score);
    fputc('\n', f);
}

static void print_embedding(FILE *f, const struct result *r, const char *how) {
    fprintf(f, "  %-12s embedding of %d values, cosine to the plain one %.6f\n", how, r->labels,
            r->cosine);
}

static void print_next(FILE *f, const struct result *r, const char *how) {
    fprintf(f, "  %-12s next token %d   plain: %d, KL %.2e\n", how, r->pred, r->plain_pred, r->kl);
    next_print(f, r);
}

void result_print(FILE *f, const struct result *r, const struct bert_config *c, const char *how) {
    if (bert_is_causal(c)) {
        print_next(f, r, how);
        return;
    }
    if (c->head == BERT_HEAD_STATE)
        print_embedding(f, r, how);
    else if (c->head == BERT_HEAD_TOKENS)
        spans_print(f, r, c);
    else if (c->task == BERT_SCORE)
        print_score(f, r, how);
    else
        (c->task == BERT_ANY_OF ? print_any : print_one)(f, r, c, how);
    if (c->head != BERT_HEAD_STATE && c->head != BERT_HEAD_TOKENS) print_logits(f, r, c, how);
}
