#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "bert/readfile.h"
#include "cli/batch.h"
#include "cli/json.h"

enum { PATH = 4200, PATIENCE = 50 }; // tenths of a second

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
    return thor_fail(THOR_IO, "%.300s: another batch is at work there; wait for it, or name another folder", dir);
}

void batch_unclaim(void) {
    if (lock >= 0) close(lock);
    lock = -1;
}

static int compare(json_t *here, json_t *there, const char *path) {
    const char *key;
    json_t *want;
    json_object_foreach(here, key, want)
        if (!json_equal(want, json_object_get(there, key)))
            return thor_fail(THOR_INPUT, "%.300s: the folder holds results of other %.*s; name another with --output-dir",
                             path, (int)strcspn(key, "_"), key);
    return THOR_OK;
}

int batch_claim(struct batch *b) {
    int st = THOR_OK;
    char path[PATH];
    json_t *here = NULL, *there = NULL;
    snprintf(path, sizeof path, "%s/batch.json", b->dir);
    TRY(make_folder(b->dir));
    TRY(take_lock(b->dir));
    TRY(batch_describe(&here, b));
    there = json_load_file(path, 0, NULL);
    if (there) {
        st = compare(here, there, path);
    } else {
        st = save_object(here, path);
        here = NULL;
    }
out:
    json_decref(here);
    json_decref(there);
    return st;
}

/* ---- rows */

int batch_complete(struct result *r, const struct batch *b, int at) {
    char path[PATH];
    row_path(path, b, at, "result.json");
    return bert_file_exists(path) && result_load(r, path) == THOR_OK && r->target_idx == b->first + at &&
           r->labels == b->s.model->cfg.labels;
}

int batch_find_todo(struct batch *b) {
    b->todo = calloc((size_t)b->in.n, sizeof *b->todo);
    if (!b->todo) return thor_fail(THOR_MEMORY, "no memory for %d rows", b->in.n);
    for (int i = 0; i < b->in.n; i++) {
        struct result r = {0};
        if (!batch_complete(&r, b, i)) b->todo[b->todos++] = i;
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
    TRY(result_save(r, path));
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
    TRY(save_object(json_pack("{s:i, s:i, s:s}", "target_idx", b->first + at, "code", code, "error", error), path));
out:
    return st;
}

int batch_failure(const struct batch *b, int at, char error[BATCH_ERROR]) {
    char path[PATH];
    const char *line = "";
    int code = 0;
    row_path(path, b, at, "failure.json");
    json_t *o = json_load_file(path, 0, NULL);
    if (o && json_unpack(o, "{s:i, s:s}", "code", &code, "error", &line) != 0) code = 0;
    snprintf(error, BATCH_ERROR, "%s", line);
    json_decref(o);
    return code;
}
