/* How much a test does, by the environment. */
#ifndef THOR_TESTS_DOSE_H
#define THOR_TESTS_DOSE_H

/* THOR_FULL=0: what takes seconds under the sanitizers. */
int dose_small(void);
/* The number in the variable `name`; `usual` where it is not set. */
int dose(const char *name, int usual);

#endif
