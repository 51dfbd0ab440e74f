"""Ciphertexts and their arithmetic."""
import ctypes
from typing import Any, List, Optional, Sequence, Union

import numpy as np

from .context import Context
from .errors import INTERNAL, RANGE, CkksError
from .handle import Resource
from .keys import SecretKey
from .library import check, library, whole
from .slots import Complex, Real, Vector, parts, wipe

Number = Union[int, float, complex, "np.number[Any]"]
Operand = Union["Ciphertext", Number, Vector]
EXACT = 2**53  # whole numbers up to it are exact as doubles, which the library takes them by


def _is_whole(x: object) -> bool:
    return isinstance(x, (int, np.integer)) and not isinstance(x, (bool, np.bool_))


def _is_real(x: object) -> bool:
    return isinstance(x, (int, float, np.integer, np.floating, np.bool_))


def _real(x: Any) -> float:
    try:
        return float(x)
    except OverflowError:
        raise CkksError(RANGE, "a constant is too large") from None


def _is_plain(x: object) -> bool:
    return isinstance(x, (int, float, complex, np.number, np.bool_, np.ndarray))


def row_of(context: Context, n: int) -> int:
    """n empty ciphertexts in a row, of the library."""
    out = ctypes.c_void_p()
    check(library().ckks_ct_new(ctypes.byref(out), n))
    assert out.value is not None
    return out.value


