#include "cli/remote/login.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "bert/input/jsonfile.h"
#include "bert/input/readfile.h"
#include "ckks/file.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "kernels/shown.h"

#define FORMAT "thor-remote-1"
enum { FILE_MOST = 1 << 14, PATH = 4200 };

/* ---- the address ---- */

/* 127.x.y.z in numbers: 127.0.0.1.example.org is a name of another machine. */
static int is_loopback(const char *host) {
    struct in_addr a;
    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (inet_pton(AF_INET, host, &a) == 1 && ntohl(a.s_addr) >> 24 == 127);
}

static int no_address(const char *text) {
    return thor_fail(THOR_USAGE,
                     "%.200s: no address of a server; give https://HOST or http://127.0.0.1:PORT",
                     text);
}

/* Nothing but scheme, host and port. */
static int is_origin(CURLU *u) {
    static const CURLUPart no[] = {CURLUPART_USER, CURLUPART_QUERY, CURLUPART_FRAGMENT};
    char *part = NULL;
    int good = curl_url_get(u, CURLUPART_PATH, &part, 0) == CURLUE_OK && strcmp(part, "/") == 0;
    curl_free(part);
    for (int i = 0; i < 3; i++) {
        part = NULL;
        good = good && curl_url_get(u, no[i], &part, 0) != CURLUE_OK;
        curl_free(part);
    }
    return good;
}

static int check_scheme(const char *scheme, const char *host, const char *text, int plain) {
    if (strcmp(scheme, "https") == 0) return THOR_OK;
    if (strcmp(scheme, "http") != 0) return no_address(text);
    if (plain || is_loopback(host)) return THOR_OK;
    return thor_fail(THOR_USAGE,
                     "%.200s: not encrypted, and on another machine: the token could be read on "
                     "the way; give https://, or --plain-http",
                     text);
}

int login_url(struct login *l, const char *text, int plain) {
    int st = THOR_OK;
    char *scheme = NULL, *host = NULL, *whole = NULL;
    CURLU *u = curl_url();
    if (!u) return thor_fail(THOR_MEMORY, "no memory for an address");
    if (!strstr(text, "://") || curl_url_set(u, CURLUPART_URL, text, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK || !is_origin(u) ||
        curl_url_get(u, CURLUPART_URL, &whole, 0) != CURLUE_OK || strlen(whole) >= sizeof l->url)
        TRY(no_address(text));
    TRY(check_scheme(scheme, host, text, plain));
    snprintf(l->url, sizeof l->url, "%.*s", (int)strlen(whole) - 1, whole);
out:
    curl_free(scheme);
    curl_free(host);
    curl_free(whole);
    curl_url_cleanup(u);
    return st;
}

/* ---- the token ---- */

static int ask(char **text, size_t *n) {
    struct termios was, quiet;
    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &was) != 0)
        return bert_read_stdin(text, n, FILE_MOST, THOR_INPUT);
    quiet = was;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    fputs("token: ", stderr);
    interrupt_hold(); // a terminal without echo is never left behind
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    size_t room = 0;
    ssize_t got = getline(text, &room, stdin);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
    interrupt_release();
    fputs("\n", stderr);
    if (got <= 0) return thor_fail(THOR_INPUT, "no token was given");
    *n = (size_t)got;
    return THOR_OK;
}

static int check_token(const char *t, size_t n) {
    if (n == 0) return thor_fail(THOR_INPUT, "the token is empty; give that of thor serve token");
    for (size_t i = 0; i < n; i++)
        if (t[i] <= ' ' || t[i] >= 127)
            return thor_fail(THOR_INPUT, "the token has characters that no token has; give one "
                                         "line of thor serve token");
    return n < sizeof((struct login *)0)->token
               ? THOR_OK
               : thor_fail(THOR_INPUT, "the token is too long; give one line of thor serve token");
}

