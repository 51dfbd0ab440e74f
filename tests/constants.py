"""Makes the constants of the tree again and compares: constants.py [THOR].

  chain        ckks/params.c: primes, their order, the sums in its comment, by the rule in make_chain
  samples      tests/test_random.c: ChaCha20, BLAKE2b and the samplers by their definitions
  logits       tests/data/sst2-tiny-golden.jsonl by BERT's equations in plain Python, doubles
  architectures  tests/data/architectures.jsonl, made by the usual library with THOR_MAKE=1 (see library()), by the
               same equations in plain Python, from the folders that `THOR synth` writes
  nexttoken    divergence and log-sum in tests/test_nexttoken.c in plain Python
  gpt2         the logits in tests/test_gpt2.c by GPT-2's equations in plain Python, doubles
  heads        tests/data/heads.jsonl, embeddings and logits of tokens by the same equations (THOR_MAKE=1 makes them)
  tokens       tests/data/tokenizer.jsonl, tokenrules.jsonl by the reference tokenizer (pip install tokenizers)
  vocabularies tests/data/bytebpe.json, unigram.json, awkward.jsonl, pipelines.jsonl by the same: vocabularies.py
  characters   tests/test_vocabularies.c: classes of all characters by the same (THOR_FULL=1: half a minute)
  calibration  data/sst2-tiny/calibration.json by `THOR encode`, where ../shared has the training rows

Nothing of the engine is used but by `calibration`, and files that it writes by `architectures`.  THOR_FULL=1: every golden sentence (some 20 s) instead of eight."""
import hashlib
import json
import math
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from operator import mul

MASK = 0xFFFFFFFF


