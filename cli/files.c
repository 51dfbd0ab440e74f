#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_model(const char *dir) {
    char path[4200];
    snprintf(path, sizeof path, "%s/config.json", dir);
    return access(path, R_OK) == 0;
}

int default_model(char *path, size_t size) {
    char self[3800];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n > 0) {
        self[n] = 0;
        for (int up = 0; up < 3; up++) { // the binary lies in the project, or in its build folder
            char *slash = strrchr(self, '/');
            if (!slash) break;
            *slash = 0;
            snprintf(path, size, "%s/data/sst2-tiny", self);
            if (is_model(path)) return THOR_OK;
        }
    }
    snprintf(path, size, "data/sst2-tiny");
    if (is_model(path)) return THOR_OK;
    return thor_fail(THOR_MODEL, "data/sst2-tiny: the default model is neither beside the program nor here; "
                     "name a model folder with --model");
}

int make_folder(const char *path) {
    if (mkdir(path, 0777) == 0) return THOR_OK;
    struct stat s;
    int why = errno;
    if (why == EEXIST && stat(path, &s) == 0 && S_ISDIR(s.st_mode)) return THOR_OK;
    return thor_fail(THOR_IO, "%.300s: cannot make the folder (%s); name one that can be written", path,
                     strerror(why));
}

static int write_all(int fd, const char *text, size_t n) {
    while (n > 0) {
        ssize_t w = write(fd, text, n);
        if (w < 0 && errno == EINTR) continue;
        if (w < 0) return errno;
        text += w;
        n -= (size_t)w;
    }
    return fsync(fd) == 0 || errno == EINVAL ? 0 : errno;
}

int save_text(const char *path, const char *text) {
    char part[4200];
    int why = 0, w = snprintf(part, sizeof part, "%s.part", path);
    if (w < 0 || (size_t)w >= sizeof part) return thor_fail(THOR_IO, "%.100s..: the path is too long", path);
    interrupt_hold();
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        why = errno;
    } else {
        why = write_all(fd, text, strlen(text));
        if (close(fd) != 0 && !why) why = errno;
        if (!why && rename(part, path) != 0) why = errno;
        if (why) unlink(part);
    }
    interrupt_release();
    if (!why) return THOR_OK;
    return thor_fail(THOR_IO, "%.300s: cannot be written (%s); free some space or name another folder", path,
                     strerror(why));
}
