"""The client of thor from Python: encrypted classification and embeddings, here and at a server.

    import thor
    thor.keygen("keys")
    thor.classify(["a charming journey"])                       # all on this machine
    thor.encrypt(["a charming journey"], "keys", "up")          # client and server apart:
    thor.decrypt("down", "keys")                                # `thor eval` made down/ of up/
    vectors = thor.embed(["one text", "another"], model="models/minilm")
    thor.remote.login("http://127.0.0.1:8443", token)
    thor.remote.classify(["a charming journey"], "keys")

Each function runs the program `thor` once (that of the variable THOR, else of PATH), with no shell.
Texts and tokens go to its standard input, never into its arguments, which other users of a machine
can see.  A failure is a ThorError with the last line that the program said and its exit code.
Options that stand in several functions:
    model      model folder (the one that came with thor)
    weights    container of `thor encode`, whose ranges are used (the folder's)
    tokens     length bucket, that of the keys (as calibrated)
    threads    of the CPU (all cores)
    insecure   a toy set, toy10 .. toy13, for tests: no security at all
    timeout    seconds, then the program is killed: ThorError (none)
"""
from . import remote
from .commands import classify, decrypt, embed, encrypt, keygen
from .program import ThorError, program, run

__all__ = ["ThorError", "classify", "decrypt", "embed", "encrypt", "keygen", "program", "remote",
           "run"]
