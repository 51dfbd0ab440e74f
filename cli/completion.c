#include "cli/completion.h"

#include <stdio.h>
#include <string.h>

/* ---- what the three share */

/* A part of a name: "remote login" with `gap` for what is no letter. */
static void put_name(const char *name, char gap) {
    for (; *name; name++) putchar(*name == ' ' || *name == '-' ? gap : *name);
}

/* The inside of '..': `escaped` are the characters that want a backslash, `quote` stands for '. */
static void put_inside(const char *text, const char *escaped, const char *quote) {
    for (; *text; text++) {
        if (*text == '\'') {
            fputs(quote, stdout);
            continue;
        }
        if (strchr(escaped, *text)) putchar('\\');
        putchar(*text);
    }
}

static void put_words(const char *alternatives) {
    const char *at = alternatives, *word, *gap = "";
    for (int n; (n = value_word(&word, &at)) > 0; gap = " ") printf("%s%.*s", gap, n, word);
}

static void put_commands(const struct command_group *g) {
    const char *gap = "";
    for (const struct subcommand *s = g->table; s->name; s++) {
        if (strchr(s->name, ' ')) continue;
        printf("%s%s", gap, s->name);
        gap = " ";
    }
}

/* The operand in front of a usage, "[ntt|ops|all] .." or "[FILE | ..", or NULL. */
static const char *operand_of(const struct command_spec *c, char *room, size_t size) {
    if (!c->max_operands || c->usage[0] != '[') return NULL;
    snprintf(room, size, "%.*s", (int)strcspn(c->usage + 1, " ]"), c->usage + 1);
    return room;
}

/* ---- bash: a function a subcommand sets `options`, `operand` (words, or / for files) and, by
 * the option before the cursor, `take` (likewise, or - for what cannot be guessed) */

static void bash_value(const char *variable, const char *arg) {
    const enum value_kind kind = value_kind(arg);
    printf("%s='%s", variable, kind == VALUE_FILE ? "/" : kind == VALUE_ANY ? "-" : "");
    if (kind == VALUE_WORDS) put_words(arg);
    putchar('\'');
}

static void bash_command(const struct command_spec *c) {
    char room[128];
    const char *operand = operand_of(c, room, sizeof room);
    fputs("_thor_", stdout);
    put_name(c->name, '_');
    fputs("() {\n    options='", stdout);
    for (const struct option_spec *o = c->options; o->name; o++) printf("--%s ", o->name);
    puts("--help'");
    if (operand) bash_value("    operand", operand), putchar('\n');
    puts("    case $prev in");
    for (const struct option_spec *o = c->options; o->name; o++) {
        if (!o->arg) continue;
        printf("    --%s) ", o->name);
        bash_value("take", o->arg);
        puts(" ;;");
    }
    puts("    esac\n}");
}

static void bash_begin(const struct command_group *g) {
    if (!g->name[0]) {
        puts("# bash: completes the words of thor and thor-eval; made by thor --help=bash");
        return;
    }
    printf("_thor_%s() {\n    options=--help operand='", g->name);
    put_commands(g);
    puts("'\n}");
}

