"""The schedule that a population found: which parameters to train with, until when. It can be drawn
(`study.plot.schedule()`), written as YAML, and trained again as one plain training, without a study.

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

from .engine import trial_seed
from .engine.lineage import ancestry
from .errors import ObjectiveError, SpecError
from .goals import Metrics
from .objective import ActiveTrial, paths
from .objective.evaluation import evaluate
from .records import State, StudySpec, Trial
from .space import Params

Report = Callable[[float, Metrics], None]


@dataclass(frozen=True)
class Stretch:
    """A part of the training: with `params` until the fidelity `until`, from where the previous part ended. seed,
    trial: those of the recorded interval."""

    until: float
    params: Params
    seed: int
    trial: int


@dataclass(frozen=True)
class Schedule:
    """The parameters of one training over time. metrics: its recorded result."""

    study: str
    fidelity: str
    stretches: tuple[Stretch, ...]
    metrics: Metrics = field(default_factory=dict)

    def __repr__(self) -> str:
        until = f"until {self.fidelity} {self.stretches[-1].until:g}, stretches={len(self.stretches)}"
        return f"<Schedule of study {self.study!r}: {until}, metrics={dict(self.metrics)}>"

    @staticmethod
    def of(spec: StudySpec, trials: Mapping[int, Trial], number: int) -> "Schedule":
        """The schedule that led to the state of trial `number`. Raises SpecError if it has none."""
        line = ancestry(trials, number)
        if spec.fidelity is None or line[-1].state is not State.DONE or any(t.fidelity is None for t in line):
            raise SpecError(f"trial {number} has no schedule: it must be done, in a study with a fidelity")
        stretches = tuple(Stretch(float(t.fidelity or 0), spec.current(t.params), t.seed, t.number) for t in line)
        return Schedule(spec.name, spec.fidelity.name, stretches, line[-1].metrics)

    def at(self, step: float) -> Params:
        """The parameters with which step `step` is trained. Raises SpecError beyond the end."""
        for s in self.stretches:
            if step <= s.until:
                return s.params
        raise SpecError(f"{self.fidelity} {step:g} is beyond the end of the schedule, {self.stretches[-1].until:g}")

    def to_yaml(self) -> str:
        """As text; `from_yaml` reads it back."""
        said = {
            "study": self.study,
            "fidelity": self.fidelity,
            "metrics": dict(self.metrics),
            "schedule": [
                {"until": s.until, "params": dict(s.params), "seed": s.seed, "trial": s.trial} for s in self.stretches
            ],
        }
        return str(yaml.safe_dump(said, sort_keys=False, allow_unicode=True))

    @staticmethod
    def from_yaml(text: str | bytes) -> "Schedule":
        """The schedule that `to_yaml` wrote. Raises SpecError for anything else."""
        try:
            said = yaml.safe_load(text)
            stretches = tuple(
                Stretch(float(s["until"]), dict(s["params"]), int(s["seed"]), int(s["trial"])) for s in said["schedule"]
            )
            metrics = {str(name): float(value) for name, value in dict(said["metrics"]).items()}
            made = Schedule(str(said["study"]), str(said["fidelity"]), stretches, metrics)
        except (yaml.YAMLError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise SpecError(f"this is no schedule ({error!r}); give what study.schedule().to_yaml() wrote") from None
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
        """Train with the schedule in this process; returns the metrics at its end.

        The objective is the study's: it is called once for each stretch, and continues from what it saved in
        `trial.checkpoint`, which is `folder` throughout (default: a temporary one). seed: for another run than the
        recorded one. report: called with (step, metrics). Raises ObjectiveError if a stretch fails.
        """
        call = paths.find(objective)[0] if isinstance(objective, str) else objective
        with ExitStack() as cleanup:
            place = folder or cleanup.enter_context(tempfile.TemporaryDirectory(prefix="trimtab-"))
            for i, stretch in enumerate(self.stretches):
                ended = evaluate(call, self._task(i, stretch, seed, Path(place)), _hearing(report))
                if ended["state"] != "done":
                    raise ObjectiveError(
                        f"stretch {i + 1}, until {stretch.until:g}: {ended.get('error', 'it stopped')}"
                    )
        return dict(ended["metrics"])

    def _task(self, i: int, stretch: Stretch, seed: int | None, place: Path) -> dict[str, Any]:
        return {
            "params": stretch.params,
            "seed": stretch.seed if seed is None else trial_seed(seed, "schedule", i),
            "number": i,
            "purpose": "search",
            "replicate": None,
            "attempt": 1,
            "metrics": list(self.metrics),
            "fidelity": stretch.until,
            "parent": i - 1 if i else None,
            "checkpoint": str(place),
        }


def _hearing(report: Report | None) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Receives the reports and notes of a training without a study."""

    def hear(message: dict[str, Any]) -> dict[str, Any]:
        if report is not None and message["kind"] == "report":
            report(message["step"], message["metrics"])
        return {}

    return hear
