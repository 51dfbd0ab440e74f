#include "kernels/uniform.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/status.h"

int kern_generates(int *generates, int best) {
    const char *wish = getenv("THOR_KEYS");
    *generates = best;
    if (!wish || !*wish) return THOR_OK;
    *generates = !strcmp(wish, "generated");
    if (*generates || !strcmp(wish, "stored")) return THOR_OK;
    return thor_fail(THOR_USAGE, "THOR_KEYS=%.20s: keys are stored or generated", wish);
}

static uint32_t rotate(uint32_t x, int n) {
    return x << n | x >> (32 - n);
}

static void quarter(uint32_t *x, int a, int b, int c, int d) {
    x[a] += x[b], x[d] = rotate(x[d] ^ x[a], 16);
    x[c] += x[d], x[b] = rotate(x[b] ^ x[c], 12);
    x[a] += x[b], x[d] = rotate(x[d] ^ x[a], 8);
    x[c] += x[d], x[b] = rotate(x[b] ^ x[c], 7);
}

static void chacha(uint32_t x[16], const uint32_t seed[UNIFORM_WORDS], uint32_t block,
                   uint32_t stream) {
    uint32_t in[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, [12] = block, [14] = stream};
    memcpy(in + 4, seed, UNIFORM_SEED);
    memcpy(x, in, sizeof in);
    for (int i = 0; i < 10; i++) {
        for (int j = 0; j < 4; j++) quarter(x, j, 4 + j, 8 + j, 12 + j);
        for (int j = 0; j < 4; j++)
            quarter(x, j, 4 + (j + 1) % 4, 8 + (j + 2) % 4, 12 + (j + 3) % 4);
    }
    for (int i = 0; i < 16; i++) x[i] += in[i];
}

void uniform_ref(uint32_t *o, const uint32_t seed[UNIFORM_WORDS], uint32_t stream, size_t n,
                 uint32_t q) {
    const uint64_t low = UINT32_MAX;
    for (size_t c = 0; c < n / 16; c++) {
        uint32_t w[16], *to = o + c / 16 * 256 + c % 16;
        uint64_t f = 0;
        chacha(w, seed, (uint32_t)c, stream);
        for (int k = 0; k < 16; k++) f = f << 4 | w[k] >> 28;
        for (int k = 0; k < 16; k++) {
            const uint64_t p0 = (f & low) * q, p1 = (f >> 32) * q + (p0 >> 32),
                           p2 = (uint64_t)(w[k] & 0xfffffff) * q + (p1 >> 32);
            to[16 * k] = (uint32_t)(p2 >> 28);
            f = p2 << 36 | (p1 & low) << 4 | (p0 & low) >> 28;
        }
    }
}
