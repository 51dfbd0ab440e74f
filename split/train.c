#include "split/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

static int check(const struct split_train_ask *ask, int texts) {
    if (texts < 1) return thor_fail(THOR_INPUT, "there is no row to train on");
    if (ask->batch < 1 || ask->micro < 1)
        return thor_fail(THOR_USAGE, "a batch of %d rows, %d at a time: give at least one of each",
                         ask->batch, ask->micro);
    if (ask->adam.steps < 1) return thor_fail(THOR_USAGE, "no step to train: give at least one");
    if (!(ask->max_norm >= 0 && ask->max_norm < 1e100) || (ask->privacy && ask->max_norm > 0))
        return thor_fail(THOR_USAGE,
                         "a gradient clipped at %g: give 0 or more, and nothing with "
                         "privacy, which clips each row's",
                         ask->max_norm);
    return THOR_OK;
}

static int start_privacy(struct split_trainer *t) {
    struct split_dpsgd_ask ask = *t->ask.privacy;
    ask.rows = t->texts;
    ask.batch = t->ask.batch;
    ask.steps = t->ask.adam.steps;
    t->is_private = 1;
    t->ask.privacy = NULL;
    return split_dpsgd_start(&t->privacy, &ask);
}

static int allocate(struct split_trainer *t) {
    int st = THOR_OK;
    const size_t micro = (size_t)t->ask.micro;
    const int most = t->is_private && t->texts > t->ask.batch ? t->texts : t->ask.batch;
    t->order = calloc((size_t)t->texts, sizeof *t->order);
    t->chosen = calloc((size_t)most, sizeof *t->chosen);
    t->micro_text = calloc(micro, sizeof *t->micro_text);
    t->loss = calloc(micro, sizeof *t->loss);
    t->scored = calloc(micro, sizeof *t->scored);
    t->into = calloc(micro, sizeof *t->into);
    t->each = calloc(micro, sizeof *t->each);
    if (!t->order || !t->chosen || !t->micro_text || !t->loss || !t->scored || !t->into || !t->each)
        return thor_fail(THOR_MEMORY, "no memory to train on %d rows", t->texts);
    TRY(split_adapter_like(&t->sum, t->adapter));
    for (size_t i = 0; i < micro; i++) {
        if (t->is_private) TRY(split_adapter_like(&t->each[i], t->adapter));
        t->into[i] = t->is_private ? &t->each[i] : &t->sum;
    }
out:
    return st;
}

int split_trainer_start(struct split_trainer *t, const struct split_train_ask *ask,
                        const struct split_model *model, struct split_service *service,
                        struct split_adapter *adapter, const struct split_text *text, int texts) {
    int st = THOR_OK;
    size_t n;
    *t = (struct split_trainer){.model = model,
                                .service = service,
                                .adapter = adapter,
                                .text = text,
                                .texts = texts,
                                .ask = *ask,
                                .epoch = -1};
    TRY(check(ask, texts));
    if (t->ask.micro > t->ask.batch) t->ask.micro = t->ask.batch;
    split_adapter_trained(adapter, &n);
    TRY(split_adam_start(&t->adam, &ask->adam, n));
    if (ask->privacy) TRY(start_privacy(t));
    TRY(allocate(t));
out:
    if (st != THOR_OK) split_trainer_end(t);
    return st;
}

void split_trainer_end(struct split_trainer *t) {
    for (int i = 0; t->each && i < t->ask.micro; i++) split_adapter_free(&t->each[i]);
    split_adapter_free(&t->sum);
    split_adam_end(&t->adam);
    split_dpsgd_end(&t->privacy);
    free(t->order);
    free(t->chosen);
    free(t->micro_text);
    free(t->loss);
    free(t->scored);
    free(t->into);
    free(t->each);
    sodium_memzero(t->ask.seed, sizeof t->ask.seed);
    *t = (struct split_trainer){0};
}

int split_trainer_done(const struct split_trainer *t) {
    return t->adam.step >= t->ask.adam.steps || (t->is_private && split_dpsgd_used_up(&t->privacy));
}

/* ---- which rows */

