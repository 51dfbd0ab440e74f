/* /v1/keys: evaluation keys, uploaded block by block. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ckks/serial.h"
#include "cli/serve/http.h"
#include "cli/serve/logline.h"

static void answer_upload(struct request *r, unsigned status, const struct upload *u) {
    if (status == 204)
        answer_nothing(r);
    else
        answer_json(r, status, upload_json(u, engine_resident(&r->s->engine, u->key)));
    answer_header(r, "Upload-Offset", "%" PRIu64, u->offset);
    answer_header(r, "Upload-Length", "%" PRIu64, u->bytes);
    answer_header(r, "Upload-Complete", "?%d", u->ready);
}

int find_upload(struct upload *u, struct request *r) {
    if (upload_load(u, &r->s->store, r->id) == THOR_OK) {
        if (strcmp(u->owner, r->account.name) == 0) return 1;
        upload_free(u);
    }
    if (store_is_gone(&r->s->store, r->id, r->account.name))
        refuse(r, 410, "gone", "these keys have expired or were deleted: upload them again");
    else
        refuse(r, 404, "not-found", "no such keys");
    return 0;
}

/* ---- list, look, drop ---- */

void on_keys_list(struct request *r) {
    enum { LISTED = 256 };
    json_t *list = json_array();
    char(*id)[STORE_ID] = calloc(LISTED, sizeof *id), after[STORE_ID] = "";
    for (int n = LISTED; id && n == LISTED;) {
        n = store_list(id, LISTED, &r->s->store, "keys", after);
        for (int i = 0; i < n; i++) {
            struct upload u;
            if (upload_load(&u, &r->s->store, id[i]) != THOR_OK) continue;
            if (strcmp(u.owner, r->account.name) == 0)
                json_array_append_new(list, upload_json(&u, engine_resident(&r->s->engine, u.key)));
            upload_free(&u);
        }
        if (n) memcpy(after, id[n - 1], STORE_ID);
    }
    free(id);
    answer_json(r, 200, json_pack("{s:o}", "keys", list));
}

/* The offset is what a PATCH would find, unless one is at work. */
void on_keys_get(struct request *r) {
    struct upload u;
    struct append a;
    if (!find_upload(&u, r)) return;
    if (!u.ready && append_open(&a, &u, &r->s->store) == THOR_OK) append_close(&a);
    answer_upload(r, 200, &u);
    upload_free(&u);
}

void on_keys_drop(struct request *r) {
    struct upload u;
    if (!find_upload(&u, r)) return;
    store_bury(&r->s->store, u.key, u.owner);
    store_remove(&r->s->store, "keys", u.key);
    upload_free(&u);
    answer_nothing(r);
}

/* ---- make ---- */

static int text_of(char *to, size_t size, const json_t *o, const char *name) {
    const char *v = json_string_value(json_object_get(o, name));
    return v && snprintf(to, size, "%s", v) < (int)size;
}

static int read_blocks(struct upload *u, struct request *r) {
    const json_t *list = json_object_get(r->json, "blocks");
    const uint64_t want = (u->bytes + UPLOAD_BLOCK - 1) / UPLOAD_BLOCK;
    u->blocks = (int)want;
    u->hash = json_array_size(list) == want ? calloc((size_t)want + 1, sizeof *u->hash) : NULL;
    for (size_t i = 0; u->hash && i < want; i++) {
        const char *v = json_string_value(json_array_get(list, i));
        if (!v || !store_is_id(v)) {
            upload_free(u);
            break;
        }
        memcpy(u->hash[i], v, UPLOAD_HASH);
    }
    if (!u->hash)
        refuse(r, 422, "bad-json",
               "blocks: give %" PRIu64 " XXH3-128 hashes of 32 hex digits, of "
               "4 MiB each",
               want);
    return u->hash != NULL;
}

/* The keys of a model: of a length bucket, or with 0 tokens those of split mode. */
struct wanted {
    const struct ckks_params *params;
    const struct ckks_need *need;
    uint64_t bytes;
    int needs;
};

/* 1: *w is filled; 0: there is such a model, but no such bucket; -1: there is none. */
static int find_wanted(struct wanted *w, struct serve *s, const char *model, int tokens) {
    if (tokens == 0 && s->products && strcmp(model, products_id(s->products)) == 0) {
        w->params = products_params(s->products);
        w->need = products_needs(&w->needs, &w->bytes, s->products);
        return 1;
    }
    struct engine_model *m = engine_find(&s->engine, model);
    const struct engine_bucket *b = engine_bucket_of(m, tokens);
    if (b) *w = (struct wanted){s->engine.params, b->need, b->key_bytes, b->needs};
    return b ? 1 : m ? 0 : -1;
}

