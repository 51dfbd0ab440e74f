/* The smallest adapter and training that fuzz targets and their seeds share. */
#ifndef THOR_TESTS_FUZZ_SPLITFILES_H
#define THOR_TESTS_FUZZ_SPLITFILES_H

#include "split/basemodel.h"
#include "split/train.h"

/* One layer of 2 x 3 and 3 x 2 maps, a classifier of 2 labels. */
void splitfiles_base(struct split_base *b);
/* Its adapter of rank 1, from a fixed seed: a status. */
int splitfiles_adapter(struct split_adapter *a, const struct split_base *b);
/* A training of it as far as checkpoints go, behind its third step; 0: it could not be made. */
int splitfiles_trainer(struct split_trainer *t, struct split_adapter *a);
void splitfiles_end(struct split_trainer *t, struct split_adapter *a);

#endif
