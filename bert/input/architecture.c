#include "bert/input/architecture.h"

#include <string.h>

#define KEYS(embedding_key)                                                                        \
    {                                                                                              \
        .hidden = "hidden_size", .layers = "num_hidden_layers", .heads = "num_attention_heads",    \
        .ffn = "intermediate_size", .positions = "max_position_embeddings",                        \
        .types = "type_vocab_size", .embedding = embedding_key, .eps = "layer_norm_eps",           \
        .activation = "hidden_act"                                                                 \
    }

#define BERT_LAYER                                                                                 \
    .layers = "encoder.layer.", .in_layer = "", .q = "attention.self.query",                       \
    .k = "attention.self.key", .v = "attention.self.value", .o = "attention.output.dense",         \
    .ln1 = "attention.output.LayerNorm", .ffn1 = "intermediate.dense", .ffn2 = "output.dense",     \
    .ln2 = "output.LayerNorm"

const struct bert_arch_row bert_archs[BERT_ARCHS] = {
    [BERT_ARCH_BERT] =
        {
            .title = "a BERT",
            .types = {"bert"},
            .sequence = "BertForSequenceClassification",
            .squash = BERT_TANH,
            .key = KEYS(NULL),
            .name =
                {.body = "bert.", BERT_LAYER, .pooler = "pooler.dense", .classifier = "classifier"},
        },
    [BERT_ARCH_DISTILBERT] =
        {
            .title = "a DistilBERT",
            .types = {"distilbert"},
            .sequence = "DistilBertForSequenceClassification",
            .squash = BERT_RELU,
            .key = {.hidden = "dim",
                    .layers = "n_layers",
                    .heads = "n_heads",
                    .ffn = "hidden_dim",
                    .positions = "max_position_embeddings",
                    .activation = "activation"},
            .name = {.body = "distilbert.",
                     .layers = "transformer.layer.",
                     .in_layer = "",
                     .q = "attention.q_lin",
                     .k = "attention.k_lin",
                     .v = "attention.v_lin",
                     .o = "attention.out_lin",
                     .ln1 = "sa_layer_norm",
                     .ffn1 = "ffn.lin1",
                     .ffn2 = "ffn.lin2",
                     .ln2 = "output_layer_norm",
                     .dense = "pre_classifier",
                     .classifier = "classifier"},
        },
    [BERT_ARCH_ROBERTA] =
        {
            .title = "a RoBERTa",
            .types = {"roberta", "xlm-roberta", "camembert"},
            .sequence = "RobertaForSequenceClassification",
            .squash = BERT_TANH,
            .pad_first = 1,
            .key = KEYS(NULL),
            .name = {.body = "roberta.",
                     BERT_LAYER,
                     .dense = "classifier.dense",
                     .classifier = "classifier.out_proj"},
        },
    [BERT_ARCH_ELECTRA] =
        {
            .title = "an ELECTRA",
            .types = {"electra"},
            .sequence = "ElectraForSequenceClassification",
            .squash = BERT_SQUASH_GELU,
            .key = KEYS("embedding_size"),
            .name = {.body = "electra.",
                     .emb_map = "embeddings_project",
                     BERT_LAYER,
                     .dense = "classifier.dense",
                     .classifier = "classifier.out_proj"},
        },
    [BERT_ARCH_ALBERT] =
        {
            .title = "an ALBERT",
            .types = {"albert"},
            .sequence = "AlbertForSequenceClassification",
            .squash = BERT_TANH,
            .activation = BERT_GELU_TANH,
            .map_always = 1,
            .shared = 1,
            .key = KEYS("embedding_size"),
            .name = {.body = "albert.",
                     .emb_map = "encoder.embedding_hidden_mapping_in",
                     .layers = "encoder.albert_layer_groups.",
                     .in_layer = "albert_layers.0.",
                     .q = "attention.query",
                     .k = "attention.key",
                     .v = "attention.value",
                     .o = "attention.dense",
                     .ln1 = "attention.LayerNorm",
                     .ffn1 = "ffn",
                     .ffn2 = "ffn_output",
                     .ln2 = "full_layer_layer_norm",
                     .pooler = "pooler",
                     .classifier = "classifier"},
        },
    [BERT_ARCH_GPT2] =
        {
            .title = "a GPT-2",
            .types = {"gpt2"},
            .sequence = "GPT2LMHeadModel",
            .activation = BERT_GELU_TANH,
            .key = {.hidden = "n_embd",
                    .layers = "n_layer",
                    .heads = "n_head",
                    .ffn = "n_inner",
                    .positions = "n_positions",
                    .eps = "layer_norm_epsilon",
                    .activation = "activation_function"},
        },
};

