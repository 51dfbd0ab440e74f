"""libckks by ctypes: where it is found, what its functions take, how their statuses become errors.

SIGNATURES follows include/ckks/*.h; tests/test_library.py reads the headers and compares.
"""
import ctypes
import ctypes.util
import functools
import os
import subprocess
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

from .errors import INTERNAL, IO, OK, USAGE, CkksError

MAJOR = 0  # of the soname
VERSION = (0, 1)  # the oldest that has all functions of SIGNATURES

_P, _I, _D = ctypes.c_void_p, ctypes.c_int, ctypes.c_double
_U, _L, _Z, _S = ctypes.c_uint32, ctypes.c_int64, ctypes.c_size_t, ctypes.c_char_p

SIGNATURES: Dict[str, Tuple[Any, List[Any]]] = {
    # status.h, params.h
    "error": (_S, []), "version": (_S, []),
    "params_get": (_I, [_P, _S, _I]), "params_make": (_I, [_P, _P]),
    "params_name": (_S, [_P]), "params_log_n": (_I, [_P]), "params_levels": (_I, [_P]),
    "params_security": (_I, [_P]), "params_log_qp": (_D, [_P]), "params_scale": (_D, [_P, _I]),
    "params_bootstraps": (_I, [_P]),
    # context.h
    "open_on": (_I, [_P, _P, _I, _I]), "close": (None, [_P]), "use_keys": (None, [_P, _P]),
    "key_rotation": (_U, [_P, _I]), "key_conjugation": (_U, [_P]), "needs": (_I, [_P, _P]),
    # keys.h
    "secret_new": (_I, [_P, _P, _P]), "secret_free": (None, [_P]), "secret_id": (_P, [_P]),
    "secret_save": (_I, [_P, _S]), "secret_load": (_I, [_P, _S, _I]),
    "public_new": (_I, [_P, _P, _P, _P]), "public_free": (None, [_P]), "public_id": (_P, [_P]),
    "public_save": (_I, [_P, _S]), "public_load": (_I, [_P, _S, _I]),
    "keys_new": (_I, [_P, _P, _P, _P, _I, _P, _P, _P]), "keys_free": (None, [_P]),
    "keys_save": (_I, [_P, _S]), "keys_load": (_I, [_P, _P, _S]),
    # cipher.h
    "ct_new": (_I, [_P, _I]), "ct_delete": (None, [_P, _I]), "ct_at": (_P, [_P, _I]),
    "ct_level": (_I, [_P]), "rng_new": (_I, [_P]), "rng_free": (None, [_P]),
    "encrypt_secret": (_I, [_P, _P, _P, _P, _Z, _I, _P, _P]),
    "encrypt_public": (_I, [_P, _P, _P, _P, _Z, _I, _P, _P]),
    "decrypt": (_I, [_P, _P, _P, _P]), "decrypt_rounded": (_I, [_P, _P, _P, _P, _I]),
    "zero": (_I, [_P, _P, _I]), "copy": (_I, [_P, _P]),
    "ct_save": (_I, [_P, _I, _P, _P, _S]), "ct_load": (_I, [_P, _P, _P, _P, _P, _S]),
    # arithmetic.h
    "adjust": (_I, [_P, _P, _I]), "add": (_I, [_P, _P, _P]), "sub": (_I, [_P, _P, _P]),
    "add_const": (_I, [_P, _P, _D]), "add_plain": (_I, [_P, _P, _P, _P, _Z]),
    "mul_i": (_I, [_P, _P, _I]), "mul_int": (_I, [_P, _P, _L]),
    "mul_plain": (_I, [_P, _P, _P, _P, _Z]), "mul": (_I, [_P, _P, _P]),
    "dot": (_I, [_P, _P, _P, _I, _I]), "rescale": (_I, [_P, _P]),
    "combine": (_I, [_P, _P, _P, _I, _D, _I]), "rotate": (_I, [_P, _P, _I]),
    "conj": (_I, [_P, _P]), "rotate_many": (_I, [_P, _P, _P, _I]),
    # bootstrap.h, transform.h
    "boot_new": (_I, [_P, _P, _I, _I]), "boot_free": (None, [_P]), "boot_levels": (_I, [_I]),
    "boot_needs": (_I, [_P, _P, _P, _I, _I]), "boot_needs_free": (None, [_P]),
    "bootstrap": (_I, [_P, _P, _P]), "cheb": (_I, [_P, _P, _P, _I]), "cheb_levels": (_I, [_I]),
}


