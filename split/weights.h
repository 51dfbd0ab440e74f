/* The frozen maps of a model as they lie in its Hugging Face folder: config.json and
 * model.safetensors, or the files of its index.
 *
 *   stage   BERT and its like        GPT-2         Llama, Mistral, Qwen2
 *   QKV     query, key, value        attn.c_attn   q_proj, k_proj, v_proj
 *   O       attention.output.dense   attn.c_proj   o_proj
 *   UP      intermediate.dense       mlp.c_fc      gate_proj, up_proj
 *   DOWN    output.dense             mlp.c_proj    down_proj
 *
 * Nothing is kept in memory but the headers: a map is read when it is asked for, from the pages
 * that the system keeps of the files.  (They are read and not mapped: bert/input/readfile.h.) */
#ifndef SPLIT_WEIGHTS_H
#define SPLIT_WEIGHTS_H

#include <stddef.h>

#include "split/service.h"

#ifdef __cplusplus
extern "C" {
#endif

struct split_weights;

/* The folder's model.safetensors, or the index of several files. */
void split_weights_path(char *path, size_t size, const char *folder);
/* 1: a model_type whose layers are Llama's. */
int split_llama_is(const char *type);

/* THOR_MODEL when a file is missing or damaged, or a map is not there in its shape. */
int split_weights_open(struct split_weights **out, const char *folder);
void split_weights_close(struct split_weights *w); /* NULL is allowed */

const struct split_shape *split_weights_shape(const struct split_weights *w);
/* Of the files, as bert_shards_hash. */
int split_weights_hash(uint64_t *hash, const struct split_weights *w);

/* w = the map of a stage, out x in, row major, its tensors one below the other; any number of
 * threads at once. */
int split_weights_read(float *w, const struct split_weights *from, int layer,
                       enum split_stage stage);

/* THOR_USAGE unless `ask` is for a layer and a stage of this shape and some tokens. */
int split_ask_check(const struct split_ask *ask, const struct split_shape *shape);

#ifdef __cplusplus
}
#endif
#endif
