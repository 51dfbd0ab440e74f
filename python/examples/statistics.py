"""Mean and variance of numbers that the computing side never sees: examples/statistics.c in Python.

Cells (# %%) are those of a notebook.  It runs in seconds, at 128 bits."""
# %% a client's measurements: 1,000 numbers, padded to the period 1,024
import numpy as np

import ckks

COUNT = 1000
values = 20 + 3 * np.sin(np.arange(COUNT))
OFFSET, UNIT = 20.0, 4.0  # of the instrument, known to all: slots lie in [-1, 1]
x = ckks.pad((values - OFFSET) / UNIT)  # what is behind COUNT is 0


# %% what the server computes: mean = sum x / n, variance = sum x^2 / n - mean^2
def sum_slots(v: ckks.Ciphertext) -> ckks.Ciphertext:
    """Every slot = the sum of the period."""
    for k in range(10):
        v = v + v.rotate(2**k)
    return v


def statistics(v: ckks.Ciphertext) -> "tuple[ckks.Ciphertext, ckks.Ciphertext]":
    mean = sum_slots(v * (1 / COUNT))
    return mean, sum_slots(v * v * (1 / COUNT)) - mean * mean


# %% keys of exactly these operations, by a run that computes nothing
params = ckks.Params(log_n=14, levels=2)
print(params)
needs = ckks.needs(params, statistics, params.levels)

# %% the client encrypts, the server computes, the client decrypts; `with` frees all and wipes the
# key.  Results that others will see are rounded 8 bits below the precision of about 2^-25.
with ckks.Context(params) as cx, ckks.SecretKey(params) as secret:
    public = ckks.PublicKey(cx, secret)
    cx.use(ckks.EvaluationKeys(cx, secret, needs))
    mean, variance = statistics(cx.encrypt(x, public))
    found = [OFFSET + UNIT * mean.decrypt_real(secret, 1, bits=16)[0],
             UNIT**2 * variance.decrypt_real(secret, 1, bits=16)[0]]

# %% against numpy
for name, got, want in zip(("mean", "variance"), found, (values.mean(), values.var())):
    print(f"{name:8} {got:.4f}, numpy {want:.4f}")
    assert abs(got - want) < UNIT**2 * 2**-16, name
