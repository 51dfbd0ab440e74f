/* thor embed: embeddings of texts, encrypted or by the polynomials. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bert/input/pooling.h"
#include "cli/batch.h"
#include "cli/embeddings.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/published.h"

struct embed {
    struct inputs_request request;
    struct session_setup setup;
    const char *out, *output_dir, *pair[2]; /* pair: of --similar */
    int approx, json, similar, private;
    struct inputs in;
    struct session s;
    struct embeddings e;
    int refused;
    double cosine, worst; /* to the plain model's: their sum, the smallest */
    double between[2];    /* the two texts of --similar: encrypted, plain */
    double *first;        /* what the first text gave, both */
};

static int check_options(struct embed *e) {
    if (e->similar && (!e->pair[1] || e->request.texts.n || e->request.data))
        return thor_fail(THOR_USAGE, "--similar takes two texts and nothing else: thor embed "
                                     "--similar \"a cat\" \"a small animal\"");
    if (!e->similar && e->pair[0])
        return thor_fail(THOR_USAGE, "%.60s: unexpected argument; name texts with --text",
                         e->pair[0]);
    if (e->output_dir && (!e->request.data || e->request.rows.n || e->setup.compare || e->out))
        return thor_fail(THOR_USAGE, "--output-dir is for a whole table: give --data, and none of "
                                     "--index, --compare and --out");
    if (e->setup.group > 1 && (!e->output_dir || e->approx || e->setup.compact))
        return thor_fail(THOR_USAGE, "--group is for --output-dir, and for neither --approx nor "
                                     "--compact: leave it away");
    if (e->approx && session_unencrypted(&e->setup, "--approx")) return THOR_USAGE;
    if (e->request.data && !e->request.rows.n)
        e->request.rows = (struct option_spans){.first = {0}, .last = {INPUTS_END}, .n = 1};
    for (int i = 0; i < 2 && e->similar; i++) e->request.texts.text[i] = e->pair[i];
    if (e->similar) e->request.texts.n = 2;
    return e->out ? embeddings_check(e->out) : THOR_OK;
}

static int read_options(struct embed *e, int argc, char **argv) {
    int st = THOR_OK;
    struct session_setup *s = &e->setup;
    const struct option_spec options[] = {
        {"text", "S", OPTION_TEXTS, &e->request.texts, 0, 0,
         "a text, - for standard input; may be repeated"},
        {"data", "FILE", OPTION_TEXT, &e->request.data, 0, 0,
         "a table of texts, as of thor forward, or one text a line"},
        {"index", "A[..B]", OPTION_SPANS, &e->request.rows, 0, 1000000,
         "rows of it, from 0; may be repeated (all)"},
        {"columns", "LIST", OPTION_TEXT, &e->request.columns, 0, 0, "its columns: text=NAME"},
        {"similar", NULL, OPTION_FLAG, &e->similar, 0, 0,
         "the cosine of two texts, given as arguments"},
        {"pool", "mean|cls", OPTION_TEXT, &s->pool, 0, 0,
         "over all tokens, or that of [CLS] (1_Pooling of the model, or mean)"},
        {"normalize", NULL, OPTION_FLAG, &s->normalize, 0, 0,
         "to length 1 (as modules.json of the model says)"},
        option_model(&s->model_dir),
        option_keys(&s->keys_dir),
        option_weights(&s->container),
        {"out", "FILE", OPTION_TEXT, &e->out, 0, 0,
         "FILE.npy or FILE.jsonl (JSON lines on standard output)"},
        {"output-dir", "DIR", OPTION_TEXT, &e->output_dir, 0, 0,
         "as of thor batch: a folder a row, resumed; then embeddings.npy"},
        {"group", "N", OPTION_INT, &s->group, 1, BATCH_GROUP,
         "with --output-dir: rows in lock step (1)"},
        option_device(&s->device),
        option_compact(&s->compact),
        option_threads(&s->threads),
        option_compare(&s->compare),
        {"approx", NULL, OPTION_FLAG, &e->approx, 0, 0,
         "no encryption: the polynomials in doubles, with noise"},
        {"private", NULL, OPTION_FLAG, &e->private, 0, 0,
         "values as they are decrypted; show them to nobody"},
        {"json", NULL, OPTION_FLAG, &e->json, 0, 0, "JSON alone, without a word of the run"},
        option_require_locked(&s->require_locked),
        option_toy_set(&s->insecure),
        {0}};
    const struct command_spec spec = {
        "embed",
        "(--text S | --data FILE [--index A[..B]] | --similar A B) --model DIR [OPTIONS]",
        "Embeddings of texts by a model without a head (sentence-transformers, BertModel): all "
        "layers on ciphertexts, the\n"
        "mean over tokens at the client. Values are rounded to a thousandth of the length, so that "
        "a cosine keeps 4 digits.",
        "  thor embed --model models/minilm --text \"a charming journey\"\n"
        "  thor embed --model models/minilm --similar \"a charming journey\" \"a lovely trip\"\n"
        "  thor embed --model models/minilm --data texts.txt --output-dir vectors --keys keys\n",
        options,
        2};
    s->device = "cpu";
    TRY(options_parse(&spec, argc, argv, e->pair));
    s->quiet = e->json;
    TRY(check_options(e));
out:
    return st;
}

int embed_check(const struct bert_config *c) {
    if (bert_is_causal(c))
        return thor_fail(THOR_MODEL,
                         "the model is a GPT-2, which gives no embeddings: thor generate "
                         "goes on with a text");
    if (c->head == BERT_HEAD_STATE) return THOR_OK;
    return thor_fail(THOR_MODEL, "the model has a head, whose labels thor forward gives; "
                                 "embeddings are those of models without one (BertModel)");
}

