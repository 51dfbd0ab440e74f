/* Personal data taken out of a text: each place becomes the name of its kind in brackets,
 * "[NAME]", "[DATE]".  By lists and forms: a name that is not on the list stays, and so does
 * whatever tells a person by its meaning.  It lessens what a model can learn by heart; it proves
 * nothing, which is what differential privacy is for. */
#ifndef SPLIT_REDACT_H
#define SPLIT_REDACT_H

#include "split/names.h"
#include "split/personal.h"

#ifdef __cplusplus
extern "C" {
#endif

struct split_found {
    enum split_personal kind;
    size_t at, bytes; /* of the text as it was */
};

struct split_redaction {
    char *text; /* as it is now */
    struct split_found *found;
    int n, count[SPLIT_PERSONAL_KINDS];
};

#define SPLIT_ALL_KINDS ((1u << SPLIT_PERSONAL_KINDS) - 1)

/* names may be NULL; `kinds` has bit k for each kind that is taken out.  What is of a kind that
 * stays is passed over as a whole: with numbers kept, those of a date still go.  THOR_INPUT: not
 * UTF-8. */
int split_redact(struct split_redaction *r, const char *text, const struct split_names *names,
                 unsigned kinds);
void split_redaction_free(struct split_redaction *r); /* also of one set to zero; wipes */

#ifdef __cplusplus
}
#endif
#endif
