#include "cli/tagged.h"

#include <string.h>

#include "bert/reference.h"
#include "cli/published.h"
#include "kernels/shown.h"

struct word {
    int first, start, end, second; /* its first token; bytes of the text */
};

struct group {
    const char *label;
    int start, end, second, words; /* words 0: none is open */
    double score;                  /* sum */
};

static int characters(const char *text, int bytes) {
    int n = 0;
    for (int i = 0; i < bytes; i++) n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

/* The word that begins at token *at or behind; 0 at the end. */
static int next_word(struct word *w, int *at, const struct bert_tokens *t) {
    while (*at < t->n && (t->word[*at] < 0 || t->end[*at] <= t->start[*at])) ++*at;
    if (*at == t->n) return 0;
    *w = (struct word){*at, t->start[*at], t->end[*at], t->second[*at]};
    for (++*at; *at < t->n && t->word[*at] == t->word[w->first] && t->second[*at] == w->second;
         ++*at)
        if (t->end[*at] > w->end) w->end = t->end[*at];
    return 1;
}

/* A stretch of a text as fields; NULL without memory. */
static json_t *stretch(const char *key, const char *text, int start, int end, int second) {
    json_t *o = json_pack("{s:s%, s:i, s:i}", key, text + start, (size_t)(end - start), "start",
                          characters(text, start), "end", characters(text, end));
    if (o && second) json_object_set_new(o, "second", json_true());
    return o;
}

static const char *text_of(const struct input *in, int second) {
    return second ? in->pair : in->text;
}

/* 0 for O; *begins: a new group. */
static int tag_of(const char **tag, int *begins, const char *name) {
    const int prefixed = name[0] && strchr("BIELSU", name[0]) && name[1] == '-' && name[2];
    *tag = prefixed ? name + 2 : name;
    *begins = prefixed && strchr("BSU", name[0]) != NULL;
    return strcmp(name, "O") != 0;
}

static int close_group(json_t *groups, struct group *g, const struct input *in) {
    if (!g->words) return 0;
    json_t *o = stretch("text", text_of(in, g->second), g->start, g->end, g->second);
    if (!o) return -1;
    json_object_set_new(o, "label", json_string(g->label));
    json_object_set_new(o, "score", json_real(published_score(g->score / g->words)));
    g->words = 0;
    return json_array_append_new(groups, o);
}

static int put_group(json_t *groups, struct group *g, const struct word *w, const char *name,
                     double p, const struct input *in) {
    const char *tag;
    int begins, bad = 0, in_group = tag_of(&tag, &begins, name);
    if (g->words && (!in_group || begins || g->second != w->second || strcmp(g->label, tag) != 0))
        bad = close_group(groups, g, in);
    if (!in_group) return bad;
    if (!g->words) *g = (struct group){tag, w->start, w->end, w->second, 0, 0};
    g->end = w->end;
    g->score += p;
    g->words++;
    return bad;
}

static int put_word(struct result *r, struct group *g, const struct word *w,
                    const struct bert_config *c, const struct input *in, int plain) {
    double p[BERT_MAX_LABELS];
    const size_t row = (size_t)w->first * (size_t)r->labels;
    const int pred = bert_argmax(r->he_logits + row, r->labels);
    json_t *o = stretch("word", text_of(in, w->second), w->start, w->end, w->second);
    if (!o) return -1;
    result_scores(p, c, r->he_logits + row);
    json_object_set_new(o, "label", json_string(c->label_names[pred]));
    json_object_set_new(o, "score", json_real(published_score(p[pred])));
    if (plain)
        json_object_set_new(
            o, "plain_label",
            json_string(c->label_names[bert_argmax(r->plain_logits + row, r->labels)]));
    return json_array_append_new(r->words, o) |
           put_group(r->groups, g, w, c->label_names[pred], p[pred], in);
}

int spans_make(struct result *r, const struct bert_config *c, const struct bert_tokens *t,
               const struct input *in, int plain) {
    struct word w;
    struct group g = {0};
    int bad = 0;
    if (c->head != BERT_HEAD_TOKENS || r->rows != t->n) return THOR_OK;
    r->words = json_array();
    r->groups = json_array();
    for (int at = 0; !bad && next_word(&w, &at, t);) bad = put_word(r, &g, &w, c, in, plain);
    bad |= close_group(r->groups, &g, in);
    return bad ? thor_fail(THOR_MEMORY, "no memory for the words of a text") : THOR_OK;
}

static const char *string_of(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static void print_spans(FILE *f, const json_t *list, const char *key) {
    size_t i;
    const json_t *o;
    json_array_foreach(list, i, o) {
        fprintf(f, "  %5lld..%-5lld", json_integer_value(json_object_get(o, "start")),
                json_integer_value(json_object_get(o, "end")));
        fprintf(f, " %-12s %.2f", shown(string_of(o, "label")),
                json_real_value(json_object_get(o, "score")));
        if (json_object_get(o, "plain_label"))
            fprintf(f, "  plain %-12s", shown(string_of(o, "plain_label")));
        fprintf(f, "  %s\n", shown(string_of(o, key)));
    }
}

static void print_tokens(FILE *f, const struct result *r, const struct bert_config *c) {
    double p[BERT_MAX_LABELS];
    for (int i = 0; i < r->rows; i++) {
        const int pred = bert_argmax(r->he_logits + i * r->labels, r->labels);
        result_scores(p, c, r->he_logits + i * r->labels);
        fprintf(f, "  token %-6d %-12s %.2f\n", i, shown(c->label_names[pred]), p[pred]);
    }
}

void spans_print(FILE *f, const struct result *r, const struct bert_config *c) {
    if (!r->words) {
        print_tokens(f, r, c);
        return;
    }
    print_spans(f, r->words, "word");
    if (json_array_size(r->groups)) fprintf(f, "  groups\n");
    print_spans(f, r->groups, "text");
}
