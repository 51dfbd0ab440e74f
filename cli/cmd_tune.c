/* thor tune: private fine-tuning.  Frozen weights at a blind server, all that is trained here. */
#include <stddef.h>

#include "cli/cli.h"
#include "cli/subcommand.h"
#include "cli/tune.h"

static const struct subcommand actions[] = {
    {"redact", "take personal data out of a table before training", tune_redact},
    {"train", "an adapter on a table, the frozen weights on ciphertexts", tune_train},
    {"federate", "the adapters of several clients as one", tune_federate},
    {"merge", "an adapter and its model into one folder", tune_merge},
    {"eval", "accuracy, perplexity and answers, before and after an adapter", tune_eval},
    {"classify", "labels and scores of texts, before and after an adapter", tune_classify},
    {"generate", "a text that goes on, before and after an adapter", tune_generate},
    {"experiments", "seven ways to train the same adapter, side by side", tune_experiments},
    {"cipher", "token ids under a secret permutation; no protection by itself", tune_cipher},
    {0}};

static const struct command_group group = {
    "tune",
    "action",
    "private fine-tuning",
    "Private fine-tuning: the data, what is trained on it and the adapter stay here; frozen "
    "weights "
    "are a server's.",
    NULL,
    "  thor tune redact --data notes.csv --names patients.txt --out clean.jsonl\n"
    "  thor tune train --model data/sst2-tiny --data train.tsv --out tuned --epsilon 8\n"
    "  thor tune merge --model data/sst2-tiny --adapter tuned --out merged\n",
    actions};

int cmd_tune(int argc, char **argv) {
    return subcommand_run(NULL, &group, argc, argv);
}
