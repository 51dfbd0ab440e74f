#include "cli/sampling.h"

#include <math.h>

#include "bert/reference.h"
#include "cli/nexttoken.h"

static double uniform(uint64_t *s) // splitmix64
{
    uint64_t z = *s += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

// logits below the k largest become -inf
static void keep_top(double *x, int n, int k) {
    double least = INFINITY;
    for (int i = 0; i < k; i++) { // the next smaller one
        double best = -INFINITY;
        for (int j = 0; j < n; j++)
            if (x[j] < least && x[j] > best) best = x[j];
        if (isinf(best)) return;
        least = best;
    }
    for (int j = 0; j < n; j++)
        if (x[j] < least) x[j] = -INFINITY;
}

int sample_token(struct sampling *s, double *logits, int n) {
    if (s->heat <= 0) return bert_argmax(logits, n);
    if (s->top_k) keep_top(logits, n, s->top_k);
    double all = next_log_sum(logits, n, s->heat), left = uniform(&s->random);
    for (int i = 0; i < n; i++)
        if ((left -= exp(logits[i] / s->heat - all)) < 0) return i;
    return bert_argmax(logits, n);
}

size_t sample_unfinished(const char *text, size_t n) {
    for (size_t k = 1; k <= 3 && k <= n; k++) {
        const unsigned char c = (unsigned char)text[n - k];
        if ((c & 0xc0) == 0x80) continue;
        return k < (c >= 0xf0 ? 4u : c >= 0xe0 ? 3u : c >= 0xc0 ? 2u : 1u) ? k : 0;
    }
    return 0;
}
