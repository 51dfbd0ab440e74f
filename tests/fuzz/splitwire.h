/* A product of split mode that fuzz targets and their seeds share: toy10, one layer, 20 columns to
 * 24, 3 tokens. */
#ifndef THOR_TESTS_FUZZ_SPLITWIRE_H
#define THOR_TESTS_FUZZ_SPLITWIRE_H

#include "split/caller.h"
#include "split/host.h"

/* A client with its keys, which the server of the same process computes with, and its call. */
struct splitwire {
    struct split_caller *caller;
    struct ckks_keys *keys;
    struct split_shape shape;
    struct split_call call;
};

/* 0: it could not be made. */
int splitwire_open(struct splitwire *w);
void splitwire_close(struct splitwire *w);
/* The server's answer to n bytes, into reply[splitwire_room(w)]. */
int splitwire_answer(uint8_t *reply, struct splitwire *w, const uint8_t *request, size_t n);
/* Bytes of the longest reply of this shape. */
size_t splitwire_room(const struct splitwire *w);

#endif
