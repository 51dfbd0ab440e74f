/* thor tune redact: personal data out of the texts of a table, with a report of what was replaced,
 * by kind and row, that does not hold it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "bert/input/columns.h"
#include "bert/input/table.h"
#include "ckks/file.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/tune.h"
#include "kernels/shown.h"
#include "split/redact.h"

struct redact {
    const char *data, *columns, *out, *names_file, *keep, *report;
    int values;
    unsigned kinds;
    struct split_names *names;
    struct bert_table *table;
    struct ckks_file_out *file;
    json_t *rows; /* of the report */
    int changed, count[SPLIT_PERSONAL_KINDS];
};

static int read_options(struct redact *r, int argc, char **argv) {
    int st = THOR_OK;
    const struct option_spec options[] = {
        {"data", "FILE", OPTION_TEXT, &r->data, 0, 0, "table, JSON lines or one text a line; -"},
        {"columns", "NAMES", OPTION_TEXT, &r->columns, 0, 0, BERT_COLUMNS_HELP},
        {"out", "FILE", OPTION_TEXT, &r->out, 0, 0, "the same rows as JSON lines"},
        {"names", "LIST", OPTION_TEXT, &r->names_file, 0, 0,
         "names to look for, one a line; without it no names are"},
        {"keep", "KINDS", OPTION_TEXT, &r->keep, 0, 0,
         "leave these: of email,link,date,phone,id,number"},
        {"report", "FILE", OPTION_TEXT, &r->report, 0, 0,
         "what was replaced in which row, by kind (JSON)"},
        {"values", NULL, OPTION_FLAG, &r->values, 0, 0,
         "with --report: what stood there too; a file for you alone (0600)"},
        {0}};
    const struct command_spec spec = {
        "tune redact",
        "--data FILE --out FILE [OPTIONS]",
        "Take names, dates, numbers, e-mail and other addresses, telephones and identifiers (IBAN, "
        "cards, record and\n"
        "social security numbers) out of the texts of a table: each becomes its kind, as [NAME]. "
        "By "
        "lists and forms: what\n"
        "is on no list stays. Look at the result before you share what was trained on it.",
        "  thor tune redact --data notes.csv --columns text=note,label=code --names patients.txt "
        "--out clean.jsonl\n"
        "  thor tune redact --data notes.txt --out clean.jsonl --keep number --report found.json\n",
        options,
        0};
    TRY(options_parse(&spec, argc, argv, NULL));
    if (!r->data) return thor_fail(THOR_USAGE, "--data is missing; name the table to clean");
    if (!r->out) return thor_fail(THOR_USAGE, "--out is missing; name the file to write");
    if (r->values && !r->report)
        return thor_fail(THOR_USAGE, "--values: goes with --report FILE alone");
out:
    return st;
}

/* All kinds but those of --keep. */
static int read_kinds(struct redact *r) {
    r->kinds = SPLIT_ALL_KINDS;
    for (const char *at = r->keep; at && *at; at += *at == ',') {
        const size_t n = strcspn(at, ",");
        int k = 0;
        while (k < SPLIT_PERSONAL_KINDS && (strlen(split_personal_names[k]) != n ||
                                            strncmp(split_personal_names[k], at, n) != 0))
            k++;
        if (k == SPLIT_PERSONAL_KINDS)
            return thor_fail(THOR_USAGE,
                             "--keep %.60s: no such kind; there are "
                             "name,email,link,date,phone,id,number",
                             at);
        r->kinds &= ~(1u << k);
        at += n;
    }
    return THOR_OK;
}

static json_t *counts_json(const int count[SPLIT_PERSONAL_KINDS]) {
    json_t *o = json_object();
    for (int k = 0; o && k < SPLIT_PERSONAL_KINDS; k++)
        if (count[k]) json_object_set_new(o, split_personal_names[k], json_integer(count[k]));
    return o;
}

static json_t *values_json(const struct split_redaction *found, const char *text) {
    json_t *list = json_array();
    for (int i = 0; list && i < found->n; i++) {
        const struct split_found *f = &found->found[i];
        json_array_append_new(list, json_pack("{s:s, s:s%}", "kind", split_personal_names[f->kind],
                                              "was", text + f->at, f->bytes));
    }
    return list;
}

static int note_row(struct redact *r, int row, const char *field, const char *text,
                    const struct split_redaction *found) {
    for (int k = 0; k < SPLIT_PERSONAL_KINDS; k++) r->count[k] += found->count[k];
    if (!r->report || found->n == 0) return THOR_OK;
    json_t *o = json_pack("{s:i, s:i, s:s, s:o}", "row", row, "line", r->table->row[row].line,
                          "field", field, "replaced", counts_json(found->count));
    int bad = !o || (r->values && json_object_set_new(o, "values", values_json(found, text)) != 0);
    if (json_array_append_new(r->rows, o) != 0 || bad)
        return thor_fail(THOR_MEMORY, "no memory for the report");
    return THOR_OK;
}

