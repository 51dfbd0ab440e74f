/* The plain forward pass of GPT2LMHeadModel, at inference (no dropout, no cache).
 *
 *   x     = word[id] + position[i]                                            n x H
 *   layer:
 *     y     = LN1(x)
 *     q,k,v = y Wq + bq, ..                                                   n x H
 *     s_a   = q_a k_a^T / sqrt(d)       for each head a, columns a*d..        n x n
 *     p_a   = softmax of the rows of s_a over keys up to the query's token
 *     x    += [p_0 v_0, p_1 v_1, ..] Wo + bo
 *     x    += act(LN2(x) W1 + b1) W2 + b2
 *   logits = LNf(x) word^T                                                    n x vocab
 *
 * LN and act are those of reference.c.  Source: Radford et al. 2019; the conventions are the
 * checkpoints' (gelu_new, eps 1e-5, the head tied to the embeddings). */
#include "bert/causal.h"

#include <stdlib.h>
#include <string.h>

#include "bert/pass.h"

/* p->q, p->k, p->v (n x H) -> p->t: context (n x H). */
static void causal_attention(struct pass *p) {
    const int n = p->n, H = p->m->cfg.hidden, h = p->m->cfg.heads, d = H / h;
    const double scale = 1 / sqrt(d);
    memset(p->s, 0, (size_t)(h * n) * (size_t)n * sizeof *p->s);
    for (int a = 0; a < h; a++)
        for (int i = 0; i < n; i++)
            for (int j = 0; j <= i; j++)
                p->s[(size_t)(a * n + i) * (size_t)n + (size_t)j] =
                    scale * dot(p->q + i * H + a * d, p->k + j * H + a * d, d);
    see(p, "scores", p->s, h * n, n);
    for (int r = 0; r < h * n; r++) softmax(p->s + (size_t)r * (size_t)n, r % n + 1);
    see(p, "probs", p->s, h * n, n);
    memset(p->t, 0, (size_t)n * (size_t)H * sizeof *p->t);
    for (int a = 0; a < h; a++)
        for (int i = 0; i < n; i++)
            for (int j = 0; j <= i; j++) {
                const double w = p->s[(size_t)(a * n + i) * (size_t)n + (size_t)j];
                for (int c = a * d; c < a * d + d; c++) p->t[i * H + c] += w * p->v[j * H + c];
            }
    see(p, "context", p->t, n, H);
}

/* y = LayerNorm of p->x, which the trace is shown before and after. */
static void pre_norm(double *y, struct pass *p, const struct bert_norm *g,
                     const char *const *name) {
    const int n = p->n, H = p->m->cfg.hidden;
    see(p, name[0], p->x, n, H);
    layer_norm(y, p->var, p->x, n, H, p->m->cfg.eps, g);
    see(p, name[1], p->var, n, 1);
    see(p, name[2], y, n, H);
}

void bert_gpt2_layer(struct pass *p, const struct bert_layer *l) {
    static const char *const ln1[] = {"ln1_in", "ln1_var", "ln1"}, *const ln2[] = {
                                                                       "ln2_in", "ln2_var", "ln2"};
    const int n = p->n, H = p->m->cfg.hidden;
    pre_norm(p->y, p, &l->ln1, ln1);
    project_qkv(p, p->y, l);
    causal_attention(p);
    linear(p->y, p->t, n, &l->o, p->row);
    see(p, "attn_out", p->y, n, H);
    add(p->x, p->y, (size_t)n * (size_t)H);
    pre_norm(p->y, p, &l->ln2, ln2);
    widen(p, l);
    linear(p->y, p->f, n, &l->ffn2, p->row);
    see(p, "ffn_out", p->y, n, H);
    add(p->x, p->y, (size_t)n * (size_t)H);
    see(p, "out", p->x, n, H);
}

void bert_centre(double *x, int rows, int hidden) {
    for (double *r = x; r < x + (size_t)rows * (size_t)hidden; r += hidden) {
        double mean = 0;
        for (int c = 0; c < hidden; c++) mean += r[c] / hidden;
        for (int c = 0; c < hidden; c++) r[c] -= mean;
    }
}

void bert_gpt2_logits(double *logits, const struct bert_model *m, const double *row) {
    const int H = m->cfg.hidden;
    double y[4096], var;
    layer_norm(y, &var, row, 1, H, m->cfg.eps, &m->last_ln);
    for (int t = 0; t < m->cfg.vocab; t++) {
        const float *w = m->word + (size_t)t * (size_t)H;
        logits[t] = 0;
        for (int c = 0; c < H; c++) logits[t] += y[c] * (double)w[c];
    }
}

int bert_public_stream(double *x, const struct bert_model *m, int layer) {
    int st = THOR_OK;
    const struct bert_tokens first = {.n = 1, .ids = {m->cfg.first_token}};
    TRY(bert_embed(x, m, &first));
    TRY(bert_causal_layers(x, m, 1, -m->before, layer));
out:
    return st;
}

void bert_public_key(double *k, double *v, const struct bert_model *m, int layer, const double *x) {
    const struct bert_layer *l = &m->layer[layer];
    double y[4096], row[4096], var;
    layer_norm(y, &var, x, 1, m->cfg.hidden, m->cfg.eps, &l->ln1);
    linear(k, y, 1, &l->k, row);
    linear(v, y, 1, &l->v, row);
}

void bert_gpt2_fill(struct bert_tokens *to, const struct bert_tokens *t, int tokens) {
    const int n = t->n;
    if (to != t) *to = *t;
    for (int i = n; i < tokens; i++) to->ids[i] = to->ids[n > 1 ? 1 + (i - n) % (n - 1) : 0];
    memset(to->type_ids, 0, sizeof to->type_ids);
    if (n < tokens) to->n = tokens;
}
