/* Ciphertext files given as one file or as a folder of NAME.ct. */
#ifndef CLI_FOLDER_H
#define CLI_FOLDER_H

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct folder {
    char **path; /* in order of their names, numbers by value */
    int n;
    int is_folder;      /* 0: the path itself, alone */
    int refused, worst; /* how many, and the largest status among them */
};

int folder_open(struct folder *f, const char *path);
void folder_close(struct folder *f);
/* What the file at hand failed with: in a folder it is reported in one line and counted, THOR_OK,
 * so that the others go on; alone it is `st`. */
int folder_refuse(struct folder *f, int st);
/* THOR_OK, or the worst of the statuses with a line that counts the files that `what`. */
int folder_verdict(const struct folder *f, const char *what);
int folder_is(const char *path);
/* DIR/NAME for the file NAME, wherever that lies. */
const char *folder_last(const char *path); /* its last part */
void folder_join(char *out, unsigned size, const char *dir, const char *file);

#ifdef __cplusplus
}
#endif
#endif
