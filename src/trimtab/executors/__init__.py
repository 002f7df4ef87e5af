"""Executors run jobs and enforce limits. They know nothing about results, and need not be reliable: if an executor loses
a job, the lease of its trial expires.

A job is a task for one slot. While it runs, its process may send messages; each gets the reply that `job.listen`
returns. Its last message ends the job, and comes back as `Exit.message`. Executors do not look inside messages.

    inline     in this process
    local      in supervised processes on this machine
    ray        on a Ray cluster; each node runs them in supervised processes
    slurm      Slurm's programs (a study on Slurm has workers as its jobs: see running.slurm)
    supervised a supervised process, seen from its parent
    child      what runs in a supervised process
    processes  process trees: what they use, how they are ended
    gpus       which GPUs each slot gets
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..records import Reason, Resources

Key = tuple[int, int, int]  # study, number, attempt
RunPayload = Callable[[Mapping[str, Any], Callable[[Any], Any]], Any]
"""Runs a payload: (payload, send) -> last message. `send` sends a message and returns the reply."""


@dataclass(frozen=True)
class Job:
    """A task for one slot."""

    key: Key
    payload: Mapping[str, Any]  # what is sent to its process
    listen: Callable[[Any], Any]  # receives its messages, and returns the replies
    resources: Resources  # what it may use


@dataclass(frozen=True)
class Exit:
    """How a job ended: with its last message; or without one, and then `code`, `signal`, `limit` or `killed` says why."""

    message: Any = None
    code: int | None = None  # exit code of a process that exited by itself
    signal: int | None = None  # the signal that ended it, if somebody else sent it
    limit: Reason | None = None  # the limit that it exceeded: TIMEOUT, MEMORY or STALL
    killed: bool = False  # whether `kill` ended it
    output: str = ""  # captured standard output and error (the last 64 KiB)
    cost: Mapping[str, float] = field(default_factory=dict)  # seconds: wall, cpu, loading, waiting; peak bytes: memory


class Executor(Protocol):
    """Runs jobs in a fixed number of slots."""

    def free(self) -> int:
        """The number of slots that could start a job now."""
        ...

    def launch(self, job: Job) -> None:
        """Start a job in a free slot."""
        ...

    def reap(self, wait: float = 0.0) -> list[tuple[Job, Exit]]:
        """Deliver messages, enforce limits, and return the jobs that have ended, waiting up to `wait` seconds for one."""
        ...

    def waited(self) -> Mapping[Key, float]:
        """For how many seconds launched jobs have waited for room, by key. Jobs that started at once may be left out."""
        ...

    def kill(self, job: Job) -> None:
        """End a job with all its children; `reap` returns it as killed."""
        ...

    def close(self) -> None:
        """End everything that is still running. Another job may be launched after that."""
        ...
