#include "cli/subcommand.h"

#include <string.h>

#include "cli/help.h"
#include "cli/nearest.h"

/* How many words of argv[1..] the name takes; 0: they are others. */
static int words_of(const char *name, int argc, char **argv) {
    const char *second = strchr(name, ' ');
    if (argc < 2) return 0;
    if (!second) return strcmp(argv[1], name) == 0;
    const size_t first = (size_t)(second - name);
    if (argc < 3 || strlen(argv[1]) != first || strncmp(argv[1], name, first) != 0) return 0;
    return strcmp(argv[2], second + 1) == 0 ? 2 : 0;
}

const struct subcommand *subcommand_find(int *words, const struct subcommand *table, int argc,
                                         char **argv) {
    const struct subcommand *found = NULL;
    *words = 0;
    for (const struct subcommand *s = table; s->name; s++) {
        const int n = words_of(s->name, argc, argv);
        if (n > *words) *words = n, found = s;
    }
    return found;
}

static int unknown(const struct command_group *g, const char *word) {
    struct nearest n;
    const char *gap = g->name[0] ? " " : "";
    nearest_start(&n, word);
    for (const struct subcommand *s = g->table; s->name; s++)
        if (!strchr(s->name, ' ')) nearest_try(&n, s->name);
    if (n.best)
        return thor_fail(THOR_USAGE, "%.60s: unknown %s; did you mean thor %s%s%s?", word, g->what,
                         g->name, gap, n.best);
    return thor_fail(THOR_USAGE, "%.60s: unknown %s; see thor %s%s--help", word, g->what, g->name,
                     gap);
}

int subcommand_run(const char **command, const struct command_group *g, int argc, char **argv) {
    enum help_form form;
    int words;
    if (command) *command = NULL;
    if (argc < 2)
        return thor_fail(THOR_USAGE, "no %s given; see thor %s%s--help", g->what, g->name,
                         g->name[0] ? " " : "");
    if (help_asked(&form, argv[1]) || strcmp(argv[1], "help") == 0) {
        help_group(g, form);
        return OPTIONS_DONE;
    }
    if (strncmp(argv[1], "--help=", 7) == 0) return help_form_of(&form, argv[1] + 7);
    const struct subcommand *s = subcommand_find(&words, g->table, argc, argv);
    if (!s) return unknown(g, argv[1]);
    if (command) *command = s->name;
    if (argc == words + 2 && help_asked(&form, argv[words + 1]) && form == HELP_MAN)
        help_head(g, s);
    return s->run(argc - words, argv + words);
}
