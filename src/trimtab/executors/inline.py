"""Jobs in this process, each run when it is launched: a debugger works, and output is visible.

Limits are not enforced; `local` does that.
"""

import time
from collections.abc import Callable

from . import Exit, Job, Key, RunPayload
from .processes import own_cpu


class Inline:
    """One slot in this process.

    run: runs a job's payload. insist: raises KeyboardInterrupt if there was one during a job, whose code may have caught it.
    """

    def __init__(self, run: RunPayload, insist: Callable[[], None] = lambda: None) -> None:
        self._run, self._insist = run, insist
        self._ended: list[tuple[Job, Exit]] = []

    def free(self) -> int:
        return 0 if self._ended else 1

    def launch(self, job: Job) -> None:
        """Run the job to its end. KeyboardInterrupt passes through, and the job counts as killed."""
        wall, cpu = time.perf_counter(), own_cpu()
        message, killed = None, True
        try:
            last = self._run(job.payload, job.listen)
            self._insist()
            message, killed = last, False
        finally:
            cost = {"wall": time.perf_counter() - wall, "cpu": own_cpu() - cpu}
            self._ended.append((job, Exit(message, killed=killed, cost=cost)))

    def reap(self, wait: float = 0.0) -> list[tuple[Job, Exit]]:
        del wait  # nothing runs in the background
        ended, self._ended = self._ended, []
        return ended

    def waited(self) -> dict[Key, float]:
        return {}

    def kill(self, job: Job) -> None:
        """Nothing to do: a job has ended when `launch` returns."""

    def close(self) -> None:
        self._ended = []
