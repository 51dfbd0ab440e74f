/* Manual pages (man(7) macros), section 1. */
#ifndef CLI_MANPAGE_H
#define CLI_MANPAGE_H

#include "cli/options.h"
#include "cli/subcommand.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Title and name; `page` is "" for thor(1), "remote login" for thor-remote-login(1). */
void manpage_head(const char *page, const char *summary);
/* All that follows. */
void manpage_command(const struct command_spec *c);
void manpage_group(const struct command_group *g);

#ifdef __cplusplus
}
#endif
#endif