def source(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def array(text, name):
    """The numbers of the C array called `name`."""
    body = re.search(re.escape(name) + r"\[[^]]*\]\s*=\s*\{([^}]*)\}", text).group(1)
    return [int(x, 0) for x in re.findall(r"-?(?:0x[0-9a-fA-F]+|\d+)", body)]


def expect(have, want, what):
    if have != want:
        raise AssertionError(f"{what}: the tree has {str(have)[:200]}, made again it is {str(want)[:200]}")


# ---- chain


def is_prime(n):
    return all(n % d for d in range(2, math.isqrt(n) + 1))


def bits(primes):
    return sum(map(math.log2, primes))


def make_triples(ranks, aim):
    """Smallest, largest and what brings the three next to `aim` bits; then swaps while two triples come nearer to
    the mean."""
    mean, triples = bits(ranks) / 8, []
    while ranks:
        a, b = ranks.pop(0), ranks.pop()
        c = min(ranks, key=lambda x: abs(bits([a, b, x]) - aim))
        ranks.remove(c)
        triples.append([a, b, c])

    def cost(x, y):
        return (bits(x) - mean) ** 2 + (bits(y) - mean) ** 2

    moved = True
    while moved:
        moved = False
        for x, y in [(triples[i], triples[j]) for i in range(8) for j in range(i)]:
            for i, j in [(i, j) for i in range(3) for j in range(3)]:
                before = cost(x, y)
                x[i], y[j] = y[j], x[i]
                if cost(x, y) < before - 1e-12:
                    moved = True
                else:
                    x[i], y[j] = y[j], x[i]
    return [sorted(t) for t in triples]


def make_chain():
    """Primes = 1 mod 2^17 below 2^28: the 13 largest are special, the 48 next are mains; of these the outer 24 are
    pairs, smallest with largest.  Terminals: the two small ones whose product is nearest to half a triple's."""
    step = 1 << 17
    down = [p for p in range((1 << 28) - step + 1, 1 << 27, -step) if is_prime(p)]
    special, mains = down[:13], sorted(down[13:61])
    pairs = [[mains[i], mains[47 - i]] for i in range(12)]
    triples = make_triples(mains[12:36], bits(mains) / 16)
    half = bits(mains[12:36]) / 16
    small = [p for p in range(step + 1, 1 << 25, step) if is_prime(p)]
    ends = min(([a, b] for a in small for b in small if a < b), key=lambda t: abs(bits(t) - half))
    return ends, pairs[:1] + triples + pairs[1:], special


def chain():
    text = source("ckks/params.c")
    ends, groups, special = make_chain()
    made = ends + sum(groups, []) + special
    expect(array(text, "chain"), made, "chain of primes")
    said = [re.search(r + r"\s+bits", text).group(1) for r in (r"(41\.\d+)", r"(363\.\d+)", r"63 primes has (\S+)")]
    expect(said, [f"{bits(p):.2f}" for p in (ends, special, made)], "bits of terminals, specials and all")


# ---- samples


def chacha(key, domain, block):
    def turn(x, a, b, c, d):
        for p, q, r, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[p] = x[p] + x[q] & MASK
            v = x[r] ^ x[p]
            x[r] = (v << n | v >> 32 - n) & MASK

    start = list(struct.unpack("<16I", b"expand 32-byte k" + key + struct.pack("<QQ", block, domain)))
    x = start[:]
    for _ in range(10):
        for a, b, c, d in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                           (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            turn(x, a, b, c, d)
    return struct.pack("<16I", *(a + b & MASK for a, b in zip(x, start)))


def samples():
    text = source("tests/test_random.c")
    zero, key = bytes(32), bytes(range(32))
    expect(bytes(array(text, "block0")), chacha(zero, 0, 0)[:16], "block 0 of the zero key")
    expect(bytes(array(text, "block1")), chacha(zero, 0, 1)[:16], "block 1 of the zero key")
    stream = b"".join(chacha(key, 7, i) for i in range(400))
    modulus = int(re.search(r"ckks_rng_uniform\(&r, u, 1000, (\d+)\)", text).group(1))
    wide = (1 << (modulus - 1).bit_length()) - 1
    uniform = [w & wide for w in struct.unpack(f"<{len(stream) // 4}I", stream) if w & wide < modulus][:1000]
    words = struct.unpack("<1000Q", stream[:8000])
    coins = (1 << 21) - 1
    cbd = [bin(w & coins).count("1") - bin(w >> 21 & coins).count("1") for w in words]
    ternary = [p - 1 for byte in stream for p in (byte & 3, byte >> 2 & 3, byte >> 4 & 3, byte >> 6) if p < 3][:1000]
    expect(array(text, "uniform"), uniform[:8], "uniform")
    expect(array(text, "cbd"), cbd[:8], "cbd")
    expect(array(text, "ternary"), ternary[:8], "ternary")
    at, number, modulus = map(int, re.search(r"uniform_ref\(p, words, (\d+), (\d+), (\d+)\)", text).groups())
    made = [0] * number
    for block in range(number // 16):
        words = struct.unpack("<16I", chacha(key, at, block))
        rest = int("".join(f"{w >> 28:x}" for w in words), 16)
        for k, w in enumerate(words):
            r, below = divmod((((w & (1 << 28) - 1) << 64) + rest) * modulus, 1 << 92)
            made[block // 16 * 256 + 16 * k + block % 16], rest = r, below >> 28
    expect(array(text, "halves"), made[:8], "uniform halves of keys")
    expect(int(re.search(r"assert_int_equal\(p\[511\], (\d+)\)", text).group(1)), made[511], "the last of them")
    last = [int(x) for x in re.findall(r"assert_int_equal\((?:u\[999\]|c\[999\]|sum), (-?\d+)\)", text)]
    expect(last, [uniform[999], cbd[999], sum(ternary)], "numbers 999 and the sum")
    derived = hashlib.blake2b(b"thor seed v1\0" + struct.pack("<Q", 5), digest_size=32, key=key).digest()
    expect(bytes(array(text, "want")), derived[:8], "derived seed")


# ---- logits


def load_weights(path):
    with open(path, "rb") as f:
        raw = f.read()
    n, = struct.unpack("<Q", raw[:8])
    weights = {}
    for name, t in json.loads(raw[8:8 + n]).items():
        if t.get("dtype") != "F16":
            continue
        a, b = t["data_offsets"]
        flat = struct.unpack(f"<{(b - a) // 2}e", raw[8 + n + a:8 + n + b])
        cols = t["shape"][-1]
        rows = [flat[i:i + cols] for i in range(0, len(flat), cols)]
        weights[name] = rows if len(t["shape"]) == 2 else flat
    return weights


BERT = ("encoder.layer.{}.", "attention.self.query attention.self.key attention.self.value attention.output.dense "
        "attention.output.LayerNorm intermediate.dense output.dense output.LayerNorm")
NAMES = {  # what stands in front, each layer, q k v o ln1 ffn1 ffn2 ln2, dense of the head, classifier
    "bert": ("bert.", *BERT, "bert.pooler.dense", "classifier"),
    "distilbert": ("distilbert.", "transformer.layer.{}.", "attention.q_lin attention.k_lin attention.v_lin "
                   "attention.out_lin sa_layer_norm ffn.lin1 ffn.lin2 output_layer_norm", "pre_classifier", "classifier"),
    "roberta": ("roberta.", *BERT, "classifier.dense", "classifier.out_proj"),
    "electra": ("electra.", *BERT, "classifier.dense", "classifier.out_proj"),
    "albert": ("albert.", "encoder.albert_layer_groups.0.albert_layers.0.", "attention.query attention.key "
               "attention.value attention.dense attention.LayerNorm ffn ffn_output full_layer_layer_norm",
               "albert.pooler", "classifier"),
}


def gelu(a):
    return a / 2 * (1 + math.erf(a / math.sqrt(2)))


def gelu_new(a):
    return a / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a ** 3)))


def forward(w, config, ids, types):
    """The state before each layer and behind the last, and the logits, of the folder's architecture."""
    body, each, names, dense, classifier = NAMES[config["model_type"]]
    heads = config.get("n_heads") or config["num_attention_heads"]
    eps = config.get("layer_norm_eps", 1e-12)
    act = {"gelu": gelu, "gelu_new": gelu_new}[config.get("activation") or config["hidden_act"]]
    squash = {"distilbert": lambda a: max(a, 0), "electra": gelu}.get(config["model_type"], math.tanh)

    def linear(x, name):
        return [[b + sum(map(mul, row, v)) for row, b in zip(w[name + ".weight"], w[name + ".bias"])] for v in x]

    def norm(x, name):
        out = []
        for v in x:
            mean = sum(v) / len(v)
            root = math.sqrt(sum((a - mean) ** 2 for a in v) / len(v) + eps)
            out.append([(a - mean) / root * g + b for a, g, b in zip(v, w[name + ".weight"], w[name + ".bias"])])
        return out

    def add(x, y):
        return [[a + b for a, b in zip(u, v)] for u, v in zip(x, y)]

    def attend(q, k, v):
        size = len(q[0]) // heads
        out = [[] for _ in q]
        for h in range(0, len(q[0]), size):
            columns = list(zip(*(row[h:h + size] for row in v)))
            for i, row in enumerate(q):
                e = [math.exp(sum(map(mul, row[h:h + size], other[h:h + size])) / math.sqrt(size)) for other in k]
                out[i] += [sum(map(mul, e, column)) / sum(e) for column in columns]
        return out

    e = body + "embeddings."
    pad = config["pad_token_id"] if config["model_type"] == "roberta" else -1
    rows = [pad if t == pad else pad + sum(u != pad for u in ids[:i + 1]) for i, t in enumerate(ids)]
    x = add(*([w[e + name][r] for r in which] for name, which in
              (("word_embeddings.weight", ids), ("position_embeddings.weight", rows))))
    if e + "token_type_embeddings.weight" in w:
        x = add(x, [w[e + "token_type_embeddings.weight"][t] for t in types])
    x = norm(x, e + "LayerNorm")
    for to_hidden in ("embeddings_project", "encoder.embedding_hidden_mapping_in"):
        if body + to_hidden + ".weight" in w:
            x = linear(x, body + to_hidden)
    states = [x]
    for i in range(config.get("n_layers") or config["num_hidden_layers"]):
        q, k, v, o, ln1, ffn1, ffn2, ln2 = (body + each.format(i) + n for n in names.split())
        y = linear(attend(linear(x, q), linear(x, k), linear(x, v)), o)
        x = norm(add(x, y), ln1)
        x = norm(add(x, linear([[act(a) for a in v] for v in linear(x, ffn1)], ffn2)), ln2)
        states.append(x)
    return states, linear([[squash(a) for a in v] for v in linear(x[:1], dense)], classifier)[0]


def logits():
    w = load_weights("data/sst2-tiny/model.safetensors")
    c = json.loads(source("data/sst2-tiny/config.json"))
    lines = [json.loads(line) for line in source("tests/data/sst2-tiny-golden.jsonl").splitlines()]
    for o in lines if os.environ.get("THOR_FULL") == "1" else sorted(lines, key=lambda o: len(o["input_ids"]))[:8]:
        _, made = forward(w, c, o["input_ids"], [0] * len(o["input_ids"]))
        far = max(abs(a - b) for a, b in zip(made, o["logits"]))
        if far > 1e-5:  # six decimals of float32
            raise AssertionError(f"logits {o['logits']}: made again {made}")


# ---- architectures


def library(folder, ids, types):
    """forward() by the usual library, in doubles (pip install torch transformers safetensors)."""
    import torch
    import transformers
    from safetensors.torch import load_file
    config = transformers.AutoConfig.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_config(config)
    lost = model.load_state_dict(load_file(os.path.join(folder, "model.safetensors")), strict=False)
    expect(lost.unexpected_keys, [], "unexpected tensors")
    expect([k for k in lost.missing_keys if not k.endswith("position_ids")], [], "missing tensors")
    inputs = {"input_ids": torch.tensor([ids]), "token_type_ids": torch.tensor([types])}
    if config.model_type == "distilbert":
        del inputs["token_type_ids"]
    with torch.no_grad():
        out = model.double().eval()(**inputs, output_hidden_states=True)
    return [h[0].tolist() for h in out.hidden_states], out.logits[0].tolist()


def architectures():
    """Rows 0 and -1 of every state, and the logits, of the folders that tests/test_architecture.c writes too."""
    if len(sys.argv) < 2:
        return "no program is named"
    make, path = os.environ.get("THOR_MAKE") == "1", "tests/data/architectures.jsonl"
    cases = [json.loads(line) for line in source(path).splitlines()]
    for o in cases:
        with tempfile.TemporaryDirectory() as tmp:
            subprocess.run([sys.argv[1], "synth", "--config", "tests/data/architecture.json", "--arch", o["arch"],
                            "--seed", "7", "--texts", "1", "--out", tmp], check=True, stdout=subprocess.DEVNULL)
            if make:
                states, out = library(tmp, o["ids"], o["types"])
            else:
                config = json.loads(source(os.path.join(tmp, "config.json")))
                states, out = forward(load_weights(os.path.join(tmp, "model.safetensors")), config, o["ids"], o["types"])
        made = {"states": [[h[0], h[-1]] for h in states], "logits": out}
        if make:
            o.update(json.loads(json.dumps(made), parse_float=lambda x: round(float(x), 10)))
        else:
            near(o["arch"], {k: o[k] for k in made}, made, 1e-9)
    if make:
        with open(path, "w", encoding="utf-8") as f:
            f.writelines(json.dumps(o) + "\n" for o in cases)


# ---- heads


def embedding(x, cls, unit):
    """The mean of the rows, or the first one; to length 1."""
    e = x[0] if cls else [sum(column) / len(x) for column in zip(*x)]
    length = math.sqrt(sum(a * a for a in e)) if unit else 1
    return [a / length for a in e]


def heads():
    """Embeddings and logits of tokens by plain Python, of a folder that tests/test_heads.c writes too;
    THOR_MAKE=1 writes all but the tokens again."""
    if len(sys.argv) < 2:
        return "no program is named"
    path = "tests/data/heads.jsonl"
    have = [json.loads(line) for line in source(path).splitlines()]
    ids, types = have[0]["ids"], have[0]["types"]
    with tempfile.TemporaryDirectory() as tmp:
        subprocess.run([sys.argv[1], "synth", "--config", "tests/data/architecture.json", "--arch", "bert", "--seed", "7",
                        "--texts", "1", "--out", tmp], check=True, stdout=subprocess.DEVNULL)
        w = load_weights(os.path.join(tmp, "model.safetensors"))
        state = forward(w, json.loads(source(os.path.join(tmp, "config.json"))), ids, types)[0][-1]
    made = [{"ids": ids, "types": types}]
    made += [{"pool": "cls" if cls else "mean", "normalize": unit, "out": embedding(state, cls, unit)}
             for cls in (0, 1) for unit in (0, 1)]
    made.append({"tokens": [[b + sum(map(mul, row, v)) for row, b in zip(w["classifier.weight"], w["classifier.bias"])]
                            for v in state]})
    if os.environ.get("THOR_MAKE") == "1":
        rounded = json.loads(json.dumps(made), parse_float=lambda x: round(float(x), 10))
        with open(path, "w", encoding="utf-8") as f:
            f.writelines(json.dumps(o) + "\n" for o in rounded)
    else:
        near("heads", have, made, 1e-9)
# ---- gpt2


def tiny_gpt2(H, layers, vocab, positions):
    """The weights of tests/tinygpt2.c; a map is its rows, from input to outputs."""
    count = 0

    def tensor(rows, cols, gain, one=0):
        nonlocal count
        count += 1
        s, flat = count, []
        for _ in range(rows * (cols or 1)):
            s = (s * 1103515245 + 12345) & 0x7FFFFFFF
            flat.append(one + gain * ((s >> 16) % 211 - 105) / 1024)
        return [flat[i:i + cols] for i in range(0, len(flat), cols)] if cols else flat

    w = {"wte": tensor(vocab, H, 8), "wpe": tensor(positions, H, 2)}
    parts = (("ln_1", 0, 1, 1), ("c_attn", 1, 3, 4), ("attn.c_proj", 1, 1, 2),
             ("ln_2", 0, 1, 1), ("c_fc", 1, 4, 4), ("mlp.c_proj", 4, 1, 2))
    for l in range(layers):
        for name, a, b, gain in parts:
            first = tensor(a * H, b * H, gain) if a else tensor(H, 0, 1, 1)
            w[l, name] = first, tensor(b * H, 0, 1)
    w["ln_f"] = tensor(H, 0, 1, 1), tensor(H, 0, 1)
    return w


def gpt2_forward(w, ids, layers, heads):
    """Logits of the token after the last one, by the equations of GPT-2."""
    def linear(x, maps):
        columns = list(zip(*maps[0]))
        return [[b + sum(map(mul, v, c)) for c, b in zip(columns, maps[1])] for v in x]

    def norm(x, part):
        out = []
        for v in x:
            mean = sum(v) / len(v)
            root = math.sqrt(sum((a - mean) ** 2 for a in v) / len(v) + 1e-5)
            out.append([(a - mean) / root * g + b for a, g, b in zip(v, *part)])
        return out

    def attend(qkv, H):
        size, out = H // heads, [[] for _ in qkv]
        for h in range(0, H, size):
            for i, row in enumerate(qkv):
                e = [math.exp(sum(map(mul, row[h:h + size], other[H + h:H + h + size])) / math.sqrt(size))
                     for other in qkv[:i + 1]]
                out[i] += [sum(x * other[2 * H + c] for x, other in zip(e, qkv)) / sum(e)
                           for c in range(h, h + size)]
        return out

    def gelu_new(a):
        return a / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a ** 3)))

    x = [[a + b for a, b in zip(w["wte"][t], p)] for t, p in zip(ids, w["wpe"])]
    for l in range(layers):
        y = linear(attend(linear(norm(x, w[l, "ln_1"]), w[l, "c_attn"]), len(x[0])), w[l, "attn.c_proj"])
        x = [[a + b for a, b in zip(u, v)] for u, v in zip(x, y)]
        y = [[gelu_new(a) for a in v] for v in linear(norm(x, w[l, "ln_2"]), w[l, "c_fc"])]
        x = [[a + b for a, b in zip(u, v)] for u, v in zip(x, linear(y, w[l, "mlp.c_proj"]))]
    last = norm(x[-1:], w["ln_f"])[0]
    return [sum(map(mul, last, row)) for row in w["wte"]]


