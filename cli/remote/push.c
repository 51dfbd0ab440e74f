#include "cli/remote/push.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "bench/bench.h"
#include "bert/input/readfile.h"
#include "cli/cli.h"

enum { TRIES = 6, MOST_BLOCKS = 1 << 20, PIECE = 256 << 10 };
static const double MIB = 1048576;

struct upload {
    struct wire *w;
    const struct served *to;
    struct bert_file file;
    struct push *out;
    struct progress progress;
    uint64_t offset; /* the server's */
    int idle;        /* tries since it last grew */
};

void push_name(char out[33], const uint8_t id[16]) {
    for (int i = 0; i < 16; i++) snprintf(out + 2 * i, 3, "%02x", id[i]);
}

/* ---- hashes ---- */

/* XXH3-128 of a block, canonical; through a small buffer, so that it stays in the cache. */
static int hash_block(char out[33], const struct upload *u, uint64_t at, char *buffer) {
    int st = THOR_OK;
    XXH3_state_t *state = XXH3_createState();
    XXH128_canonical_t c;
    uint64_t end = at + u->to->block_bytes;
    if (end > u->file.n) end = u->file.n;
    if (!state) return thor_fail(THOR_MEMORY, "no memory to hash the keys");
    XXH3_128bits_reset(state);
    for (size_t n; at < end; at += n) {
        n = end - at < PIECE ? (size_t)(end - at) : PIECE;
        TRY(bert_file_read(&u->file, buffer, n, at));
        XXH3_128bits_update(state, buffer, n);
    }
    XXH128_canonicalFromHash(&c, XXH3_128bits_digest(state));
    push_name(out, c.digest);
out:
    XXH3_freeState(state);
    return st;
}

static int hash_all(json_t **blocks, struct upload *u) {
    int st = THOR_OK;
    const uint64_t n = (u->file.n + u->to->block_bytes - 1) / u->to->block_bytes;
    char *buffer = malloc(PIECE), hash[33];
    const double began = bench_now();
    *blocks = json_array();
    if (n > MOST_BLOCKS) TRY(thor_fail(THOR_IO, "%s: asks for too many blocks", wire_url(u->w)));
    if (!buffer || !*blocks) TRY(thor_fail(THOR_MEMORY, "no memory to hash the keys"));
    progress_begin(&u->progress, "hash");
    for (uint64_t i = 0; i < n; i++) {
        TRY(hash_block(hash, u, i * u->to->block_bytes, buffer));
        if (json_array_append_new(*blocks, json_string(hash)))
            TRY(thor_fail(THOR_MEMORY, "no memory for the hashes of the keys"));
        progress_step(&u->progress, (int)i + 1, (int)n);
        TRY(interrupt_pending());
    }
    progress_end(&u->progress);
    u->out->hashing = bench_now() - began;
out:
    free(buffer);
    return st;
}

/* ---- the upload's place on the server ---- */

static int announce(struct upload *u, const char *key_id) {
    int st = THOR_OK;
    char *text = NULL;
    json_t *blocks = NULL, *o;
    struct wire_reply r = {0};
    TRY(hash_all(&blocks, u));
    o = json_pack("{s:s, s:i, s:s, s:s, s:I, s:O}", "model", u->to->id, "tokens", u->to->tokens,
                  "parameters", u->to->params, "id", key_id, "bytes", (json_int_t)u->file.n,
                  "blocks", blocks);
    text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    if (!text) TRY(thor_fail(THOR_MEMORY, "no memory to announce the keys"));
    TRY(wire_ask(&r, u->w,
                 &(struct wire_call){.method = "POST",
                                     .path = "/v1/keys",
                                     .header = {"Content-Type: application/json"},
                                     .body = text,
                                     .bytes = strlen(text),
                                     .again = 1}));
    if (!r.location[0] || r.offset < 0 || (uint64_t)r.offset > u->file.n)
        TRY(thor_fail(THOR_IO, "%s: says not where the keys go to; is it a thor server?",
                      wire_url(u->w)));
    snprintf(u->out->key, sizeof u->out->key, "%s", r.location);
    u->out->began = u->offset = (uint64_t)r.offset;
out:
    wire_reply_free(&r);
    free(text);
    json_decref(blocks);
    return st;
}

