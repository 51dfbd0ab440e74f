/* Status codes and the one-exit idiom, shared by every layer.
 *
 * Library functions return an int from `enum thor_status`; on failure they first record one line
 * for people with thor_fail(), which names the thing and the mend.  The line is kept per thread and
 * read with thor_error().  Library code never prints and never exits.
 *
 *   int f(...) { int st = THOR_OK; TRY(g()); ... out: cleanup; return st; }
 */
#ifndef THOR_STATUS_H
#define THOR_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

/* also the exit code of the program */
enum thor_status {
    THOR_OK = 0,
    THOR_INTERNAL = 1, /* a bug: an invariant of the program does not hold */
    THOR_USAGE = 2,    /* command line: unknown option, missing or impossible value */
    THOR_INPUT = 3,    /* text or table to classify: empty, too long, not UTF-8, no such row */
    THOR_MODEL = 4,    /* model folder or weight container: missing, truncated, wrong shape, NaN */
    THOR_KEY = 5,      /* key, parameter or ciphertext file: damaged, insecure, of other ones */
    THOR_IO = 6,       /* the operating system refused: no such folder, disk full, permission */
    THOR_MEMORY = 7,   /* not enough memory, on the host or the device */
    THOR_RANGE = 8,    /* a value left the range for which the result is right */
    THOR_INTERRUPTED = 9 /* stopped by a signal; finished results are kept */
};

/* Record a message (printf style, no newline) for this thread and return `code`. */
int thor_fail(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The last recorded message of this thread, one line as of shown.h; "" when none. */
const char *thor_error(void);
/* Put "prefix: " before the recorded message; returns `code` unchanged.  For callers that know the
 * file. */
int thor_fail_in(int code, const char *prefix);

#define TRY(expr)                                                                                  \
    do {                                                                                           \
        if ((st = (expr)) != THOR_OK) goto out;                                                    \
    } while (0)

#ifdef __cplusplus
}
#endif
#endif
