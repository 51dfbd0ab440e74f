"""Bootstrapping: a ciphertext without levels gets them back."""
import ctypes
from typing import List

from .ciphertext import Ciphertext
from .context import Context
from .handle import Resource
from .library import NeedStruct, check, library, whole
from .params import Need, Params


class Bootstrap(Resource):
    """The matrices of a bootstrap of vectors of period 2^log_slots, for one context."""

    context: Context

    def __init__(self, context: Context, log_slots: int, complex_lanes: bool = False) -> None:
        """
        log_slots      of the period: at most log_n - 1
        complex_lanes  False: imaginary parts are dropped, the result is at params.levels; True:
                       they are kept, at the price of a level where vectors do not fill the slots
        CkksError KEY or USAGE for a set that has no levels for it (Params.bootstraps).
        """
        out = ctypes.c_void_p()
        with context._using() as (cx,):
            check(library().ckks_boot_new(ctypes.byref(out), cx, whole(log_slots, "log_slots"),
                                          int(complex_lanes)))
            assert out.value is not None
            self.context = context
            self._handle = context._adopt("bootstrap", out.value, library().ckks_boot_free)

    def close(self) -> None:
        """Frees its memory; again: nothing."""
        if self._handle is not None:
            self.context._release(self._handle)

    @staticmethod
    def levels(log_slots: int) -> int:
        """Levels that the input must still have."""
        return int(library().ckks_boot_levels(whole(log_slots, "log_slots")))

    @staticmethod
    def needs(params: Params, log_slots: int, complex_lanes: bool = False) -> List[Need]:
        """The keys of such a bootstrap, by a dry run."""
        first, n = ctypes.c_void_p(), ctypes.c_int()
        check(library().ckks_boot_needs(ctypes.byref(first), ctypes.byref(n), params._pointer,
                                        whole(log_slots, "log_slots"), int(complex_lanes)))
        assert first.value is not None
        try:
            row = (NeedStruct * n.value).from_address(first.value)
            return [Need(one.id, one.level) for one in row]
        finally:
            library().ckks_boot_needs_free(first)

    def __call__(self, x: Ciphertext) -> Ciphertext:
        """x with the levels of a fresh ciphertext, to about 2^-16 worst and 2^-20 mean.  Slots must
        be at most 8 in absolute value: beyond, the result is wrong and nothing tells."""
        with self.context._using(x, self) as (_, ct, b):
            return Ciphertext._make(self.context, "bootstrap", ct, b)
