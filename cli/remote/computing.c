/* The service of split mode over HTTP (split_remote_open of cli/tunejob.h): rows are encrypted
 * here, multiplied at a thor serve --split, decrypted here.
 *
 * A key pair of its own; the secret key stays in this process and goes with it.  The server gets
 * evaluation keys, once, and they are dropped at the end.  A product is the same however often it
 * is asked for: where the connection breaks, or the server is busy or starts anew, it is asked
 * again, and keys that it has lost come again. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckks/serial.h"
#include "cli/cli.h"
#include "cli/remote/push.h"
#include "cli/remote/remote.h"
#include "cli/tunejob.h"
#include "split/caller.h"
#include "split/weights.h"

enum { SILENCE = 600 }; // seconds that a product may wait and run at the server
static const double longest_wait = 30;
#define SET "n12"

struct computing {
    struct split_service s;
    struct remote r;
    struct wire *w;
    struct split_caller *caller;
    struct served to;
    char keys[WIRE_LOCATION]; /* their path at the server; "": none */
};

/* ---- keys ---- */

static int push_file(struct computing *c, const char *path) {
    int st = THOR_OK;
    char id[33];
    struct serial_head h = {0};
    struct push done = {0};
    TRY(split_caller_save_keys(c->caller, path));
    TRY(ckks_file_describe(&h, path));
    push_name(id, h.id);
    TRY(push_keys(&done, c->w, path, id, &c->to, 1));
    snprintf(c->keys, sizeof c->keys, "%s", done.key);
    c->s.traffic.up += done.bytes - done.began;
out:
    serial_free(&h);
    return st;
}

/* Evaluation keys to the server; their file is there as long as that takes. */
static int give_keys(struct computing *c) {
    int st = THOR_OK;
    char dir[REMOTE_FOLDER], path[REMOTE_FOLDER + 16];
    TRY(remote_folder(dir));
    snprintf(path, sizeof path, "%s/eval.key", dir);
    st = push_file(c, path);
    unlink(path);
    rmdir(dir);
out:
    return st;
}

static void drop_keys(struct computing *c) {
    struct wire_reply r = {0};
    if (!c->keys[0]) return;
    wire_call(&r, c->w,
              &(struct wire_call){.method = "DELETE", .path = c->keys, .again = 1, .always = 1});
    wire_reply_free(&r);
}

/* ---- a product ---- */

struct taking { /* the reply, as it comes */
    uint8_t *to;
    size_t got, want;
    const struct wire *w;
};

static int on_reply(void *ctx, const char *data, size_t n) {
    struct taking *t = ctx;
    if (n > t->want - t->got)
        return thor_fail(THOR_IO, "%s: a reply of more than %zu bytes: refused", wire_url(t->w),
                         t->want);
    memcpy(t->to + t->got, data, n);
    t->got += n;
    return THOR_OK;
}

enum outcome { ENDED, BROKEN, NO_KEYS };

static int ask_once(enum outcome *how, uint8_t *reply, struct computing *c,
                    const struct split_call *call) {
    char keys[WIRE_HEADER];
    struct wire_reply r = {0};
    struct taking t = {reply, 0, call->reply, c->w};
    snprintf(keys, sizeof keys, "Thor-Keys: %.40s", strrchr(c->keys, '/') + 1);
    const struct wire_call ask = {.method = "POST",
                                  .path = "/compute",
                                  .header = {"Content-Type: application/octet-stream", keys},
                                  .body = call->body,
                                  .bytes = call->bytes,
                                  .sink = on_reply,
                                  .ctx = &t,
                                  .silence = SILENCE};
    int st = wire_ask(&r, c->w, &ask);
    *how = st == THOR_IO && r.broken ? BROKEN
           : strcmp(r.problem, "no-keys") == 0 || strcmp(r.problem, "gone") == 0 ||
                   strcmp(r.problem, "not-found") == 0
               ? NO_KEYS
               : ENDED;
    if (st == THOR_OK && t.got != t.want)
        st = thor_fail(THOR_IO, "%s: a reply of %zu bytes, not %zu", wire_url(c->w), t.got, t.want);
    wire_reply_free(&r);
    return st;
}

