#include "cli/keyset.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SECRET, PUBLIC, EVAL, FILES };
static const char *const file_name[FILES] = {"secret.key", "public.key", "eval.key"};
enum { PATH = 4200 };

static void path_of(char path[PATH], const char *dir, int file) {
    snprintf(path, PATH, "%s/%s", dir, file_name[file]);
}

int keyset_make(struct keyset *k, struct ckks *cx, const struct ckks_need *need, int n, struct progress *p) {
    int st = THOR_OK;
    uint8_t seed[3][CKKS_SEED];
    for (int i = 0; i < 3; i++) ckks_random_seed(seed[i]);
    progress_begin(p, "keys");
    TRY(ckks_secret_new(&k->secret, cx->params, seed[0]));
    TRY(ckks_public_new(&k->public_key, cx, k->secret, seed[1]));
    TRY(ckks_keys_new(&k->eval, cx, k->secret, need, n, seed[2], progress_step, p));
out:
    sodium_memzero(seed, sizeof seed);
    progress_end(p);
    return st;
}

int keyset_room(const char *dir) {
    int st = THOR_OK;
    char path[PATH];
    TRY(make_folder(dir));
    for (int i = 0; i < FILES; i++) {
        path_of(path, dir, i);
        if (access(path, F_OK) == 0)
            return thor_fail(THOR_IO, "%.300s: is there already and is never overwritten; name another folder", path);
    }
    if (access(dir, W_OK) != 0) st = thor_fail(THOR_IO, "%.300s: cannot be written; name another folder", dir);
out:
    return st;
}

int keyset_save(const struct keyset *k, const char *dir) {
    int st = THOR_OK, done = 0;
    char path[FILES][PATH];
    for (int i = 0; i < FILES; i++) path_of(path[i], dir, i);
    TRY(keyset_room(dir));
    interrupt_hold();
    TRY(ckks_public_save(k->public_key, path[PUBLIC]));
    done = 1;
    TRY(interrupt_pending());
    TRY(ckks_keys_save(k->eval, path[EVAL]));
    done = 2;
    TRY(interrupt_pending());
    TRY(ckks_secret_save(k->secret, path[SECRET]));
out:
    if (st != THOR_OK && done > 0) unlink(path[PUBLIC]);
    if (st != THOR_OK && done > 1) unlink(path[EVAL]);
    interrupt_release();
    return st;
}

int keyset_load(struct keyset *k, struct ckks *cx, const char *dir, int allow_insecure) {
    int st = THOR_OK;
    char path[PATH];
    for (int i = 0; i < FILES; i++) {
        path_of(path, dir, i);
        if (access(path, F_OK) != 0)
            return thor_fail(THOR_KEY, "%.300s: is not there; make keys with thor keygen --out %.100s", path, dir);
    }
    path_of(path, dir, SECRET);
    TRY(ckks_secret_load(&k->secret, path, allow_insecure));
    path_of(path, dir, PUBLIC);
    TRY(ckks_public_load(&k->public_key, path, allow_insecure));
    if (k->secret->params != cx->params)
        return thor_fail(THOR_KEY, "%.300s: keys of parameter set %s, not %s; make others with thor keygen", dir,
                         k->secret->params->name, cx->params->name);
    path_of(path, dir, EVAL);
    TRY(ckks_keys_load(&k->eval, cx, path));
    if (memcmp(k->secret->id, k->public_key->id, 16) != 0 || memcmp(k->secret->id, k->eval->id, 16) != 0)
        return thor_fail(THOR_KEY, "%.300s: its files are of different key pairs; make a folder of their own with "
                         "thor keygen", dir);
out:
    return st;
}

int keyset_covers(const struct keyset *k, const struct ckks_need *need, int n) {
    for (int i = 0; i < n; i++) {
        int j = 0;
        while (j < k->eval->n && (k->eval->key[j].id != need[i].id || k->eval->key[j].level < need[i].level)) j++;
        if (j == k->eval->n) return 0;
    }
    return 1;
}

void keyset_free(struct keyset *k) {
    if (k->eval) ckks_keys_free(k->eval);
    if (k->public_key) ckks_public_free(k->public_key);
    if (k->secret) ckks_secret_free(k->secret);
    memset(k, 0, sizeof *k);
}
