#include "cli/published.h"

#include <math.h>

#include "cli/nexttoken.h"
#include "cli/tagged.h"
#include "kernels/shown.h"

double published_score(double p) {
    return nearbyint(100 * p) / 100;
}

void published_embedding(double *e, int n) {
    double square = 0;
    int power;
    for (int i = 0; i < n; i++) square += e[i] * e[i];
    frexp(0.75 * sqrt(square), &power); // 0 for a length of 1, clear of where it changes
    for (int i = 0; i < n; i++) e[i] = ldexp(nearbyint(ldexp(e[i], 10 - power)), power - 10);
}

/* Probabilities of a row, rounded, and its labels, the best first. */
static void rank(double *p, int *best, const struct result *r, const struct bert_config *c,
                 int row) {
    result_scores(p, c, r->he_logits + row * r->labels);
    result_order(best, p, r->labels);
    for (int l = 0; l < r->labels; l++) p[l] = published_score(p[l]);
}

static int put_label(json_t *list, const struct bert_config *c, const double *p, int l) {
    return json_array_append_new(
        list, json_pack("{s:i, s:s, s:f}", "pred", l, "label", c->label_names[l], "score", p[l]));
}

/* The labels above a half, the best `top`, or of labels of tokens one a token. */
static int labels_json(json_t *list, const struct result *r, const struct bert_config *c) {
    double p[BERT_MAX_LABELS];
    int best[BERT_MAX_LABELS], bad = list == NULL, any = c->task == BERT_ANY_OF && !r->top;
    for (int i = 0; r->rows > 1 && i < r->rows; i++) {
        rank(p, best, r, c, i);
        bad |= put_label(list, c, p, best[0]);
    }
    if (r->rows == 1) rank(p, best, r, c, 0);
    for (int i = 0; r->rows == 1 && i < r->labels; i++)
        if (any ? r->he_logits[best[i]] > 0 : i < r->top) bad |= put_label(list, c, p, best[i]);
    return bad;
}

static int embedding_json(json_t *o, const struct result *r) {
    json_t *a = json_array();
    int bad = a == NULL;
    for (int i = 0; i < r->labels; i++) bad |= json_array_append_new(a, json_real(r->he_logits[i]));
    return json_object_set_new(o, "embedding", a) | bad;
}

/* r->next is rounded already: its first token as `pred`, and all of them. */
static int next_json(json_t *o, const struct result *r) {
    int bad = json_object_update(o, json_array_get(r->next, 0));
    return r->top ? bad | json_object_set(o, "labels", r->next) : bad;
}

int published_json(json_t *o, const struct result *r, const struct bert_config *c) {
    double p[BERT_MAX_LABELS];
    int best[BERT_MAX_LABELS], bad = 0;
    const int tokens = c->head == BERT_HEAD_TOKENS, one = !tokens && c->task == BERT_ONE_OF;
    if (bert_is_causal(c)) return next_json(o, r);
    if (c->head == BERT_HEAD_STATE) return embedding_json(o, r);
    rank(p, best, r, c, 0);
    if (one) bad |= json_object_set_new(o, "pred", json_integer(best[0]));
    if (one) bad |= json_object_set_new(o, "label", json_string(c->label_names[best[0]]));
    if (one || (!tokens && c->task == BERT_SCORE))
        bad |= json_object_set_new(o, "score", json_real(p[best[0]]));
    if ((tokens && !r->words) || (!tokens && (c->task == BERT_ANY_OF || r->top))) {
        json_t *list = json_array();
        bad |= labels_json(list, r, c);
        bad |= json_object_set_new(o, "labels", list);
    }
    if (r->words) bad |= json_object_set(o, "words", r->words);
    if (r->groups) bad |= json_object_set(o, "groups", r->groups);
    return bad;
}

static void next_line(FILE *f, const struct result *r) {
    const json_t *o = json_array_get(r->next, 0);
    fprintf(f, "next token \"%s\", score %.2f",
            shown(json_string_value(json_object_get(o, "label"))),
            json_real_value(json_object_get(o, "score")));
}

void published_line(FILE *f, const struct result *r, const struct bert_config *c) {
    double p[BERT_MAX_LABELS];
    int best[BERT_MAX_LABELS], n = 0;
    if (bert_is_causal(c)) {
        next_line(f, r);
        return;
    }
    if (c->head == BERT_HEAD_STATE) {
        fprintf(f, "embedding of %d values", r->labels);
        return;
    }
    if (c->head == BERT_HEAD_TOKENS) {
        fprintf(f, "labels of %d tokens", r->rows);
        return;
    }
    rank(p, best, r, c, 0);
    if (c->task == BERT_SCORE) fprintf(f, "score %.2f", p[0]);
    if (c->task == BERT_ONE_OF)
        fprintf(f, "%s, score %.2f", shown(c->label_names[best[0]]), p[best[0]]);
    for (int i = 0; c->task == BERT_ANY_OF && i < r->labels && r->he_logits[best[i]] > 0; i++)
        fprintf(f, "%s%s %.2f", n++ ? ", " : "", shown(c->label_names[best[i]]), p[best[i]]);
    if (c->task == BERT_ANY_OF && !n) fputs("none", f);
}

void published_rest(FILE *f, const struct result *r, const struct bert_config *c) {
    double p[BERT_MAX_LABELS];
    int best[BERT_MAX_LABELS];
    if (r->top && bert_is_causal(c)) next_print(f, r);
    if (c->head == BERT_HEAD_STATE) return;
    if (c->head == BERT_HEAD_TOKENS) {
        spans_print(f, r, c);
        return;
    }
    rank(p, best, r, c, 0);
    for (int i = 0; i < r->top && i < r->labels; i++)
        fprintf(f, "  %3d. %.2f  %s\n", i + 1, p[best[i]], shown(c->label_names[best[i]]));
}
