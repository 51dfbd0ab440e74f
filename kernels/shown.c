#include "kernels/shown.h"

#include <stdint.h>
#include <string.h>

enum { PIECE = 8, ROOM = 4301, LATEST = 4 };

/* Bytes of the valid UTF-8 character at s and its number; 0 when there is none. */
static int character(uint32_t *c, const unsigned char *s) {
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    const int n = s[0] < 0x80       ? 1
                  : s[0] >> 5 == 6  ? 2
                  : s[0] >> 4 == 14 ? 3
                  : s[0] >> 3 == 30 ? 4
                                    : 0;
    if (n == 0) return 0;
    *c = n == 1 ? s[0] : s[0] & (0x7fu >> n);
    for (int i = 1; i < n; i++) { // the NUL at the end is no continuation
        if (s[i] >> 6 != 2) return 0;
        *c = *c << 6 | (s[i] & 63u);
    }
    return *c >= least[n] && *c <= 0x10ffff && (*c < 0xd800 || *c > 0xdfff) ? n : 0;
}

static int is_safe(uint32_t c) {
    return c >= 0x20 && (c < 0x7f || c > 0x9f) && c != 0x61c && c != 0x200e && c != 0x200f &&
           (c < 0x2028 || c > 0x202e) && (c < 0x2066 || c > 0x2069);
}

/* The character at s as it is shown; returns what stands behind it. */
static const char *next(char piece[PIECE], const char *s) {
    uint32_t c;
    const int n = character(&c, (const unsigned char *)s);
    if (n == 0)
        snprintf(piece, PIECE, "\\x%02x", (unsigned)(unsigned char)*s);
    else if (!is_safe(c))
        snprintf(piece, PIECE, "\\u%04x", (unsigned)(c & 0xffff));
    else
        snprintf(piece, PIECE, "%.*s", n, s);
    return s + (n ? n : 1);
}

char *shown_in(char *out, size_t size, const char *text) {
    char piece[PIECE];
    size_t at = 0;
    while (*text) {
        text = next(piece, text);
        const size_t n = strlen(piece);
        if (at + n >= size) break;
        memcpy(out + at, piece, n);
        at += n;
    }
    out[at] = 0;
    return out;
}

const char *shown(const char *text) {
    static _Thread_local char room[LATEST][ROOM];
    static _Thread_local unsigned latest;
    return shown_in(room[latest++ % LATEST], ROOM, text ? text : "");
}

void shown_put(FILE *f, const char *text) {
    char piece[PIECE];
    while (*text) {
        text = next(piece, text);
        fputs(piece, f);
    }
}
