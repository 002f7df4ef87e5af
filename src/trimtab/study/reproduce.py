"""Recorded trials, run again, and compared with the record. The study's own trials stay as they are."""

import math
import os
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

from ..engine.lineage import parent_of
from ..errors import SpecError
from ..executors import Exit, Job
from ..formatting import first_line, number, plural
from ..goals import Metrics
from ..interrupts import interruptible
from ..objective import Program
from ..objective.trial import Folders, payload
from ..outcomes import from_exit
from ..records import Resources, State, StudySpec, Trial
from ..running.runner import IDLE
from ..running.staffing import Slots, executor_for

USUAL = 5
"""How many trials are run again by default."""


@dataclass(frozen=True)
class Rerun:
    """A trial that was run again."""

    number: int
    recorded: Metrics
    again: Metrics  # the new ones
    wrong: str = ""  # how they differ; "" if they agree

    def to_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "recorded": dict(self.recorded),
            "again": dict(self.again),
            "wrong": self.wrong,
        }


@dataclass(frozen=True)
class Reproduction:
    """The outcome of running trials again."""

    runs: tuple[Rerun, ...]
    tolerance: float  # the largest relative difference that counts as the same; 0: identical
    same_code: bool  # whether the objective's fingerprint is one that the record names
    independent: bool | None  # whether the person who asked for it did not run the study; None if unknown
    left_out: str = ""  # why the best trial was not run again; "" if it was, or if the user has named the trials

    @property
    def holds(self) -> bool:
        """Whether every trial that was run again gave its metrics, within the tolerance."""
        return all(not r.wrong for r in self.runs)

    def to_json(self) -> dict[str, Any]:
        return {
            "runs": [r.to_json() for r in self.runs],
            "tolerance": self.tolerance,
            "same_code": self.same_code,
            "independent": self.independent,
            "left_out": self.left_out,
        }

    def __repr__(self) -> str:
        return self.text()

    def text(self) -> str:
        """A summary in one line, then notes, then one line for each trial that differs."""
        agree = sum(not r.wrong for r in self.runs)
        how = "identical metrics" if self.tolerance == 0 else f"metrics within {self.tolerance:g}"
        lines = [f"{agree} of {plural(len(self.runs), 'trial')} run again gave {how}"]
        if not self.same_code:
            lines.append("note: the objective's code is not what the study ran")
        if self.left_out:
            lines.append(f"note: {self.left_out}")
        return "\n".join([*lines, *(f"trial {r.number}: {r.wrong}" for r in self.runs if r.wrong)])


def chosen(trials: Sequence[Trial], numbers: Sequence[int] | None, best: Trial | None) -> list[Trial]:
    """The trials to run again: those with these numbers; by default the baseline, the best one, and others spread over
    the study.

    Only trials count that were run here, are done, and did not continue from another. Raises SpecError for any other
    number, and if there is no such trial.
    """
    done = [t for t in trials if not _obstacle(t)]
    if not done or (numbers is not None and len(numbers) == 0):
        raise SpecError("there is nothing to run again: no trial is named that was run here, is done and began anew")
    if numbers is None:
        return _usual(done, best)
    known = {t.number: t for t in trials}
    for n in numbers:
        if why := _obstacle(known[n]):
            raise SpecError(f"trial {n} cannot be run again: {why}")
    return [known[n] for n in dict.fromkeys(numbers)]


def _obstacle(t: Trial) -> str:
    """Why a trial cannot be run again by itself, and what to do instead; "" if it can."""
    if t.state is not State.DONE:
        return f"it is {t.state}; name one that is done"
    if (parent := parent_of(t)) is not None:
        return f"it goes on from trial {parent}; study.schedule({t.number}).train(objective) trains it again"
    return "" if t.attempt > 0 else "it was added from elsewhere; enqueue its params to measure them here"


def _usual(done: Sequence[Trial], best: Trial | None) -> list[Trial]:
    """USUAL trials, if there are so many: trial 0, the best one, and others spread over the study."""
    wanted = [0] if best is None else [0, best.number]
    first = [t for number in wanted for t in done if t.number == number]
    spread = [done[i * (len(done) - 1) // (USUAL - 1)] for i in range(USUAL)]
    picked = {t.number: t for t in [*first, *spread]}
    return sorted([*picked.values()][:USUAL], key=lambda t: t.number)


def left_out(picked: Sequence[Trial], numbers: Sequence[int] | None, best: Trial | None) -> str:
    """Why the best trial is not among those chosen by default; "" if it is."""
    if numbers is not None or best is None or any(t.number == best.number for t in picked):
        return ""
    return f"the best, trial {best.number}, was not run again: {_obstacle(best)}"


def rerun(program: Program, spec: StudySpec, trials: Sequence[Trial], slots: Slots) -> dict[int, Exit]:
    """Run trials again, each with its params and its seed: by number, how they end. Nothing is recorded."""
    waiting, ends = list(trials), dict[int, Exit]()
    with (
        TemporaryDirectory(prefix="trimtab-") as folder,
        interruptible() as insist,
        closing(executor_for(program, slots, insist)) as executor,
    ):
        while len(ends) < len(trials):
            while waiting and executor.free():
                t = waiting.pop(0)
                sent = payload(t, spec.metrics, Folders(os.path.join(folder, str(t.number))))
                executor.launch(Job((t.study, t.number, t.attempt), sent, lambda _: {"stop": False}, slots.resources))
            ended = executor.reap(IDLE)
            ends |= {job.key[1]: how for job, how in ended}
            if not ended and len(waiting) == len(trials) - len(ends):  # no process can be started just now
                time.sleep(IDLE)
    return ends


def compared(t: Trial, how: Exit, tolerance: float) -> Rerun:
    """A trial's new end, compared with its recorded metrics."""
    outcome = from_exit(how, Resources())
    if outcome is None or outcome.state is not State.DONE:
        text = "its process was killed" if outcome is None else outcome.error or str(outcome.state)
        return Rerun(t.number, t.metrics, {}, f"it gave no result: {first_line(text)}")
    wrong = [
        _difference(name, then, now)
        for name, then in t.metrics.items()
        if not _close(then, now := outcome.metrics.get(name, math.nan), tolerance)
    ]
    return Rerun(t.number, t.metrics, outcome.metrics, "; ".join(wrong))


def _difference(name: str, then: float, now: float) -> str:
    """A metric that has changed, and by how much in the sense of the tolerance: sums in another number of threads differ
    in digits that are not shown."""
    text = f"{name} was {number(then, 12)}, is {number(now, 12)}"
    apart = abs(now - then) / max(abs(now), abs(then))
    return text if math.isnan(apart) else f"{text} (a relative difference of {apart:.2g})"


def _close(then: float, now: float, tolerance: float) -> bool:
    return then == now or math.isclose(then, now, rel_tol=tolerance, abs_tol=0.0)
