/* Ciphertexts, plaintexts and public keys of Microsoft SEAL (format: sealfile.c), and its order of
 * slots.
 *
 * Slots.  Here slot s is m(zeta^(5^s)), there m(zeta^(3^s)), zeta = exp(i pi / N).  Mod 2N the
 * powers of 5 are what is 1 mod 4; 3^s is that for even s, and -3^s for odd ones: so slot s of SEAL
 * is slot t here, 5^t = +-3^s, conjugate for odd s. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ckks/internal.h"
#include "ckks/sealfile.h"

/* Of both sides' scales, which are products and roots in doubles: relative. */
#define SCALE_ERROR 0x1p-40

static int host_rows(uint32_t **host, const struct seal_object *o) {
    *host = calloc((size_t)(o->polys * o->basis.n) << o->params->log_n, sizeof **host);
    return *host ? THOR_OK : thor_fail(THOR_MEMORY, "no memory for a file of SEAL");
}

static int write_object(const struct seal_object *o, const uint32_t *rows, const char *path) {
    int st = THOR_OK;
    uint64_t block[SEAL_BLOCK];
    struct ckks_file_out *f = NULL;
    TRY(ckks_file_create(&f, path, CKKS_FILE_SHARED));
    TRY(seal_write_head(f, o));
    TRY(seal_write_rows(f, o, rows, block));
    TRY(ckks_file_commit(&f));
out:
    ckks_file_abandon(&f);
    return st;
}

/* The rows of an object, malloc'ed. */
static int read_object(struct seal_object *o, uint32_t **rows, enum seal_kind kind,
                       const struct ckks_params *p, const char *path) {
    int st = THOR_OK;
    uint64_t block[SEAL_BLOCK];
    struct ckks_file_in *f = NULL;
    uint32_t *host = NULL;
    TRY(ckks_file_open(&f, path, CKKS_FILE_SHARED));
    TRY(seal_read_head(o, f, kind, p));
    TRY(host_rows(&host, o));
    TRY(seal_read_rows(host, f, o, block));
    *rows = host;
    host = NULL;
out:
    free(host);
    ckks_file_close(&f);
    return seal_name_file(st, path);
}

/* ---- ciphertexts ---- */

int ckks_seal_ct_save(const struct ckks_ct *a, const char *path) {
    int st = THOR_OK;
    uint32_t *host = NULL;
    if (!a->c || a->polys != 2 || a->pending || a->boot || ckks_is_dry(a->cx))
        return thor_fail(THOR_INTERNAL, "an unfinished ciphertext cannot be saved");
    TRY(seal_check_set(a->cx->params));
    struct kernels *k = a->cx->k;
    const struct seal_object o = seal_object(SEAL_CIPHER, a->cx->params, a->level);
    const size_t words = (size_t)o.basis.n << a->cx->params->log_n;
    TRY(host_rows(&host, &o));
    for (int p = 0; p < 2; p++) k->download(k, host + (size_t)p * words, ct_poly(a, p), words);
    TRY(k->sync(k));
    TRY(write_object(&o, host, path));
out:
    free(host);
    return st;
}

int ckks_seal_ct_load(struct ckks_ct *out, struct ckks *cx, const char *path) {
    int st = THOR_OK;
    struct seal_object o;
    struct ckks_ct r = {0};
    uint32_t *host = NULL;
    TRY(read_object(&o, &host, SEAL_CIPHER, cx->params, path));
    const double scale = ckks_level_scale(cx->params, o.level, 0);
    if (!(fabs(o.scale - scale) <= SCALE_ERROR * scale))
        TRY(thor_fail(THOR_KEY,
                      "%s: scale %.17g, where level %d of parameter set %s has %.17g: encode at "
                      "that scale in SEAL",
                      ckks_file_name(path), o.scale, o.level, cx->params->name, scale));
    TRY(ckks_ct_make(&r, cx, 2, o.level));
    const size_t words = (size_t)o.basis.n << cx->params->log_n;
    for (int p = 0; p < 2; p++)
        cx->k->upload(cx->k, ct_poly(&r, p), host + (size_t)p * words, words);
    TRY(cx->k->sync(cx->k));
    ckks_ct_move(out, &r);
out:
    ckks_ct_free(&r);
    free(host);
    return st;
}

/* ---- plaintexts ---- */

/* Rows of the vector repeated over all slots: a plaintext of a shorter period has shorter ones. */
static int encode_rows(uint32_t *host, struct ckks *cx, const double *re, const double *im,
                       size_t period, const struct seal_object *o) {
    int st = THOR_OK;
    const size_t n = (size_t)ckks_slots(cx);
    struct ckks_pt pt = {0};
    double *full = calloc(2 * n, sizeof *full);
    if (!full) return thor_fail(THOR_MEMORY, "no memory for a plaintext");
    for (size_t i = 0; i < n; i++) {
        full[i] = re[i & (period - 1)];
        if (im) full[n + i] = im[i & (period - 1)];
    }
    TRY(ckks_encode(&pt, cx, full, full + n, n, o->scale, &o->basis));
    cx->k->download(cx->k, host, pt.c, (size_t)o->basis.n * 2 * n);
    TRY(cx->k->sync(cx->k));
out:
    ckks_pt_free(&pt);
    free(full);
    return st;
}

int ckks_seal_plain_save(struct ckks *cx, const double *re, const double *im, size_t period,
                         int level, const char *path) {
    int st = THOR_OK;
    uint32_t *host = NULL;
    if (level < 0 || level > cx->params->max_level || ckks_is_dry(cx))
        return thor_fail(THOR_INTERNAL, "no plaintext of level %d can be saved", level);
    if (period == 0 || period > (size_t)ckks_slots(cx) || (period & (period - 1)))
        return thor_fail(THOR_INTERNAL, "a message of period %zu", period);
    TRY(seal_check_set(cx->params));
    const struct seal_object o = seal_object(SEAL_PLAIN, cx->params, level);
    TRY(host_rows(&host, &o));
    TRY(encode_rows(host, cx, re, im, period, &o));
    TRY(write_object(&o, host, path));
out:
    free(host);
    return st;
}

