/* thor remote login: the address of a server and the token for it, tried and kept. */
#include <stdio.h>

#include "cli/remote/remote.h"
#include "cli/remote/served.h"
#include "kernels/shown.h"

struct login_action {
    const char *url, *token, *cacert, *file;
    int plain;
};

static int read_options(struct login_action *a, int argc, char **argv) {
    int st = THOR_OK;
    const struct option_spec options[] = {
        {"token-file", "FILE", OPTION_TEXT, &a->token, 0, 0,
         "a file with the token (asked for, or standard input)"},
        {"cacert", "FILE", OPTION_TEXT, &a->cacert, 0, 0,
         "certificates to trust instead of the system's, PEM"},
        {"plain-http", NULL, OPTION_FLAG, &a->plain, 0, 0,
         "allow http:// to another machine: the token can be read on the way"},
        {"login", "FILE", OPTION_TEXT, &a->file, 0, 0,
         "where it is kept, mode 0600 (~/.config/thor/remote.json)"},
        {0}};
    const struct command_spec spec = {
        "remote login",
        "URL [OPTIONS]",
        "Try a token of thor serve token on the server, and keep both for the other actions.",
        "  thor remote login https://thor.example.org\n"
        "  thor serve token --name me --tokens tokens.json | thor remote login "
        "http://127.0.0.1:8443\n",
        options,
        1};
    TRY(options_parse(&spec, argc, argv, &a->url));
    if (!a->url) return thor_fail(THOR_USAGE, "the address of the server is missing");
out:
    return st;
}

/* One that the server does not know is not kept. */
static int try_token(const struct login *to) {
    int st = THOR_OK;
    json_t *o = NULL;
    struct wire *w = NULL;
    const struct wire_setup setup = {.to = to, .patience = 30, .tries = 1};
    TRY(wire_open(&w, &setup));
    TRY(served_get(&o, w, "/v1/account"));
    const char *name = json_string_value(json_object_get(o, "name"));
    printf("%s  logged in as %s\n", to->url, shown(name ? name : "?"));
out:
    json_decref(o);
    wire_close(w);
    return st;
}

int remote_login(int argc, char **argv) {
    int st = THOR_OK;
    char path[4300];
    struct login_action a = {0};
    struct login to = {0};
    TRY(read_options(&a, argc, argv));
    TRY(login_url(&to, a.url, a.plain));
    if (a.cacert) TRY(login_cacert(&to, a.cacert));
    TRY(login_token(&to, a.token));
    TRY(try_token(&to));
    TRY(login_path(path, sizeof path, a.file, 1));
    TRY(login_save(&to, path));
    printf("kept in      %s\n", shown(path));
out:
    login_wipe(&to);
    return st;
}
