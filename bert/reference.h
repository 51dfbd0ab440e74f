/* The plain forward pass in doubles: the specification of the encrypted one.
 *
 * n tokens, E columns of embeddings, H hidden, h heads of d = H/h, F ffn.  A trace sees every
 * intermediate tensor, in the order of computation, row major, as rows x cols; the data is only
 * valid during the call.
 *
 *   layer            stage       rows x cols   meaning
 *   -1               emb_sum     n x E         word + position + type
 *   -1               emb_var     n x 1         variance of each row (biased, without eps)
 *   -1               emb         n x H         its LayerNorm, mapped to H: what the client encrypts
 *   0 .. layers-1    q, k, v     n x H
 *                    scores      (h n) x n     row a*n + i: head a, query i; after 1/sqrt(d)
 *                    probs       (h n) x n     softmax of each row
 *                    context     n x H         heads side by side
 *                    attn_out    n x H         output projection, without the residual
 *                    ln1_in      n x H         with the residual
 *                    ln1_var     n x 1
 *                    ln1         n x H
 *                    ffn_in      n x F         before the activation
 *                    gelu        n x F         behind it, whichever of activation.h it is
 *                    ffn_out     n x H         second projection, without the residual
 *                    ln2_in      n x H
 *                    ln2_var     n x 1
 *                    ln2         n x H         output of the layer
 *   layers           pooled_in   1 x H         pooler's projection of token 0, before tanh
 *                    pooled      1 x H
 *                    logits      1 x labels, or n x labels of a head for tokens
 */
#ifndef BERT_REFERENCE_H
#define BERT_REFERENCE_H

#include "bert/input/model.h"
#include "bert/input/text.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bert_trace {
    void (*see)(void *ctx, int layer, const char *stage, const double *x, int rows, int cols);
    void *ctx;
};

/* x[n * hidden] = embeddings and embedding LayerNorm, what the client computes in the clear. */
int bert_embed(double *x, const struct bert_model *m, const struct bert_tokens *t);

/* out[bert_outputs] of one token sequence; `trace` may be NULL, and out when only the trace is
 * wanted. */
int bert_forward(double *out, const struct bert_model *m, const struct bert_tokens *t,
                 const struct bert_trace *trace);

/* The same from the embedded tokens x[n * hidden] on. */
int bert_forward_embedded(double *out, const struct bert_model *m, const double *x, int n,
                          const struct bert_trace *trace);

/* The head alone, from the final state x[n * hidden] of n tokens. */
int bert_head_forward(double *out, const struct bert_model *m, const double *x, int n);

int bert_argmax(const double *logits, int n); /* the first of equals */

#ifdef __cplusplus
}
#endif
#endif
