#include "cli/serve/tokens.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bert/input/jsonfile.h"
#include "ckks/file.h"
#include "ckks/random.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/serve/logline.h"

#define FORMAT "thor-accounts-1"
#define PREFIX "Bearer thor_"
enum { FILE_MOST = 16 << 20, DAY = 86400 };
static const char *const kinds[] = {"user", "operator"};

struct tokens {
    pthread_mutex_t lock;
    char file[STORE_PATH];
    struct stat seen; /* of the file that was read */
    struct account *account;
    int n;
};

int account_name_ok(const char *name) {
    const size_t n = strlen(name);
    return n > 0 && n < ACCOUNT_NAME &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == n && name[0] != '-';
}

static int damaged(const char *file) {
    return thor_fail(THOR_INPUT,
                     "%.300s: damaged, or no file of tokens: make one with thor serve token", file);
}

static int read_account(struct account *a, const json_t *o) {
    const char *name = json_string_value(json_object_get(o, "name")),
               *kind = json_string_value(json_object_get(o, "kind")),
               *hash = json_string_value(json_object_get(o, "hash"));
    size_t n = 0;
    *a =
        (struct account){.requests_a_day = json_integer_value(json_object_get(o, "requests_a_day")),
                         .key_bytes = json_integer_value(json_object_get(o, "key_bytes"))};
    if (!name || !kind || !hash || !account_name_ok(name)) return 0;
    snprintf(a->name, sizeof a->name, "%s", name);
    a->kind = strcmp(kind, kinds[ACCOUNT_OPERATOR]) == 0 ? ACCOUNT_OPERATOR : ACCOUNT_USER;
    return strcmp(kind, kinds[a->kind]) == 0 && strlen(hash) == 2 * sizeof a->hash &&
           sodium_hex2bin(a->hash, sizeof a->hash, hash, strlen(hash), NULL, &n, NULL) == 0 &&
           n == sizeof a->hash;
}

static int read_root(json_t **root, const char *file) {
    int st = THOR_OK;
    struct ckks_file_in *f = NULL;
    *root = NULL;
    TRY(ckks_file_open(&f, file, CKKS_FILE_PRIVATE)); // others have no right to it
    TRY(bert_json_read(root, file, FILE_MOST, BERT_JSON_LARGE, 0, THOR_INPUT));
    const char *format = json_string_value(json_object_get(*root, "format"));
    if (!format || strcmp(format, FORMAT) != 0 ||
        !json_is_array(json_object_get(*root, "accounts")))
        st = damaged(file);
out:
    ckks_file_close(&f);
    return st;
}

static int read_accounts(struct account **account, int *n, const char *file) {
    int st = THOR_OK;
    json_t *root = NULL;
    TRY(read_root(&root, file));
    const json_t *list = json_object_get(root, "accounts");
    *n = (int)json_array_size(list);
    *account = calloc((size_t)*n + 1, sizeof **account);
    if (!*account) TRY(thor_fail(THOR_MEMORY, "%.300s: no memory to read it", file));
    for (int i = 0; i < *n; i++)
        if (!read_account(&(*account)[i], json_array_get(list, (size_t)i))) TRY(damaged(file));
out:
    json_decref(root);
    if (st) free(*account), *account = NULL;
    return st;
}

/* Whether the file is as it was seen; in *seen what it is now.  A change by thor serve token is a
 * new file, one by hand moves the time of its inode: two within a second differ too. */
static int is_same(struct stat *seen, const char *file) {
    const struct stat was = *seen;
    if (stat(file, seen) != 0) memset(seen, 0, sizeof *seen);
    return was.st_ino == seen->st_ino && was.st_ctim.tv_sec == seen->st_ctim.tv_sec &&
           was.st_ctim.tv_nsec == seen->st_ctim.tv_nsec;
}

int tokens_load(struct tokens **out, const char *file) {
    int st = THOR_OK;
    struct tokens *t = calloc(1, sizeof *t);
    if (!t) return thor_fail(THOR_MEMORY, "no memory for tokens");
    pthread_mutex_init(&t->lock, NULL);
    snprintf(t->file, sizeof t->file, "%s", file);
    (void)is_same(&t->seen, file);
    TRY(read_accounts(&t->account, &t->n, file));
    *out = t;
    t = NULL;
out:
    tokens_free(t);
    return st;
}

void tokens_refresh(struct tokens *t) {
    struct account *account = NULL, *old;
    int n = 0;
    if (is_same(&t->seen, t->file)) return;
    if (read_accounts(&account, &n, t->file) != THOR_OK) {
        logline("warning", "{s:s, s:s}", "detail", "the accounts of before remain", "why",
                thor_error());
        return;
    }
    pthread_mutex_lock(&t->lock);
    old = t->account;
    t->account = account;
    t->n = n;
    pthread_mutex_unlock(&t->lock);
    free(old);
}

/* Every account is compared, in constant time. */
int tokens_find(struct account *a, struct tokens *t, const char *authorization) {
    uint8_t hash[32];
    int at = -1;
    if (!authorization || strncmp(authorization, PREFIX, strlen(PREFIX)) != 0) return 0;
    const char *token = authorization + strlen(PREFIX) - 5;
    crypto_generichash(hash, sizeof hash, (const uint8_t *)token, strlen(token), NULL, 0);
    pthread_mutex_lock(&t->lock);
    for (int i = 0; i < t->n; i++)
        if (sodium_memcmp(hash, t->account[i].hash, sizeof hash) == 0) at = i;
    if (at >= 0) *a = t->account[at];
    pthread_mutex_unlock(&t->lock);
    return at >= 0;
}

