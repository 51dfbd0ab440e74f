/* thor: classify text with BERT while it stays encrypted.  Dispatch. */
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "cli/subcommand.h"

static const struct subcommand commands[] = {
    {"forward", "classify a text under encryption", cmd_forward},
    {"batch", "classify many rows of a table over devices, resumable", cmd_batch},
    {"embed", "embeddings of texts under encryption, and their cosine", cmd_embed},
    {"generate", "go on with a text by a GPT-2 under encryption", cmd_generate},
    {"keygen", "make a key set in a folder", cmd_keygen},
    {"encrypt", "client: texts into ciphertext files", cmd_encrypt},
    {"eval", "server: ciphertexts of texts into ciphertexts of answers", cmd_eval},
    {"serve", "server: models over HTTP", cmd_serve},
    {"serve token", "server: who may use it, and their tokens", cmd_serve_token},
    {"decrypt", "client: the label out of an answer", cmd_decrypt},
#ifdef THOR_REMOTE
    {"remote", "client of a server that keeps keys: upload, classify, a page", cmd_remote},
#endif
    {"encode", "make the weight container of a model", cmd_encode},
    {"tune", "private fine-tuning: the data stays here, the frozen weights at a server", cmd_tune},
    {"split", "split mode: what the server of frozen weights costs", cmd_split},
    {"bench", "measure this machine", cmd_bench},
    {"info", "describe a file, the parameters or a plan", cmd_info},
    {"synth", "write a model with random weights, for timing and tests", cmd_synth},
    {0}};

static const struct command_group program = {
    "",
    "command",
    "BERT on encrypted text",
    "A client encrypts the embedded tokens of a text; a server that holds no secret key runs every "
    "layer of a BERT, or of a GPT-2, on the ciphertexts; the client decrypts the answer. The "
    "encryption is RNS-CKKS at 128 bits of security with bootstrapping.",
    "  THOR_CPU=ref|avx2|avx512  the arithmetic on the CPU (the fastest that it has)\n"
    "  OMP_WAIT_POLICY=passive   threads that wait leave the processor to other programs\n"
    "  CUDA_VISIBLE_DEVICES=..   which GPUs there are, in which order\n",
    "  thor forward --text \"a charming and often affecting journey\"\n",
    commands};

static int dispatch(const char **command, int argc, char **argv) {
    *command = NULL;
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("thor %s\n", ckks_version());
        return THOR_OK;
    }
#ifndef THOR_REMOTE
    if (argc > 1 && strcmp(argv[1], "remote") == 0)
        return thor_fail(THOR_USAGE, "remote: this program was built without libcurl and "
                                     "libmicrohttpd; run make deps, then make clean thor");
#endif
    return subcommand_run(command, &program, argc, argv);
}

int main(int argc, char **argv) {
    const char *command;
#ifndef __SANITIZE_ADDRESS__   // its search for leaks attaches to the process as a debugger does
    prctl(PR_SET_DUMPABLE, 0); // no core file, no debugger of another user: keys are in here
#endif
    interrupt_install();
    const int st = dispatch(&command, argc, argv);
    return program_end("thor", command, st);
}
