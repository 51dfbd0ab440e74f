"""Makes tests/data/split-golden.json: python3 tests/splitgolden.py > tests/data/split-golden.json
(pip install torch transformers; neither is needed by the tests themselves.)

Small models with random weights and a random adapter, the same that tests/splitfolder.c writes, by their equations in
double precision; gradients by automatic differentiation.  Each model without its adapter is first compared with the
usual library (single precision: 1e-5).

Of every tensor of a gradient: its norm and two sums of its values with random weights in -1..1."""
import json
import math

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
MAPS = ["q", "k", "v", "o", "gate", "up", "down"]
RANK, ALPHA = 2, 3.0


def draw(seed, n):
    """n numbers (-105 .. 105)/1024 of the generator of tests/splitfolder.c."""
    out = []
    for _ in range(n):
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        out.append(((seed >> 16) % 211 - 105) / 1024)
    return torch.tensor(out)


class Weights:
    def __init__(self):
        self.w, self.n = {}, 0

    def add(self, name, rows, cols=0, gain=1.0, one=0.0):
        self.n += 1
        t = one + gain * draw(self.n, rows * (cols or 1))
        self.w[name] = t.reshape(rows, cols) if cols else t


def bert_weights(c):
    w, h, f = Weights(), c["hidden"], c["ffn"]
    w.add("bert.embeddings.word_embeddings.weight", c["vocab"], h, 8)
    w.add("bert.embeddings.position_embeddings.weight", c["positions"], h, 4)
    w.add("bert.embeddings.token_type_embeddings.weight", 2, h, 4)
    w.add("bert.embeddings.LayerNorm.weight", h, 0, 1, 1)
    w.add("bert.embeddings.LayerNorm.bias", h)
    for i in range(c["layers"]):
        p = f"bert.encoder.layer.{i}."
        for name, out, into in (("attention.self.query", h, h), ("attention.self.key", h, h), ("attention.self.value", h, h),
                                ("attention.output.dense", h, h), ("attention.output.LayerNorm", h, 0),
                                ("intermediate.dense", f, h), ("output.dense", h, f), ("output.LayerNorm", h, 0)):
            w.add(p + name + ".weight", out, into, 4 if into else 1, 0 if into else 1)
            w.add(p + name + ".bias", out)
    w.add("bert.pooler.dense.weight", h, h, 4)
    w.add("bert.pooler.dense.bias", h)
    w.add("classifier.weight", c["labels"], h, 8)
    w.add("classifier.bias", c["labels"])
    return w.w


def gpt2_weights(c):
    w, h, f = Weights(), c["hidden"], c["ffn"]
    w.add("transformer.wte.weight", c["vocab"], h, 8)
    w.add("transformer.wpe.weight", c["positions"], h, 4)
    for i in range(c["layers"]):
        p = f"transformer.h.{i}."
        for name, into, out in (("ln_1", 0, h), ("attn.c_attn", h, 3 * h), ("attn.c_proj", h, h), ("ln_2", 0, h),
                                ("mlp.c_fc", h, f), ("mlp.c_proj", f, h)):
            w.add(p + name + ".weight", into or out, out if into else 0, 4 if into else 1, 0 if into else 1)
            w.add(p + name + ".bias", out)
    w.add("transformer.ln_f.weight", h, 0, 1, 1)
    w.add("transformer.ln_f.bias", h)
    if "score" in c:
        w.add("score.weight", c["score"], h, 8)
    return w.w


def llama_weights(c):
    w, h, f = Weights(), c["hidden"], c["ffn"]
    q, kv = c["heads"] * c["head"], c["groups"] * c["head"]
    w.add("model.embed_tokens.weight", c["vocab"], h, 8)
    for i in range(c["layers"]):
        p = f"model.layers.{i}."
        w.add(p + "input_layernorm.weight", h, 0, 1, 1)
        w.add(p + "post_attention_layernorm.weight", h, 0, 1, 1)
        for name, out, into in (("self_attn.q_proj", q, h), ("self_attn.k_proj", kv, h), ("self_attn.v_proj", kv, h),
                                ("self_attn.o_proj", h, q), ("mlp.gate_proj", f, h), ("mlp.up_proj", f, h),
                                ("mlp.down_proj", h, f)):
            w.add(p + name + ".weight", out, into, 4)
            if c["bias"] and name[-6:] in ("q_proj", "k_proj", "v_proj"):
                w.add(p + name + ".bias", out)
    w.add("model.norm.weight", h, 0, 1, 1)
    if "score" in c:
        w.add("score.weight", c["score"], h, 8)
    elif not c["tied"]:
        w.add("lm_head.weight", c["vocab"], h, 8)
    return w.w


