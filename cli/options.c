#include "cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/help.h"
#include "cli/nearest.h"

enum { MAX_OPTIONS = 32, HELP_CODE = 1000, FIRST_CODE = 1001 };

static int read_int(int *out, const char *name, const char *text, const char *end, int min,
                    int max) {
    char *stop;
    errno = 0;
    long v = strtol(text, &stop, 10);
    if (stop == text || stop != end || errno || v < min || v > max)
        return thor_fail(THOR_USAGE, "--%s %.40s: not a whole number from %d to %d", name, text,
                         min, max);
    *out = (int)v;
    return THOR_OK;
}

static int read_span(struct option_spans *s, const struct option_spec *o, const char *text) {
    int st = THOR_OK;
    const char *dots = strstr(text, "..");
    const char *end = text + strlen(text);
    if (s->n == OPTIONS_MAX_LIST)
        return thor_fail(THOR_USAGE, "--%s: given more than %d times", o->name, OPTIONS_MAX_LIST);
    TRY(read_int(&s->first[s->n], o->name, text, dots ? dots : end, o->min, o->max));
    s->last[s->n] = s->first[s->n];
    if (dots) TRY(read_int(&s->last[s->n], o->name, dots + 2, end, o->min, o->max));
    if (s->last[s->n] < s->first[s->n])
        return thor_fail(THOR_USAGE, "--%s %.40s: the range ends before it begins", o->name, text);
    s->n++;
out:
    return st;
}

static int read_text(struct option_texts *t, const struct option_spec *o, const char *text) {
    if (t->n == OPTIONS_MAX_LIST)
        return thor_fail(THOR_USAGE, "--%s: given more than %d times", o->name, OPTIONS_MAX_LIST);
    t->text[t->n++] = text;
    return THOR_OK;
}

static int take(const struct option_spec *o, const char *value) {
    switch (o->kind) {
    case OPTION_FLAG:
        *(int *)o->to = 1;
        return THOR_OK;
    case OPTION_INT:
        return read_int(o->to, o->name, value, value + strlen(value), o->min, o->max);
    case OPTION_TEXT:
        *(const char **)o->to = value;
        return THOR_OK;
    case OPTION_TEXTS:
        return read_text(o->to, o, value);
    case OPTION_SPANS:
        return read_span(o->to, o, value);
    }
    return thor_fail(THOR_INTERNAL, "--%s: unknown kind of option", o->name);
}

/* optind has already moved past the option that getopt refused. */
static int refuse(const struct command_spec *c, int code, char **argv) {
    const char *word = argv[optind - 1];
    char name[64] = "";
    struct nearest n;
    if (code == ':')
        return thor_fail(THOR_USAGE, "%.60s: a value is missing; see thor %s --help", word,
                         c->name);
    if (strncmp(word, "--", 2) == 0)
        snprintf(name, sizeof name, "%.*s", (int)strcspn(word + 2, "="), word + 2);
    nearest_start(&n, name);
    for (const struct option_spec *o = c->options; o->name; o++) nearest_try(&n, o->name);
    if (n.best && n.distance > 0)
        return thor_fail(THOR_USAGE, "%.60s: unknown option; did you mean --%s?", word, n.best);
    return thor_fail(THOR_USAGE, "%.60s: unknown option or unwanted value; see thor %s --help",
                     word, c->name);
}

int options_parse(const struct command_spec *c, int argc, char **argv, const char **operand) {
    struct option table[MAX_OPTIONS + 2];
    int n = 0, code, st = THOR_OK;
    enum help_form form;
    memset(table, 0, sizeof table);
    for (; n < MAX_OPTIONS && c->options[n].name; n++) {
        table[n].name = c->options[n].name;
        table[n].has_arg = c->options[n].arg ? required_argument : no_argument;
        table[n].val = FIRST_CODE + n;
    }
    table[n].name = "help";
    table[n].has_arg = optional_argument;
    table[n].val = HELP_CODE;
    optind = 1;
    opterr = 0;
    while ((code = getopt_long(argc, argv, ":h", table, NULL)) != -1) {
        if (code == HELP_CODE || code == 'h') {
            TRY(help_form_of(&form, code == 'h' ? NULL : optarg));
            help_command(c, form);
            return OPTIONS_DONE;
        }
        if (code < FIRST_CODE) return refuse(c, code, argv);
        TRY(take(&c->options[code - FIRST_CODE], optarg));
    }
    if (argc - optind > c->max_operands)
        return thor_fail(THOR_USAGE, "%.60s: unexpected argument; see thor %s --help",
                         argv[optind + c->max_operands], c->name);
    for (int i = optind; i < argc; i++) operand[i - optind] = argv[i];
out:
    return st;
}