void tokens_free(struct tokens *t) {
    if (!t) return;
    pthread_mutex_destroy(&t->lock);
    free(t->account);
    free(t);
}

/* ---- changing the file ---- */

static int place_of(const json_t *list, const char *name) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *have = json_string_value(json_object_get(json_array_get(list, i), "name"));
        if (have && strcmp(have, name) == 0) return (int)i;
    }
    return -1;
}

/* One change at a time: a lock on the folder of the file, which each change replaces. */
static int lock_folder(const char *file) {
    char dir[STORE_PATH] = ".";
    const char *slash = strrchr(file, '/');
    if (slash) snprintf(dir, sizeof dir, "%.*s", (int)(slash - file) + 1, file);
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd >= 0 && flock(fd, LOCK_EX) != 0 && errno == EINTR) {
    }
    return fd;
}

static int open_root(json_t **root, const char *file) {
    if (store_exists(file)) return read_root(root, file);
    *root = json_pack("{s:s, s:[]}", "format", FORMAT, "accounts");
    return *root ? THOR_OK : thor_fail(THOR_MEMORY, "%.300s: no memory to write it", file);
}

static void new_token(char token[TOKEN_TEXT], uint8_t hash[32]) {
    uint8_t seed[CKKS_SEED];
    ckks_random_seed(seed);
    memcpy(token, "thor_", 5);
    sodium_bin2base64(token + 5, TOKEN_TEXT - 5, seed, sizeof seed,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    crypto_generichash(hash, 32, (const uint8_t *)token, strlen(token), NULL, 0);
    sodium_memzero(seed, sizeof seed);
}

int tokens_add(char token[TOKEN_TEXT], const struct account *a, const char *file, int replace) {
    int st = THOR_OK;
    json_t *root = NULL;
    const int lock = lock_folder(file);
    uint8_t hash[32];
    char hex[65];
    TRY(ckks_random_start());
    TRY(open_root(&root, file));
    json_t *list = json_object_get(root, "accounts");
    const int at = place_of(list, a->name);
    if (at >= 0 && !replace)
        TRY(thor_fail(THOR_USAGE,
                      "%.40s: has a token in %.200s; give --replace for a new one in its place",
                      a->name, file));
    new_token(token, hash);
    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:I}", "name", a->name, "kind", kinds[a->kind],
                          "hash", hex, "requests_a_day", (json_int_t)a->requests_a_day, "key_bytes",
                          (json_int_t)a->key_bytes);
    if (at >= 0 ? json_array_set_new(list, (size_t)at, o) : json_array_append_new(list, o))
        TRY(thor_fail(THOR_MEMORY, "%.300s: no memory to write it", file));
    TRY(save_private(root, file, JSON_INDENT(1)));
out:
    json_decref(root);
    store_unlock(lock);
    return st;
}

int tokens_drop(const char *name, const char *file) {
    int st = THOR_OK;
    json_t *root = NULL;
    const int lock = lock_folder(file);
    TRY(read_root(&root, file));
    json_t *list = json_object_get(root, "accounts");
    const int at = place_of(list, name);
    if (at < 0) TRY(thor_fail(THOR_USAGE, "%.40s: has no token in %.200s", name, file));
    json_array_remove(list, (size_t)at);
    TRY(save_private(root, file, JSON_INDENT(1)));
out:
    json_decref(root);
    store_unlock(lock);
    return st;
}

/* ---- requests of a day: "DAY COUNT", changed under a lock ---- */

static int64_t count_of(int fd, long day) {
    char text[64] = "";
    long of = 0;
    int64_t n = 0;
    if (pread(fd, text, sizeof text - 1, 0) <= 0) return 0;
    return sscanf(text, "%ld %" SCNd64, &of, &n) == 2 && of == day ? n : 0;
}

static int open_count(const struct store *s, const struct account *a) {
    char path[STORE_PATH];
    store_path(path, s, "accounts", a->name, NULL);
    return open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

int64_t account_requests(const struct store *s, const struct account *a) {
    int fd = open_count(s, a);
    const int64_t n = fd >= 0 ? count_of(fd, (long)(time(NULL) / DAY)) : 0;
    if (fd >= 0) close(fd);
    return n;
}

int account_take_request(const struct store *s, const struct account *a) {
    char text[64];
    const time_t now = time(NULL);
    int fd = open_count(s, a);
    if (fd < 0 || flock(fd, LOCK_EX) != 0) { // where there are no locks, without quotas
        if (fd >= 0) close(fd);
        return 0;
    }
    const int64_t n = count_of(fd, (long)(now / DAY));
    const int full = a->requests_a_day > 0 && n >= a->requests_a_day;
    snprintf(text, sizeof text, "%ld %20" PRId64 "\n", (long)(now / DAY), n + 1);
    ssize_t wrote = full ? 0 : pwrite(fd, text, strlen(text), 0);
    (void)wrote; // a lost count is no reason to refuse
    close(fd);
    return full ? (int)(DAY - now % DAY) : 0;
}
