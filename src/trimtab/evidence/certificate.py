"""Is the tuned setting better than the baseline? A paired comparison on runs that the search never saw.

Notation: J complete pairs; d_j = tuned - baseline with the sign turned so that positive is better; mean m, sample
variance s^2 (J - 1 degrees of freedom); r = n_test / n_train when the pairs are folds whose training sets overlap,
0 for independent seeds. Scores of overlapping folds are correlated, so that s^2 / J is too small; Nadeau & Bengio
(2003, Machine Learning 52, sec. 3) take s^2 (1/J + r). Read as a posterior, the same t-distribution gives the
probabilities of a better, a practically equivalent and a worse setting (Corani & Benavoli 2015, Machine Learning 100,
eq. 7). Valid for differences that are about normal; two pairs are the least, five the least that is comfortable.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from ..errors import SpecError
from ..goals import Constraint, Metrics
from ..space import Params
from ..words import estimate, number, percent, plural

LEVEL = 0.95
FEW = 5
Array = NDArray[np.float64]
Pair = tuple[Metrics | None, Metrics | None]


@dataclass(frozen=True)
class ConstraintCheck:
    """How the tuned setting kept a constraint: its mean of the metric, and the share of pairs in which it held."""

    text: str
    mean: float
    held: float


@dataclass(frozen=True)
class Evidence:
    """What the certify trials say of the tuned setting against the baseline.

    `pairs` are (baseline, tuned) values of `metric` in replicate order, failed pairs left out. `difference` is their
    mean, positive when tuned is better whatever the direction, `interval` its two-sided 95 % interval. `p_better`,
    `p_equivalent` and `p_worse` use the zone of practical equivalence, +-`equivalence` in the metric's unit (NaN when
    there are fewer than two pairs). `decision`: "proven" when the interval is above 0, "worse" when it is below 0, else
    "not shown". `constraints`: one check each, over the same pairs. `notices`: what a reader must know beside it.
    """

    metric: str
    maximize: bool
    baseline: Params
    tuned: Params
    tuned_trial: int
    pairs: tuple[tuple[float, float], ...]
    difference: float
    interval: tuple[float, float]
    p_better: float
    p_equivalent: float
    p_worse: float
    equivalence: float
    decision: str
    test_train_ratio: float
    failed_pairs: int
    constraints: tuple[ConstraintCheck, ...]
    notices: tuple[str, ...]

    @property
    def means(self) -> tuple[float, float]:
        """Means of the metric over the complete pairs: baseline, tuned. NaN without pairs."""
        if not self.pairs:
            return math.nan, math.nan
        baseline, tuned = np.mean(self.pairs, axis=0)
        return float(baseline), float(tuned)

    @property
    def test(self) -> str:
        """The test behind the interval, in a sentence."""
        base = f"paired Student t over {plural(len(self.pairs), 'pair')}, two-sided {LEVEL:.0%} interval".replace(
            "%", " %"
        )
        if self.test_train_ratio == 0:
            return f"{base}; the pairs are taken as independent"
        ratio = number(self.test_train_ratio, 3)
        return (
            f"{base}; variance corrected for overlapping training sets, n_test/n_train = {ratio} (Nadeau & Bengio 2003)"
        )

    def text(self) -> str:
        """Aligned lines for a terminal."""
        return "\n".join(f"{label:<12}{line}" for label, line in self._lines())

    def _lines(self) -> list[tuple[str, str]]:
        baseline, tuned = (number(v) for v in self.means)
        difference, low, high = estimate(self.difference, self.interval)
        zone = f" (equivalent: within ±{number(self.equivalence)})" if self.equivalence else ""
        chances = (
            f"better {percent(self.p_better)}, equivalent {percent(self.p_equivalent)}, worse {percent(self.p_worse)}"
        )
        return [
            ("decision", f"{self.decision}: {_SAID[self.decision]} on {self.metric}"),
            ("difference", f"{difference}, 95 % interval {low} to {high} (positive is better)"),
            ("baseline", f"{self.metric} {baseline}"),
            ("tuned", f"{self.metric} {tuned} (trial {self.tuned_trial})"),
            ("probability", chances + zone),
            ("test", self.test),
            *(
                ("constraint", f"{c.text}: held in {percent(c.held)} of pairs, mean {number(c.mean)}")
                for c in self.constraints
            ),
            *(("note", notice) for notice in self.notices),
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; what is unknown or unbounded is null."""
        data = asdict(self)
        for name in _NUMBERS:
            data[name] = _finite(data[name])
        data["interval"] = [_finite(v) for v in self.interval]
        data["pairs"] = [list(p) for p in self.pairs]
        data["constraints"] = [
            {**asdict(c), "mean": _finite(c.mean), "held": _finite(c.held)} for c in self.constraints
        ]
        data["notices"] = list(self.notices)
        return data

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Evidence":
        low, high = data["interval"]
        unknown = {name: _number(data[name]) for name in _NUMBERS}
        return Evidence(
            **{
                **data,
                **unknown,
                "pairs": tuple((b, t) for b, t in data["pairs"]),
                "interval": (-math.inf if low is None else low, math.inf if high is None else high),
                "constraints": tuple(
                    ConstraintCheck(c["text"], _number(c["mean"]), _number(c["held"])) for c in data["constraints"]
                ),
                "notices": tuple(data["notices"]),
            }
        )


_SAME_RUNS = "the replicates are identical: the objective seems to ignore trial.seed, so they say nothing about noise"
_SAME_DIFFERENCES = "all differences are identical: the seeds move both settings alike, so they say nothing about noise"
_NUMBERS = ("difference", "p_better", "p_equivalent", "p_worse")
_SAID = {
    "proven": "the tuned setting beats the baseline",
    "worse": "the tuned setting is worse than the baseline",
    "not shown": "no gain over the baseline could be shown",
}


