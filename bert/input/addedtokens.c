/* Tokens beside the vocabulary: collected, given their ids. */
#include <stdlib.h>
#include <string.h>

#include "bert/input/readfile.h"
#include "bert/input/tokenrules.h"

enum { ADDED_MAX = 10000, ADDED_BYTES_MAX = 1000 };

static int grow(struct bert_adding *a) {
    const int room = a->room ? 2 * a->room : 16;
    struct bert_added *item = realloc(a->item, (size_t)room * sizeof *item);
    if (!item) return thor_fail(THOR_MEMORY, "no memory for %d added tokens", room);
    a->item = item;
    a->room = room;
    return THOR_OK;
}

int bert_adding_put(struct bert_adding *a, const char *name, size_t len, struct bert_added flags) {
    int st = THOR_OK, at = 0;
    if (len == 0 || len > ADDED_BYTES_MAX || strlen(name) != len)
        TRY(thor_fail(THOR_MODEL,
                      "an added token is empty, holds U+0000 or is longer than %d "
                      "bytes",
                      ADDED_BYTES_MAX));
    while (at < a->n && strcmp(a->item[at].name, name) != 0) at++;
    if (at < a->n && flags.id < 0) flags.id = a->item[at].id;
    if (at == a->n) {
        if (a->n == ADDED_MAX) TRY(thor_fail(THOR_MODEL, "more than %d added tokens", ADDED_MAX));
        if (a->n == a->room) TRY(grow(a));
        a->item[at].name = strdup(name);
        if (!a->item[at].name) TRY(thor_fail(THOR_MEMORY, "no memory for an added token"));
        a->n++;
    }
    flags.name = a->item[at].name;
    a->item[at] = flags;
out:
    return st;
}

/* The order in which the ids were given: by id, those without one last, as they came. */
static void order(struct bert_adding *a) {
    for (int i = 1; i < a->n; i++)
        for (int k = i; k > 0; k--) {
            const unsigned left = (unsigned)a->item[k - 1].id, right = (unsigned)a->item[k].id;
            if (left <= right) // -1 is the largest
                break;
            const struct bert_added item = a->item[k];
            a->item[k] = a->item[k - 1];
            a->item[k - 1] = item;
        }
}

static int set_id(struct bert_added *t, int *next, const struct bert_vocab *v, const char *dir) {
    const int asked = t->id, known = bert_vocab_id(v, t->name, strlen(t->name));
    t->id = known >= 0 ? known : *next;
    *next += known < 0;
    if (asked < 0 || asked == t->id) return THOR_OK;
    return thor_fail(THOR_MODEL,
                     "%.200s: the added token %.40s has id %d, but %d is next in the "
                     "vocabulary: save the tokenizer again",
                     dir, t->name, asked, t->id);
}

int bert_adding_finish(struct bert_rules *r, struct bert_adding *a, const struct bert_vocab *v,
                       const char *dir) {
    int st = THOR_OK, next = bert_vocab_end(v);
    order(a);
    for (int i = 0; i < a->n; i++) {
        struct bert_added *t = &a->item[i];
        TRY(set_id(t, &next, v, dir));
        TRY(bert_chars_decode(&t->text, t->name, strlen(t->name)));
        if (t->normalized) TRY(bert_steps_apply(&t->text, &r->normalizer));
        if (t->text.n == 0)
            TRY(thor_fail(THOR_MODEL,
                          "%.200s: the normalizer leaves nothing of the added token "
                          "%.40s: set its \"normalized\" to false",
                          dir, t->name));
        r->starts[t->text.c[0].c & 255] |= (uint8_t)(1 << t->normalized);
    }
    r->added = a->item;
    r->n = a->n;
    *a = (struct bert_adding){0};
out:
    return st;
}

void bert_adding_free(struct bert_adding *a) {
    for (int i = 0; i < a->n; i++) {
        free(a->item[i].text.c);
        free(a->item[i].name);
    }
    free(a->item);
    *a = (struct bert_adding){0};
}
