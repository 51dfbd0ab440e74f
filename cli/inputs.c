#include "cli/inputs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bert/input/readfile.h"

enum { MAX_TEXTS = 1000000, TEXT_BYTES = 1 << 20 };

static int make_room(struct inputs *in, int n) {
    in->item = calloc((size_t)n, sizeof *in->item);
    return in->item ? THOR_OK : thor_fail(THOR_MEMORY, "no memory for %d texts", n);
}

/* --text -: all of standard input, less the end of its last line.  There is one. */
static int from_stdin(struct inputs *in, struct input *item) {
    size_t n;
    if (in->typed)
        return thor_fail(THOR_USAGE, "--text - was given twice: there is one standard input");
    int st = bert_read_stdin(&in->typed, &n, TEXT_BYTES, THOR_INPUT);
    if (st) return st;
    if (strlen(in->typed) != n) return thor_fail(THOR_INPUT, "standard input: holds a NUL");
    if (n && in->typed[n - 1] == '\n') in->typed[--n] = 0;
    if (n && in->typed[n - 1] == '\r') in->typed[--n] = 0;
    item->text = in->typed;
    return THOR_OK;
}

static int from_command_line(struct inputs *in, const struct inputs_request *q) {
    int st = THOR_OK;
    if (q->pairs.n && q->pairs.n != q->texts.n)
        return thor_fail(THOR_USAGE, "--pair: %d of them for %d --text; give one to each",
                         q->pairs.n, q->texts.n);
    TRY(make_room(in, q->texts.n));
    for (int i = 0; i < q->texts.n; i++)
        in->item[i] = (struct input){.dataset_type = "text",
                                     .index = -1,
                                     .text = q->texts.text[i],
                                     .pair = q->pairs.n ? q->pairs.text[i] : NULL,
                                     .label = -1,
                                     .score = NAN};
    in->n = q->texts.n;
    for (int i = 0; i < in->n; i++)
        if (strcmp(in->item[i].text, "-") == 0) TRY(from_stdin(in, &in->item[i]));
out:
    return st;
}

/* Span i of the request as rows of the table. */
static int find_span(int *first, int *last, const struct inputs *in, const struct inputs_request *q,
                     int i) {
    *first = q->rows.first[i];
    *last = q->rows.last[i] == INPUTS_END ? in->table->n - 1 : q->rows.last[i];
    if (*last < in->table->n && *first < in->table->n) return THOR_OK;
    return thor_fail(THOR_INPUT, "%.200s: no row %d; it has rows 0 to %d", q->data,
                     *last < *first ? *first : *last, in->table->n - 1);
}

static int from_table(struct inputs *in, const struct inputs_request *q) {
    int st = THOR_OK, n = 0, first[OPTIONS_MAX_LIST], last[OPTIONS_MAX_LIST];
    TRY(bert_table_load_each(&in->table, q->data, q->columns));
    for (int i = 0; i < q->rows.n; i++) {
        TRY(find_span(&first[i], &last[i], in, q, i));
        n += last[i] - first[i] + 1;
        if (n > MAX_TEXTS)
            return thor_fail(THOR_USAGE, "--index: more than %d rows in one run", MAX_TEXTS);
    }
    TRY(make_room(in, n));
    for (int i = 0; i < q->rows.n; i++)
        for (int k = first[i]; k <= last[i]; k++) {
            const struct bert_row *r = &in->table->row[k];
            in->item[in->n++] = (struct input){in->table->kind, k,        r->text,       r->text2,
                                               r->label,        r->score, r->label_name, r->bad};
        }
out:
    return st;
}

int inputs_open(struct inputs *in, const struct inputs_request *q) {
    if (q->texts.n && (q->data || q->rows.n))
        return thor_fail(THOR_USAGE, "--text and --data exclude each other; give one of them");
    if (q->pairs.n && !q->texts.n)
        return thor_fail(THOR_USAGE, "--pair needs a --text in front of it");
    if (q->columns && !q->data)
        return thor_fail(THOR_USAGE, "--columns needs a table; name it with --data");
    if (q->texts.n) return from_command_line(in, q);
    if (!q->data && q->rows.n)
        return thor_fail(THOR_USAGE, "--index needs a table; name it with --data");
    if (!q->data)
        return thor_fail(THOR_USAGE, "nothing to classify; give --text S, or --data TSV --index N");
    if (!q->rows.n)
        return thor_fail(THOR_USAGE, "--data needs --index: the row, or rows A..B, to classify");
    return from_table(in, q);
}

/* 0: the names are those that a model without names gets, "0" or "LABEL_0". */
static int has_names(const struct bert_config *c) {
    char usual[32];
    for (int i = 0; i < c->labels; i++) {
        snprintf(usual, sizeof usual, "LABEL_%d", i);
        if (strcmp(c->label_names[i], usual) != 0 && strcmp(c->label_names[i], usual + 6) != 0)
            return 1;
    }
    return 0;
}

/* -1: the model has no such label.  Models without names have those of RTE and QNLI, or of MNLI. */
static int label_of(const struct bert_config *c, const char *name) {
    static const char *const glue[2][3] = {{"entailment", "not_entailment", ""},
                                           {"entailment", "neutral", "contradiction"}};
    const int named = has_names(c) || c->labels < 2 || c->labels > 3;
    for (int i = 0; i < c->labels; i++)
        if (strcasecmp(name, named ? c->label_names[i] : glue[c->labels - 2][i]) == 0) return i;
    return -1;
}

