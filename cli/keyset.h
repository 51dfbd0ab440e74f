/* A key folder: secret.key (0600, stays with the client), public.key and eval.key (for the server). */
#ifndef CLI_KEYSET_H
#define CLI_KEYSET_H

#include "ckks/ckks.h"
#include "cli/cli.h"

#ifdef __cplusplus
extern "C" {
#endif

struct keyset {
    struct ckks_secret *secret;
    struct ckks_public *public_key;
    struct ckks_keys *eval; /* lives on cx's back end */
};

int keyset_make(struct keyset *k, struct ckks *cx, const struct ckks_need *need, int n, struct progress *p);
/* The folder is there, writable, and holds no keys yet: asked before the work of making them. */
int keyset_room(const char *dir);
/* Never over a secret key that is there.  All three files, or none. */
int keyset_save(const struct keyset *k, const char *dir);
int keyset_load(struct keyset *k, struct ckks *cx, const char *dir, int allow_insecure);
/* 1 when every needed key is there at its level. */
int keyset_covers(const struct keyset *k, const struct ckks_need *need, int n);
void keyset_free(struct keyset *k);

#ifdef __cplusplus
}
#endif
#endif