def gpt2():
    made = gpt2_forward(tiny_gpt2(16, 2, 12, 8), [11, 3, 7, 0, 5, 9], 2, 2)
    text = re.search(r"golden\[[^]]*\]\s*=\s*\{([^}]*)\}", source("tests/test_gpt2.c")).group(1)
    have = [float(x) for x in text.replace(",", " ").split()]
    if len(have) != 12 or max(abs(a - b) for a, b in zip(made, have)) > 1e-9:
        raise AssertionError(f"logits of the tiny GPT-2: made again {', '.join(f'{x:.10f}' for x in made)}")


# ---- next token


def nexttoken():
    text = source("tests/test_nexttoken.c")
    made, plain, have = (
        [float(x) for x in re.search(name + r"\[[^]]*\]\s*=\s*\{([^}]*)\}", text).group(1).replace(",", " ").split()]
        for name in ("made", "plain", "golden"))
    p, q = ([math.exp(a) / sum(map(math.exp, x)) for a in x] for x in (plain, made))
    want = [100 * sum(a * math.log(a / b) for a, b in zip(p, q)), math.log(sum(map(math.exp, made)))]
    if max(abs(a - b) for a, b in zip(want, have)) > 1e-9:
        raise AssertionError(f"next token: made again {', '.join(f'{x:.10f}' for x in want)}")


