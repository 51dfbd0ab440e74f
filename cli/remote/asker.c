#include "cli/remote/asker.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/exchange.h"
#include "cli/nexttoken.h"
#include "cli/published.h"

enum { RESENDS = 2 }; /* of a job that the server lost */

int asker_open(struct asker *a, const struct session_setup *setup, int tokens,
               const struct wire_setup *wire) {
    int st = THOR_OK;
    struct session *s = &a->s;
    TRY(session_load(s, setup));
    TRY(session_plan(s, tokens ? tokens : s->ranges->tokens));
    TRY(keyset_load_secret(&s->keys, setup->keys_dir, setup->insecure != NULL));
    TRY(keyset_of(&s->keys, s->params, setup->keys_dir));
    TRY(keyset_one_pair(&s->keys, setup->keys_dir));
    TRY(session_open(s));
    TRY(wire_open(&a->w, wire));
    TRY(served_find(&a->to, a->w, s->model->hash, s->plan->tokens, s->params->name));
    TRY(remote_folder(a->dir));
out:
    return st;
}

void asker_close(struct asker *a) {
    if (a->dir[0]) rmdir(a->dir);
    wire_close(a->w);
    session_close(&a->s);
    memset(a, 0, sizeof *a);
}

static void tell(const struct asked *q, enum asker_step step, const struct errand_state *job) {
    if (q->by->news) q->by->news(q->by->ctx, q, step, job);
}

int asker_fits(const struct asker *a, int tokens) {
    if (tokens <= a->s.plan->tokens) return THOR_OK;
    return thor_fail(
        THOR_INPUT,
        "a text of %d tokens, for a bucket of %d; shorten it, or make keys with larger "
        "--tokens",
        tokens, a->s.plan->tokens);
}

static void on_sent(void *ctx, uint64_t bytes) {
    struct asked *q = ctx;
    if (bytes == q->sent) return;
    q->sent = bytes;
    tell(q, ASKER_SEND, NULL);
}

int asker_send(struct asked *q, struct asker *a, const struct bert_tokens *t) {
    int st = THOR_OK;
    struct session *s = &a->s;
    const struct bert_sealer with = {.secret = s->keys.secret, .rng = s->rng};
    struct bert_file f = {0};
    *q = (struct asked){.by = a, .tokens = t->n};
    TRY(asker_fits(a, t->n));
    snprintf(q->request, sizeof q->request, "%s/%u.request", a->dir, a->count);
    snprintf(q->answer, sizeof q->answer, "%s/%u.answer", a->dir, a->count++);
    ckks_rng_bytes(s->rng, &q->ticket, sizeof q->ticket);
    tell(q, ASKER_ENCRYPT, NULL);
    TRY(exchange_seal(s, &with, t, q->ticket, q->request));
    TRY(bert_file_open(&f, q->request, THOR_IO));
    q->bytes = f.n;
    bert_file_close(&f);
    tell(q, ASKER_SEND, NULL);
    TRY(errand_send(&q->job, a->w, a->to.id, q->request, on_sent, q));
out:
    return st;
}

static void on_job(void *ctx, const struct errand_state *job) {
    tell(ctx, ASKER_WORK, job);
}

/* A job that died with its server is sent again, as another job. */
static int follow(struct asked *q) {
    int st = THOR_OK;
    struct asker *a = q->by;
    while ((st = errand_follow(&q->job, a->w, on_job, q)) && q->job.lost && q->resent++ < RESENDS) {
        errand_cancel(&q->job, a->w);
        TRY(errand_send(&q->job, a->w, a->to.id, q->request, on_sent, q));
    }
out:
    return st;
}

/* The answer is to this request: by its ticket, key, model, parameters and bucket. */
static int open_answer(struct result *r, struct asked *q) {
    int st = THOR_OK;
    struct session *s = &q->by->s;
    const struct bert_config *c = &s->model->cfg;
    struct bert_message m;
    struct bert_shape shape;
    struct serial_head h = {0};
    TRY(exchange_peek(&shape, &m, &h, s, q->answer));
    if (m.ticket != q->ticket || (int)m.tokens != s->plan->tokens)
        TRY(thor_fail(THOR_KEY, "%s: the answer is to another request: refused; ask again",
                      wire_url(q->by->w)));
    TRY(exchange_open(r, s, &shape, &m, &h, q->tokens, 0, q->answer));
    TRY(next_token_published(r, s->model));
    result_judge(r, c);
    if (bert_gives_embedding(c)) published_embedding(r->he_logits, r->labels);
out:
    serial_free(&h);
    return st;
}

int asker_take(struct result *r, struct asked *q) {
    int st = THOR_OK;
    struct asker *a = q->by;
    TRY(follow(q));
    tell(q, ASKER_FETCH, NULL);
    TRY(errand_fetch(&q->job, a->w, a->to.answer_bytes, q->answer));
    tell(q, ASKER_OPEN, NULL);
    TRY(open_answer(r, q));
out:
    return st;
}

void asker_drop(struct asked *q) {
    if (!q->by) return;
    errand_cancel(&q->job, q->by->w);
    unlink(q->request);
    unlink(q->answer);
    q->by = NULL;
}
