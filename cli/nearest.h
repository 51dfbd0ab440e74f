/* The word that was meant: what an unknown subcommand or option is nearest to. */
#ifndef CLI_NEAREST_H
#define CLI_NEAREST_H

#ifdef __cplusplus
extern "C" {
#endif

struct nearest {
    const char *word; /* as typed */
    const char *best; /* NULL: nothing is near */
    int distance;     /* of best */
};

/* Candidates one after another; the first of those at the least distance stays.  Near is what at
 * most 1 + n/4 letters put in, left out, exchanged or swapped with the next make of a word of n. */
void nearest_start(struct nearest *n, const char *word);
void nearest_try(struct nearest *n, const char *candidate);

#ifdef __cplusplus
}
#endif
#endif
