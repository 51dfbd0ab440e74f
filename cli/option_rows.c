/* Rows that the tables of several subcommands share. */
#include <stddef.h>

#include "cli/options.h"

static struct option_spec flag(const char *name, int *to, const char *help) {
    return (struct option_spec){name, NULL, OPTION_FLAG, to, 0, 0, help};
}

static struct option_spec text(const char *name, const char *arg, const char **to,
                               const char *help) {
    return (struct option_spec){name, arg, OPTION_TEXT, to, 0, 0, help};
}

struct option_spec option_model(const char **to) {
    return text("model", "DIR", to, "model folder or .safetensors file (data/sst2-tiny)");
}

struct option_spec option_keys(const char **to) {
    return text("keys", "DIR", to, "keys of thor keygen (made in memory)");
}

struct option_spec option_secret_keys(const char **to) {
    return text("keys", "DIR", to, "folder with secret.key");
}

struct option_spec option_weights(const char **to) {
    return text("weights", "FILE", to, "container of thor encode (weights.thor of the model)");
}

struct option_spec option_server_weights(const char **to) {
    return text("weights", "FILE", to, "container whose ranges the server uses (the folder's)");
}

struct option_spec option_pair(struct option_texts *to) {
    return (struct option_spec){
        "pair", "S2", OPTION_TEXTS, to, 0, 0, "its second text, for models of pairs"};
}

struct option_spec option_columns(const char **to) {
    return text("columns", "LIST", to, "its columns: text=NAME[,pair=NAME][,label=NAME]");
}

struct option_spec option_layers(struct option_spans *to) {
    static const char help[] = "of a GPT-2: those that the server computes, the others in clear "
                               "(all)";
    return (struct option_spec){"layers", "A..B", OPTION_SPANS, to, 0, 63, help};
}

struct option_spec option_device(const char **to) {
    return text("device", "cpu|cuda|cuda:N", to, "what computes (cpu)");
}

struct option_spec option_threads(int *to) {
    static const char help[] = "threads of the CPU (all cores)";
    return (struct option_spec){"threads", "N", OPTION_INT, to, 1, 1024, help};
}

struct option_spec option_compact(int *to) {
    return flag("compact", to, "a quarter of the keys in memory: less room, more time");
}

struct option_spec option_compare(int *to) {
    return flag("compare", to, "decrypt every stage and show its error");
}

struct option_spec option_require_locked(int *to) {
    return flag("require-locked", to, "fail where the system locks no memory for secrets");
}

struct option_spec option_toy_set(const char **to) {
    return text("insecure-test-params", "NAME", to,
                "a toy set, toy10 .. toy13: no security at all");
}
