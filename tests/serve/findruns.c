/* findruns NUMBERS FILE..: which files hold three consecutive numbers of NUMBERS one behind the
 * other, as doubles or as floats, little endian, at any byte?  NUMBERS: sequences, each its length
 * (u64) and so many doubles.  Prints how many runs were looked for, then "COUNT64 COUNT32 FILE" for
 * each file.  Runs with a zero, or with a number twice, are left out: other things look so.
 * Exit code 2: a file that cannot be read; 3: more runs than it holds. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUN = 3, SLOTS = 1 << 20, BITS = 1 << 23 };

struct run {
    uint8_t bytes[RUN * 8];
    uint64_t first; /* its first 8 bytes */
};

struct set { /* of runs of one width, by their first 8 bytes */
    struct run *run;
    uint32_t *slot; /* 1 + the number of a run */
    uint8_t *bit;
    uint32_t n, room;
    size_t width;
};

static void *need(void *p) {
    if (p) return p;
    fputs("findruns: no memory\n", stderr);
    exit(2);
}

static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 31) * 0x9e3779b97f4a7c15u;
    return x ^ x >> 29;
}

static void open_set(struct set *s, size_t width) {
    *s = (struct set){.width = width};
    s->slot = need(calloc(SLOTS, sizeof *s->slot));
    s->bit = need(calloc(BITS / 8, 1));
}

static void add(struct set *s, const void *values) {
    if (s->n == s->room) {
        s->room = s->room ? 2 * s->room : 1024;
        s->run = need(realloc(s->run, s->room * sizeof *s->run));
    }
    if (s->n >= SLOTS / 2) exit(3);
    struct run *r = &s->run[s->n++];
    memcpy(r->bytes, values, RUN * s->width);
    memcpy(&r->first, r->bytes, sizeof r->first);
    const uint64_t h = mix(r->first);
    s->bit[h % BITS / 8] |= (uint8_t)(1 << h % 8);
    uint64_t at = (h >> 32) % SLOTS;
    while (s->slot[at]) at = (at + 1) % SLOTS;
    s->slot[at] = s->n;
}

static int is_here(const struct set *s, const uint8_t *p) {
    uint64_t first;
    memcpy(&first, p, sizeof first);
    const uint64_t h = mix(first);
    if (!(s->bit[h % BITS / 8] >> h % 8 & 1)) return 0;
    for (uint64_t at = (h >> 32) % SLOTS; s->slot[at]; at = (at + 1) % SLOTS)
        if (memcmp(s->run[s->slot[at] - 1].bytes, p, RUN * s->width) == 0) return 1;
    return 0;
}

static uint64_t count(const struct set *s, const uint8_t *p, size_t n) {
    uint64_t found = 0;
    for (size_t i = 0; i + RUN * s->width <= n; i++) found += (uint64_t)is_here(s, p + i);
    return found;
}

static uint8_t *slurp(size_t *n, const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0) {
        fprintf(stderr, "findruns: %s: cannot be read\n", path);
        exit(2);
    }
    *n = (size_t)ftell(f);
    uint8_t *p = need(malloc(*n + 1));
    rewind(f);
    if (fread(p, 1, *n, f) != *n) exit(2);
    fclose(f);
    return p;
}

/* Runs that say something: three different numbers, none of them zero as a float. */
static void add_runs(struct set *wide, struct set *narrow, const double *x, uint64_t n) {
    for (uint64_t i = 0; i + RUN <= n; i++) {
        const double *a = x + i;
        const float f[RUN] = {(float)a[0], (float)a[1], (float)a[2]};
        if (f[0] == 0 || f[1] == 0 || f[2] == 0 || f[0] == f[1] || f[1] == f[2] || f[0] == f[2])
            continue;
        add(wide, a);
        add(narrow, f);
    }
}

int main(int argc, char **argv) {
    size_t n;
    struct set wide, narrow;
    if (argc < 3) return 2;
    open_set(&wide, sizeof(double));
    open_set(&narrow, sizeof(float));
    uint8_t *numbers = slurp(&n, argv[1]);
    for (size_t at = 0; at + 8 <= n;) {
        uint64_t many;
        memcpy(&many, numbers + at, 8);
        double *x = need(malloc(many * sizeof *x + 1));
        memcpy(x, numbers + at + 8, many * sizeof *x);
        add_runs(&wide, &narrow, x, many);
        free(x);
        at += 8 + many * sizeof *x;
    }
    free(numbers);
    printf("%u\n", wide.n);
    for (int i = 2; i < argc; i++) {
        uint8_t *p = slurp(&n, argv[i]);
        printf("%llu %llu %s\n", (unsigned long long)count(&wide, p, n),
               (unsigned long long)count(&narrow, p, n), argv[i]);
        free(p);
    }
    free(wide.run);
    free(wide.slot);
    free(wide.bit);
    free(narrow.run);
    free(narrow.slot);
    free(narrow.bit);
    return 0;
}
