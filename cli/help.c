#include "cli/help.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/completion.h"
#include "cli/manpage.h"

enum { HELP_COLUMN = 32, NAME_COLUMN = 11 };

const char *const exit_code_meaning[EXIT_CODES] = {
    "done",
    "internal error: a bug",
    "command line: unknown option, missing or impossible value",
    "text or table: empty, too long, not UTF-8, no such row",
    "model folder or weight container: missing, damaged, wrong shape, NaN",
    "key, parameter or ciphertext file: damaged, of other parameters, insecure",
    "operating system: no such folder, disk full, no permission",
    "not enough memory",
    "a value left the range for which the result is right",
    "interrupted by a signal; finished results are kept",
};

static const char *const forms[] = {"text", "man", "bash", "zsh", "fish", "pages"};
enum { FORMS = sizeof forms / sizeof forms[0] };

int help_form_of(enum help_form *form, const char *word) {
    *form = HELP_TEXT;
    if (!word) return THOR_OK;
    for (int i = 0; i < FORMS; i++) {
        *form = (enum help_form)i;
        if (strcmp(word, forms[i]) == 0) return THOR_OK;
    }
    return thor_fail(THOR_USAGE,
                     "--help=%.40s: there are man (a manual page), bash, zsh and fish "
                     "(what completes words there)",
                     word);
}

int help_asked(enum help_form *form, const char *word) {
    *form = HELP_TEXT;
    if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) return 1;
    if (strncmp(word, "--help=", 7) != 0) return 0;
    for (int i = 0; i < FORMS; i++) {
        *form = (enum help_form)i;
        if (strcmp(word + 7, forms[i]) == 0) return 1;
    }
    return 0;
}

enum value_kind value_kind(const char *arg) {
    if (!arg) return VALUE_NONE;
    if (strstr(arg, "FILE") || strstr(arg, "DIR") || !strcmp(arg, "TSV") || !strcmp(arg, "MODEL"))
        return VALUE_FILE;
    return islower((unsigned char)arg[0]) ? VALUE_WORDS : VALUE_ANY;
}

int value_word(const char **word, const char **at) {
    while (*at && **at) {
        *word = *at;
        const int n = (int)strcspn(*word, "|]");
        int plain = n > 0;
        for (int i = 0; i < n; i++) plain &= !isupper((unsigned char)(*word)[i]);
        *at = (*word)[n] == '|' ? *word + n + 1 : NULL;
        if (plain) return n;
    }
    return 0;
}

static void exit_codes(void) {
    puts("Exit codes:");
    for (int i = 0; i < EXIT_CODES; i++) printf("  %d  %s\n", i, exit_code_meaning[i]);
}

static void text_command(const struct command_spec *c) {
    printf("Usage: thor %s %s\n\n%s\n\nOptions:\n", c->name, c->usage, c->about);
    for (const struct option_spec *o = c->options; o->name; o++) {
        int w = printf("  --%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
        printf("%*s%s\n", w < HELP_COLUMN ? HELP_COLUMN - w : 1, "", o->help);
    }
    int w = printf("  --help[=man]");
    printf("%*sthis text, or a manual page\n\nExamples:\n%s\n", HELP_COLUMN - w, "", c->examples);
    exit_codes();
}

static void text_group(const struct command_group *g) {
    const int program = !g->name[0];
    const char *gap = program ? "" : " ";
    if (program) printf("thor %s: %s\n\n", ckks_version(), g->summary);
    printf("Usage: thor %s%s%s [OPTIONS]\n\n%c%ss:\n", g->name, gap, program ? "COMMAND" : "ACTION",
           toupper((unsigned char)g->what[0]), g->what + 1);
    for (const struct subcommand *s = g->table; s->name; s++)
        printf("  %-*s %s\n", NAME_COLUMN, s->name, s->summary);
    printf("  %-*s this text; thor %s%s%s --help has the options\n", NAME_COLUMN, "--help", g->name,
           gap, program ? "COMMAND" : "ACTION");
    if (program)
        printf(
            "  %-*s in another form: man, a manual page (of commands too); bash, zsh, fish: what "
            "completes words there\n  %-*s the version\n",
            NAME_COLUMN, "--help=FORM", NAME_COLUMN, "--version");
    if (g->environment) printf("\nEnvironment:\n%s", g->environment);
    printf("\nExamples:\n%s\n", g->examples);
    exit_codes();
}

void help_head(const struct command_group *g, const struct subcommand *s) {
    char page[64];
    snprintf(page, sizeof page, "%s%s%s", g->name, g->name[0] ? " " : "", s->name);
    manpage_head(page, s->summary);
}

void help_command(const struct command_spec *c, enum help_form form) {
    if (form == HELP_TEXT)
        text_command(c);
    else if (form == HELP_MAN)
        manpage_command(c);
    else if (form == HELP_PAGES)
        puts(c->name);
    else
        completion_command(c, form);
}

/* Each subcommand prints its own. */
static void below(const struct command_group *g, enum help_form form) {
    char word[32];
    snprintf(word, sizeof word, "--help=%s", forms[form]);
    for (const struct subcommand *s = g->table; s->name; s++) {
        char *argv[] = {(char *)s->name, word, NULL};
        s->run(2, argv);
    }
}

void help_group(const struct command_group *g, enum help_form form) {
    if (form == HELP_TEXT) {
        text_group(g);
    } else if (form == HELP_MAN) {
        if (!g->name[0]) manpage_head("", g->summary);
        manpage_group(g);
    } else if (form == HELP_PAGES) {
        if (g->name[0]) puts(g->name);
        below(g, form);
    } else {
        completion_begin(g, form);
        below(g, form);
        completion_end(g, form);
    }
}
