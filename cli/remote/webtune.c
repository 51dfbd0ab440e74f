#include "cli/remote/webtune.h"

#include <math.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bert/input/jsonfile.h"
#include "cli/cli.h"
#include "split/adapter.h"
#include "split/scorehead.h"
#include "split/weights.h"

enum { ARGS = 48, PATH = 4096, CONFIG_MOST = 1 << 24, NEW_TOKENS_MOST = 200 };

enum kind { FOLDER, FILE_OF_ROWS, NEW_FOLDER, WHOLE, REAL, WORDS, ADDRESS };

/* The fields, which are called as the options are behind the dashes. */
static const struct field {
    const char *option;
    enum kind kind;
    int needed, tries; /* tries: also of thor tune classify and generate */
    double min, max;
} fields[] = {
    {"--model", FOLDER, 1, 1, 0, 0},
    {"--data", FILE_OF_ROWS, 1, 0, 0, 0},
    {"--columns", WORDS, 0, 0, 0, 0},
    {"--out", NEW_FOLDER, 1, 0, 0, 0},
    {"--rank", WHOLE, 0, 0, 1, SPLIT_RANK_MAX},
    {"--alpha", REAL, 0, 0, 1e-3, 1e6},
    {"--steps", WHOLE, 0, 0, 1, 1 << 30},
    {"--epochs", WHOLE, 0, 0, 1, 1 << 20},
    {"--batch", WHOLE, 0, 0, 1, 1 << 20},
    {"--lr", REAL, 0, 0, 1e-9, 10},
    {"--epsilon", REAL, 0, 0, 1e-3, 1e3},
    {"--delta", REAL, 0, 0, 1e-15, 0.1},
    {"--server", ADDRESS, 0, 1, 0, 0},
};
enum { FIELDS = sizeof fields / sizeof fields[0] };

static const char *name_of(const struct field *f) {
    return f->option + 2;
}

/* ---- what is wrong with a field ---- */

__attribute__((format(printf, 3, 4))) static int
bad_field(struct webtune_bad *bad, const char *field, const char *fmt, ...) {
    va_list args;
    bad->field = field;
    va_start(args, fmt);
    vsnprintf(bad->why, sizeof bad->why, fmt, args);
    va_end(args);
    return 0;
}

static int is_there(const char *path, mode_t kind) {
    struct stat s;
    return stat(path, &s) == 0 && (s.st_mode & S_IFMT) == kind;
}

static int check_model(struct webtune_bad *bad, const char *path) {
    char config[PATH + 16];
    if (!is_there(path, S_IFDIR))
        return bad_field(bad, "model", "%.300s: no such folder; name one with config.json", path);
    snprintf(config, sizeof config, "%.4000s/config.json", path);
    if (!is_there(config, S_IFREG))
        return bad_field(bad, "model", "%.300s: holds no config.json, so it is no model", path);
    return 1;
}

/* One folder is made, not those above it. */
static int check_new_folder(struct webtune_bad *bad, const char *path) {
    char above[PATH];
    struct stat s;
    if (stat(path, &s) == 0)
        return S_ISDIR(s.st_mode) ||
               bad_field(bad, "out", "%.300s: is a file; name a folder, new or of a training",
                         path);
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    while (n && path[n - 1] != '/') n--;
    snprintf(above, sizeof above, "%.*s", n ? (int)n : 1, n ? path : ".");
    return is_there(above, S_IFDIR) ||
           bad_field(bad, "out", "%.300s: no such folder to make it in; make that first", above);
}

static int check_number(struct webtune_bad *bad, const struct field *f, const char *text) {
    char *end;
    const int whole = f->kind == WHOLE;
    const double x = strtod(text, &end);
    if (end != text && !*end && x >= f->min && x <= f->max && (!whole || floor(x) == x)) return 1;
    return bad_field(bad, name_of(f), "%.40s: not a %snumber from %.12g to %.12g", text,
                     whole ? "whole " : "", f->min, f->max);
}

