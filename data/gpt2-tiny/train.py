#!/usr/bin/env python3
"""Makes the example GPT-2 of this folder: its vocabulary, its weights, its held-back sentences.

    apt-get download bible-kjv bible-kjv-text && for f in bible-kjv*.deb; do dpkg -x $f kjv; done
    python3 -m venv venv && venv/bin/pip install numpy jax
    nice venv/bin/python train.py kjv OUT

Then  thor encode --model OUT --calibrate OUT/calibration.txt --tokens 64  measures the ranges.
The text is the King James Bible of those Debian packages, whose copyright file says that its
copyright "is expired since the translation was done in 1611".  Every twentieth run of 50 verses is
held back.  Byte-level BPE of 1,024 tokens, learnt here; a sequence is <|endoftext|> and what follows
the beginning of a verse.  Takes some ten minutes of one core; prints the perplexity of the
held-back text; that of held-back.txt `thor generate --data` prints again."""
import collections
import json
import math
import os
import re
import struct
import subprocess
import sys

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
import jax
import jax.numpy as jnp
import numpy as np

H, LAYERS, HEADS, POSITIONS, VOCAB, EPS = 128, 3, 4, 128, 1024, 1e-5
BATCH, STEPS, RATE, SEED = 16, int(os.environ.get("STEPS", 1800)), 3e-3, 1611
END = "<|endoftext|>"


def verses(folder):
    """The verses, a line each; chapters' headings are left out."""
    out = subprocess.run([f"{folder}/usr/bin/bible", "-p", f"{folder}/usr/lib", "gen1:1-rev22:21"],
                         capture_output=True, text=True, check=True).stdout
    lines = []
    for line in out.splitlines():
        start = re.match(r" {1,3}(\d+) (.*)", line)
        if start:
            lines.append(start.group(2).strip())
        elif line and not re.fullmatch(r"[1-3A-Za-z' ]+ \d+", line):
            lines[-1] += " " + line.strip()
    return lines


