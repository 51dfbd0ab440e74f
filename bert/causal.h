/* The plain GPT-2 in doubles, by hand: the specification of the encrypted one.
 *
 * bert_forward (reference.h) runs it; its output is the stream behind the last layer, every row
 * less its mean.  A trace sees, of the stages there,
 *
 *   -1               emb_sum                            word + position: no LayerNorm follows
 *   0 .. layers-1    ln1_in, ln1_var, ln1, q, k, v      ln1_in: the stream entering the layer
 *                    scores, probs                      0 where a key is behind its query
 *                    context, attn_out, ln2_in, ln2_var, ln2, ffn_in, gelu, ffn_out
 *                    out         n x H                  the stream leaving it
 */
#ifndef BERT_CAUSAL_H
#define BERT_CAUSAL_H

#include "bert/reference.h"

#ifdef __cplusplus
extern "C" {
#endif

/* x[n * hidden], a stream, through layers from .. to-1 of m; those of the client are -before .. -1
 * and cfg.layers .. cfg.layers+after-1. */
int bert_causal_layers(double *x, const struct bert_model *m, int n, int from, int to);
/* Rows of x less their means: all that a LayerNorm sees of a stream. */
void bert_centre(double *x, int rows, int hidden);
/* logits[vocab] of the next token, of one row of the final state. */
void bert_gpt2_logits(double *logits, const struct bert_model *m, const double *row);

/* Token 0 of every text is cfg.first_token and sees itself alone: what it is depends on no text.
 * x[hidden]: its stream entering `layer`; k, v[hidden]: its key and value there. */
int bert_public_stream(double *x, const struct bert_model *m, int layer);
void bert_public_key(double *k, double *v, const struct bert_model *m, int layer, const double *x);

/* Under the causal mask no token sees those behind it: a text of fewer tokens than the bucket is
 * filled up with its own, from the second one on, again and again, so that rows behind its end stay
 * in the calibrated ranges and the mask is public.  to may be t. */
void bert_gpt2_fill(struct bert_tokens *to, const struct bert_tokens *t, int tokens);

#ifdef __cplusplus
}
#endif
#endif