class Ciphertext(Resource):
    """An encrypted vector of .slots complex numbers.

    With x and y ciphertexts of one context, a a numpy array of shape (2^k,), c a number:
        x + y, x - y, x + a, a - x, x + c, -x    no level; the lower of two levels
        x * y                                    one level, the key of products
        x * a, x * 0.5                           one level
        x * 3 (a whole number, |c| <= 2^53)      no level, exact
    Operands stay as they were.  CkksError INTERNAL: no level left, another context, a wrong shape,
    something closed; KEY: an evaluation key is missing; RANGE: a number that is too large, or NaN.
    """

    __array_ufunc__ = None  # numpy leaves  array * x  to us
    context: Context

    @classmethod
    def _take(cls, context: Context, row: int) -> "Ciphertext":
        self = cls.__new__(cls)
        free = library().ckks_ct_delete
        self.context = context
        self._handle = context._adopt("ciphertext", row, lambda pointer: free(pointer, 1))
        return self

    @classmethod
    def _make(cls, context: Context, name: str, *arguments: Any) -> "Ciphertext":
        """What the operation ckks_NAME(out, ..) writes.  In the context's turn."""
        row = row_of(context, 1)
        try:
            check(getattr(library(), "ckks_" + name)(row, *arguments))
        except BaseException:
            library().ckks_ct_delete(row, 1)
            raise
        return cls._take(context, row)

    def __init__(self) -> None:
        raise TypeError("ciphertexts are made by Context.encrypt(), zero(), load() and operations")

    def _with(self, name: str, *arguments: Any) -> "Ciphertext":
        """ckks_NAME(out, self, ..)."""
        with self.context._using(self) as (_, x):
            return self._make(self.context, name, x, *arguments)

    def _with_vector(self, name: str, a: object) -> "Ciphertext":
        with parts(a, self.slots) as v:
            return self._with(name, v.re, v.im, v.period)

    def close(self) -> None:
        """Frees its memory; again: nothing."""
        if self._handle is not None:
            self.context._release(self._handle)

    @property
    def level(self) -> int:
        """Products that may still follow."""
        with self.context._using(self) as (_, x):
            return int(library().ckks_ct_level(x))

    @property
    def slots(self) -> int:
        return self.context.slots

    # ---- sums and products

    def _pair(self, name: str, other: "Ciphertext") -> "Ciphertext":
        with self.context._using(self, other) as (_, x, y):
            return self._make(self.context, name, x, y)

    def __add__(self, other: Operand) -> "Ciphertext":
        if isinstance(other, Ciphertext):
            return self._pair("add", other)
        if _is_real(other):
            return self._with("add_const", _real(other))
        if _is_plain(other):
            return self._with_vector("add_plain", _vector(other))
        return NotImplemented

    __radd__ = __add__

    def __neg__(self) -> "Ciphertext":
        return self._with("mul_int", -1)

    def __sub__(self, other: Operand) -> "Ciphertext":
        if isinstance(other, Ciphertext):
            return self._pair("sub", other)
        if _is_real(other):
            return self + -_real(other)
        if not _is_plain(other):
            return NotImplemented
        with -self as negative, negative + other as turned:  # -other may not fit its type
            return -turned

    def __rsub__(self, other: Operand) -> "Ciphertext":
        if not _is_plain(other):
            return NotImplemented
        with -self as negative:
            return negative + other

    def __mul__(self, other: Operand) -> "Ciphertext":
        if isinstance(other, Ciphertext):
            return self._pair("mul", other)
        if _is_whole(other):
            if abs(int(other)) > EXACT:  # type: ignore[arg-type]
                raise CkksError(RANGE, f"a whole factor is at most 2^53, not {other}")
            return self._with("mul_int", int(other))  # type: ignore[arg-type]
        if _is_plain(other):
            return self._with_vector("mul_plain", _vector(other))
        return NotImplemented

    __rmul__ = __mul__

    def times_i(self, sign: int = 1) -> "Ciphertext":
        """i x (sign 1) or -i x (sign -1): no level."""
        if sign not in (1, -1):
            raise CkksError(INTERNAL, f"a sign is 1 or -1, not {sign}")
        return self._with("mul_i", sign)

    def rescale(self) -> "Ciphertext":
        """The end of a dot(.., rescale=False): one level."""
        return self._with("rescale")

    def at_level(self, level: int) -> "Ciphertext":
        """The same vector at a lower level."""
        return self._with("adjust", whole(level, "a level"))

    def copy(self) -> "Ciphertext":
        return self._with("copy")

    def chebyshev(self, coefficients: object) -> "Ciphertext":
        """sum of c[k] T_k(x), T_k the Chebyshev polynomials, slots of x in [-1, 1].

        coefficients  real, shape (degree + 1,), degree >= 1
        Costs ceil(log2(degree + 1)) levels, with the key of products.
        """
        c = np.array(coefficients, dtype=np.float64, order="C")
        if c.ndim != 1 or c.size < 2:
            raise CkksError(INTERNAL, f"coefficients have shape (degree + 1,), not {c.shape}")
        return self._with("cheb", c.ctypes.data, c.size - 1)

    # ---- rotations

    def rotate(self, r: int) -> "Ciphertext":
        """Slot s of the result is slot s + r, round the slots, as np.roll(x, -r).  The key
        Params.need_rotation(r)."""
        r = whole(r, "a rotation", -2**62, 2**62) % self.slots
        return self._with("rotate", r)

    def rotate_many(self, rotations: Sequence[int]) -> List["Ciphertext"]:
        """[rotate(r) for r in rotations], cheaper."""
        n = len(rotations)
        if n == 0:
            return []
        steps = [whole(r, "a rotation", -2**62, 2**62) % self.slots for r in rotations]
        with self.context._using(self) as (_, x):
            row = row_of(self.context, n)
            try:
                check(library().ckks_rotate_many(row, x, (ctypes.c_int * n)(*steps), n))
                return split_row(self.context, row, n)
            finally:
                library().ckks_ct_delete(row, n)

    def conj(self) -> "Ciphertext":
        """The complex conjugate: the key Params.need_conjugation()."""
        return self._with("conj")

    # ---- decryption

    def decrypt(self, secret: SecretKey, count: Optional[int] = None,
                bits: Optional[int] = None) -> Complex:
        """The slots, complex128 of shape (count,), or (.slots,).

        bits  rounds to multiples of 2^-bits, for results that others will see: at least 8 bits
              below the precision of the computation.  Without it keep the result private: its last
              bits carry the noise, and with it the key.
        CkksError KEY for a key of another set; a wrong key of the set gives random numbers.
        """
        n = self._count(count)
        out = np.empty(n, dtype=np.complex128)
        with self._open(secret, bits) as (re, im):
            out.real, out.imag = re[:n], im[:n]
        return out

    def decrypt_real(self, secret: SecretKey, count: Optional[int] = None,
                     bits: Optional[int] = None) -> Real:
        """Their real parts, float64 of the same shape."""
        n = self._count(count)
        with self._open(secret, bits) as (re, _):
            return re[:n].copy()

    def _count(self, count: Optional[int]) -> int:
        return self.slots if count is None else whole(count, "count", 0, self.slots)

    def _open(self, secret: SecretKey, bits: Optional[int]) -> "_Opened":
        if not isinstance(secret, SecretKey):
            raise CkksError(INTERNAL, f"decrypted by a SecretKey, not {secret!r}")
        if self.context.device == "dry":
            raise CkksError(INTERNAL, "a dry context has no numbers to decrypt")
        return _Opened(self, secret, bits)

    def __repr__(self) -> str:
        return "Ciphertext(closed)" if self.closed else f"Ciphertext(level {self.level})"


