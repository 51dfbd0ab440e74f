#include "cli/plots.h"

#include <errno.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ckks/file.h"
#include "cli/cli.h"
#include "kernels/shown.h"

enum { PANELS = 12, POINTS = 4096, PATH = 4300 };

struct panel {
    char name[24];
    int n, stride, skipped; /* every stride-th point is kept */
    double got[POINTS], want[POINTS];
    double worst, squares, size, seen;
};

struct plots {
    char folder[PATH];
    int layers, layer, panels, failed;
    struct panel panel[PANELS];
};

static int find_gnuplot(void) {
    const char *path = getenv("PATH");
    char list[PATH], file[PATH + 16], *at = list, *folder;
    snprintf(list, sizeof list, "%s", path ? path : "/usr/bin:/bin");
    while ((folder = strsep(&at, ":"))) {
        snprintf(file, sizeof file, "%s/gnuplot", *folder ? folder : ".");
        if (access(file, X_OK) == 0) return 1;
    }
    return 0;
}

int plots_can_draw(void) {
    static int told;
    if (find_gnuplot()) return 1;
    if (!told++)
        fprintf(stderr,
                "plots skipped: gnuplot is not there; install gnuplot-nox, or say --no-plots\n");
    return 0;
}

int plots_new(struct plots **out, const char *folder, int layers) {
    *out = NULL;
    if (!plots_can_draw()) return THOR_OK;
    struct plots *p = calloc(1, sizeof *p);
    if (!p) return thor_fail(THOR_MEMORY, "no memory for plots; leave them away with --no-plots");
    snprintf(p->folder, sizeof p->folder, "%s", folder);
    p->layers = layers;
    *out = p;
    return THOR_OK;
}

/* ---- drawing */

static void put_panel(FILE *f, const struct panel *t, int i) {
    fprintf(f, "$d%d << EOD\n", i);
    for (int k = 0; k < t->n; k++)
        fprintf(f, "%.7g %.7g %.3g\n", t->want[k], t->got[k], t->got[k] - t->want[k]);
    fputs("EOD\n", f);
}

static void put_plot(FILE *f, const struct panel *t, int i) {
    const double top = t->worst > 0 ? 1.1 * t->worst : 1e-12, dot = t->n > 500 ? 0.25 : 0.6;
    fprintf(f, "set title '%s   error: max %.1e, rms %.1e' noenhanced\n", t->name, t->worst,
            sqrt(t->squares / t->seen));
    fprintf(f, "set y2range [%g:%g]\n", -top, top);
    fprintf(f,
            "plot $d%d using 1:2 with points pt 7 ps %g lc rgb '#1f77b4' notitle, "
            "$d%d using 1:3 axes x1y2 with points pt 7 ps %g lc rgb '#d62728' notitle\n",
            i, dot, i, dot);
}

static void put_script(FILE *f, const struct plots *p, const char *title) {
    const int columns = p->panels > 3 ? 4 : p->panels, rows = (p->panels + columns - 1) / columns;
    for (int i = 0; i < p->panels; i++) put_panel(f, &p->panel[i], i);
    fprintf(f, "set terminal pngcairo size %d,%d font 'sans,9'\n", 480 * columns, 60 + 380 * rows);
    fprintf(f,
            "set multiplot layout %d,%d title '%s: decrypted (blue, left axis) and its error (red, "
            "right axis) "
            "against the plain value' font 'sans,12'\n",
            rows, columns, title);
    fputs("set ytics nomirror\nset y2tics\nset format y2 '%.0e'\n"
          "set offsets graph 0.04, graph 0.04, graph 0.04, graph 0.04\nset grid lc rgb '#dddddd'\n",
          f);
    for (int i = 0; i < p->panels; i++) put_plot(f, &p->panel[i], i);
    fputs("unset multiplot\n", f);
}

/* gnuplot reads the script `in` and writes the picture to `out`: no name of a file is part of a
 * script. */
