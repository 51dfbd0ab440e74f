#include "split/keptmaps.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/freemem.h"

enum { STALE = 4 };

struct entry {
    int layer, transposed, columns, log_u;
    enum split_form form;
    enum split_stage stage;
    struct ckks_linear_cache *map;
    size_t bytes;
    uint64_t used;
};

struct split_kept {
    struct ckks *cx;
    const struct split_shape *shape;
    struct entry *entry;
    int entries, room; /* room: of the list */
    uint64_t turn;
    struct split_kept_state state;
};

int split_kept_open(struct split_kept **out, struct ckks *cx, const struct split_shape *shape,
                    size_t bytes) {
    struct split_kept *k = calloc(1, sizeof *k);
    if (!k) return thor_fail(THOR_MEMORY, "no memory for maps");
    *k = (struct split_kept){.cx = cx, .shape = shape, .state = {.most = bytes}};
    *out = k;
    return THOR_OK;
}

static void drop(struct split_kept *k, int i) {
    k->state.bytes -= k->entry[i].bytes;
    k->state.maps--;
    ckks_linear_cache_free(k->entry[i].map);
    k->entry[i] = k->entry[--k->entries];
}

void split_kept_close(struct split_kept *k) {
    if (!k) return;
    while (k->entries) drop(k, 0);
    free(k->entry);
    free(k);
}

static struct entry *find(struct split_kept *k, const struct split_ask *ask,
                          const struct split_packing *p) {
    for (int i = 0; i < k->entries; i++) {
        struct entry *e = &k->entry[i];
        if (e->layer == ask->layer && e->stage == ask->stage && e->transposed == ask->transposed &&
            e->columns == p->columns && e->form == p->form)
            return e;
    }
    return NULL;
}

/* 1: there is room for so many bytes, what has gone stale is gone. */
static int make_room(struct split_kept *k, size_t bytes) {
    const uint64_t round = (uint64_t)(2 * SPLIT_STAGES * k->shape->layers);
    for (int i = k->entries - 1; i >= 0 && k->state.bytes + bytes > k->state.most; i--)
        if (k->turn - k->entry[i].used > STALE * round) drop(k, i);
    if (bytes > k->state.most || k->state.bytes > k->state.most - bytes) return 0;
    if (k->entries < k->room) return 1;
    const int room = k->room ? 2 * k->room : 16;
    struct entry *more = realloc(k->entry, (size_t)room * sizeof *more);
    if (!more) return 0;
    k->entry = more;
    k->room = room;
    return 1;
}

static int encode(struct entry *e, struct split_kept *k, const struct split_packing *p,
                  struct split_map_view m, split_read_fn *read, const void *from) {
    int st = THOR_OK;
    float *w = malloc((size_t)m.out * (size_t)m.in * sizeof *w);
    if (!w) return thor_fail(THOR_MEMORY, "no memory for a map");
    m.w = w;
    TRY(read(w, from, e->layer, e->stage));
    TRY(split_map_exponent(&e->log_u, k->cx, p, &m));
    TRY(split_product_keep(&e->map, k->cx, p, &m, e->log_u));
out:
    free(w);
    return st;
}

int split_kept_get(struct split_kept_map *got, struct split_kept *k, const struct split_ask *ask,
                   const struct split_packing *p, split_read_fn *read, const void *from) {
    int st;
    const struct split_map_view m = {NULL, k->shape->out[ask->stage], k->shape->in[ask->stage],
                                     ask->transposed};
    struct entry *e = find(k, ask, p);
    *got = (struct split_kept_map){0};
    k->turn++;
    if (!e) {
        struct entry new = {.layer = ask->layer,
                            .transposed = ask->transposed,
                            .columns = p->columns,
                            .form = p->form,
                            .stage = ask->stage,
                            .bytes = split_product_bytes(k->cx, p, &m)};
        k->state.misses++;
        if (!make_room(k, new.bytes)) return THOR_OK;
        st = encode(&new, k, p, m, read, from);
        if (st == THOR_MEMORY) k->state.most = k->state.bytes; // it goes on with what there is
        if (st) return st == THOR_MEMORY ? THOR_OK : st;
        e = &k->entry[k->entries++];
        *e = new;
        k->state.bytes += new.bytes;
        k->state.maps++;
    } else
        k->state.hits++;
    e->used = k->turn;
    *got = (struct split_kept_map){e->map, e->log_u};
    return THOR_OK;
}

struct split_kept_state split_kept_state(const struct split_kept *k) {
    return k->state;
}

size_t split_kept_room(void) {
    return (size_t)(freemem_bytes("") / 4);
}
