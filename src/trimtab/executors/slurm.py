"""Slurm array jobs, by Slurm's own programs: sbatch submits them, squeue counts them, scancel ends them.

The jobs of a study share a name, by which any process finds them; nothing about them is kept outside of Slurm.
Accounting (sacct) is not needed: a task that squeue no longer lists has ended.
"""

import math
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..checks import shown, whole
from ..errors import SpecError, TrimtabError
from ..records import Resources
from ..units import byte_count, seconds

LOGS = "trimtab-slurm"  # the folder in the working folder that gets the jobs' output
OVERHEAD = 512 * 2**20  # bytes of memory for the worker itself, beside its trials
DRAIN = 120.0  # seconds before its time limit at which a job is told to begin no more trials
_MINUTE = 60.0
_ANSWER = 60.0  # seconds within which one of Slurm's programs must answer


@dataclass(frozen=True)
class Slurm:
    """What each job asks Slurm for. What is left out is decided by the cluster, or follows from `Resources`.

    partition, account, qos: names that Slurm knows.
    time: time limit of a job, seconds or "4h" (Slurm rounds up to minutes).
    memory: of a job, bytes or "8GiB"; default: the memory limits of its trials plus half a GiB.
    cpus: of a job; default: those of its trials.
    slots: how many trials run at once in a job.
    trials: a job ends after this many, and another one is submitted.
    arguments: other arguments of sbatch, such as ["--constraint=a100"].
    python: the interpreter on the nodes.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    time: float | str | None = None
    memory: float | str | None = None
    cpus: int | None = None
    slots: int = 1
    trials: int | None = None
    arguments: Sequence[str] = ()
    python: str = sys.executable

    def __post_init__(self) -> None:
        object.__setattr__(self, "time", seconds(self.time, "slurm time"))
        object.__setattr__(self, "memory", byte_count(self.memory, "slurm memory"))
        for name in ("partition", "account", "qos", "python"):
            v = getattr(self, name)
            if not (isinstance(v, str) and v.strip()) and (v is not None or name == "python"):
                raise SpecError(f"slurm {name}={v!r} must be a name; leave it out for the default")
        for name in ("cpus", "slots", "trials"):
            v = getattr(self, name)
            if v is not None or name == "slots":
                object.__setattr__(self, name, whole(f"slurm {name}", v, repair="; leave it out for the default"))
        if not isinstance(self.arguments, list | tuple) or not all(isinstance(a, str) for a in self.arguments):
            raise SpecError(
                f"slurm arguments={shown(self.arguments)} must be a list of texts such as ['--constraint=a100']"
            )

    def words(self, resources: Resources) -> list[str]:
        """sbatch's arguments for jobs whose trials run within `resources`. Raises SpecError.

        The worker gets SIGTERM `DRAIN` seconds before the job's time limit (a quarter of it, if the limit is short).
        """
        gpus = resources.gpus * self.slots
        if gpus != int(gpus):
            raise SpecError(
                f"resources gpus={resources.gpus!r}: Slurm gives a job whole GPUs; ask for a whole number, or for as many "
                "slots in a job as share one"
            )
        memory, limit = self.memory, None if self.time is None else math.ceil(float(self.time) / _MINUTE)
        if memory is None and resources.memory is not None:
            memory = float(resources.memory) * self.slots + OVERHEAD
        drain = DRAIN if limit is None else min(DRAIN, limit * _MINUTE / 4)
        asked = {
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "time": limit,
            "mem": None if memory is None else f"{math.ceil(float(memory) / 2**20)}M",
            "gpus": int(gpus) or None,
            "cpus-per-task": self.cpus or resources.cpus * self.slots,
            "signal": f"B:TERM@{drain:.0f}",
        }
        return ["--requeue", *(f"--{k}={v}" for k, v in asked.items() if v is not None), *self.arguments]


class SlurmError(TrimtabError):
    """Slurm did not answer, or refused. The message is Slurm's own."""


def submit(name: str, tasks: int, words: Sequence[str], command: Sequence[str]) -> None:
    """Submit an array of `tasks` jobs that run `command` in this program's working folder.

    words: arguments of sbatch. Raises SlurmError, and SpecError if there is no Slurm here.
    """
    Path(LOGS).mkdir(exist_ok=True)
    script = f"#!/bin/sh\nexec {shlex.join(command)}\n"  # exec: Slurm's signals reach the worker, not a shell
    output = f"--output={LOGS}/%x-%A_%a.log"
    _ask(["sbatch", "--parsable", f"--job-name={name}", f"--array=0-{tasks - 1}", output, *words], script)


def living(name: str) -> int:
    """The number of tasks of that name that wait or run. Raises SlurmError."""
    return len(_ask(["squeue", "--noheader", "--array", f"--name={name}", "--format=%T"]).split())


def cancel(name: str) -> None:
    """End all jobs of that name: SIGTERM to all of their processes, and SIGKILL after the cluster's KillWait."""
    _ask(["scancel", f"--name={name}"])


def log_tail(name: str) -> str:
    """The end of the log of the latest job of that name, with its file name; empty if none can be read."""
    logs = sorted(Path(LOGS).glob(f"{name}-*.log"), key=lambda p: p.stat().st_mtime)
    if not logs:
        return ""
    text = logs[-1].read_text(errors="replace").strip()
    return f"{logs[-1]}: {' | '.join(text.splitlines()[-3:]) or 'it wrote nothing'}"


def _ask(call: Sequence[str], text: str = "") -> str:
    """What one of Slurm's programs prints, given `text` as input."""
    try:
        done = subprocess.run(call, input=text, capture_output=True, text=True, timeout=_ANSWER, check=False)
    except FileNotFoundError:
        raise SpecError(
            f"executor='slurm' needs the program {call[0]}, which is not on the PATH; run it where jobs are submitted"
        ) from None
    except subprocess.TimeoutExpired:
        raise SlurmError(f"{call[0]} gave no answer in {_ANSWER:g} s") from None
    if done.returncode:
        raise SlurmError(" ".join(done.stderr.split()) or f"{call[0]} ended with exit code {done.returncode}")
    return done.stdout
