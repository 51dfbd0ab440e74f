#include "cli/serve/uploads.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bert/input/jsonfile.h"
#include "cli/serve/logline.h"

enum { META_MOST = 1 << 20, LIFE = 30 * 86400, HALF_LIFE = 86400, LISTED = 256 };

void upload_name(char key[STORE_ID], const char *owner, const char *pair, const char *model,
                 int tokens) {
    char t[16];
    snprintf(t, sizeof t, "%d", tokens);
    store_hash(key, "keys", owner, pair, model, t, NULL);
}

static void file_of(char path[STORE_PATH], const struct store *s, const char *key,
                    const char *name) {
    store_path(path, s, "keys", key, name);
}

void upload_file(char path[STORE_PATH], const struct store *s, const char *key) {
    file_of(path, s, key, "eval.key");
}

void upload_part(char path[STORE_PATH], const struct store *s, const char *key) {
    file_of(path, s, key, "part");
}

int upload_is_ready(const struct store *s, const char *key) {
    char path[STORE_PATH];
    upload_file(path, s, key);
    return store_exists(path);
}

void upload_used(const struct store *s, const char *key) {
    char path[STORE_PATH];
    file_of(path, s, key, "meta.json");
    store_touch(path);
}

static uint64_t block_bytes(const struct upload *u, uint64_t at) {
    return u->bytes - at < UPLOAD_BLOCK ? u->bytes - at : UPLOAD_BLOCK;
}

/* ---- meta.json ---- */

int upload_create(struct upload *u, const struct store *s) {
    int st = THOR_OK;
    char tmp[STORE_PATH], path[STORE_PATH + 16];
    json_t *hashes = json_array();
    u->created = u->used = time(NULL);
    u->expires = u->created + HALF_LIFE;
    u->offset = 0;
    u->ready = 0;
    upload_name(u->key, u->owner, u->pair, u->model, u->tokens);
    for (int i = 0; i < u->blocks; i++) json_array_append_new(hashes, json_string(u->hash[i]));
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:o}", "key", u->key, "owner", u->owner,
                  "pair", u->pair, "model", u->model, "tokens", u->tokens, "bytes",
                  (json_int_t)u->bytes, "created", (json_int_t)u->created, "hash", hashes);
    TRY(store_make(tmp, s));
    snprintf(path, sizeof path, "%s/meta.json", tmp);
    st = bert_json_save(o, path);
    o = NULL;
    if (st == THOR_OK) {
        snprintf(path, sizeof path, "%s/part", tmp);
        st = store_note(path, "");
    }
    if (st == THOR_OK) st = store_settle(s, tmp, "keys", u->key);
out:
    json_decref(o);
    return st;
}

static int text_of(char *to, size_t size, const json_t *o, const char *name) {
    const char *v = json_string_value(json_object_get(o, name));
    if (!v || strlen(v) >= size) return 0;
    snprintf(to, size, "%s", v);
    return 1;
}

static int read_hashes(struct upload *u, const json_t *list) {
    u->blocks = (int)json_array_size(list);
    u->hash = calloc((size_t)u->blocks + 1, sizeof *u->hash);
    if (!u->hash) return 0;
    for (int i = 0; i < u->blocks; i++) {
        const char *v = json_string_value(json_array_get(list, (size_t)i));
        if (!v || !store_is_id(v)) return 0;
        memcpy(u->hash[i], v, UPLOAD_HASH);
    }
    return (uint64_t)u->blocks == (u->bytes + UPLOAD_BLOCK - 1) / UPLOAD_BLOCK;
}

static void times_of(struct upload *u, const struct store *s) {
    char path[STORE_PATH], text[32];
    u->ready = upload_is_ready(s, u->key);
    file_of(path, s, u->key, u->ready ? "meta.json" : "part");
    u->used = store_time(path);
    u->expires = u->used + (u->ready ? LIFE : HALF_LIFE);
    u->offset = u->ready ? u->bytes : 0;
    file_of(path, s, u->key, "offset");
    if (!u->ready && store_noted(text, sizeof text, path)) u->offset = strtoull(text, NULL, 10);
}