/* Bash takes = and : for words of their own. */
static void bash_end(const struct command_group *g) {
    if (g->name[0]) return;
    puts("_thor() {\n"
         "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} IFS=$' \\n'\n"
         "    local one=${COMP_WORDS[1]} two=${COMP_WORDS[2]} take='' operand='' options=''\n"
         "    [ \"$prev\" != = ] || prev=${COMP_WORDS[COMP_CWORD - 2]}\n"
         "    [ \"$cur\" != = ] || cur=\n"
         "    if [ \"${COMP_WORDS[0]##*/}\" = thor-eval ] &&\n"
         "        { [ \"$one\" != serve ] || [ \"$COMP_CWORD\" = 1 ]; }; then\n"
         "        _thor_eval\n"
         "        [ \"$COMP_CWORD\" != 1 ] || operand=serve\n"
         "    elif [ \"$COMP_CWORD\" = 1 ]; then");
    fputs("        options='--help --version' operand='", stdout);
    put_commands(g);
    puts("'\n"
         "    elif [ \"$COMP_CWORD\" -gt 2 ] && declare -F \"_thor_${one}_$two\" >/dev/null; then\n"
         "        \"_thor_${one}_$two\"\n"
         "    elif declare -F \"_thor_$one\" >/dev/null; then\n"
         "        \"_thor_$one\"\n"
         "    fi\n"
         "    case \"$COMP_CWORD $one\" in");
    for (const struct subcommand *s = g->table; s->name; s++) {
        const char *second = strchr(s->name, ' ');
        if (!second) continue;
        printf("    '2 %.*s') operand=\"$operand%s\" ;;\n", (int)(second - s->name), s->name,
               second);
    }
    puts("    esac\n"
         "    if [ -z \"$take\" ]; then\n"
         "        case $cur$operand in\n"
         "        -*) take=$options ;;\n"
         "        /) take=/ ;;\n"
         "        *) [ -n \"$cur\" ] && take=$operand || take=\"$operand $options\" ;;\n"
         "        esac\n"
         "    fi\n"
         "    COMPREPLY=()\n"
         "    case $take in\n"
         "    -) ;;\n"
         "    /) IFS=$'\\n' COMPREPLY=($(compgen -f -- \"$cur\")) && compopt -o filenames ;;\n"
         "    *) COMPREPLY=($(compgen -W \"$take\" -- \"$cur\")) ;;\n"
         "    esac\n"
         "}\n"
         "complete -F _thor thor thor-eval");
}

/* ---- zsh: a function a subcommand calls _arguments */

static const char zsh_escaped[] = "[]:\\", zsh_quote[] = "'\\''";

/* ":what it is called:how it is completed" */
static void zsh_value(const char *arg) {
    const enum value_kind kind = value_kind(arg);
    putchar(':');
    put_inside(arg, zsh_escaped, zsh_quote);
    fputs(kind == VALUE_FILE ? ":_files" : kind == VALUE_ANY ? ": " : ":(", stdout);
    if (kind == VALUE_WORDS) put_words(arg), putchar(')');
}

static void zsh_command(const struct command_spec *c) {
    char room[128];
    const char *operand = operand_of(c, room, sizeof room);
    fputs("_thor_", stdout);
    put_name(c->name, '_');
    puts("() {\n    _arguments \\");
    for (const struct option_spec *o = c->options; o->name; o++) {
        const int again = o->kind == OPTION_TEXTS || o->kind == OPTION_SPANS;
        printf("        '%s--%s%s[", again ? "*" : "", o->name, o->arg ? "=" : "");
        put_inside(o->help, zsh_escaped, zsh_quote);
        putchar(']');
        if (o->arg) zsh_value(o->arg);
        puts("' \\");
    }
    fputs("        '--help[this text]'", stdout);
    if (operand) fputs(" ':", stdout), zsh_value(operand), putchar('\'');
    puts("\n}");
}

static void zsh_names(const struct command_group *g) {
    puts("    local -a names=(");
    for (const struct subcommand *s = g->table; s->name; s++) {
        if (strchr(s->name, ' ')) continue;
        printf("        '%s:", s->name);
        put_inside(s->summary, ":\\", zsh_quote);
        puts("'");
    }
    printf("    )\n    _describe %s names\n", g->what);
}

static void zsh_begin(const struct command_group *g) {
    if (!g->name[0]) {
        puts("#compdef thor thor-eval\n# made by thor --help=zsh");
        return;
    }
    printf("_thor_%s() {\n    (( CURRENT == 2 )) || return\n", g->name);
    zsh_names(g);
    puts("}");
}

