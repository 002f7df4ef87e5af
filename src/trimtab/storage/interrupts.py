"""Deferring Ctrl-C to the end of a block: between two statements it would leave a transaction open that nobody ends."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_WAIT = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def deferred() -> Iterator[None]:
    """A context at whose end SIGINT and SIGTERM that arrived meanwhile are handled (in the main thread, which alone
    gets them)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    before = {s: h for s in _WAIT if callable(h := signal.getsignal(s))}
    try:
        for s in before:
            signal.signal(s, lambda number, frame: came.append((number, frame)))
        yield
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
        for number, frame in came[:1]:
            before[signal.Signals(number)](number, frame)
