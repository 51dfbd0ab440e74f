#include "split/multiplechoice.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bert/input/jsonfile.h"
#include "bert/input/readfile.h"
#include "kernels/shown.h"

#define FILE_BYTES_MAX ((size_t)256 << 20)

/* ---- the file */

static int bad(const char *path, int line, const char *what) {
    return thor_fail(THOR_INPUT, "%.300s: line %d: %s", shown(path), line, what);
}

/* The string of a key, not empty; NULL. */
static const char *string_of(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s && *s ? s : NULL;
}

/* Options of whatever layout as an object, "A": S and so on; NULL where they are none. */
static json_t *by_letter(json_t *options) {
    const size_t n = json_array_size(options);
    json_t *all = json_is_object(options) ? json_incref(options) : json_object();
    for (size_t i = 0; i < n && all; i++) {
        json_t *o = json_array_get(options, i);
        const char letter[2] = {(char)('A' + (i < SPLIT_OPTIONS ? i : 0)), 0};
        const char *key = json_is_object(o) ? string_of(o, "key") : letter;
        json_t *value = json_is_object(o) ? json_object_get(o, "value") : o;
        if (key && !json_object_get(all, key) && json_object_set(all, key, value) == 0) continue;
        json_decref(all);
        all = NULL;
    }
    return all;
}

static int read_options(struct split_question *q, const json_t *o, const char *path, int line) {
    json_t *all = by_letter(json_object_get(o, "options"));
    for (; all && q->options < SPLIT_OPTIONS; q->options++) {
        const char key[2] = {(char)('A' + q->options), 0};
        if (!(q->option[q->options] = string_of(all, key))) break;
    }
    const int named = all && q->options >= 2 && (size_t)q->options == json_object_size(all);
    json_decref(all); // the texts are o's
    return named ? THOR_OK
                 : bad(path, line,
                       "has no \"options\" called A, B, .., 2 to 8 of them: {\"A\": .., }, "
                       "[{\"key\": \"A\", \"value\": ..}, ] or a list of texts");
}

/* By its letter, or by its words; a number does not say from where it counts. */
static int answer_of(const struct split_question *q, const json_t *o) {
    const json_t *index = json_object_get(o, "answer_idx");
    const char *letter = json_string_value(index), *text = string_of(o, "answer");
    for (int i = 0; !letter && text && i < q->options; i++)
        if (strcmp(text, q->option[i]) == 0) return i;
    if (!letter && (!index || json_is_null(index))) letter = text;
    return letter && strlen(letter) == 1 && *letter - 'A' < q->options ? *letter - 'A' : -1;
}

static int read_question(struct split_question *q, const json_t *o, const char *path, int line) {
    int st = THOR_OK;
    *q = (struct split_question){.line = line, .text = string_of(o, "question"), .answer = -1};
    if (!q->text) return bad(path, line, "has no \"question\"");
    TRY(read_options(q, o, path, line));
    q->answer = answer_of(q, o);
    if (q->answer < 0)
        st = bad(path, line, "neither \"answer_idx\" nor \"answer\" is one of its options");
out:
    return st;
}

static int read_line(struct split_questions *q, const char *path, const char *text, size_t len,
                     int line) {
    int st = THOR_OK;
    json_t *o = NULL;
    if (bert_json_parse(&o, text, len, BERT_JSON_SMALL, JSON_DECODE_INT_AS_REAL, THOR_INPUT) !=
        THOR_OK) {
        char where[400];
        snprintf(where, sizeof where, "%.300s: line %d", shown(path), line);
        return thor_fail_in(THOR_INPUT, where);
    }
    TRY(read_question(&q->item[q->n], o, path, line));
    if (json_array_append(q->kept, o) != 0)
        TRY(thor_fail(THOR_MEMORY, "%.300s: no memory for its questions", shown(path)));
    q->n++;
out:
    json_decref(o);
    return st;
}

