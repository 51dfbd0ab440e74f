#include "tests/tunetoy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/scratch.h"

static int next(uint32_t *state, int n) {
    *state = *state * 1103515245u + 12345u;
    return (int)(*state >> 16 & 0x7fff) % n;
}

/* Rows of 4 to 8 tokens of 8 .. 27; every second has one 7. */
static void make_row(struct tunetoy *t, int i, uint32_t *state) {
    struct split_text *x = &t->text[i];
    const int n = 4 + next(state, TUNETOY_TOKENS - 3);
    for (int k = 0; k < n; k++) {
        t->ids[i][k] = 8 + next(state, 20);
        if (k && next(state, 2)) t->ids[i][k] = t->ids[i][0];
    }
    if (i % 2) t->ids[i][next(state, n)] = 7;
    for (int k = 0; k < n; k++) t->targets[i][k] = k + 1 < n ? t->ids[i][k + 1] : -1;
    *x = (struct split_text){.ids = t->ids[i], .n = n, .label = -1};
    if (t->a.labels)
        x->label = i % 2;
    else
        x->targets = t->targets[i];
}

void tunetoy_open(struct tunetoy *t, const char *name) {
    uint32_t state = 16;
    memset(t, 0, sizeof *t);
    mkdir(scratch_path("model"), 0700);
    splitfolder_write(&t->folder, scratch_path("model"), name);
    if (split_model_open(&t->m, scratch_path("model")) != THOR_OK) fail_msg("%s", thor_error());
    splitfolder_adapter(&t->a, t->m, strncmp(name, "bert", 4) == 0 ? 2 : 0);
    for (int i = 0; i < TUNETOY_ROWS; i++) make_row(t, i, &state);
}

void tunetoy_close(struct tunetoy *t) {
    split_adapter_free(&t->a);
    split_model_free(t->m);
    splitfolder_free(&t->folder);
}
