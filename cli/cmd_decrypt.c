/* thor decrypt: the client's side after the server: the label out of an answer.
 *
 * What may be shown to others is the label and its score, a probability rounded to 1/100.
 * Decrypted values carry the noise of the key, and whoever sees enough of them next to what was
 * computed finds the key (Li, Micciancio, eprint 2020/1533).  A step of 1/100 in the probability is
 * one of at least 1/25 in the difference of two logits (the slope of the logistic function is at
 * most 1/4), 2^-4.6, more than 2^10 times the error of a bootstrap (worst 2^-15.2): in all but one
 * of a thousand answers the noise changes nothing that is printed.  The values themselves are
 * rounded to 2^-12 before they are looked at; --private prints them, for the owner of the key
 * alone. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bert/message.h"
#include "bert/reference.h"
#include "bert/witness.h"
#include "cli/folder.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/session.h"
#include "cli/tickets.h"
#include "kernels/shown.h"

enum { LABEL_BITS = 12, PATH = 4300 };

struct decrypt {
    const char *in, *request, *noted;
    struct session_setup setup;
    int json, private;
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
        {"keys", "DIR", OPTION_TEXT, &s->keys_dir, 0, 0, "folder with secret.key"},
        {"model", "DIR", OPTION_TEXT, &s->model_dir, 0, 0, "model folder (data/sst2-tiny)"},
        {"request", "FILE|DIR", OPTION_TEXT, &d->request, 0, 0,
         "the request that is answered, or the folder of all"},
        {"tickets", "FILE", OPTION_TEXT, &d->noted, 0, 0,
         "what thor encrypt noted (KEYS/tickets.json)"},
        {"private", NULL, OPTION_FLAG, &d->private, 0, 0, "the logits too; show them to nobody"},
        {"threads", "N", OPTION_INT, &s->threads, 1, 1024, "threads to use (all cores)"},
        {"json", NULL, OPTION_FLAG, &d->json, 0, 0, "print one JSON object per answer"},
        {"require-locked", NULL, OPTION_FLAG, &s->require_locked, 0, 0,
         "fail where the system locks no memory for secrets"},
        {"insecure-test-params", "NAME", OPTION_TEXT, &s->insecure, 0, 0,
         "a toy set: no security at all"},
        {0}};
    const struct command_spec spec = {
        "decrypt",
        "--in FILE|DIR --keys DIR [--model DIR] [OPTIONS]",
        "Decrypt answers of thor eval: the label and its probability, rounded to 1/100 so that it "
        "can be shown to\n"
        "others without the noise of the key. An answer must be to a noted request of thor "
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
    const char *name = tickets_find(d->tickets, ticket);
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

static int check_answer(struct bert_shape *shape, struct decrypt *d, const struct bert_message *m,
                        const struct serial_head *h, const char *path) {
    int st = THOR_OK;
    if (h->params != d->s.params)
        return thor_fail(THOR_KEY,
                         "%.300s: made for parameters %s, this run uses %s: give the same set",
                         path, h->params->name, d->s.params->name);
    TRY(ckks_check_id(h->id, d->s.keys.secret->id, path));
    TRY(bert_answer_check(shape, m, h, d->s.model, path));
    TRY(d->request ? check_request(d, m->ticket, path) : check_ticket(d, m->ticket, path));
out:
    return st;
}

static int open_answer(double *logits, struct decrypt *d, const char *path) {
    int st = THOR_OK, n = 0;
    struct session *s = &d->s;
    struct bert_message m;
    struct bert_shape shape;
    struct serial_head h = {0};
    struct ckks_ct *ct = NULL;
    TRY(bert_message_peek(&m, &h, path, BERT_ANSWER));
    TRY(check_answer(&shape, d, &m, &h, path));
    TRY(bert_message_load(&ct, &n, &m, &h, s->cx, path));
    st = bert_open_answer(logits, &shape, s->model, 1, ct, s->keys.secret,
                          d->private ? 0 : LABEL_BITS);
    if (st == THOR_RANGE) st = thor_fail(THOR_RANGE, "%.300s: " BERT_NO_RESULT, path);
out:
    for (int i = 0; i < n; i++) ckks_ct_free(&ct[i]);
    free(ct);
    serial_free(&h);
    return st;
}

/* The probability of label `pred`, rounded to 1/100. */
static double score(const double *logits, int labels, int pred) {
    double sum = 0;
    for (int i = 0; i < labels; i++) sum += exp(logits[i] - logits[pred]);
    return nearbyint(100 / sum) / 100;
}

static int show_json(const struct decrypt *d, const char *path, const double *logits, int pred,
                     double p) {
    json_t *raw = json_array(), *o;
    for (int i = 0; i < d->s.model->cfg.labels; i++)
        json_array_append_new(raw, json_real(logits[i]));
    o = json_pack("{s:s, s:s, s:i, s:s, s:f}", "in", path, "request", d->asked, "pred", pred,
                  "label", d->s.model->cfg.label_names[pred], "score", p);
    if (o && d->private) json_object_set(o, "private_logits", raw);
    json_decref(raw);
    return o ? put_object(o, JSON_REAL_PRECISION(9))
             : thor_fail(THOR_RANGE, "%.300s: decrypts to no number", path);
}

static int one(struct decrypt *d, const char *path) {
    int st = THOR_OK, pred;
    double logits[BERT_MAX_LABELS];
    if (bert_outputs(&d->s.model->cfg, 1) > BERT_MAX_LABELS ||
        d->s.model->cfg.head >= BERT_HEAD_TOKENS)
        return thor_fail(THOR_MODEL,
                         "thor decrypt gives labels of texts, which this model has not");
    TRY(open_answer(logits, d, path));
    pred = bert_argmax(logits, d->s.model->cfg.labels);
    double p = score(logits, d->s.model->cfg.labels, pred);
    if (d->json) return show_json(d, path, logits, pred, p);
    printf("%s  %s, score %.2f", shown(path), shown(d->s.model->cfg.label_names[pred]), p);
    printf(d->files.is_folder ? "\n" : "  (%s)\n", shown(d->asked));
    for (int i = 0; d->private && i < d->s.model->cfg.labels; i++)
        printf("  private: %-12s %10.6f\n", shown(d->s.model->cfg.label_names[i]), logits[i]);
out:
    return st;
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
    folder_close(&d->files);
    free(d);
    return st;
}
