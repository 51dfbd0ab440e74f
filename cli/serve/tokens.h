/* Who may ask: accounts and their tokens.
 *
 * A JSON file (0600), {"format": "thor-accounts-1", "accounts": [{"name", "kind", "hash", ..}]}.  A
 * token is 256 random bits; the file has its BLAKE2b-256 alone. */
#ifndef SERVE_TOKENS_H
#define SERVE_TOKENS_H

#include <stdint.h>

#include "cli/serve/store.h"

#ifdef __cplusplus
extern "C" {
#endif

enum account_kind { ACCOUNT_USER, ACCOUNT_OPERATOR };
enum { ACCOUNT_NAME = 33, TOKEN_TEXT = 64 };

struct account {
    char name[ACCOUNT_NAME];
    enum account_kind kind;
    uint8_t hash[32];
    int64_t requests_a_day, key_bytes; /* quotas; 0: none */
};

struct tokens;
/* THOR_INPUT when the file is damaged, THOR_IO when it is not there or others can read it. */
int tokens_load(struct tokens **out, const char *file);
/* Read again when the file has changed; what cannot be read leaves the tokens as they are. */
void tokens_refresh(struct tokens *t);
/* 1: *a is the account of the header "Bearer thor_..". */
int tokens_find(struct account *a, struct tokens *t, const char *authorization);
void tokens_free(struct tokens *t);

/* A new account in the file, which is made when it is not there; `replace` an old one of its name.
 * *token is what stands behind "Bearer ". */
int tokens_add(char token[TOKEN_TEXT], const struct account *a, const char *file, int replace);
int tokens_drop(const char *name, const char *file);
int account_name_ok(const char *name);

/* Requests of today (UTC), with one more where there is room: 0, or the seconds until midnight. */
int account_take_request(const struct store *s, const struct account *a);
int64_t account_requests(const struct store *s, const struct account *a);

#ifdef __cplusplus
}
#endif
#endif
