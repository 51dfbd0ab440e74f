"""libckks from Python: arithmetic on encrypted numpy vectors (RNS-CKKS), with bootstrapping.

    import ckks
    import numpy as np

    params = ckks.Params(log_n=14, levels=6)                   # refused below 128 bits
    with ckks.Context(params) as cx, ckks.SecretKey(params) as secret:
        x = cx.encrypt(np.arange(8) / 8, secret)
        keys = ckks.EvaluationKeys(cx, secret, ckks.needs(params, lambda x: x * x, x.level))
        cx.use(keys)
        print((x * x + 1).decrypt_real(secret, count=8))

The library is looked for at the first call (ckks.library.candidates); every failure is a CkksError.
Keep what decrypt() returns private, or round it: decrypt(secret, bits=..).
"""
from .bootstrap import Bootstrap
from .ciphertext import Ciphertext, combine, dot
from .context import Context, needs
from .errors import CkksError
from .files import Loaded, from_bytes, load, save, to_bytes
from .keys import EvaluationKeys, PublicKey, SecretKey
from .library import library as _library
from .params import Need, Params
from .slots import pad

__all__ = ["Bootstrap", "Ciphertext", "CkksError", "Context", "EvaluationKeys", "Loaded", "Need",
           "Params", "PublicKey", "SecretKey", "combine", "dot", "from_bytes", "load", "needs",
           "pad", "save", "to_bytes", "version"]


def version() -> str:
    """Of the library that runs, as "0.1.0"."""
    return str(_library().ckks_version().decode())
