/* thor generate: the next tokens of a prompt by a GPT-2 whose layers are computed on ciphertexts.
 *
 * Every token runs the whole text again.  The client embeds, decrypts the last state, computes the
 * LM head and samples; the plain model, which it has, says beside each token what it would give.
 *
 * With --data no text goes on: the token that would come next is compared with the plain model's,
 * and every token of the text counts for the perplexity. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bert/causal.h"
#include "bert/input/readfile.h"
#include "bert/reference.h"
#include "cli/inputs.h"
#include "cli/json.h"
#include "cli/nexttoken.h"
#include "cli/options.h"
#include "cli/sampling.h"
#include "cli/session.h"
#include "kernels/shown.h"

#define DEFAULT_MODEL "data/gpt2-tiny"

struct generate {
    struct session_setup setup;
    char default_dir[4096];
    const char *prompt, *temperature;
    struct option_spans layers;
    struct inputs_request request;
    struct inputs in;
    int tokens, seed, plain, approx, json;
    struct sampling sampling;
    struct session s;
    struct bert_tokens t;
    char text[128 * 512]; /* what was made, as bytes: a character may have several tokens */
    size_t bytes, shown;
    double *logits, *expected; /* of the next token, as computed and by the plain model */
    int made;
    double kl, worst_kl, seconds;
    int within[3];  /* the plain model's first token among the first 1, 5, 10 */
    int seen;       /* tokens of --data, */
    double nats[2]; /* and theirs, as computed and by the plain model */
};

static int read_options(struct generate *g, int argc, char **argv) {
    int st = THOR_OK;
    char *end = NULL;
    struct session_setup *s = &g->setup;
    const struct option_spec options[] = {
        {"prompt", "S", OPTION_TEXT, &g->prompt, 0, 0,
         "the text to go on with, - for standard input"},
        {"data", "FILE", OPTION_TEXT, &g->request.data, 0, 0,
         "instead: texts whose next token is compared with the plain model's"},
        {"index", "A[..B]", OPTION_SPANS, &g->request.rows, 0, 1000000, "rows of it (all)"},
        {"model", "DIR", OPTION_TEXT, &s->model_dir, 0, 0, "a GPT-2 (" DEFAULT_MODEL ")"},
        {"tokens", "N", OPTION_INT, &g->tokens, 1, 127, "so many new tokens (20)"},
        {"temperature", "T", OPTION_TEXT, &g->temperature, 0, 0,
         "sample, from logits over T (0: always the most probable)"},
        {"top-k", "K", OPTION_INT, &g->sampling.top_k, 1, 1000000, "of the K most probable tokens"},
        {"seed", "S", OPTION_INT, &g->seed, 0, 2000000000, "of sampling (1)"},
        option_layers(&g->layers),
        option_keys(&s->keys_dir),
        option_device(&s->device),
        option_threads(&s->threads),
        {"approx", NULL, OPTION_FLAG, &g->approx, 0, 0,
         "no encryption: the polynomials in doubles, with noise"},
        {"plain", NULL, OPTION_FLAG, &g->plain, 0, 0, "no encryption: the plain model"},
        option_compact(&s->compact),
        option_compare(&s->compare),
        {"json", NULL, OPTION_FLAG, &g->json, 0, 0, "print only the result, one JSON object"},
        option_require_locked(&s->require_locked),
        option_toy_set(&s->insecure),
        {0}};
    const struct command_spec spec = {
        "generate",
        "(--prompt S | --data FILE) [--model DIR] [--tokens N] [OPTIONS]",
        "Go on with a text by a GPT-2: the prompt is encrypted, all layers are computed on "
        "ciphertexts,\nLM head and sampling at the client. Every token runs the whole text again.",
        "  thor generate --prompt \"And the LORD said unto\" --tokens 5\n"
        "  thor generate --prompt \"And it came to pass\" --approx --temperature 0.8 --top-k 40\n"
        "  thor generate --data data/gpt2-tiny/held-back.txt --layers 0..0 --approx\n",
        options,
        0};
    s->device = "cpu";
    g->tokens = 20;
    g->seed = 1;
    TRY(options_parse(&spec, argc, argv, NULL));
    if (!g->prompt == !g->request.data)
        TRY(thor_fail(THOR_USAGE, "give --prompt, the text to go on with, or --data"));
    if (g->prompt && g->request.rows.n)
        TRY(thor_fail(THOR_USAGE, "--index needs a table; name it with --data"));
    if (g->prompt) g->request.texts = (struct option_texts){.text = {g->prompt}, .n = 1};
    if (g->request.data && !g->request.rows.n)
        g->request.rows = (struct option_spans){.last = {INPUTS_END}, .n = 1};
    if (!s->model_dir) {
        TRY(shipped_model(g->default_dir, sizeof g->default_dir, "gpt2-tiny"));
        s->model_dir = g->default_dir;
    }
    if (g->temperature) g->sampling.heat = strtod(g->temperature, &end);
    if (g->temperature &&
        (end == g->temperature || *end || !(g->sampling.heat >= 0 && g->sampling.heat <= 100)))
        TRY(thor_fail(THOR_USAGE, "--temperature %.40s: give a number in 0..100", g->temperature));
    s->quiet = g->json || g->approx || g->plain;
    if (g->approx || g->plain) TRY(session_unencrypted(s, g->plain ? "--plain" : "--approx"));
    g->sampling.random = (uint64_t)g->seed;
out:
    return st;
}

