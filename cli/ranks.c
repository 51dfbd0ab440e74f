#include "cli/ranks.h"

#ifdef THOR_MPI
#include <mpi.h>

static int started;

int ranks_start(int *rank, int *size) {
    if (MPI_Init(NULL, NULL) != MPI_SUCCESS)
        return thor_fail(THOR_IO, "--mpi: MPI does not start; run mpirun thor batch --mpi");
    started = 1;
    MPI_Comm_rank(MPI_COMM_WORLD, rank);
    MPI_Comm_size(MPI_COMM_WORLD, size);
    return THOR_OK;
}

void ranks_share(int *x, int n) {
    MPI_Bcast(x, n, MPI_INT, 0, MPI_COMM_WORLD);
}

int ranks_worst(int st) {
    int worst = st;
    MPI_Allreduce(&st, &worst, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    return worst;
}

void ranks_end(void) {
    if (started) MPI_Finalize();
    started = 0;
}

#else

int ranks_start(int *rank, int *size) {
    *rank = 0;
    *size = 1;
    return thor_fail(
        THOR_USAGE,
        "--mpi: this program was built without MPI; install libopenmpi-dev, then make MPI=1");
}

void ranks_share(int *x, int n) {
    (void)x, (void)n;
}

int ranks_worst(int st) {
    return st;
}

void ranks_end(void) {
}

#endif
