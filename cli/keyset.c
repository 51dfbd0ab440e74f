#include "cli/keyset.h"
#include "kernels/shown.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH = 4200, MAX_FILES = 4 };

/* ---- making ---- */

/* the files of one key set, in the order in which they are written; the secret last */
struct made {
    char path[MAX_FILES][PATH];
    const char *role[MAX_FILES];
    int n;
};

static void add_file(struct made *m, const char *dir, const char *name, const char *role) {
    snprintf(m->path[m->n], PATH, "%s/%s", dir, name);
    m->role[m->n++] = role;
}

static void name_files(struct made *m, const struct keyset_folders *to) {
    m->n = 0;
    add_file(m, to->server ? to->server : to->client, "eval.key", "for the server: computes");
    if (to->server) add_file(m, to->server, "public.key", "for anybody: encrypts");
    add_file(m, to->client, "public.key", "for anybody: encrypts");
    add_file(m, to->client, "secret.key", "keep it: whoever has it reads everything");
}

static int room(const char *dir) {
    if (access(dir, W_OK) == 0) return THOR_OK;
    return thor_fail(THOR_IO, "%.300s: cannot be written; name another folder", dir);
}

/* The secret key is written last: other keys without it are what an interrupted keygen left. */
static int no_keys_there(const struct made *m) {
    int whole = access(m->path[m->n - 1], F_OK) == 0;
    for (int i = 0; i < m->n; i++)
        if (access(m->path[i], F_OK) == 0)
            return thor_fail(
                THOR_IO, "%.300s: is there already and is never overwritten; name another folder%s",
                m->path[i], whole ? "" : ", or remove it if a keygen that was interrupted left it");
    return THOR_OK;
}

int keyset_room(const struct keyset_folders *to, int made_now[2]) {
    int st = THOR_OK;
    struct made m;
    made_now[0] = made_now[1] = 0;
    TRY(make_private_folder(to->client, &made_now[0]));
    if (to->server) TRY(make_private_folder(to->server, &made_now[1]));
    name_files(&m, to);
    TRY(no_keys_there(&m));
    TRY(room(to->client));
    if (to->server) TRY(room(to->server));
out:
    return st;
}

/* 1: locked by us until *fd is closed, by a kill too; 0: the folder is another by now, or gone; -1:
 * errno says why. */
static int try_lock(int *fd, const char *dir) {
    struct stat mine, there;
    *fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0) return errno == ENOENT ? 0 : -1;
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0) return -1;
    return fstat(*fd, &mine) == 0 && stat(dir, &there) == 0 && mine.st_ino == there.st_ino;
}

/* One keygen a folder: the other is refused at once.  *made becomes 1 when the folder is ours. */
static int lock_folder(int *fd, int *made, const char *dir) {
    for (int i = 0, now, got; i < 10; i++) {
        int st = make_private_folder(dir, &now);
        if (st) return st;
        *made |= now;
        got = try_lock(fd, dir);
        if (got > 0) return THOR_OK;
        if (got < 0 && errno == EWOULDBLOCK) break;
        if (got < 0)
            return thor_fail(THOR_IO, "%.300s: cannot be locked: %s", dir, strerror(errno));
        if (*fd >= 0) close(*fd); // another keygen took the folder back that it had made
        *fd = -1;
    }
    return thor_fail(THOR_IO,
                     "%.300s: another thor keygen is making keys there; name another folder", dir);
}

void keyset_take_back(const char *dir) {
    int fd = -1;
    if (try_lock(&fd, dir) > 0) rmdir(dir);
    if (fd >= 0) close(fd);
}

struct seeds {
    uint8_t of[3][CKKS_SEED];
}; /* of the secret, the public and the evaluation keys */

/* In guarded memory; NULL when there is none.  sodium_free wipes them. */
static struct seeds *new_seeds(void) {
    struct seeds *s = ckks_random_start() == THOR_OK ? sodium_malloc(sizeof *s) : NULL;
    if (!s) thor_fail(THOR_MEMORY, "no locked memory for the seeds of keys");
    for (int i = 0; s && i < 3; i++) ckks_random_seed(s->of[i]);
    return s;
}

int keyset_make(struct keyset *k, struct ckks *cx, const struct ckks_need *need, int n,
                struct progress *p) {
    int st = THOR_OK;
    struct seeds *seed = new_seeds();
    progress_begin(p, "keys");
    if (!seed) TRY(THOR_MEMORY);
    TRY(ckks_secret_new(&k->secret, cx->params, seed->of[0]));
    TRY(ckks_public_new(&k->public_key, cx, k->secret, seed->of[1]));
    TRY(ckks_keys_new(&k->eval, cx, k->secret, need, n, seed->of[2], progress_step, p));
out:
    sodium_free(seed);
    progress_end(p);
    return st;
}

static int step(void *p, int done, int total) {
    progress_step(p, done, total);
    return interrupt_pending();
}

static int write_set(struct made *m, int *done, struct ckks *cx, const struct ckks_need *need,
                     int n, const struct seeds *seed, struct progress *p) {
    int st = THOR_OK;
    struct keyset k = {0};
    TRY(ckks_secret_new(&k.secret, cx->params, seed->of[0]));
    TRY(ckks_public_new(&k.public_key, cx, k.secret, seed->of[1]));
    TRY(ckks_keys_generate(m->path[0], cx, k.secret, need, n, seed->of[2], step, p));
    for (*done = 1; *done < m->n - 1; ++*done) TRY(ckks_public_save(k.public_key, m->path[*done]));
    TRY(interrupt_pending());
    TRY(ckks_secret_save(k.secret, m->path[*done]));
out:
    keyset_free(&k);
    return st;
}