static int ask(uint8_t *reply, struct split_service *s, const struct split_call *call) {
    struct computing *c = (struct computing *)s;
    int st = THOR_OK, given = 0;
    double wait = 0.25, waited = 0;
    enum outcome how;
    while ((st = ask_once(&how, reply, c, call)) != THOR_OK) {
        if (how == NO_KEYS && !given++) {
            TRY(give_keys(c));
        } else if (how == BROKEN && waited + wait <= c->r.wait) {
            c->r.wire.waits(c->r.wire.ctx, wait, thor_error());
            TRY(wire_sleep(c->w, wait));
            waited += wait;
            wait = 2 * wait < longest_wait ? 2 * wait : longest_wait;
        } else {
            break;
        }
    }
out:
    return st;
}

static int product(struct split_service *s, double *y, const struct split_ask *want,
                   const double *x) {
    return split_caller_product(s, ((struct computing *)s)->caller, y, want, x, ask);
}

/* ---- open and close ---- */

static void close_computing(struct split_service *s) {
    struct computing *c = (struct computing *)s;
    drop_keys(c);
    wire_close(c->w);
    split_caller_close(c->caller);
    remote_end(&c->r);
    free(c);
}

static int start(struct computing *c, const struct tune_where *where) {
    int st = THOR_OK;
    struct login named = {0};
    c->r.file = where->login;
    c->r.wait = where->wait;
    TRY(login_url(&named, where->server, 1));
    TRY(remote_start(&c->r));
    if (strcmp(named.url, c->r.to.url) != 0)
        TRY(thor_fail(THOR_USAGE,
                      "--server %.200s: the login is for %.200s; run thor remote login %.200s, or "
                      "name its file with --login",
                      named.url, c->r.to.url, named.url));
    TRY(wire_open(&c->w, &c->r.wire));
out:
    return st;
}

/* The server multiplies by the weights of this folder. */
static int same_model(struct computing *c, const char *folder) {
    int st = THOR_OK;
    struct split_weights *weights = NULL;
    uint64_t hash;
    char id[20];
    TRY(served_split(&c->to, c->w));
    TRY(split_weights_open(&weights, folder));
    TRY(split_weights_hash(&hash, weights));
    snprintf(id, sizeof id, "%016" PRIx64, hash);
    if (strcmp(id, c->to.id) != 0)
        TRY(thor_fail(THOR_MODEL,
                      "%s: multiplies by the weights of %.60s (%s), not by those of %.200s (%s)",
                      wire_url(c->w), c->to.name, c->to.id, folder, id));
    if (strcmp(c->to.params, SET) != 0)
        TRY(thor_fail(THOR_KEY,
                      "%s: computes with parameters %.20s, not %s; are both of one "
                      "version?",
                      wire_url(c->w), c->to.params, SET));
    c->s.shape = *split_weights_shape(weights);
out:
    split_weights_close(weights);
    return st;
}

int split_remote_open(struct split_service **out, const char *folder,
                      const struct tune_where *where) {
    int st = THOR_OK;
    struct computing *c = calloc(1, sizeof *c);
    if (!c) return thor_fail(THOR_MEMORY, "no memory for a service");
    c->s = (struct split_service){.product = product, .close = close_computing};
    interrupt_hold(); // to the end of the program: whatever stops it, the keys are dropped
    TRY(start(c, where));
    TRY(same_model(c, folder));
    TRY(split_caller_open(&c->caller, SET, 0, where->threads));
    TRY(give_keys(c));
    *out = &c->s;
    c = NULL;
out:
    if (c) close_computing(&c->s);
    return st;
}
