"""The known answers of tests/test_train.c: Adam and AdamW of PyTorch in double, with the schedule of split/adam.h.
Usage: adam.py (pip install torch)."""
import torch

WARMUP, STEPS = 3, 8


def rate(t, lr=0.05):
    return lr * (t / WARMUP if t <= WARMUP else (STEPS - t + 1) / (STEPS - WARMUP))


def run(kind):
    x = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64, requires_grad=True)
    o = kind([x], lr=1.0, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1)
    for t in range(1, STEPS + 1):
        o.param_groups[0]["lr"] = rate(t)
        i = torch.arange(1, 4, dtype=torch.float64)
        x.grad = (torch.sin(i * t) + x * x / i).detach()
        o.step()
    return ", ".join(repr(float(v)) for v in x)


for kind in (torch.optim.Adam, torch.optim.AdamW):
    print(f"{kind.__name__}: {run(kind)}")
