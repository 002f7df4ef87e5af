"""Ctrl-C and SIGTERM: how they end a call that runs trials, and how they wait for the end of a block."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

HURRY = 5.0  # seconds after an interrupt in which another one is ignored


@contextmanager
def interruptible(spares: Callable[[int], bool] = lambda _: False) -> Iterator[Callable[[], None]]:
    """A context in which SIGTERM raises KeyboardInterrupt as Ctrl-C does, with the signal as its argument.

    For HURRY seconds after that, neither does: who presses Ctrl-C twice would keep this process from returning its trials
    to the queue. In the main thread only, and not if the program has another use for SIGINT.

    It yields a function that raises the last interrupt again, if there was one: for use after code of others, which may
    have caught it (Lightning makes `sys.exit(1)` of it).

    spares: called with the signal; True if it is not to interrupt.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    deaf = -math.inf  # until when interrupts are ignored
    last: int | None = None  # the signal that raised one

    def interrupt(number: int, _: object) -> None:
        nonlocal deaf, last
        if time.monotonic() < deaf or spares(number):
            return
        deaf, last = time.monotonic() + HURRY, number
        raise KeyboardInterrupt(number)

    def insist() -> None:
        if last is not None:
            raise KeyboardInterrupt(last)

    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    before = {s: signal.getsignal(s) for s in (signal.SIGTERM, *((signal.SIGINT,) if usual else ()))}
    try:
        for s in before:
            signal.signal(s, interrupt)
        yield insist
    finally:
        for s, handler in before.items():
            signal.signal(s, signal.SIG_DFL if handler is None else handler)


@contextmanager
def deferred() -> Iterator[None]:
    """A context in which SIGINT and SIGTERM wait: the first that arrives is handled at its end. Between two statements it
    would leave a transaction open, and nobody to end it.

    Only in the main thread; no other thread gets signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[tuple[int, FrameType | None]] = []
    before = {s: h for s in (signal.SIGINT, signal.SIGTERM) if callable(h := signal.getsignal(s))}
    try:
        for s in before:
            signal.signal(s, lambda number, frame: arrived.append((number, frame)))
        yield
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
        for number, frame in arrived[:1]:
            before[signal.Signals(number)](number, frame)
