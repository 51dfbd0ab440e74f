/* Labelled text in tab-separated files.  Three layouts, told apart by the first line:
 *
 *   Quality  #1 ID  #2 ID  #1 String  #2 String    MRPC; an empty #2 String means one text
 *   sentence  label                                SST-2
 *   label  text [text2]                            with this header or, when the first field of the
 *                                                  first line is a label, without one
 *
 * A label is a number 0 .. 7, or "-" or "-1" for none.  Fields are taken as they stand: a quote is
 * a character.  A byte-order mark and a carriage return at a line's end are dropped.
 */
#ifndef BERT_TABLE_H
#define BERT_TABLE_H

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bert_row {
    int label;         /* -1: none */
    int line;          /* in the file, from 1 */
    const char *text;  /* UTF-8, not empty */
    const char *text2; /* NULL: one text */
};

struct bert_table {
    int n;
    struct bert_row *row;
    char *file; /* the text that the rows point into */
};

/* THOR_INPUT when there is no such file, or for the first bad row, by its line number. */
int bert_table_load(struct bert_table **out, const char *path);
void bert_table_free(struct bert_table *t); /* NULL is allowed */

#ifdef __cplusplus
}
#endif
#endif
