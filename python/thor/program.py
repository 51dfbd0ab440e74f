"""The program `thor`: where it is, one run of it, what it says."""
import json
import os
import shutil
import subprocess
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

Path = Union[str, "os.PathLike[str]"]
Text = Union[str, Tuple[str, str]]
Row = Dict[str, Any]
Option = Union[None, bool, int, float, Path]

NOT_FOUND, TIMED_OUT = 6, 9  # exit codes of thor: operating system; interrupted


class ThorError(Exception):
    """What failed.

    code     thor's exit code: 2 command line, 3 text, 4 model, 5 key or ciphertext, 6 operating
             system, 7 memory, 8 out of range, 9 interrupted, 1 a bug; below 0: killed by a signal
    message  the last line that it said, which names the thing and the mend
    output   what it had printed before, of other texts
    """

    def __init__(self, code: int, message: str, output: str = "") -> None:
        super().__init__(code, message, output)
        self.code, self.message, self.output = code, message, output

    def __str__(self) -> str:
        return f"{self.message} (exit code {self.code})"


def program() -> str:
    """The path of `thor`: THOR, else on PATH.  ThorError 6 where it is not."""
    named = os.environ.get("THOR")
    found = shutil.which(named or "thor")
    if found is None:
        raise ThorError(NOT_FOUND, f"{named or 'thor'}: no such program: run `make install` in the "
                                   "sources of thor, or set THOR to the path of the program")
    return found


def _message(code: int, stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    ours = [line for line in lines if line.startswith("thor")]
    return (ours or lines or [f"thor said nothing and ended with {code}"])[-1]


def run(words: Sequence[Path], stdin: str = "", timeout: Optional[float] = None) -> str:
    """What `thor WORDS..` prints.  Secrets belong into stdin: other users see the words."""
    command = [program(), *(os.fspath(word) for word in words)]
    try:
        done = subprocess.run(command, input=stdin.encode(), capture_output=True, timeout=timeout,
                              check=False)
    except subprocess.TimeoutExpired:
        raise ThorError(TIMED_OUT, f"thor {command[1]}: not done after {timeout} s") from None
    except OSError as e:
        raise ThorError(NOT_FOUND, f"{command[0]}: {e.strerror}") from None
    output = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        raise ThorError(done.returncode,
                        _message(done.returncode, done.stderr.decode(errors="replace")), output)
    return output


def words_of(options: Mapping[str, Option]) -> List[str]:
    """--name value of each: None and False are left out, True is the name alone."""
    words: List[str] = []
    for name, value in options.items():
        if value is None or value is False:
            continue
        words.append("--" + name.replace("_", "-"))
        if value is not True:
            words.append(str(value) if isinstance(value, (int, float)) else os.fspath(value))
    return words


def rows_of(output: str) -> List[Row]:
    """JSON lines."""
    return [json.loads(line) for line in output.splitlines()]


def _row(text: Text) -> Row:
    parts = (text,) if isinstance(text, str) else text
    if (not isinstance(parts, (tuple, list)) or len(parts) not in (1, 2)
            or not all(isinstance(part, str) for part in parts)):
        raise ThorError(2, f"a text is a str, a pair of texts a tuple of two, not {type(text)}")
    return dict(zip(("text", "text2"), parts))


def table(texts: Sequence[Text]) -> str:
    """Texts, or pairs of texts, as the JSON lines that `--data -` takes."""
    if isinstance(texts, str) or not texts:
        raise ThorError(2, "texts are a list of texts, or of pairs of texts, and not an empty one")
    return "".join(json.dumps(_row(text)) + "\n" for text in texts)


def on_texts(command: Sequence[str], texts: Sequence[Text], options: Mapping[str, Option],
             timeout: Optional[float]) -> List[Row]:
    """One JSON object for each text, in their order."""
    words = [*command, "--data", "-", "--index", f"0..{len(texts) - 1}", "--json"]
    rows = rows_of(run([*words, *words_of(options)], table(texts), timeout))
    if [row.get("target_idx") for row in rows] != list(range(len(texts))):
        raise ThorError(1, f"{' '.join(command)}: {len(rows)} answers to {len(texts)} texts")
    return rows