def certify(
    metric: str,
    maximize: bool,
    baseline: Params,
    tuned: Params,
    tuned_trial: int,
    pairs: Sequence[Pair],
    *,
    test_train_ratio: float = 0.0,
    equivalence: float = 0.0,
    constraints: Sequence[Constraint] = (),
    baseline_metrics: Metrics | None = None,
) -> Evidence:
    """The evidence in `pairs` of (baseline, tuned) metrics, None for a run that failed, in replicate order.

    test_train_ratio: n_test / n_train of the folds, 0 for independent seeds. equivalence: half-width of the zone of
    practical equivalence, in the metric's unit. baseline_metrics: what relative constraints refer to; None: the
    baseline's run in the same pair. Raises SpecError for a ratio or a zone that is negative or not finite.
    """
    for name, v, why in (
        ("test_train_ratio", test_train_ratio, "n_test / n_train, 0 for independent seeds"),
        ("equivalence", equivalence, "a half-width in the metric's unit, 0 for no zone"),
    ):
        if isinstance(v, bool) or not isinstance(v, int | float) or not 0 <= v < math.inf:
            raise SpecError(f"{name}={v!r} must be a finite number of at least 0; give {why}")
    complete = [(b, t) for b, t in pairs if b is not None and t is not None and _has(b, metric) and _has(t, metric)]
    values = tuple((float(b[metric]), float(t[metric])) for b, t in complete)
    d = np.array([t - b if maximize else b - t for b, t in values])
    difference, interval, chances = _posterior(d, test_train_ratio, equivalence)
    checks = tuple(_check(c, complete, baseline_metrics) for c in constraints)
    same = dict(baseline) == dict(tuned)
    low, high = interval
    decision = "not shown" if same else "proven" if low > 0 else "worse" if high < 0 else "not shown"
    return Evidence(
        metric,
        maximize,
        baseline,
        tuned,
        tuned_trial,
        values,
        difference,
        interval,
        *chances,
        equivalence,
        decision,
        test_train_ratio,
        len(pairs) - len(values),
        checks,
        tuple(_notices(metric, pairs, values, d, same, checks)),
    )


def _posterior(d: Array, ratio: float, zone: float) -> tuple[float, tuple[float, float], tuple[float, float, float]]:
    """Mean difference, its interval, and P(better), P(equivalent), P(worse)."""
    J = len(d)
    if J < 2:
        mean = float(d[0]) if J else math.nan
        return mean, (-math.inf, math.inf), (math.nan, math.nan, math.nan)
    mean = float(d.mean())
    if _identical(d):
        better, worse = float(mean > zone), float(mean < -zone)
        return mean, (mean, mean), (better, 1 - better - worse, worse)
    scale = math.sqrt(float(d.var(ddof=1)) * (1 / J + ratio))
    half = float(stdtrit(J - 1, (1 + LEVEL) / 2)) * scale
    better = float(stdtr(J - 1, (mean - zone) / scale))
    worse = float(stdtr(J - 1, (-zone - mean) / scale))
    return mean, (mean - half, mean + half), (better, max(0.0, 1 - better - worse), worse)


def _identical(d: Array) -> bool:
    """Whether the differences are one number, up to rounding."""
    return bool(np.ptp(d) <= 1e-12 * np.abs(d).max())


def _check(c: Constraint, complete: Sequence[tuple[Metrics, Metrics]], reference: Metrics | None) -> ConstraintCheck:
    """The constraint over the pairs in which it can be judged; NaN where there is none."""
    means = [t[c.metric] for _, t in complete if _has(t, c.metric)]
    excess = np.array([c.excess(t, b if reference is None else reference) for b, t in complete])
    held = excess[~np.isnan(excess)] <= 0
    mean, share = (float(np.mean(v)) if len(v) else math.nan for v in (means, held))
    return ConstraintCheck(c.text, mean, share)


def _notices(
    metric: str,
    pairs: Sequence[Pair],
    values: Sequence[tuple[float, float]],
    d: Array,
    same: bool,
    checks: Sequence[ConstraintCheck],
) -> list[str]:
    said, J = [], len(values)
    if same:
        said.append("the tuned setting is the baseline itself: there is no gain to show")
    if len(pairs) > J:
        by = [sum(not (m is not None and _has(m, metric)) for m in side) for side in zip(*pairs, strict=True)]
        said.append(
            f"{len(pairs) - J} of {plural(len(pairs), 'pair')} left out because a run failed "
            f"(baseline {by[0]}, tuned {by[1]}): the difference speaks only of runs that ended"
        )
    if J < 2:
        said.append(f"{plural(J, 'complete pair')}: an interval needs at least 2")
    elif J < FEW:
        said.append(
            f"only {J} pairs: the interval leans on the assumption that differences are normal; {FEW} are better"
        )
    if J >= 2 and _identical(d):
        said.append(_SAME_RUNS if np.ptp(values, axis=0).max() == 0 else _SAME_DIFFERENCES)
    said += [f"the tuned setting broke {c.text!r} in {percent(1 - c.held)} of pairs" for c in checks if c.held < 1]
    said += [f"whether the tuned setting keeps {c.text!r} is unknown" for c in checks if math.isnan(c.held)]
    return said


def _has(metrics: Metrics, name: str) -> bool:
    return math.isfinite(metrics.get(name, math.nan))


def _finite(v: float) -> float | None:
    return v if math.isfinite(v) else None


def _number(v: float | None) -> float:
    return math.nan if v is None else v
