/* /v1/split and /compute: split mode (products.h). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/serve/http.h"

struct computing {
    char key[STORE_ID];
    uint8_t head[SPLIT_HEAD];
    struct product *product; /* from the end of the head on */
};

/* 1 after a refusal. */
static int refuse_no_model(struct request *r) {
    if (refuse_unready(r, 1)) return 1;
    if (!r->s->products)
        refuse(r, 404, "no-split", "no model for split mode is served here (thor serve --split)");
    return r->response != NULL;
}

void on_split(struct request *r) {
    if (!refuse_no_model(r)) answer_json(r, 200, products_json(r->s->products));
}

/* The keys that the request names: the account's own, whole, and of this model. */
static int take_keys(struct request *r, struct computing *c) {
    struct upload u;
    const char *key = header_of(r, "Thor-Keys");
    if (!key || !store_is_id(key)) {
        refuse(r, 400, "malformed", "give Thor-Keys: 32 hex digits, those behind /v1/keys/");
        return 0;
    }
    memcpy(r->id, key, sizeof r->id);
    if (!find_upload(&u, r)) return 0;
    if (u.tokens != 0 || strcmp(u.model, products_id(r->s->products)) != 0)
        refuse(r, 409, "no-keys", "these keys are for another model: upload those of split mode");
    else if (!u.ready)
        refuse(r, 409, "no-keys", "these keys are not whole yet: go on with their upload");
    memcpy(c->key, u.key, sizeof c->key);
    upload_free(&u);
    return r->response == NULL;
}

void on_compute(struct request *r) {
    if (refuse_no_model(r)) return;
    struct computing *c = r->ctx = calloc(1, sizeof *c);
    if (!c)
        refuse(r, 500, "internal", "no memory for a product");
    else if (r->length != UINT64_MAX && r->length > products_most(r->s->products))
        refuse(r, 413, "too-long", "a product has at most %zu bytes here",
               products_most(r->s->products));
    else
        take_keys(r, c);
}

static void refuse_size(struct request *r, uint64_t have, uint64_t want) {
    refuse(r, have > want ? 413 : 422, have > want ? "too-long" : "bad-product",
           "a product of this map and number of tokens has %" PRIu64 " bytes, not %" PRIu64, want,
           have);
}

static void begin(struct request *r, struct computing *c) {
    struct products *p = r->s->products;
    const int st = product_take(&c->product, p, r->account.name, c->key, c->head);
    if (st == PRODUCT_LATER) {
        refuse(r, 429, "products-full", "enough products are being computed: ask again");
        retry_after(r, products_wait(p));
    } else if (st == THOR_INPUT) {
        refuse(r, 413, "too-long", "%s", thor_error());
    } else if (st == THOR_USAGE) {
        refuse(r, 422, "bad-product", "%s", thor_error());
    } else if (st != THOR_OK) {
        refuse(r, 500, "internal", "%s", plain_error());
    } else if (r->length != UINT64_MAX && r->length != c->product->sizes.request) {
        refuse_size(r, r->length, c->product->sizes.request);
    }
}

void on_compute_bytes(struct request *r, const void *data, size_t n) {
    struct computing *c = r->ctx;
    const uint8_t *from = data;
    size_t at = (size_t)r->got;
    if (at < SPLIT_HEAD) {
        const size_t now = n < SPLIT_HEAD - at ? n : SPLIT_HEAD - at;
        memcpy(c->head + at, from, now);
        from += now;
        n -= now;
        if ((at += now) < SPLIT_HEAD) return;
        begin(r, c);
        if (r->response) return;
    }
    if (n > c->product->sizes.request - at)
        refuse_size(r, at + n, c->product->sizes.request);
    else
        memcpy(c->product->request + at, from, n);
}

static void give(struct request *r, struct product *x) {
    metrics_stage(r->s->metrics, "product", x->seconds);
    answer_bytes(r, 200, "application/octet-stream", x->reply, x->sizes.reply);
    x->reply = NULL;
}

static void run(struct request *r, struct product *x) {
    MHD_set_connection_option(r->connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    product_run(x, r->s->products);
    http_awake(r);
    if (x->status == THOR_OK)
        give(r, x);
    else if (!upload_is_ready(&r->s->store, x->key))
        refuse(r, 410, "gone", "these keys have expired or were deleted: upload them again");
    else if (x->status == THOR_KEY || x->status == THOR_INPUT || x->status == THOR_USAGE)
        refuse(r, 422, "bad-product", "%s", x->why);
    else
        refuse(r, 500, "internal", "%s", x->why);
}

void on_compute_end(struct request *r) {
    struct computing *c = r->ctx;
    if (!c->product)
        refuse(r, 422, "bad-product", "a product begins with a head of %d bytes", SPLIT_HEAD);
    else if (r->got != c->product->sizes.request)
        refuse_size(r, r->got, c->product->sizes.request);
    else if (take_quota(r))
        run(r, c->product);
}

void on_compute_close(struct request *r) {
    struct computing *c = r->ctx;
    if (c) product_free(c->product, r->s->products);
    free(c);
    r->ctx = NULL;
}
