#include "cli/batch_quality.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int side_new(struct quality_side *s, int labels, int rows) {
    s->label = calloc((size_t)labels, sizeof *s->label);
    s->score = calloc((size_t)rows, sizeof *s->score);
    return s->label && s->score ? THOR_OK : thor_fail(THOR_MEMORY, "no memory for a summary");
}

int quality_new(struct quality *q, const struct bert_config *c, int most_rows) {
    int st = THOR_OK;
    *q = (struct quality){.c = c, .worst_cosine = 1};
    TRY(side_new(&q->he, c->labels, most_rows));
    TRY(side_new(&q->plain, c->labels, most_rows));
    q->known = calloc((size_t)most_rows, sizeof *q->known);
    if (!q->known) st = thor_fail(THOR_MEMORY, "no memory for a summary");
out:
    return st;
}

void quality_free(struct quality *q) {
    free(q->he.label);
    free(q->he.score);
    free(q->plain.label);
    free(q->plain.score);
    free(q->known);
}

static void count_one(struct quality_side *s, int pred, int label) {
    s->right += pred == label;
    s->label[pred].claimed++;
    s->label[label].positive++;
    s->label[pred].hit += pred == label;
}

static void count_any(struct quality_side *s, const double *x, const unsigned char *want, int n) {
    int same = 1;
    for (int l = 0; l < n; l++) {
        const int is = x[l] > 0;
        same &= is == want[l];
        s->label[l].claimed += is;
        s->label[l].positive += want[l];
        s->label[l].hit += is && want[l];
    }
    s->right += same;
}

static const int among[3] = {1, 5, 10};

void quality_count(struct quality *q, const struct result *r) {
    const int of_texts = q->c->head != BERT_HEAD_TOKENS && q->c->head != BERT_HEAD_STATE;
    q->rows++;
    q->predicted += r->agree >= 0;
    q->agree += r->agree == 1;
    q->cosine += r->cosine;
    q->worst_cosine = fmin(q->worst_cosine, r->cosine);
    for (int i = 0; i < 3; i++) q->within[i] += r->rank < among[i];
    q->kl += r->kl;
    q->worst_kl = fmax(q->worst_kl, r->kl);
    if (!of_texts) return;
    if (q->c->task == BERT_SCORE && !isnan(r->score)) {
        q->he.score[q->labelled] = r->he_logits[0];
        q->plain.score[q->labelled] = r->plain_logits[0];
        q->known[q->labelled++] = r->score;
    } else if (q->c->task == BERT_ANY_OF && r->want) {
        count_any(&q->he, r->he_logits, r->want, r->labels);
        count_any(&q->plain, r->plain_logits, r->want, r->labels);
        q->labelled++;
    } else if (q->c->task == BERT_ONE_OF && r->label >= 0 && r->label < r->labels) {
        count_one(&q->he, r->pred, r->label);
        count_one(&q->plain, r->plain_pred, r->label);
        q->labelled++;
    }
}

static double share(int part, int of) {
    return of ? (double)part / of : 0;
}

static json_t *real_or_null(double x, int known) {
    return known && isfinite(x) ? json_real(x) : json_null();
}

/* What a summary has of both sides: the name of its field, its title, and how it is computed. */
static double accuracy(const struct quality *q, const struct quality_side *s) {
    return share(s->right, q->labelled);
}

static double f1(const struct quality *q, const struct quality_side *s) {
    return q->c->labels == 2 ? metrics_f1(&s->label[1]) : NAN;
}

static double f1_micro(const struct quality *q, const struct quality_side *s) {
    return metrics_f1_micro(s->label, q->c->labels);
}

static double f1_macro(const struct quality *q, const struct quality_side *s) {
    return metrics_f1_macro(s->label, q->c->labels);
}

static double pearson(const struct quality *q, const struct quality_side *s) {
    return metrics_pearson(s->score, q->known, q->labelled);
}

static double spearman(const struct quality *q, const struct quality_side *s) {
    return metrics_spearman(s->score, q->known, q->labelled);
}

