/* thor encrypt: the client's side before the server: texts, embedded in the clear, into ciphertext
 * files. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/exchange.h"
#include "cli/folder.h"
#include "cli/inputs.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/session.h"
#include "cli/tickets.h"
#include "kernels/shown.h"

enum { PATH = 4200 };

struct encrypt {
    struct inputs_request request;
    struct session_setup setup;
    const char *out, *noted;
    uint64_t *ticket; /* of each text */
    int json, with_secret, tokens, folder;
    struct inputs in;
    struct session s;
    struct bert_sealer sealer;
};

static int read_options(struct encrypt *e, int argc, char **argv) {
    int st = THOR_OK;
    struct session_setup *s = &e->setup;
    const struct option_spec options[] = {
        {"text", "S", OPTION_TEXTS, &e->request.texts, 0, 0,
         "a text, - for standard input; may be repeated"},
        option_pair(&e->request.pairs),
        {"data", "FILE", OPTION_TEXT, &e->request.data, 0, 0,
         "a table of texts, as of thor forward; - for standard input"},
        {"columns", "NAMES", OPTION_TEXT, &e->request.columns, 0, 0,
         "its columns, as of thor forward"},
        {"index", "A[..B]", OPTION_SPANS, &e->request.rows, 0, 1000000,
         "rows of it, from 0; may be repeated"},
        {"out", "FILE|DIR", OPTION_TEXT, &e->out, 0, 0,
         "the request; for several texts a folder, DIR/ROW.ct"},
        {"keys", "DIR", OPTION_TEXT, &s->keys_dir, 0, 0, "folder with public.key"},
        {"with-secret", NULL, OPTION_FLAG, &e->with_secret, 0, 0,
         "encrypt with secret.key: less noise"},
        {"tickets", "FILE", OPTION_TEXT, &e->noted, 0, 0,
         "where requests are noted for decrypt (KEYS/tickets.json)"},
        option_model(&s->model_dir),
        option_server_weights(&s->container),
        {"tokens", "T", OPTION_INT, &e->tokens, 1, 1024,
         "length bucket, that of thor keygen (as calibrated)"},
        option_threads(&s->threads),
        {"json", NULL, OPTION_FLAG, &e->json, 0, 0,
         "print one JSON object per text and nothing else"},
        option_require_locked(&s->require_locked),
        option_toy_set(&s->insecure),
        {0}};
    const struct command_spec spec = {
        "encrypt",
        "(--text S [--pair S2] | --data FILE --index A[..B]) --keys DIR --out FILE|DIR [OPTIONS]",
        "Encrypt texts for thor eval. The server sees the length bucket that the keys were made "
        "for, not the length.",
        "  thor encrypt --text \"a charming journey\" --keys keys --out request.ct\n"
        "  thor encrypt --data dev.tsv --index 0..9 --keys keys --model models/mrpc --out upload\n",
        options,
        0};
    TRY(options_parse(&spec, argc, argv, NULL));
    if (!e->out) return thor_fail(THOR_USAGE, "--out is missing; name the ciphertext file");
    if (!s->keys_dir)
        return thor_fail(THOR_USAGE, "--keys is missing; name the folder with public.key");
    s->quiet = e->json;
out:
    return st;
}

/* One for all: by default the longest that the model was calibrated for, as in keygen. */
static int choose_bucket(struct encrypt *e) {
    int st = THOR_OK, longest = inputs_longest(&e->in);
    TRY(session_plan(&e->s, e->tokens ? e->tokens : e->s.ranges->tokens));
    if (longest > e->s.plan->tokens)
        st = thor_fail(
            THOR_INPUT,
            "a text of %d tokens, for a bucket of %d; shorten it, or make keys with larger "
            "--tokens",
            longest, e->s.plan->tokens);
out:
    return st;
}

static int load_key(struct encrypt *e) {
    int st = THOR_OK;
    const char *dir = e->setup.keys_dir;
    struct keyset *k = &e->s.keys;
    TRY(e->with_secret ? keyset_load_secret(k, dir, e->setup.insecure != NULL)
                       : keyset_load_public(k, dir, e->setup.insecure != NULL));
    TRY(keyset_of(k, e->s.params, dir));
    TRY(keyset_one_pair(k, dir));
    e->sealer = (struct bert_sealer){k->secret, k->public_key, NULL};
out:
    return st;
}

static int show(const struct encrypt *e, const char *path, int index) {
    int st = THOR_OK, tokens = e->s.plan->tokens;
    struct serial_head h = {0};
    TRY(ckks_file_describe(&h, path));
    if (e->json)
        TRY(put_object(json_pack("{s:s, s:i, s:i, s:i, s:I}", "out", path, "target_idx", index,
                                 "tokens", tokens, "ciphertexts", (int)h.count, "bytes",
                                 (json_int_t)h.bytes),
                       0));
    else
        printf("%s  %.1f MiB: %u ciphertexts, %d tokens or fewer\n", shown(path),
               (double)h.bytes / 1048576, h.count, tokens);
out:
    serial_free(&h);
    return st;
}

static void name_request(char path[PATH], const struct encrypt *e, int i) {
    const int index = e->in.item[i].index;
    if (e->folder)
        snprintf(path, PATH, "%s/%d.ct", e->out, index >= 0 ? index : i);
    else
        snprintf(path, PATH, "%s", e->out);
}

/* Tickets are noted before a request is there that has one. */
static int note_tickets(struct encrypt *e) {
    int st = THOR_OK;
    char path[PATH];
    struct tickets *t = NULL;
    const int per_token = e->s.model->cfg.head >= BERT_HEAD_TOKENS;
    e->ticket = calloc((size_t)e->in.n, sizeof *e->ticket);
    if (!e->ticket) return thor_fail(THOR_MEMORY, "no memory for tickets");
    tickets_file(path, sizeof path, e->noted, e->setup.keys_dir);
    TRY(tickets_open(&t, path, 1));
    for (int i = 0; i < e->in.n; i++) {
        ckks_rng_bytes(e->s.rng, &e->ticket[i], sizeof e->ticket[i]);
        name_request(path, e, i);
        TRY(tickets_put(t, path, e->ticket[i], per_token ? e->in.tokens[i].n : 0));
    }
    TRY(tickets_save(t));
out:
    tickets_close(t);
    return st;
}

static int one_text(struct encrypt *e, int i) {
    int st = THOR_OK;
    char path[PATH];
    name_request(path, e, i);
    TRY(exchange_seal(&e->s, &e->sealer, &e->in.tokens[i], e->ticket[i], path));
    TRY(show(e, path, e->in.item[i].index));
out:
    return st;
}

int cmd_encrypt(int argc, char **argv) {
    int st = THOR_OK;
    struct encrypt *e = calloc(1, sizeof *e);
    if (!e) return thor_fail(THOR_MEMORY, "no memory to start");
    TRY(read_options(e, argc, argv));
    TRY(inputs_open(&e->in, &e->request));
    e->folder = e->in.n > 1 || folder_is(e->out);
    if (e->folder) TRY(make_folder(e->out));
    TRY(session_load(&e->s, &e->setup));
    TRY(inputs_tokenize(&e->in, e->s.model));
    TRY(choose_bucket(e));
    TRY(load_key(e));
    TRY(session_open(&e->s));
    e->sealer.rng = e->s.rng;
    TRY(note_tickets(e));
    for (int i = 0; i < e->in.n; i++) TRY(one_text(e, i));
out:
    session_close(&e->s);
    inputs_close(&e->in);
    free(e->ticket);
    free(e);
    return st;
}
