/* Command lines: one table per subcommand drives getopt_long, the checks of values and the help
 * text. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OPTIONS_MAX_LIST 64
#define OPTIONS_DONE (-1) /* help was printed: nothing left to do, exit 0 */

enum option_kind {
    OPTION_FLAG,  /* to: int, set to 1 */
    OPTION_INT,   /* to: int, checked against min and max */
    OPTION_TEXT,  /* to: const char * */
    OPTION_TEXTS, /* to: struct option_texts, may be repeated */
    OPTION_SPANS  /* to: struct option_spans, "A" or "A..B" (B included), may be repeated */
};

struct option_texts {
    const char *text[OPTIONS_MAX_LIST];
    int n;
};

struct option_spans {
    int first[OPTIONS_MAX_LIST], last[OPTIONS_MAX_LIST];
    int n;
};

struct option_spec {
    const char *name; /* without the dashes; NULL ends a table */
    const char *arg;  /* what the value is called in the help; NULL for a flag */
    enum option_kind kind;
    void *to;
    int min, max; /* of OPTION_INT, and of both ends of OPTION_SPANS */
    const char *help;
};

struct command_spec {
    const char *name;
    const char *usage;    /* after "thor NAME" */
    const char *about;    /* one or two sentences */
    const char *examples; /* lines, each ending in a newline */
    const struct option_spec *options;
    int max_operands;
};

/* Parse argv[1..].  Operands go to operand[0..max_operands-1] (unset ones stay as they are).
 * --help, or --help=FORM (help.h), prints on stdout and returns OPTIONS_DONE.  THOR_USAGE names the
 * option and the mend. */
int options_parse(const struct command_spec *c, int argc, char **argv, const char **operand);

/* Rows that tables share (option_rows.c). */
struct option_spec option_model(const char **to);
struct option_spec option_keys(const char **to);           /* or made in memory */
struct option_spec option_secret_keys(const char **to);    /* a folder with secret.key */
struct option_spec option_weights(const char **to);        /* or those of the model */
struct option_spec option_server_weights(const char **to); /* for a client: their ranges */
struct option_spec option_pair(struct option_texts *to);
struct option_spec option_columns(const char **to);
struct option_spec option_layers(struct option_spans *to); /* of a GPT-2 */
struct option_spec option_device(const char **to);
struct option_spec option_threads(int *to);
struct option_spec option_compact(int *to);
struct option_spec option_compare(int *to);
struct option_spec option_require_locked(int *to);
struct option_spec option_toy_set(const char **to);

#ifdef __cplusplus
}
#endif
#endif
