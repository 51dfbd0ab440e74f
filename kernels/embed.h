/* The roots of unity of the embedding, which every back end has (kernels.h, embed.c). */
#ifndef THOR_KERNELS_EMBED_H
#define THOR_KERNELS_EMBED_H

#include "kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* k->root_re, k->root_im for k->log_n; THOR_MEMORY. And their end. */
int kern_roots_new(struct kernels *k);
void kern_roots_free(struct kernels *k);

#ifdef __cplusplus
}
#endif
#endif
