"""Parameter sets, and the names of evaluation keys."""
import ctypes
from typing import Any, Callable, NamedTuple, Optional, Tuple

from .library import Literal, check, library, whole

RELIN = 0  # CKKS_KEY_RELIN


class Need(NamedTuple):
    """An evaluation key by name, and the highest level at which it is used."""

    id: int
    level: int


class Params:
    """A checked set: ring, chain of primes, levels.  Never changes; any thread may use it.

    Params(log_n=14, levels=6)            found and checked; CkksError KEY below 128 bits
    Params.named("n16")                   n16 (16 levels, bootstrapping) or n15 (9 levels)
    Params.named("toy10", insecure=True)  tests only: no security at all
    """

    def __init__(self, log_n: int, levels: int, *, level_bits: int = 42, base_bits: int = 60,
                 special_bits: int = 0, insecure: bool = False) -> None:
        """
        log_n         log2 of the ring's degree N: 12 .. 17 (insecure: from 10); N/2 slots
        levels        products that can follow one another
        level_bits    of each level and of the scale: 20 .. 28 or 40 .. 56
        base_bits     of level 0: 20 .. 28, 40 .. 56 or 60 .. 84, at least level_bits + 2; slots
                      must stay below 2^(base_bits - level_bits - 1) in absolute value
        special_bits  of the modulus of key switching; 0: as few as will do
        CkksError USAGE for a number that is impossible, KEY below 128 bits of security.
        """
        numbers = {"log_n": log_n, "base_bits": base_bits, "levels": levels,
                   "level_bits": level_bits, "special_bits": special_bits}
        literal = Literal(**{k: whole(v, k) for k, v in numbers.items()}, insecure=bool(insecure))
        self._find(lambda out: library().ckks_params_make(out, ctypes.byref(literal)))

    @classmethod
    def named(cls, name: str, insecure: bool = False) -> "Params":
        """The set of that name, or of one that .name gave."""
        self = cls.__new__(cls)
        self._find(lambda out: library().ckks_params_get(out, name.encode(), int(insecure)))
        return self

    def _find(self, make: Callable[[Any], int]) -> None:
        out = ctypes.c_void_p()
        check(make(ctypes.byref(out)))
        assert out.value is not None
        self._pointer = out.value

    @property
    def name(self) -> str:
        """In every file that belongs to the set."""
        return str(library().ckks_params_name(self._pointer).decode())

    @property
    def log_n(self) -> int:
        return int(library().ckks_params_log_n(self._pointer))

    @property
    def slots(self) -> int:
        """Complex numbers in a ciphertext, N/2."""
        return 1 << (self.log_n - 1)

    @property
    def levels(self) -> int:
        """Of a fresh ciphertext: products that can follow one another."""
        return int(library().ckks_params_levels(self._pointer))

    @property
    def security(self) -> int:
        """128 bits, or 0 of an insecure set."""
        return int(library().ckks_params_security(self._pointer))

    @property
    def log_qp(self) -> float:
        """Bits of the largest modulus of a key."""
        return float(library().ckks_params_log_qp(self._pointer))

    @property
    def bootstraps(self) -> bool:
        return bool(library().ckks_params_bootstraps(self._pointer))

    def scale(self, level: int) -> float:
        """Of ciphertexts at that level, 0 .. levels; 0.0 where there is no such level."""
        return float(library().ckks_params_scale(self._pointer, whole(level, "a level")))

    def need_relin(self, level: Optional[int] = None) -> Need:
        """The key of products of ciphertexts, up to that level (all)."""
        return Need(RELIN, self.levels if level is None else whole(level, "a level"))

    def need_rotation(self, r: int, level: Optional[int] = None) -> Need:
        """The key of rotate(r), r of either sign, taken round the slots."""
        r = whole(r, "a rotation", -2**62, 2**62) % self.slots
        name = int(library().ckks_key_rotation(self._pointer, r))
        return Need(name, self.need_relin(level).level)

    def need_conjugation(self, level: Optional[int] = None) -> Need:
        """The key of conj()."""
        name = int(library().ckks_key_conjugation(self._pointer))
        return Need(name, self.need_relin(level).level)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Params) and self._pointer == other._pointer

    def __hash__(self) -> int:
        return hash(self._pointer)

    def __repr__(self) -> str:
        size = f"{self.slots} slots, {self.levels} levels, {self.security} bits"
        return f"Params({self.name}: {size})"

    def __reduce__(self) -> Tuple[Callable[..., "Params"], Tuple[str, bool]]:
        return Params.named, (self.name, self.security == 0)
