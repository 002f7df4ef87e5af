"""Deferring Ctrl-C to the end of a block: between two statements it would leave a transaction open, and nobody to end it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_DEFERRED = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def deferred() -> Iterator[None]:
    """A context in which SIGINT and SIGTERM wait: the first that arrives is handled at its end.

    Only in the main thread; no other thread gets signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[tuple[int, FrameType | None]] = []
    before = {s: h for s in _DEFERRED if callable(h := signal.getsignal(s))}
    try:
        for s in before:
            signal.signal(s, lambda number, frame: arrived.append((number, frame)))
        yield
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
        for number, frame in arrived[:1]:
            before[signal.Signals(number)](number, frame)
