/* Failures on demand: this program's own malloc, write, .. stand in front of the system's. */
#ifndef THOR_TESTS_INTERPOSE_H
#define THOR_TESTS_INTERPOSE_H

#include "ckks/ckks.h"

enum fault {
    FAULT_NONE,
    /* malloc, calloc, realloc, aligned memory, strdup, mmap, rows of the kernel table: none left */
    FAULT_MEMORY,
    FAULT_FULL,  /* write: ENOSPC */
    FAULT_IO,    /* open, fopen, read, write, fsync, fchmod, rename, close: EIO */
    FAULT_SHORT, /* write takes half (at least one byte), read gives half: no error at all */
    FAULT_SIGNAL /* read, write: EINTR, nothing done */
};

/* Operation number n (from 1) of that kind fails; with `on`, every later one too. */
void fault_arm(enum fault kind, long n, int on);
/* Back to normal; how many operations of that kind there were. */
long fault_disarm(void);
/* blocks of memory that are allocated now; 0 where the sanitizer counts them */
long fault_live(void);
int fault_files(void); /* open file descriptors */
/* Let fault_arm(FAULT_MEMORY) reach the rows of this context. */
void fault_rows(struct ckks *cx);

#endif