/* What is declared, against the one legal size. */
static int read_declared(struct upload *u, struct request *r) {
    char set[32] = "";
    struct wanted w;
    const json_t *o = r->json;
    snprintf(u->owner, sizeof u->owner, "%s", r->account.name);
    u->tokens = (int)json_integer_value(json_object_get(o, "tokens"));
    const json_int_t bytes = json_integer_value(json_object_get(o, "bytes"));
    if (!text_of(u->model, sizeof u->model, o, "model") ||
        !text_of(u->pair, sizeof u->pair, o, "id") || !store_is_id(u->pair) ||
        !text_of(set, sizeof set, o, "parameters")) {
        refuse(r, 422, "bad-json", "give model, tokens, parameters, id, bytes and blocks");
        return 0;
    }
    const int found = find_wanted(&w, r->s, u->model, u->tokens);
    if (found < 0)
        refuse(r, 404, "not-found", "no such model; see /v1/models and /v1/split");
    else if (!found)
        refuse(r, 422, "bad-keys", "this model has no bucket of %d tokens", u->tokens);
    else if (strcmp(set, w.params->name) != 0)
        refuse(r, 422, "bad-keys", "this model is computed with parameters %s", w.params->name);
    else if (bytes <= 0 || (uint64_t)bytes != w.bytes)
        refuse_with(r, 413, "too-long", json_pack("{s:I}", "key_bytes", (json_int_t)w.bytes),
                    "keys of this model and bucket have %" PRIu64 " bytes", w.bytes);
    u->bytes = (uint64_t)bytes;
    return r->response ? 0 : read_blocks(u, r);
}

static int has_room(const struct upload *u, struct request *r) {
    const struct store *s = &r->s->store;
    const int64_t most = r->account.key_bytes;
    if (most && uploads_bytes(s, u->owner) + u->bytes > (uint64_t)most)
        refuse(r, 403, "quota-key-bytes",
               "the keys of this account may have %" PRId64 " bytes: delete some first", most);
    else if (store_free_bytes(s) < u->bytes + (64u << 20))
        refuse(r, 507, "disk-full", "the server's disk has no room for these keys");
    return r->response == NULL;
}

static int same_blocks(const struct upload *a, const struct upload *b) {
    return a->bytes == b->bytes &&
           memcmp(a->hash, b->hash, (size_t)a->blocks * sizeof *a->hash) == 0;
}

static void answer_present(struct request *r, const struct upload *u) {
    struct upload have;
    struct append a;
    memcpy(r->id, u->key, sizeof r->id);
    if (!find_upload(&have, r)) return;
    if (same_blocks(&have, u)) {
        if (!have.ready && append_open(&a, &have, &r->s->store) == THOR_OK) append_close(&a);
        answer_upload(r, 200, &have);
        answer_header(r, "Location", "/v1/keys/%s", have.key);
    } else {
        refuse(r, 409, "differs", "other keys of that name are there: delete them first");
    }
    upload_free(&have);
}

void on_keys_make(struct request *r) {
    struct upload u = {0};
    char path[STORE_PATH];
    if (refuse_unready(r, 1) || !read_declared(&u, r)) return;
    upload_name(u.key, u.owner, u.pair, u.model, u.tokens);
    store_path(path, &r->s->store, "keys", u.key, NULL);
    if (store_exists(path)) {
        answer_present(r, &u);
    } else if (has_room(&u, r)) {
        const int st = upload_create(&u, &r->s->store);
        if (st == 1)
            answer_present(r, &u);
        else if (st != THOR_OK)
            refuse(r, 500, "internal", "%s", plain_error());
        if (st == THOR_OK) {
            answer_upload(r, 201, &u);
            answer_header(r, "Location", "/v1/keys/%s", u.key);
        }
    }
    upload_free(&u);
}

/* ---- append ---- */

struct patch {
    struct upload u;
    struct append a;
    int open;
};

/* Before the answer is on its way: who has it may send the next one. */
static void end_patch(struct patch *p) {
    if (p->open) append_close(&p->a);
    p->open = 0;
}

static int right_offset(struct request *r, const struct patch *p) {
    const char *text = header_of(r, "Upload-Offset");
    const int number = text && text[0] && strspn(text, "0123456789") == strlen(text);
    const uint64_t at = number ? strtoull(text, NULL, 10) : 0;
    if (!number)
        refuse(r, 400, "malformed", "give Upload-Offset: BYTES");
    else if (at != p->u.offset)
        refuse(r, 409, "offset", "the upload goes on at byte %" PRIu64, p->u.offset);
    else if (r->length != UINT64_MAX && r->length > p->u.bytes - at)
        refuse(r, 413, "too-long", "%" PRIu64 " bytes are missing, not %" PRIu64, p->u.bytes - at,
               r->length);
    return r->response == NULL;
}

