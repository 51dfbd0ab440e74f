/* thor tune: private fine-tuning.  Frozen weights at a blind server, all that is trained here. */
#include "cli/tune.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"

static const struct {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} actions[] = {
    {"redact", "take personal data out of a table before training", tune_redact},
    {"merge", "an adapter and its model into one folder", tune_merge},
    {"cipher", "token ids under a secret permutation; no protection by itself", tune_cipher},
};
enum { ACTIONS = sizeof actions / sizeof actions[0] };

static void help(void) {
    puts("Usage: thor tune ACTION [OPTIONS]\n\nActions:");
    for (int i = 0; i < ACTIONS; i++) printf("  %-11s %s\n", actions[i].name, actions[i].summary);
    puts("  --help      this text; thor tune ACTION --help has the options\n\nExamples:\n"
         "  thor tune redact --data notes.csv --names patients.txt --out clean.jsonl\n"
         "  thor tune merge --model data/sst2-tiny --adapter tuned --out merged\n");
    options_exit_codes();
}

int cmd_tune(int argc, char **argv) {
    if (argc < 2) return thor_fail(THOR_USAGE, "no action given; see thor tune --help");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        help();
        return OPTIONS_DONE;
    }
    for (int i = 0; i < ACTIONS; i++)
        if (strcmp(argv[1], actions[i].name) == 0) return actions[i].run(argc - 1, argv + 1);
    return thor_fail(THOR_USAGE, "%.60s: unknown action; see thor tune --help", argv[1]);
}
