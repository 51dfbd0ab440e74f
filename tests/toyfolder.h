/* The synthetic model as a folder on disk: config.json, model.safetensors (F32), vocab.txt, and a
 * table of texts. */
#ifndef TESTS_TOYFOLDER_H
#define TESTS_TOYFOLDER_H

/* dir is there.  Also writes dir/texts.tsv: `rows` labelled texts of 1 to 20 known words. */
void toyfolder_write(const char *dir, int rows);

#endif
