"""Keeping slots busy while the record is written: if trials are short, one is claimed ahead of its slot; if they are
very short, several share a transaction.

A `Buffer` holds ends that are not recorded yet, and jobs that are claimed but not launched: at most as many as take
HELD seconds together. If a long trial blocks the main thread, the thread that renews leases empties it.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Sequence

from ..executors import Job
from ..records import State
from ..storage import Ending

SHORT = 0.1  # seconds: where trials are shorter, one is claimed ahead, so that no slot waits for the record
BRISK = 0.005  # seconds: where trials are shorter, a transaction costs more than one of them, and several share one
HELD = 0.05  # seconds of such trials that one transaction records
STUCK = 1.0  # seconds after which what is held for others' sake is recorded, or given back, however long a trial takes
KNOWN = 8  # trials, the last ones, by which it is judged how short they are


class Pace:
    """How short the last trials were."""

    def __init__(self) -> None:
        self._walls: deque[float] = deque(maxlen=KNOWN)

    def add(self, wall: float) -> None:
        self._walls.append(wall)

    def ahead(self, slots: int, stock: int) -> int:
        """How many trials to claim ahead of `slots` slots: one if several short ones run; up to `stock` if many of them
        fit into HELD seconds, fewer while few walls are known."""
        known = len(self._walls)
        mean = sum(self._walls) / known if known else math.inf
        if mean < BRISK and stock:
            trusted = stock if known == KNOWN else KNOWN * known
            return min(stock, trusted, int(HELD / max(mean, HELD / 1000)))
        all_short = known == KNOWN and max(self._walls) < SHORT
        return 1 if all_short and slots > 1 else 0


class Buffer:
    """Ends that are to be recorded, and jobs that wait for a slot. Shared by two threads."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._ends: list[Ending] = []
        self._jobs: list[Job] = []
        self._first = 0.0  # when the first of the ends came
        self._moved = 0.0  # when a trial last ended or started

    def moved(self) -> None:
        self._moved = time.monotonic()

    # ------------------------------------------------------------------------------------------------------------ ends

    @property
    def ends(self) -> int:
        return len(self._ends)

    @property
    def good(self) -> bool:
        """Whether no unrecorded trial has failed: what is to follow may depend on that."""
        with self._turn:
            return all(e.outcome.state is State.DONE for e in self._ends)

    def add(self, endings: Sequence[Ending]) -> None:
        with self._turn:
            self.moved()
            if not self._ends:
                self._first = self._moved
            self._ends += endings

    def take(self) -> list[Ending]:
        """The ends that are to be recorded; the caller owns them from now on."""
        with self._turn:
            taken, self._ends = self._ends, []
            return taken

    # ------------------------------------------------------------------------------------------------------------ jobs

    @property
    def jobs(self) -> int:
        return len(self._jobs)

    def wait(self, job: Job) -> None:
        with self._turn:
            self._jobs.append(job)

    def next(self) -> Job | None:
        """The job that has waited longest; the caller owns it from now on."""
        with self._turn:
            self.moved()
            return self._jobs.pop(0) if self._jobs else None

    def drop(self, job: Job) -> bool:
        """Remove a job that waits; whether it was there."""
        with self._turn:
            waits = job in self._jobs
            if waits:
                self._jobs.remove(job)
            return waits

    # ------------------------------------------------------------------------------------------------------------ both

    @property
    def growing(self) -> bool:
        """Whether to wait for more ends before recording."""
        return bool(self._jobs and self._ends) and self.good and time.monotonic() - self._first < HELD

    def stuck(self) -> list[Ending] | None:
        """The ends to be recorded, if a long trial has blocked the main thread or all slots for too long; else None."""
        with self._turn:
            if not (self._jobs or self._ends) or time.monotonic() - self._moved <= STUCK:
                return None
            taken, self._ends = self._ends, []
            return taken
