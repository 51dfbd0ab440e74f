/* What the parts of the CUDA back end share: its data and the launches of each part.  Launches go
 * to the stream of the back end and check nothing: the caller looks for errors once per entry. */
#ifndef THOR_DEVICE_CUH
#define THOR_DEVICE_CUH

#include <pthread.h>
#include <xxhash.h>

#include "kernels/cuda/residue.cuh"
#include "kernels/counts.h"
#include "kernels/embed.h"
#include "kernels/extents.h"
#include "kernels/rows.h"
#include "kernels/spans.h"

/* A base conversion: the host's constants and what the device has of them: fix, m_r (padded with
 * zeros), and of every row of dst nq_r, q, -1/q mod R and its place. */
struct gconv {
    uint64_t fix[KERN_MAX_SRC];
    uint32_t m[KERN_MAX_LIMBS][KERN_MAX_SRC];
    uint4 row[KERN_MAX_LIMBS];
};
struct gpu_bconv {
    struct kbconv host;
    gconv *at;
};
struct conv_slab { /* 32 of them, a bit each */
    gconv *at;
    uint32_t used;
    struct conv_slab *next;
};

/* record.cu: work that is done again and again */
enum record_state { UNSEEN, MEASURED, RECORDED, NEVER };
enum record_mode { LIVE, MEASURING, CAPTURING, BROKEN, LOST };
struct constant { /* what one lift or encode of the work reads, on the device */
    struct span at;
    XXH128_hash_t sum;
};
struct record {
    uint64_t id;
    enum record_state state;
    size_t bytes; /* of workspace */
    cudaGraphExec_t graph;
    struct kernels_counts work; /* of one pass */
    struct constant *kept;      /* in the order of the work, n of them; `next` comes up next */
    int n, cap, next_kept;
    struct record *next;
};

enum { RING_SLOTS = 3 };
struct ring { /* pinned memory on the way to the device */
    pthread_mutex_t lock;
    char *host;
    size_t slot; /* bytes */
    cudaEvent_t sent[RING_SLOTS];
    int next;
    pthread_mutex_t at_lock; /* held from memory_send until the reader of `at` is launched */
    char *at;                /* where it goes when it has no place of its own: one slot, */
    char *made[2];           /* and two more for what is made of it there */
};

enum columns { COLUMNS_BEST, COLUMNS_NARROW, COLUMNS_TURNED, COLUMNS_WIDE }; /* transform.cu */

struct device {
    struct kernels k;
    uint32_t q[KERN_MAX_LIMBS];
    struct kprime prime[KERN_MAX_LIMBS];
    int number, processors;
    enum columns columns; /* THOR_COLUMNS: narrow, turned, wide */
    bool waits;           /* THOR_CUDA_CHECK=1: after every entry, so that errors name theirs */
    cudaStream_t stream;
    gprime *constants;    /* device memory, one a prime */
    int32_t *twiddle;     /* device memory, N a prime: see transform.cu */
    double *roots;        /* device memory, k.root_re and k.root_im */
    pthread_mutex_t lock; /* of what follows */
    struct spans spans;   /* memory handed out, see memory.cu */
    char *arena_base;     /* what reserve set aside, NULL before */
    struct extents arena;
    struct conv_slab *slabs;
    struct record *records, *now; /* `now` is under way, in this mode: */
    enum record_mode mode;
    struct kernels_counts began; /* counts when it began */
    int live, pass;              /* allocations in it not yet released; the pass that measures */
    struct extents shadow, work; /* where rows would lie in a workspace, and where they do */
    char *work_base;
    struct span work_span;
    struct ring ring;
    cudaError_t failed; /* the first error since the last sync */
    const char *during; /* and the entry that met it */
};

static inline struct device *device_of(struct kernels *k) {
    return (struct device *)k;
}
/* cuda.cu: begin and end an entry; keep the first error. */
struct device *device_enter(struct kernels *k, const char *entry);
void device_leave(struct device *d, const char *entry);
void device_note(struct device *d, const char *entry, cudaError_t e);
/* Blocks of a grid, or threads and lines that 32 bits count; more are an error. */
static inline unsigned device_blocks(struct device *d, const char *entry, size_t n) {
    if (n > INT32_MAX) device_note(d, entry, cudaErrorInvalidConfiguration);
    return n > INT32_MAX ? 0 : (unsigned)n;
}
/* memory.cu */
int device_find(int number); /* THOR_USAGE when there is no such device */
void memory_entries(struct kernels *k);
cudaError_t memory_open(struct device *d);
void memory_close(struct device *d);
/* v->bytes of memory, and back: counted, but not in the table that release looks into. */
int memory_take(struct device *d, struct span *v);
void memory_give(struct device *d, const struct span *v);
/* The same beyond the stretch set aside, not counted: what stays would break it up. */
int memory_take_pool(struct device *d, struct span *v);
void memory_give_pool(struct device *d, const struct span *v);
/* To the device, in the order of the stream; the host's memory is free again on return. */
void memory_upload(struct device *d, void *to, const void *host, size_t bytes);
/* At most d->ring.slot bytes to d->ring.at; under d->ring.at_lock. */
void *memory_send(struct device *d, const void *host, size_t bytes);

