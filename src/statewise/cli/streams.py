"""Standard output and error that never end what writes to them, whether their reader goes away or they are ASCII."""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any

_PLAIN = {
    "±": "+/-",
    "−": "-",
    "–": "-",
    "×": "x",
    "·": "*",
    "…": "...",
    "≤": "<=",
    "≥": ">=",
    "\N{COMBINING CIRCUMFLEX ACCENT}": "^",
    "λ": "lambda",
    "ρ": "rho",
    "γ": "gamma",
    "α": "alpha",
    "ζ": "zeta",
    "τ": "tau",
}
"""What to write for characters that a stream's encoding lacks; "?" for all others."""

_READER_GONE = (errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO, errno.ECONNRESET)
_HANDLER = "statewise.plain"


def _plain(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return _PLAIN.get(error.object[error.start], "?"), error.start + 1


codecs.register_error(_HANDLER, _plain)


class Outlet:
    """A text stream as it was, but for its failures: after one, what is written is dropped, and `failure` says why.

    Characters that its encoding lacks are written in plain letters.
    """

    def __init__(self, stream: Any) -> None:
        self.failure: OSError | None = None
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or drop what can't be written; the number of characters."""
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        plain = text.encode(encoding, _HANDLER).decode(encoding)
        self._attempt(lambda: self._stream.write(plain))
        return len(text)

    def flush(self) -> None:
        """Write out what is buffered, or drop it."""
        self._attempt(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _attempt(self, action: Any) -> None:
        if self.failure is not None:
            return
        try:
            action()
        except OSError as error:
            self.failure = error
            self._discard()
        except ValueError as error:  # of a stream that was closed
            self.failure = OSError(errno.EBADF, str(error))

    def _discard(self) -> None:
        """Let the descriptor lead nowhere, or the interpreter would fail at the rest of the buffer when it ends."""
        with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), self._stream.fileno())


@contextlib.contextmanager
def lasting_streams() -> Iterator[tuple[Outlet, Outlet]]:
    """Put outlets in place of standard output and standard error, and flush them at the end."""
    _fill_closed_descriptors()
    previous = sys.stdout, sys.stderr
    with contextlib.ExitStack() as stack:
        for name, stream in zip(("stdout", "stderr"), previous, strict=True):
            if stream is None:  # the process began with it closed
                stream = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            setattr(sys, name, Outlet(stream))
        out, err = sys.stdout, sys.stderr
        try:
            yield out, err  # pyright: ignore[reportReturnType]
        finally:
            out.flush()
            err.flush()
            sys.stdout, sys.stderr = previous


def unwritten(outlet: Outlet) -> OSError | None:
    """Why not all that was written came out, as on a full disk; None where it did, or nobody reads any more."""
    return None if outlet.failure is None or outlet.failure.errno in _READER_GONE else outlet.failure


def _fill_closed_descriptors() -> None:
    """Open what is closed of the three standard descriptors, or the next file would get its number, and output."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
