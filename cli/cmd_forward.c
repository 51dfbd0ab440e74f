/* thor forward: classify texts under encryption (or, with --approx, by the same polynomials in
 * doubles). */
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "bert/plan.h"
#include "cli/cli.h"
#include "cli/inputs.h"
#include "cli/nexttoken.h"
#include "cli/options.h"
#include "cli/plots.h"
#include "cli/result.h"
#include "cli/session.h"
#include "cli/tagged.h"
#include "kernels/shown.h"

struct job {
    struct inputs_request request;
    struct session_setup setup;
    const char *output_dir;
    int json, approx, no_plots, top;
    struct option_spans layers;
    struct inputs in;
    struct session s;
    int agree, right, labelled; /* of the texts done */
    int refused;                /* texts without a result: values left their ranges */
    double worst;               /* logit error of the run */
};

static int read_options(struct job *j, int argc, char **argv) {
    struct session_setup *s = &j->setup;
    const struct option_spec options[] = {
        {"text", "S", OPTION_TEXTS, &j->request.texts, 0, 0,
         "a text, - for standard input; may be repeated"},
        option_pair(&j->request.pairs),
        {"data", "TSV", OPTION_TEXT, &j->request.data, 0, 0,
         "a table of texts (GLUE's layouts), or one text a line"},
        {"index", "A[..B]", OPTION_SPANS, &j->request.rows, 0, 1000000,
         "rows of it, from 0; may be repeated"},
        option_columns(&j->request.columns),
        option_model(&s->model_dir),
        option_keys(&s->keys_dir),
        option_weights(&s->container),
        option_layers(&j->layers),
        option_device(&s->device),
        option_compact(&s->compact),
        option_threads(&s->threads),
        option_compare(&s->compare),
        {"approx", NULL, OPTION_FLAG, &j->approx, 0, 0,
         "no encryption: the polynomials in doubles, with noise"},
        {"output-dir", "DIR", OPTION_TEXT, &j->output_dir, 0, 0,
         "result.json and plots of each layer go there, per row for several"},
        {"no-plots", NULL, OPTION_FLAG, &j->no_plots, 0, 0,
         "no layer-00.png, .. beside result.json"},
        {"top", "K", OPTION_INT, &j->top, 1, BERT_MAX_LABELS,
         "print the K most probable labels, or next tokens"},
        {"json", NULL, OPTION_FLAG, &j->json, 0, 0,
         "print only the result, one JSON object per text"},
        option_require_locked(&s->require_locked),
        option_toy_set(&s->insecure),
        {0}};
    const struct command_spec spec = {
        "forward",
        "(--text S [--pair S2] | --data TSV --index A[..B]) [OPTIONS]",
        "Classify texts (by a GPT-2: the next token) with every layer of the model computed on "
        "ciphertexts, and compare\nwith the plain model.\n"
        "Keys and folded weights are made in memory unless they are named.",
        "  thor forward --text \"a charming and often affecting journey\"\n"
        "  thor forward --data data/examples.tsv --index 0..2 --compare\n"
        "  thor forward --data data/examples.tsv --index 0 --keys keys --json\n",
        options,
        0};
    int st = THOR_OK;
    s->device = "cpu";
    TRY(options_parse(&spec, argc, argv, NULL));
    s->quiet = j->json;
    if (j->approx) TRY(session_unencrypted(s, "--approx"));
out:
    return st;
}

static void print_result(const struct job *j, const struct input *in, const struct result *r) {
    if (in->index >= 0) printf("[%d] ", in->index);
    shown_put(stdout, in->text);
    putchar('\n');
    if (in->pair) printf("    "), shown_put(stdout, in->pair), putchar('\n');
    result_print(stdout, r, &j->s.model->cfg, j->approx ? "approximate" : "encrypted");
    printf("  largest logit error %.2e", r->max_abs_error);
    if (!j->approx) printf(", compute %.1f s, total %.1f s", r->compute, r->total);
    printf("\n\n");
}

