/* The folder that a server keeps its state in, which several servers may share.
 *
 *   keys/KEY/      meta.json, part (as it is uploaded), offset, eval.key (whole)     uploads.c
 *   jobs/JOB/      job.json, request.ct, try.N, progress, answer.ct | failure.json   jobs.c
 *   gone/ID        a resource that was: 410 for a while
 *   servers/ID     locked by the server of that name as long as it lives
 *   accounts/NAME  requests of a day
 *   tmp/SERVER.N   what becomes a folder of jobs/ or keys/ by one rename
 * Ids are 32 hex digits; no other name that a stranger sends becomes part of a path. */
#ifndef SERVE_STORE_H
#define SERVE_STORE_H

#include <stdint.h>
#include <time.h>

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { STORE_ID = 33, STORE_PATH = 4300 };

struct store {
    char dir[3900], server[STORE_ID];
    int alive; /* the locked file of this server */
};

/* Makes what is not there.  THOR_IO when it cannot be written. */
int store_open(struct store *s, const char *dir);
void store_close(struct store *s);

void store_random(char id[STORE_ID]);
/* Of the parts, NULL at the end: the same for the same. */
void store_hash(char id[STORE_ID], const char *part, ...);
int store_is_id(const char *text);
/* DIR/kind/id, DIR/kind/id/name */
void store_path(char out[STORE_PATH], const struct store *s, const char *kind, const char *id,
                const char *name);
/* A fresh folder tmp/SERVER.N, and what makes it kind/id at once: 1 when that is there already. */
int store_make(char out[STORE_PATH], const struct store *s);
int store_settle(const struct store *s, const char *tmp, const char *kind, const char *id);
void store_discard(const char *tmp); /* a folder of store_make, after all */
/* Out of sight at once, then removed. */
void store_remove(const struct store *s, const char *kind, const char *id);
/* A name in gone/: what was this owner's, for whom alone it is gone. */
void store_bury(const struct store *s, const char *id, const char *owner);
int store_is_gone(const struct store *s, const char *id, const char *owner);

/* One server at a time; -1 where there are no locks. */
int store_lock(const struct store *s);
void store_unlock(int lock);
int store_is_dead(const struct store *s, const char *server);
/* Files in tmp/ of servers that are no more, and old names in gone/. */
void store_sweep(const struct store *s, time_t gone_before);

/* Names in a folder of the store, at most `most` of them; call it again until it returns 0. */
int store_list(char (*id)[STORE_ID], int most, const struct store *s, const char *kind,
               const char *after);

int store_exists(const char *path);
time_t store_time(const char *path); /* of the last change; 0: it is not there */
void store_touch(const char *path);  /* now */
uint64_t store_free_bytes(const struct store *s);
/* A small file in one write, no flush: for what may be lost. */
int store_note(const char *path, const char *text);
/* Its bytes, and a NUL behind them; 0 when it is not there or is empty. */
int store_noted(char *text, int size, const char *path);

/* thor_error() for strangers: without the store's folders. */
const char *plain_error(void);

#ifdef __cplusplus
}
#endif
#endif
