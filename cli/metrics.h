/* How well predictions meet what is known. */
#ifndef CLI_METRICS_H
#define CLI_METRICS_H

#ifdef __cplusplus
extern "C" {
#endif

/* Of one label: texts that have it and for which it was predicted, for which it was predicted, that
 * have it. */
struct metrics_label {
    int hit, claimed, positive;
};

/* 2 hits / (claimed + positive): the harmonic mean of precision and recall; 0 of nothing. */
double metrics_f1(const struct metrics_label *m);
/* Of n labels: from the sums of all counts, and the mean of each label's. */
double metrics_f1_micro(const struct metrics_label *m, int n);
double metrics_f1_macro(const struct metrics_label *m, int n);

/* Correlation of n pairs, and that of their ranks, equals sharing the mean of theirs; NaN where one
 * side does not vary.  Spearman's is NaN without memory too. */
double metrics_pearson(const double *x, const double *y, int n);
double metrics_spearman(const double *x, const double *y, int n);

#ifdef __cplusplus
}
#endif
#endif
