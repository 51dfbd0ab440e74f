/* The files of page/, in the program. */
#ifndef CLI_REMOTE_WEBPAGE_H
#define CLI_REMOTE_WEBPAGE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct webpage {
    const char *name, *type; /* "" is the page itself */
    const char *data, *end;
};

const struct webpage *webpage_find(const char *name); /* or NULL */

#ifdef __cplusplus
}
#endif
#endif
