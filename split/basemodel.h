/* What an adapter is for: sizes and names of the maps of a model folder, by its config.json. */
#ifndef SPLIT_BASEMODEL_H
#define SPLIT_BASEMODEL_H

#include <stddef.h>

#include "split/adapter.h"

#ifdef __cplusplus
extern "C" {
#endif

struct split_base {
    int layers, in[SPLIT_MAPS], out[SPLIT_MAPS]; /* 0: there is no such map */
    int labels, hidden;                          /* of the classifier; labels 0: none */
    int no_bias;                                 /* the classifier has weights alone */
    uint64_t hash; /* of the weights (split_base_hash); 0: not asked for */
    int joint;     /* q, k, v are one map, and maps are stored in x out (GPT-2) */
    /* A map is called body + layers + number + "." + map + ".weight"; the classifier head. */
    const char *body, *layer_list, *map[SPLIT_MAPS], *head;
};

/* BERT and its relatives, GPT-2, Llama and its relatives.  THOR_MODEL names what is not. */
int split_base_read(struct split_base *b, const char *folder);
/* Reads all weights of the folder for b->hash: bert_shards_hash. */
int split_base_hash(struct split_base *b, const char *folder);
/* The map's name without ".weight". */
void split_base_name(char *name, size_t size, const struct split_base *b, const char *body,
                     int layer, int map);
/* What an adapter of all the given maps asks for; rank and alpha are the caller's. */
void split_base_ask(struct split_adapter_ask *ask, const struct split_base *b, unsigned maps);
/* THOR_MODEL unless the adapter fits the base, and THOR_USAGE where both say which weights they are
 * of, and not the same. */
int split_base_fits(const struct split_base *b, const struct split_adapter *a);

/* "q", "k", "v", "o", "gate", "up", "down" */
extern const char *const split_map_names[SPLIT_MAPS];
/* Bits of a list with commas, or "all" (those of `in` with columns); THOR_USAGE. */
int split_maps_parse(unsigned *maps, const char *list, const int in[SPLIT_MAPS]);

#ifdef __cplusplus
}
#endif
#endif
