/* The plain forward pass, at inference (no dropout, no padding).
 *
 *   e     = LN(word[id] + position[i + first] + type[type_id])                n x E
 *   x     = e, or e Me^T + be where E is not H (ELECTRA, ALBERT)              n x H
 *   layer:
 *     q,k,v = x Wq^T + bq, ..                                                 n x H
 *     s_a   = q_a k_a^T / sqrt(d)       for each head a, columns a*d..        n x n
 *     p_a   = softmax of the rows of s_a
 *     c     = [p_0 v_0, p_1 v_1, ..]                                          n x H
 *     y     = LN1(c Wo^T + bo + x)                                            n x H
 *     x     = LN2(act(y W1^T + b1) W2^T + b2 + y)                             n x H
 *   logits = squash(x[0] Wp^T + bp) Wc^T + bc                                 labels
 *            x Wc^T + bc              of a head for tokens                    n x labels
 *            x                        without a head                          n x H
 *
 *   LN(r)   = (r - mean) / sqrt(var + eps) * gamma + beta, var the mean square deviation
 *   squash  = tanh, relu or gelu
 *   act(t)  = t/2 (1 + erf(t / sqrt 2)), or t/2 (1 + tanh(sqrt(2/pi) (t + 0.044715 t^3)))
 *
 * Everything is computed in doubles from float weights.  Source: Devlin et al. 2019, Vaswani et al.
 * 2017; the conventions (eps inside the root, which GELU, pooler on token 0) are the checkpoints'.
 */
#include "bert/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bert/input/architecture.h"
#include "bert/causal.h"
#include "bert/pass.h"

/* p->q, p->k, p->v (n x H) -> p->t: context (n x H). */
static void attention(struct pass *p) {
    const int n = p->n, H = p->m->cfg.hidden, h = p->m->cfg.heads, d = H / h;
    const double scale = 1 / sqrt(d);
    for (int a = 0; a < h; a++)
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++)
                p->s[(size_t)(a * n + i) * (size_t)n + (size_t)j] =
                    scale * dot(p->q + i * H + a * d, p->k + j * H + a * d, d);
    see(p, "scores", p->s, h * n, n);
    for (int r = 0; r < h * n; r++) softmax(p->s + (size_t)r * (size_t)n, n);
    see(p, "probs", p->s, h * n, n);
    memset(p->t, 0, (size_t)n * (size_t)H * sizeof *p->t);
    for (int a = 0; a < h; a++)
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) {
                const double w = p->s[(size_t)(a * n + i) * (size_t)n + (size_t)j];
                for (int c = a * d; c < a * d + d; c++) p->t[i * H + c] += w * p->v[j * H + c];
            }
    see(p, "context", p->t, n, H);
}

/* p->x -> p->y: attention, its projection, residual, LN1. */
static void attention_block(struct pass *p, const struct bert_layer *l) {
    const int n = p->n, H = p->m->cfg.hidden;
    project_qkv(p, p->x, l);
    attention(p);
    linear(p->y, p->t, n, &l->o, p->row);
    see(p, "attn_out", p->y, n, H);
    add(p->y, p->x, (size_t)n * (size_t)H);
    see(p, "ln1_in", p->y, n, H);
    layer_norm(p->y, p->var, p->y, n, H, p->m->cfg.eps, &l->ln1);
    see(p, "ln1_var", p->var, n, 1);
    see(p, "ln1", p->y, n, H);
}

/* p->y -> p->x: the two projections with the activation between, residual, LN2. */
static void ffn_block(struct pass *p, const struct bert_layer *l) {
    const int n = p->n, H = p->m->cfg.hidden;
    widen(p, l);
    linear(p->x, p->f, n, &l->ffn2, p->row);
    see(p, "ffn_out", p->x, n, H);
    add(p->x, p->y, (size_t)n * (size_t)H);
    see(p, "ln2_in", p->x, n, H);
    layer_norm(p->x, p->var, p->x, n, H, p->m->cfg.eps, &l->ln2);
    see(p, "ln2_var", p->var, n, 1);
    see(p, "ln2", p->x, n, H);
}

