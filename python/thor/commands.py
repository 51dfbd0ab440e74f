"""Commands on this machine."""
from typing import List, Optional, Sequence

import numpy as np
from numpy.typing import NDArray

from .program import Path, Row, Text, ThorError, on_texts, rows_of, run, words_of


def keygen(out: Path, *, server_out: Optional[Path] = None, model: Optional[Path] = None,
           weights: Optional[Path] = None, tokens: Optional[int] = None,
           threads: Optional[int] = None, insecure: Optional[str] = None,
           timeout: Optional[float] = None) -> None:
    """Makes secret.key (mode 0600), public.key and eval.key for one model in the folder `out`.
    server_out: another folder for the server's half.  Never over a secret key: ThorError 6."""
    options = {"out": out, "server_out": server_out, "model": model, "weights": weights,
               "tokens": tokens, "threads": threads, "insecure_test_params": insecure}
    run(["keygen", *words_of(options)], timeout=timeout)


def encrypt(texts: Sequence[Text], keys: Path, out: Path, *, with_secret: bool = False,
            tickets: Optional[Path] = None, model: Optional[Path] = None,
            weights: Optional[Path] = None, tokens: Optional[int] = None,
            threads: Optional[int] = None, insecure: Optional[str] = None,
            timeout: Optional[float] = None) -> List[Row]:
    """Encrypts texts for `thor eval`: files out/0.ct, out/1.ct, ..; of one text the file `out`.

    texts        a list of texts, or of pairs of texts
    keys         folder with public.key
    with_secret  encrypt with secret.key: less noise
    tickets      where requests are noted for decrypt (keys/tickets.json)
    Returns a row a text: out (its file), target_idx, tokens (the bucket), ciphertexts, bytes.
    """
    options = {"keys": keys, "out": out, "with_secret": with_secret, "tickets": tickets,
               "model": model, "weights": weights, "tokens": tokens, "threads": threads,
               "insecure_test_params": insecure}
    return on_texts(["encrypt"], texts, options, timeout)


def decrypt(answers: Path, keys: Path, *, request: Optional[Path] = None,
            text: Optional[str] = None, top: Optional[int] = None, private: bool = False,
            tickets: Optional[Path] = None, model: Optional[Path] = None,
            threads: Optional[int] = None, insecure: Optional[str] = None,
            timeout: Optional[float] = None) -> List[Row]:
    """Decrypts a file or a folder of answers of `thor eval`.

    keys     folder with secret.key
    request  the request, or the folder of all, that must be answered
    text     the text that was encrypted: for the words of labels of tokens
    top      the most probable labels: how many
    private  values that are not rounded too; show them to nobody
    Returns a row an answer: in, request, pred, label, score (to 1/100), or what the model gives.
    ThorError 5 for an answer to no noted request; its .output has the rows of the others.
    """
    options = {"in": answers, "keys": keys, "request": request, "top": top, "private": private,
               "tickets": tickets, "model": model, "threads": threads,
               "insecure_test_params": insecure}
    words = ["decrypt", "--json", *words_of(options)]
    if text is not None:
        words += ["--text", "-"]
    return rows_of(run(words, text or "", timeout))


def classify(texts: Sequence[Text], *, model: Optional[Path] = None, keys: Optional[Path] = None,
             weights: Optional[Path] = None, approx: bool = False, top: Optional[int] = None,
             device: Optional[str] = None, compact: bool = False, threads: Optional[int] = None,
             insecure: Optional[str] = None, timeout: Optional[float] = None) -> List[Row]:
    """`thor forward`: client and server in one program, on this machine.

    keys, weights  made in memory unless they are named
    approx         no encryption: the polynomials in doubles, with noise
    Returns a row a text: pred, he_logits, plain_logits, seconds, max_abs_error, ..
    """
    options = {"model": model, "keys": keys, "weights": weights, "approx": approx, "top": top,
               "device": device, "compact": compact, "threads": threads,
               "insecure_test_params": insecure}
    return on_texts(["forward"], texts, options, timeout)


def embed(texts: Sequence[Text], model: Path, *, keys: Optional[Path] = None,
          weights: Optional[Path] = None, pool: Optional[str] = None, normalize: bool = False,
          approx: bool = False, private: bool = False, device: Optional[str] = None,
          compact: bool = False, threads: Optional[int] = None, insecure: Optional[str] = None,
          timeout: Optional[float] = None) -> NDArray[np.float64]:
    """Embeddings of texts, all layers on ciphertexts: float64 of shape (len(texts), hidden).

    pool       "mean" or "cls" (as the model says)
    normalize  to length 1 (as the model says)
    private    values as they are decrypted; otherwise rounded to a thousandth of the length, so
               that a cosine keeps 4 digits
    """
    options = {"model": model, "keys": keys, "weights": weights, "pool": pool,
               "normalize": normalize, "approx": approx, "private": private, "device": device,
               "compact": compact, "threads": threads, "insecure_test_params": insecure}
    rows = on_texts(["embed"], texts, options, timeout)
    if any("embedding" not in row for row in rows):
        raise ThorError(4, "thor embed: no embedding of a text was given")
    return np.array([row["embedding"] for row in rows], dtype=np.float64)
