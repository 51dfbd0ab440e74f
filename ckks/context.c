/* A context: parameter set, back end, tables shared by its operations. */
#include <stdlib.h>
#include <string.h>

#include "ckks/internal.h"

static int make_units(struct ckks *cx) {
    int st = THOR_OK;
    double re = 0, im[2] = {1, -1};
    struct kbasis all = {.n = cx->params->primes};
    for (int i = 0; i < all.n; i++) all.prime[i] = (uint8_t)i;
    for (int s = 0; s < 2; s++)
        TRY(ckks_encode(&cx->tables->unit[s], cx, &re, &im[s], 1, 1.0, &all));
    cx->count.encodes = 0;
out:
    return st;
}

int ckks_open(struct ckks **out, const struct ckks_params *p, enum kern_kind kind,
              enum kern_tier tier, int threads) {
    int st = THOR_OK;
    struct ckks *cx = calloc(1, sizeof *cx);
    if (!cx) return thor_fail(THOR_MEMORY, "no memory for a context");
    cx->params = p;
    cx->tables = calloc(1, sizeof *cx->tables);
    if (!cx->tables) {
        st = thor_fail(THOR_MEMORY, "no memory for a context");
        goto out;
    }
    pthread_mutex_init(&cx->tables->lock, NULL);
    cx->tables->work_bytes = (size_t)1 << 30;
    TRY(ckks_random_start());
    if (kind == KERN_DRY)
        TRY(kernels_open_dry(&cx->k, p->log_n, p->prime, p->primes));
    else if (kind == KERN_CUDA)
        TRY(kernels_open_cuda(&cx->k, p->log_n, p->prime, p->primes, threads));
    else
        TRY(kernels_open_cpu(&cx->k, p->log_n, p->prime, p->primes, tier, threads));
    cx->tables->special = malloc((size_t)p->primes * sizeof(uint32_t));
    if (!cx->tables->special) {
        st = thor_fail(THOR_MEMORY, "no memory for a context");
        goto out;
    }
    for (int i = 0; i < p->primes; i++) {
        uint32_t r = 1;
        for (int j = 0; j < p->specials; j++)
            r = mul_mod(r, p->prime[p->special0 + j] % p->prime[i], p->prime[i]);
        cx->tables->special[i] = r;
    }
    TRY(make_units(cx));
    *out = cx;
    return THOR_OK;
out:
    ckks_close(cx);
    return st;
}

void ckks_close(struct ckks *cx) {
    if (!cx) return;
    struct ckks_tables *t = cx->tables;
    if (t) {
        ckks_pt_free(&t->unit[0]);
        ckks_pt_free(&t->unit[1]);
        for (int i = 0; i < t->n_bconv; i++) cx->k->bconv_free(cx->k, t->bconv[i].c);
        free(t->bconv);
        free(t->special);
        free(t->scratch);
        pthread_mutex_destroy(&t->lock);
        free(t);
    }
    if (cx->k) kernels_close(cx->k);
    free(cx->needs);
    free(cx->uses);
    free(cx);
}

void *ckks_scratch(struct ckks *cx, size_t bytes) {
    struct ckks_tables *t = cx->tables;
    if (t->scratch_bytes < bytes) {
        free(t->scratch);
        t->scratch = aligned_alloc(64, (bytes + 63) / 64 * 64);
        t->scratch_bytes = t->scratch ? bytes : 0;
    }
    return t->scratch;
}

static int same_basis(const struct kbasis *a, const struct kbasis *b) {
    return a->n == b->n && memcmp(a->prime, b->prime, (size_t)a->n) == 0;
}

int ckks_bconv_get(const struct kbconv **out, struct ckks *cx, const struct kbasis *src,
                   const struct kbasis *dst) {
    int st = THOR_OK;
    struct ckks_tables *t = cx->tables;
    pthread_mutex_lock(&t->lock);
    for (int i = 0; i < t->n_bconv; i++)
        if (same_basis(&t->bconv[i].src, src) && same_basis(&t->bconv[i].dst, dst)) {
            *out = t->bconv[i].c;
            goto out;
        }
    if (t->n_bconv == t->cap_bconv) {
        int cap = t->cap_bconv ? 2 * t->cap_bconv : 64;
        void *p = realloc(t->bconv, (size_t)cap * sizeof *t->bconv);
        if (!p) {
            st = thor_fail(THOR_MEMORY, "no memory for base conversions");
            goto out;
        }
        t->bconv = p;
        t->cap_bconv = cap;
    }
    struct bconv_entry *e = &t->bconv[t->n_bconv];
    e->src = *src;
    e->dst = *dst;
    TRY(cx->k->bconv_new(cx->k, &e->c, src, dst));
    t->n_bconv++;
    *out = e->c;
out:
    pthread_mutex_unlock(&t->lock);
    return st;
}

/* *list with room for one more of its n entries; NULL, with the list untouched, when there is no
 * memory. */
static void *room_for_one(void **list, int n, int *cap, size_t size) {
    if (n < *cap) return *list;
    int more = *cap ? 2 * *cap : 128;
    void *p = realloc(*list, (size_t)more * size);
    if (!p) return NULL;
    *list = p;
    *cap = more;
    return p;
}

/* Remember the highest level at which a key is used, and its place in the order. */
void ckks_note_need(struct ckks *cx, uint32_t id, int level) {
    void *needs = cx->needs, *uses = cx->uses;
    int i = 0;
    if (!cx->n_uses || cx->uses[cx->n_uses - 1] != id) {
        if (!room_for_one(&uses, cx->n_uses, &cx->cap_uses, sizeof *cx->uses)) return;
        cx->uses = uses;
        cx->uses[cx->n_uses++] = id;
    }
    while (i < cx->n_needs && cx->needs[i].id != id) i++;
    if (i < cx->n_needs) {
        if (cx->needs[i].level < level) cx->needs[i].level = level;
        return;
    }
    if (!room_for_one(&needs, cx->n_needs, &cx->cap_needs, sizeof *cx->needs))
        return; // reported missing when it is used
    cx->needs = needs;
    cx->needs[cx->n_needs++] = (struct ckks_need){id, level};
}

void ckks_use_keys(struct ckks *cx, const struct ckks_keys *k) {
    if (cx->keys != k) cx->k->record_drop(cx->k, 0); /* recordings read the keys, */
    if (k && k->store) cx->k->records = 0;           /* which must stay where they are */
    cx->keys = k;
}
