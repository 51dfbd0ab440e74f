/* thor decrypt: the client's side after the server: the label out of an answer, or whatever the
 * model's head gives, as far as it may be shown to others (published.h); --private
 * prints the values themselves, for the owner of the key alone. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/exchange.h"
#include "cli/folder.h"
#include "cli/inputs.h"
#include "cli/json.h"
#include "cli/nexttoken.h"
#include "cli/options.h"
#include "cli/published.h"
#include "cli/session.h"
#include "cli/tagged.h"
#include "cli/tickets.h"
#include "kernels/shown.h"

enum { PATH = 4300 };

struct decrypt {
    const char *in, *request, *noted;
    struct session_setup setup;
    struct inputs_request texts; /* what the requests were made of, where that is needed */
    struct inputs asked_of;
    int json, private, top;
    int tokens; /* of the text of the answer at hand, as noted; 0: not noted */
    struct folder files;
    struct session s;
    struct tickets *tickets;      /* without --request */
    char file[PATH], asked[PATH]; /* of the tickets; the request of the answer at hand */
};

static int read_options(struct decrypt *d, int argc, char **argv) {
    int st = THOR_OK;
    struct session_setup *s = &d->setup;
    const struct option_spec options[] = {
        {"in", "FILE|DIR", OPTION_TEXT, &d->in, 0, 0,
         "an answer of thor eval, or a folder of them"},
        option_secret_keys(&s->keys_dir),
        option_model(&s->model_dir),
        {"request", "FILE|DIR", OPTION_TEXT, &d->request, 0, 0,
         "the request that is answered, or the folder of all"},
        {"tickets", "FILE", OPTION_TEXT, &d->noted, 0, 0,
         "what thor encrypt noted (KEYS/tickets.json)"},
        {"text", "S", OPTION_TEXTS, &d->texts.texts, 0, 0,
         "the text that was encrypted: for its words, of labels of tokens"},
        {"pair", "S2", OPTION_TEXTS, &d->texts.pairs, 0, 0, "its second text"},
        {"data", "FILE", OPTION_TEXT, &d->texts.data, 0, 0,
         "of a folder: the table whose rows were encrypted"},
        {"columns", "NAMES", OPTION_TEXT, &d->texts.columns, 0, 0,
         "its columns, as of thor encrypt"},
        {"top", "K", OPTION_INT, &d->top, 1, BERT_MAX_LABELS,
         "the K most probable labels, or next tokens"},
        {"private", NULL, OPTION_FLAG, &d->private, 0, 0,
         "the values too, not rounded; show them to nobody"},
        option_threads(&s->threads),
        {"json", NULL, OPTION_FLAG, &d->json, 0, 0, "print one JSON object per answer"},
        option_require_locked(&s->require_locked),
        option_toy_set(&s->insecure),
        {0}};
    const struct command_spec spec = {
        "decrypt",
        "--in FILE|DIR --keys DIR [--model DIR] [OPTIONS]",
        "Decrypt answers of thor eval: the label and its probability, or what the model gives, "
        "rounded so that it can be\n"
        "shown to others without the noise of the key. An answer must be to a noted request of "
        "thor "
        "encrypt, in a folder to\n"
        "the one of the same file name; bad ones do not stop the others.",
        "  thor decrypt --in answer.ct --keys keys\n"
        "  thor decrypt --in download --keys keys --model models/mrpc --json\n",
        options,
        0};
    TRY(options_parse(&spec, argc, argv, NULL));
    if (!d->in) return thor_fail(THOR_USAGE, "--in is missing; name an answer of thor eval");
    if (!s->keys_dir)
        return thor_fail(THOR_USAGE, "--keys is missing; name the folder with secret.key");
    s->quiet = 1;
out:
    return st;
}

