/* What bash, zsh and fish complete the words of thor and thor-eval by: a script each, of which
 * every subcommand prints its own part. */
#ifndef CLI_COMPLETION_H
#define CLI_COMPLETION_H

#include "cli/help.h"

#ifdef __cplusplus
extern "C" {
#endif

/* form: HELP_BASH, HELP_ZSH or HELP_FISH.  Between begin and end of the program's group come the
 * parts of its subcommands, between those of a subcommand with actions the parts of these. */
void completion_begin(const struct command_group *g, enum help_form form);
void completion_command(const struct command_spec *c, enum help_form form);
void completion_end(const struct command_group *g, enum help_form form);

#ifdef __cplusplus
}
#endif
#endif
