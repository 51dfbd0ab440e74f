/* Evaluation keys that lie in their file and come into memory when they are used.
 *
 * A circuit uses its keys in an order that does not depend on the data, so a dry run knows it.
 * When room is wanted, the key goes whose next use is farthest away (Belady), the order taken as a
 * circle: one text after the other.  That is the fewest loads that any rule can reach.  What is
 * loaded is checked again each time. */
#include <stdlib.h>
#include <string.h>

#include "ckks/internal.h"
#include "ckks/serial.h"

struct store {
    struct ckks_keystore face;
    struct ckks_keys *keys;
    struct ckks_keyfile *file; /* borrowed */
    int *entry;                /* of key i in the file */
    int *use, *next;           /* key of use p; the use after p of the same key */
    int uses, at, last;        /* at: the use expected next; last: key of the use before */
    int *due;                  /* next use of key i */
    size_t budget, held;       /* bytes */
    uint64_t loads;
};

static size_t key_bytes(const struct store *s, int i) {
    const struct ckks_ksk *k = &s->keys->key[i];
    return (size_t)(k->digits * k->rows) * ckks_key_halves(s->keys->cx) * sizeof(uint32_t)
           << s->keys->cx->params->log_n;
}

static int index_of(const struct ckks_keys *k, uint32_t id) {
    for (int i = 0; i < k->n; i++)
        if (k->key[i].id == id) return i;
    return -1;
}

static int fill_keys(struct store *s, const struct ckks_need *need, int n) {
    struct ckks_keyfile *f = s->file;
    for (int i = 0; i < (int)f->h.count; i++) {
        const struct serial_entry *e = &f->h.entry[i];
        int wanted = 0;
        for (int j = 0; j < n && !wanted; j++)
            wanted = need[j].id == e->id && need[j].level <= (int)e->level;
        if (!wanted) continue;
        struct ckks_ksk *k = &s->keys->key[s->keys->n];
        *k = (struct ckks_ksk){
            .id = e->id, .level = (int)e->level, .digits = (int)e->parts, .rows = (int)e->rows};
        s->entry[s->keys->n++] = i;
        if (s->budget < key_bytes(s, s->keys->n - 1)) s->budget = key_bytes(s, s->keys->n - 1);
    }
    if (s->keys->n == n) return THOR_OK;
    return thor_fail(
        THOR_KEY,
        "the evaluation keys lack %d that are needed: make keys for this model and length",
        n - s->keys->n);
}

static int fill_uses(struct store *s, const uint32_t *uses) {
    for (int p = 0; p < s->uses; p++) {
        s->use[p] = index_of(s->keys, uses[p]);
        if (s->use[p] < 0) return thor_fail(THOR_INTERNAL, "a key is used that is not needed");
    }
    for (int p = 2 * s->uses - 1; p >= 0; p--) { // from behind, twice around the circle
        int q = p % s->uses;
        s->next[q] = s->due[s->use[q]];
        s->due[s->use[q]] = q;
    }
    return THOR_OK;
}

static void store_free(struct ckks_keystore *face) {
    struct store *s = (struct store *)face;
    free(s->entry);
    free(s->use);
    free(s->next);
    free(s->due);
    free(s);
}

/* How far away the next use of key i is, in uses. */
static int distance(const struct store *s, int i) {
    return (s->due[i] - s->at + s->uses) % s->uses;
}

static void make_room(struct store *s, size_t bytes) {
    struct ckks_keys *k = s->keys;
    while (s->held + bytes > s->budget) {
        int far = -1;
        for (int i = 0; i < k->n; i++)
            if (k->key[i].data && (far < 0 || distance(s, i) > distance(s, far))) far = i;
        if (far < 0) return;
        k->cx->k->release(k->cx->k, k->key[far].data);
        k->key[far].data = NULL;
        s->held -= key_bytes(s, far);
    }
}

/* Move to this use of key i; a circuit in another order is served too, with more loads. */
static void follow(struct store *s, int i) {
    int p = s->at, steps = 0;
    if (i == s->last) return; // uses in a row are one
    s->last = i;
    while (steps < s->uses && s->use[p] != i) p = (p + 1) % s->uses, steps++;
    if (steps == s->uses) return;
    s->due[i] = s->next[p];
    s->at = (p + 1) % s->uses;
}

static int store_use(struct ckks_keystore *face, int i) {
    int st = THOR_OK;
    struct store *s = (struct store *)face;
    struct ckks_ksk *k = &s->keys->key[i];
    follow(s, i);
    if (k->data) return THOR_OK;
    make_room(s, key_bytes(s, i));
    TRY(ckks_keyfile_read(k, s->file, s->entry[i]));
    s->held += key_bytes(s, i);
    s->loads++;
out:
    return st;
}

int ckks_keys_stream(struct ckks_keys **out, struct ckks_keyfile *f, const struct ckks_need *need,
                     int n, const uint32_t *uses, int n_uses, size_t budget) {
    int st = THOR_OK;
    struct ckks_keys *k = calloc(1, sizeof *k);
    struct store *s = calloc(1, sizeof *s);
    if (!k || !s) {
        free(s);
        st = thor_fail(THOR_MEMORY, "no memory for keys");
        goto out;
    }
    k->cx = f->cx;
    k->store = &s->face;
    memcpy(k->id, f->h.id, sizeof k->id);
    k->key = calloc((size_t)f->h.count + 1, sizeof *k->key);
    *s = (struct store){.face = {store_use, store_free},
                        .keys = k,
                        .file = f,
                        .uses = n_uses,
                        .last = -1,
                        .budget = budget};
    s->entry = calloc((size_t)f->h.count + 1, sizeof *s->entry);
    s->due = calloc((size_t)f->h.count + 1, sizeof *s->due);
    s->use = calloc((size_t)n_uses + 1, sizeof *s->use);
    s->next = calloc((size_t)n_uses + 1, sizeof *s->next);
    if (!k->key || !s->entry || !s->due || !s->use || !s->next) {
        st = thor_fail(THOR_MEMORY, "no memory for keys");
        goto out;
    }
    TRY(fill_keys(s, need, n));
    TRY(fill_uses(s, uses));
    *out = k;
    k = NULL;
out:
    ckks_keys_free(k);
    return st;
}

uint64_t ckks_keys_loads(const struct ckks_keys *k) {
    return k->store ? ((const struct store *)k->store)->loads : (uint64_t)k->n;
}
