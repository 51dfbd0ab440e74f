/* What the actions of `thor remote` share. */
#ifndef CLI_REMOTE_REMOTE_H
#define CLI_REMOTE_REMOTE_H

#include "cli/options.h"
#include "cli/remote/wire.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Actions: argv[0] is the action's name.  They return a status, or OPTIONS_DONE. */
int remote_login(int argc, char **argv);
int remote_upload(int argc, char **argv);
int remote_classify(int argc, char **argv);
int remote_status(int argc, char **argv);
int remote_drop(int argc, char **argv);
int remote_web(int argc, char **argv);

struct remote {
    const char *file; /* --login, or NULL */
    int wait, quiet;  /* --wait; --json */
    struct login to;
    struct wire_setup wire; /* borrows `to` */
};

/* Rows of an action's table of options. */
#define REMOTE_OPTIONS(r)                                                                          \
    {"login", "FILE", OPTION_TEXT, &(r)->file, 0, 0, "what thor remote login keeps (~/.config)"},  \
    {                                                                                              \
        "wait", "S", OPTION_INT, &(r)->wait, 0, 86400,                                             \
            "seconds to wait for a busy server, a call (600)"                                      \
    }
enum { REMOTE_WAIT = 600 };

/* The login, and how to call its server. */
int remote_start(struct remote *r);
void remote_end(struct remote *r);
/* A fresh folder for this user alone, in TMPDIR or /tmp; "" on failure. */
enum { REMOTE_FOLDER = 64 };
int remote_folder(char dir[REMOTE_FOLDER]);
void remote_clear(void); /* a bar on a terminal, before a line takes its place */

#ifdef __cplusplus
}
#endif
#endif