/* Every stage is decrypted for its plot; without a folder for it nothing is. */
static int encrypted_text(struct job *j, struct result *r, int i, const char *folder) {
    int st = THOR_OK;
    if (folder && !j->no_plots) TRY(plots_new(&j->s.plots, folder, j->s.plan->layers));
    TRY(session_encrypted(&j->s, r, &j->in.tokens[i]));
out:
    plots_end(j->s.plots);
    j->s.plots = NULL;
    return st;
}

/* DIR, or DIR/ROW of several rows. */
static int make_result_folder(char *folder, size_t size, const struct job *j, int row) {
    snprintf(folder, size, "%s", j->output_dir);
    if (j->in.n > 1) snprintf(folder, size, "%s/%d", j->output_dir, row);
    return make_folder(folder);
}

static int one_text(void *ctx, int i) {
    int st = THOR_OK;
    struct job *j = ctx;
    char folder[4200];
    const struct input *in = &j->in.item[i];
    const struct bert_config *c = &j->s.model->cfg;
    struct result r = {0};
    TRY(input_result(&r, in, c));
    r.top = j->top;
    if (j->output_dir)
        TRY(make_result_folder(folder, sizeof folder, j, in->index >= 0 ? in->index : i));
    if (j->approx)
        TRY(session_approx(&j->s, &r, &j->in.tokens[i]));
    else
        TRY(encrypted_text(j, &r, i, j->output_dir ? folder : NULL));
    TRY(next_token(&r, j->s.model));
    result_judge(&r, c);
    TRY(spans_make(&r, c, &j->in.tokens[i], in, 1));
    r.peak_rss_mib = bench_peak_rss_mib();
    j->agree += r.agree == 1;
    j->labelled += r.label >= 0;
    j->right += r.label >= 0 && r.pred == r.label;
    if (r.max_abs_error > j->worst) j->worst = r.max_abs_error;
    if (j->output_dir) TRY(result_save(&r, c, folder));
    if (j->json)
        TRY(result_print_json(&r, c));
    else
        print_result(j, in, &r);
    TRY(flush_stdout());
out:
    result_free(&r);
    return st;
}

static void summary(const struct job *j, FILE *f) {
    if (j->in.n > 1) {
        fprintf(f, "%d texts", j->in.n - j->refused);
        if (j->s.model->cfg.task != BERT_SCORE)
            fprintf(f, ": %d predicted as by the plain model", j->agree);
        if (j->labelled) fprintf(f, ", %d of %d labels met", j->right, j->labelled);
        fprintf(f, ", largest logit error %.2e\n", j->worst);
    }
    if (!j->approx) session_print(&j->s, f);
    fprintf(f, "peak memory %.0f MiB\n", bench_peak_rss_mib());
}

static int check_head(const struct bert_config *c) {
    if (!bert_gives_embedding(c)) return THOR_OK;
    return thor_fail(THOR_MODEL, "the model has no labels (no head, or that of a language model): "
                                 "thor embed gives its embeddings");
}

int cmd_forward(int argc, char **argv) {
    int st = THOR_OK;
    struct job *j = calloc(1, sizeof *j); // the stage tables are large
    if (!j) return thor_fail(THOR_MEMORY, "no memory to start");
    TRY(read_options(j, argc, argv));
    if (j->output_dir) TRY(make_folder(j->output_dir));
    TRY(inputs_open(&j->in, &j->request));
    TRY(session_load(&j->s, &j->setup));
    TRY(check_head(&j->s.model->cfg));
    TRY(session_split(&j->s, &j->layers));
    TRY(inputs_labels(&j->in, &j->s.model->cfg));
    TRY(inputs_tokenize(&j->in, j->s.model));
    TRY(session_plan(&j->s, inputs_longest(&j->in)));
    int looks_inside = j->setup.compare || (j->output_dir && !j->no_plots);
    j->s.setup.texts = looks_inside ? 0 : j->in.n;
    if (!j->approx) TRY(session_start(&j->s));
    TRY(inputs_each(&j->refused, &j->in, one_text, j, 0));
    if (!j->json || j->setup.compare) summary(j, j->json ? stderr : stdout);
    if (j->setup.compare) TRY(stages_check(&j->s.stages));
    TRY(inputs_refused(&j->in, j->refused));
out:
    session_close(&j->s);
    inputs_close(&j->in);
    free(j);
    return st;
}
