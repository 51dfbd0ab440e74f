"""Adapters against the PEFT library itself (pip install torch transformers peft; not used by `make check`).

  adapters.py make         writes tests/data/peft/NAME/, what tests/test_adapter.c reads: an adapter as the library
                           saves it (adapter/), config.json and the adapted tensors of a tiny random model
                           (model.safetensors), the same tensors merged by the library (merged.safetensors)
  adapters.py check THOR   merges of random adapters of larger models by THOR against the library's; adapters that
                           `THOR tune train` wrote, in the library: the same logits as the folder that THOR merged
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (BertConfig, BertForSequenceClassification, GPT2Config, GPT2LMHeadModel, LlamaConfig,
                          LlamaForCausalLM)

HERE = os.path.dirname(os.path.abspath(__file__))
TINY = os.path.join(HERE, "data", "peft")


def models(wide):
    """NAME: model, what is adapted, the rest of the adapter's configuration; `wide` is 1 for the tiny ones."""
    h = 8 * wide
    bert = BertConfig(hidden_size=h, num_hidden_layers=2, num_attention_heads=2, intermediate_size=2 * h, vocab_size=30,
                      max_position_embeddings=16, num_labels=2, architectures=["BertForSequenceClassification"])
    gpt2 = GPT2Config(n_embd=h, n_layer=1, n_head=2, n_inner=2 * h, vocab_size=30, n_positions=16, bos_token_id=29,
                      eos_token_id=29, architectures=["GPT2LMHeadModel"])
    llama = LlamaConfig(hidden_size=h, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2, vocab_size=30,
                        intermediate_size=2 * h, max_position_embeddings=16, bos_token_id=1, eos_token_id=2,
                        architectures=["LlamaForCausalLM"])
    return {
        "bert": (BertForSequenceClassification(bert), ["query", "value"],
                 {"task_type": "SEQ_CLS", "modules_to_save": ["classifier"]}),
        "gpt2": (GPT2LMHeadModel(gpt2), ["c_attn"], {"task_type": "CAUSAL_LM", "fan_in_fan_out": True}),
        "llama": (LlamaForCausalLM(llama), ["q_proj", "k_proj", "gate_proj", "down_proj"], {"task_type": "CAUSAL_LM"}),
    }


def adapted(model, maps, more):
    """The model with a random adapter, B included."""
    peft = get_peft_model(model, LoraConfig(r=2, lora_alpha=6, target_modules=maps, **more))
    with torch.no_grad():
        for name, p in peft.named_parameters():
            if p.requires_grad:
                p.copy_(torch.randn_like(p) * 0.3)
    return peft


def is_changed(name, maps):
    return name.endswith(".weight") and any(name[:-7].endswith(m) for m in maps) or name.startswith("classifier.")


def save(model, names, path):
    state = model.state_dict()
    save_file({k: state[k].clone().contiguous() for k in names}, path, {"format": "pt"})


def make():
    torch.manual_seed(16)
    for name, (model, maps, more) in models(1).items():
        to = os.path.join(TINY, name)
        shutil.rmtree(to, ignore_errors=True)
        os.makedirs(to)
        model.config.to_json_file(os.path.join(to, "config.json"))
        names = [k for k in model.state_dict() if is_changed(k, maps)]
        save(model, names, os.path.join(to, "model.safetensors"))
        peft = adapted(model, maps, more)
        peft.save_pretrained(os.path.join(to, "adapter"))
        os.remove(os.path.join(to, "adapter", "README.md"))
        save(peft.merge_and_unload(), names, os.path.join(to, "merged.safetensors"))


def check_merges(thor, scratch):
    for name, (model, maps, more) in models(8).items():
        base, adapter, out = (os.path.join(scratch, name + "-" + x) for x in ("base", "adapter", "out"))
        model.save_pretrained(base)
        peft = adapted(model, maps, more)
        peft.save_pretrained(adapter)
        subprocess.run([thor, "tune", "merge", "--model", base, "--adapter", adapter, "--out", out], check=True)
        ours = load_file(os.path.join(out, "model.safetensors"))
        theirs = peft.merge_and_unload().state_dict()
        worst = max(float((ours[k] - theirs[k]).abs().max()) for k in ours)
        print(f"{name}: {len(ours)} tensors, largest difference of a merge {worst:.1e}")
        assert worst < 2e-6 and all(k in theirs for k in ours)


def check_trained(thor, scratch):
    """data/sst2-tiny and data/gpt2-tiny tuned by THOR in doubles: the adapter in PEFT against the merged folder."""
    data = os.path.join(scratch, "rows.tsv")
    with open(data, "w", encoding="utf-8") as f:
        f.write("sentence\tlabel\n" + "a charming journey\t1\na dull and tedious film\t0\n" * 4)
    for name, kind, maps in (("sst2-tiny", BertForSequenceClassification, "q,v,down"),
                             ("gpt2-tiny", GPT2LMHeadModel, "q,v,up")):
        base = os.path.join(HERE, "..", "data", name)
        adapter, out = (os.path.join(scratch, name + "-" + x) for x in ("adapter", "out"))
        subprocess.run([thor, "tune", "train", "--plain", "--model", base, "--data", data, "--out", adapter,
                        "--rank", "4", "--maps", maps, "--steps", "3", "--lr", "1e-2"], check=True,
                       stdout=subprocess.DEVNULL)
        subprocess.run([thor, "tune", "merge", "--model", base, "--adapter", adapter, "--out", out], check=True)
        ids = torch.tensor([[5, 17, 200, 31, 9]])
        with torch.no_grad():
            plain = kind.from_pretrained(base, dtype=torch.float32).eval()
            before = plain(ids).logits
            peft = PeftModel.from_pretrained(plain, adapter).eval()(ids).logits
            merged = kind.from_pretrained(out, dtype=torch.float32).eval()(ids).logits
        print(f"{name}: logits moved by {float((peft - before).abs().max()):.3f}, in PEFT and merged they differ by "
              f"{float((peft - merged).abs().max()):.1e}")
        assert (peft - merged).abs().max() < 1e-4 < (peft - before).abs().max()


def main():
    if sys.argv[1:] == ["make"]:
        make()
    elif sys.argv[1:2] == ["check"] and len(sys.argv) == 3:
        torch.manual_seed(17)
        with tempfile.TemporaryDirectory() as scratch:
            check_merges(os.path.abspath(sys.argv[2]), scratch)
            check_trained(os.path.abspath(sys.argv[2]), scratch)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
