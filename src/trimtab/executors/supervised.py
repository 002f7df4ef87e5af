"""A supervised process, seen from its parent, which starts it, reads its messages, measures, limits and ends it."""

import fcntl
import json
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from secrets import token_hex
from typing import Any

import psutil

from ..records import Reason
from . import Exit, Job, gpus, processes
from .child import Setup

SAMPLE = 0.1  # seconds between two measurements of a job with a memory limit
SELDOM = 1.0  # seconds between two measurements of a job without one
START = 300.0  # seconds that loading the task may always take, however short the time limit
MOMENT = 0.05  # seconds for which the parent waits for the exit of a process that has closed its channel
LEAVE = 10.0  # seconds after which such a process is ended if it has not exited, however busy the machine is
KEPT = 64 * 1024  # bytes of output that are kept
TRIM = 8 * 1024 * 1024  # bytes at which the file of the output is cut back to KEPT

_THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "LOKY_MAX_CPU_COUNT", "RAYON_NUM_THREADS", "POLARS_MAX_THREADS",
)  # fmt: skip
# Sets sys.path before importing, so that the child finds this package where its parent found it.
_BOOT = (
    "import sys; sys.path[:] = sys.argv[4:]; from trimtab.executors.child import main; main(*map(int, sys.argv[1:4]))"
)


@dataclass(frozen=True)
class Home:
    """What all children of an executor share."""

    setup: Setup
    path: tuple[str, ...]  # sys.path
    environment: dict[str, str]

    @staticmethod
    def here(scratch: str, cpus: int) -> "Home":
        """The working folder, import path and environment of this process, with numeric libraries limited to `cpus`
        threads. scratch: a folder for temporary files."""
        caps = dict.fromkeys(_THREADS, str(cpus))
        return Home(
            Setup(os.getcwd(), sys.argv[:1], scratch),
            tuple(p or os.getcwd() for p in sys.path),
            {**os.environ, **caps, "TRIMTAB_SCRATCH": scratch},
        )


