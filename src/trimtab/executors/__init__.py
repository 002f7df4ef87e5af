"""Executors run jobs. They enforce limits, know nothing about results, and are not trusted: leases are.

A job is a task for one slot. Its process may send messages while it runs (each gets the reply that `job.listen`
returns) and one last message, which ends the job and comes back in `Exit.message`. Executors don't look inside
messages.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..records import Reason, Resources

Key = tuple[int, int, int]  # study, number, attempt


@dataclass(frozen=True)
class Job:
    """A task: what is sent to its process, who receives its messages, what it may use."""

    key: Key
    payload: Mapping[str, Any]
    listen: Callable[[Any], Any]
    resources: Resources


@dataclass(frozen=True)
class Exit:
    """How a job ended: with its last message, or without one (then code, signal or the limit that ended it says why)."""

    message: Any = None
    code: int | None = None  # exit code of a process that went away without a last message
    signal: int | None = None  # signal that ended it, when it was not us
    limit: Reason | None = None  # TIMEOUT, MEMORY or STALL: a limit of ours ended it
    killed: bool = False  # kill() ended it
    output: str = ""  # captured standard output and error (the last 64 KiB)
    cost: Mapping[str, float] = field(default_factory=dict)  # wall, cpu (seconds), memory (peak bytes)


class Executor(Protocol):
    """Runs jobs in slots."""

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
        """Seconds for which running jobs had no room to run in, by their keys; those that started at once are left out."""
        ...

    def kill(self, job: Job) -> None:
        """End a job with all its children; `reap` returns it as killed."""
        ...

    def close(self) -> None:
        """End everything that is still running."""
        ...