# ---- tokens


def tokenizer_json(names, normalizer, added):
    vocab = {name: i for i, name in enumerate(dict.fromkeys(names))}
    behind = len(vocab)
    for t in added:
        t["id"] = vocab.get(t["content"], behind)
        behind += t["id"] == behind
    return json.dumps({"added_tokens": added, "normalizer": normalizer, "pre_tokenizer": {"type": "BertPreTokenizer"},
                       "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", vocab["[SEP]"]],
                                          "cls": ["[CLS]", vocab["[CLS]"]]},
                       "model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": vocab,
                                 "continuing_subword_prefix": "##", "max_input_chars_per_word": 100}})


def tokens():
    try:
        import tokenizers
    except ImportError:
        return "the reference tokenizer is not installed (pip install tokenizers)"
    make = tokenizers.Tokenizer.from_str
    lower = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
             "lowercase": True}
    bert = make(tokenizer_json(source("data/sst2-tiny/vocab.txt").split("\n")[:-1], lower, []))
    for line in source("tests/data/tokenizer.jsonl").splitlines():
        o = json.loads(line)
        expect(o["ids"], bert.encode(o["text"]).ids, repr(o["text"]))
    first, *cases = source("tests/data/tokenrules.jsonl").splitlines()
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    names += [piece for c in json.loads(first)["chars"] for piece in (c, "##" + c)]
    for line in cases:
        o = json.loads(line)
        made = make(tokenizer_json(names, o["normalizer"], o["added"])).encode(o["text"]).ids
        expect(o["ids"], made, line)


