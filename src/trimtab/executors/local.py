"""Jobs in supervised processes on this machine, with limits.

A child runs many jobs, so that the task is loaded once. It has a session of its own: Ctrl-C reaches only the parent, and
a kill reaches the child with its whole process group. A child that died or was killed is replaced when the next job
comes. Limits are enforced in `reap`.
"""

import logging
import pickle
import tempfile
import time
from multiprocessing.connection import wait as wait_for

from ..errors import RunFailed
from ..records import Resources
from . import Exit, Job, Key, gpus
from .child import Task
from .supervised import Child, Home

_log = logging.getLogger(__name__)

TICK = 0.1  # seconds between two looks at running children
PAUSE = 1.0  # seconds for which no child is started after one could not load its task
LONG = 10.0  # the same if no process could be started at all; longer, since a trial is claimed and given back each time


class Local:
    """An executor with `slots` child processes, which load `task` once.

    Each has as many threads as `resources` has CPUs, and sees only the GPUs of its slot. Raises whatever pickling the
    task raises, and SpecError if there are too few GPUs.
    """

    def __init__(self, slots: int, task: Task, resources: Resources) -> None:
        self._devices = gpus.shares(slots, resources.gpus, gpus.visible())  # those of slots that have no child now
        self._task = pickle.dumps(task)
        self._slots, self._cpus = slots, resources.cpus
        self._scratch: tempfile.TemporaryDirectory[str] | None = None  # there while there are children
        self._busy: dict[Key, Child] = {}
        self._idle: list[Child] = []
        self._ended: list[tuple[Job, Exit]] = []
        self._pause = 0.0  # until when no child is started

    def free(self) -> int:
        if not self._idle and time.monotonic() < self._pause:
            return 0
        return max(0, self._slots - len(self._busy) - len(self._ended))

    def launch(self, job: Job) -> None:
        """Give the job to an idle child, or to a new one.

        If no process can be started (a full disk, no memory, too many open files), that is not the job's fault: it ends
        as if it had been killed. If no other job is running either, raises RunFailed.
        """
        while self._idle:
            child = self._idle.pop()
            if child.alive:
                break
            self._end(child)
        else:
            try:
                child = self._new()
            except OSError as error:
                if not self._busy:
                    raise RunFailed(_not_started(error)) from None
                _log.warning("%s", _not_started(error))
                self._pause = time.monotonic() + LONG
                self._ended.append((job, Exit(killed=True)))
                return
        child.begin(job)
        self._busy[job.key] = child

    def _new(self) -> Child:
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="trimtab-", ignore_cleanup_errors=True)
            self._home = Home.here(self._scratch.name, self._cpus)
        child = Child(self._task, self._home, self._devices[0] if self._devices else None)
        self._devices = self._devices[1:]
        return child

    def _end(self, child: Child) -> None:
        child.end()
        self._devices += [] if child.devices is None else [child.devices]

    def reap(self, wait: float = 0.0) -> list[tuple[Job, Exit]]:
        deadline = time.monotonic() + wait
        while True:
            for key, child in [*self._busy.items()]:
                found = child.look()
                if found is not None:
                    self._put_away(key, found)
            left = deadline - time.monotonic()
            if self._ended or not self._busy or left <= 0:
                ended, self._ended = self._ended, []
                return ended
            wait_for([c.channel for c in self._busy.values()], timeout=min(left, TICK))

    def waited(self) -> dict[Key, float]:
        return {}

    def kill(self, job: Job) -> None:
        child = self._busy.get(job.key)
        if child is not None:
            self._put_away(job.key, child.killed())

    def close(self) -> None:
        """End every child, and wait until it is gone. The next job gets a new one."""
        for child in [*self._busy.values(), *self._idle]:
            self._end(child)
        self._busy, self._idle, self._ended = {}, [], []
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    def _put_away(self, key: Key, found: Exit) -> None:
        """Keep the end of a job. Its child takes further jobs if it has sent a last message; otherwise it is ended."""
        child = self._busy.pop(key)
        self._ended.append((child.job, found))
        if child.ready and found.message is not None:
            self._idle.append(child)
            return
        if not child.ready:
            self._pause = time.monotonic() + PAUSE
        self._end(child)


def _not_started(error: OSError) -> str:
    return (
        f"no worker process can be started here: {error}; see what is used up (space in {tempfile.gettempdir()}, memory, "
        "`ulimit -a`), take fewer workers if need be, and run the same line again"
    )