int keyset_generate(const struct keyset_folders *to, int made_now[2], struct ckks *cx,
                    const struct ckks_need *need, int n, struct progress *p) {
    int st = THOR_OK, done = 0, lock[2] = {-1, -1};
    struct seeds *seed = NULL;
    struct made m;
    TRY(lock_folder(&lock[0], &made_now[0], to->client));
    if (to->server) TRY(lock_folder(&lock[1], &made_now[1], to->server));
    name_files(&m, to);
    TRY(no_keys_there(&m));
    seed = new_seeds();
    if (!seed) TRY(THOR_MEMORY);
    progress_begin(p, "keys");
    interrupt_hold();
    st = write_set(&m, &done, cx, need, n, seed, p);
    for (int i = 0; i < done && st != THOR_OK; i++) unlink(m.path[i]);
    progress_end(p);
    if (st == THOR_OK) interrupt_release(); // else the program ends, but cleans up first
out:
    sodium_free(seed);
    for (int i = 0; i < 2; i++)
        if (lock[i] >= 0) close(lock[i]);
    return st;
}

int keyset_print(const struct keyset_folders *to) {
    int st = THOR_OK;
    struct made m;
    struct serial_head h = {0};
    name_files(&m, to);
    for (int i = 0; i < m.n; i++) {
        serial_free(&h);
        TRY(ckks_file_describe(&h, m.path[i]));
        printf("%s  %.1f MiB, %s\n", shown(m.path[i]), (double)h.bytes / 1048576, m.role[i]);
    }
out:
    serial_free(&h);
    return st;
}

/* ---- loading ---- */

static int find(char path[PATH], const char *dir, const char *name) {
    snprintf(path, PATH, "%s/%s", dir, name);
    if (access(path, F_OK) == 0) return THOR_OK;
    return thor_fail(THOR_KEY, "%.300s: is not there; make keys with thor keygen --out %.100s",
                     path, dir);
}

int keyset_load_secret(struct keyset *k, const char *dir, int allow_insecure) {
    int st = THOR_OK;
    char path[PATH];
    TRY(find(path, dir, "secret.key"));
    TRY(ckks_secret_load(&k->secret, path, allow_insecure));
out:
    return st;
}

int keyset_load_public(struct keyset *k, const char *dir, int allow_insecure) {
    int st = THOR_OK;
    char path[PATH];
    TRY(find(path, dir, "public.key"));
    TRY(ckks_public_load(&k->public_key, path, allow_insecure));
out:
    return st;
}

int keyset_of(const struct keyset *k, const struct ckks_params *want, const char *dir) {
    const struct ckks_params *have = k->secret ? k->secret->params : k->public_key->params;
    if (have == want) return THOR_OK;
    return thor_fail(
        THOR_KEY,
        "%.300s: keys of parameter set %s, not %s; make others with thor keygen, or name that "
        "set",
        dir, have->name, want->name);
}

int keyset_one_pair(const struct keyset *k, const char *dir) {
    static const char *const names[] = {"secret.key", "public.key", "eval.key"};
    int st = THOR_OK;
    const uint8_t *id = k->secret ? k->secret->id : k->public_key->id;
    struct serial_head h = {0};
    char path[PATH];
    for (int i = 0; i < 3; i++) {
        snprintf(path, PATH, "%s/%s", dir, names[i]);
        if (access(path, R_OK) != 0) continue;
        serial_free(&h);
        TRY(ckks_file_describe(&h, path));
        TRY(ckks_check_id(h.id, id, path));
    }
out:
    serial_free(&h);
    return st;
}

int keyset_load(struct keyset *k, struct ckks *cx, const char *dir, int allow_insecure) {
    int st = THOR_OK;
    char path[PATH];
    TRY(find(path, dir, "eval.key"));
    TRY(keyset_load_secret(k, dir, allow_insecure));
    TRY(keyset_load_public(k, dir, allow_insecure));
    TRY(keyset_of(k, cx->params, dir));
    TRY(ckks_keyfile_open(&k->file, cx, path));
    if (memcmp(k->secret->id, k->public_key->id, 16) != 0 ||
        memcmp(k->secret->id, k->file->h.id, 16) != 0)
        return thor_fail(
            THOR_KEY,
            "%.300s: its files are of different key pairs; make a folder of their own with "
            "thor keygen",
            dir);
out:
    return st;
}

int keyset_open_file(struct ckks_keyfile **f, struct ckks *cx, const char *dir) {
    int st = THOR_OK;
    char path[PATH];
    TRY(find(path, dir, "eval.key"));
    TRY(ckks_keyfile_open(f, cx, path));
out:
    return st;
}

int keyset_take(struct keyset *k, const struct ckks_need *need, int n, struct progress *p) {
    progress_begin(p, "keys");
    int st = ckks_keys_take(&k->eval, k->file, need, n, progress_step, p);
    progress_end(p);
    ckks_keyfile_close(k->file);
    k->file = NULL;
    return st;
}

void keyset_free(struct keyset *k) {
    ckks_keys_free(k->eval);
    ckks_keyfile_close(k->file);
    ckks_public_free(k->public_key);
    ckks_secret_free(k->secret);
    memset(k, 0, sizeof *k);
}