static int put_field(struct redact *r, json_t *o, int row, const char *field, const char *text) {
    int st = THOR_OK;
    struct split_redaction found;
    if (!text) return THOR_OK;
    TRY(split_redact(&found, text, r->names, r->kinds));
    if (json_object_set_new(o, field, json_string(found.text)) != 0)
        st = thor_fail(THOR_MEMORY, "no memory for a row");
    if (st == THOR_OK) st = note_row(r, row, field, text, &found);
    split_redaction_free(&found);
out:
    return st;
}

static json_t *label_json(const struct bert_row *row) {
    if (!row->label_name) return row->label >= 0 ? json_integer(row->label) : NULL;
    double score;
    if (bert_label_score(&score, row->label_name)) return json_real(score);
    if (!bert_label_list(row->label_name)) return json_string(row->label_name);
    json_t *list = json_array();
    for (const char *at = row->label_name; list && *at; at += *at == ',') {
        const size_t n = strcspn(at, ",");
        json_array_append_new(list, json_stringn(at, n));
        at += n;
    }
    return list;
}

static int put_row(struct redact *r, int i) {
    int st = THOR_OK;
    const struct bert_row *row = &r->table->row[i];
    json_t *o = json_object(), *label = label_json(row);
    char *line = NULL;
    int before[SPLIT_PERSONAL_KINDS];
    memcpy(before, r->count, sizeof before);
    if (!o) TRY(thor_fail(THOR_MEMORY, "no memory for a row"));
    TRY(put_field(r, o, i, "text", row->text));
    TRY(put_field(r, o, i, "text2", row->text2));
    if (label && json_object_set(o, "label", label) != 0)
        TRY(thor_fail(THOR_MEMORY, "no memory for a row"));
    if (!(line = json_dumps(o, JSON_COMPACT))) TRY(thor_fail(THOR_MEMORY, "no memory for a row"));
    TRY(ckks_file_write(r->file, line, strlen(line)));
    TRY(ckks_file_write(r->file, "\n", 1));
    r->changed += memcmp(before, r->count, sizeof before) != 0;
out:
    if (line) sodium_memzero(line, strlen(line));
    free(line);
    json_decref(label);
    json_decref(o);
    return st;
}

static int save_report(struct redact *r) {
    json_t *o = json_pack("{s:i, s:i, s:o, s:O}", "rows", r->table->n, "changed", r->changed,
                          "replaced", counts_json(r->count), "by_row", r->rows);
    if (!r->values) return save_object(o, r->report);
    const int st = save_private(o, r->report, JSON_FILE);
    json_decref(o);
    return st;
}

static void say(const struct redact *r) {
    printf("%d rows, %d changed", r->table->n, r->changed);
    const char *mark = ": ";
    for (int k = 0; k < SPLIT_PERSONAL_KINDS; k++) {
        if (!r->count[k]) continue;
        printf("%s%d %s", mark, r->count[k], split_personal_names[k]);
        mark = ", ";
    }
    printf("  (%s)\n", shown(r->out));
    if (!r->names) fputs("no names were looked for: give a list with --names\n", stderr);
}

static int rewrite(struct redact *r) {
    int st = THOR_OK;
    interrupt_hold();
    TRY(ckks_file_create(&r->file, r->out, CKKS_FILE_SHARED));
    for (int i = 0; i < r->table->n; i++) {
        TRY(interrupt_pending());
        TRY(put_row(r, i));
    }
    TRY(ckks_file_commit(&r->file));
out:
    ckks_file_abandon(&r->file);
    interrupt_release();
    return st;
}

int tune_redact(int argc, char **argv) {
    int st = THOR_OK;
    struct redact r = {0};
    TRY(read_options(&r, argc, argv));
    TRY(read_kinds(&r));
    TRY(ckks_file_free(r.out));
    if (r.report) TRY(ckks_file_free(r.report));
    if (r.names_file) TRY(split_names_load(&r.names, r.names_file));
    TRY(bert_table_load(&r.table, r.data, r.columns));
    if (!(r.rows = json_array())) TRY(thor_fail(THOR_MEMORY, "no memory for the report"));
    TRY(rewrite(&r));
    if (r.report) TRY(save_report(&r));
    say(&r);
out:
    json_decref(r.rows);
    bert_table_free(r.table);
    split_names_free(r.names);
    return st;
}
