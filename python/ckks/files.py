"""Ciphertexts in files and as bytes."""
import ctypes
import os
import tempfile
from typing import List, NamedTuple, Sequence

from .ciphertext import Ciphertext, row_of, split_row
from .context import Context
from .errors import INTERNAL, CkksError
from .keys import ID, Path
from .library import check, fixed, library, path_of

NOTE = 32  # bytes of the note: CKKS_NOTE


class Loaded(NamedTuple):
    """ciphertexts, the name of their key pair (16 bytes), and the note (32 bytes)."""

    ciphertexts: List[Ciphertext]
    key_id: bytes
    note: bytes


def save(path: Path, x: Sequence[Ciphertext], key_id: bytes, note: bytes = bytes(NOTE)) -> None:
    """Writes ciphertexts of one context to a file, whole or not at all.

    key_id  .id of the key pair
    note    32 bytes, in the clear: what they are for, in your own form
    """
    if not x:
        raise CkksError(INTERNAL, "a file of no ciphertexts")
    fixed(key_id, ID, "the name of a key pair")
    fixed(note, NOTE, "a note")
    context = x[0].context
    with context._using(*x) as (_, *pointers):
        row = row_of(context, len(x))
        try:
            for i, pointer in enumerate(pointers):
                check(library().ckks_copy(library().ckks_ct_at(row, i), pointer))
            check(library().ckks_ct_save(row, len(x), key_id, note, path_of(path)))
        finally:
            library().ckks_ct_delete(row, len(x))


def load(path: Path, context: Context) -> Loaded:
    """Reads such a file.  CkksError KEY unless it belongs to the set of the context, and to its
    keys if it has any."""
    out, n = ctypes.c_void_p(), ctypes.c_int()
    key_id, note = ctypes.create_string_buffer(ID), ctypes.create_string_buffer(NOTE)
    with context._using() as (cx,):
        check(library().ckks_ct_load(ctypes.byref(out), ctypes.byref(n), key_id, note, cx,
                                     path_of(path)))
        assert out.value is not None
        try:
            return Loaded(split_row(context, out.value, n.value), key_id.raw, note.raw)
        finally:
            library().ckks_ct_delete(out, n.value)


def to_bytes(x: Sequence[Ciphertext], key_id: bytes, note: bytes = bytes(NOTE)) -> bytes:
    """What save() would write, by a file in a folder of its own, which is removed."""
    with tempfile.TemporaryDirectory(prefix="ckks-") as folder:
        path = os.path.join(folder, "x.ct")
        save(path, x, key_id, note)
        with open(path, "rb") as f:
            return f.read()


def from_bytes(data: bytes, context: Context) -> Loaded:
    """load() of bytes."""
    with tempfile.TemporaryDirectory(prefix="ckks-") as folder:
        path = os.path.join(folder, "x.ct")
        with open(path, "wb") as f:
            f.write(data)
        return load(path, context)
