"""Runs jobs in long-lived child processes on this machine, keeps their limits, and replaces those that die.

A child is a fresh interpreter (never a fork, never a second import of the user's script), so a script without a
`__main__` guard and a notebook cell both work. It leads a process group of its own, which is killed with all that
descends from it when a limit is passed, and ends by itself when this process dies.
"""

import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import psutil

from ..records import Reason, Resources
from . import Exit, Job, processes
from .child import Setup, Task

LOOK = 0.1  # seconds between two looks at the limits
KEPT = 64 * 1024  # bytes of captured output
_START = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from trimtab.executors.child import main; main(*map(int, sys.argv[2:]))"
)
_THREADS = (
    "OMP_NUM_THREADS OPENBLAS_NUM_THREADS MKL_NUM_THREADS NUMEXPR_NUM_THREADS VECLIB_MAXIMUM_THREADS "
    "BLIS_NUM_THREADS LOKY_MAX_CPU_COUNT"
).split()


class Local:
    """`slots` supervised processes for one task. Raises what pickling the task raises."""

    def __init__(self, slots: int, task: Task, resources: Resources) -> None:
        self._slots = slots
        self._task = pickle.dumps(task)
        self._cpus = resources.cpus
        self._scratch = Path(tempfile.mkdtemp(prefix="trimtab-"))
        self._children: list[_Child] = []

    def free(self) -> int:
        return self._slots - sum(c.job is not None for c in self._children)

    def launch(self, job: Job) -> None:
        child = next((c for c in self._children if c.job is None), None)
        if child is None or not child.alive():
            if child is not None:
                self._discard(child)
            child = _Child(self._task, self._cpus, self._scratch)
            self._children.append(child)
        child.begin(job)

    def reap(self, wait: float = 0.0) -> list[tuple[Job, Exit]]:
        """See Executor.reap. Messages are delivered in this thread."""
        end, ended = time.monotonic() + wait, []
        while True:
            busy = [c for c in self._children if c.job is not None]
            left = max(0.0, end - time.monotonic())
            for child in _heard(busy, min(left, LOOK) if busy else 0.0):
                if done := child.hear():
                    ended.append(done)
            for child in busy:
                child.keep_limits()
            for child in [c for c in self._children if c.gone]:
                self._discard(child)
            if ended or not busy or time.monotonic() >= end:
                return ended

    def kill(self, job: Job) -> None:
        for child in self._children:
            if child.job is job:
                child.end(killed=True)

    def close(self) -> None:
        """End all children, with everything that they started, and remove the scratch folder."""
        for child in list(self._children):
            self._discard(child)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _discard(self, child: "_Child") -> None:
        child.close()
        self._children.remove(child)


def _heard(busy: Sequence["_Child"], timeout: float) -> list["_Child"]:
    ready = wait([c.connection for c in busy], timeout)
    return [c for c in busy if c.connection in ready]


