/* thor synth: a model folder with random weights of realistic statistics. */
#include <stdio.h>

#include "bert/input/readfile.h"
#include "bert/synth.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "kernels/shown.h"

static int find_shape(struct bert_config *c, const char *name) {
    if (bert_synth_shape(c, name)) return THOR_OK;
    if (bert_file_exists(name)) return bert_config_read(c, name);
    return thor_fail(THOR_USAGE, "--config %.100s: neither a file nor one of %s", name,
                     bert_synth_names());
}

int cmd_synth(int argc, char **argv) {
    int st = THOR_OK, seed = 1, texts = 128, wide = 0;
    const char *config = NULL, *dir = NULL;
    struct bert_config c;
    const struct option_spec options[] = {
        {"config", "NAME", OPTION_TEXT, &config, 0, 0,
         "bert-tiny, -mini, -small, -base, -large, minilm, or a config.json"},
        {"out", "DIR", OPTION_TEXT, &dir, 0, 0, "the model folder to write"},
        {"seed", "S", OPTION_INT, &seed, 0, 1 << 30, "other weights for another seed (1)"},
        {"texts", "N", OPTION_INT, &texts, 1, 100000,
         "rows of random words in DIR/texts.tsv (128)"},
        {"wide-scores", "NATS", OPTION_INT, &wide, 5, 200,
         "softmax denominators span about NATS nats in every fourth head of every fourth layer"},
        {0}};
    const struct command_spec spec = {"synth",
                                      "--config NAME --out DIR [--seed S]",
                                      "Write a BERT classifier with random weights (F16): for "
                                      "timing and testing a shape anywhere.  Its statistics\n"
                                      "resemble those of trained models; its predictions mean "
                                      "nothing.  The same seed gives the same files.",
                                      "  thor synth --config bert-base --out base\n"
                                      "  thor encode --model base --calibrate base/texts.tsv\n"
                                      "  thor synth --config minilm --out wide --wide-scores 45\n",
                                      options,
                                      0};
    TRY(options_parse(&spec, argc, argv, NULL));
    if (!config || !dir)
        return thor_fail(THOR_USAGE, "--%s is missing; see thor synth --help",
                         config ? "out" : "config");
    TRY(find_shape(&c, config));
    TRY(make_folder(dir));
    interrupt_hold();
    st = bert_synth_write(dir, &c, (uint64_t)seed, texts, wide);
    interrupt_release();
    if (st == THOR_OK)
        printf("%s: %d layers of %d, %d heads, FFN %d, %d tokens, seed %d\n", shown(dir), c.layers,
               c.hidden, c.heads, c.ffn, c.vocab, seed);
out:
    return st;
}