static int run_gnuplot(int in, int out) {
    static char name[] = "gnuplot";
    char *argv[] = {name, NULL};
    posix_spawn_file_actions_t to;
    pid_t pid;
    int status;
    if (posix_spawn_file_actions_init(&to) != 0) return 0;
    const int started = posix_spawn_file_actions_adddup2(&to, in, STDIN_FILENO) == 0 &&
                        posix_spawn_file_actions_adddup2(&to, out, STDOUT_FILENO) == 0 &&
                        posix_spawnp(&pid, name, &to, NULL, argv, environ) == 0;
    posix_spawn_file_actions_destroy(&to);
    if (!started) return 0;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return 0;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* What was written to `from` becomes the file `path`, whole or not at all. */
static int save_picture(int from, const char *path) {
    char piece[1 << 14];
    ssize_t n = 0;
    size_t all = 0;
    struct ckks_file_out *f = NULL;
    interrupt_hold();
    int good = ckks_file_create(&f, path, CKKS_FILE_SHARED) == THOR_OK;
    for (; good && (n = pread(from, piece, sizeof piece, (off_t)all)) > 0; all += (size_t)n)
        good = ckks_file_write(f, piece, (size_t)n) == THOR_OK;
    good = good && n == 0 && all > 0 && ckks_file_commit(&f) == THOR_OK;
    ckks_file_abandon(&f);
    interrupt_release();
    return good;
}

int plots_draw(const char *path, void (*put)(FILE *script, const void *ctx), const void *ctx) {
    int good = 0;
    const int in = memfd_create("plot-script", MFD_CLOEXEC),
              out = memfd_create("plot", MFD_CLOEXEC);
    FILE *f = in >= 0 ? fdopen(in, "w") : NULL;
    if (f && out >= 0) {
        put(f, ctx);
        good = fflush(f) == 0 && !ferror(f) && lseek(in, 0, SEEK_SET) == 0 &&
               run_gnuplot(in, out) && save_picture(out, path);
    }
    if (f)
        fclose(f);
    else if (in >= 0)
        close(in);
    if (out >= 0) close(out);
    return good;
}

static int is_head(const struct plots *p) {
    return p->layer == p->layers;
}

static void put_layer(FILE *f, const void *ctx) {
    const struct plots *p = ctx;
    char title[32];
    snprintf(title, sizeof title, is_head(p) ? "head" : "layer %d", p->layer);
    put_script(f, p, title);
}

static void finish_layer(struct plots *p) {
    char name[32], path[PATH + 64];
    snprintf(name, sizeof name, is_head(p) ? "head" : "layer-%02d", p->layer);
    snprintf(path, sizeof path, "%s/%s.png", p->folder, name);
    if (p->panels && !p->failed && !plots_draw(path, put_layer, p)) {
        fprintf(stderr, "plots skipped: gnuplot cannot draw %.600s/%s.png\n", shown(p->folder),
                name);
        p->failed = 1;
    }
    p->panels = 0;
}

/* ---- collecting */

void plots_tensor(struct plots *p, int layer, const char *name) {
    if (layer != p->layer) finish_layer(p);
    p->layer = layer;
    if (p->panels && strcmp(p->panel[p->panels - 1].name, name) == 0) return; // its next ciphertext
    if (p->panels == PANELS) return;
    struct panel *t = &p->panel[p->panels++];
    *t = (struct panel){.stride = 1};
    snprintf(t->name, sizeof t->name, "%s", name);
}

/* Every second point goes when there are too many. */
static void thin_out(struct panel *t) {
    for (int i = 0; 2 * i < t->n; i++) {
        t->got[i] = t->got[2 * i];
        t->want[i] = t->want[2 * i];
    }
    t->n = (t->n + 1) / 2;
    t->stride *= 2;
}

void plots_point(void *plots, double got, double want) {
    struct plots *p = plots;
    struct panel *t = &p->panel[p->panels - 1];
    const double error = fabs(got - want);
    const int worst = !(error <= t->worst);
    t->seen++;
    t->squares += error * error;
    if (worst) t->worst = error;
    if (t->skipped++ % t->stride && !worst) return;
    if (t->n == POINTS) thin_out(t);
    t->got[t->n] = got;
    t->want[t->n++] = want;
}

void plots_end(struct plots *p) {
    if (!p) return;
    finish_layer(p);
    free(p);
}
