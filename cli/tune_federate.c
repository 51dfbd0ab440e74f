/* thor tune federate: the adapters of several clients as one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/tune.h"
#include "bert/input/readfile.h"
#include "kernels/shown.h"
#include "split/adapterfile.h"
#include "split/federate.h"

struct federation {
    const char *model, *out;
    struct option_texts adapters, weights;
    struct split_base base;
    double rows[OPTIONS_MAX_LIST], all;
};

static int read_options(struct federation *f, int argc, char **argv) {
    int st = THOR_OK;
    const struct option_spec options[] = {
        {"model", "DIR", OPTION_TEXT, &f->model, 0, 0, "the model of all of them"},
        {"adapter", "DIR", OPTION_TEXTS, &f->adapters, 0, 0, "a client's; repeat it for each"},
        {"rows", "N", OPTION_TEXTS, &f->weights, 0, 0,
         "that it was trained on, for each --adapter (its training.json)"},
        {"out", "DIR", OPTION_TEXT, &f->out, 0, 0, "the folder of their average"},
        {0}};
    const struct command_spec spec = {
        "tune federate",
        "--model DIR --adapter DIR --adapter DIR .. --out DIR",
        "Average the adapters of several clients, each counted by its rows (FedAvg): sum n w / sum "
        "n.  Clients go on\n"
        "from it by thor tune train --from.  With --ffa, and one --seed for all, averages are "
        "exact; "
        "else the product of\n"
        "averages is not the average of products.  Who averages sees every adapter: train with "
        "--epsilon where that matters.",
        "  thor tune train --model M --data a.tsv --ffa --seed round1 --out a\n"
        "  thor tune train --model M --data b.tsv --ffa --seed round1 --out b\n"
        "  thor tune federate --model M --adapter a --adapter b --out both\n",
        options,
        0};
    TRY(options_parse(&spec, argc, argv, NULL));
    if (!f->model || !f->out)
        return thor_fail(THOR_USAGE, "--%s is missing; see thor tune federate --help",
                         !f->model ? "model" : "out");
    if (f->adapters.n < 2)
        return thor_fail(THOR_USAGE, "%d adapters: give --adapter at least twice", f->adapters.n);
    if (f->weights.n && f->weights.n != f->adapters.n)
        return thor_fail(THOR_USAGE, "--rows: %d of them for %d --adapter; give one to each",
                         f->weights.n, f->adapters.n);
out:
    return st;
}

/* How many rows a client has trained on. */
static int find_rows(struct federation *f, int i) {
    int st = THOR_OK;
    char path[4300], *end;
    json_t *o = NULL;
    if (f->weights.n) {
        f->rows[i] = strtod(f->weights.text[i], &end);
        if (*end || end == f->weights.text[i] || !(f->rows[i] > 0) || f->rows[i] > 1e12)
            return thor_fail(THOR_USAGE, "--rows %.40s: not a number above 0", f->weights.text[i]);
        return THOR_OK;
    }
    snprintf(path, sizeof path, "%.4000s/training.json", f->adapters.text[i]);
    if (!bert_file_exists(path))
        return thor_fail(THOR_USAGE,
                         "%.300s: is not there to say how many rows that client has; "
                         "give --rows for each",
                         path);
    TRY(load_object(&o, path, THOR_MODEL));
    f->rows[i] = json_number_value(json_object_get(o, "rows"));
    if (!(f->rows[i] > 0)) st = thor_fail(THOR_MODEL, "%.300s: rows is missing", path);
out:
    json_decref(o);
    return st;
}

static int add_all(struct split_adapter *sum, struct split_adapter *first, struct federation *f) {
    int st = THOR_OK;
    struct split_adapter a = {0};
    for (int i = 0; i < f->adapters.n; i++) {
        split_adapter_free(&a);
        TRY(find_rows(f, i));
        TRY(split_adapter_load(&a, f->adapters.text[i], &f->base));
        if (i == 0) {
            TRY(split_adapter_copy(first, &a));
            TRY(split_adapter_like(sum, &a));
        }
        st = split_federate_add(sum, first, &a, f->rows[i]);
        if (st != THOR_OK) TRY(thor_fail_in(st, f->adapters.text[i]));
        f->all += f->rows[i];
    }
    split_federate_end(sum, first, f->all);
out:
    split_adapter_free(&a);
    return st;
}

static int save(const struct split_adapter *sum, const struct federation *f) {
    int st = THOR_OK, made;
    char path[4300];
    json_t *o = NULL;
    snprintf(path, sizeof path, "%.4000s/training.json", f->out);
    TRY(make_private_folder(f->out, &made));
    TRY(split_adapter_save(sum, f->out, &f->base, f->model));
    o = json_pack("{s:f, s:i}", "rows", f->all, "clients", f->adapters.n);
    if (!o) TRY(thor_fail(THOR_MEMORY, "no memory for %s", path));
    TRY(save_private(o, path, JSON_FILE));
out:
    json_decref(o);
    return st;
}

int tune_federate(int argc, char **argv) {
    int st = THOR_OK;
    struct federation f = {0};
    struct split_adapter sum = {0}, first = {0};
    TRY(read_options(&f, argc, argv));
    TRY(split_base_read(&f.base, f.model));
    TRY(add_all(&sum, &first, &f));
    interrupt_hold();
    st = save(&sum, &f);
    interrupt_release();
    TRY(st);
    printf("%s: the average of %d adapters over %.0f rows%s\n", shown(f.out), f.adapters.n, f.all,
           sum.frozen_a ? ", exact" : "; of A and B apart, see --help");
out:
    split_adapter_free(&sum);
    split_adapter_free(&first);
    return st;
}
