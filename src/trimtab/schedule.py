"""Schedules that population-based training has found: with which parameters to train, until when.

A schedule can be drawn (`study.plot.schedule()`), written as YAML, and trained again as one training, without a study.

    schedule = study.schedule()
    Path("schedule.yaml").write_text(schedule.to_yaml())
    Schedule.from_yaml(Path("schedule.yaml").read_text()).train(objective)
"""

import math
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from .checks import shown
from .engine import trial_seed
from .engine.lineage import ancestry
from .errors import ObjectiveError, SpecError
from .goals import Metrics
from .interrupts import interruptible
from .objective import ActiveTrial, resolved
from .objective.evaluation import evaluate
from .objective.trial import Folders, payload
from .records import Purpose, State, StudySpec, Trial
from .space import Params
from .yamltext import load

Report = Callable[[float, Metrics], None]


@dataclass(frozen=True)
class Stretch:
    """A part of a training."""

    until: float  # the fidelity at which it ends; it begins where the previous part ends
    params: Params
    seed: int  # of the trial that trained it
    trial: int  # the number of that trial


@dataclass(frozen=True)
class Schedule:
    """The parameters of one training over time."""

    study: str
    fidelity: str  # its name, such as "epochs"
    stretches: tuple[Stretch, ...]
    metrics: Metrics = field(default_factory=dict)  # the recorded result

    def __repr__(self) -> str:
        until = f"until {self.fidelity} {self.stretches[-1].until:g}, stretches={len(self.stretches)}"
        return f"<Schedule of study {self.study!r}: {until}, metrics={dict(self.metrics)}>"

    @staticmethod
    def of(spec: StudySpec, trials: Mapping[int, Trial], number: int) -> "Schedule":
        """The schedule by which trial `number` and its ancestors were trained. Raises SpecError if there is none."""
        line = ancestry(trials, number)
        if spec.fidelity is None or line[-1].state is not State.DONE or any(t.fidelity is None for t in line):
            raise SpecError(f"trial {number} has no schedule: it must be done, in a study with a fidelity")
        stretches = tuple(Stretch(float(t.fidelity or 0), spec.current(t.params), t.seed, t.number) for t in line)
        return Schedule(spec.name, spec.fidelity.name, stretches, line[-1].metrics)

    def at(self, step: float) -> Params:
        """The parameters with which `step` is trained. Raises SpecError for a step beyond the end."""
        for s in self.stretches:
            if step <= s.until:
                return s.params
        raise SpecError(f"{self.fidelity} {step:g} is beyond the end of the schedule, {self.stretches[-1].until:g}")

    def to_yaml(self) -> str:
        """The schedule as YAML text, which `from_yaml` reads."""
        data = {
            "study": self.study,
            "fidelity": self.fidelity,
            "metrics": dict(self.metrics),
            "schedule": [
                {"until": s.until, "params": dict(s.params), "seed": s.seed, "trial": s.trial} for s in self.stretches
            ],
        }
        return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))

    @staticmethod
    def from_yaml(text: str | bytes) -> "Schedule":
        """The schedule that `to_yaml` wrote. Raises SpecError for anything else."""
        try:
            if not isinstance(text, str | bytes):
                raise TypeError(f"{shown(text)} is no text")
            data = load(text)
            stretches = tuple(
                Stretch(float(s["until"]), dict(s["params"]), int(s["seed"]), int(s["trial"])) for s in data["schedule"]
            )
            metrics = {str(name): float(value) for name, value in dict(data["metrics"]).items()}
            made = Schedule(str(data["study"]), str(data["fidelity"]), stretches, metrics)
        except (yaml.YAMLError, KeyError, TypeError, ValueError, OverflowError) as error:
            why = f"{error} is missing" if isinstance(error, KeyError) else " ".join(str(error).split())
            raise SpecError(
                f"this is no schedule: {why}; give what `trimtab schedule` or study.schedule().to_yaml() wrote"
            ) from None
        if not stretches or not all(a < b for a, b in pairwise([0.0, *(s.until for s in stretches), math.inf])):
            raise SpecError(
                "a schedule needs at least one stretch, and each must end later than the one before, at a number"
            )
        return made

    def train(
        self,
        objective: "str | Callable[[ActiveTrial], object]",
        *,
        seed: int | None = None,
        folder: str | Path | None = None,
        report: Report | None = None,
    ) -> Metrics:
        """Train by the schedule, in this process. Returns the metrics at its end.

          objective: the objective of the study. It is called once for each stretch, and continues each time from what it
              has saved in `trial.checkpoint`.
          seed: for a run that differs from the recorded one; default: the recorded seeds.
          folder: the directory `trial.checkpoint`, the same for all stretches; default: a temporary one.
          report: called with (step, metrics) at each report.

        Raises ObjectiveError if a stretch fails, and KeyboardInterrupt after Ctrl-C, also if the objective caught it.
        """
        call = resolved(objective)
        with ExitStack() as cleanup:
            place = folder or cleanup.enter_context(tempfile.TemporaryDirectory(prefix="trimtab-"))
            insist = cleanup.enter_context(interruptible())
            for i, stretch in enumerate(self.stretches):
                ended = evaluate(call, self._payload(i, stretch, seed, Path(place)), _receiver(report))
                insist()
                if ended["state"] != "done":
                    raise ObjectiveError(
                        f"stretch {i + 1}, until {stretch.until:g}: {ended.get('error', 'it stopped')}"
                    )
        return dict(ended["metrics"])

    def _payload(self, i: int, stretch: Stretch, seed: int | None, place: Path) -> dict[str, Any]:
        """What the evaluation of stretch i needs to know, as that of a trial."""
        trial = Trial(
            study=0,
            number=i,
            state=State.RUNNING,
            purpose=Purpose.SEARCH,
            params=stretch.params,
            seed=stretch.seed if seed is None else trial_seed(seed, "schedule", i),
            parent=i - 1 if i else None,
            attempt=1,
            fidelity=stretch.until,
        )
        return payload(trial, self.metrics, Folders(str(place)))


def _receiver(report: Report | None) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The function to which a training without a study sends its messages: it passes reports on, and ignores notes."""

    def receive(message: dict[str, Any]) -> dict[str, Any]:
        if report is not None and message["kind"] == "report":
            report(message["step"], message["metrics"])
        return {}

    return receive