static int no_label(const struct input *t, const struct bert_config *c, const char *name) {
    return thor_fail(THOR_INPUT,
                     "row %d: the label \"%.40s\" is none of the model's (%s%s%s%s); use numbers",
                     t->index, name, c->label_names[0], c->labels > 1 ? ", " : "",
                     c->labels > 1 ? c->label_names[1] : "", c->labels > 2 ? ", .." : "");
}

static int no_number(const struct input *t, const struct bert_config *c, int label) {
    return thor_fail(THOR_INPUT, "row %d: label %d, but the model's are 0 to %d", t->index, label,
                     c->labels - 1);
}

int input_wanted(unsigned char *want, int *known, const struct input *t,
                 const struct bert_config *c) {
    int st = THOR_OK;
    char *copy = t->label_name ? strdup(t->label_name) : NULL;
    memset(want, 0, (size_t)c->labels);
    *known = t->label >= 0 || t->label_name;
    if (t->label >= c->labels) TRY(no_number(t, c, t->label));
    if (t->label >= 0) want[t->label] = 1;
    if (t->label_name && !copy) TRY(thor_fail(THOR_MEMORY, "no memory for labels"));
    for (char *rest = copy, *name; (name = strsep(&rest, ","));) {
        name += strspn(name, " ");
        const int number = *name && strspn(name, "0123456789") == strlen(name) && strlen(name) < 5;
        const int l = number ? atoi(name) : label_of(c, name);
        if (number && l >= c->labels) TRY(no_number(t, c, l));
        if (*name && l < 0) TRY(no_label(t, c, name));
        if (*name) want[l] = 1;
    }
out:
    free(copy);
    return st;
}

int input_result(struct result *r, const struct input *t, const struct bert_config *c) {
    int st = THOR_OK, known = 0;
    *r = (struct result){.dataset_type = t->dataset_type,
                         .target_idx = t->index,
                         .label = t->label,
                         .score = t->score};
    if (c->task != BERT_ANY_OF || t->bad) return THOR_OK;
    r->want = malloc((size_t)c->labels);
    if (!r->want) return thor_fail(THOR_MEMORY, "no memory for labels");
    TRY(input_wanted(r->want, &known, t, c));
out:
    if (!known) {
        free(r->want);
        r->want = NULL;
    }
    return st;
}

static int set_score(struct input *t) {
    t->label = -1;
    if (!t->label_name || !isnan(t->score)) return THOR_OK;
    return thor_fail(THOR_INPUT, "row %d: the label \"%.40s\" is no number, which this model gives",
                     t->index, t->label_name);
}

static int set_label(struct input *t, const struct bert_config *c) {
    unsigned char want[BERT_MAX_LABELS];
    int known;
    if (c->task == BERT_SCORE) return set_score(t);
    if (c->task == BERT_ANY_OF) return input_wanted(want, &known, t, c);
    if (t->label_name) t->label = label_of(c, t->label_name);
    if (t->label_name && t->label < 0) return no_label(t, c, t->label_name);
    return t->label >= c->labels ? no_number(t, c, t->label) : THOR_OK;
}

int inputs_labels(struct inputs *in, const struct bert_config *c) {
    for (int i = 0; i < in->n; i++) {
        struct input *t = &in->item[i];
        if (c->head == BERT_HEAD_TOKENS || c->head == BERT_HEAD_STATE) {
            t->label = -1;
            continue;
        }
        if (t->bad || set_label(t, c) == THOR_OK) continue;
        struct bert_row *row = &in->table->row[t->index]; // labels come from tables alone
        if (!row->bad) row->bad = strdup(thor_error());
        if (!row->bad) return thor_fail(THOR_MEMORY, "no memory for the fault of a row");
        t->bad = row->bad;
        t->label = -1;
    }
    return THOR_OK;
}

int input_tokenize(struct bert_tokens *t, const struct input *in, const struct bert_model *m) {
    char where[48];
    if (in->bad) return thor_fail(THOR_INPUT, "%s", in->bad);
    int st = bert_tokenize(t, m, in->text, in->pair, 0);
    if (st == THOR_OK) return THOR_OK;
    if (in->index >= 0)
        snprintf(where, sizeof where, "row %d", in->index);
    else
        snprintf(where, sizeof where, "--text");
    return thor_fail_in(st, where);
}

int inputs_tokenize(struct inputs *in, const struct bert_model *m) {
    int st = THOR_OK;
    in->tokens = calloc((size_t)in->n, sizeof *in->tokens);
    if (!in->tokens) return thor_fail(THOR_MEMORY, "no memory for the tokens of %d texts", in->n);
    for (int i = 0; i < in->n; i++) TRY(input_tokenize(&in->tokens[i], &in->item[i], m));
out:
    return st;
}

int inputs_longest(const struct inputs *in) {
    int n = 0;
    for (int i = 0; i < in->n; i++)
        if (in->tokens[i].n > n) n = in->tokens[i].n;
    return n;
}

int inputs_each(int *refused, const struct inputs *in, int (*one)(void *ctx, int i), void *ctx,
                int together) {
    for (int i = 0; i < in->n; i++) {
        const int st = one(ctx, i);
        if (st == THOR_OK) continue;
        if (st != THOR_RANGE || in->n == 1 || together) return st;
        ++*refused;
        fprintf(stderr, "[%d] %s\n", in->item[i].index >= 0 ? in->item[i].index : i, thor_error());
    }
    return THOR_OK;
}

int inputs_refused(const struct inputs *in, int refused) {
    if (!refused) return THOR_OK;
    return thor_fail(THOR_RANGE, "%d of %d texts have no result: values left the calibrated ranges",
                     refused, in->n);
}

void inputs_close(struct inputs *in) {
    bert_table_free(in->table);
    free(in->typed);
    free(in->item);
    free(in->tokens);
    memset(in, 0, sizeof *in);
}
