/* Which server `thor remote` talks to, and the token that it knows the client by: a JSON file of
 * mode 0600, {"format": "thor-remote-1", "url": .., "token": .., "cacert": ..}. */
#ifndef CLI_REMOTE_LOGIN_H
#define CLI_REMOTE_LOGIN_H

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct login {
    char url[1024];    /* http://HOST:PORT or https://HOST[:PORT], no slash behind it */
    char token[512];   /* visible ASCII */
    char cacert[2048]; /* absolute path of certificates that are trusted, or "": the system's */
};

/* `text` becomes l->url.  THOR_USAGE when it is no such address, or when it is plain HTTP to
 * another machine and not `plain`: a token would cross the net in the clear. */
int login_url(struct login *l, const char *text, int plain);
/* From a file (NULL: standard input, without echo where that is a terminal), less the end of its
 * first line. */
int login_token(struct login *l, const char *file);
int login_cacert(struct login *l, const char *file);

/* The file that was named, or thor/remote.json below XDG_CONFIG_HOME or ~/.config; there, folders
 * are made with `make`. */
int login_path(char *out, unsigned size, const char *named, int make);
int login_save(const struct login *l, const char *path);
/* THOR_KEY when it is damaged or open to others, THOR_USAGE when there is none. */
int login_load(struct login *l, const char *path);
void login_wipe(struct login *l);

#ifdef __cplusplus
}
#endif
#endif
