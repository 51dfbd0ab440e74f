/* Subcommands as tables: of the program, and of a subcommand that has actions. */
#ifndef CLI_SUBCOMMAND_H
#define CLI_SUBCOMMAND_H

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct subcommand {
    const char *name; /* one word, or two ("serve token"); NULL ends a table */
    const char *summary;
    int (*run)(int argc, char **argv); /* argv[0]: the (last) word of the name */
};

struct command_group {
    const char *name;        /* "remote"; "" of the program */
    const char *what;        /* what its subcommands are called: "command", "action" */
    const char *summary;     /* one line */
    const char *about;       /* of the manual page */
    const char *environment; /* lines, each ending in a newline; NULL: none */
    const char *examples;    /* likewise */
    const struct subcommand *table;
};

/* The row whose name argv[1..] begins with, or NULL; *words: how many of them. */
const struct subcommand *subcommand_find(int *words, const struct subcommand *table, int argc,
                                         char **argv);
/* Run the subcommand that argv[1..] names, or print the group's help.  *command (may be NULL): the
 * name of what runs, or NULL.  THOR_USAGE names the nearest for a name that is not there. */
int subcommand_run(const char **command, const struct command_group *g, int argc, char **argv);

#ifdef __cplusplus
}
#endif
#endif
