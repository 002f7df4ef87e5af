"""Time, for everything that runs a study: one object, so that a simulation can bring its own."""

import time
from typing import Protocol


class Clock(Protocol):
    """Seconds since the epoch, seconds of a monotonic clock, and a way to wait."""

    def now(self) -> float: ...

    def steady(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class System:
    """The machine's time."""

    def now(self) -> float:
        return time.time()

    def steady(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


SYSTEM = System()