def adapter(c, widths):
    """{"layer.map.a": .., "layer.map.b": ..}, and the head's."""
    t = {}
    for layer in range(c["layers"]):
        for m, name in enumerate(MAPS):
            if name in widths:
                out, into = widths[name]
                seed = 1000 + 100 * layer + 2 * m
                t[f"{layer}.{name}.a"] = (4 * draw(seed, RANK * into)).reshape(RANK, into)
                t[f"{layer}.{name}.b"] = (4 * draw(seed + 1, out * RANK)).reshape(out, RANK)
    if c["classes"]:
        t["head.w"] = (8 * draw(2000, c["classes"] * c["hidden"])).reshape(c["classes"], c["hidden"])
        if "score" not in c:
            t["head.b"] = draw(2001, c["classes"])
    for x in t.values():
        x.requires_grad_(True)
    return t


def linear(x, w, b, a, key):
    y = x @ w.T + (0 if b is None else b)
    if key + ".a" in a:
        y = y + ALPHA / RANK * (x @ a[key + ".a"].T) @ a[key + ".b"].T
    return y


def attend(q, k, v, head, causal):
    n, heads, groups = q.shape[0], q.shape[1] // head, k.shape[1] // head
    q, k, v = (t.reshape(n, -1, head).transpose(0, 1) for t in (q, k, v))
    k, v = (t.repeat_interleave(heads // groups, 0) for t in (k, v))
    s = q @ k.transpose(1, 2) / math.sqrt(head)
    if causal:
        s = s.masked_fill(torch.ones(n, n).triu(1).bool(), -math.inf)
    return (s.softmax(-1) @ v).transpose(0, 1).reshape(n, -1)


def bert(w, c, ids, types, a):
    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"], c["eps"])

    e = "bert.embeddings."
    x = w[e + "word_embeddings.weight"][ids] + w[e + "position_embeddings.weight"][: len(ids)]
    x = norm(x + w[e + "token_type_embeddings.weight"][types], e + "LayerNorm")
    for i in range(c["layers"]):
        p = f"bert.encoder.layer.{i}."

        def at(x, name, key):
            return linear(x, w[p + name + ".weight"], w[p + name + ".bias"], a, f"{i}.{key}")

        q, k, v = (at(x, "attention.self." + n, n[0]) for n in ("query", "key", "value"))
        y = attend(q, k, v, c["hidden"] // c["heads"], False)
        x = norm(x + at(y, "attention.output.dense", "o"), p + "attention.output.LayerNorm")
        x = norm(x + at(F.gelu(at(x, "intermediate.dense", "up")), "output.dense", "down"), p + "output.LayerNorm")
    pooled = torch.tanh(w["bert.pooler.dense.weight"] @ x[0] + w["bert.pooler.dense.bias"])
    if "head.w" in a:
        return a["head.w"] @ pooled + a["head.b"]
    return w["classifier.weight"] @ pooled + w["classifier.bias"]


def last(c, ids):
    """The row that a decoder's classifier takes: the last whose token does not fill up the text."""
    return max([i for i, x in enumerate(ids) if x != c.get("pad", -1)], default=0)


def gpt2(w, c, ids, types, a):
    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"], c["eps"])

    h = c["hidden"]
    x = w["transformer.wte.weight"][ids] + w["transformer.wpe.weight"][: len(ids)]
    for i in range(c["layers"]):
        p = f"transformer.h.{i}."

        def at(x, name, key, part=slice(None)):
            return linear(x, w[p + name + ".weight"].T[part], w[p + name + ".bias"][part], a, f"{i}.{key}")

        y = norm(x, p + "ln_1")
        q, k, v = (at(y, "attn.c_attn", "qkv"[n], slice(n * h, n * h + h)) for n in range(3))
        x = x + at(attend(q, k, v, h // c["heads"], True), "attn.c_proj", "o")
        y = F.gelu(at(norm(x, p + "ln_2"), "mlp.c_fc", "up"), approximate="tanh")
        x = x + at(y, "mlp.c_proj", "down")
    x = norm(x, "transformer.ln_f")
    return w["score.weight"] @ x[last(c, ids)] if "score" in c else x @ w["transformer.wte.weight"].T


def rotate(x, head, frequency):
    n = x.shape[0]
    x = x.reshape(n, -1, head)
    angle = torch.arange(n)[:, None].double() * torch.cat([frequency, frequency])
    first, second = x[..., : head // 2], x[..., head // 2 :]
    turned = torch.cat([-second, first], -1)
    return (x * angle.cos()[:, None] + turned * angle.sin()[:, None]).reshape(n, -1)


def frequencies(c):
    f = c["theta"] ** -(torch.arange(0, c["head"], 2).double() / c["head"])
    if not c["rope"]:
        return f
    r, out = c["rope"], []
    for x in f.tolist():
        wave, o = 2 * math.pi / x, r["original_max_position_embeddings"]
        t = (o / wave - r["low_freq_factor"]) / (r["high_freq_factor"] - r["low_freq_factor"])
        if wave < o / r["high_freq_factor"]:
            out.append(x)
        elif wave > o / r["low_freq_factor"]:
            out.append(x / r["factor"])
        else:
            out.append((1 - t) * x / r["factor"] + t * x)
    return torch.tensor(out)


def llama(w, c, ids, types, a):
    def norm(x, name):
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + c["eps"]) * w[name + ".weight"]

    f = frequencies(c)
    x = w["model.embed_tokens.weight"][ids]
    for i in range(c["layers"]):
        p = f"model.layers.{i}."

        def at(x, name, key):
            return linear(x, w[p + name + ".weight"], w.get(p + name + ".bias"), a, f"{i}.{key}")

        y = norm(x, p + "input_layernorm")
        q, k, v = (at(y, f"self_attn.{n}_proj", n) for n in "qkv")
        y = attend(rotate(q, c["head"], f), rotate(k, c["head"], f), v, c["head"], True)
        x = x + at(y, "self_attn.o_proj", "o")
        y = norm(x, p + "post_attention_layernorm")
        y = F.silu(at(y, "mlp.gate_proj", "gate")) * at(y, "mlp.up_proj", "up")
        x = x + at(y, "mlp.down_proj", "down")
    x = norm(x, "model.norm")
    if "head.w" in a:
        return a["head.w"] @ x[last(c, ids)] + a.get("head.b", 0)
    if "score" in c:
        return w["score.weight"] @ x[last(c, ids)]
    return x @ w["model.embed_tokens.weight" if c["tied"] else "lm_head.weight"].T


LLAMA3 = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 16}
MODELS = {
    "bert": dict(hidden=16, layers=2, heads=2, ffn=24, vocab=30, positions=16, labels=3, classes=0, eps=1e-12),
    "bert-head": dict(hidden=16, layers=2, heads=2, ffn=24, vocab=30, positions=16, labels=3, classes=2, eps=1e-12),
    "gpt2": dict(hidden=16, layers=2, heads=2, ffn=64, vocab=30, positions=16, classes=0, eps=1e-5),
    "llama": dict(hidden=24, layers=2, heads=4, groups=2, head=8, ffn=40, vocab=30, positions=64, classes=0, eps=1e-5,
                  theta=100.0, rope=LLAMA3, tied=False, bias=False),
    "qwen2": dict(hidden=24, layers=2, heads=4, groups=1, head=6, ffn=40, vocab=30, positions=64, classes=3, eps=1e-6,
                  theta=1e6, rope=None, tied=True, bias=True),
    "gpt2-score": dict(hidden=16, layers=2, heads=2, ffn=64, vocab=30, positions=16, classes=0, eps=1e-5, score=3,
                       pad=7),
    "llama-score": dict(hidden=24, layers=2, heads=4, groups=2, head=8, ffn=40, vocab=30, positions=64, classes=3,
                        eps=1e-5, theta=100.0, rope=LLAMA3, tied=False, bias=False, score=3, pad=11),
}
WEIGHTS = {"bert": bert_weights, "gpt2": gpt2_weights, "llama": llama_weights, "qwen2": llama_weights}
FORWARD = {"bert": bert, "gpt2": gpt2, "llama": llama, "qwen2": llama}


def widths(kind, c):
    h, f = c["hidden"], c["ffn"]
    head = c.get("head", h // c["heads"])
    q, kv = c["heads"] * head, c.get("groups", c["heads"]) * head
    w = {"q": (q, h), "k": (kv, h), "v": (kv, h), "o": (h, q), "up": (f, h), "down": (h, f)}
    if kind in ("llama", "qwen2"):
        w["gate"] = (f, h)
    return w


def texts(c, words):
    out = []
    for i, n in enumerate((7, 5)):
        d = (draw(3000 + i, n + 1) * 1024).long().tolist()
        ids = [(x + 105) % c["vocab"] for x in d]
        if "pad" in c and i == 0:
            ids[n - 2] = ids[n - 1] = c["pad"]
        t = dict(ids=ids[:n], types=[int(k > 3) for k in range(n)], label=1 - i)
        t["targets"] = [-1 if k == 2 else ids[k + 1] for k in range(n)] if words else None
        out.append(t)
    return out


def library(kind, c, w):
    """Logits of both texts by the usual library."""
    import transformers as tr

    h = dict(hidden_size=c["hidden"], num_hidden_layers=c["layers"], num_attention_heads=c["heads"],
             intermediate_size=c["ffn"], vocab_size=c["vocab"], max_position_embeddings=c["positions"])
    if "score" in c:
        h.update(num_labels=c["score"], pad_token_id=c["pad"])
    if kind == "bert":
        config = tr.BertConfig(**h, type_vocab_size=2, layer_norm_eps=c["eps"], num_labels=c["labels"])
        model = tr.BertForSequenceClassification(config)
    elif kind == "gpt2":
        config = tr.GPT2Config(n_embd=c["hidden"], n_layer=c["layers"], n_head=c["heads"], vocab_size=c["vocab"],
                               n_positions=c["positions"], layer_norm_epsilon=c["eps"],
                               **{k: h[k] for k in ("num_labels", "pad_token_id") if k in h})
        model = (tr.GPT2ForSequenceClassification if "score" in c else tr.GPT2LMHeadModel)(config)
    else:
        more = dict(num_key_value_heads=c["groups"], head_dim=c["head"], rms_norm_eps=c["eps"],
                    tie_word_embeddings=c["tied"])
        more["rope_parameters"] = dict(c["rope"] or {"rope_type": "default"}, rope_theta=c["theta"])
        config = (tr.LlamaConfig if kind == "llama" else tr.Qwen2Config)(**h, **more)
        kind = tr.Qwen2ForCausalLM if kind == "qwen2" else tr.LlamaForCausalLM
        model = (tr.LlamaForSequenceClassification if "score" in c else kind)(config)
    missing, unexpected = model.load_state_dict({k: v.float() for k, v in w.items()}, strict=False)
    assert not unexpected and all("lm_head" in k or "position_ids" in k for k in missing), (missing, unexpected)
    model.tie_weights()
    model = model.float().eval()
    out = []
    for t in texts(c, False):
        more = {"token_type_ids": torch.tensor([t["types"]])} if kind == "bert" else {}
        out.append(model(torch.tensor([t["ids"]]), **more).logits[0].double())
    return out


def shown(seed, t):
    """norm, two projections"""
    flat = t.reshape(-1)
    r = [draw(seed + k, len(flat)) * (1024 / 105) for k in (0, 1)]
    return [flat.norm().item()] + [(flat @ x).item() for x in r]


def golden(name, c):
    kind = name.split("-")[0]
    words = kind != "bert" and not c["classes"] and "score" not in c
    w, a = WEIGHTS[kind](c), adapter(c, widths(kind, c))
    for t, want in zip(texts(c, words), library(kind, c, w)):
        have = FORWARD[kind](w, c, t["ids"], t["types"], {})
        assert (have - want).abs().max() < 1e-5 * want.abs().max(), f"{name}: not the library's"
    out = []
    for t in texts(c, words):
        z = FORWARD[kind](w, c, t["ids"], t["types"], a)
        for x in a.values():
            x.grad = None
        if words:
            kept = [i for i, x in enumerate(t["targets"]) if x >= 0]
            loss, scored = F.cross_entropy(z[kept], torch.tensor([t["targets"][i] for i in kept])), len(kept)
            z = z[-1]
        else:
            loss, scored = F.cross_entropy(z[None], torch.tensor([t["label"]])), 1
        loss.backward()
        grads = {k: shown(4000 + 2 * i, x.grad) for i, (k, x) in enumerate(a.items())}
        out.append(dict(t, logits=z.tolist(), loss=loss.item(), scored=scored, grads=grads))
    return out


def main():
    print("{" + ",\n".join(f"{json.dumps(k)}: " + "[\n" + ",\n".join(json.dumps(t) for t in golden(k, c)) + "]"
                           for k, c in MODELS.items()) + "}")


main()