static int check_field(struct webtune_bad *bad, const struct field *f, const char *text) {
    if (strlen(text) >= PATH) return bad_field(bad, name_of(f), "too long");
    switch (f->kind) {
    case FOLDER:
        return check_model(bad, text);
    case FILE_OF_ROWS:
        return is_there(text, S_IFREG) ||
               bad_field(bad, name_of(f), "%.300s: no such file; name a table (.csv, .tsv, .jsonl)",
                         text);
    case NEW_FOLDER:
        return check_new_folder(bad, text);
    case WHOLE:
    case REAL:
        return check_number(bad, f, text);
    case WORDS:
    case ADDRESS:
        break;
    }
    return 1;
}

/* ---- the command ---- */

struct command { /* borrows its words */
    const char *login;
    const char *argv[ARGS];
    int n;
};

static void add(struct command *c, const char *word) {
    if (c->n < ARGS - 1) c->argv[c->n++] = word;
}

static const char *text_of(const json_t *form, const char *name) {
    const char *text = json_string_value(json_object_get(form, name));
    return text ? text : "";
}

static int add_where(struct webtune_bad *bad, struct command *c, const json_t *form) {
    const char *where = text_of(form, "where");
    if (strcmp(where, "plain") == 0)
        add(c, "--plain");
    else if (strcmp(where, "local") == 0)
        add(c, "--local");
    else if (strcmp(where, "server") != 0)
        return bad_field(bad, "where", "is plain, local or server");
    else if (!*text_of(form, "server"))
        return bad_field(bad, "server", "name the address of the server");
    return 1;
}

static int add_fields(struct webtune_bad *bad, struct command *c, const json_t *form, int which) {
    const int at_server = strcmp(text_of(form, "where"), "server") == 0;
    if (at_server && c->login) add(c, "--login"), add(c, c->login);
    for (int i = 0; i < FIELDS; i++) {
        const struct field *f = &fields[i];
        const char *text = text_of(form, name_of(f));
        if (which == WEBTUNE_TRY && !f->tries) continue;
        if (f->kind == ADDRESS && !at_server) continue;
        if (!*text && f->needed) return bad_field(bad, name_of(f), "is missing");
        if (!*text) continue;
        if (!check_field(bad, f, text)) return 0;
        add(c, f->option), add(c, text);
    }
    return add_where(bad, c, form);
}

static int make_train(struct webtune_bad *bad, struct command *c, const json_t *form) {
    add(c, "tune"), add(c, "train"), add(c, "--json");
    if (*text_of(form, "steps") && *text_of(form, "epochs"))
        return bad_field(bad, "epochs", "steps and epochs exclude each other; empty one");
    if (*text_of(form, "delta") && !*text_of(form, "epsilon"))
        return bad_field(bad, "epsilon", "is missing; delta goes with it");
    return add_fields(bad, c, form, WEBTUNE_TRAIN);
}

/* 1: a model that goes on with a text, and gives it no labels. */
static int speaks(const json_t *form) {
    char path[PATH + 16];
    json_t *o = NULL;
    snprintf(path, sizeof path, "%.4000s/config.json", text_of(form, "model"));
    if (bert_json_read(&o, path, CONFIG_MOST, BERT_JSON_SMALL, 0, THOR_MODEL) != THOR_OK) return 0;
    const char *type = text_of(o, "model_type");
    const int yes = (strcmp(type, "gpt2") == 0 || split_llama_is(type)) &&
                    !split_score_is(json_object_get(o, "architectures"));
    json_decref(o);
    return yes;
}

static int add_speech(struct webtune_bad *bad, struct command *c, const json_t *form) {
    static const struct field tokens = {"--tokens", WHOLE, 0, 0, 1, NEW_TOKENS_MOST};
    const char *n = text_of(form, "tokens");
    add(c, "generate"), add(c, "--json"), add(c, "--compare"), add(c, "--prompt"), add(c, "-");
    if (!*n) return 1;
    add(c, tokens.option), add(c, n);
    return check_field(bad, &tokens, n);
}

