"""Stopping at the border of a block instead of in the middle of one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop; it has been checkpointed and can be resumed.

    A KeyboardInterrupt, so that `except Exception` around a loop over seeds doesn't swallow Ctrl-C.
    """


_of_main_thread: threading.Event | None = None
"""The flag while the main thread is within `stop_requests`."""

_STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Turn SIGINT, SIGTERM and SIGHUP into a flag, to be read at block borders; a second one acts as ever.

    One that the process ignores stays ignored, as SIGHUP does under `nohup`. Outside of the main thread, where signals
    can't be handled, the flag is that of the main thread if it is waiting within `stop_requests`, or never raised.
    """
    global _of_main_thread
    if threading.current_thread() is not threading.main_thread():
        yield (_of_main_thread or threading.Event()).is_set
        return
    requested, outer = threading.Event(), _of_main_thread
    handlers = {number: signal.getsignal(number) for number in _STOPPING}
    # None stands for a handler that isn't Python's, and couldn't be put back.
    previous = {number: handler for number, handler in handlers.items() if handler not in (signal.SIG_IGN, None)}

    def request(number: int, frame: Any) -> None:
        del frame
        requested.set()
        signal.signal(number, previous[signal.Signals(number)])

    _of_main_thread = requested
    for number in previous:
        signal.signal(number, request)
    try:
        yield requested.is_set
    finally:
        _of_main_thread = outer
        for number, handler in previous.items():
            signal.signal(number, handler)