void on_keys_append(struct request *r) {
    if (refuse_unready(r, 1)) return;
    struct patch *p = r->ctx = calloc(1, sizeof *p);
    if (!p) {
        refuse(r, 500, "internal", "no memory for an upload");
        return;
    }
    if (!find_upload(&p->u, r)) return;
    const int st = p->u.ready ? THOR_OK : append_open(&p->a, &p->u, &r->s->store);
    p->open = !p->u.ready && st == THOR_OK;
    if (st == 1) {
        refuse(r, 409, "busy", "another request is sending these keys");
        retry_after(r, 1);
    } else if (st != THOR_OK) {
        refuse(r, 500, "internal", "%s", plain_error());
    } else if (!right_offset(r, p)) {
        end_patch(p);
    }
    if (r->response && st != 1) answer_header(r, "Upload-Offset", "%" PRIu64, p->u.offset);
}

void on_keys_bytes(struct request *r, const void *data, size_t n) {
    struct patch *p = r->ctx;
    if (!p->open) { // right_offset took it for ready
        refuse(r, 413, "too-long", "these keys are whole already");
        return;
    }
    const int st = append_bytes(&p->a, data, n);
    if (st == THOR_OK) return;
    const uint64_t good = p->a.begun;
    if (p->a.bad)
        refuse_with(r, 422, "bad-block", json_pack("{s:i}", "block", p->a.bad - 1), "%s",
                    thor_error());
    else if (st == THOR_INPUT)
        refuse(r, 413, "too-long", "%s", thor_error());
    else
        refuse(r, 507, "disk-full", "%s", plain_error());
    answer_header(r, "Upload-Offset", "%" PRIu64, good);
    int whole;
    append_flush(&p->a, &p->u, &r->s->store, &whole);
    end_patch(p);
}

/* Header and table of a whole upload: of that pair and set, and all keys of the plan. */
static int check_keys(struct request *r, const struct upload *u) {
    int st = THOR_OK;
    char path[STORE_PATH], pair[STORE_ID] = "";
    struct serial_head h = {0};
    struct wanted w;
    const int found = find_wanted(&w, r->s, u->model, u->tokens) == 1;
    upload_part(path, &r->s->store, u->key);
    TRY(ckks_file_describe(&h, path));
    for (int i = 0; i < 16; i++) snprintf(pair + 2 * i, 3, "%02x", h.id[i]);
    if (h.kind != CKKS_FILE_KEYS || strcmp(pair, u->pair) != 0 || !found || h.params != w.params)
        TRY(thor_fail(THOR_KEY, "no evaluation keys of the pair and parameters that were named"));
    for (int i = 0; i < w.needs; i++) {
        int there = 0;
        for (uint32_t k = 0; k < h.count && !there; k++)
            there = h.entry[k].id == w.need[i].id && (int)h.entry[k].level >= w.need[i].level;
        if (!there) TRY(thor_fail(THOR_KEY, "keys that this model needs are not among them"));
    }
out:
    serial_free(&h);
    return st;
}

static void finish(struct request *r, struct patch *p) {
    const struct store *s = &r->s->store;
    if (check_keys(r, &p->u) != THOR_OK) {
        store_remove(s, "keys", p->u.key);
        refuse(r, 422, "bad-keys", "%s", plain_error());
        return;
    }
    if (upload_finish(&p->u, s) != THOR_OK) refuse(r, 500, "internal", "%s", plain_error());
    logline("uploaded", "{s:s, s:s, s:I}", "key", p->u.key, "account", p->u.owner, "bytes",
            (json_int_t)p->u.bytes);
}

void on_keys_appended(struct request *r) {
    struct patch *p = r->ctx;
    int whole = 0;
    if (p->open) {
        if (append_flush(&p->a, &p->u, &r->s->store, &whole) != THOR_OK) {
            if (store_is_gone(&r->s->store, p->u.key, p->u.owner))
                refuse(r, 410, "gone", "these keys were deleted");
            else
                refuse(r, 507, "disk-full", "%s", plain_error());
            return;
        }
        if (whole) finish(r, p);
        end_patch(p);
    }
    answer_upload(r, 204, &p->u);
}

/* What came whole before a connection broke stays. */
void on_keys_close(struct request *r) {
    struct patch *p = r->ctx;
    int whole = 0;
    if (!p) return;
    if (p->open && !r->response && append_flush(&p->a, &p->u, &r->s->store, &whole) == THOR_OK)
        if (whole) finish(r, p);
    end_patch(p);
    upload_free(&p->u);
    free(p);
    r->ctx = NULL;
}
