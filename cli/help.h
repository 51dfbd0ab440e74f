/* What --help prints: as text, as a manual page, or as what a shell completes words by, all from
 * the tables of options. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "cli/options.h"
#include "cli/subcommand.h"

#ifdef __cplusplus
extern "C" {
#endif

enum help_form { HELP_TEXT, HELP_MAN, HELP_BASH, HELP_ZSH, HELP_FISH, HELP_PAGES };

/* 1: `word` is -h, --help or --help=FORM.  0: it is another word, or an unknown form. */
int help_asked(enum help_form *form, const char *word);
/* The form behind "--help="; NULL: text.  THOR_USAGE names those that there are. */
int help_form_of(enum help_form *form, const char *word);

/* On stdout.  The manual page of a subcommand begins with help_head, for its summary stands in the
 * table of subcommands. */
void help_head(const struct command_group *g, const struct subcommand *s);
void help_command(const struct command_spec *c, enum help_form form);
/* Of the program, or of a subcommand that has actions: in the forms for shells, and in HELP_PAGES
 * (the names of all pages, a line each), all that is below it too. */
void help_group(const struct command_group *g, enum help_form form);

/* The exit codes that mean failure or success, as text: codes are indices (kernels/status.h). */
enum { EXIT_CODES = 10 };
extern const char *const exit_code_meaning[EXIT_CODES];

/* What a value or an operand called `arg` in a table of options is. */
enum value_kind { VALUE_NONE, VALUE_ANY, VALUE_FILE, VALUE_WORDS };
enum value_kind value_kind(const char *arg);
/* The words among the alternatives of "cpu|cuda|cuda:N" (those without capitals), one a call: *at
 * goes on from `arg` to NULL.  Their length, and where they begin in *word. */
int value_word(const char **word, const char **at);

#ifdef __cplusplus
}
#endif
#endif
