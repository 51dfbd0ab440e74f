/* thor remote: the client of a server that keeps keys and computes (thor serve). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/remote/remote.h"
#include "cli/subcommand.h"

static const struct subcommand actions[] = {
    {"login", "which server, and the token for it", remote_login},
    {"upload", "evaluation keys to the server; goes on where it was cut off", remote_upload},
    {"classify", "encrypt texts here, compute there, decrypt here", remote_classify},
    {"status", "models, keys and jobs on the server", remote_status},
    {"drop", "remove keys from the server", remote_drop},
    {"web", "the same in a browser, by a program on this machine", remote_web},
    {0}};

static const struct command_group group = {
    "remote",
    "action",
    "client of a server that keeps keys",
    "The client of a server that runs thor serve. Texts are encrypted and answers decrypted here; "
    "the server gets evaluation keys once and computes on ciphertexts.",
    NULL,
    "  thor remote login https://thor.example.org --token-file token\n"
    "  thor keygen --out keys && thor remote upload --keys keys\n"
    "  thor remote classify --keys keys --text \"a charming and often affecting journey\"\n",
    actions};

int cmd_remote(int argc, char **argv) {
    return subcommand_run(NULL, &group, argc, argv);
}

/* ---- what they share ---- */

void remote_clear(void) {
    if (isatty(STDERR_FILENO)) fputs("\r\033[K", stderr);
}

static void on_wait(void *ctx, double seconds, const char *why) {
    const struct remote *r = ctx;
    if (r->quiet) return;
    remote_clear();
    fprintf(stderr, "%s: trying again in %.1f s\n", why, seconds);
}

int remote_start(struct remote *r) {
    int st = THOR_OK;
    char path[4300];
    TRY(login_path(path, sizeof path, r->file, 0));
    TRY(login_load(&r->to, path));
    r->wire = (struct wire_setup){
        .to = &r->to, .patience = r->wait, .tries = 5, .waits = on_wait, .ctx = r};
out:
    return st;
}

int remote_folder(char dir[REMOTE_FOLDER]) {
    const char *tmp = getenv("TMPDIR");
    if (!tmp || tmp[0] != '/' || strlen(tmp) > 40) tmp = "/tmp";
    snprintf(dir, REMOTE_FOLDER, "%s/thor-XXXXXX", tmp);
    if (mkdtemp(dir)) return THOR_OK;
    dir[0] = 0;
    return thor_fail(THOR_IO, "%s: no folder can be made there (%s); set TMPDIR to another", tmp,
                     strerror(errno));
}

void remote_end(struct remote *r) {
    login_wipe(&r->to);
}