/* The request of that file, or of the same name in that folder, has the ticket. */
static int check_request(struct decrypt *d, uint64_t ticket, const char *path) {
    int st = THOR_OK;
    struct bert_message asked;
    struct serial_head r = {0};
    d->tokens = 0;
    if (folder_is(d->request))
        folder_join(d->asked, sizeof d->asked, d->request, path);
    else
        snprintf(d->asked, sizeof d->asked, "%s", d->request);
    TRY(bert_message_peek(&asked, &r, d->asked, BERT_REQUEST));
    if (asked.ticket != ticket)
        st = thor_fail(THOR_KEY, "%.200s: answers another request than %.200s", path, d->asked);
out:
    serial_free(&r);
    return st;
}

/* The ticket is noted, and in a folder of answers the request has this answer's name. */
static int check_ticket(struct decrypt *d, uint64_t ticket, const char *path) {
    const char *name = tickets_find(&d->tokens, d->tickets, ticket);
    if (!name)
        return thor_fail(
            THOR_KEY,
            "%.200s: answers no request noted in %.150s: name the request, or the folder of the "
            "requests, with --request",
            path, d->file);
    snprintf(d->asked, sizeof d->asked, "%s", name);
    if (d->files.is_folder && strcmp(folder_last(name), shown(folder_last(path))) != 0)
        return thor_fail(
            THOR_KEY, "%.200s: is the answer to %.200s: answers are mixed up, ask the server again",
            path, name);
    return THOR_OK;
}

/* The text of an answer: the one of --text, or row 17 of --data for 17.ct; NULL: none was given. */
static const struct input *text_of(const struct decrypt *d, const char *path) {
    const char *name = folder_last(path);
    char *end;
    if (!d->texts.data) return d->asked_of.n == 1 ? d->asked_of.item : NULL;
    const long row = strtol(name, &end, 10);
    if (end == name || strcmp(end, ".ct") != 0 || row < 0 || row >= d->asked_of.n) return NULL;
    return &d->asked_of.item[row];
}

/* The tokens of the answer's text that its head needs; t: those of the text, where one was given.
 */
static int count_rows(int *rows, struct bert_tokens *t, const struct decrypt *d,
                      const struct bert_message *m, const char *path) {
    int st = THOR_OK;
    const struct bert_config *c = &d->s.model->cfg;
    const struct input *text = text_of(d, path);
    *rows = 1;
    t->n = 0;
    if (c->head != BERT_HEAD_TOKENS && (c->head != BERT_HEAD_STATE || c->pool == BERT_POOL_CLS))
        return THOR_OK;
    if (text) TRY(input_tokenize(t, text, d->s.model));
    if (text && d->tokens && t->n != d->tokens)
        return thor_fail(THOR_INPUT, "%.300s: its request has %d tokens, the text that is given %d",
                         path, d->tokens, t->n);
    *rows = text ? t->n : d->tokens;
    if (*rows < 1 || *rows > (int)m->tokens)
        st = thor_fail(THOR_KEY,
                       "%.300s: how many tokens its text has is not noted: give the text with "
                       "--text, or the table with --data",
                       path);
out:
    return st;
}

static int open_answer(struct result *r, struct bert_tokens *t, struct decrypt *d,
                       const char *path) {
    int st = THOR_OK, rows = 0;
    struct bert_message m;
    struct bert_shape shape;
    struct serial_head h = {0};
    TRY(exchange_peek(&shape, &m, &h, &d->s, path));
    TRY(d->request ? check_request(d, m.ticket, path) : check_ticket(d, m.ticket, path));
    TRY(count_rows(&rows, t, d, &m, path));
    TRY(exchange_open(r, &d->s, &shape, &m, &h, rows, d->private, path));
out:
    serial_free(&h);
    return st;
}

static int show_json(const struct decrypt *d, const char *path, const struct result *r,
                     json_t *raw) {
    const struct bert_config *c = &d->s.model->cfg;
    json_t *o = json_pack("{s:s, s:s}", "in", path, "request", d->asked);
    int bad = !o || !raw || published_json(o, r, c) != 0;
    if (!bad && d->private)
        bad = json_object_set(o, bert_gives_embedding(c) ? "private_embedding" : "private_logits",
                              raw);
    if (!bad) return put_object(o, JSON_REAL_PRECISION(9));
    json_decref(o);
    return thor_fail(THOR_RANGE, "%.300s: decrypts to no number", path);
}