class _Child:
    """One process, and the job that it has."""

    def __init__(self, task: bytes, cpus: int, scratch: Path) -> None:
        ours, theirs = socket.socketpair()
        there, self._lifeline = os.pipe()
        log, name = tempfile.mkstemp(dir=scratch)
        os.close(log)
        self._log = os.open(name, os.O_RDWR | os.O_APPEND)
        command = [sys.executable, "-u", "-c", _START, json.dumps([os.path.abspath(p) for p in sys.path])]
        self._process = subprocess.Popen(
            [*command, str(theirs.fileno()), str(there), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=(theirs.fileno(), there),
            start_new_session=True,
            env={**os.environ, **dict.fromkeys(_THREADS, str(cpus))},
        )
        theirs.close()
        os.close(there)
        self.connection = Connection(ours.detach())
        self.job: Job | None = None
        self.gone = False  # the process is dead or must not be used again
        self._tell(Setup(os.getcwd(), list(sys.argv), str(scratch)))
        self._tell_bytes(task)

    def alive(self) -> bool:
        return not self.gone and self._process.poll() is None

    def begin(self, job: Job) -> None:
        """Send the child a job."""
        self.job = job
        self._started = self._last_word = self._looked = time.monotonic()
        self._limit: Reason | None = None
        self._killed = False
        self._peak = 0.0
        self._known: tuple[psutil.Process, ...] = ()
        self._cpu = processes.usage(self._process.pid).cpu
        os.ftruncate(self._log, 0)
        self._tell(dict(job.payload))

    def hear(self) -> tuple[Job, Exit] | None:
        """Take one message from the child; the job and its exit when that ended it."""
        assert self.job is not None
        try:
            kind, *what = json.loads(self.connection.recv_bytes())
        except (EOFError, OSError, ValueError):
            return self._died()
        self._last_word = time.monotonic()
        if kind == "ready":  # the objective is loaded: its time begins
            self._started = self._last_word
        elif kind == "message":
            self._tell(self.job.listen(what[0]))
        elif kind == "last":
            message, cost = what
            self.gone = message.get("reason") == "memory"
            memory = max(self._peak, cost["memory"])
            return self._finished(
                Exit(message, output=self._output(), cost={**self._wall(), "cpu": cost["cpu"], "memory": memory})
            )
        return None

    def keep_limits(self) -> None:
        """End the job when it is over its time, silent for too long, or too large."""
        now = time.monotonic()
        if self.job is None or self._limit is not None or now - self._looked < LOOK:
            return
        self._looked, limits = now, self.job.resources
        used = processes.usage(self._process.pid)
        self._peak, self._known = max(self._peak, used.memory), used.members
        over = limits.memory is not None and used.memory > float(limits.memory)
        if limits.time is not None and now - self._started > float(limits.time):
            self.end(limit=Reason.TIMEOUT)
        elif limits.stall is not None and now - self._last_word > float(limits.stall):
            self.end(limit=Reason.STALL)
        elif over and processes.proportional(used.members) > float(limits.memory or 0):
            self.end(limit=Reason.MEMORY)
        if os.fstat(self._log).st_size > 256 * KEPT:  # a flood: keep its end
            kept = self._output().encode()
            os.ftruncate(self._log, 0)
            os.write(self._log, kept)

    def end(self, limit: Reason | None = None, killed: bool = False) -> None:
        """Kill the process and all that descends from it; `hear` then finds it dead."""
        self._limit, self._killed = limit, killed
        self._used = processes.usage(self._process.pid).cpu
        processes.kill(self._process.pid, self._known)

    def close(self) -> None:
        """End the process, whatever it does, and give back what it holds."""
        self.connection.close()
        os.close(self._lifeline)
        processes.kill(self._process.pid)
        self._process.wait()
        os.close(self._log)

    def _died(self) -> tuple[Job, Exit]:
        self.gone = True
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=2.0)  # the pipe closes a moment before the process is gone
        processes.kill(self._process.pid, self._known)
        code = self._process.wait()
        ours = self._limit is not None or self._killed
        cpu = max(0.0, getattr(self, "_used", self._cpu) - self._cpu)
        return self._finished(
            Exit(
                code=code if code >= 0 and not ours else None,
                signal=-code if code < 0 and not ours else None,
                limit=self._limit,
                killed=self._killed,
                output=self._output(),
                cost={**self._wall(), "cpu": cpu, "memory": self._peak},
            )
        )

    def _finished(self, exit_: Exit) -> tuple[Job, Exit]:
        job, self.job = self.job, None
        assert job is not None
        return job, exit_

    def _wall(self) -> dict[str, float]:
        return {"wall": time.monotonic() - self._started}

    def _output(self) -> str:
        """The end of what the trial has written, cut at a line where it is too long."""
        size = os.fstat(self._log).st_size
        text = os.pread(self._log, KEPT, max(0, size - KEPT)).decode("utf-8", "replace").replace("\x00", "")
        return text if size <= KEPT else "[...]\n" + text.partition("\n")[2]

    def _tell(self, what: Any) -> None:
        self._tell_bytes(pickle.dumps(what))

    def _tell_bytes(self, what: bytes) -> None:
        with suppress(OSError):  # it has died: `hear` will say so
            self.connection.send_bytes(what)
