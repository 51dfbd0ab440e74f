#include "cli/cli.h"

#include <stdio.h>
#include <unistd.h>

#include "bench/bench.h"

enum { BAR = 30 };
static const double redraw_every = 0.1; // seconds

void progress_begin(struct progress *p, const char *label) {
    snprintf(p->label, sizeof p->label, "%s", label);
    p->tty = isatty(STDERR_FILENO);
    p->start = bench_now();
    p->drawn = 0;
    if (!p->quiet && !p->tty) fprintf(stderr, "%s ...\n", p->label);
}

static void draw(struct progress *p, int done, int total, const char *what) {
    char bar[BAR + 1];
    for (int i = 0; i < BAR; i++) bar[i] = i * total < done * BAR ? '#' : '.';
    bar[BAR] = 0;
    fprintf(stderr, "\r\033[K%-14s [%s] %5.1f s  %s", p->label, bar, bench_now() - p->start, what);
    fflush(stderr);
    p->drawn = bench_now();
}

void progress_step(void *ctx, int done, int total) {
    struct progress *p = ctx;
    if (p->quiet || !p->tty || total <= 0) return;
    if (done < total && bench_now() - p->drawn < redraw_every) return;
    char what[32];
    snprintf(what, sizeof what, "%d of %d", done, total);
    draw(p, done, total, what);
}

void progress_note(struct progress *p, int done, int total, const char *what) {
    if (p->quiet) return;
    if (p->tty)
        draw(p, done, total, what);
    else
        fprintf(stderr, "  %6.1f s  %s\n", bench_now() - p->start, what);
}

double progress_end(struct progress *p) {
    double s = bench_now() - p->start;
    if (p->quiet) return s;
    fprintf(stderr, "%s%s: %.1f s\n", p->tty ? "\r\033[K" : "", p->label, s);
    return s;
}