static uint32_t below(struct ckks_rng *r, uint32_t n) { // uniform, n < 2^28
    uint32_t x;
    ckks_rng_uniform(r, &x, 1, n);
    return x;
}

/* The order of an epoch: Fisher and Yates' shuffle by the stream (seed, epoch). */
static void shuffle(struct split_trainer *t, long epoch) {
    struct ckks_rng r;
    if (t->epoch == epoch) return;
    ckks_rng_init(&r, t->ask.seed, (uint64_t)epoch + 1);
    for (int i = 0; i < t->texts; i++) t->order[i] = i;
    for (int i = t->texts - 1; i > 0; i--) {
        const uint32_t j = below(&r, (uint32_t)i + 1);
        const int keep = t->order[i];
        t->order[i] = t->order[j];
        t->order[j] = keep;
    }
    ckks_rng_wipe(&r);
    t->epoch = epoch;
}

static int choose(struct split_trainer *t) {
    if (t->is_private) return split_dpsgd_batch(&t->privacy, t->chosen);
    for (int i = 0; i < t->ask.batch; i++) {
        const long at = t->adam.step * t->ask.batch + i;
        shuffle(t, at / t->texts);
        t->chosen[i] = t->order[at % t->texts];
    }
    return t->ask.batch;
}

/* ---- their gradients */

static void wipe(struct split_adapter *a) {
    memset(a->values, 0, a->n * sizeof *a->values);
}

/* Rows chosen[0 .. n-1], n at most `micro`: their losses onto *loss, their gradients onto the sum.
 */
static int add_rows(double *loss, struct split_trainer *t, const int *chosen, int n) {
    int st = THOR_OK;
    size_t trained;
    double *sum = split_adapter_trained(&t->sum, &trained);
    for (int i = 0; i < n; i++) {
        t->micro_text[i] = t->text[chosen[i]];
        if (t->is_private) wipe(&t->each[i]);
    }
    TRY(split_gradients(t->loss, t->scored, t->into, t->model, t->adapter, t->service,
                        t->micro_text, n));
    for (int i = 0; i < n; i++) {
        *loss += t->loss[i];
        if (!t->is_private) continue;
        double *one = split_adapter_trained(&t->each[i], &trained);
        split_dpsgd_take(&t->privacy, sum, one, trained);
    }
out:
    return st;
}

static double norm_of(const double *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * x[i];
    return sqrt(sum);
}

/* The sum becomes the gradient of the step; its norm before clipping. */
static int finish(double *norm, struct split_trainer *t, double *g, size_t n) {
    int st = THOR_OK;
    if (t->is_private) {
        TRY(split_dpsgd_step(&t->privacy, g, n));
        *norm = norm_of(g, n);
        goto out;
    }
    for (size_t i = 0; i < n; i++) g[i] /= t->ask.batch;
    *norm = norm_of(g, n);
    if (t->ask.max_norm > 0 && *norm > t->ask.max_norm)
        for (size_t i = 0; i < n; i++) g[i] *= t->ask.max_norm / *norm;
out:
    return st;
}

int split_trainer_step(struct split_step_report *r, struct split_trainer *t) {
    int st = THOR_OK;
    size_t n;
    struct split_step_report now = {.step = t->adam.step + 1};
    wipe(&t->sum);
    now.rows = choose(t);
    for (int at = 0, some; at < now.rows; at += some) {
        some = now.rows - at < t->ask.micro ? now.rows - at : t->ask.micro;
        TRY(add_rows(&now.loss, t, t->chosen + at, some));
    }
    if (now.rows) now.loss /= now.rows;
    double *g = split_adapter_trained(&t->sum, &n);
    if (!isfinite(now.loss) || !isfinite(norm_of(g, n)))
        TRY(thor_fail(THOR_RANGE,
                      "step %ld: the loss or its gradient is no finite number; train "
                      "with a smaller --lr",
                      now.step));
    TRY(finish(&now.norm, t, g, n));
    now.rate = split_adam_rate(&t->adam.ask, now.step);
    if (t->is_private) now.epsilon = split_dpsgd_epsilon(&t->privacy);
    split_adam_step(&t->adam, split_adapter_trained(t->adapter, &n), g);
    *r = now;
out:
    return st;
}
