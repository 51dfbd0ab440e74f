#include "kernels/freemem.h"

#include <mntent.h>
#include <stdio.h>
#include <string.h>

enum { PATH = 4600, LINE = 4352 };

/* What is read of a group, and how the line of /proc/self/cgroup that names it begins. */
static const struct version {
    const char *type, *option, *names; /* of the mount; NULL: no matter */
    const char *limit, *used, *file_pages[2];
} versions[] = {
    {"cgroup2", NULL, "", "memory.max", "memory.current", {"inactive_file ", "active_file "}},
    {"cgroup",
     "memory",
     "memory",
     "memory.limit_in_bytes",
     "memory.usage_in_bytes",
     {"total_inactive_file ", "total_active_file "}},
};

/* The number behind `key`, where a line begins with it ("": the first line); -1 when there is none:
 * no such file, or "max". */
static double number_in(const char *path, const char *key) {
    char line[256];
    double x = -1;
    FILE *f = fopen(path, "re");
    while (f && x < 0 && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0 && sscanf(line + strlen(key), "%lf", &x) != 1)
            x = -1;
    if (f) fclose(f);
    return x;
}

static double number_of(const char *group, const char *file, const char *key) {
    char path[PATH];
    const int n = snprintf(path, sizeof path, "%s/%s", group, file);
    return n < (int)sizeof path ? number_in(path, key) : -1;
}

static void lower(double *least, double x) {
    if (x >= 0 && (*least < 0 || x < *least)) *least = x;
}

/* What the limit of one group leaves; where it sets none, nothing. */
static void look_at_group(double *least, const struct version *v, const char *group) {
    const double limit = number_of(group, v->limit, "");
    double used = number_of(group, v->used, "");
    if (limit < 0 || used < 0) return;
    for (int i = 0; i < 2; i++) {
        const double pages = number_of(group, "memory.stat", v->file_pages[i]);
        if (pages > 0) used -= pages;
    }
    if (used < 0) used = 0;
    lower(least, limit > used ? limit - used : 0);
}

/* 1 when the list of controllers "a,b,c" has the name; "" is version 2's, an empty list. */
static int has_name(const char *list, const char *name) {
    const size_t n = strlen(name);
    for (;; list++) {
        const size_t len = strcspn(list, ",");
        if (len == n && strncmp(list, name, n) == 0) return 1;
        list += len;
        if (!*list) return 0;
    }
}

/* The path of this process's group, "/a/b", from a line "7:cpu,memory:/a/b"; "" when it is in
 * none. */
static void own_group(char path[LINE], const struct version *v, const char *root) {
    char file[PATH], line[LINE], *at, *list;
    snprintf(file, sizeof file, "%s/proc/self/cgroup", root);
    FILE *f = fopen(file, "re");
    path[0] = 0;
    while (f && fgets(line, sizeof line, f)) {
        at = line;
        line[strcspn(line, "\n")] = 0;
        strsep(&at, ":");
        if (!(list = strsep(&at, ":")) || !at || !has_name(list, v->names)) continue;
        snprintf(path, LINE, "%s", at);
        break;
    }
    if (f) fclose(f);
}

/* From the own group up to the mount itself.  In a container the path may be the host's, and only
 * the mount be there. */
static void look_at_mount(double *least, const struct version *v, const char *root,
                          const char *dir) {
    char own[LINE], group[PATH];
    own_group(own, v, root);
    for (;;) {
        char *slash = strrchr(own, '/');
        if (slash && !slash[1]) *slash = 0; // of "/" as of the mount
        if (snprintf(group, sizeof group, "%s%s%s", root, dir, own) < PATH)
            look_at_group(least, v, group);
        if (!(slash = strrchr(own, '/'))) return;
        *slash = 0;
    }
}

double freemem_bytes(const char *root) {
    char path[PATH];
    double least = -1;
    struct mntent *m;
    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    const double kib = number_in(path, "MemAvailable:");
    if (kib >= 0) lower(&least, kib * 1024);
    snprintf(path, sizeof path, "%s/proc/self/mounts", root);
    FILE *f = setmntent(path, "re");
    while (f && (m = getmntent(f)))
        for (int i = 0; i < 2; i++) {
            const struct version *v = &versions[i];
            if (strcmp(m->mnt_type, v->type) == 0 && (!v->option || hasmntopt(m, v->option)))
                look_at_mount(&least, v, root, m->mnt_dir);
        }
    if (f) endmntent(f);
    return least < 0 ? 0 : least < 1 ? 1 : least;
}