int split_questions_load(struct split_questions *q, const char *path) {
    int st = THOR_OK, lines = 1;
    char *text = NULL;
    size_t len = 0;
    memset(q, 0, sizeof *q);
    TRY(bert_read_file(&text, &len, path, FILE_BYTES_MAX, THOR_INPUT));
    for (size_t i = 0; i < len; i++) lines += text[i] == '\n';
    q->item = calloc((size_t)lines, sizeof *q->item);
    q->kept = json_array();
    if (!q->item || !q->kept)
        TRY(thor_fail(THOR_MEMORY, "%.300s: no memory for its questions", shown(path)));
    int number = 1;
    for (char *at = text, *end = text + len; at < end; number++) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        size_t blank = strspn(at, " \t\r");
        if (at + blank < stop) TRY(read_line(q, path, at, (size_t)(stop - at), number));
        at = stop + 1;
    }
    if (q->n == 0) TRY(thor_fail(THOR_INPUT, "%.300s: has no questions", shown(path)));
out:
    free(text);
    if (st != THOR_OK) split_questions_free(q);
    return st;
}

void split_questions_free(struct split_questions *q) {
    json_decref(q->kept);
    free(q->item);
    memset(q, 0, sizeof *q);
}

/* ---- the answer */

struct asking {
    struct bert_tokens *prompt, *whole[SPLIT_OPTIONS];
    int *targets; /* options x BERT_MAX_TOKENS */
};

static void asking_free(struct asking *k) {
    free(k->prompt);
    for (int i = 0; i < SPLIT_OPTIONS; i++) free(k->whole[i]);
    free(k->targets);
}

static int tokenize(struct bert_tokens **t, const struct split_model *m,
                    const struct split_question *q, const char *option) {
    char *text = NULL;
    const int n = asprintf(&text, "Question: %s\nAnswer:%s%s", q->text, option ? " " : "",
                           option ? option : "");
    *t = malloc(sizeof **t);
    int st = n < 0 || !*t ? thor_fail(THOR_MEMORY, "no memory for a question") : THOR_OK;
    if (st == THOR_OK) st = split_tokenize(*t, m, text, NULL, 0);
    if (n >= 0) free(text);
    return st;
}

/* Row i foretells token i + 1, for those behind what the prompt alone has too. */
static void aim(int *targets, const struct bert_tokens *whole, const struct bert_tokens *prompt) {
    int same = 0;
    while (same < prompt->n && same < whole->n - 1 && prompt->ids[same] == whole->ids[same]) same++;
    for (int i = 0; i < whole->n; i++)
        targets[i] = i + 1 >= same && i + 1 < whole->n ? whole->ids[i + 1] : -1;
}

int split_question_ask(struct split_answered *out, const struct split_question *q,
                       const struct split_model *m, const struct split_adapter *a,
                       struct split_service *s) {
    int st = THOR_OK, scored[SPLIT_OPTIONS];
    double loss[SPLIT_OPTIONS];
    struct asking k = {0};
    struct split_text text[SPLIT_OPTIONS];
    if (split_model_config(m)->family == SPLIT_BERT || split_model_config(m)->labels)
        return thor_fail(THOR_MODEL, "questions want a language model: this is a classifier");
    k.targets = malloc(sizeof(int) * SPLIT_OPTIONS * BERT_MAX_TOKENS);
    if (!k.targets) TRY(thor_fail(THOR_MEMORY, "no memory for a question"));
    TRY(tokenize(&k.prompt, m, q, NULL));
    for (int i = 0; i < q->options; i++) {
        TRY(tokenize(&k.whole[i], m, q, q->option[i]));
        int *targets = k.targets + (size_t)i * BERT_MAX_TOKENS;
        aim(targets, k.whole[i], k.prompt);
        text[i] = (struct split_text){
            .ids = k.whole[i]->ids, .n = k.whole[i]->n, .label = -1, .targets = targets};
    }
    TRY(split_gradients(loss, scored, NULL, m, a, s, text, q->options));
    for (int i = 0; i < q->options; i++) {
        out->log_likelihood[i] = -loss[i] * scored[i];
        out->tokens[i] = scored[i];
    }
out:
    asking_free(&k);
    return st;
}

int split_answer_of(const struct split_answered *a, int options, int per_token) {
    int best = 0;
    double most = 0;
    for (int i = 0; i < options; i++) {
        const double x = a->log_likelihood[i] / (per_token ? a->tokens[i] : 1);
        if (i > 0 && !(x > most)) continue;
        best = i;
        most = x;
    }
    return best;
}