int bert_arch_find(enum bert_arch *a, const char *type) {
    for (int i = 0; i < BERT_ARCHS; i++)
        for (const char *const *name = bert_archs[i].types; *name; name++)
            if (strcmp(*name, type) == 0) {
                *a = (enum bert_arch)i;
                return 1;
            }
    return 0;
}

void bert_arch_list(char *list, size_t size) {
    size_t at = 0;
    list[0] = 0;
    for (int i = 0; i < BERT_ARCHS; i++)
        for (const char *const *name = bert_archs[i].types; *name && at < size; name++)
            at += (size_t)snprintf(list + at, size - at, "%s%s", at ? ", " : "", *name);
}

const char *bert_arch_unsupported(const char *type) {
    static const struct {
        const char *type, *what;
    } other[] = {{"deberta", "relative positions inside attention"},
                 {"deberta-v2", "relative positions inside attention"},
                 {"mpnet", "a bias of relative positions in attention"},
                 {"xlnet", "relative positions and permuted attention"},
                 {"t5", "an encoder and a decoder, with relative positions"},
                 {"bart", "an encoder and a decoder"},
                 {"modernbert", "rotary positions, gated FFNs and local attention"},
                 {"nomic_bert", "rotary positions and gated FFNs"},
                 {"new", "rotary positions and gated FFNs"},
                 {"roformer", "rotary positions"},
                 {"longformer", "local attention"},
                 {"big_bird", "sparse attention"},
                 {"mobilebert", "bottlenecks around each layer"},
                 {"convbert", "convolutions in attention"},
                 {"funnel", "pooling between layers"},
                 {"llama", "a decoder with rotary positions"}};
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (strcmp(other[i].type, type) == 0) return other[i].what;
    return NULL;
}

static void explain_head(FILE *f, const struct bert_config *c) {
    static const char *const squash[BERT_SQUASHES] = {"tanh", "ReLU", "GELU"};
    if (c->head == BERT_HEAD_STATE)
        fprintf(f, "  head        none: the state of every token is the answer\n");
    else if (c->head == BERT_HEAD_TOKENS)
        fprintf(f, "  head        %d labels of each token, at the client\n", c->labels);
    else
        fprintf(f, "  head        dense map, %s, %d label%s, %s\n", squash[c->squash], c->labels,
                c->labels == 1 ? "" : "s",
                bert_head_at_client(c) ? "at the client" : "on ciphertexts");
}

void bert_arch_explain(FILE *f, const struct bert_config *c) {
    fprintf(f,
            "%s: %d layers of %d, %d heads of %d, FFN %d with %s\n"
            "  embeddings  at the client: %d words, %d positions",
            bert_archs[c->arch].title, c->layers, c->hidden, c->heads, c->hidden / c->heads, c->ffn,
            bert_activations[c->activation].names[0], c->vocab, c->max_positions);
    if (c->first_position) fprintf(f, " from row %d", c->first_position);
    if (c->type_vocab)
        fprintf(f, ", %d type%s", c->type_vocab, c->type_vocab > 1 ? "s" : "");
    else
        fprintf(f, ", no types");
    if (c->embedding) fprintf(f, "; %d columns, mapped to %d", c->embedding, c->hidden);
    fprintf(f, "\n  layers      %s\n",
            bert_archs[c->arch].shared ? "one layer's weights for all, in a plan of its own each"
                                       : "each with weights of its own");
    explain_head(f, c);
}