static const struct measure {
    const char *key, *title;
    int one, any, score; /* of which tasks */
    double (*of)(const struct quality *q, const struct quality_side *s);
} measures[] = {
    {"accuracy", "accuracy", 1, 1, 0, accuracy}, {"f1", "F1", 1, 0, 0, f1},
    {"f1_micro", "F1 micro", 0, 1, 0, f1_micro}, {"f1_macro", "F1 macro", 0, 1, 0, f1_macro},
    {"pearson", "Pearson", 0, 0, 1, pearson},    {"spearman", "Spearman", 0, 0, 1, spearman}};
enum { MEASURES = sizeof measures / sizeof measures[0] };

static int applies(const struct measure *m, enum bert_task task) {
    return task == BERT_ONE_OF ? m->one : task == BERT_ANY_OF ? m->any : m->score;
}

static int next_json(json_t *o, const struct quality *q) {
    char key[16];
    int bad = 0;
    for (int i = 0; i < 3; i++) {
        snprintf(key, sizeof key, "top%d", among[i]);
        bad |= json_object_set_new(o, key, real_or_null(share(q->within[i], q->rows), q->rows));
    }
    bad |= json_object_set_new(o, "mean_kl", real_or_null(q->kl / q->rows, q->rows));
    return bad | json_object_set_new(o, "worst_kl", real_or_null(q->worst_kl, q->rows));
}

int quality_json(json_t *o, const struct quality *q) {
    char plain[32];
    int bad = json_object_set_new(o, "labelled", json_integer(q->labelled));
    for (int i = 0; i < MEASURES; i++) {
        const struct measure *m = &measures[i];
        if (!applies(m, q->c->task) && !m->one) continue;
        const int known = q->labelled && applies(m, q->c->task);
        snprintf(plain, sizeof plain, "plain_%s", m->key);
        bad |= json_object_set_new(o, m->key, real_or_null(known ? m->of(q, &q->he) : 0, known));
        bad |= json_object_set_new(o, plain, real_or_null(known ? m->of(q, &q->plain) : 0, known));
    }
    bad |= json_object_set_new(o, "agreement",
                               real_or_null(share(q->agree, q->predicted), q->predicted));
    if (bert_is_causal(q->c)) {
        bad |= next_json(o, q);
    } else if (bert_gives_embedding(q->c)) {
        bad |= json_object_set_new(o, "mean_cosine", real_or_null(q->cosine / q->rows, q->rows));
        bad |= json_object_set_new(o, "worst_cosine", real_or_null(q->worst_cosine, q->rows));
    }
    return bad ? thor_fail(THOR_MEMORY, "no memory for a summary") : THOR_OK;
}

static void print_next(const struct quality *q) {
    for (int i = 0; i < 3; i++)
        printf("top-%-11d the plain model's next token of %d of %d rows (%.2f %%)\n", among[i],
               q->within[i], q->rows, 100 * share(q->within[i], q->rows));
    printf("%-15s mean %.2e, worst %.2e\n", "KL", q->kl / q->rows, q->worst_kl);
}

void quality_print(const struct quality *q, const char *how) {
    int rows = 0;
    if (q->labelled) printf("%-15s %10s %10s\n", "", how, "plain");
    for (int i = 0; q->labelled && i < MEASURES; i++) {
        const struct measure *m = &measures[i];
        if (!applies(m, q->c->task)) continue;
        const double he = m->of(q, &q->he), plain = m->of(q, &q->plain);
        if (isnan(he) || isnan(plain)) continue;
        if (m->score)
            printf("%-15s %10.4f %10.4f", m->title, he, plain);
        else
            printf("%-15s %9.2f%% %9.2f%%", m->title, 100 * he, 100 * plain);
        if (!rows++) printf("   of %d labelled rows", q->labelled);
        putchar('\n');
    }
    if (bert_is_causal(q->c)) {
        print_next(q);
        return;
    }
    if (q->predicted)
        printf("%-15s %d of %d rows predicted as by the plain model (%.2f %%)\n", "agreement",
               q->agree, q->predicted, 100 * share(q->agree, q->predicted));
    if (q->c->head == BERT_HEAD_STATE)
        printf("%-15s mean %.6f, worst %.6f\n", "cosine", q->cosine / q->rows, q->worst_cosine);
}
