/* Personal data in a folded text, by its form. */
#ifndef SPLIT_PERSONAL_H
#define SPLIT_PERSONAL_H

#include "split/folded.h"

#ifdef __cplusplus
extern "C" {
#endif

enum split_personal {
    SPLIT_NAME,   /* by the list (names.h) */
    SPLIT_EMAIL,  /* ana@example.org */
    SPLIT_LINK,   /* http://.., www. .. */
    SPLIT_DATE,   /* 2024-01-31, 31.1.2024, 1/31/24, 3/2024, 31st of January 2024; with a time */
    SPLIT_PHONE,  /* +49 170 1234567, (030) 12345-67, 555-123-4567 */
    SPLIT_ID,     /* IBAN, 123-45-6789, cards, MRN 4711, IPv4, AB123456, nine digits and more */
    SPLIT_NUMBER, /* any other number that stands by itself */
    SPLIT_PERSONAL_KINDS
};

extern const char *const split_personal_names[SPLIT_PERSONAL_KINDS]; /* "name", "email", .. */

/* Where the personal data that begins at i ends, and *kind (never SPLIT_NAME); 0: none does. */
size_t split_personal_find(enum split_personal *kind, const struct split_folded *f, size_t i);

#ifdef __cplusplus
}
#endif
#endif
