/* Labelled text in tab-separated files, as GLUE and its users write them.  The columns are found by
 * the names in the first line:
 *
 *   texts                      label                   also known as
 *   #1 String, #2 String       Quality                 MRPC; an empty #2 String means one text
 *   sentence                   label                   SST-2
 *   sentence1, sentence2       label; none of score    RTE, WNLI; STS-B has score
 *   question, sentence         label                   QNLI
 *   question1, question2       is_duplicate            QQP
 *   premise, hypothesis        label, gold_label       MNLI as others write it
 *   text [, text2]             label
 *
 * in any order and among other columns; each of these names of labels (and "labels") goes with any
 * texts; without the label's column no row is labelled.  A first
 * line that begins with a label and a tab is a row "label text [text2]" itself.  A file without
 * tabs holds one text a line, or one JSON object a line (jsonlines.h).  A JSON list of objects,
 * JSON without such names and files of other programs (filekind.h) are refused.
 *
 * A label is a number 0 .. 999, "-" or "-1" for none, or, below a header, a name that begins with a
 * letter, or several of these with commas between (of JSON lines a list); for scores, any number.
 * STS-B's column score is one where there is no label.  Fields are taken as they stand: a quote is
 * a character, but in files called .csv (RFC 4180: commas, quoted fields with commas and line ends
 * inside, doubled quotes).  A byte-order mark, a carriage return at a line's end and empty lines at
 * the end of the file are dropped.
 */
#ifndef BERT_TABLE_H
#define BERT_TABLE_H

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bert_row {
    int label;              /* -1: none, or no whole number */
    double score;           /* the label as a number, whole or not; NaN: none */
    int line;               /* in the file, from 1 */
    const char *text;       /* UTF-8, not empty */
    const char *text2;      /* NULL: one text */
    const char *label_name; /* NULL unless the label is no whole number: a name, a list, 3.8 */
    char *bad;              /* NULL; or why this is no row: then there is nothing else but `line` */
};

struct bert_table {
    const char *kind; /* "mrpc", "sst2", "rte", "stsb", "qnli", "qqp", "mnli" by the header's names;
                       * else "mrpc" and "sst2" for pairs and single texts, "text" for lines */
    int n;
    struct bert_row *row;
    char *file; /* the text that the rows point into */
    int keeps_bad;
};

/* THOR_INPUT when there is no such file, or for the first bad row, by its line number.  "-" is
 * standard input.  columns: "text=NAME[,pair=NAME][,label=NAME]", NAME as in the first line, or the
 * number of the column, from 1.  When all are numbers the first line is a row.  In JSON lines NAME
 * is a key that every object has.  NULL: found by themselves.  THOR_USAGE when `columns` is
 * malformed. */
int bert_table_load(struct bert_table **out, const char *path, const char *columns);
/* The same, but a row that is bad by itself (its fields, label or encoding) stays in its place and
 * says why. */
int bert_table_load_each(struct bert_table **out, const char *path, const char *columns);
/* THOR_OK; or THOR_INPUT, st as it was given, for a row that is not kept as a bad one. */
int bert_table_end_row(struct bert_table *t, struct bert_row *row, int line, int st);
/* 1, and the number, for a label that is a finite one; else 0 and NaN. */
int bert_label_score(double *score, const char *s);
int bert_label_list(const char *s);         /* 1: several with commas between */
void bert_table_free(struct bert_table *t); /* NULL is allowed */

#ifdef __cplusplus
}
#endif
#endif
