"""Ctrl-C between two statements would leave a transaction open that nobody ends: here it waits for the end of a block."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_WAIT = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def deferred() -> Iterator[None]:
    """SIGINT and SIGTERM that come while it lasts are handled when it ends (in the main thread; no other one gets them)."""
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
