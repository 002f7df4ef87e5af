"""What runs in a supervised process: load the task, then run one payload after the other until the parent hangs up.

The parent sends pickles: `Setup`, the task, then payloads with their time limits, and replies. The child sends only
JSON, so that an objective cannot run code in the parent: ["ready"] and ["last", m, cost], which the next payload answers,
and ["message", m, n], which gets a reply; n counts the payloads so far, since a process that the objective has forked may
still speak when its trial has ended.

The parent enforces limits. The child enforces its time limit too, a moment later, in case the parent is held up by a
slow store.
"""

import ctypes
import faulthandler
import fcntl
import gc
import json
import math
import os
import select
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from multiprocessing.connection import Connection
from typing import Any, Protocol

from . import RunPayload, processes

LATE = 0.3  # seconds after its time limit at which a child ends itself
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl: orphaned descendants become our children, and are ended with us


class Task(Protocol):
    """What a child runs. It is pickled and sent to the child once."""

    def load(self) -> RunPayload:
        """The function that runs payloads."""
        ...


@dataclass
class Alarm:
    """The time, by the monotonic clock, at which this process is to end itself."""

    at: float = math.inf


@dataclass(frozen=True)
class Setup:
    """Where a child runs: its working directory, sys.argv, and folder for temporary files."""

    cwd: str
    argv: list[str]
    scratch: str  # removed if the parent dies


def main(channel: int, lifeline: int, parent: int) -> None:
    """Run payloads from the file descriptor `channel` until the parent closes it.

    lifeline: a file descriptor whose other end only the parent holds; if that closes, the parent is dead. parent: its
    process id.
    """
    for fd in (channel, lifeline):
        os.set_inheritable(fd, False)
    connection = Connection(channel)
    setup: Setup = connection.recv()
    alarm = Alarm()
    threading.Thread(target=_watch, args=(lifeline, parent, setup.scratch, alarm), daemon=True).start()
    faulthandler.enable()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    os.chdir(setup.cwd)
    sys.argv[:] = setup.argv
    task: Task = connection.recv()
    run = task.load()
    del task  # it holds the pickle of what the objective captures: that may be large
    gc.collect()
    gc.freeze()  # so that the collection after each trial does not go through everything that was loaded
    ask = partial(_ask, connection, os.dup(1))
    try:
        payload, limit = ask("ready")
        for n in count(1):
            payload, limit = ask("last", *_serve(partial(ask, "message"), n, run, payload, limit, alarm))
    except (EOFError, BrokenPipeError, ConnectionResetError):  # the parent has hung up; if it died, `_watch` is at work
        time.sleep(2.0)
        processes.kill(os.getpid())


def _serve(
    ask: Callable[[Any, int], Any],
    n: int,
    run: RunPayload,
    payload: Mapping[str, Any],
    limit: float,
    alarm: Alarm,
) -> tuple[Any, dict[str, float]]:
    """Run the n-th payload within `limit` seconds; returns its last message and what it has used.

    While it runs, any of its threads, and processes that it forks, may send messages.
    """
    gc.collect()  # so that what earlier trials have left does not count as memory of this one
    lock, over = threading.Lock(), False

    def send(message: Any) -> Any:
        with lock:
            if over:
                raise RuntimeError("this trial has ended; it can report nothing more")
            return ask(message, n)

    wall, cpu = time.perf_counter(), processes.own_cpu()
    with suppress(OSError):
        _reset_peak()
    alarm.at = time.monotonic() + limit + LATE
    last = run(payload, send)
    alarm.at = math.inf
    with lock:
        over = True
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # the objective may have closed or replaced it
            stream.flush()
    return last, {"wall": time.perf_counter() - wall, "cpu": processes.own_cpu() - cpu, "memory": _peak()}


def _ask(connection: Connection, turn: int, *what: Any) -> Any:
    """Tell the parent something, and return its answer.

    turn: a descriptor of a file that is this child's alone. Forked processes share the connection, and one talks at a
    time: the kernel takes the lock from a process that dies.
    """
    fcntl.lockf(turn, fcntl.LOCK_EX)
    try:
        connection.send_bytes(json.dumps(what).encode())
        return connection.recv()
    finally:
        fcntl.lockf(turn, fcntl.LOCK_UN)


def _reset_peak() -> None:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def _peak() -> float:
    """Peak resident bytes of this process since `_reset_peak`; 0 where the system does not tell."""
    with suppress(OSError), open("/proc/self/status") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return 1024.0 * int(line.split()[1])
    return 0.0


def _watch(lifeline: int, parent: int, scratch: str, alarm: Alarm) -> None:
    """End this process with its group and descendants if the parent is gone, or the alarm goes off."""
    poll = select.poll()
    poll.register(lifeline, select.POLLIN)
    while os.getppid() == parent:
        if time.monotonic() > alarm.at:
            processes.kill(os.getpid())
        events = poll.poll(500)
        if any(event & select.POLLNVAL for _, event in events):  # the objective has closed our end
            time.sleep(0.5)
        elif events:
            break
    shutil.rmtree(scratch, ignore_errors=True)
    processes.kill(os.getpid())
