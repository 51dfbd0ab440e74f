/* thor: classify text with BERT while it stays encrypted.  Dispatch. */
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "cli/cli.h"
#include "cli/options.h"

static const struct {
    const char *name, *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"forward", "classify a text under encryption", cmd_forward},
    {"batch", "classify many rows of a table over devices, resumable", cmd_batch},
    {"embed", "embeddings of texts under encryption, and their cosine", cmd_embed},
    {"generate", "go on with a text by a GPT-2 under encryption", cmd_generate},
    {"keygen", "make a key set in a folder", cmd_keygen},
    {"encrypt", "client: texts into ciphertext files", cmd_encrypt},
    {"eval", "server: ciphertexts of texts into ciphertexts of answers", cmd_eval},
    {"serve", "server: models over HTTP; thor serve token makes tokens", cmd_serve},
    {"decrypt", "client: the label out of an answer", cmd_decrypt},
#ifdef THOR_REMOTE
    {"remote", "client of a server that keeps keys: upload, classify, a page", cmd_remote},
#endif
    {"encode", "make the weight container of a model", cmd_encode},
    {"tune", "private fine-tuning: the data stays here, the frozen weights at a server", cmd_tune},
    {"bench", "measure this machine", cmd_bench},
    {"info", "describe a file, the parameters or a plan", cmd_info},
    {"synth", "write a model with random weights, for timing and tests", cmd_synth},
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void help(void) {
    printf("thor %s: BERT on encrypted text\n\nUsage: thor COMMAND [OPTIONS]\n\nCommands:\n",
           ckks_version());
    for (int i = 0; i < COMMANDS; i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].summary);
    puts("  --help     this text; thor COMMAND --help has the options\n  --version  the version\n\n"
         "Example:\n  thor forward --text \"a charming and often affecting journey\"\n");
    options_exit_codes();
}

static int dispatch(int argc, char **argv, const char **command) {
    *command = NULL;
    if (argc < 2) return thor_fail(THOR_USAGE, "no command given; see thor --help");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        help();
        return THOR_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("thor %s\n", ckks_version());
        return THOR_OK;
    }
    for (int i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[1], commands[i].name) != 0) continue;
        *command = commands[i].name;
        return commands[i].run(argc - 1, argv + 1);
    }
#ifndef THOR_REMOTE
    if (strcmp(argv[1], "remote") == 0)
        return thor_fail(THOR_USAGE, "remote: this program was built without libcurl and "
                                     "libmicrohttpd; run make deps, then make clean thor");
#endif
    return thor_fail(THOR_USAGE, "%.60s: unknown command; see thor --help", argv[1]);
}

int main(int argc, char **argv) {
    const char *command;
#ifndef __SANITIZE_ADDRESS__   // its search for leaks attaches to the process as a debugger does
    prctl(PR_SET_DUMPABLE, 0); // no core file, no debugger of another user: keys are in here
#endif
    interrupt_install();
    int st = dispatch(argc, argv, &command);
    return program_end("thor", command, st);
}