/* record.cu */
void record_entries(struct kernels *k);
void record_break(struct device *d); /* before what a capture cannot hold */
/* Where these numbers of the host lie on the device for as long as the recording under way does;
 * NULL when there is none, or it does not take them. */
const void *record_keep(struct device *d, const void *host, size_t bytes);
int record_forget_workspace(struct device *d); /* 1: its memory is free now */

/* Rows of one operand: polynomial p, row r at p * step + r * N words. */
struct grows {
    uint32_t *p;
    size_t step;
};

enum point_op {
    OP_ADD,
    OP_SUB,
    OP_NEG,
    OP_MUL,
    OP_LINCOMB,
    OP_SCALE,
    OP_ADD_SCALAR,
    OP_COPY,
    OP_ZERO
};

void gpu_point(struct device *d, enum point_op op, struct kvec out, struct kvec x, struct kvec y,
               const uint32_t *sx, const uint32_t *sy, const struct kbasis *b, int polys);
void gpu_dot(struct device *d, struct kvec out, const struct kterm *terms, int n, uint32_t g,
             int log_rep, int accumulate, const struct kbasis *b, int polys);
/* sums.cu */
void gpu_dots(struct device *d, const struct kdots *t, const struct kbasis *b, int polys);
void gpu_combine(struct device *d, struct kvec out, const struct kstream *x, int n,
                 const struct kbasis *b, int polys);
void gpu_tensor(struct device *d, struct kvec out, const struct kpair *t, int n,
                const struct kbasis *b);
void gpu_linear(struct device *d, const struct klinear *l, const struct kbasis *b, int polys);
void gpu_autom(struct device *d, struct kvec out, struct kvec x, uint32_t g, int limbs, int polys);
/* c in device memory */
void gpu_lift(struct device *d, struct kvec out, const int64_t *c, size_t words,
              const struct kbasis *b, int polys);
/* c: the coefficients of the numbers `from`, each for 2^run slots; all in device memory, z to work
 * in */
void gpu_embed_inv(struct device *d, int64_t *c, double *z, const double *from, int log, int run,
                   double scale, int polys);
void gpu_ntt_fwd(struct device *d, struct kvec x, const struct kbasis *b, int polys, int log);
/* of autom_g(x); row[r]: the row of x that becomes row r of out; NULL: r */
void gpu_ntt_inv(struct device *d, struct kvec out, struct kvec x, const uint8_t *row, uint32_t g,
                 const struct kbasis *b, int polys, int log);
/* rows of the digits alone, from x; all others; out = x sx + transformed y sy: see kernels.h */
void gpu_own_rows(struct device *d, struct kvec out, const uint32_t *x, const struct kdigit *digit,
                  int digits);
enum passes { COLUMNS_ONLY, ROWS_ONLY, BOTH_PASSES };
void gpu_ntt_digits(struct device *d, struct kvec x, const struct kdigit *digit, int digits,
                    const struct kbasis *ext, enum passes which);
void gpu_ntt_join(struct device *d, struct kvec out, struct kvec x, struct kvec y,
                  const struct krebase *r, int polys, enum passes which);

/* keys.cu */
void gpu_uniform(struct device *d, struct kvec out, const uint8_t *seed, uint32_t from,
                 const struct kbasis *b, int polys);
/* y: digits after the columns of their transform, those of x[0] first, own rows from x */
void gpu_key_sum(struct device *d, const struct kvec *out, struct kvec x, int digits,
                 const struct kkey *key, int keys, const struct kplus *plus,
                 const struct kbasis *ext);
void gpu_sum_digits(struct device *d, const struct kvec *out, const uint32_t *const *x, int n,
                    struct kvec y, const struct kdigit *digit, int digits, const struct kkey *key,
                    const struct kplus *plus, const struct kbasis *ext);

void gpu_convert(struct device *d, struct kvec out, struct kvec x, const uint32_t *pre,
                 const struct gpu_bconv *c, int centred, int polys);
/* The same, and the columns of the transform of what is made, where the ring has some; true: they
 * are done. */
bool gpu_raise(struct device *d, struct kvec out, struct kvec x, const uint32_t *pre,
               const struct gpu_bconv *c, int polys, const struct kbasis *to);
bool gpu_raise_digits(struct device *d, struct kvec out, const uint32_t *x,
                      const struct kdigit *digit, int digits, int centred,
                      const struct kbasis *ext);
int gpu_conversion_new(struct device *d, struct kbconv **out, const struct kbasis *src,
                       const struct kbasis *dst);
void gpu_conversion_free(struct device *d, struct kbconv *c);
void gpu_conversions_close(struct device *d);

#endif
