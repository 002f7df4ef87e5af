"""A process with all its descendants: what they use, and how to end them."""

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Usage:
    """What a process tree uses: CPU seconds so far, bytes of resident memory now, and its members."""

    cpu: float = 0.0
    memory: float = 0.0
    members: tuple[psutil.Process, ...] = ()


def family(pid: int) -> list[psutil.Process]:
    """The process and its descendants, also those in other sessions; empty if it is gone."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def known_family(pid: int) -> list[psutil.Process]:
    """As `family`, by the kernel's own lists of children if available. This is quick however many processes the machine
    has, but a child that is forked or ends meanwhile may be missed (man 5 proc_pid_task)."""
    try:
        found, i = [pid], 0
        while i < len(found):
            for thread in os.listdir(f"/proc/{found[i]}/task"):
                with open(f"/proc/{found[i]}/task/{thread}/children") as file:
                    found += map(int, file.read().split())
            i += 1
        return [psutil.Process(p) for p in found]
    except (OSError, psutil.NoSuchProcess):  # something has just ended, or this is another system
        return family(pid)


def usage(pid: int) -> Usage:
    """CPU time and resident memory (pages shared by several members are counted in each)."""
    members, cpu, memory = known_family(pid), 0.0, 0.0
    for member in members:
        with suppress(psutil.Error), member.oneshot():  # it may have just ended
            cpu += sum(member.cpu_times()[:4])  # user, system, and those of waited children
            memory += member.memory_info().rss
    return Usage(cpu, memory, tuple(members))


def proportional(members: Iterable[psutil.Process]) -> float:
    """Bytes of resident memory, with pages shared by several processes counted once; slower than `usage`."""
    total = 0.0
    for member in members:
        with suppress(psutil.Error):
            info = member.memory_full_info()
            total += getattr(info, "pss", info.rss)
    return total


def kill(pid: int, known: Iterable[psutil.Process] = ()) -> None:
    """SIGKILL to the descendants, the process and its group, and to members that were known earlier.

    The process comes last, so that one may end itself. Processes that the quick look misses are found by `kill_marked`.
    """
    look = family if pid == os.getpid() else known_family
    for member in known:
        if member.pid != pid:
            _kill(member)
    for _ in range(3):  # what is forked between the look and the blow is seen the next time
        members = look(pid)[1:]
        for member in members:
            _kill(member)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        if not members:
            break


def kill_marked(mark: str) -> None:
    """SIGKILL to all processes of this user that were started with `mark` in their environment: orphans of a process
    that crashed, wherever they have gone. Does nothing if the system does not show environments."""
    text = mark.encode()
    for pid in psutil.pids():
        with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            if pid != os.getpid() and text in file.read():
                os.kill(pid, signal.SIGKILL)


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.Error):  # psutil knows a process id that was given to another
        process.kill()