static void zsh_end(const struct command_group *g) {
    if (g->name[0]) return;
    puts("_thor_commands() {");
    zsh_names(g);
    puts("}\n"
         "_thor() {\n"
         "    if [[ ${words[1]:t} == thor-eval && $words[2] != serve ]]; then\n"
         "        (( CURRENT != 2 )) || compadd serve\n"
         "        words=(\"$words[1]\" eval \"${(@)words[2,-1]}\")\n"
         "        (( CURRENT++ ))\n"
         "    fi\n"
         "    local one=$words[2] two=$words[3]\n"
         "    case $CURRENT:$one in\n"
         "    2:*) _thor_commands; return ;;");
    for (const struct subcommand *s = g->table; s->name; s++) {
        const char *second = strchr(s->name, ' ');
        if (!second) continue;
        printf("    3:%.*s) compadd%s ;;\n", (int)(second - s->name), s->name, second);
    }
    puts("    esac\n"
         "    if (( CURRENT > 3 && $+functions[_thor_${one}_$two] )); then\n"
         "        shift 2 words\n"
         "        (( CURRENT -= 2 ))\n"
         "        _thor_${one}_$two\n"
         "    elif (( $+functions[_thor_$one] )); then\n"
         "        shift words\n"
         "        (( CURRENT-- ))\n"
         "        _thor_$one\n"
         "    fi\n"
         "}\n"
         "if [[ $funcstack[1] == _thor ]]; then _thor \"$@\"; else compdef _thor thor thor-eval; "
         "fi");
}

/* ---- fish: a line an option */

static void fish_line(const char *name) {
    printf("complete -c thor -c thor-eval -n '__thor_is %s'", name);
}

static void fish_help(const char *help) {
    fputs(" -d '", stdout);
    put_inside(help, "\\", "\\'");
    puts("'");
}

static void fish_operand(const char *arg) {
    const enum value_kind kind = value_kind(arg);
    if (kind == VALUE_FILE) fputs(" -F", stdout);
    if (kind == VALUE_WORDS) fputs(" -a '", stdout), put_words(arg), putchar('\'');
}

static void fish_command(const struct command_spec *c) {
    char room[128];
    const char *operand = operand_of(c, room, sizeof room);
    printf("set -g __thor_names $__thor_names '%s'\n", c->name);
    for (const struct option_spec *o = c->options; o->name; o++) {
        fish_line(c->name);
        printf(" -l %s%s", o->name,
               !o->arg                            ? ""
               : value_kind(o->arg) == VALUE_FILE ? " -r"
                                                  : " -x");
        if (o->arg) fish_operand(o->arg);
        fish_help(o->help);
    }
    fish_line(c->name);
    fputs(" -l help", stdout);
    fish_help("this text");
    if (operand) fish_line(c->name), fish_operand(operand), putchar('\n');
}

static void fish_begin(const struct command_group *g) {
    if (!g->name[0])
        puts("# fish: completes the words of thor and thor-eval; made by thor --help=fish\n"
             "set -g __thor_names\n"
             "function __thor_is\n"
             "    set -l w (commandline -opc)\n"
             "    if string match -q '*thor-eval' -- $w[1]; and test \"$w[2]\" != serve\n"
             "        set w[1] eval\n"
             "    else\n"
             "        set -e w[1]\n"
             "    end\n"
             "    set -l name \"$w[1]\"\n"
             "    contains -- \"$w[1] $w[2]\" $__thor_names; and set name \"$w[1] $w[2]\"\n"
             "    test \"$name\" = \"$argv\"\n"
             "end\n"
             "complete -c thor -c thor-eval -f");
    for (const struct subcommand *s = g->table; s->name; s++) {
        const char *second = strchr(s->name, ' ');
        char first[32];
        snprintf(first, sizeof first, "%.*s", (int)strcspn(s->name, " "), s->name);
        fish_line(second ? first : g->name);
        printf(" -a %s", second ? second + 1 : s->name);
        fish_help(s->summary);
    }
}

/* ---- which of them */

void completion_begin(const struct command_group *g, enum help_form form) {
    if (form == HELP_BASH) bash_begin(g);
    if (form == HELP_ZSH) zsh_begin(g);
    if (form == HELP_FISH) fish_begin(g);
}

void completion_command(const struct command_spec *c, enum help_form form) {
    if (form == HELP_BASH) bash_command(c);
    if (form == HELP_ZSH) zsh_command(c);
    if (form == HELP_FISH) fish_command(c);
}

void completion_end(const struct command_group *g, enum help_form form) {
    if (form == HELP_BASH) bash_end(g);
    if (form == HELP_ZSH) zsh_end(g);
}