class _Opened:
    """Decrypted parts, wiped when they are left."""

    def __init__(self, x: Ciphertext, secret: SecretKey, bits: Optional[int]) -> None:
        self.re, self.im = np.zeros(x.slots), np.zeros(x.slots)
        with x.context._using(x, secret) as (_, ct, s):
            args = (self.re.ctypes.data, self.im.ctypes.data, ct, s)
            if bits is None:
                check(library().ckks_decrypt(*args))
            else:
                check(library().ckks_decrypt_rounded(*args, whole(bits, "bits", -60, 60)))

    def __enter__(self) -> "tuple[Real, Real]":
        return self.re, self.im

    def __exit__(self, *_: object) -> None:
        wipe(self.re, self.im)


def _vector(x: object) -> Any:
    """A number as a vector of one."""
    return x if isinstance(x, np.ndarray) else np.array([x])


def split_row(context: Context, row: int, n: int) -> List[Ciphertext]:
    """Copies of the n ciphertexts of a row, each of its own.  In the context's turn."""
    at = library().ckks_ct_at
    return [Ciphertext._make(context, "copy", at(row, i)) for i in range(n)]


def _array(pointers: Sequence[int]) -> Any:
    return (ctypes.c_void_p * len(pointers))(*pointers)


def _terms(x: Sequence[Ciphertext], what: str) -> Context:
    if not x:
        raise CkksError(INTERNAL, f"a {what} of no ciphertexts")
    return x[0].context


def dot(x: Sequence[Ciphertext], y: Sequence[Ciphertext], rescale: bool = True) -> Ciphertext:
    """sum of x[j] y[j], with one relinearisation for all: one level, the key of products.  Without
    `rescale` a product that only + - of the like, * by a whole number and rescale() take."""
    context, n = _terms(x, "sum of products"), len(x)
    if len(y) != n:
        raise CkksError(INTERNAL, f"a sum of products of {n} and {len(y)} ciphertexts")
    with context._using(*x, *y) as (_, *p):
        return Ciphertext._make(context, "dot", _array(p[:n]), _array(p[n:]), n, int(rescale))


def combine(x: Sequence[Ciphertext], c: Sequence[float], level: int,
            constant: float = 0.0) -> Ciphertext:
    """sum of c[j] x[j], + constant, at `level`, which is below that of every x[j]: one rescale."""
    context, n = _terms(x, "combination"), len(x)
    if len(c) != n:
        raise CkksError(INTERNAL, f"a combination of {n} ciphertexts by {len(c)} numbers")
    with context._using(*x) as (_, *p):
        return Ciphertext._make(context, "combine", _array(p), (ctypes.c_double * n)(*c), n,
                                constant, whole(level, "a level"))
