#include "split/wireformat.h"

#include <math.h>
#include <string.h>

enum { VERSION = 3 }; /* 1: at most 256 columns a ciphertext; 2: a single row as others */

struct request_head {
    char magic[4];
    uint32_t version, layer, stage, transposed, tokens, zero[2];
    uint8_t seed[CKKS_SEED];
};
struct reply_head {
    char magic[4];
    uint32_t version;
    int32_t log_u;
    uint32_t zero;
    double seconds;
    uint8_t more[40];
};
_Static_assert(sizeof(struct request_head) == SPLIT_HEAD && sizeof(struct reply_head) == SPLIT_HEAD,
               "sent as they are");

static size_t half_bytes(const struct ckks_params *p, int drop) {
    return ((size_t)ckks_short_bits(p, drop) << p->log_n) / 8;
}

size_t split_request_at(const struct ckks_params *p, int i) {
    return SPLIT_HEAD + (size_t)i * half_bytes(p, SPLIT_UP_DROP);
}

size_t split_reply_at(const struct ckks_params *p, int i, int half) {
    const size_t b = half_bytes(p, SPLIT_DOWN_DROP_B), a = half_bytes(p, SPLIT_DOWN_DROP_A);
    return SPLIT_HEAD + (size_t)i * (a + b) + (half ? b : 0);
}

size_t split_request_bytes(const struct ckks_params *p, int pieces) {
    return split_request_at(p, pieces);
}

size_t split_reply_bytes(const struct ckks_params *p, int pieces) {
    return split_reply_at(p, pieces, 0);
}

/* ---- heads ---- */

void split_put_request(uint8_t *to, const struct split_ask *ask, const uint8_t seed[CKKS_SEED]) {
    struct request_head h = {.magic = "TSPQ",
                             .version = VERSION,
                             .layer = (uint32_t)ask->layer,
                             .stage = (uint32_t)ask->stage,
                             .transposed = (uint32_t)ask->transposed,
                             .tokens = (uint32_t)ask->tokens};
    memcpy(h.seed, seed, sizeof h.seed);
    memcpy(to, &h, sizeof h);
}

int split_get_request(struct split_ask *ask, uint8_t seed[CKKS_SEED], const uint8_t *from,
                      size_t n) {
    struct request_head h;
    if (n < sizeof h)
        return thor_fail(THOR_USAGE, "a request of %zu bytes: it begins with %d", n, SPLIT_HEAD);
    memcpy(&h, from, sizeof h);
    if (memcmp(h.magic, "TSPQ", 4) != 0 || h.version != VERSION || h.zero[0] || h.zero[1])
        return thor_fail(THOR_USAGE, "no request of version %d", VERSION);
    const uint32_t most = 1u << 24;
    if (h.layer > most || h.stage > most || h.transposed > 1 || h.tokens > most)
        return thor_fail(THOR_USAGE, "a request for layer %u, stage %u, %u tokens", h.layer,
                         h.stage, h.tokens);
    *ask = (struct split_ask){(int)h.layer, (enum split_stage)h.stage, (int)h.transposed,
                              (int)h.tokens};
    memcpy(seed, h.seed, sizeof h.seed);
    return THOR_OK;
}

void split_put_reply(uint8_t *to, int log_u, double seconds) {
    const struct reply_head h = {
        .magic = "TSPR", .version = VERSION, .log_u = log_u, .seconds = seconds};
    memcpy(to, &h, sizeof h);
}

int split_get_reply(int *log_u, double *seconds, const uint8_t *from, size_t n) {
    struct reply_head h;
    if (n < sizeof h) return thor_fail(THOR_IO, "a reply of %zu bytes", n);
    memcpy(&h, from, sizeof h);
    if (memcmp(h.magic, "TSPR", 4) != 0 || h.version != VERSION)
        return thor_fail(THOR_IO, "no reply of version %d: is the server of another version?",
                         VERSION);
    if (h.log_u < SPLIT_LOG_U_LEAST || h.log_u > SPLIT_LOG_U_MOST ||
        !(h.seconds >= 0 && h.seconds < 1e9))
        return thor_fail(THOR_IO, "a reply with a scale of 2^%d", h.log_u);
    *log_u = h.log_u;
    *seconds = h.seconds;
    return THOR_OK;
}

/* ---- numbers ---- */

void split_pack(uint8_t *to, const uint64_t *c, size_t n, int bits) {
    uint64_t word = 0;
    int have = 0;
    for (size_t i = 0; i < n; i++) {
        word |= c[i] << have; /* have < 8, bits < 57 */
        for (have += bits; have >= 8; have -= 8, word >>= 8) *to++ = (uint8_t)word;
    }
    if (have) *to = (uint8_t)word;
}

void split_unpack(uint64_t *c, const uint8_t *from, size_t n, int bits) {
    const uint64_t mask = ((uint64_t)1 << bits) - 1;
    uint64_t word = 0;
    int have = 0;
    for (size_t i = 0; i < n; i++) {
        for (; have < bits; have += 8) word |= (uint64_t)*from++ << have;
        c[i] = word & mask;
        word >>= bits;
        have -= bits;
    }
}

int split_put_half(uint8_t *to, const struct ckks_ct *a, int poly, int drop, uint64_t *c) {
    int st = THOR_OK;
    const struct ckks_params *p = a->cx->params;
    TRY(ckks_ct_shorten(c, a, poly, drop));
    split_pack(to, c, (size_t)1 << p->log_n, ckks_short_bits(p, drop));
out:
    return st;
}

int split_get_half(struct ckks_ct *a, int poly, int drop, const uint8_t *from, uint64_t *c) {
    const struct ckks_params *p = a->cx->params;
    split_unpack(c, from, (size_t)1 << p->log_n, ckks_short_bits(p, drop));
    return ckks_ct_lengthen(a, poly, c, drop);
}