static int open_model(struct generate *g) {
    int st = THOR_OK, longest;
    const struct bert_config *c;
    TRY((g->plain ? session_model : session_load)(&g->s, &g->setup));
    c = &g->s.model->cfg;
    if (!bert_is_causal(c))
        TRY(thor_fail(THOR_MODEL, "the model is no GPT-2, which thor generate is for; thor forward "
                                  "gives the labels of a classifier"));
    TRY(inputs_open(&g->in, &g->request));
    if (g->prompt) TRY(bert_tokenize(&g->t, g->s.model, g->in.item[0].text, NULL, 0));
    if (g->request.data) TRY(inputs_tokenize(&g->in, g->s.model));
    longest = g->prompt ? g->t.n + g->tokens - 1 : inputs_longest(&g->in);
    if (g->prompt && longest > c->max_positions)
        TRY(thor_fail(THOR_INPUT,
                      "the text has %d tokens, and with --tokens %d it would have %d; the model "
                      "takes %d: shorten it, or ask for fewer",
                      g->t.n, g->tokens, longest + 1, c->max_positions));
    if (!g->plain) {
        TRY(session_split(&g->s, &g->layers));
        TRY(session_plan(&g->s, longest));
        if (!g->approx) TRY(session_start(&g->s));
    }
    g->logits = malloc(2 * (size_t)c->vocab * sizeof *g->logits);
    if (!g->logits) TRY(thor_fail(THOR_MEMORY, "no memory for the logits of %d tokens", c->vocab));
    g->expected = g->logits + c->vocab;
out:
    return st;
}

/* ---- the next token */

// the nats of the tokens of the text, state[n * hidden] being that of all
static double text_nats(struct generate *g, const double *state) {
    const struct bert_model *m = g->s.model;
    double sum = 0;
    for (int i = 0; i + 1 < g->t.n; i++) {
        bert_gpt2_logits(g->logits, m, state + (size_t)i * (size_t)m->cfg.hidden);
        sum += next_log_sum(g->logits, m->cfg.vocab, 1) - g->logits[g->t.ids[i + 1]];
    }
    return sum;
}

static int run_text(struct generate *g) {
    int st = THOR_OK;
    struct result r = {0};
    const struct bert_model *m = g->s.model;
    const size_t last = (size_t)(g->t.n - 1) * (size_t)m->cfg.hidden;
    if (g->plain) {
        TRY(result_new(&r, &m->cfg, g->t.n));
        TRY(bert_forward(r.plain_logits, m, &g->t, NULL));
    } else {
        TRY((g->approx ? session_approx : session_encrypted)(&g->s, &r, &g->t));
    }
    if (g->request.data) {
        g->nats[0] += text_nats(g, g->plain ? r.plain_logits : r.he_logits);
        g->nats[1] += text_nats(g, r.plain_logits);
        g->seen += g->t.n - 1;
    }
    bert_gpt2_logits(g->logits, m, (g->plain ? r.plain_logits : r.he_logits) + last);
    bert_gpt2_logits(g->expected, m, r.plain_logits + last);
    g->seconds += r.compute;
out:
    result_free(&r);
    return st;
}

