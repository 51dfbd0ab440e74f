/* The encrypted forward pass, client and server.
 *
 * The client embeds the tokens in the clear, packs and encrypts nX ciphertexts of the state and
 * one mask; the server runs all layers, pooler and classifier on them; the client decrypts one
 * ciphertext: logits, and in its imaginary part the witness that values were in their ranges
 * (witness.h).  Where the head is the client's (bert_head_at_client), the server ends behind the
 * layers, and the client decrypts the nX ciphertexts of the final state, each with the witness.
 * The schedule is plan.h's, the folded weights fold.h's, the slots packing.h's, the levels
 * levels.h's.
 *
 * Stages, in order: per layer  qkv, scores, [boot scores], exp, inverse, [boot inverse, inverse],
 * context, dense, [boot x1], norm1, [boot r1], [boot y1], ffn1, gelu, ffn2, [boot x2], norm2,
 * [boot r2], [boot y2];
 * layer = layers: head.  Of a causal model norm1 comes first, then what is between it and norm2, as
 * it is there; its bootstraps are [boot r0], [boot y0], and [boot r1], [boot y1] of norm2.
 * Nodes shown to hooks.see, one call a ciphertext: q, k, v, scores, exp of them where there are no
 * rounds, context, x1, y1, the input of GELU and GELU of it, x2, y2; pooled, logits; of a causal
 * model y0, y1, and no y2.  bert_tensor_of has their names, bert_compare_node turns them back. */
#ifndef BERT_ENCRYPTED_H
#define BERT_ENCRYPTED_H

#include "bert/levels.h"
#include "bert/packing.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bert_hooks { /* any may be NULL */
    void *ctx;
    void (*progress)(void *ctx, int done, int total); /* stages */
    void (*begin)(void *ctx, int layer, const char *stage);
    void (*end)(void *ctx, int layer, const char *stage);
    void (*see)(void *ctx, int layer, enum bert_node node, int index, const struct ckks_ct *ct);
    int (*stop)(void *ctx); /* a status: not THOR_OK ends the forward with it, between stages */
};

/* --------------------------------------------- client (client.c) */
struct bert_sealer { /* one of the two keys */
    const struct ckks_secret *secret;
    const struct ckks_public *public_key;
    struct ckks_rng *rng;
};
/* in: bert_input_count ciphertexts (zeroed or used before), the mask last. */
static inline int bert_input_count(const struct bert_shape *s) {
    return s->nx + 1;
}
int bert_encrypt_input(struct ckks_ct *in, struct ckks *cx, const struct bert_model *m,
                       const struct bert_plan *p, const struct bert_tokens *tok,
                       const struct bert_sealer *with);
/* Ciphertexts of an answer: the logits', or those of the final state. */
static inline int bert_answer_count(const struct bert_shape *s, const struct bert_config *c) {
    return bert_head_at_client(c) ? s->nx : 1;
}
/* What ciphertext i of an answer holds, from both parts of its n decrypted slots: logits[labels],
 * or its columns of y[rows * hidden], the final state of the first `rows` tokens before gamma and
 * beta.  THOR_RANGE when the witness in the imaginary part says that a value left the calibrated
 * ranges, or is not there. */
int bert_read_answer(double *y, const struct bert_shape *s, const struct bert_model *m, int rows,
                     int i, const double *re, const double *im);
/* out[bert_outputs] of all that was read, y, which is used up.  THOR_RANGE when this model cannot
 * give such logits or such a state (witness.h). */
int bert_finish_answer(double *out, const struct bert_model *m, double *y, int rows);
/* All of it: decrypt, rounded to 2^-bits (0: as it is), and read.  out is NaN with THOR_RANGE. */
int bert_open_answer(double *out, const struct bert_shape *s, const struct bert_model *m, int rows,
                     const struct ckks_ct *answer, const struct ckks_secret *key, int bits);

/* --------------------------------------------- server (encrypted.c, above layer.c) */
struct bert_server;
/* Borrows cx, m and p.  Makes the matrices of the bootstraps that the plan uses. */
int bert_server_new(struct bert_server **out, struct ckks *cx, const struct bert_model *m,
                    const struct bert_plan *p);
void bert_server_free(struct bert_server *s);
const struct bert_shape *bert_server_shape(const struct bert_server *s);
int bert_server_stages(const struct bert_server *s); /* `total` of hooks.progress */
/* in: as encrypted by the client, unchanged; answer: bert_answer_count.  hooks may be NULL. */
int bert_server_forward(struct ckks_ct *answer, struct bert_server *s, const struct ckks_ct *in,
                        const struct bert_hooks *hooks);
/* n sentences in lock step: bert_answer_count of in[0], then those of in[1] .., bit for bit as
 * above; every plaintext of a weight matrix is made once for all.  Stages of linear maps and GELU
 * come once, the others once a sentence.  hooks.see is for single sentences: not called when n > 1.
 * An error ends them all. */
int bert_server_forward_group(struct ckks_ct *answer, struct bert_server *s,
                              const struct ckks_ct *const *in, int n,
                              const struct bert_hooks *hooks);

/* recorded.c: from now on forwards of n sentences have their layers recorded where the back end
 * can, unless hooks.see wants to look inside: from the third one on a layer is one launch, and
 * from the first one stage, "all".  The same bits.  Plaintexts of recorded layers stay on the
 * device.  Not with keys that come and go (ckks_keys_stream). */
int bert_server_record(struct bert_server *s, int n);
enum { BERT_RECORD_FROM = 3 }; /* forwards, for which it pays */

/* dryrun.c: a dry forward: afterwards dry->needs is the exact list of keys, dry->count the
 * operations.  dry: a context opened with KERN_DRY. */
int bert_dry_run(struct ckks *dry, const struct bert_model *m, const struct bert_plan *p);
/* The same for n sentences in lock step, recorded where dry->k->records says so: the same keys. */
int bert_dry_group(struct ckks *dry, const struct bert_model *m, const struct bert_plan *p, int n);
/* The same, and the operations of every layer and of the head, ops[layers + 1]: [0] outside
 * bootstraps, [1] inside. */
int bert_dry_layers(struct ckks_count (*ops)[2], struct ckks *dry, const struct bert_model *m,
                    const struct bert_plan *p);

/* --------------------------------------------- decrypt and compare (compare.c) */
struct bert_compare;
struct bert_compare_result {
    double err;   /* largest difference to the plain model's tensor */
    double size;  /* largest absolute value of that tensor */
    double bound; /* err above it means a wrong ciphertext, not an inexact polynomial */
};
/* Runs the plain model and keeps its tensors. */
int bert_compare_new(struct bert_compare **out, const struct bert_model *m,
                     const struct bert_plan *p, const struct bert_shape *s,
                     const struct bert_tokens *tok);
void bert_compare_free(struct bert_compare *c);
/* From now on pair(ctx, ..) sees every value that is compared, decrypted and plain. */
void bert_compare_watch(struct bert_compare *c, void (*pair)(void *ctx, double got, double want),
                        void *ctx);
/* slots: the real parts of what hooks.see was given, decrypted.  THOR_INTERNAL for a node that is
 * not shown. */
int bert_compare_node(struct bert_compare_result *r, const struct bert_compare *c, int layer,
                      enum bert_node node, int index, const double *slots);

#ifdef __cplusplus
}
#endif
#endif
