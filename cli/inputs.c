#include "cli/inputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TEXTS = 100000 };

static int make_room(struct inputs *in, int n) {
    in->item = calloc((size_t)n, sizeof *in->item);
    return in->item ? THOR_OK : thor_fail(THOR_MEMORY, "no memory for %d texts", n);
}

static int from_command_line(struct inputs *in, const struct inputs_request *q) {
    int st = THOR_OK;
    if (q->pairs.n && q->pairs.n != q->texts.n)
        return thor_fail(THOR_USAGE, "--pair: %d of them for %d --text; give one to each", q->pairs.n, q->texts.n);
    TRY(make_room(in, q->texts.n));
    for (int i = 0; i < q->texts.n; i++)
        in->item[i] = (struct input){"text", -1, q->texts.text[i], q->pairs.n ? q->pairs.text[i] : NULL, -1};
    in->n = q->texts.n;
out:
    return st;
}

static int from_table(struct inputs *in, const struct inputs_request *q) {
    int st = THOR_OK, n = 0;
    TRY(bert_table_load(&in->table, q->data));
    for (int i = 0; i < q->rows.n; i++) {
        if (q->rows.last[i] >= in->table->n)
            return thor_fail(THOR_INPUT, "%.200s: no row %d; it has rows 0 to %d", q->data, q->rows.last[i],
                             in->table->n - 1);
        n += q->rows.last[i] - q->rows.first[i] + 1;
        if (n > MAX_TEXTS) return thor_fail(THOR_USAGE, "--index: more than %d rows in one run", MAX_TEXTS);
    }
    TRY(make_room(in, n));
    for (int i = 0; i < q->rows.n; i++)
        for (int k = q->rows.first[i]; k <= q->rows.last[i]; k++) {
            const struct bert_row *r = &in->table->row[k];
            in->item[in->n++] = (struct input){r->text2 ? "mrpc" : "sst2", k, r->text, r->text2, r->label};
        }
out:
    return st;
}

int inputs_open(struct inputs *in, const struct inputs_request *q) {
    if (q->texts.n && (q->data || q->rows.n))
        return thor_fail(THOR_USAGE, "--text and --data exclude each other; give one of them");
    if (q->pairs.n && !q->texts.n) return thor_fail(THOR_USAGE, "--pair needs a --text in front of it");
    if (q->texts.n) return from_command_line(in, q);
    if (!q->data && q->rows.n) return thor_fail(THOR_USAGE, "--index needs a table; name it with --data");
    if (!q->data) return thor_fail(THOR_USAGE, "nothing to classify; give --text S, or --data TSV --index N");
    if (!q->rows.n) return thor_fail(THOR_USAGE, "--data needs --index: the row, or rows A..B, to classify");
    return from_table(in, q);
}

int inputs_tokenize(struct inputs *in, const struct bert_model *m) {
    int st = THOR_OK;
    char where[48];
    in->tokens = calloc((size_t)in->n, sizeof *in->tokens);
    if (!in->tokens) return thor_fail(THOR_MEMORY, "no memory for the tokens of %d texts", in->n);
    for (int i = 0; i < in->n; i++) {
        st = bert_tokenize(&in->tokens[i], m, in->item[i].text, in->item[i].pair, 0);
        if (st == THOR_OK) continue;
        if (in->item[i].index >= 0)
            snprintf(where, sizeof where, "row %d", in->item[i].index);
        else
            snprintf(where, sizeof where, "--text");
        return thor_fail_in(st, where);
    }
    return st;
}

int inputs_longest(const struct inputs *in) {
    int n = 0;
    for (int i = 0; i < in->n; i++)
        if (in->tokens[i].n > n) n = in->tokens[i].n;
    return n;
}

void inputs_close(struct inputs *in) {
    bert_table_free(in->table);
    free(in->item);
    free(in->tokens);
    memset(in, 0, sizeof *in);
}
