/* Ciphertext files given as one file or as a folder of NAME.ct. */
#ifndef CLI_FOLDER_H
#define CLI_FOLDER_H

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct folder {
    char **path;  /* in order of their names, numbers by value */
    int n;
    int is_folder; /* 0: the path itself, alone */
};

int folder_open(struct folder *f, const char *path);
void folder_close(struct folder *f);
int folder_is(const char *path);
/* DIR/NAME for the file NAME, wherever that lies. */
void folder_join(char *out, unsigned size, const char *dir, const char *file);

#ifdef __cplusplus
}
#endif
#endif