class Literal(ctypes.Structure):
    """struct ckks_literal."""

    _fields_ = [(name, ctypes.c_int) for name in
                ("log_n", "base_bits", "levels", "level_bits", "special_bits", "insecure")]


class NeedStruct(ctypes.Structure):
    """struct ckks_need."""

    _fields_ = [("id", ctypes.c_uint32), ("level", ctypes.c_int)]


def _libdir() -> Iterator[str]:
    """What pkg-config says, where it is there and knows ckks."""
    try:
        said = subprocess.run(["pkg-config", "--variable=libdir", "ckks"], capture_output=True,
                              text=True, check=False)
    except OSError:
        return
    if said.returncode == 0 and said.stdout.strip():
        yield said.stdout.strip()


def candidates() -> Iterator[str]:
    """Files and names to try: CKKS_LIBRARY alone where it is set; else the file beside this
    package, that of pkg-config, that of the system's loader (ldconfig, LD_LIBRARY_PATH)."""
    named = os.environ.get("CKKS_LIBRARY")
    if named:
        yield named
        return
    soname = f"libckks.so.{MAJOR}"
    beside = Path(__file__).parent
    for folder in (beside, *map(Path, _libdir())):
        for name in (soname, "libckks.so"):
            if (folder / name).is_file():
                yield str(folder / name)
    yield ctypes.util.find_library("ckks") or soname


def _declare(cdll: ctypes.CDLL, path: str) -> ctypes.CDLL:
    """Types of all functions; refuses what is not libckks, or too old."""
    for name, (result, arguments) in SIGNATURES.items():
        try:
            function = getattr(cdll, "ckks_" + name)
        except AttributeError:
            raise CkksError(IO, f"{path}: has no ckks_{name}: not libckks, or another version "
                                "than this package; run `make install-lib` of the same "
                                "sources") from None
        function.restype, function.argtypes = result, arguments
    version = cdll.ckks_version().decode()
    numbers = tuple(int(part) for part in version.split(".")[:2])
    if numbers[0] != MAJOR or numbers < VERSION:
        raise CkksError(IO, f"{path}: version {version}, not {VERSION[0]}.{VERSION[1]} or a later "
                            f"{MAJOR}.x; run `make install-lib` of newer sources")
    return cdll


@functools.lru_cache(maxsize=None)
def library() -> ctypes.CDLL:
    """The library, opened at the first call."""
    why = ""
    for path in candidates():
        try:
            return _declare(ctypes.CDLL(path), path)
        except OSError as e:
            why = str(e)
    raise CkksError(IO, "libckks cannot be opened: run `make install-lib` in the sources of thor "
                        f"(PREFIX says where, ldconfig makes it known), or set CKKS_LIBRARY to the "
                        f"path of libckks.so ({why})")


def check(status: int) -> None:
    """Raises unless CKKS_OK.  In the thread of the call: the message is that thread's."""
    if status != OK:
        raise CkksError(status, library().ckks_error().decode(errors="replace"))


def whole(value: object, what: str, low: int = -2**31, high: int = 2**31 - 1) -> int:
    """An int within [low, high], of Python or numpy: ctypes itself would cut off high bits."""
    try:
        number = value.__index__()  # type: ignore[attr-defined]
    except AttributeError:
        raise CkksError(USAGE, f"{what} is a whole number, not {value!r}") from None
    if not low <= number <= high:
        raise CkksError(USAGE, f"{what} is {low} .. {high}, not {number}")
    return int(number)


def fixed(value: Optional[bytes], size: int, what: str) -> Optional[bytes]:
    """Bytes of that length, or None."""
    if value is not None and (not isinstance(value, bytes) or len(value) != size):
        raise CkksError(INTERNAL, f"{what} has {size} bytes")
    return value


def path_of(path: "os.PathLike[str] | str") -> bytes:
    """A path as the library takes it."""
    name = os.fsencode(path)
    if b"\0" in name:
        raise CkksError(USAGE, "a path has no zero bytes")
    return name