def byte_names():
    """GPT-2's printable name of each byte."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    names, n = {b: chr(b) for b in keep}, 0
    for b in range(256):
        if b not in names:
            names[b], n = chr(256 + n), n + 1
    return names


WORDS = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")


def learn(text):
    """Vocabulary and merges: the most frequent pair again and again; of equals the first by name."""
    name = byte_names()
    count = collections.Counter(WORDS.findall(text))
    words = [([name[b] for b in w.encode()], n) for w, n in sorted(count.items())]
    vocab, merges = sorted(name.values(), key=lambda c: [*name.values()].index(c)), []
    while len(vocab) < VOCAB - 1:
        pairs = collections.Counter()
        for w, n in words:
            for pair in zip(w, w[1:]):
                pairs[pair] += n
        best = min(pairs, key=lambda p: (-pairs[p], p))
        merges.append(best)
        vocab.append(best[0] + best[1])
        words = [(merge(w, best), n) for w, n in words]
    return {t: i for i, t in enumerate(vocab + [END])}, merges


def merge(w, pair):
    if pair[0] not in w:
        return w
    out, i = [], 0
    while i < len(w):
        both = i + 1 < len(w) and (w[i], w[i + 1]) == pair
        out.append(w[i] + w[i + 1] if both else w[i])
        i += 1 + both
    return out


def encoder(vocab, merges):
    name, rank, cache = byte_names(), {m: i for i, m in enumerate(merges)}, {}

    def word(w):
        if w not in cache:
            t = [name[b] for b in w.encode()]
            while True:
                best = min(zip(t, t[1:]), key=lambda p: rank.get(p, VOCAB), default=None)
                if best not in rank:
                    break
                t = merge(t, best)
            cache[w] = [vocab[x] for x in t]
        return cache[w]

    return lambda text: [i for w in WORDS.findall(text) for i in word(w)]


def init():
    r = np.random.default_rng(SEED)

    def normal(*shape, by=0.02):
        return r.normal(0, by, shape).astype(np.float32)

    w = {"wte.weight": normal(VOCAB, H), "wpe.weight": normal(POSITIONS, H, by=0.01)}
    for l in range(LAYERS):
        for part, rows, cols in (("attn.c_attn", H, 3 * H), ("attn.c_proj", H, H),
                                 ("mlp.c_fc", H, 4 * H), ("mlp.c_proj", 4 * H, H)):
            scale = 0.05 / (math.sqrt(2 * LAYERS) if part.endswith("c_proj") else 1)
            w[f"h.{l}.{part}.weight"] = normal(rows, cols, by=scale)
            w[f"h.{l}.{part}.bias"] = np.zeros(cols, np.float32)
    for n in [f"h.{l}.ln_{i}" for l in range(LAYERS) for i in (1, 2)] + ["ln_f"]:
        w[n + ".weight"], w[n + ".bias"] = np.ones(H, np.float32), np.zeros(H, np.float32)
    return w


def norm(x, w, name):
    x = x - x.mean(-1, keepdims=True)
    x = x / jnp.sqrt((x * x).mean(-1, keepdims=True) + EPS)
    return x * w[name + ".weight"] + w[name + ".bias"]


def forward(w, ids):
    """Logits of every position."""
    b, n = ids.shape
    x = w["wte.weight"][ids] + w["wpe.weight"][:n]
    mask = jnp.tril(jnp.ones((n, n), bool))
    for l in range(LAYERS):
        p = f"h.{l}."
        y = norm(x, w, p + "ln_1") @ w[p + "attn.c_attn.weight"] + w[p + "attn.c_attn.bias"]
        q, k, v = (t.reshape(b, n, HEADS, H // HEADS).transpose(0, 2, 1, 3)
                   for t in jnp.split(y, 3, -1))
        s = jnp.where(mask, q @ k.transpose(0, 1, 3, 2) / math.sqrt(H // HEADS), -1e9)
        c = (jax.nn.softmax(s) @ v).transpose(0, 2, 1, 3).reshape(b, n, H)
        x = x + c @ w[p + "attn.c_proj.weight"] + w[p + "attn.c_proj.bias"]
        f = norm(x, w, p + "ln_2") @ w[p + "mlp.c_fc.weight"] + w[p + "mlp.c_fc.bias"]
        f = jax.nn.gelu(f, approximate=True)
        x = x + f @ w[p + "mlp.c_proj.weight"] + w[p + "mlp.c_proj.bias"]
    return norm(x, w, "ln_f") @ w["wte.weight"].T


def nats(w, ids):
    """Of every token but the first; -1 is no token."""
    logp = jax.nn.log_softmax(forward(w, jnp.maximum(ids[:, :-1], 0)))
    each = -jnp.take_along_axis(logp, jnp.maximum(ids[:, 1:], 0)[..., None], -1)[..., 0]
    return jnp.where(ids[:, 1:] >= 0, each, 0)


@jax.jit
def step(w, m, v, ids, t):
    loss, g = jax.value_and_grad(lambda w: nats(w, ids).mean())(w)
    rate = RATE * jnp.minimum(t / 100, 0.5 + 0.5 * jnp.cos(math.pi * t / STEPS)) + 1e-5
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
    v = jax.tree.map(lambda v, g: 0.99 * v + 0.01 * g * g, v, g)
    w = jax.tree.map(lambda w, m, v: w - rate * (m / (1 - 0.9 ** t)
                     / (jnp.sqrt(v / (1 - 0.99 ** t)) + 1e-8) + 0.01 * w), w, m, v)
    return w, m, v, loss


def train(parts):
    """parts: the tokens of every run of verses and where verses begin in it."""
    r, w = np.random.default_rng(SEED), init()
    m, v = jax.tree.map(np.zeros_like, w), jax.tree.map(np.zeros_like, w)
    places = [(p, s) for p, (ids, starts) in enumerate(parts) for s in starts
              if s + POSITIONS <= len(ids)]
    for t in range(1, STEPS + 1):
        ids = []
        for i in r.integers(0, len(places), BATCH):
            p, s = places[i]
            ids.append([VOCAB - 1] + parts[p][0][s:s + POSITIONS])
        w, m, v, loss = step(w, m, v, np.array(ids), t)
        if t % 100 == 0:
            print(f"step {t} loss {float(loss):.3f}", flush=True)
    return w


def save(w, path):
    head, at = {"__metadata__": {"format": "pt"}}, 0
    data = {n: np.asarray(x).astype("<f2").tobytes() for n, x in sorted(w.items())}
    for n, b in data.items():
        head[n] = {"dtype": "F16", "shape": list(w[n].shape), "data_offsets": [at, at + len(b)]}
        at += len(b)
    text = json.dumps(head).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(data.values()))


def packed(parts):
    """Whole verses from <|endoftext|> on, as many as fit in a row: each token stands in one row."""
    rows = []
    for ids, starts in parts:
        ends, s = starts[1:] + [len(ids)], starts[0]
        for i, e in enumerate(ends):
            nxt = ends[i + 1] if i + 1 < len(ends) else len(ids) + POSITIONS
            if nxt - s > POSITIONS - 1:
                rows.append([VOCAB - 1] + ids[s:e][:POSITIONS - 1])
                s = e
    return rows


def perplexity(w, rows):
    total = count = 0
    run = jax.jit(nats)
    for i in range(0, len(rows), 16):
        ids = [row + [-1] * (POSITIONS - len(row)) for row in (rows[i:i + 16] + [[-1]] * 16)[:16]]
        total += float(run(w, np.array(ids)).sum())
        count += sum(len(row) - 1 for row in rows[i:i + 16])
    return f"perplexity {math.exp(total / count):.4f} of {count} tokens"


def main(folder, out):
    lines = verses(folder)
    runs = [lines[i:i + 50] for i in range(0, len(lines), 50)]
    held, kept = runs[19::20], [r for i, r in enumerate(runs) if i % 20 != 19]
    vocab, merges = learn("\n".join("\n".join(r) for r in kept))
    encode = encoder(vocab, merges)

    def tokens(run):
        ids, starts = [], []
        for line in run:
            starts.append(len(ids))
            ids += encode(line + "\n")
        return ids, starts

    parts = [tokens(r) for r in kept]
    print(f"{len(lines)} verses, {sum(len(p[0]) for p in parts)} tokens to train on")
    w = {n: np.asarray(x).astype("<f2").astype(np.float32) for n, x in train(parts).items()}
    short = [v for r in held for v in r if 8 <= len(encode(v)) <= 30]
    short = short[::len(short) // 80][:80]
    print("held back:", perplexity(w, packed([tokens(r) for r in held])))
    print("held-back.txt, each alone:", perplexity(w, [[VOCAB - 1] + encode(v) for v in short]))
    os.makedirs(out, exist_ok=True)
    save(w, f"{out}/model.safetensors")
    with open(f"{out}/vocab.json", "w") as f:
        json.dump(vocab, f, ensure_ascii=False)
    with open(f"{out}/merges.txt", "w") as f:
        f.write("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    with open(f"{out}/config.json", "w") as f:
        json.dump({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "n_embd": H,
                   "n_layer": LAYERS, "n_head": HEADS, "n_inner": None, "n_positions": POSITIONS,
                   "vocab_size": VOCAB, "activation_function": "gelu_new",
                   "layer_norm_epsilon": EPS, "bos_token_id": VOCAB - 1,
                   "eos_token_id": VOCAB - 1}, f, indent=1)
        f.write("\n")
    with open(f"{out}/held-back.txt", "w") as f:
        f.writelines(v + "\n" for v in short)
    with open(f"{out}/calibration.txt", "w") as f:
        every = [v for r in kept for v in r]
        f.writelines(v + "\n" for v in every[::len(every) // 1500][:1500])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
