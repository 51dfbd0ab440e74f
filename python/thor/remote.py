"""A server of `thor serve`: `thor remote`.

login   where address and token are kept, mode 0600 (~/.config/thor/remote.json)
wait    seconds to wait for a busy server, a call (600)
"""
import json
from typing import List, Optional, Sequence

from .program import Path, Row, Text, on_texts, run, words_of


def login(url: str, token: str, *, cacert: Optional[Path] = None, plain_http: bool = False,
          login: Optional[Path] = None, timeout: Optional[float] = None) -> None:
    """Tries a token of `thor serve token` at https://HOST[:PORT] and keeps both.

    cacert      certificates to trust instead of the system's, PEM
    plain_http  allow http:// to another machine: the token can be read on the way
    ThorError 5 for a token that is refused, 6 where no server answers.
    """
    options = {"cacert": cacert, "plain_http": plain_http, "login": login}
    run(["remote", "login", url, *words_of(options)], token + "\n", timeout)


def upload(keys: Path, *, on: Optional[str] = None, tokens: Optional[int] = None,
           login: Optional[Path] = None, wait: Optional[float] = None,
           timeout: Optional[float] = None) -> Row:
    """Sends eval.key of the folder and nothing else; goes on where an upload was cut off.
    on: the model there (the one whose keys have this size)."""
    options = {"keys": keys, "on": on, "tokens": tokens, "login": login, "wait": wait}
    row: Row = json.loads(run(["remote", "upload", "--json", *words_of(options)], "", timeout))
    return row


def classify(texts: Sequence[Text], keys: Path, *, model: Optional[Path] = None,
             weights: Optional[Path] = None, tokens: Optional[int] = None,
             top: Optional[int] = None, threads: Optional[int] = None,
             login: Optional[Path] = None, wait: Optional[float] = None,
             insecure: Optional[str] = None, timeout: Optional[float] = None) -> List[Row]:
    """Encrypts texts here, has the server compute on them, decrypts its answers here.
    keys: folder with secret.key.  Returns a row a text: pred, label, score (to 1/100), ..
    ThorError 5 for an answer that is not to the request."""
    options = {"keys": keys, "model": model, "weights": weights, "tokens": tokens, "top": top,
               "threads": threads, "login": login, "wait": wait, "insecure_test_params": insecure}
    return on_texts(["remote", "classify"], texts, options, timeout)


def status(*, login: Optional[Path] = None, wait: Optional[float] = None,
           timeout: Optional[float] = None) -> Row:
    """account, models, keys and jobs at the server."""
    options = {"login": login, "wait": wait}
    row: Row = json.loads(run(["remote", "status", "--json", *words_of(options)], "", timeout))
    return row


def drop(keys: Path, *, login: Optional[Path] = None, wait: Optional[float] = None,
         timeout: Optional[float] = None) -> None:
    """Removes a pair's keys from the server."""
    options = {"keys": keys, "login": login, "wait": wait}
    run(["remote", "drop", *words_of(options)], "", timeout)
