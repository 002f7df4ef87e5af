"""Settings with results, the best of them, and the Pareto front. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..canonical import dumps
from ..goals import Metrics
from ..numerics.pareto import nondominated
from ..records import State, StudySpec, Trial
from ..records.columns import Results
from ..records.copied import copied
from ..space import Params
from .ledger import Ledger, Told
from .matrix import results


def baseline_metrics(spec: StudySpec, trial: Trial | None) -> Metrics | None:
    """The metrics that relative constraints compare with; None while unknown, or if the baseline failed."""
    if spec.baseline is None or trial is None or trial.state is not State.DONE:
        return None
    return trial.metrics


def feasible(spec: StudySpec, metrics: Metrics, baseline: Metrics | None) -> bool | None:
    """Whether all constraints hold; None if that cannot be known (the baseline has no result)."""
    if not spec.constraints:
        return True
    excess = [c.excess(metrics, baseline) for c in spec.constraints]
    if any(e > 0 for e in excess):
        return False
    return None if any(math.isnan(e) for e in excess) else True


@copied("params", "metrics")
@dataclass(frozen=True)
class Candidate:
    """A setting with all its successful results: number and params of its first trial, the mean of each metric over its
    `n` results, and whether that is feasible. `trial` is looked up among `trials`."""

    number: int
    params: Params
    metrics: Metrics
    n: int
    feasible: bool | None
    trials: Mapping[int, Trial] = field(repr=False, compare=False)

    @property
    def trial(self) -> Trial:
        return self.trials[self.number]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the candidate's own trial, not the record in which all trials are looked up."""
        return Candidate, (self.number, self.params, self.metrics, self.n, self.feasible, {self.number: self.trial})


def candidates(spec: StudySpec, told: Iterable[Trial], baseline: Metrics | None) -> list[Candidate]:
    """One candidate per setting among finished trials; replicates are averaged.

    A member of a population stands for itself: its last setting is not all that it was trained with.
    """
    told = told if isinstance(told, Told) else list(told)
    trials = told.trials if isinstance(told, Told) else {t.number: t for t in told}
    found, made = results(told), list[Candidate]()
    for group in _by_setting(spec, found):
        first, metrics = group[0], _mean(spec, [found.metrics[i] for i in group])
        judged = feasible(spec, metrics, baseline)
        made.append(Candidate(found.number[first], found.params[first], metrics, len(group), judged, trials))
    return made


def _by_setting(spec: StudySpec, found: Results) -> list[list[int]]:
    """Indices of the results that have all goals at the top fidelity, grouped by setting, in order."""
    top = -math.inf if spec.fidelity is None else spec.fidelity.high
    goals = [g.metric for g in spec.goals]
    groups: dict[str | int, list[int]] = {}
    for i, (done, fidelity, metrics) in enumerate(zip(found.done, found.fidelity, found.metrics, strict=True)):
        if done and (fidelity is None or fidelity >= top) and all(goal in metrics for goal in goals):
            alone = found.member[i] is not None
            groups.setdefault(i if alone else dumps(spec.current(found.params[i])), []).append(i)
    return list(groups.values())


def _mean(spec: StudySpec, several: Sequence[Metrics]) -> Metrics:
    """The first metrics, with the mean of those that the study needs and all results have."""
    if len(several) == 1:
        return several[0]
    names = [m for m in spec.metrics if all(m in metrics for metrics in several)]
    return {**several[0], **{m: math.fsum(metrics[m] for metrics in several) / len(several) for m in names}}


def of_ledger(ledger: Ledger) -> list[Candidate]:
    """The candidates of a study, by its ledger."""
    spec = ledger.study.spec
    return candidates(spec, ledger.told, baseline_metrics(spec, ledger.baseline))


def fully_trained(spec: StudySpec, t: Trial) -> bool:
    """Whether a trial was to be trained to the study's top fidelity (or dates from before the study had a fidelity)."""
    return spec.fidelity is None or t.fidelity is None or t.fidelity >= spec.fidelity.high


def admission(spec: StudySpec) -> str:
    """What a finished trial needs to be the best, in words."""
    f = spec.fidelity
    said = [] if f is None else [f"was trained to {f.name}={f.high:g}"]
    said += ["meets the constraints"] if spec.constraints else []
    return " and ".join(said or [f"has {', '.join(g.metric for g in spec.goals)}"])


def admissible(found: Iterable[Candidate]) -> list[Candidate]:
    """The candidates that are not known to be infeasible."""
    return [c for c in found if c.feasible is not False]


def best(spec: StudySpec, found: Sequence[Candidate]) -> Candidate | None:
    """The admissible candidate with the best mean of the first goal; the earliest on ties."""
    return min(admissible(found), key=lambda c: (spec.goals[0].loss(c.metrics), c.number), default=None)


def pareto(spec: StudySpec, found: Sequence[Candidate]) -> list[Candidate]:
    """The admissible candidates that no other one beats in every goal, by trial number."""
    allowed = sorted(admissible(found), key=lambda c: c.number)
    L = np.array([[g.loss(c.metrics) for g in spec.goals] for c in allowed]).reshape(len(allowed), len(spec.goals))
    return [allowed[i] for i in np.flatnonzero(nondominated(L))]
