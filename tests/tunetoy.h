/* A tiny model (splitfolder.h), an adapter and rows to train it on: a row's label is whether token
 * 7 is in it, and the next token is the one that the row has most often. */
#ifndef TESTS_TUNETOY_H
#define TESTS_TUNETOY_H

#include "tests/splitfolder.h"

enum { TUNETOY_ROWS = 24, TUNETOY_TOKENS = 8 };

struct tunetoy {
    struct splitfolder folder;
    struct split_model *m;
    struct split_adapter a; /* every map, rank 2; of a BERT a classifier of two labels */
    struct split_text text[TUNETOY_ROWS];
    int ids[TUNETOY_ROWS][TUNETOY_TOKENS], targets[TUNETOY_ROWS][TUNETOY_TOKENS];
};

/* The folder is scratch_path("model"), written anew. */
void tunetoy_open(struct tunetoy *t, const char *name);
void tunetoy_close(struct tunetoy *t);

#endif
