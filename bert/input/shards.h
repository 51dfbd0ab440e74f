/* The tensors of a model folder, in one .safetensors file or in several ("shards") with an index:
 *
 *   model.safetensors.index.json   {"metadata": {..}, "weight_map": {"name": "FILE", ..}}, FILE the
 *                                  plain name of a file beside it
 *
 * An index is checked in full when it is opened: every file there and sound, every tensor in the
 * file that is named for it and in no other.  What the index does not name is not there.
 */
#ifndef BERT_SHARDS_H
#define BERT_SHARDS_H

#include "bert/input/safetensors.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BERT_SHARDS_MAX 128

struct bert_shards;

/* `path` ends in ".json": an index; else one file of tensors. */
int bert_shards_open(struct bert_shards **out, const char *path);
void bert_shards_close(struct bert_shards *s); /* NULL is allowed */

/* XXH3-64 of the one file; of several, that of their hashes in the order of their names. */
int bert_shards_hash(uint64_t *hash, const struct bert_shards *s);
int bert_shards_has(const struct bert_shards *s, const char *name);

/* Its files, one or several. */
int bert_shards_files(const struct bert_shards *s);
const struct bert_tensors *bert_shards_file(const struct bert_shards *s, int i);

/* As those of bert/input/safetensors.h. */
int bert_shards_expect(const struct bert_shards *s, const char *name, int rows, int cols);
int bert_shards_read(float *w, const struct bert_shards *s, const char *name, int rows, int cols);

#ifdef __cplusplus
}
#endif
#endif