def vocabularies():
    try:
        import tokenizers
    except ImportError:
        return "the reference tokenizer is not installed (pip install tokenizers)"
    sys.path.insert(0, "tests")
    import vocabularies as made
    for name, content in made.files(tokenizers):
        have = source(made.FOLDER + name).splitlines()
        expect(len(have), len(content.splitlines()), f"lines of {name}")
        for i, (line, again) in enumerate(zip(have, content.splitlines())):
            expect(line, again, f"line {i + 1} of {name}")


# ---- characters


def library_classes(tokenizers):
    """For each class of the test, in its order: is this character one?"""
    cut, norm = tokenizers.pre_tokenizers, tokenizers.normalizers
    mn, clean = (norm.BertNormalizer(clean_text=c, handle_chinese_chars=False, strip_accents=not c, lowercase=False)
                 for c in (False, True))

    def parted(pre):  # between two letters
        return lambda c: len(pre.pre_tokenize_str(f"a{c}a")) == 3

    def removed(pre):
        return lambda c: len("".join(text for text, _ in pre.pre_tokenize_str(f"({c})"))) == 2

    def dropped(step):
        return lambda c: step.normalize_str(f"a{c}b") == "ab"

    regex = [parted(cut.Split(tokenizers.Regex(rf"[^\P{{{k}}}a]"), "isolated")) for k in "LN"]
    return [lambda c: c == "a" or regex[0](c), regex[1], parted(cut.Digits(individual_digits=True)),
            removed(cut.WhitespaceSplit()), lambda c: len(cut.Whitespace().pre_tokenize_str(f"a{c}a")) == 1,
            parted(cut.Punctuation()), dropped(norm.StripAccents()), dropped(mn), dropped(clean),
            lambda c: norm.Lowercase().normalize_str(c) != c]


