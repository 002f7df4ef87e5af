"""Process trees: what a process and its descendants use, and how to end them."""

import os
import resource
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Usage:
    """What a process tree uses: CPU seconds so far, bytes of resident memory now; and its members."""

    cpu: float = 0.0
    memory: float = 0.0
    members: tuple[psutil.Process, ...] = ()


def own_cpu() -> float:
    """CPU seconds of this process and of the children it has waited for, to the microsecond."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def family(pid: int) -> list[psutil.Process]:
    """The process and its descendants, also those in other sessions; empty if it is gone."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def known_family(pid: int) -> list[psutil.Process]:
    """The same as `family`, but from the kernel's lists of children where it has them.

    That takes the same short time however many processes the machine has, but may miss a child that is forked or ends
    meanwhile (man 5 proc_pid_task).
    """
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
    """What the tree below a process uses. Memory pages that several members share count for each of them."""
    members, cpu, memory = known_family(pid), 0.0, 0.0
    for member in members:
        with suppress(psutil.Error), member.oneshot():  # it may have just ended
            cpu += sum(member.cpu_times()[:4])  # user, system, and those of waited children
            memory += member.memory_info().rss
    return Usage(cpu, memory, tuple(members))


def proportional(members: Iterable[psutil.Process]) -> float:
    """Bytes of resident memory, where pages that several processes share count once; slower than `usage`."""
    total = 0.0
    for member in members:
        with suppress(psutil.Error):
            info = member.memory_full_info()
            total += getattr(info, "pss", info.rss)
    return total


def kill(pid: int, known: Iterable[psutil.Process] = ()) -> None:
    """SIGKILL to a process, its descendants and its process group, and to members that were `known` earlier.

    The process itself comes last, so that a process may end itself. `kill_marked` finds those that are missed here.
    """
    list_family = family if pid == os.getpid() else known_family
    for member in known:
        if member.pid != pid:
            _kill(member)
    for _ in range(3):  # again, for processes that were forked between listing and killing
        members = list_family(pid)[1:]
        for member in members:
            _kill(member)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        if not members:
            break


def kill_marked(mark: str) -> None:
    """SIGKILL to all processes of this user that have `mark` in their environment.

    These are descendants of a process that crashed, even if they have left its session. Does nothing where the system
    does not show environments.
    """
    text = mark.encode()
    for pid in psutil.pids():
        with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            if pid != os.getpid() and text in file.read():
                os.kill(pid, signal.SIGKILL)


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.Error):  # psutil checks that the process id has not been given to another process
        process.kill()
