#include "split/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int likeliest(const double *logits, int n) {
    int best = 0;
    for (int i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

/* -log softmax(logits)[label]. */
static double nats_of(const double *logits, int n, int label) {
    const double most = logits[likeliest(logits, n)];
    double sum = 0;
    for (int i = 0; i < n; i++) sum += exp(logits[i] - most);
    return most + log(sum) - logits[label];
}

/* One text's part of a score. */
static int score_text(struct split_score *out, double *logits, const struct split_model *m,
                      const struct split_adapter *a, struct split_service *s,
                      const struct split_text *t) {
    int st = THOR_OK, scored = 0;
    double loss = 0;
    const int outputs = split_outputs(m, a);
    if (t->label >= 0) {
        if (t->label >= outputs)
            return thor_fail(THOR_INPUT, "label %d: the model has %d", t->label, outputs);
        TRY(split_forward(logits, m, a, s, t));
        out->right += likeliest(logits, outputs) == t->label;
        loss = nats_of(logits, outputs, t->label);
        scored = 1;
    } else if (t->targets) {
        TRY(split_gradient(&loss, &scored, NULL, m, a, s, t));
    } else {
        return THOR_OK;
    }
    out->texts++;
    out->scored += scored;
    out->nats += loss * scored;
out:
    return st;
}

int split_evaluate(struct split_score *out, const struct split_model *m,
                   const struct split_adapter *a, struct split_service *s,
                   const struct split_text *t, int texts, int (*tick)(void *ctx, int done),
                   void *ctx) {
    int st = THOR_OK;
    double *logits = malloc((size_t)split_outputs(m, a) * sizeof *logits);
    memset(out, 0, sizeof *out);
    if (!logits) return thor_fail(THOR_MEMORY, "no memory for logits");
    for (int i = 0; i < texts; i++) {
        TRY(score_text(out, logits, m, a, s, &t[i]));
        if (tick) TRY(tick(ctx, i + 1));
    }
out:
    if (st != THOR_OK) memset(out, 0, sizeof *out);
    free(logits);
    return st;
}

double split_score_accuracy(const struct split_score *s) {
    return s->texts ? (double)s->right / s->texts : 0;
}

double split_score_loss(const struct split_score *s) {
    return s->scored ? s->nats / (double)s->scored : 0;
}

double split_score_perplexity(const struct split_score *s) {
    return exp(split_score_loss(s));
}

int split_examine(struct split_exam *out, const struct split_model *m,
                  const struct split_adapter *a, struct split_service *s,
                  const struct split_questions *q, int (*tick)(void *ctx, int done), void *ctx) {
    int st = THOR_OK;
    memset(out, 0, sizeof *out);
    for (int i = 0; i < q->n; i++) {
        const struct split_question *item = &q->item[i];
        struct split_answered answer;
        const int asked = split_question_ask(&answer, item, m, a, s);
        if (asked == THOR_INPUT) {
            out->too_long++;
        } else {
            TRY(asked);
            out->questions++;
            out->right += split_answer_of(&answer, item->options, 0) == item->answer;
            out->right_per_token += split_answer_of(&answer, item->options, 1) == item->answer;
        }
        if (tick) TRY(tick(ctx, i + 1));
    }
out:
    return st;
}
