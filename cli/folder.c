#include "cli/folder.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int folder_is(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

static int is_ciphertext(const struct dirent *e) {
    size_t n = strlen(e->d_name);
    return e->d_name[0] != '.' && n > 3 && strcmp(e->d_name + n - 3, ".ct") == 0;
}

static int add(struct folder *f, const char *dir, const char *name) {
    int ok = dir ? asprintf(&f->path[f->n], "%s/%s", dir, name) >= 0
                 : (f->path[f->n] = strdup(name)) != NULL;
    f->n += ok;
    return ok ? THOR_OK : thor_fail(THOR_MEMORY, "no memory for the names of a folder");
}

int folder_open(struct folder *f, const char *path) {
    int st = THOR_OK, n = 1;
    struct dirent **entry = NULL;
    *f = (struct folder){.is_folder = folder_is(path)};
    if (f->is_folder && (n = scandir(path, &entry, is_ciphertext, versionsort)) < 0)
        return thor_fail(THOR_IO, "%.300s: the folder cannot be read", path);
    f->path = calloc((size_t)n + 1, sizeof *f->path);
    if (!f->path)
        st = thor_fail(THOR_MEMORY, "no memory for the names of a folder");
    else if (n == 0)
        st = thor_fail(THOR_INPUT, "%.300s: holds no ciphertext file, NAME.ct", path);
    for (int i = 0; i < n && st == THOR_OK; i++)
        st = f->is_folder ? add(f, path, entry[i]->d_name) : add(f, NULL, path);
    for (int i = 0; entry && i < n; i++) free(entry[i]);
    free(entry);
    if (st) folder_close(f);
    return st;
}

void folder_close(struct folder *f) {
    for (int i = 0; i < f->n; i++) free(f->path[i]);
    free(f->path);
    memset(f, 0, sizeof *f);
}

int folder_refuse(struct folder *f, int st) {
    if (!f->is_folder || st == THOR_OK) return st;
    fprintf(stderr, "refused: %s\n", thor_error());
    f->refused++;
    if (st > f->worst) f->worst = st;
    return THOR_OK;
}

int folder_verdict(const struct folder *f, const char *what) {
    if (!f->refused) return THOR_OK;
    return thor_fail(f->worst, "%d of %d files %s; the lines above say why", f->refused, f->n,
                     what);
}

const char *folder_last(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

void folder_join(char *out, unsigned size, const char *dir, const char *file) {
    snprintf(out, size, "%s/%s", dir, folder_last(file));
}
