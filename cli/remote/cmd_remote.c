/* thor remote: the client of a server that keeps keys and computes (thor serve). */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/remote/remote.h"

static const struct {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} actions[] = {
    {"login", "which server, and the token for it", remote_login},
    {"upload", "evaluation keys to the server; goes on where it was cut off", remote_upload},
    {"classify", "encrypt texts here, compute there, decrypt here", remote_classify},
    {"status", "models, keys and jobs on the server", remote_status},
    {"drop", "remove keys from the server", remote_drop},
    {"web", "the same in a browser, by a program on this machine", remote_web},
};
enum { ACTIONS = sizeof actions / sizeof actions[0] };

static void help(void) {
    puts("Usage: thor remote ACTION [OPTIONS]\n\nActions:");
    for (int i = 0; i < ACTIONS; i++) printf("  %-10s %s\n", actions[i].name, actions[i].summary);
    puts("  --help     this text; thor remote ACTION --help has the options\n\nExamples:\n"
         "  thor remote login https://thor.example.org --token-file token\n"
         "  thor keygen --out keys && thor remote upload --keys keys\n"
         "  thor remote classify --keys keys --text \"a charming and often affecting journey\"\n");
    options_exit_codes();
}

int cmd_remote(int argc, char **argv) {
    if (argc < 2) return thor_fail(THOR_USAGE, "no action given; see thor remote --help");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        help();
        return OPTIONS_DONE;
    }
    for (int i = 0; i < ACTIONS; i++)
        if (strcmp(argv[1], actions[i].name) == 0) return actions[i].run(argc - 1, argv + 1);
    return thor_fail(THOR_USAGE, "%.60s: unknown action; see thor remote --help", argv[1]);
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

void remote_end(struct remote *r) {
    login_wipe(&r->to);
}