int upload_load(struct upload *u, const struct store *s, const char *key) {
    int st = THOR_OK;
    char path[STORE_PATH];
    json_t *o = NULL;
    *u = (struct upload){0};
    file_of(path, s, key, "meta.json");
    TRY(bert_json_read(&o, path, META_MOST, BERT_JSON_SMALL, 0, THOR_INPUT));
    u->tokens = (int)json_integer_value(json_object_get(o, "tokens"));
    u->bytes = (uint64_t)json_integer_value(json_object_get(o, "bytes"));
    u->created = (time_t)json_integer_value(json_object_get(o, "created"));
    if (!text_of(u->key, sizeof u->key, o, "key") ||
        !text_of(u->owner, sizeof u->owner, o, "owner") ||
        !text_of(u->pair, sizeof u->pair, o, "pair") ||
        !text_of(u->model, sizeof u->model, o, "model") ||
        !read_hashes(u, json_object_get(o, "hash")))
        TRY(thor_fail(THOR_INPUT, "%.300s: damaged", path));
    times_of(u, s);
out:
    json_decref(o);
    if (st) upload_free(u);
    return st;
}

void upload_free(struct upload *u) {
    free(u->hash);
    u->hash = NULL;
}

json_t *upload_json(const struct upload *u, int resident) {
    char created[24], used[24], expires[24];
    utc_text(created, u->created);
    utc_text(used, u->used);
    utc_text(expires, u->expires);
    return json_pack("{s:s, s:s, s:s, s:i, s:I, s:I, s:s, s:b, s:s, s:s, s:s}", "key", u->key, "id",
                     u->pair, "model", u->model, "tokens", u->tokens, "bytes", (json_int_t)u->bytes,
                     "offset", (json_int_t)u->offset, "state", u->ready ? "ready" : "uploading",
                     "resident", resident, "created", created, "used", used, "expires", expires);
}

/* ---- all of them ---- */

static void each(const struct store *s, void (*what)(void *, const struct store *, struct upload *),
                 void *ctx) {
    char(*id)[STORE_ID] = calloc(LISTED, sizeof *id), after[STORE_ID] = "";
    for (int n = LISTED; id && n == LISTED;) {
        n = store_list(id, LISTED, s, "keys", after);
        for (int i = 0; i < n; i++) {
            struct upload u;
            if (upload_load(&u, s, id[i]) == THOR_OK) what(ctx, s, &u), upload_free(&u);
        }
        if (n) memcpy(after, id[n - 1], STORE_ID);
    }
    free(id);
}

struct sum {
    const char *owner;
    uint64_t bytes;
};

static void add_bytes(void *ctx, const struct store *s, struct upload *u) {
    struct sum *sum = ctx;
    (void)s;
    if (strcmp(u->owner, sum->owner) == 0) sum->bytes += u->bytes;
}

uint64_t uploads_bytes(const struct store *s, const char *owner) {
    struct sum sum = {owner, 0};
    each(s, add_bytes, &sum);
    return sum.bytes;
}

static void expire(void *ctx, const struct store *s, struct upload *u) {
    (void)ctx;
    if (u->used == 0 || time(NULL) < u->expires) return;
    store_bury(s, u->key, u->owner);
    store_remove(s, "keys", u->key);
}

void uploads_expire(const struct store *s) {
    each(s, expire, NULL);
}

/* ---- appending ---- */

static int same_hash(const struct append *a) {
    char hex[UPLOAD_HASH];
    XXH128_hash_t h = XXH3_128bits_digest(a->hash);
    snprintf(hex, sizeof hex, "%016" PRIx64 "%016" PRIx64, (uint64_t)h.high64, (uint64_t)h.low64);
    return memcmp(hex, a->u->hash[a->begun / UPLOAD_BLOCK], sizeof hex) == 0;
}

static void begin_block(struct append *a, uint64_t at) {
    a->at = a->begun = at;
    XXH3_128bits_reset(a->hash);
}

