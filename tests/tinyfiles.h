/* The smallest model there is (1 layer, H 8, 2 heads, FFN 8, 2 labels) as files, for tests of
 * damage and faults. */
#ifndef THOR_TESTS_TINYFILES_H
#define THOR_TESTS_TINYFILES_H

#include "bert/container.h"

/* Its weights and ranges; hash 0x5eed.  Owned by the caller: bert_model_free, bert_ranges_free. */
struct bert_model *tinyfiles_model(void);
struct bert_ranges *tinyfiles_some_ranges(void);
void tinyfiles_container(const char *path);
void tinyfiles_ranges(const char *path);
/* Make that container, n bytes at data, one of version 2 or 3, without windows; its new size. */
size_t tinyfiles_older(uint8_t *data, size_t n, uint32_t version);

#endif
