"""numpy arrays as the library takes and gives vectors: real and imaginary parts apart."""
import ctypes
from contextlib import contextmanager
from typing import Any, Iterator, NamedTuple, Optional

import numpy as np
from numpy.typing import NDArray

from .errors import INTERNAL, CkksError

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]
Vector = NDArray[Any]


class Parts(NamedTuple):
    """Pointers to `period` numbers each; im is None for real vectors."""

    re: int
    im: Optional[int]
    period: int


def _checked(x: object, slots: int) -> Vector:
    a = np.asarray(x)
    if a.dtype.kind not in "fciub":
        raise CkksError(INTERNAL, f"a vector is of real or complex numbers, not {a.dtype}")
    n = a.size
    if a.ndim != 1 or n == 0 or n & (n - 1) or n > slots:
        raise CkksError(INTERNAL, f"a vector has shape (2^k,) of at most {slots} slots, not "
                                  f"{a.shape}: pad it with zeros, ckks.pad(x)")
    return a


@contextmanager
def parts(x: object, slots: int) -> Iterator[Parts]:
    """Copies of x, wiped at the end: x may be secret."""
    a = _checked(x, slots)
    re = np.array(a.real, dtype=np.float64, order="C")
    im = np.array(a.imag, dtype=np.float64, order="C") if a.dtype.kind == "c" else None
    try:
        yield Parts(re.ctypes.data, None if im is None else im.ctypes.data, a.size)
    finally:
        wipe(re, im)


def wipe(*arrays: Optional[Real]) -> None:
    """Zeros over their memory."""
    for a in arrays:
        if a is not None:
            ctypes.memset(a.ctypes.data, 0, a.nbytes)


def pad(x: object) -> Vector:
    """x, shape (n,), n >= 1, with zeros up to the next power of two: shape (2^k,), same dtype."""
    a = np.asarray(x)
    if a.ndim != 1 or a.size == 0:
        raise CkksError(INTERNAL, f"a vector has shape (n,), not {a.shape}")
    out = np.zeros(1 << (a.size - 1).bit_length(), dtype=a.dtype)
    out[:a.size] = a
    return out
