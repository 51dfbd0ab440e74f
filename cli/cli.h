/* What the subcommands share. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stddef.h>

#include "include/ckks/status.h" /* ckks_version: that of the programs too */
#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define THOR_DATE "2026-11-30" /* of this version, as in CHANGELOG.md */

/* Subcommands: argv[0] is the subcommand's name.  They return a status, or OPTIONS_DONE. */
int cmd_keygen(int argc, char **argv);
int cmd_encode(int argc, char **argv);
int cmd_generate(int argc, char **argv);
int cmd_forward(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_synth(int argc, char **argv);
int cmd_batch(int argc, char **argv);
int cmd_embed(int argc, char **argv);
int cmd_encrypt(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_decrypt(int argc, char **argv);
int cmd_serve(int argc, char **argv);       /* THOR_USAGE in a build without libmicrohttpd */
int cmd_serve_token(int argc, char **argv); /* likewise */
int cmd_tune(int argc, char **argv);
int cmd_split(int argc, char **argv);
int cmd_remote(int argc, char **argv); /* only with THOR_REMOTE: cli/remote/ */

/* THOR_IO when what was printed does not arrive (report.c). */
int flush_stdout(void);
/* What a program does last (report.c): stdout has to have arrived, a failure is said in one line on
 * stderr.  The exit code. */
int program_end(const char *program, const char *command, int st);

/* Signals (interrupt.c).  SIGINT, SIGTERM and SIGHUP end the program at once with THOR_INTERRUPTED,
 * except between interrupt_hold() and interrupt_release(), which nest: there the end waits, so that
 * no file stays half-written.  Work of several files asks interrupt_pending() between them: THOR_OK
 * or THOR_INTERRUPTED. */
void interrupt_install(void);
void interrupt_hold(void);
int interrupt_pending(void);
void interrupt_release(void);
void interrupt_silently(void); /* without the line "interrupted": the parent says it */

/* Progress on stderr (progress.c): a bar on a terminal, else one plain line per phase. */
struct progress {
    char label[64];
    double start, drawn;
    int tty, quiet;
};
void progress_begin(struct progress *p, const char *label);
void progress_step(void *p, int done, int total); /* fits ckks_keys_new */
/* The same with a word on what comes now: behind the bar, or as a line of its own. */
void progress_note(struct progress *p, int done, int total, const char *what);
double progress_end(struct progress *p); /* seconds since progress_begin */

/* The folder of a model that comes with the program: data/NAME beside the binary, where `make
 * install` puts it, or data/NAME below the working directory.  THOR_MODEL when there is none. */
int shipped_model(char *path, size_t size, const char *name);
/* data/sst2-tiny */
int default_model(char *path, size_t size);

/* The CPU and the CUDA devices on stdout; a machine without CUDA is no failure. */
int list_devices(int json);

/* A toy set was named: warn on stderr, loudly.  THOR_USAGE when it is not a toy. */
int use_insecure(const char *params);

/* Write `text` to `path` whole or not at all. */
int save_text(const char *path, const char *text);
/* mkdir unless it is there. */
int make_folder(const char *path);
/* At the end of a run: unless `keep`, those of its folders that are empty go again. */
void folders_end(int keep);
/* As make_folder, for the user alone (0700) whatever the umask, and it stays; *made: 1 when it was
 * not there. */
int make_private_folder(const char *path, int *made);

#ifdef __cplusplus
}
#endif
#endif
