/* Which token comes next, by the logits of all of them, and the bytes of a text that grows. */
#ifndef CLI_SAMPLING_H
#define CLI_SAMPLING_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sampling {
    double heat;     /* of --temperature; 0: always the most probable token */
    int top_k;       /* among so many of the most probable, 0: all */
    uint64_t random; /* the stream, which begins as the seed */
};

/* logits[n] may be changed. */
int sample_token(struct sampling *s, double *logits, int n);
/* Bytes at the end that begin a character, whose others a later token may bring. */
size_t sample_unfinished(const char *text, size_t n);

#ifdef __cplusplus
}
#endif
#endif
