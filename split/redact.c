#include "split/redact.h"

#include <ctype.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* Where what begins at i ends; 0: nothing does. */
static size_t find(enum split_personal *kind, const struct split_folded *f, size_t i,
                   const struct split_names *names) {
    const size_t end = split_personal_find(kind, f, i);
    if (end || !names || f->c[i] == ' ' || !split_word_break(f, i)) return end;
    *kind = SPLIT_NAME;
    return split_names_find(names, f, i);
}

static int note(struct split_redaction *r, int *room, struct split_found found) {
    if (r->n == *room) {
        *room = 2 * *room + 16;
        struct split_found *grown = realloc(r->found, (size_t)*room * sizeof *grown);
        if (!grown) return thor_fail(THOR_MEMORY, "no memory for what is found in a text");
        r->found = grown;
    }
    r->found[r->n++] = found;
    r->count[found.kind]++;
    return THOR_OK;
}

static int search(struct split_redaction *r, const struct split_folded *f,
                  const struct split_names *names, unsigned kinds) {
    int st = THOR_OK, room = 0;
    enum split_personal kind;
    for (size_t i = 0; i < f->n;) {
        const size_t end = find(&kind, f, i, names);
        if (end > i && (kinds >> kind & 1)) {
            size_t stop = end; // a character may have become several
            while (stop < f->n && f->at[stop] == f->at[stop - 1]) stop++;
            TRY(note(r, &room, (struct split_found){kind, f->at[i], f->at[stop] - f->at[i]}));
        }
        i = end > i ? end : i + 1;
    }
out:
    return st;
}

static char *put_kind(char *to, enum split_personal kind) {
    *to++ = '[';
    for (const char *s = split_personal_names[kind]; *s; s++) *to++ = (char)toupper(*s);
    *to++ = ']';
    return to;
}

static int rewrite(struct split_redaction *r, const char *text) {
    enum { LONGEST = 8 }; // [NUMBER]
    const size_t len = strlen(text);
    char *to = malloc(len + (size_t)r->n * LONGEST + 1);
    if (!to) return thor_fail(THOR_MEMORY, "no memory for a text without personal data");
    r->text = to;
    size_t from = 0;
    for (int i = 0; i < r->n; i++) {
        const struct split_found *f = &r->found[i];
        memcpy(to, text + from, f->at - from);
        to = put_kind(to + (f->at - from), f->kind);
        from = f->at + f->bytes;
    }
    memcpy(to, text + from, len - from + 1);
    return THOR_OK;
}

int split_redact(struct split_redaction *r, const char *text, const struct split_names *names,
                 unsigned kinds) {
    int st = THOR_OK;
    struct split_folded f = {0};
    memset(r, 0, sizeof *r);
    TRY(split_fold(&f, text));
    TRY(search(r, &f, names, kinds));
    TRY(rewrite(r, text));
out:
    split_folded_free(&f);
    if (st != THOR_OK) split_redaction_free(r);
    return st;
}

void split_redaction_free(struct split_redaction *r) {
    if (r->text) sodium_memzero(r->text, strlen(r->text));
    free(r->text);
    free(r->found);
    memset(r, 0, sizeof *r);
}
