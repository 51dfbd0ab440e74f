#include "cli/nexttoken.h"

#include <math.h>
#include <stdlib.h>

#include "bert/causal.h"
#include "bert/input/text.h"
#include "bert/reference.h"
#include "cli/published.h"
#include "kernels/shown.h"

enum { LISTED = 10, TOKEN_BYTES = 512 };

double next_log_sum(const double *x, int n, double heat) {
    double top = x[bert_argmax(x, n)], sum = 0;
    for (int i = 0; i < n; i++) sum += exp((x[i] - top) / heat);
    return top / heat + log(sum);
}

double next_divergence(const double *plain, const double *made, int n) {
    double a = next_log_sum(plain, n, 1), b = next_log_sum(made, n, 1), kl = 0;
    for (int i = 0; i < n; i++) kl += exp(plain[i] - a) * (plain[i] - a - made[i] + b);
    return kl;
}

int next_rank(const double *plain, const double *made, int n) {
    const int first = bert_argmax(plain, n);
    int before = 0;
    for (int i = 0; i < n; i++)
        before += made[i] > made[first] || (made[i] == made[first] && i < first);
    return before;
}

/* Logits of the last row, of both sides, in place of the states. */
static int take_logits(struct result *r, const struct bert_model *m) {
    const int n = m->cfg.vocab;
    const size_t last = (size_t)(r->rows - 1) * (size_t)r->labels;
    double *x = malloc(2 * (size_t)n * sizeof *x);
    if (!x) return thor_fail(THOR_MEMORY, "no memory for the logits of %d tokens", n);
    bert_gpt2_logits(x, m, r->he_logits + last);
    bert_gpt2_logits(x + n, m, r->plain_logits + last);
    free(r->he_logits);
    r->he_logits = x;
    r->plain_logits = x + n;
    r->labels = n;
    r->rows = 1;
    return THOR_OK;
}

static void probabilities(double *p, const double *x, int n) {
    const double all = next_log_sum(x, n, 1);
    for (int i = 0; i < n; i++) p[i] = exp(x[i] - all);
}

/* best[0 .. return-1]: the k most probable, equals by their numbers; none of probability 0. */
static int order(int *best, int k, const double *p, int n) {
    int used = 0;
    for (int i = 0; i < n; i++) {
        int at = used;
        if (!(p[i] > 0) || (used == k && p[i] <= p[best[k - 1]])) continue;
        for (at = used < k ? used++ : k - 1; at > 0 && p[i] > p[best[at - 1]]; at--)
            best[at] = best[at - 1];
        best[at] = i;
    }
    return used;
}

/* What is no UTF-8, for a token may end within a character, as of shown.h. */
static json_t *text_of(const struct bert_model *m, int id) {
    char bytes[TOKEN_BYTES];
    const int n = bert_token_bytes(bytes, sizeof bytes - 1, m, id);
    bytes[n < 0 ? 0 : n < TOKEN_BYTES ? n : TOKEN_BYTES - 1] = 0;
    json_t *text = json_string(bytes);
    return text ? text : json_string(shown(bytes));
}

/* The first is that of the largest logit, whatever p says of it.  plain NULL: not told. */
static int list(struct result *r, const struct bert_model *m, double *p, const double *plain,
                int top) {
    const int n = m->cfg.vocab, k = top < n ? top : n, first = bert_argmax(r->he_logits, n);
    const double own = p[first];
    int *best = malloc((size_t)k * sizeof *best), bad = 0;
    if (!best) return thor_fail(THOR_MEMORY, "no memory for %d tokens", k);
    p[first] = INFINITY;
    const int used = order(best, k, p, n);
    p[first] = own;
    json_decref(r->next);
    r->next = json_array();
    for (int i = 0; i < used; i++) {
        json_t *o = json_pack("{s:i, s:o, s:f}", "pred", best[i], "label", text_of(m, best[i]),
                              "score", p[best[i]]);
        if (o && plain) bad |= json_object_set_new(o, "plain_score", json_real(plain[best[i]]));
        bad |= json_array_append_new(r->next, o);
    }
    free(best);
    return bad ? thor_fail(THOR_RANGE, "the logits of the next token are no numbers") : THOR_OK;
}

int next_token(struct result *r, const struct bert_model *m) {
    int st = THOR_OK;
    const int n = m->cfg.vocab;
    double *p = NULL;
    if (!bert_is_causal(&m->cfg)) return THOR_OK;
    TRY(take_logits(r, m));
    p = malloc(2 * (size_t)n * sizeof *p);
    if (!p) TRY(thor_fail(THOR_MEMORY, "no memory for the probabilities of %d tokens", n));
    probabilities(p, r->he_logits, n);
    probabilities(p + n, r->plain_logits, n);
    TRY(list(r, m, p, p + n, r->top ? r->top : LISTED));
out:
    free(p);
    return st;
}

int next_token_published(struct result *r, const struct bert_model *m) {
    int st = THOR_OK;
    const int n = m->cfg.vocab;
    double *p = NULL;
    if (!bert_is_causal(&m->cfg)) return THOR_OK;
    TRY(take_logits(r, m));
    p = malloc((size_t)n * sizeof *p);
    if (!p) TRY(thor_fail(THOR_MEMORY, "no memory for the probabilities of %d tokens", n));
    probabilities(p, r->he_logits, n);
    for (int i = 0; i < n; i++) p[i] = published_score(p[i]);
    TRY(list(r, m, p, NULL, r->top ? r->top : 1));
out:
    free(p);
    return st;
}

void next_print(FILE *f, const struct result *r) {
    size_t i;
    const json_t *o, *plain;
    json_array_foreach(r->next, i, o) {
        const double p = json_real_value(json_object_get(o, "score"));
        plain = json_object_get(o, "plain_score");
        if (plain)
            fprintf(f, "  %3zu. %6.2f %%  plain %6.2f %%", i + 1, 100 * p,
                    100 * json_real_value(plain));
        else
            fprintf(f, "  %3zu. %.2f", i + 1, p);
        fprintf(f, "  %6lld  \"%s\"\n", json_integer_value(json_object_get(o, "pred")),
                shown(json_string_value(json_object_get(o, "label"))));
    }
}