static void judge(struct generate *g) {
    const int n = g->s.model->cfg.vocab, before = next_rank(g->expected, g->logits, n);
    const double kl = next_divergence(g->expected, g->logits, n);
    static const int among[3] = {1, 5, 10};
    for (int k = 0; k < 3; k++) g->within[k] += before < among[k];
    g->kl += kl;
    g->worst_kl = fmax(g->worst_kl, kl);
    g->made++;
}

static void show(struct generate *g, int all) {
    char *from = g->text + g->shown;
    const size_t left = g->bytes - g->shown, n = left - (all ? 0 : sample_unfinished(from, left));
    const char was = from[n];
    if (g->json) return;
    from[n] = 0;
    shown_put(stdout, from);
    from[n] = was;
    g->shown += n;
}

static void add_token(struct generate *g, int id) {
    const size_t room = sizeof g->text - 1 - g->bytes;
    const int n = bert_token_bytes(g->text + g->bytes, room, g->s.model, id);
    if (n > 0) g->bytes += (size_t)n < room ? (size_t)n : room;
    g->text[g->bytes] = 0;
    show(g, 0);
}

static int go_on(struct generate *g) {
    int st = THOR_OK, id;
    TRY(run_text(g));
    judge(g);
    id = sample_token(&g->sampling, g->logits, g->s.model->cfg.vocab);
    g->t.ids[g->t.n] = id;
    g->t.type_ids[g->t.n++] = 0;
    add_token(g, id);
    TRY(flush_stdout());
out:
    return st;
}

static const char *how(const struct generate *g) {
    return g->plain ? "plain" : g->approx ? "approximate" : "encrypted";
}

static int print_object(const struct generate *g) {
    json_t *ids = json_array();
    for (int i = g->t.n - g->made; g->prompt && i < g->t.n; i++)
        json_array_append_new(ids, json_integer(g->t.ids[i]));
    json_t *o =
        json_pack("{s:s, s:i, s:i, s:i, s:i, s:f, s:f, s:f}", "how", how(g), "count", g->made,
                  "top1", g->within[0], "top5", g->within[1], "top10", g->within[2], "kl",
                  g->kl / g->made, "worst_kl", g->worst_kl, "seconds", g->seconds);
    if (g->prompt) {
        json_object_set(o, "tokens", ids);
        json_object_set_new(o, "text", json_bytes(g->text, g->bytes));
    } else
        json_object_set_new(o, "perplexity", json_real(exp(g->nats[0] / g->seen)));
    json_decref(ids);
    return put_object(o, JSON_REAL_PRECISION(6));
}

static int finish(struct generate *g) {
    if (g->json) return print_object(g);
    if (g->prompt) show(g, 1), putchar('\n');
    fflush(stdout);
    fprintf(stderr,
            "%d tokens, %s: the plain model's first is the first of %d, of the first 5 of %d, of "
            "the first 10 of %d; KL mean %.2e, worst %.2e; %.1f s a token\n",
            g->made, how(g), g->within[0], g->within[1], g->within[2], g->kl / g->made, g->worst_kl,
            g->seconds / g->made);
    if (g->request.data)
        fprintf(stderr, "perplexity of %d tokens: %.4f, of the plain model %.4f\n", g->seen,
                exp(g->nats[0] / g->seen), exp(g->nats[1] / g->seen));
    if (!g->plain && !g->approx) session_print(&g->s, stderr);
    return THOR_OK;
}

static int all_texts(struct generate *g) {
    int st = THOR_OK;
    for (int i = 0; i < g->in.n; i++) {
        g->t = g->in.tokens[i];
        TRY(run_text(g));
        judge(g);
    }
out:
    return st;
}

int cmd_generate(int argc, char **argv) {
    int st = THOR_OK;
    struct generate *g = calloc(1, sizeof *g); // the stage tables are large
    if (!g) return thor_fail(THOR_MEMORY, "no memory to start");
    TRY(read_options(g, argc, argv));
    TRY(open_model(g));
    if (!g->json && g->prompt) shown_put(stdout, g->in.item[0].text);
    for (int i = 0; g->prompt && i < g->tokens; i++) TRY(go_on(g));
    if (g->request.data) TRY(all_texts(g));
    TRY(finish(g));
    if (g->setup.compare && !g->plain && !g->approx) st = stages_check(&g->s.stages);
out:
    session_close(&g->s);
    inputs_close(&g->in);
    free(g->logits);
    free(g);
    return st;
}
