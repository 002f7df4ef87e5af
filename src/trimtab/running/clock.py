"""Time, for everything that runs a study: one object, so that a simulation can bring its own."""

import time
from typing import Protocol


class Clock(Protocol):
    """What time it is, and a way to wait."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def steady(self) -> float:
        """Seconds of a monotonic clock, for durations: it never jumps."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class System:
    """The machine's time."""

    def now(self) -> float:
        return time.time()

    def steady(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


SYSTEM = System()
