"""Settings with their results, the best of them, and the Pareto front. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..canonical import dumps, same_setting
from ..goals import Metrics
from ..numerics.pareto import nondominated
from ..records import State, StudySpec, Trial
from ..records.columns import Results
from ..records.copied import copied
from ..space import Params
from .ledger import Ledger, Told
from .matrix import results


def baseline_metrics(spec: StudySpec, trial: Trial | None) -> Metrics | None:
    """The metrics that relative constraints refer to; None while the baseline's `trial` has no result, or if it failed."""
    if spec.baseline is None or trial is None or trial.state is not State.DONE:
        return None
    return trial.metrics


def feasible(spec: StudySpec, metrics: Metrics, baseline: Metrics | None) -> bool | None:
    """Whether all constraints hold; None if that is unknown, because the baseline or the trial lacks a metric."""
    excess = excesses(spec, metrics, baseline)
    if any(e > 0 for e in excess):
        return False
    return None if any(math.isnan(e) for e in excess) else True


def excesses(spec: StudySpec, metrics: Metrics, baseline: Metrics | None) -> list[float]:
    """How far the metrics are beyond each limit; NaN where a metric that it needs is lacking."""
    return [c.excess(metrics, baseline) for c in spec.constraints]


@copied("params", "metrics")
@dataclass(frozen=True)
class Candidate:
    """A setting with all its results.

    number, params: of the first trial with this setting.
    metrics: of its `n` results, the means.
    feasible: whether these means meet the constraints; None if that is unknown.
    trials: where `trial` is looked up.
    """

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
        """Pickle only the candidate's own trial, not the whole study in which trials are looked up."""
        return Candidate, (self.number, self.params, self.metrics, self.n, self.feasible, {self.number: self.trial})


def candidates(spec: StudySpec, told: Iterable[Trial], baseline: Metrics | None) -> list[Candidate]:
    """One candidate per setting that was fully trained; replicates are averaged.

    A trial of a population is a candidate by itself, since it was also trained with the settings of its ancestors.
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
    """Indices of the fully trained results that have a metric for each goal, grouped by setting, in order."""
    goals = [g.metric for g in spec.goals]
    groups: dict[str | int, list[int]] = {}
    for i, (done, fidelity, metrics) in enumerate(zip(found.done, found.fidelity, found.metrics, strict=True)):
        if done and fully_trained(spec, fidelity) and all(goal in metrics for goal in goals):
            of_population = found.member[i] is not None
            groups.setdefault(i if of_population else dumps(spec.current(found.params[i])), []).append(i)
    return list(groups.values())


def _mean(spec: StudySpec, several: Sequence[Metrics]) -> Metrics:
    """The metrics of the first result; those that the study needs, and that all results have, are averaged over all."""
    if len(several) == 1:
        return several[0]
    names = [m for m in spec.metrics if all(m in metrics for metrics in several)]
    return {**several[0], **{m: math.fsum(metrics[m] for metrics in several) / len(several) for m in names}}


def of_ledger(ledger: Ledger) -> list[Candidate]:
    """The candidates of a study, by its ledger."""
    spec = ledger.study.spec
    return candidates(spec, ledger.told, baseline_metrics(spec, ledger.baseline))


def of_trial(spec: StudySpec, found: Iterable[Candidate], trial: Trial) -> Candidate | None:
    """The candidate to which a trial belongs: in a population its own, whatever others end with the same setting. None if it
    is none."""
    if _of_population(trial):
        return next((c for c in found if c.number == trial.number), None)
    params = spec.current(trial.params)
    alike = (c for c in found if same_setting(spec.current(c.params), params))
    return next((c for c in alike if not _of_population(c.trial)), None)


def _of_population(t: Trial) -> bool:
    return t.why.get("member") is not None


def fully_trained(spec: StudySpec, fidelity: float | None) -> bool:
    """Whether a trial of this fidelity was to be trained to the top (None: it is older than the study's fidelity)."""
    return spec.fidelity is None or fidelity is None or fidelity >= spec.fidelity.high


def in_full(spec: StudySpec, t: Trial) -> bool:
    """Whether an ended trial was to be trained to the top, and was not stopped on its way there."""
    return t.state is not State.STOPPED and fully_trained(spec, t.fidelity)


def admission(spec: StudySpec) -> str:
    """What a finished trial needs to be admitted as the best, in words."""
    f = spec.fidelity
    needs = [] if f is None else [f"was trained to {f.name}={f.high:g}"]
    needs += ["meets the constraints"] if spec.constraints else []
    return " and ".join(needs or [f"has {', '.join(g.metric for g in spec.goals)}"])


def admissible(found: Iterable[Candidate]) -> list[Candidate]:
    """The candidates that are not known to be infeasible."""
    return [c for c in found if c.feasible is not False]


def best(spec: StudySpec, found: Sequence[Candidate]) -> Candidate | None:
    """The admissible candidate with the best mean of the first goal; on ties, of the next goals, and then the earliest."""
    return min(admissible(found), key=lambda c: ([g.loss(c.metrics) for g in spec.goals], c.number), default=None)


def pareto(spec: StudySpec, found: Sequence[Candidate]) -> list[Candidate]:
    """The admissible candidates that no other one beats in every goal, by trial number."""
    allowed = sorted(admissible(found), key=lambda c: c.number)
    L = np.array([[g.loss(c.metrics) for g in spec.goals] for c in allowed]).reshape(len(allowed), len(spec.goals))
    return [allowed[i] for i in np.flatnonzero(nondominated(L))]