class Child:
    """A process that runs one job after the other. Raises OSError if it cannot be started.

    task: the pickled task. devices: the GPUs that it sees, as in CUDA_VISIBLE_DEVICES; None: those of this process.
    """

    job: Job

    def __init__(self, task: bytes, home: Home, devices: str | None) -> None:
        self.devices = devices
        visible = {} if devices is None else {gpus.VARIABLE: devices}
        mark = {"TRIMTAB_CHILD": token_hex(16)}
        self._mark = "=".join(*mark.items())
        with ExitStack() as ours, ExitStack() as theirs:  # files of this process; files that the child alone keeps
            self._output = ours.enter_context(tempfile.TemporaryFile())
            output = self._output.fileno()
            fcntl.fcntl(output, fcntl.F_SETFL, fcntl.fcntl(output, fcntl.F_GETFL) | os.O_APPEND)
            parent_end, child_end = socket.socketpair()
            self.channel = ours.enter_context(Connection(parent_end.detach()))
            channel = theirs.enter_context(child_end).fileno()
            lifeline, held = os.pipe()  # the child reads its end of file when this process has died
            theirs.callback(os.close, lifeline)
            ours.enter_context(os.fdopen(held, "wb"))
            numbers = [str(n) for n in (channel, lifeline, os.getpid())]
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-c", _BOOT, *numbers, *home.path],  # -u: output in order, and kept at a crash
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**home.environment, **visible, **mark},
                pass_fds=(channel, lifeline), start_new_session=True,
            )  # fmt: skip
            self._files = ours.pop_all()  # it runs: they stay open until `end`
        self.ready = False
        self._begun = 0  # how many jobs it was given
        self._members: tuple[psutil.Process, ...] = ()
        with suppress(OSError):  # it died at once: `look` finds that
            self.channel.send(home.setup)
            self.channel.send_bytes(task)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def begin(self, job: Job) -> None:
        """Take a job; it starts as soon as the task has been loaded."""
        self.job = job
        self._begun += 1
        self._before = self._cpu = self._peak = self._loading = 0.0
        os.ftruncate(self._output.fileno(), 0)
        self._started_now()
        with suppress(OSError):  # it is dead: `look` finds that
            self.channel.send((dict(job.payload), self._allowed))

    @property
    def _allowed(self) -> float:
        """The time limit of the job in seconds; infinite without one."""
        limit = self.job.resources.time
        return math.inf if limit is None else float(limit)

    def _started_now(self) -> None:
        self._started = self._heard = time.monotonic()
        self._closed = math.inf  # when its channel was found closed, or to hold something else than messages
        self._due = self._started + SAMPLE  # when it is measured next; a job that ends before measures itself
        with suppress(psutil.Error):
            self._before = self._cpu = sum(psutil.Process(self._process.pid).cpu_times()[:4])

    def look(self) -> Exit | None:
        """Deliver its messages and enforce its limits. Returns how its job ended, or None if it still runs."""
        while (message := self._receive()) is not None:
            match message:
                case ["last", result, used]:
                    return self._last(result, used)
                case ["ready"]:
                    self.ready = True
                    self._loading = time.monotonic() - self._started
                    self._started_now()
                case ["message", content, payload] if payload == self._begun:
                    self._heard = time.monotonic()
                    self._reply(self.job.listen(content))
                case ["message", _, _]:  # by a forked process of an earlier job
                    self._reply({"stop": True})
                case _:
                    return self._gone() or self._limits()
        return self._limits()

    def _receive(self) -> list[Any] | None:
        """The next message (see `child`); None if there is none yet, [] if there will be no more, or none that can be
        read."""
        if self._closed < math.inf:
            return []
        try:
            if not self.channel.poll():
                dead = not self.alive and not self.channel.poll()  # a forked process may hold the channel open
                return [] if dead else None
            received: list[Any] = json.loads(self.channel.recv_bytes())
        except (EOFError, OSError, ValueError):
            return []
        return received

    def _reply(self, reply: object) -> None:
        with suppress(OSError):  # it died meanwhile: the next look finds that
            self.channel.send(reply)

    def _last(self, message: object, used: dict[str, float]) -> Exit:
        self._cpu = max(self._cpu, self._before + used["cpu"])
        self._peak = max(self._peak, used["memory"])
        return Exit(message, output=self._tail(), cost={**self._cost(), "wall": used["wall"]})

    def _gone(self) -> Exit | None:
        """How the job of a process ended that has closed its channel without a last message, or sent nonsense.

        None while it may still be exiting. If it does not exit, it counts as ended, since it cannot be heard any more.
        """
        now = time.monotonic()
        self._closed = min(self._closed, now)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(MOMENT)
        code = self._process.returncode
        if code is None and now - self._closed < LEAVE:
            return None
        # A child that exceeds its time limit kills itself: see `child`.
        if self.ready and code == -signal.SIGKILL and now - self._started > self._allowed:
            return self._exit(limit=Reason.TIMEOUT)
        if code is None or code >= 0:
            return self._exit(code=code)
        return self._exit(signal=-code)

    def _exit(self, **how: Any) -> Exit:
        """How its job ended, with what it has written and used."""
        return Exit(**how, output=self._tail(), cost=self._cost())

    def killed(self) -> Exit:
        """End it now."""
        processes.kill(self._process.pid, self._members)
        return self._exit(killed=True)

    def _limits(self) -> Exit | None:
        """Kill the process if its job exceeds a limit. Returns that end, or None."""
        now, limits, allowed, over = time.monotonic(), self.job.resources, self._allowed, None
        if not self.ready:
            over = Reason.TIMEOUT if now - self._started > max(START, allowed) else None
        elif now - self._started > allowed:
            over = Reason.TIMEOUT
        elif limits.stall is not None and now - self._heard > float(limits.stall):
            over = Reason.STALL
        elif now > self._due:
            self._due = now + (SELDOM if limits.memory is None else SAMPLE)
            used = self._measure()
            over = Reason.MEMORY if limits.memory is not None and used > float(limits.memory) else None
        if over is None:
            return None
        processes.kill(self._process.pid, self._members)
        return self._exit(limit=over)

    def _measure(self) -> float:
        """Resident bytes of the process tree now."""
        used = processes.usage(self._process.pid)
        self._members = used.members
        self._cpu = max(self._cpu, used.cpu)
        many = len(used.members) > 1 and used.memory > self._peak
        memory = processes.proportional(used.members) if many else used.memory
        self._peak = max(self._peak, memory)
        fd = self._output.fileno()
        if os.fstat(fd).st_size > TRIM:
            tail = self._shown()[-KEPT:]
            os.ftruncate(fd, 0)  # what was written since the line before is lost: it is a flood anyway
            os.write(fd, tail)
        return memory

    def _cost(self) -> dict[str, float]:
        """What the job has used, as far as it was measured from here."""
        wall = time.monotonic() - self._started
        return {"wall": wall, "cpu": self._cpu - self._before, "memory": self._peak, "loading": self._loading}

    def _shown(self) -> bytes:
        """The output of the job as a terminal shows it: of a line that was written over, as progress bars do, only its
        last state."""
        fd = self._output.fileno()
        written = os.pread(fd, TRIM, max(0, os.fstat(fd).st_size - TRIM))
        return b"\n".join(line.rstrip(b"\r").rpartition(b"\r")[2] for line in written.split(b"\n"))

    def _tail(self) -> str:
        """The end of the job's output; if something is left out, it begins with [...] and then a whole line."""
        shown = self._shown()
        text = shown[-KEPT:].decode("utf-8", "replace").replace("\x00", "\ufffd")
        return "[...]\n" + text.partition("\n")[2] if len(shown) > KEPT else text

    def end(self) -> None:
        """Kill the process with all that it has started, wait for its exit, and close its files."""
        processes.kill(self._process.pid, self._members)
        self._process.wait()
        processes.kill_marked(self._mark)
        self._files.close()