int login_token(struct login *l, const char *file) {
    int st = THOR_OK;
    size_t n = 0;
    char *text = NULL;
    TRY(file ? bert_read_file(&text, &n, file, FILE_MOST, THOR_INPUT) : ask(&text, &n));
    size_t line = strcspn(text, "\r\n");
    TRY(check_token(text, line));
    memcpy(l->token, text, line);
    l->token[line] = 0;
out:
    if (text) sodium_memzero(text, n);
    free(text);
    return st;
}

int login_cacert(struct login *l, const char *file) {
    char real[PATH_MAX];
    if (!realpath(file, real) || access(real, R_OK) != 0)
        return thor_fail(THOR_IO, "--cacert %.200s: cannot be read", file);
    if (strlen(real) >= sizeof l->cacert)
        return thor_fail(THOR_USAGE, "--cacert %.200s: the path is too long", real);
    strcpy(l->cacert, real);
    return THOR_OK;
}

/* ---- the file ---- */

int login_path(char *out, unsigned size, const char *named, int make) {
    int st = THOR_OK, made;
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    char dir[PATH];
    if (named) {
        snprintf(out, size, "%s", named);
        return THOR_OK;
    }
    if (config && config[0] == '/')
        snprintf(dir, sizeof dir, "%.4000s", config);
    else if (home && home[0])
        snprintf(dir, sizeof dir, "%.4000s/.config", home);
    else
        return thor_fail(THOR_USAGE, "no HOME to keep the login in; name a file with --login");
    if (make) TRY(make_private_folder(dir, &made));
    strcat(dir, "/thor");
    if (make) TRY(make_private_folder(dir, &made));
    snprintf(out, size, "%s/remote.json", dir);
out:
    return st;
}

int login_save(const struct login *l, const char *path) {
    json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "format", FORMAT, "url", l->url, "token",
                          l->token, "cacert", l->cacert);
    const int st = save_private(o, path, JSON_FILE);
    json_decref(o);
    return st;
}

static int damaged(const char *path) {
    return thor_fail(THOR_KEY, "%.200s: damaged, or no login: run thor remote login again", path);
}

static int put(char *to, size_t size, const json_t *o, const char *name) {
    const char *s = json_string_value(json_object_get(o, name));
    if (!s || strlen(s) >= size) return 0;
    strcpy(to, s);
    return 1;
}

/* Nobody else can read the file, which is small. */
static int read_private(char **text, size_t *n, const char *path) {
    int st = THOR_OK;
    struct ckks_file_in *f = NULL;
    *text = NULL;
    TRY(ckks_file_open(&f, path, CKKS_FILE_PRIVATE));
    *n = (size_t)ckks_file_bytes(f);
    if (*n > FILE_MOST) TRY(damaged(path));
    *text = malloc(*n + 1);
    if (!*text) TRY(thor_fail(THOR_MEMORY, "%.200s: no memory to read it", path));
    TRY(ckks_file_read(f, *text, *n));
    (*text)[*n] = 0;
out:
    ckks_file_close(&f);
    return st;
}

int login_load(struct login *l, const char *path) {
    int st = THOR_OK;
    size_t n = 0;
    char *text = NULL, url[1024];
    json_t *o = NULL;
    if (access(path, F_OK) != 0)
        return thor_fail(THOR_USAGE, "%.200s: is not there; run thor remote login URL first", path);
    TRY(read_private(&text, &n, path));
    if (bert_json_parse(&o, text, n, BERT_JSON_SMALL, 0, THOR_KEY) != THOR_OK) TRY(damaged(path));
    const char *format = json_string_value(json_object_get(o, "format"));
    if (!format || strcmp(format, FORMAT) != 0 || !put(url, sizeof url, o, "url") ||
        !put(l->token, sizeof l->token, o, "token") ||
        !put(l->cacert, sizeof l->cacert, o, "cacert") || login_url(l, url, 1) != THOR_OK ||
        check_token(l->token, strlen(l->token)) != THOR_OK)
        TRY(damaged(path));
out:
    if (text) sodium_memzero(text, n);
    free(text);
    json_decref(o);
    return st;
}

void login_wipe(struct login *l) {
    sodium_memzero(l, sizeof *l);
}