/* Slots of rows in evaluation form, which are coefficient form then: through `rows` of the back
 * end. */
static int decode_rows(double *re, double *im, struct ckks *cx, uint32_t *host,
                       const struct seal_object *o) {
    int st = THOR_OK;
    const size_t n = ckks_n(cx);
    const struct kbasis q = {.n = o->basis.n < CKKS_CENTRED ? o->basis.n : CKKS_CENTRED};
    struct kbasis b = o->basis;
    uint32_t *rows = NULL;
    double *coeff = malloc(n * sizeof *coeff), *spare = malloc(n / 2 * sizeof *spare);
    b.n = q.n;
    if (!coeff || !spare) TRY(thor_fail(THOR_MEMORY, "no memory for a plaintext"));
    TRY(cx->k->alloc(cx->k, &rows, (size_t)b.n));
    cx->k->upload(cx->k, rows, host, (size_t)b.n * n);
    cx->k->ntt_inv(cx->k, kv(rows, 0), &b, 1, cx->params->log_n);
    cx->k->download(cx->k, host, rows, (size_t)b.n * n);
    TRY(cx->k->sync(cx->k));
    ckks_centred(coeff, cx, host, &b);
    for (size_t i = 0; i < n; i++) coeff[i] /= o->scale;
    TRY(ckks_fft_slots(cx, re, im ? im : spare, coeff));
out:
    cx->k->release(cx->k, rows);
    free(coeff);
    free(spare);
    return st;
}

int ckks_seal_plain_load(double *re, double *im, int *level, struct ckks *cx, const char *path) {
    int st = THOR_OK;
    struct seal_object o;
    uint32_t *host = NULL;
    TRY(read_object(&o, &host, SEAL_PLAIN, cx->params, path));
    if (!isnormal(o.scale) || o.scale < 0)
        TRY(thor_fail(THOR_KEY, "%s: %g is no scale: copy it again", ckks_file_name(path),
                      o.scale));
    TRY(decode_rows(re, im, cx, host, &o));
    if (level) *level = o.level;
out:
    free(host);
    return st;
}

/* ---- public keys ---- */

/* b and a over the mains: SEAL's special prime serves no ciphertext here. */
static int take_public(struct ckks_public *p, const uint32_t *host, const struct seal_object *o) {
    const size_t n = (size_t)1 << o->params->log_n, words = (size_t)(o->basis.n - 1) * n;
    p->rows = o->basis.n - 1;
    p->b = malloc(words * sizeof *p->b);
    p->a = malloc(words * sizeof *p->a);
    if (!p->a || !p->b) return thor_fail(THOR_MEMORY, "no memory for a public key");
    memcpy(p->b, host, words * sizeof *p->b);
    memcpy(p->a, host + words + n, words * sizeof *p->a);
    return THOR_OK;
}

int ckks_seal_public_load(struct ckks_public **out, struct ckks *cx, const uint8_t id[16],
                          const char *path) {
    int st = THOR_OK;
    struct seal_object o;
    uint32_t *host = NULL;
    struct ckks_public *p = calloc(1, sizeof *p);
    if (!p) return thor_fail(THOR_MEMORY, "no memory for a public key");
    p->params = cx->params;
    memcpy(p->id, id, sizeof p->id);
    TRY(read_object(&o, &host, SEAL_PUBLIC, cx->params, path));
    TRY(take_public(p, host, &o));
    *out = p;
    p = NULL;
out:
    ckks_public_free(p);
    free(host);
    return st;
}

/* ---- slots ---- */

/* log[(e - 1) / 4] = t with 5^t = e mod 2N, e = 1 mod 4, below n = N/2 slots */
static uint32_t *logs_of_five(uint32_t n) {
    uint32_t *log = malloc(n * sizeof *log), e = 1;
    for (uint32_t t = 0; log && t < n; t++, e = 5 * e & (4 * n - 1)) log[e >> 2] = t;
    return log;
}

int ckks_seal_slots(double *re, double *im, const struct ckks_params *p, int to_seal) {
    const uint32_t n = 1u << (p->log_n - 1), mask = 4 * n - 1;
    uint32_t *log = logs_of_five(n), e = 1;
    double *z = calloc(2 * (size_t)n, sizeof *z);
    for (uint32_t s = 0; log && z && s < n; s++, e = 3 * e & mask) {
        const uint32_t t = log[(s % 2 ? -e & mask : e) >> 2], to = to_seal ? s : t,
                       from = to_seal ? t : s;
        z[to] = re[from];
        if (im) z[n + to] = s % 2 ? -im[from] : im[from];
    }
    const int st = log && z ? THOR_OK : thor_fail(THOR_MEMORY, "no memory for the order of slots");
    if (!st) memcpy(re, z, n * sizeof *re);
    if (!st && im) memcpy(im, z + n, n * sizeof *im);
    free(log);
    free(z);
    return st;
}

void ckks_seal_rotation(int *by, int *conjugate, const struct ckks_params *p, int step) {
    const uint32_t n = 1u << (p->log_n - 1), mask = 4 * n - 1;
    uint32_t e = 1, r = 0;
    for (uint32_t s = (uint32_t)step & (n - 1); s; s--) e = 3 * e & mask;
    if (step % 2) e = -e & mask;
    for (uint32_t five = 1; five != e; five = 5 * five & mask) r++;
    *by = (int)r;
    *conjugate = step % 2 != 0;
}
