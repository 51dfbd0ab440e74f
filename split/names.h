/* A list of names, one a line, that are looked for in texts: in any case, with or without accents,
 * as whole words.  A name may have several words ("Ana de la Cruz"); empty lines and lines that
 * begin with # are passed over. */
#ifndef SPLIT_NAMES_H
#define SPLIT_NAMES_H

#include "split/folded.h"

#ifdef __cplusplus
extern "C" {
#endif

struct split_names;

/* THOR_INPUT: no such file, not UTF-8, no names in it. */
int split_names_load(struct split_names **out, const char *path);
/* From the lines of a text; `lines` is as it was afterwards. */
int split_names_parse(struct split_names **out, char *lines, const char *path);
void split_names_free(struct split_names *names); /* NULL is allowed */

/* Where the longest name that begins at i ends; 0: none does. */
size_t split_names_find(const struct split_names *names, const struct split_folded *f, size_t i);

#ifdef __cplusplus
}
#endif
#endif