def characters():
    if os.environ.get("THOR_FULL") != "1":
        return "only with THOR_FULL=1"
    try:
        import tokenizers
    except ImportError:
        return "the reference tokenizer is not installed (pip install tokenizers)"
    have = re.findall(r"\{(?:bert_is_\w+|is_changed), (\d+), (0x[0-9a-f]+)\}", source("tests/test_vocabularies.c"))
    for i, member in enumerate(library_classes(tokenizers)):
        bits, n = bytearray(0x110000 // 8), 0
        for c in range(0x110000):
            if not 0xd800 <= c <= 0xdfff and member(chr(c)):
                bits[c // 8] |= 1 << c % 8
                n += 1
        expect((int(have[i][0]), int(have[i][1], 16)), (n, zlib.crc32(bits)), f"class {i} of characters")


# ---- calibration


def near(where, have, made, far=0.0):
    """What the file has, to 9 digits or `far`; fields that one of the two formats does not know are passed over."""
    if isinstance(have, dict):
        for key in have.keys() & made.keys():
            near(f"{where} {key}", have[key], made[key], far)
    elif isinstance(have, list):
        expect(len(have), len(made), f"length of {where}")
        for i, pair in enumerate(zip(have, made)):
            near(f"{where}[{i}]", *pair, far)
    elif not isinstance(have, float) or not math.isclose(have, made, rel_tol=1e-9, abs_tol=far):
        expect(have, made, where)


def calibration():
    table, folder = "../shared/data/sst2-tiny/train-sample.tsv", "data/sst2-tiny"
    if len(sys.argv) < 2 or not os.path.exists(table):
        return "no program is named, or the training rows are not here"
    with tempfile.TemporaryDirectory() as tmp:
        for name in ("config.json", "vocab.txt", "model.safetensors"):
            shutil.copy(os.path.join(folder, name), tmp)
        subprocess.run([sys.argv[1], "encode", "--model", tmp, "--calibrate", table, "--tokens", "64"], check=True,
                       stdout=subprocess.DEVNULL)
        made, have = (json.loads(source(os.path.join(d, "calibration.json"))) for d in (tmp, folder))
    near("calibration.json", have, made)


def main():
    count = {"PASSED": 0, "SKIPPED": 0, "FAILED": 0}
    for part in (chain, samples, logits, architectures, heads, gpt2, nexttoken, tokens, vocabularies, characters,
                 calibration):
        try:
            why = part()
            count["SKIPPED" if why else "PASSED"] += 1
            if why:
                print(f"[  SKIPPED ] {part.__name__}: {why}")
        except (AssertionError, OSError, ValueError, KeyError, AttributeError, subprocess.SubprocessError) as e:
            count["FAILED"] += 1
            print(f"FAILED: {part.__name__}: {e}")
    for word, n in count.items():
        if n or word == "PASSED":
            print(f"[  {word:<8}] {n} test(s).")
    return count["FAILED"] > 0


sys.exit(main())
