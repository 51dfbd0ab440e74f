#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ckks/file.h"

static int is_model(const char *dir) {
    char path[4200];
    snprintf(path, sizeof path, "%s/config.json", dir);
    return access(path, R_OK) == 0;
}

int shipped_model(char *path, size_t size, const char *name) {
    char self[3800];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n > 0) {
        self[n] = 0;
        for (int up = 0; up < 3; up++) { // the binary lies in the project, or in its build folder
            char *slash = strrchr(self, '/');
            if (!slash) break;
            *slash = 0;
            snprintf(path, size, "%s/data/%s", self, name);
            if (is_model(path)) return THOR_OK;
            snprintf(path, size, "%s/share/thor/%s", self, name); // or is installed
            if (is_model(path)) return THOR_OK;
        }
    }
    snprintf(path, size, "data/%s", name);
    if (is_model(path)) return THOR_OK;
    return thor_fail(THOR_MODEL,
                     "data/%s: the default model is neither beside the program nor here; name a "
                     "model folder with --model",
                     name);
}

int default_model(char *path, size_t size) {
    return shipped_model(path, size, "sst2-tiny");
}

static int make_with(const char *path, mode_t mode, int *made) {
    *made = mkdir(path, mode) == 0;
    if (*made) return THOR_OK;
    struct stat s;
    int why = errno;
    if (why == EEXIST && stat(path, &s) == 0 && S_ISDIR(s.st_mode)) return THOR_OK;
    return thor_fail(THOR_IO, "%.300s: cannot make the folder (%s); name one that can be written",
                     path, strerror(why));
}

/* What make_folder has made in this run, the first of them. */
static char *made_here[16];

int make_folder(const char *path) {
    enum { MOST = sizeof made_here / sizeof made_here[0] };
    int made, i = 0;
    const int st = make_with(path, 0777, &made);
    while (i < MOST && made_here[i]) i++;
    if (made && i < MOST) made_here[i] = strdup(path);
    return st;
}

void folders_end(int keep) {
    for (int i = (int)(sizeof made_here / sizeof made_here[0]) - 1; i >= 0; i--) {
        if (made_here[i] && !keep) rmdir(made_here[i]);
        free(made_here[i]);
        made_here[i] = NULL;
    }
}

int make_private_folder(const char *path, int *made) {
    return make_with(path, 0700, made);
}

int save_text(const char *path, const char *text) {
    int st = THOR_OK;
    struct ckks_file_out *f = NULL;
    interrupt_hold();
    TRY(ckks_file_create(&f, path, CKKS_FILE_SHARED));
    TRY(ckks_file_write(f, text, strlen(text)));
    TRY(ckks_file_commit(&f));
out:
    ckks_file_abandon(&f);
    interrupt_release();
    return st;
}
