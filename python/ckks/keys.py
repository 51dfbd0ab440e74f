"""Secret, public and evaluation keys."""
import ctypes
import os
from typing import Any, Callable, Iterable, Optional, Type, TypeVar, Union

from .context import Context, merged
from .errors import USAGE, CkksError
from .handle import Handle, Resource
from .library import NeedStruct, check, fixed, library, path_of, whole
from .params import Need, Params

Path = Union[str, "os.PathLike[str]"]
SEED = 32  # bytes of a seed: CKKS_SEED
ID = 16    # bytes of the name of a key pair
K = TypeVar("K", bound="_PairKey")


class _PairKey(Resource):
    """What secret and public keys have in common: freed alone, used by any number of threads."""

    _kind = ""

    @classmethod
    def _of(cls: Type[K], make: Callable[[Any], int]) -> K:
        self = cls.__new__(cls)
        self._take(make)
        return self

    def _take(self, make: Callable[[Any], int]) -> None:
        out = ctypes.c_void_p()
        check(make(ctypes.byref(out)))
        assert out.value is not None
        free = getattr(library(), f"ckks_{self._kind}_free")
        self._handle = Handle(f"{self._kind} key", out.value, free)

    @property
    def id(self) -> bytes:
        """16 bytes: the public name of the key pair, in every file made with it."""
        with self._borrow() as k:
            return ctypes.string_at(getattr(library(), f"ckks_{self._kind}_id")(k), ID)

    def save(self, path: Path) -> None:
        """Writes a file, whole or not at all; of a secret key with mode 0600 and never over
        another secret key.  CkksError IO."""
        with self._borrow() as k:
            check(getattr(library(), f"ckks_{self._kind}_save")(k, path_of(path)))

    @classmethod
    def load(cls: Type[K], path: Path, insecure: bool = False) -> K:
        """Reads such a file.  insecure: keys of insecure sets too.  CkksError KEY for a damaged
        file, an insecure set, or a secret key that others may read; IO where it is not there."""
        read = getattr(library(), f"ckks_{cls._kind}_load")
        return cls._of(lambda out: read(out, path_of(path), int(insecure)))


class SecretKey(_PairKey):
    """A secret key: uniform ternary, in guarded memory, wiped by close() and at the end of `with`.
    There is no way to its bytes but save()."""

    _kind = "secret"

    def __init__(self, params: Params, seed: Optional[bytes] = None) -> None:
        """seed: 32 bytes, for tests only; None: the system's random numbers."""
        seed = fixed(seed, SEED, "a seed")
        self._take(lambda out: library().ckks_secret_new(out, params._pointer, seed))


class PublicKey(_PairKey):
    """The public key of a secret key, for encryption alone."""

    _kind = "public"

    def __init__(self, context: Context, secret: SecretKey, seed: Optional[bytes] = None) -> None:
        seed = fixed(seed, SEED, "a seed")
        with context._using(secret) as (cx, s):
            self._take(lambda out: library().ckks_public_new(out, cx, s, seed))


class EvaluationKeys(Resource):
    """Keys of products, rotations and bootstraps.  They belong to a context; use() them there."""

    context: Context

    def __init__(self, context: Context, secret: SecretKey, needs: Iterable[Need],
                 seed: Optional[bytes] = None) -> None:
        """needs: from ckks.needs(), Params.need_..() and Bootstrap.needs(); lists may be joined,
        a key named twice is made once, for its highest level."""
        wanted = merged(list(needs))
        if not wanted:
            raise CkksError(USAGE, "an empty list of needs: there are no keys to make")
        seed = fixed(seed, SEED, "a seed")
        row = (NeedStruct * len(wanted))(
            *(NeedStruct(whole(n.id, "the name of a key", 0, 2**32 - 1),
                         whole(n.level, "a level", 0)) for n in wanted))
        with context._using(secret) as (cx, s):
            self._take(context, lambda out: library().ckks_keys_new(
                out, cx, s, row, len(wanted), seed, None, None))

    def _take(self, context: Context, make: Callable[[Any], int]) -> None:
        out = ctypes.c_void_p()
        check(make(ctypes.byref(out)))
        assert out.value is not None
        self.context = context
        self._handle = context._adopt("evaluation keys", out.value, library().ckks_keys_free)

    def close(self) -> None:
        """Frees them; a context that used them finds none."""
        if self._handle is None or self.closed:
            return
        with self.context._lock:
            if self.context._keys is self and not self.context.closed:
                self.context.use(None)
            self.context._release(self._handle)

    def save(self, path: Path) -> None:
        """Writes a file, whole or not at all.  CkksError IO."""
        with self.context._using(self) as (_, k):
            check(library().ckks_keys_save(k, path_of(path)))

    @classmethod
    def load(cls, context: Context, path: Path) -> "EvaluationKeys":
        """Reads such a file.  CkksError KEY for a damaged one, or of another set."""
        self = cls.__new__(cls)
        with context._using() as (cx,):
            self._take(context, lambda out: library().ckks_keys_load(out, cx, path_of(path)))
        return self
