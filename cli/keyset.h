/* A key folder: secret.key (0600) and public.key for the client, eval.key and public.key for the
 * server.  Each half may lie in a folder of its own. */
#ifndef CLI_KEYSET_H
#define CLI_KEYSET_H

#include "ckks/ckks.h"
#include "ckks/serial.h"
#include "cli/cli.h"

#ifdef __cplusplus
extern "C" {
#endif

struct keyset {
    struct ckks_secret *secret;
    struct ckks_public *public_key;
    struct ckks_keyfile *file; /* eval.key, open, before keyset_take */
    struct ckks_keys *eval;    /* lives on cx's back end */
};

struct keyset_folders {
    /* secret.key and public.key, and eval.key when there is no folder for the server */
    const char *client;
    const char *server; /* eval.key and public.key; or NULL */
};

/* In memory, for one run. */
int keyset_make(struct keyset *k, struct ckks *cx, const struct ckks_need *need, int n,
                struct progress *p);
/* The folders are there, writable, and hold no keys yet: asked before the work of making them.
 * Folders that were not there are made for the user alone; made_now: which of client's and
 * server's. */
int keyset_room(const struct keyset_folders *to, int made_now[2]);
/* Into files, one evaluation key in memory at a time.  Never over keys that are there; all files,
 * or none.  THOR_IO when another keygen is at work in one of the folders; made_now as of
 * keyset_room, for a folder that went in between. */
int keyset_generate(const struct keyset_folders *to, int made_now[2], struct ckks *cx,
                    const struct ckks_need *need, int n, struct progress *p);
/* Removes a folder that keyset_room made, if nothing lies in it and no other keygen is at work
 * there. */
void keyset_take_back(const char *dir);
/* The files of keyset_generate with their sizes, on stdout. */
int keyset_print(const struct keyset_folders *to);

/* One key of a folder; THOR_KEY when it is not there. */
int keyset_load_secret(struct keyset *k, const char *dir, int allow_insecure);
int keyset_load_public(struct keyset *k, const char *dir, int allow_insecure);
/* THOR_KEY when the key that was loaded is of another parameter set. */
int keyset_of(const struct keyset *k, const struct ckks_params *want, const char *dir);
/* THOR_KEY when another key file in the folder is of another pair than the key that was loaded. */
int keyset_one_pair(const struct keyset *k, const char *dir);
/* Both, of cx's parameters, and eval.key opened: all of one key pair. */
int keyset_load(struct keyset *k, struct ckks *cx, const char *dir, int allow_insecure);
/* eval.key alone, for its list; ckks_keyfile_close ends it. */
int keyset_open_file(struct ckks_keyfile **f, struct ckks *cx, const char *dir);
/* After keyset_load: the needed keys into memory. */
int keyset_take(struct keyset *k, const struct ckks_need *need, int n, struct progress *p);
void keyset_free(struct keyset *k);

#ifdef __cplusplus
}
#endif
#endif
