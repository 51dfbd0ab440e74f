/* An adapter in a folder, in the layout of the PEFT library, so that either reads the other's:
 *
 *   adapter_model.safetensors   base_model.model.NAME.lora_A.weight   rank x in, F32
 *                               base_model.model.NAME.lora_B.weight   out x rank
 *                               base_model.model.classifier.weight, .bias
 *   adapter_config.json         r, lora_alpha, target_modules, fan_in_fan_out, modules_to_save, ..
 *   thor_adapter.json           {"maps": ["q", "v"], "frozen_a": false}: for reading it again here
 *
 * GPT-2 has q, k and v in one map, c_attn.  With n of the three adapted its A is theirs, one below
 * the other, its B is zero but for their blocks, and rank and alpha are n times those of a map
 * (rank_pattern, alpha_pattern): the same function.  An adapter of c_attn from elsewhere becomes
 * three that have its A each.
 */
#ifndef SPLIT_ADAPTERFILE_H
#define SPLIT_ADAPTERFILE_H

#include "split/basemodel.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Into a folder that is there, each file whole and for the owner alone, adapter_config.json last.
 * `model` is noted as the base's name; NULL: none. */
int split_adapter_save(const struct split_adapter *a, const char *folder,
                       const struct split_base *b, const char *model);
/* THOR_MODEL names what is damaged, of another model, or not computed here (DoRA, trained biases,
 * ranks that differ).  Values are those of the file, which are floats. */
int split_adapter_load(struct split_adapter *a, const char *folder, const struct split_base *b);

#ifdef __cplusplus
}
#endif
#endif
