/* Processes of one batch on several machines: MPI where the program was built with it. */
#ifndef CLI_RANKS_H
#define CLI_RANKS_H

#include <stddef.h>

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* THOR_USAGE when the program was built without MPI. */
int ranks_start(int *rank, int *size);
void ranks_share(int *x, int n); /* from rank 0 to all */
int ranks_worst(int st);         /* the largest status of all ranks, once all have asked */
void ranks_end(void);            /* allowed without a start */

#ifdef __cplusplus
}
#endif
#endif
