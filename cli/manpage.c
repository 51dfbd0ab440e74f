#include "cli/manpage.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/help.h"

/* Text as roff reads it: - is a minus sign, \ is itself, . and ' begin no request. */
static void put(const char *text) {
    for (const char *p = text; *p; p++) {
        if ((p == text || p[-1] == '\n') && (*p == '.' || *p == '\'')) fputs("\\&", stdout);
        if (*p == '-')
            fputs("\\-", stdout);
        else if (*p == '\\')
            fputs("\\e", stdout);
        else if (*p == '\'')
            fputs("\\(aq", stdout);
        else if (*p == '`')
            fputs("\\(ga", stdout);
        else if (*p == '^')
            fputs("\\(ha", stdout);
        else if (*p == '~')
            fputs("\\(ti", stdout);
        else
            putchar(*p);
    }
}

/* "thor-remote-login" of "remote login". */
static void put_page(const char *page) {
    fputs("thor", stdout);
    if (page[0]) fputs("\\-", stdout);
    for (; *page; page++) fputs(*page == ' ' ? "\\-" : (char[]){*page, 0}, stdout);
}

static void see(const char *page, const char *after) {
    fputs(".BR ", stdout);
    put_page(page);
    printf(" (1)%s\n", after);
}

/* Prose: its line breaks are others here, and two blanks behind a point are one. */
static void put_prose(const char *text) {
    enum { WIDE = 72 };
    int column = 0;
    while (*(text += strspn(text, " \n"))) {
        char word[256];
        const int n = (int)strcspn(text, " \n");
        if (column) putchar(column + n > WIDE ? '\n' : ' ');
        column = column + n > WIDE ? n : column + n + 1;
        snprintf(word, sizeof word, "%.*s", n, text);
        put(word);
        text += n;
    }
    putchar('\n');
}

static void put_lines(const char *title, const char *lines) {
    printf(".SH %s\n.nf\n", title);
    put(lines);
    puts(".fi");
}

static void put_exit_codes(void) {
    puts(".SH EXIT STATUS");
    for (int i = 0; i < EXIT_CODES; i++) {
        printf(".TP\n.B %d\n", i);
        put_prose(exit_code_meaning[i]);
    }
}

static void put_option(const char *name, const char *arg, const char *help) {
    fputs(".TP\n\\fB\\-\\-", stdout);
    put(name);
    fputs("\\fR", stdout);
    if (arg) {
        fputs(arg[0] == '[' ? "\\fI" : " \\fI", stdout);
        put(arg);
        fputs("\\fR", stdout);
    }
    putchar('\n');
    put_prose(help);
}

void manpage_head(const char *page, const char *summary) {
    fputs(".\\\" Made by thor --help=man from the tables of options.\n.TH THOR", stdout);
    if (page[0]) fputs("\\-", stdout);
    for (const char *p = page; *p; p++)
        fputs(*p == ' ' ? "\\-" : (char[]){(char)toupper((unsigned char)*p), 0}, stdout);
    printf(" 1 %s \"thor %s\" \"User Commands\"\n.SH NAME\n", THOR_DATE, ckks_version());
    put_page(page);
    fputs(" \\- ", stdout);
    put_prose(summary);
}

void manpage_command(const struct command_spec *c) {
    printf(".SH SYNOPSIS\n.B thor ");
    put(c->name);
    putchar('\n');
    put_prose(c->usage);
    puts(".SH DESCRIPTION");
    put_prose(c->about);
    puts(".SH OPTIONS");
    for (const struct option_spec *o = c->options; o->name; o++)
        put_option(o->name, o->arg, o->help);
    put_option("help", "[=man]", "this text, or a manual page");
    put_exit_codes();
    put_lines("EXAMPLES", c->examples);
    puts(".SH SEE ALSO");
    see("", "");
}

void manpage_group(const struct command_group *g) {
    const int program = !g->name[0];
    printf(".SH SYNOPSIS\n.B thor%s%s\n.I %s\n[OPTIONS]\n.SH DESCRIPTION\n", program ? "" : " ",
           g->name, program ? "COMMAND" : "ACTION");
    put_prose(g->about);
    puts(program ? ".SH COMMANDS" : ".SH ACTIONS");
    for (const struct subcommand *s = g->table; s->name; s++) {
        printf(".TP\n.B ");
        put(s->name);
        putchar('\n');
        put_prose(s->summary);
    }
    puts(".SH OPTIONS");
    put_option("help", program ? "[=FORM]" : "[=man]",
               program ? "the commands, or those in another form: man, bash, zsh or fish (what "
                         "completes words there)"
                       : "the actions, or this page");
    if (program) put_option("version", NULL, "the version");
    if (g->environment) put_lines("ENVIRONMENT", g->environment);
    put_exit_codes();
    put_lines("EXAMPLES", g->examples);
    puts(".SH SEE ALSO");
    if (!program) see("", ",");
    for (const struct subcommand *s = g->table; s->name; s++) {
        char page[64];
        snprintf(page, sizeof page, "%s%s%s", g->name, program ? "" : " ", s->name);
        see(page, s[1].name ? "," : "");
    }
}