/* The server's new place: growth ends the count of tries. */
static int moved(struct upload *u, int64_t offset) {
    if (offset < 0 || (uint64_t)offset > u->file.n)
        return thor_fail(THOR_IO, "%s: says not how far the keys have come; try again",
                         wire_url(u->w));
    if ((uint64_t)offset > u->offset) u->idle = 0;
    u->offset = (uint64_t)offset;
    if (u->idle <= TRIES) return THOR_OK;
    return thor_fail(THOR_IO, "%s: takes no more of the keys after %.0f MiB; try again later",
                     wire_url(u->w), (double)u->offset / MIB);
}

static int where(struct upload *u) {
    int st = THOR_OK;
    struct wire_reply r;
    TRY(wire_ask(&r, u->w, &(struct wire_call){.method = "HEAD", .path = u->out->key, .again = 1}));
    TRY(moved(u, r.offset));
out:
    wire_reply_free(&r);
    return st;
}

/* ---- the bytes ---- */

static void on_sent(void *ctx, uint64_t sent) {
    struct upload *u = ctx;
    char what[64];
    const double done = (double)(u->offset + sent) / MIB, all = (double)u->file.n / MIB;
    snprintf(what, sizeof what, "%.0f of %.0f MiB", done, all);
    if (u->progress.tty) progress_note(&u->progress, (int)done, (int)all + 1, what);
}

static int send_rest(struct wire_reply *r, struct upload *u) {
    char offset[64];
    snprintf(offset, sizeof offset, "Upload-Offset: %" PRIu64, u->offset);
    return wire_call(
        r, u->w,
        &(struct wire_call){.method = "PATCH",
                            .path = u->out->key,
                            .header = {"Content-Type: application/offset+octet-stream", offset},
                            .file = &u->file,
                            .at = u->offset,
                            .bytes = u->file.n - u->offset,
                            .silence = 600, // the server looks through whole keys
                            .sent = on_sent,
                            .ctx = u});
}

/* One PATCH and what comes of it; THOR_OK: u->offset is the server's. */
static int one_patch(struct upload *u) {
    struct wire_reply r = {0};
    int st = send_rest(&r, u);
    const int good = st == THOR_OK && r.status / 100 == 2;
    if (u->idle++ >= TRIES && !good) {
        if (st == THOR_OK) st = wire_refused(u->w, &r);
    } else if (st == THOR_IO && r.broken) {
        st = wire_sleep(u->w, u->idle < 2 ? 0 : 0.25 * (1 << u->idle));
        if (st == THOR_OK) st = where(u);
    } else if (st == THOR_OK && strcmp(r.problem, "busy") == 0) {
        st = wire_sleep(u->w, r.retry_after > 0 ? r.retry_after : 1);
        if (st == THOR_OK) st = where(u);
    } else if (good ||
               (st == THOR_OK && (r.status == 409 || strcmp(r.problem, "bad-block") == 0))) {
        st = moved(u, r.offset);
    } else if (st == THOR_OK) {
        st = wire_refused(u->w, &r);
    }
    wire_reply_free(&r);
    return st;
}

int push_keys(struct push *out, struct wire *w, const char *path, const char *key_id,
              const struct served *to, int quiet) {
    int st = THOR_OK;
    struct upload u = {.w = w, .to = to, .out = out, .progress = {.quiet = quiet}};
    const double began = bench_now();
    *out = (struct push){0};
    TRY(bert_file_open(&u.file, path, THOR_KEY));
    out->bytes = u.file.n;
    TRY(announce(&u, key_id));
    progress_begin(&u.progress, "upload");
    while (u.offset < u.file.n && st == THOR_OK) st = one_patch(&u);
    progress_end(&u.progress);
    out->seconds = bench_now() - began;
out:
    bert_file_close(&u.file);
    return st;
}
