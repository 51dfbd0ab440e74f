#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "bert/input/readfile.h"
#include "cli/batch.h"
#include "cli/json.h"

enum { PATH = 4200, TOKENS_MOST = 1024, PATIENCE = 50 }; // tenths of a second

static int lock = -1;

static void row_path(char path[PATH], const struct batch *b, int at, const char *file) {
    snprintf(path, PATH, "%s/%06d%s%s", b->dir, b->first + at, *file ? "/" : "", file);
}

/* ---- the folder */

/* Workers that a killed parent left behind end by themselves: wait a little for them. */
static int take_lock(const char *dir) {
    lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; lock >= 0 && i < PATIENCE; i++) {
        if (flock(lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return THOR_OK;
        usleep(100000);
    }
    return thor_fail(THOR_IO,
                     "%.300s: another batch is at work there; wait for it, or name another folder",
                     dir);
}

void batch_unclaim(void) {
    if (lock >= 0) close(lock);
    lock = -1;
}

static int compare(json_t *here, json_t *there, const char *path) {
    const char *key;
    json_t *want;
    json_object_foreach(
        here, key,
        want) if (strcmp(key, "tokens") != 0 &&
                  !json_equal(
                      want, json_object_get(
                                there,
                                key))) return thor_fail(THOR_INPUT,
                                                        "%.300s: the folder holds results of other "
                                                        "%.*s; name another with --output-dir",
                                                        path, (int)strcspn(key, "_"), key);
    return THOR_OK;
}

/* Shorter texts are computed in the folder's bucket, so that all its results are of one; longer
 * ones cannot be. */
static int join_bucket(struct batch *b, json_t *there, const char *path) {
    int st = THOR_OK;
    const json_int_t of_folder = json_integer_value(json_object_get(there, "tokens"));
    if (of_folder > b->tokens && of_folder <= TOKENS_MOST) {
        b->tokens = (int)of_folder;
        TRY(batch_bucket(b));
    }
    if (of_folder != b->tokens)
        st = thor_fail(
            THOR_INPUT,
            "%.300s: the folder holds results of texts of up to %d tokens, this batch is of up to "
            "%d; name another with --output-dir, and --tokens for all rows to come",
            path, (int)of_folder, b->tokens);
out:
    return st;
}

static int join(struct batch *b, json_t *here, const char *path) {
    int st = THOR_OK;
    json_t *there = NULL;
    if (load_object(&there, path, THOR_INPUT) != THOR_OK)
        return thor_fail(THOR_INPUT, "%.300s: damaged; name another folder with --output-dir",
                         path);
    TRY(compare(here, there, path));
    TRY(join_bucket(b, there, path));
out:
    json_decref(there);
    return st;
}

int batch_claim(struct batch *b) {
    int st = THOR_OK;
    char path[PATH];
    json_t *here = NULL;
    snprintf(path, sizeof path, "%s/batch.json", b->dir);
    TRY(make_folder(b->dir));
    TRY(take_lock(b->dir));
    TRY(batch_describe(&here, b));
    TRY(bert_file_exists(path) ? join(b, here, path) : save_object(json_incref(here), path));
out:
    json_decref(here);
    return st;
}

/* ---- rows */

int batch_complete(struct result *r, const struct batch *b, int at) {
    char path[PATH];
    row_path(path, b, at, "result.json");
    if (bert_file_exists(path) && result_load(r, path, &b->s.model->cfg) == THOR_OK &&
        r->target_idx == b->first + at)
        return 1;
    result_free(r);
    return 0;
}

int batch_find_todo(struct batch *b) {
    b->todo = calloc((size_t)b->in.n, sizeof *b->todo);
    if (!b->todo) return thor_fail(THOR_MEMORY, "no memory for %d rows", b->in.n);
    for (int i = 0; i < b->in.n; i++) {
        struct result r = {0};
        if (!batch_complete(&r, b, i)) b->todo[b->todos++] = i;
        result_free(&r);
    }
    return THOR_OK;
}

/* What a killed run left half-written. */
static void sweep(const char *folder) {
    DIR *d = opendir(folder);
    char path[PATH + 300];
    for (struct dirent *e; d && (e = readdir(d));) {
        if (strncmp(e->d_name, ".thor-", 6) != 0) continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        unlink(path);
    }
    if (d) closedir(d);
}

int batch_keep(const struct batch *b, int at, const struct result *r) {
    int st = THOR_OK;
    char path[PATH];
    row_path(path, b, at, "");
    TRY(result_save(r, &b->s.model->cfg, path));
    sweep(path);
    row_path(path, b, at, "failure.json");
    unlink(path);
out:
    return st;
}

int batch_fail(const struct batch *b, int at, int code, const char *error) {
    int st = THOR_OK;
    char path[PATH];
    row_path(path, b, at, "");
    TRY(make_folder(path));
    row_path(path, b, at, "failure.json");
    TRY(save_object(
        json_pack("{s:i, s:i, s:s}", "target_idx", b->first + at, "code", code, "error", error),
        path));
out:
    return st;
}

int batch_failure(const struct batch *b, int at, char error[BATCH_ERROR]) {
    char path[PATH];
    const char *line = "";
    int code = 0;
    row_path(path, b, at, "failure.json");
    json_t *o = NULL;
    if (load_object(&o, path, THOR_INPUT) == THOR_OK &&
        json_unpack(o, "{s:i, s:s}", "code", &code, "error", &line) != 0)
        code = 0;
    snprintf(error, BATCH_ERROR, "%s", line);
    json_decref(o);
    return code;
}
