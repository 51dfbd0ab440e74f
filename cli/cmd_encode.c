/* thor encode: ranges measured on sample texts, the plan they give, and the weight container. */
#include <stdio.h>
#include <stdlib.h>

#include "bert/container.h"
#include "bert/input/readfile.h"
#include "bert/input/table.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/session.h"
#include "kernels/shown.h"

struct encode_job {
    const char *model_dir, *calibrate, *columns, *out;
    int tokens, force;
};

enum { FEWEST_TEXTS = 20 }; // below, ranges are a matter of luck

static int check_count(const struct encode_job *j, int texts) {
    if (texts >= FEWEST_TEXTS || j->force) return THOR_OK;
    return thor_fail(
        THOR_INPUT,
        "%.200s: %d texts to calibrate on, other texts would leave their ranges; give %d or more, "
        "better hundreds (--force takes these)",
        j->calibrate, texts, FEWEST_TEXTS);
}

static void say_left_out(const struct bert_left_out *o) {
    double percent = o->texts ? 100.0 * o->outside / o->texts : 0;
    if (!o->texts) {
        fprintf(stderr,
                "warning: too few texts to tell how many others leave the ranges: add texts\n");
        return;
    }
    printf("left out of the calibration, %d of %d texts leave its ranges (%.1f %%)\n", o->outside,
           o->texts, percent);
    if (percent > 1)
        fprintf(stderr,
                "warning: about %.0f %% of texts will leave the ranges, and their results may be "
                "wrong: add texts\n",
                percent);
}

static int measure_ranges(const struct encode_job *j, const struct bert_model *m,
                          const struct bert_table *t, const char *path) {
    int st = THOR_OK;
    struct bert_ranges *r = NULL;
    struct bert_left_out left;
    const char **text = calloc((size_t)t->n, sizeof *text),
               **pair = calloc((size_t)t->n, sizeof *pair);
    if (!text || !pair) {
        st = thor_fail(THOR_MEMORY, "no memory for %d texts", t->n);
        goto out;
    }
    for (int i = 0; i < t->n; i++) text[i] = t->row[i].text, pair[i] = t->row[i].text2;
    TRY(bert_calibrate(&r, m, text, pair, t->n, j->tokens));
    TRY(check_count(j, r->rows));
    TRY(bert_leave_out(&left, m, text, pair, t->n, r->tokens));
    TRY(bert_ranges_save(r, path));
    printf("%s: ranges of %d texts of up to %d tokens\n", shown(path), r->rows, r->tokens);
    say_left_out(&left);
out:
    free(text);
    free(pair);
    bert_ranges_free(r);
    return st;
}

/* What can be refused is refused before the first text runs, and the old ranges stay until there
 * are new ones. */
static int calibrate(struct encode_job *j) {
    int st = THOR_OK;
    struct bert_model *m = NULL;
    char path[4300], dir[4200];
    struct bert_table *t = NULL;
    TRY(bert_model_folder(dir, sizeof dir, j->model_dir));
    snprintf(path, sizeof path, "%s/calibration.json", dir);
    TRY(bert_table_load(&t, j->calibrate, j->columns));
    TRY(check_count(j, t->n));
    TRY(bert_model_load(&m, j->model_dir));
    TRY(bert_calibrate_tokens_for(&j->tokens, m));
    interrupt_hold();
    st = measure_ranges(j, m, t, path);
    interrupt_release();
out:
    bert_model_free(m);
    bert_table_free(t);
    return st;
}

/* Whatever else lies there, a weight file above all, is not written over. */
static int check_room(const char *out) {
    if (!out || !bert_file_exists(out) || bert_container_is(out)) return THOR_OK;
    return thor_fail(THOR_USAGE,
                     "--out %.300s: there is a file that is no weight container; give another name",
                     out);
}

/* The plan first: a model that cannot be encrypted gets no container. */
static int pack(const struct encode_job *j) {
    int st = THOR_OK;
    char beside[4300], dir[4200];
    const char *out = j->out ? j->out : beside;
    struct session s = {0};
    const struct session_setup setup = {.model_dir = j->model_dir};
    TRY(bert_model_folder(dir, sizeof dir, j->model_dir));
    snprintf(beside, sizeof beside, "%s/weights.thor", dir);
    TRY(check_room(out));
    TRY(session_load(&s, &setup));
    TRY(session_plan(&s, j->tokens ? j->tokens : s.ranges->tokens));
    bert_plan_print(stdout, s.plan);
    interrupt_hold();
    st = bert_container_save(out, s.model, s.ranges);
    interrupt_release();
    if (st == THOR_OK) printf("%s: weights and ranges, for the server\n", shown(out));
out:
    session_close(&s);
    return st;
}

int cmd_encode(int argc, char **argv) {
    int st = THOR_OK;
    struct encode_job j = {0};
    const struct option_spec options[] = {
        {"model", "DIR", OPTION_TEXT, &j.model_dir, 0, 0, "model folder, or its .safetensors file"},
        {"calibrate", "TSV", OPTION_TEXT, &j.calibrate, 0, 0,
         "measure ranges on these texts, into calibration.json"},
        {"columns", "LIST", OPTION_TEXT, &j.columns, 0, 0, "its columns: text=NAME[,pair=NAME]"},
        {"force", NULL, OPTION_FLAG, &j.force, 0, 0, "calibrate on fewer than 20 texts"},
        {"tokens", "T", OPTION_INT, &j.tokens, 1, 1024, "longest text, with its special tokens"},
        {"out", "FILE", OPTION_TEXT, &j.out, 0, 0, "the weight container (DIR/weights.thor)"},
        {0}};
    const struct command_spec spec = {
        "encode",
        "--model DIR [--calibrate TSV] [--out FILE]",
        "Prepare a model: measure the ranges of its values on sample texts (never the ones it is "
        "judged by), print\n"
        "the plan that they give, and write what the server needs into one file.",
        "  thor encode --model data/sst2-tiny --out sst2.weights\n"
        "  thor encode --model models/mine --calibrate train.tsv --tokens 64\n",
        options,
        0};
    TRY(options_parse(&spec, argc, argv, NULL));
    if (!j.model_dir) return thor_fail(THOR_USAGE, "--model is missing; name the model folder");
    TRY(check_room(j.out));
    if (j.calibrate) TRY(calibrate(&j));
    TRY(pack(&j));
out:
    return st;
}
