/* thor synth: a model folder with random weights of realistic statistics. */
#include <stdio.h>

#include "bert/input/architecture.h"
#include "bert/input/readfile.h"
#include "bert/synth/synth.h"
#include "bert/synth/synthllama.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "kernels/shown.h"

static int find_shape(struct bert_config *c, const char *name) {
    char list[300], llama[100];
    if (bert_synth_shape(c, name)) return THOR_OK;
    if (bert_file_exists(name)) return bert_config_read(c, name);
    bert_synth_names(list, sizeof list);
    bert_synth_llama_names(llama, sizeof llama);
    return thor_fail(THOR_USAGE, "--config %.100s: neither a file nor one of %s, %s", name, list,
                     llama);
}

static int set_arch(struct bert_config *c, const char *name) {
    enum bert_arch a;
    char list[200];
    if (!name) return THOR_OK;
    if (!bert_arch_find(&a, name)) {
        bert_arch_list(list, sizeof list);
        return thor_fail(THOR_USAGE, "--arch %.100s: not one of %s", name, list);
    }
    bert_synth_arch(c, a);
    return THOR_OK;
}

/* A decoder for split mode, which alone computes it. */
static int write_llama(const char *dir, const struct bert_synth_llama *s, int seed, int texts) {
    int st = THOR_OK;
    TRY(make_folder(dir));
    interrupt_hold();
    st = bert_synth_llama_write(dir, s, (uint64_t)seed, texts);
    interrupt_release();
    if (st == THOR_OK)
        printf("%s: llama, %d layers of %d, %d heads (%d of keys), FFN %d, %d tokens, seed %d\n",
               shown(dir), s->layers, s->hidden, s->heads, s->groups, s->ffn, s->vocab, seed);
out:
    return st;
}

int cmd_synth(int argc, char **argv) {
    int st = THOR_OK, seed = 1, texts = 128, wide = 0;
    const char *config = NULL, *arch = NULL, *dir = NULL;
    struct bert_config c;
    const struct option_spec options[] = {
        {"config", "NAME", OPTION_TEXT, &config, 0, 0,
         "a shape (bert-tiny, -base, minilm, roberta-base, gpt2, llama-tiny, ..) or a config.json"},
        {"arch", "TYPE", OPTION_TEXT, &arch, 0, 0,
         "the same shape as roberta, distilbert, electra, albert, .. (model_type)"},
        {"out", "DIR", OPTION_TEXT, &dir, 0, 0, "the model folder to write"},
        {"seed", "S", OPTION_INT, &seed, 0, 1 << 30, "other weights for another seed (1)"},
        {"texts", "N", OPTION_INT, &texts, 1, 100000,
         "rows of random words in DIR/texts.tsv (128)"},
        {"wide-scores", "NATS", OPTION_INT, &wide, 5, 200,
         "softmax denominators span about NATS nats in every fourth head of every fourth layer"},
        {0}};
    const struct command_spec spec = {"synth",
                                      "--config NAME --out DIR [--arch TYPE] [--seed S]",
                                      "Write a classifier with random weights (F16): for "
                                      "timing and testing a shape anywhere.  Its statistics\n"
                                      "resemble those of trained models; its predictions mean "
                                      "nothing.  The same seed gives the same files.",
                                      "  thor synth --config bert-base --out base\n"
                                      "  thor encode --model base --calibrate base/texts.tsv\n"
                                      "  thor synth --config roberta-base --out roberta\n"
                                      "  thor synth --config bert-tiny --arch albert --out albert\n"
                                      "  thor synth --config minilm --out wide --wide-scores 45\n",
                                      options,
                                      0};
    TRY(options_parse(&spec, argc, argv, NULL));
    if (!config || !dir)
        return thor_fail(THOR_USAGE, "--%s is missing; see thor synth --help",
                         config ? "out" : "config");
    if (bert_synth_llama_shape(config)) {
        if (arch || wide)
            return thor_fail(THOR_USAGE, "--%s: not with --config %s",
                             arch ? "arch" : "wide-scores", config);
        return write_llama(dir, bert_synth_llama_shape(config), seed, texts);
    }
    TRY(find_shape(&c, config));
    TRY(set_arch(&c, arch));
    TRY(make_folder(dir));
    interrupt_hold();
    st = bert_synth_write(dir, &c, (uint64_t)seed, texts, wide);
    interrupt_release();
    if (st == THOR_OK)
        printf("%s: %s, %d layers of %d, %d heads, FFN %d, %d tokens, seed %d\n", shown(dir),
               bert_archs[c.arch].types[0], c.layers, c.hidden, c.heads, c.ffn, c.vocab, seed);
out:
    return st;
}