static double relu(double t) {
    return fmax(t, 0);
}

/* Row 0 of p->x -> p->t: what the classifier takes. */
static void pool(struct pass *p) {
    static double (*const squash[BERT_SQUASHES])(double) = {
        [BERT_TANH] = tanh, [BERT_RELU] = relu, [BERT_SQUASH_GELU] = gelu};
    const int H = p->m->cfg.hidden;
    linear(p->t, p->x, 1, &p->m->pooler, p->row);
    see(p, "pooled_in", p->t, 1, H);
    for (int c = 0; c < H; c++) p->t[c] = squash[p->m->cfg.squash](p->t[c]);
    see(p, "pooled", p->t, 1, H);
}

/* p->x[n][H] -> out[bert_outputs]. */
static void head(double *out, struct pass *p) {
    const struct bert_config *c = &p->m->cfg;
    const int tokens = c->head == BERT_HEAD_TOKENS, rows = tokens ? p->n : 1;
    if (c->head == BERT_HEAD_STATE) {
        memcpy(out, p->x, bert_outputs(c, p->n) * sizeof *out);
        if (bert_is_causal(c)) bert_centre(out, p->n, c->hidden);
        return;
    }
    if (!tokens) pool(p);
    linear(out, tokens ? p->x : p->t, rows, &p->m->classifier, p->row);
    see(p, "logits", out, rows, c->labels);
}

/* p->x[n][H] from the tokens; E columns until the map.  Where positions begin behind the row of the
 * padding token, a token that is one, of a text's own, takes that row and counts as none. */
static void embed(struct pass *p, const struct bert_tokens *t) {
    const struct bert_model *m = p->m;
    const int n = t->n, E = bert_embedding(&m->cfg);
    double *x = m->emb_map.w ? p->t : p->x;
    for (int i = 0, at = m->cfg.first_position; i < n; i++) {
        const int row = t->ids[i] == m->cfg.first_position - 1 ? t->ids[i] : at++;
        const float *word = m->word + (size_t)t->ids[i] * (size_t)E;
        const float *position = m->position + (size_t)row * (size_t)E;
        const float *type = m->type ? m->type + (size_t)t->type_ids[i] * (size_t)E : NULL;
        for (int c = 0; c < E; c++)
            x[i * E + c] = (double)word[c] + (type ? type[c] : 0) + position[c];
    }
    see(p, "emb_sum", x, n, E);
    if (!m->emb_ln.gamma) return; // GPT-2
    layer_norm(x, p->var, x, n, E, m->cfg.eps, &m->emb_ln);
    see(p, "emb_var", p->var, n, 1);
    if (m->emb_map.w) linear(p->x, x, n, &m->emb_map, p->row);
    see(p, "emb", p->x, n, m->cfg.hidden);
}

// the layers of the client, from..to-1, are not traced
static void causal_layers(struct pass *p, int from, int to) {
    const struct bert_trace *trace = p->trace;
    for (p->layer = from; p->layer < to; p->layer++) {
        p->trace = p->layer >= 0 && p->layer < p->m->cfg.layers ? trace : NULL;
        bert_gpt2_layer(p, &p->m->layer[p->layer]);
    }
    p->trace = trace;
}

static void layers(double *out, struct pass *p) {
    const int n = p->m->cfg.layers, causal = bert_is_causal(&p->m->cfg);
    if (causal) causal_layers(p, -p->m->before, n + p->m->after);
    for (p->layer = 0; !causal && p->layer < n; p->layer++) {
        attention_block(p, &p->m->layer[p->layer]);
        ffn_block(p, &p->m->layer[p->layer]);
    }
    p->layer = n;
    head(out ? out : p->out, p);
}

static int check_count(const struct bert_model *m, int n) {
    if (n < 1 || n > m->cfg.max_positions)
        return thor_fail(THOR_INPUT, "%d tokens: this model takes 1..%d", n, m->cfg.max_positions);
    return THOR_OK;
}

