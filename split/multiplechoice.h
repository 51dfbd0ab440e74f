/* Questions with options, in the layout of MedQA's files of four options: JSON lines
 *
 *   {"question": S, "options": {"A": S, "B": S, "C": S, "D": S}, "answer_idx": "C", ..}
 *
 * with 2 to 8 options, called A, B, ..; also as a list of {"key": "A", "value": S}, or of texts in
 * that order.  Where answer_idx is not there, "answer" is the words of the right option, or its
 * letter.  Other keys are not read.  A language model answers with the option whose words, behind
 * the question, it finds likeliest.
 */
#ifndef SPLIT_MULTIPLECHOICE_H
#define SPLIT_MULTIPLECHOICE_H

#include "split/gradient.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SPLIT_OPTIONS 8

struct split_question {
    int line; /* in the file, from 1 */
    const char *text, *option[SPLIT_OPTIONS];
    int options, answer; /* answer: 0 for A */
};

struct split_questions {
    int n;
    struct split_question *item;
    void *kept; /* what the texts lie in */
};

/* THOR_INPUT names the line and what it lacks. */
int split_questions_load(struct split_questions *q, const char *path);
void split_questions_free(struct split_questions *q); /* also of one set to zero */

/* Of each option: log P(option | prompt), summed over its tokens, nats, and how many they are.
 * The prompt is "Question: TEXT\nAnswer:", the option follows behind a space; tokens that the two
 * share with the prompt alone are not counted. */
struct split_answered {
    double log_likelihood[SPLIT_OPTIONS];
    int tokens[SPLIT_OPTIONS];
};

/* THOR_MODEL: the model is no language model; THOR_INPUT: one of the texts is too long for it. */
int split_question_ask(struct split_answered *out, const struct split_question *q,
                       const struct split_model *m, const struct split_adapter *a,
                       struct split_service *s);
/* The likeliest; per_token: by the mean over its tokens, which favours no short option. */
int split_answer_of(const struct split_answered *a, int options, int per_token);

#ifdef __cplusplus
}
#endif
#endif
