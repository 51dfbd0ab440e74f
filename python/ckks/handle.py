"""Pointers of the library that are freed once, and never while a call uses them."""
import threading
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Callable, Iterator, NoReturn, Optional, Type, TypeVar

from .errors import INTERNAL, CkksError

T = TypeVar("T", bound="Resource")


class Handle:
    """A pointer and how it ends.

    close() frees it (secrets are wiped by the library then): at once, or, while calls of other
    threads use it, when the last of them returns.  Afterwards borrow() refuses.
    """

    def __init__(self, what: str, pointer: int, free: Callable[[int], None]) -> None:
        self.what = what
        self._pointer, self._free = pointer, free
        self._lock = threading.RLock()
        self._users = 0
        self._open = True

    @property
    def closed(self) -> bool:
        return not self._open

    @contextmanager
    def borrow(self) -> Iterator[int]:
        """The pointer, for one call."""
        with self._lock:
            if not self._open:
                raise CkksError(INTERNAL, f"the {self.what} was closed")
            self._users += 1
        try:
            yield self._pointer
        finally:
            with self._lock:
                self._users -= 1
                last = not self._open and self._users == 0
            if last:
                self._free(self._pointer)

    def close(self) -> None:
        with self._lock:
            idle = self._open and self._users == 0
            self._open = False
        if idle:
            self._free(self._pointer)


class Resource:
    """What has a handle: `with`, close(), and an end with the last reference.  Neither copied by
    the copy module nor pickled: the pointer is this process's alone."""

    _handle: Optional[Handle] = None

    def close(self) -> None:
        """Frees it, and wipes what is secret.  Again: nothing."""
        if self._handle is not None:
            self._handle.close()

    @property
    def closed(self) -> bool:
        return self._handle is None or self._handle.closed

    def _borrow(self) -> Any:
        if self._handle is None:
            raise CkksError(INTERNAL, f"a {type(self).__name__} that was not made")
        return self._handle.borrow()

    def __enter__(self: T) -> T:
        with self._borrow():
            return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is not pickled or copied so: save it to a file")