static int check_tokens(const struct bert_model *m, const struct bert_tokens *t) {
    int st = THOR_OK;
    TRY(check_count(m, t->n));
    for (int i = 0; i < t->n; i++)
        if (t->ids[i] < 0 || t->ids[i] >= m->cfg.vocab || t->type_ids[i] < 0 ||
            (m->type && t->type_ids[i] >= m->cfg.type_vocab))
            TRY(thor_fail(THOR_INPUT, "token %d: id %d of type %d is not in the vocabulary", i,
                          t->ids[i], t->type_ids[i]));
out:
    return st;
}

/* One block for all scratch; the caller frees p->x. */
static int begin(struct pass *p, const struct bert_model *m, int n,
                 const struct bert_trace *trace) {
    const struct bert_config *c = &m->cfg;
    const size_t rows = (size_t)n, e = (size_t)bert_embedding(c), h = (size_t)c->hidden;
    const size_t most = h > e ? h : e, hidden = rows * most;
    const size_t wide = most > (size_t)c->ffn ? most : (size_t)c->ffn;
    const size_t scores = rows * rows * (size_t)c->heads, ffn = rows * (size_t)c->ffn;
    *p = (struct pass){.m = m, .trace = trace, .n = n, .layer = -1};
    p->x = malloc((6 * hidden + scores + ffn + rows + wide + bert_outputs(c, n)) * sizeof(double));
    if (!p->x) return thor_fail(THOR_MEMORY, "no memory for a forward pass of %d tokens", n);
    p->q = p->x + hidden;
    p->k = p->q + hidden;
    p->v = p->k + hidden;
    p->y = p->v + hidden;
    p->t = p->y + hidden;
    p->s = p->t + hidden;
    p->f = p->s + scores;
    p->var = p->f + ffn;
    p->row = p->var + rows;
    p->out = p->row + wide;
    return THOR_OK;
}

int bert_embed(double *x, const struct bert_model *m, const struct bert_tokens *t) {
    int st = THOR_OK;
    struct pass p = {.m = NULL};
    TRY(check_tokens(m, t));
    TRY(begin(&p, m, t->n, NULL));
    embed(&p, t);
    memcpy(x, p.x, (size_t)t->n * (size_t)m->cfg.hidden * sizeof *x);
out:
    free(p.x);
    return st;
}

int bert_forward(double *out, const struct bert_model *m, const struct bert_tokens *t,
                 const struct bert_trace *trace) {
    int st = THOR_OK;
    struct pass p = {.m = NULL};
    TRY(check_tokens(m, t));
    TRY(begin(&p, m, t->n, trace));
    embed(&p, t);
    layers(out, &p);
out:
    free(p.x);
    return st;
}

int bert_forward_embedded(double *out, const struct bert_model *m, const double *x, int n,
                          const struct bert_trace *trace) {
    int st = THOR_OK;
    struct pass p = {.m = NULL};
    TRY(check_count(m, n));
    TRY(begin(&p, m, n, trace));
    memcpy(p.x, x, (size_t)n * (size_t)m->cfg.hidden * sizeof *x);
    layers(out, &p);
out:
    free(p.x);
    return st;
}

int bert_causal_layers(double *x, const struct bert_model *m, int n, int from, int to) {
    int st = THOR_OK;
    struct pass p = {.m = NULL};
    TRY(check_count(m, n));
    TRY(begin(&p, m, n, NULL));
    memcpy(p.x, x, (size_t)n * (size_t)m->cfg.hidden * sizeof *x);
    causal_layers(&p, from, to);
    memcpy(x, p.x, (size_t)n * (size_t)m->cfg.hidden * sizeof *x);
out:
    free(p.x);
    return st;
}

int bert_head_forward(double *out, const struct bert_model *m, const double *x, int n) {
    int st = THOR_OK;
    struct pass p = {.m = NULL};
    TRY(check_count(m, n));
    TRY(begin(&p, m, n, NULL));
    memcpy(p.x, x, (size_t)n * (size_t)m->cfg.hidden * sizeof *x);
    head(out, &p);
out:
    free(p.x);
    return st;
}

int bert_argmax(const double *logits, int n) {
    int best = 0;
    for (int i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}
