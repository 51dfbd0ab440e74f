#include "cli/tickets.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <jansson.h>

#include "bert/input/jsonfile.h"
#include "bert/input/readfile.h"
#include "ckks/file.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "kernels/shown.h"

#define FORMAT "thor-tickets-1"
enum { PATH = 4300, FILE_MOST = 1 << 28, TICKETS_MOST = BERT_JSON_VOCAB };

struct noted {
    uint64_t ticket;
    const char *name;
    int tokens;
};

struct tickets {
    char file[PATH];
    int lock;                /* the file's folder, open and locked; or -1 */
    json_t *root, *requests; /* requests lies in root */
    struct noted *noted;     /* in order of tickets */
    size_t n;
};

void tickets_file(char *out, unsigned size, const char *named, const char *keys_dir) {
    if (named)
        snprintf(out, size, "%s", named);
    else
        snprintf(out, size, "%s/tickets.json", keys_dir);
}

/* Folder and last part of a path. */
static const char *split(char folder[PATH], const char *path) {
    const char *slash = strrchr(path, '/');
    snprintf(folder, PATH, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    return slash ? slash + 1 : path;
}

static int damaged(const struct tickets *t) {
    return thor_fail(
        THOR_KEY, "%.300s: damaged, or no file of tickets: name another with --tickets", t->file);
}

static int lock_folder(struct tickets *t) {
    char folder[PATH];
    split(folder, t->file);
    t->lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->lock < 0)
        return thor_fail(THOR_IO,
                         "%.300s: cannot be written (%s); name another file with --tickets",
                         t->file, strerror(errno));
    while (flock(t->lock, LOCK_EX) != 0 && errno == EINTR) {
    } // where there are no locks, without
    return THOR_OK;
}

static int read_requests(struct tickets *t) {
    int st = THOR_OK;
    char *text = NULL;
    size_t n = 0;
    if (!bert_file_exists(t->file)) {
        t->root = json_pack("{s:s, s:{}}", "format", FORMAT, "requests");
    } else {
        TRY(bert_read_file(&text, &n, t->file, FILE_MOST, THOR_KEY));
        if (bert_json_parse(&t->root, text, n, TICKETS_MOST, 0, THOR_KEY) != THOR_OK)
            TRY(damaged(t));
        const char *format = json_string_value(json_object_get(t->root, "format"));
        if (!format || strcmp(format, FORMAT) != 0) TRY(damaged(t));
    }
    t->requests = json_object_get(t->root, "requests");
    if (!json_is_object(t->requests)) st = damaged(t);
out:
    free(text);
    return st;
}

static int by_ticket(const void *a, const void *b) {
    const uint64_t x = ((const struct noted *)a)->ticket, y = ((const struct noted *)b)->ticket;
    return (x > y) - (x < y);
}

/* 16 digits, and perhaps the number of tokens behind a colon. */
static int read_ticket(struct noted *to, const char *s) {
    char *end;
    if (!s || strspn(s, "0123456789abcdef") != 16) return 0;
    to->ticket = strtoull(s, &end, 16);
    if (*end != ':') return *end == 0;
    const size_t digits = strspn(end + 1, "0123456789");
    to->tokens = digits < 5 ? atoi(end + 1) : 0;
    return to->tokens > 0 && end[1 + digits] == 0;
}

static int sort_requests(struct tickets *t) {
    const char *name;
    json_t *value;
    t->noted = calloc(json_object_size(t->requests) + 1, sizeof *t->noted);
    if (!t->noted) return thor_fail(THOR_MEMORY, "%.300s: no memory to read it", t->file);
    json_object_foreach(t->requests, name, value) {
        struct noted *to = &t->noted[t->n++];
        to->name = name;
        if (!read_ticket(to, json_string_value(value))) return damaged(t);
    }
    qsort(t->noted, t->n, sizeof *t->noted, by_ticket);
    return THOR_OK;
}

int tickets_open(struct tickets **out, const char *file, int change) {
    int st = THOR_OK;
    struct tickets *t = calloc(1, sizeof *t);
    *out = NULL;
    if (!t) return thor_fail(THOR_MEMORY, "no memory for tickets");
    t->lock = -1;
    snprintf(t->file, sizeof t->file, "%s", file);
    if (change) TRY(lock_folder(t));
    TRY(read_requests(t));
    if (!change) TRY(sort_requests(t));
    *out = t;
    t = NULL;
out:
    tickets_close(t);
    return st;
}

int tickets_put(struct tickets *t, const char *path, uint64_t ticket, int tokens) {
    char folder[PATH], real[PATH_MAX], name[PATH_MAX + PATH], hex[40];
    const char *last = split(folder, path);
    if (json_object_size(t->requests) >=
        TICKETS_MOST - 10) // what is in the file beside them, and more
        return thor_fail(THOR_KEY, "%.300s: holds no more requests; name another with --tickets",
                         t->file);
    if (!realpath(folder, real))
        return thor_fail(THOR_IO, "%.300s: cannot be written: %s", path, strerror(errno));
    snprintf(name, sizeof name, "%s/%s", strcmp(real, "/") ? real : "", last);
    const int digits = snprintf(hex, sizeof hex, "%016" PRIx64, ticket);
    if (tokens) snprintf(hex + digits, sizeof hex - (size_t)digits, ":%d", tokens);
    if (json_object_set_new(t->requests, shown(name), json_string(hex)) == 0) return THOR_OK;
    return thor_fail(THOR_MEMORY, "%.300s: no memory for its ticket", path);
}

int tickets_save(struct tickets *t) {
    return save_private(t->root, t->file, JSON_INDENT(1));
}

const char *tickets_find(int *tokens, const struct tickets *t, uint64_t ticket) {
    const struct noted key = {.ticket = ticket},
                       *at = bsearch(&key, t->noted, t->n, sizeof key, by_ticket);
    *tokens = at ? at->tokens : 0;
    return at ? at->name : NULL;
}

void tickets_close(struct tickets *t) {
    if (!t) return;
    if (t->lock >= 0) close(t->lock);
    json_decref(t->root);
    free(t->noted);
    free(t);
}
