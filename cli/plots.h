/* layer-00.png, layer-01.png, .., head.png: what was decrypted at each stage against the plain
 * model, a panel a tensor.  Drawn by gnuplot, a program of its own; without it there are no
 * plots. */
#ifndef CLI_PLOTS_H
#define CLI_PLOTS_H

#include <stdio.h>

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct plots;

/* Into `folder`, for a model of `layers` layers. *out is NULL, after one line on stderr, where
 * gnuplot is missing. */
int plots_new(struct plots **out, const char *folder, int layers);
/* The points that follow are of this tensor.  A new layer draws the one before. */
void plots_tensor(struct plots *p, int layer, const char *name);
void plots_point(void *plots, double got, double want); /* fits bert_compare_watch */
/* Draws the last layer and frees; NULL is allowed.  A plot that fails costs one line on stderr,
 * nothing else. */
void plots_end(struct plots *p);

/* 0, after one line on stderr, where gnuplot is missing. */
int plots_can_draw(void);
/* The picture that gnuplot makes of what `put` writes, a script without names of files, as the file
 * `path`, whole or not at all; script and picture lie in memory on their way.  0: it cannot. */
int plots_draw(const char *path, void (*put)(FILE *script, const void *ctx), const void *ctx);

#ifdef __cplusplus
}
#endif
#endif