/* Blocks that a killed server wrote and did not note. */
static int find_offset(struct append *a, struct upload *u) {
    enum { CHUNK = 1 << 20 };
    struct stat st;
    uint8_t *buf = malloc(CHUNK);
    if (!buf || fstat(a->fd, &st) != 0) {
        free(buf);
        return thor_fail(THOR_MEMORY, "no memory for an upload");
    }
    if (u->offset > (uint64_t)st.st_size) u->offset = 0;
    begin_block(a, u->offset / UPLOAD_BLOCK * UPLOAD_BLOCK);
    while (a->at < u->bytes && a->begun + block_bytes(u, a->begun) <= (uint64_t)st.st_size) {
        const uint64_t end = a->begun + block_bytes(u, a->begun);
        const size_t want = end - a->at < CHUNK ? (size_t)(end - a->at) : CHUNK;
        const ssize_t n = pread(a->fd, buf, want, (off_t)a->at);
        if (n <= 0) break;
        XXH3_128bits_update(a->hash, buf, (size_t)n);
        a->at += (uint64_t)n;
        if (a->at < end) continue;
        if (!same_hash(a)) break;
        begin_block(a, a->at);
    }
    free(buf);
    begin_block(a, a->begun);
    u->offset = a->at;
    return THOR_OK;
}

int append_open(struct append *a, struct upload *u, const struct store *s) {
    int st = THOR_OK;
    char path[STORE_PATH];
    *a = (struct append){.u = u, .fd = -1, .hash = XXH3_createState()};
    upload_part(path, s, u->key);
    a->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (a->fd < 0 || !a->hash)
        TRY(thor_fail(THOR_IO, "%.300s: cannot be opened: %s", path, strerror(errno)));
    if (flock(a->fd, LOCK_EX | LOCK_NB) != 0) TRY(1);
    if (!store_exists(path)) TRY(1); // it has just become whole
    TRY(find_offset(a, u));
out:
    if (st) append_close(a);
    return st;
}

static int write_all(int fd, const uint8_t *data, size_t n, uint64_t at) {
    while (n > 0) {
        const ssize_t w = pwrite(fd, data, n, (off_t)at);
        if (w < 0 && errno == EINTR) continue;
        if (w <= 0) return thor_fail(THOR_IO, "keys cannot be written: %s", strerror(errno));
        data += w;
        at += (uint64_t)w;
        n -= (size_t)w;
    }
    return THOR_OK;
}

static int end_block(struct append *a) {
    if (!same_hash(a)) {
        a->bad = 1 + (int)(a->begun / UPLOAD_BLOCK);
        return thor_fail(THOR_INPUT, "block %d is not what its hash says: send it again",
                         a->bad - 1);
    }
    sync_file_range(a->fd, (off_t)a->begun, (off_t)(a->at - a->begun), SYNC_FILE_RANGE_WRITE);
    begin_block(a, a->at);
    return THOR_OK;
}

int append_bytes(struct append *a, const void *data, size_t n) {
    int st = THOR_OK;
    const uint8_t *p = data;
    if (n > a->u->bytes - a->at)
        return thor_fail(THOR_INPUT, "more bytes than the %" PRIu64 " that were declared",
                         a->u->bytes);
    while (n > 0) {
        const uint64_t left = a->begun + block_bytes(a->u, a->begun) - a->at;
        const size_t now = n < left ? n : (size_t)left;
        TRY(write_all(a->fd, p, now, a->at));
        XXH3_128bits_update(a->hash, p, now);
        a->at += now;
        p += now;
        n -= now;
        if (now == left) TRY(end_block(a));
    }
out:
    return st;
}

int append_flush(struct append *a, struct upload *u, const struct store *s, int *whole) {
    int st = THOR_OK;
    char path[STORE_PATH], text[32];
    u->offset = a->begun;
    *whole = u->offset == u->bytes;
    if (fdatasync(a->fd) != 0)
        TRY(thor_fail(THOR_IO, "keys cannot be written: %s", strerror(errno)));
    // all of it is noted by upload_finish alone: nobody would send more to end it
    if (*whole) return THOR_OK;
    file_of(path, s, u->key, "offset");
    snprintf(text, sizeof text, "%" PRIu64, u->offset);
    TRY(store_note(path, text));
out:
    return st;
}

void append_close(struct append *a) {
    if (a->fd >= 0) close(a->fd);
    XXH3_freeState(a->hash);
    *a = (struct append){.fd = -1};
}

int upload_finish(struct upload *u, const struct store *s) {
    char part[STORE_PATH], whole[STORE_PATH];
    upload_part(part, s, u->key);
    upload_file(whole, s, u->key);
    if (rename(part, whole) != 0)
        return thor_fail(THOR_IO, "%.300s: cannot be renamed: %s", part, strerror(errno));
    upload_used(s, u->key);
    times_of(u, s);
    return THOR_OK;
}
