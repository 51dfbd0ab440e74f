"""The one exception of the package."""

OK, INTERNAL, USAGE, KEY, IO, MEMORY, RANGE = 0, 1, 2, 5, 6, 7, 8
_NAMES = {INTERNAL: "INTERNAL", USAGE: "USAGE", KEY: "KEY", IO: "IO", MEMORY: "MEMORY",
          RANGE: "RANGE"}


class CkksError(Exception):
    """What failed, in one line with its mend.

    status  the number of enum ckks_status
    name    its name: INTERNAL (misuse: levels, contexts, shapes, something that was closed), USAGE
            (no such set, device or value), KEY (missing, damaged, insecure, of others), IO, MEMORY,
            RANGE (a number for which the result would be wrong)
    message the line
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.name = _NAMES.get(status, f"status {status}")
        self.message = message

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"