static int show(const struct decrypt *d, const char *path, const struct result *r, json_t *raw) {
    const struct bert_config *c = &d->s.model->cfg;
    if (d->json) return show_json(d, path, r, raw);
    printf("%s  ", shown(path));
    published_line(stdout, r, c);
    printf(d->files.is_folder ? "\n" : "  (%s)\n", shown(d->asked));
    published_rest(stdout, r, c);
    for (int i = 0; d->private && i < (int)json_array_size(raw); i++)
        printf("  private: %-12s %10.6f\n",
               c->head == BERT_HEAD_STATE ? "" : shown(c->label_names[i % c->labels]),
               json_real_value(json_array_get(raw, (size_t)i)));
    return THOR_OK;
}

static int one(struct decrypt *d, const char *path) {
    int st = THOR_OK;
    const struct bert_config *c = &d->s.model->cfg;
    struct bert_tokens *t = malloc(sizeof *t);
    struct result r = {.top = d->top, .label = -1, .score = NAN};
    json_t *raw = json_array();
    if (!t || !raw) TRY(thor_fail(THOR_MEMORY, "no memory for a text"));
    TRY(open_answer(&r, t, d, path));
    TRY(next_token_published(&r, d->s.model));
    result_judge(&r, c);
    if (t->n) TRY(spans_make(&r, c, t, text_of(d, path), 0));
    for (int i = 0; d->private && i < r.rows * r.labels; i++)
        json_array_append_new(raw, json_real(r.he_logits[i]));
    if (bert_gives_embedding(c)) published_embedding(r.he_logits, r.labels);
    TRY(show(d, path, &r, raw));
out:
    json_decref(raw);
    result_free(&r);
    free(t);
    return st;
}

/* The texts that requests were made of, where they are given. */
static int open_texts(struct decrypt *d) {
    struct inputs_request *q = &d->texts;
    if (q->texts.n > 1 || (q->texts.n && d->files.is_folder))
        return thor_fail(THOR_USAGE, "--text is that of one answer; for a folder give --data");
    if (q->data) q->rows = (struct option_spans){.first = {0}, .last = {INPUTS_END}, .n = 1};
    return q->texts.n || q->data || q->pairs.n ? inputs_open(&d->asked_of, q) : THOR_OK;
}

static int open_session(struct decrypt *d) {
    int st = THOR_OK;
    struct session *s = &d->s;
    TRY(session_model(s, &d->setup));
    TRY(keyset_load_secret(&s->keys, d->setup.keys_dir, d->setup.insecure != NULL));
    TRY(keyset_of(&s->keys, s->params, d->setup.keys_dir));
    tickets_file(d->file, sizeof d->file, d->noted, d->setup.keys_dir);
    if (!d->request) TRY(tickets_open(&d->tickets, d->file, 0));
    TRY(session_open(s));
out:
    return st;
}

int cmd_decrypt(int argc, char **argv) {
    int st = THOR_OK;
    struct decrypt *d = calloc(1, sizeof *d);
    if (!d) return thor_fail(THOR_MEMORY, "no memory to start");
    TRY(read_options(d, argc, argv));
    TRY(folder_open(&d->files, d->in));
    TRY(open_texts(d));
    TRY(open_session(d));
    for (int i = 0; i < d->files.n; i++) {
        st = one(d, d->files.path[i]);
        if (st == THOR_KEY || st == THOR_IO || st == THOR_RANGE) st = folder_refuse(&d->files, st);
        if (st) goto out;
    }
    st = folder_verdict(&d->files, "gave no result");
out:
    tickets_close(d->tickets);
    session_close(&d->s);
    inputs_close(&d->asked_of);
    folder_close(&d->files);
    free(d);
    return st;
}