static int make_try(struct webtune_bad *bad, struct command *c, const json_t *form) {
    const char *out = text_of(form, "out");
    char config[PATH + 32];
    add(c, "tune");
    if (speaks(form)) {
        if (!add_speech(bad, c, form)) return 0;
    } else
        add(c, "classify"), add(c, "--json"), add(c, "--data"), add(c, "-");
    snprintf(config, sizeof config, "%.4000s/adapter_config.json", out);
    if (!*text_of(form, "text")) return bad_field(bad, "text", "is empty");
    if (!*out) return bad_field(bad, "out", "is missing");
    if (!is_there(config, S_IFREG))
        return bad_field(bad, "out",
                         "%.300s: holds no adapter yet; train one, or stop its training", out);
    add(c, "--adapter"), add(c, out);
    return add_fields(bad, c, form, WEBTUNE_TRY);
}

/* ---- the jobs ---- */

static int begin_train(struct webtune *t, struct command *c, const json_t *form) {
    char log[PATH + 16];
    snprintf(log, sizeof log, "%.4000s/log.jsonl", text_of(form, "out"));
    const int run =
        webjob_begin(t->job[WEBTUNE_TRAIN], &(struct webjob_ask){.argv = c->argv, .past = log});
    if (!run) return 0;
    pthread_mutex_lock(&t->lock);
    json_decref(t->form);
    t->form = json_deep_copy(form);
    pthread_mutex_unlock(&t->lock);
    return run;
}

/* The text goes through a pipe: a command line is there for all users to read. */
static int begin_try(struct webtune *t, struct command *c, const json_t *form) {
    json_t *row = json_pack("{s:s}", "text", text_of(form, "text"));
    if (row && *text_of(form, "pair")) json_object_set(row, "text2", json_object_get(form, "pair"));
    char *input = speaks(form) ? strdup(text_of(form, "text"))
                  : row        ? json_dumps(row, JSON_COMPACT)
                               : NULL;
    json_decref(row);
    if (!input) return 0;
    const int run =
        webjob_begin(t->job[WEBTUNE_TRY], &(struct webjob_ask){.argv = c->argv, .input = input});
    sodium_memzero(input, strlen(input));
    free(input);
    return run;
}

int webtune_begin(struct webtune_bad *bad, struct webtune *t, int which, const json_t *form) {
    struct command c = {.login = t->login};
    int run = -1;
    if (which == WEBTUNE_TRAIN && make_train(bad, &c, form)) run = begin_train(t, &c, form);
    if (which == WEBTUNE_TRY && make_try(bad, &c, form)) run = begin_try(t, &c, form);
    return run;
}

json_t *webtune_about(struct webtune *t) {
    char folder[PATH];
    int run;
    const int busy = webevents_busy(&run, webjob_events(t->job[WEBTUNE_TRAIN]));
    json_t *o = json_pack("{s:s, s:b, s:i}", "folder", getcwd(folder, sizeof folder) ? folder : "",
                          "busy", busy, "run", run);
    pthread_mutex_lock(&t->lock);
    if (o && t->form) json_object_set_new(o, "form", json_deep_copy(t->form));
    pthread_mutex_unlock(&t->lock);
    return o;
}

int webtune_new(struct webtune **out, const char *login) {
    int st = THOR_OK;
    struct webtune *t = *out = calloc(1, sizeof *t);
    if (!t) return thor_fail(THOR_MEMORY, "no memory for the page");
    t->login = login;
    pthread_mutex_init(&t->lock, NULL);
    for (int i = 0; i < WEBTUNE_JOBS; i++) TRY(webjob_new(&t->job[i]));
out:
    return st;
}

void webtune_end(struct webtune *t) {
    for (int i = 0; t && i < WEBTUNE_JOBS; i++) webjob_end(t->job[i]);
}

void webtune_free(struct webtune *t) {
    if (!t) return;
    for (int i = 0; i < WEBTUNE_JOBS; i++) webjob_free(t->job[i]);
    pthread_mutex_destroy(&t->lock);
    json_decref(t->form);
    free(t);
}
