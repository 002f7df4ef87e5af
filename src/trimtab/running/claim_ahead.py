"""Keeping slots busy while the record is written. If trials are short, one more than there are slots is claimed; if they
are very short, many are, and one transaction records several.

A `Buffer` holds ends that are not recorded yet, and jobs that are claimed but not launched: at most as many as take
HELD seconds together. If a long trial blocks the main thread, the thread that renews leases empties the buffer.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Sequence

from ..executors import Job
from ..records import State
from ..storage import Ending

SHORT = 0.1  # seconds: if trials are shorter, one is claimed ahead, so that no slot waits for the record
VERY_SHORT = 0.005  # seconds: if trials are shorter, a transaction costs more than one of them, and several share one
HELD = 0.05  # seconds of very short trials that one transaction records
STUCK = 1.0  # seconds without an end or a start after which the buffer is emptied, however long a trial takes
KNOWN = 8  # the number of latest trials by which it is judged how short trials are


class Pace:
    """How short the last trials were."""

    def __init__(self) -> None:
        self._walls: deque[float] = deque(maxlen=KNOWN)

    def add(self, wall: float) -> None:
        self._walls.append(wall)

    def ahead(self, slots: int, most: int) -> int:
        """How many trials to claim beyond the `slots` that can run at once.

        One if trials are short and there are several slots. If they are very short, as many as fit into HELD seconds,
        up to `most`; fewer as long as few trials have ended.
        """
        known = len(self._walls)
        mean = sum(self._walls) / known if known else math.inf
        if mean < VERY_SHORT and most:
            trusted = most if known == KNOWN else KNOWN * known
            return min(most, trusted, int(HELD / max(mean, HELD / 1000)))
        all_short = known == KNOWN and max(self._walls) < SHORT
        return 1 if all_short and slots > 1 else 0


class Buffer:
    """Ends to be recorded, and jobs that wait for a slot. Used by two threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: list[Ending] = []
        self._jobs: list[Job] = []
        self._first = 0.0  # when the first of these ends came
        self._touched = 0.0  # when a trial last ended or started

    def touch(self) -> None:
        """Note that a trial has ended or started."""
        self._touched = time.monotonic()

    # ------------------------------------------------------------------------------------------------------------ ends

    @property
    def unrecorded(self) -> int:
        """How many ends are held."""
        return len(self._ends)

    @property
    def all_done(self) -> bool:
        """Whether all unrecorded ends are of trials that are done: after a failure, the next trials may not be wanted."""
        with self._lock:
            return all(e.outcome.state is State.DONE for e in self._ends)

    def add(self, endings: Sequence[Ending]) -> None:
        with self._lock:
            self.touch()
            if not self._ends:
                self._first = self._touched
            self._ends += endings

    def take(self) -> list[Ending]:
        """The ends that are to be recorded; the caller owns them from now on."""
        with self._lock:
            taken, self._ends = self._ends, []
            return taken

    # ------------------------------------------------------------------------------------------------------------ jobs

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return len(self._jobs)

    def wait(self, job: Job) -> None:
        with self._lock:
            self._jobs.append(job)

    def next_job(self) -> Job | None:
        """The job that has waited longest; the caller owns it from now on."""
        with self._lock:
            self.touch()
            return self._jobs.pop(0) if self._jobs else None

    def drop(self, job: Job) -> bool:
        """Remove a job that waits. Returns whether it was there."""
        with self._lock:
            waits = job in self._jobs
            if waits:
                self._jobs.remove(job)
            return waits

    # ------------------------------------------------------------------------------------------------------------ both

    @property
    def growing(self) -> bool:
        """Whether to wait for more ends before these are recorded."""
        return bool(self._jobs and self._ends) and self.all_done and time.monotonic() - self._first < HELD

    @property
    def stuck(self) -> bool:
        """Whether something is held because a long trial has blocked the main thread or all slots for too long."""
        return bool(self._jobs or self._ends) and time.monotonic() - self._touched > STUCK
