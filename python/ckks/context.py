"""Contexts: where computing takes place."""
import ctypes
import os
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Callable, Iterator, List, Optional, Sequence, Set

from .errors import INTERNAL, USAGE, CkksError
from .handle import Handle, Resource
from .library import NeedStruct, check, library, whole
from .params import Need, Params
from .slots import parts

if TYPE_CHECKING:
    from .ciphertext import Ciphertext
    from .keys import EvaluationKeys, PublicKey, SecretKey

_DEVICES = {"cpu": 0, "cuda": 1, "dry": 2}


class Context(Resource):
    """A parameter set on a device, and everything that is made with it.

    Threads: the library allows one call at a time on a context, so that calls of several threads
    wait for each other here; different contexts run at once.  After os.fork() the child's calls
    are refused.  close() frees all ciphertexts, keys and bootstraps of the context.
    """

    def __init__(self, params: Params, device: str = "cpu", number: int = 0) -> None:
        """
        device  "cpu", "cuda", or "dry": computes nothing, notes the keys that would be used
        number  of "cpu": threads, 0 for all cores; of "cuda": of the GPU, from 0
        CkksError USAGE for a device that is not there.
        """
        if device not in _DEVICES:
            raise CkksError(USAGE, f"a device is one of {', '.join(_DEVICES)}, not {device!r}")
        self.params, self.device = params, device
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._mine: Set[Handle] = set()
        self._rng: Optional[Handle] = None
        self._keys: Optional[Resource] = None
        out = ctypes.c_void_p()
        number = whole(number, "a number of threads or of a GPU", 0)
        check(library().ckks_open_on(ctypes.byref(out), params._pointer, _DEVICES[device], number))
        assert out.value is not None
        self._handle = Handle("context", out.value, library().ckks_close)

    @property
    def slots(self) -> int:
        """Complex numbers in a ciphertext, N/2."""
        return self.params.slots

    def close(self) -> None:
        """Frees the context and all that was made with it; waits for a call that runs."""
        if self._handle is None or os.getpid() != self._process:
            return
        with self._lock:
            for handle in list(self._mine):
                handle.close()
            self._mine.clear()
            super().close()

    # ---- what ciphertexts, keys and bootstraps are made and used by

    @contextmanager
    def _using(self, *resources: Resource) -> Iterator[List[Any]]:
        """The context's turn: its pointer and those of resources, of which those that belong to a
        context must belong to this one."""
        if os.getpid() != self._process:
            raise CkksError(INTERNAL, "a context of before os.fork() is used in the child: "
                                      "open another there")
        with self._lock, ExitStack() as stack:
            for resource in resources:
                if getattr(resource, "context", self) is not self:
                    name = type(resource).__name__
                    raise CkksError(INTERNAL, f"the {name} is of another context")
            yield [stack.enter_context(r._borrow()) for r in (self, *resources)]

    def _adopt(self, what: str, pointer: int, free: Callable[[int], None]) -> Handle:
        """A handle that this context ends at the latest."""
        handle = Handle(what, pointer, free)
        self._mine.add(handle)
        return handle

    def _release(self, handle: Optional[Handle]) -> None:
        """Ends one of them, in the context's turn."""
        if handle is None or os.getpid() != self._process:
            return
        with self._lock:
            self._mine.discard(handle)
            handle.close()

    def _random(self) -> Any:
        if self._rng is None:
            out = ctypes.c_void_p()
            check(library().ckks_rng_new(ctypes.byref(out)))
            assert out.value is not None
            self._rng = self._adopt("random numbers", out.value, library().ckks_rng_free)
        return self._rng.borrow()

    # ---- for users

    def use(self, keys: "Optional[EvaluationKeys]") -> None:
        """From now on operations find evaluation keys in `keys`; None: in none."""
        with self._using(*([] if keys is None else [keys])) as pointers:
            library().ckks_use_keys(pointers[0], None if keys is None else pointers[1])
            self._keys = keys

    def encrypt(self, x: object, key: "SecretKey | PublicKey",
                level: Optional[int] = None) -> "Ciphertext":
        """Encrypts a vector.

        x      numpy array or list of real or complex numbers, shape (2^k,) of at most .slots;
               repeated to fill the slots
        key    a SecretKey (half the bytes and noise) or a PublicKey
        level  0 .. params.levels: products that can follow (all)
        CkksError INTERNAL for other shapes and levels; RANGE for NaN, infinity and numbers of
        2^61 / scale and more; KEY for a key of another set.
        """
        from .ciphertext import Ciphertext
        from .keys import PublicKey, SecretKey
        if not isinstance(key, (SecretKey, PublicKey)):
            raise CkksError(INTERNAL, f"encrypted under a SecretKey or a PublicKey, not {key!r}")
        if self.device == "dry":
            raise CkksError(INTERNAL, "a dry context encrypts nothing: use zero()")
        at = self.params.levels if level is None else whole(level, "a level")
        name = "encrypt_secret" if isinstance(key, SecretKey) else "encrypt_public"
        with parts(x, self.slots) as v, self._using(key) as (cx, k), self._random() as rng:
            return Ciphertext._make(self, name, cx, v.re, v.im, v.period, at, k, rng)

    def zero(self, level: Optional[int] = None) -> "Ciphertext":
        """An encryption of 0 without noise and key, which hides nothing: the operand of a dry run,
        and a neutral element.  level: 0 .. params.levels (all)."""
        from .ciphertext import Ciphertext
        at = self.params.levels if level is None else whole(level, "a level")
        with self._using() as (cx,):
            return Ciphertext._make(self, "zero", cx, at)

    def needs(self) -> List[Need]:
        """Of a "dry" context: the keys that its operations would use, each once."""
        with self._using() as (cx,):
            first = ctypes.c_void_p()
            n = library().ckks_needs(ctypes.byref(first), cx)
            if n == 0 or first.value is None:
                return []
            row = (NeedStruct * n).from_address(first.value)
            return [Need(one.id, one.level) for one in row]

    def __repr__(self) -> str:
        return f"Context({self.params.name} on {self.device}{', closed' if self.closed else ''})"


def needs(params: Params, circuit: Callable[..., object], *levels: int) -> List[Need]:
    """The keys that circuit(x, y, ..) uses, by a run that computes nothing.

    circuit  takes a ciphertext for each of `levels`, at that level; what it returns is dropped
    The list is for EvaluationKeys.
    """
    with Context(params, "dry") as dry:
        circuit(*(dry.zero(level) for level in levels))
        return dry.needs()


def merged(lists: Sequence[Need]) -> List[Need]:
    """Each name once, at its highest level."""
    level: "dict[int, int]" = {}
    for need in lists:
        level[need.id] = max(need.level, level.get(need.id, 0))
    return [Need(*item) for item in level.items()]
