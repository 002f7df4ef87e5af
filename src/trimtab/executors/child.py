"""What runs in a supervised process: load the task, then run payload after payload until the parent hangs up.

From the parent come pickles (`Setup`, then payloads with their time limits, and replies); to the parent goes JSON, so
that an objective cannot run code in it: ["ready"], ["message", m] (answered), ["last", m, cost].

The parent enforces limits. The time limit is enforced here too, a moment later, in case a slow store holds up the
parent.
"""

import ctypes
import faulthandler
import gc
import json
import math
import os
import resource
import select
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol

from . import processes

LATE = 0.3  # seconds past its limit of time after which a child ends itself
_SUBREAPER = 36  # prctl: orphans of this process become its children, and are ended with it


class Task(Protocol):
    """What is sent to a child once: picklable, and able to make the function that runs payloads."""

    def load(self) -> Callable[[Mapping[str, Any], Callable[[Any], Any]], Any]: ...


@dataclass
class Alarm:
    """When this process is to end itself, by the monotonic clock."""

    at: float = math.inf


@dataclass(frozen=True)
class Setup:
    """The environment of a child."""

    cwd: str
    argv: list[str]
    scratch: str  # removed if the parent dies


def main(channel: int, lifeline: int, parent: int) -> None:
    """Serve on file descriptor `channel` until it closes; if `lifeline` closes, the parent `parent` is dead."""
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
    gc.collect()
    gc.freeze()  # what was loaded is not looked through again after every trial
    try:
        _say(connection, "ready")
        while True:
            payload, limit = connection.recv()
            _serve(connection, run, payload, limit, alarm)
    except (EOFError, BrokenPipeError, ConnectionResetError):  # the parent has hung up; if it died, `_watch` is at work
        time.sleep(2.0)
        processes.kill(os.getpid())


def _serve(
    connection: Connection, run: Callable[..., Any], payload: Mapping[str, Any], limit: float, alarm: Alarm
) -> None:
    """Run one payload within `limit` seconds. Its messages may come from any of its threads, until it has ended."""
    turn, over = threading.Lock(), False

    def send(message: Any) -> Any:
        with turn:
            if over:
                raise RuntimeError("this trial has ended; it can report nothing more")
            _say(connection, "message", message)
            return connection.recv()

    wall, cpu = time.perf_counter(), _cpu()
    with suppress(OSError):
        _reset_peak()
    alarm.at = time.monotonic() + limit + LATE
    last = run(payload, send)
    alarm.at = math.inf
    with turn:
        over = True
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # the objective may have closed or replaced it
            stream.flush()
    used = {"wall": time.perf_counter() - wall, "cpu": _cpu() - cpu, "memory": _peak()}
    _say(connection, "last", last, used)
    gc.collect()  # what the trial left must not count as the next one's memory


def _say(connection: Connection, *what: Any) -> None:
    connection.send_bytes(json.dumps(what).encode())


def _cpu() -> float:
    """CPU seconds of this process and of the children it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def _reset_peak() -> None:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def _peak() -> float:
    """Peak resident bytes of this process since `_reset_peak`; 0 if the system doesn't tell."""
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
        seen = poll.poll(500)
        if any(what & select.POLLNVAL for _, what in seen):  # the objective has closed it
            time.sleep(0.5)
        elif seen:
            break
    shutil.rmtree(scratch, ignore_errors=True)
    processes.kill(os.getpid())