/* ---- a table with a folder a row: as of thor batch */

static int collect(const struct embed *e, const struct batch *b) {
    int st = THOR_OK;
    char beside[4300];
    struct result r = {0};
    struct embeddings all = {0};
    snprintf(beside, sizeof beside, "%s/embeddings.npy", b->dir);
    TRY(embeddings_new(&all, b->in.n, b->s.model->cfg.hidden));
    for (int i = 0; i < b->in.n; i++) {
        if (!batch_complete(&r, b, i)) continue;
        if (!e->private) published_embedding(r.he_logits, r.labels);
        embeddings_set(&all, i, b->first + i, r.he_logits);
        result_free(&r);
    }
    TRY(embeddings_save(&all, e->out ? e->out : beside));
out:
    embeddings_free(&all);
    return st;
}

static int over_rows(const struct embed *e) {
    int st = THOR_OK;
    struct batch *b = calloc(1, sizeof *b);
    if (!b) return thor_fail(THOR_MEMORY, "no memory to start");
    *b = (struct batch){.request = e->request, .setup = e->setup, .dir = e->output_dir};
    b->devices = e->setup.device;
    b->last = INPUTS_END;
    b->approx = e->approx;
    b->json = e->json;
    b->embed = 1;
    b->setup.quiet |= e->approx;
    const int rows = batch_run(b); // some may have no result
    if (b->s.model && (rows == THOR_OK || rows == THOR_INPUT || rows == THOR_RANGE)) {
        char why[400];
        snprintf(why, sizeof why, "%s", thor_error());
        st = collect(e, b);
        if (st == THOR_OK && rows != THOR_OK) st = thor_fail(rows, "%s", why);
    } else {
        st = rows;
    }
    batch_close(b);
    return st;
}

/* ---- texts of one run */

/* The first text waits for the second. */
static int compare_pair(struct embed *e, const struct result *r, int i) {
    const size_t n = (size_t)r->labels;
    if (!e->similar) return THOR_OK;
    if (i > 0) {
        e->between[0] = bert_cosine(e->first, r->he_logits, r->labels);
        e->between[1] = bert_cosine(e->first + n, r->plain_logits, r->labels);
        return THOR_OK;
    }
    e->first = malloc(2 * n * sizeof *e->first);
    if (!e->first) return thor_fail(THOR_MEMORY, "no memory for an embedding");
    for (size_t k = 0; k < n; k++) {
        e->first[k] = r->he_logits[k];
        e->first[n + k] = r->plain_logits[k];
    }
    return THOR_OK;
}

static int one_text(void *ctx, int i) {
    int st = THOR_OK;
    struct embed *e = ctx;
    struct result r = {0};
    const struct bert_config *c = &e->s.model->cfg;
    TRY(input_result(&r, &e->in.item[i], c));
    TRY((e->approx ? session_approx : session_encrypted)(&e->s, &r, &e->in.tokens[i]));
    result_judge(&r, c);
    e->cosine += r.cosine;
    e->worst = fmin(e->worst, r.cosine);
    if (!e->private) published_embedding(r.he_logits, r.labels);
    embeddings_set(&e->e, i, e->in.item[i].index, r.he_logits);
    TRY(compare_pair(e, &r, i));
    if (!e->out && !e->similar) TRY(put_object(embeddings_json(&e->e, i), JSON_REAL_PRECISION(7)));
    TRY(flush_stdout());
out:
    result_free(&r);
    return st;
}

static int show_pair(const struct embed *e) {
    if (e->json)
        return put_object(
            json_pack("{s:f, s:f}", "cosine", e->between[0], "plain_cosine", e->between[1]),
            JSON_REAL_PRECISION(6));
    printf("cosine %.4f   plain: %.4f\n", e->between[0], e->between[1]);
    return THOR_OK;
}

static void summary(const struct embed *e) {
    const int n = e->in.n - e->refused;
    if (e->json || !n) return;
    fprintf(stderr,
            "%d embeddings of %d values, cosine to the plain model's: mean %.6f, worst %.6f\n", n,
            e->e.dim, e->cosine / n, e->worst);
    if (!e->approx) session_print(&e->s, stderr);
}

static int over_texts(struct embed *e) {
    int st = THOR_OK;
    TRY(inputs_open(&e->in, &e->request));
    TRY(session_load(&e->s, &e->setup));
    TRY(embed_check(&e->s.model->cfg));
    TRY(inputs_labels(&e->in, &e->s.model->cfg));
    TRY(inputs_tokenize(&e->in, e->s.model));
    TRY(session_plan(&e->s, inputs_longest(&e->in)));
    TRY(embeddings_new(&e->e, e->in.n, e->s.model->cfg.hidden));
    e->s.setup.texts = e->setup.compare ? 0 : e->in.n;
    if (!e->approx) TRY(session_start(&e->s));
    e->worst = 1;
    TRY(inputs_each(&e->refused, &e->in, one_text, e, e->similar));
    if (e->out) TRY(embeddings_save(&e->e, e->out));
    if (e->similar) TRY(show_pair(e));
    summary(e);
    if (e->setup.compare) TRY(stages_check(&e->s.stages));
    TRY(inputs_refused(&e->in, e->refused));
out:
    return st;
}

int cmd_embed(int argc, char **argv) {
    int st = THOR_OK;
    struct embed *e = calloc(1, sizeof *e); // the stage tables are large
    if (!e) return thor_fail(THOR_MEMORY, "no memory to start");
    TRY(read_options(e, argc, argv));
    st = e->output_dir ? over_rows(e) : over_texts(e);
out:
    session_close(&e->s);
    inputs_close(&e->in);
    embeddings_free(&e->e);
    free(e->first);
    free(e);
    return st;
}
