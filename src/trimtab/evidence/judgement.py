"""From pairs to a certificate: the interval of the protocol, the decision, and what a reader must know beside it.

Pairs of (baseline, tuned) metrics go in, in replicate order. The numbers are made in `intervals`. Valid for differences
that are about normal; two pairs are the least, five the least that is comfortable.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..canonical import alike
from ..errors import SpecError
from ..goals import Constraint, Goal, Metrics
from ..space import Params
from ..words import percent, plural
from . import intervals
from .certificate import FEW, HOLDOUT, LEVEL, Comparison, ConstraintCheck, Evidence

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
RESERVE = 0.5  # part of the error that the interval of independent pairs leaves unspent
Pair = tuple[Metrics | None, Metrics | None]
_SAME_RUNS = "the replicates are identical: the objective seems to ignore trial.seed, so they say nothing about noise"
_SAME_DIFFERENCES = "all differences are identical: the seeds move both settings alike, so they say nothing about noise"


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
    minimum_effect: float = 0.0,
    constraints: Sequence[Constraint] = (),
    compared: int = 1,
    sequential: bool = False,
    others: Sequence[Goal] = (),
) -> Evidence:
    """The evidence in `pairs` of (baseline, tuned) metrics, None for a run that failed, in replicate order.

    test_train_ratio: n_test / n_train of the folds, 0 for independent seeds. equivalence: half-width of the zone of
    practical equivalence, in the metric's unit. minimum_effect: the gain that "proven" needs, in the metric's unit.
    constraints: relative ones refer to the baseline's run in the same pair. compared: comparisons that share the 95 %,
    this one and those of `others`, further goals over the same pairs, included. sequential: pairs are added until the
    answer satisfies. Raises SpecError for what is negative or not finite."""
    checked(test_train_ratio=test_train_ratio, equivalence=equivalence, minimum_effect=minimum_effect)
    values = tuple((float(b[metric]), float(t[metric])) for b, t in _complete(pairs, metric))
    d = gains(values, maximize)
    reserve = 0.0 if test_train_ratio or sequential else RESERVE  # those two are wide by themselves
    alpha = (1 - LEVEL) * (1 - reserve) / (compared := max(compared, 1 + len(others)))
    found = _estimate(d, test_train_ratio, equivalence, alpha, sequential)
    checks = tuple(_check(c, _complete(pairs, metric)) for c in constraints)
    same = alike(baseline, tuned)
    fails = _fails(pairs, metric)
    gain = "not shown" if same else reliable(decided(found.interval, minimum_effect), fails)
    return Evidence(
        metric,
        maximize,
        baseline,
        tuned,
        tuned_trial,
        values,
        difference=found.mean,
        interval=found.interval,
        p_better=found.better,
        p_equivalent=found.equivalent,
        p_worse=found.worse,
        equivalence=equivalence,
        decision=within(gain, checks),
        test_train_ratio=test_train_ratio,
        failed_pairs=len(pairs) - len(values),
        constraints=checks,
        notices=tuple(_notices(metric, pairs, values, d, same, checks)),
        protocol="folds" if test_train_ratio else "seeds",
        minimum_effect=minimum_effect,
        compared=compared,
        sequential=sequential,
        reserve=reserve,
        more=0 if gain == "proven" else None if fails else _more(d, test_train_ratio, minimum_effect, alpha),
        detectable=math.nan if fails else intervals.detectable(d, test_train_ratio, alpha),
        goals=tuple(_compare(g, pairs, test_train_ratio, alpha, sequential) for g in others),
    )


def held_out(
    goal: Goal,
    baseline: Params,
    tuned: Params,
    tuned_trial: int,
    before: Callable[[Rows], float],
    after: Callable[[Rows], float],
    rows: int,
    equivalence: float,
    look: int,
    rng: np.random.Generator,
    compared: int = 1,
    limits: Sequence[str] = (),
) -> Evidence:
    """The evidence of one hold-out set: `before` and `after` give the metric of baseline and tuned on chosen rows of it.
    `look` counts how often it has been looked at, `compared` how many settings and goals were; `limits` are the
    constraints, which nobody judges here. A metric that is not finite on all rows is a failed pair."""
    sign = 1.0 if goal.maximize else -1.0
    alpha = (1 - LEVEL) / compared
    found = intervals.bootstrap(lambda i: sign * (after(i) - before(i)), rows, equivalence, alpha, rng)
    said = [f"{plural(rows, 'hold-out row')}; two trained models: another training of the same settings may differ"]
    if look > 1:
        said.append(f"look {look} at these rows: what was chosen after an earlier look is no longer unseen by them")
    if limits:
        said.append(f"whether {', '.join(limits)} holds on these rows is not judged")
    same, values = alike(baseline, tuned), (before(np.arange(rows)), after(np.arange(rows)))
    known = all(map(math.isfinite, values))
    if not known:
        said.append(f"{goal.metric} is not finite on these rows (baseline {values[0]}, tuned {values[1]})")
    return Evidence(
        goal.metric,
        goal.maximize,
        baseline,
        tuned,
        tuned_trial,
        (values,) if known else (),
        difference=found.mean if known else math.nan,
        interval=found.interval,
        p_better=found.better,
        p_equivalent=found.equivalent,
        p_worse=found.worse,
        equivalence=equivalence,
        decision="not shown" if same else decided(found.interval),
        test_train_ratio=0.0,
        failed_pairs=0 if known else 1,
        constraints=(),
        notices=tuple(said),
        protocol=HOLDOUT,
        compared=compared,
    )


def decided(interval: tuple[float, float], minimum_effect: float = 0.0) -> str:
    """What an interval says: "proven" above the minimum effect, "worse" below 0, else "not shown"."""
    low, high = interval
    return "proven" if low > minimum_effect else "worse" if high < 0 else "not shown"


def within(gain: str, checks: Sequence[ConstraintCheck]) -> str:
    """The decision on a gain under limits: what would be proven is "infeasible" unless all of them are kept."""
    return "infeasible" if gain == "proven" and not all(c.kept for c in checks) else gain


def reliable(gain: str, fails: bool) -> str:
    """The decision on a gain among runs that ended: none of a setting whose runs fail is proven."""
    return "not shown" if gain == "proven" and fails else gain


def _fails(pairs: Sequence[Pair], metric: str) -> bool:
    """Whether the tuned setting failed in more than 5 % of the pairs, and more often than the baseline."""
    baseline, tuned = _failures(pairs, metric)
    return tuned > baseline and tuned > (1 - LEVEL) * len(pairs)


def _failures(pairs: Sequence[Pair], metric: str) -> tuple[int, int]:
    """In how many pairs the baseline and the tuned setting have no value."""
    baseline, tuned = (sum(not _has(p[side] or {}, metric) for p in pairs) for side in (0, 1))
    return baseline, tuned


def _more(d: Array, ratio: float, effect: float, alpha: float) -> int | None:
    """How many pairs beyond those of d would probably settle it; None: no number would."""
    needed = intervals.pairs_needed(d, ratio, effect, alpha)
    return None if needed is None else max(1, needed - len(d))


def _compare(goal: Goal, pairs: Sequence[Pair], ratio: float, alpha: float, sequential: bool) -> Comparison:
    both = [(b[goal.metric], t[goal.metric]) for b, t in _complete(pairs, goal.metric)]
    d = gains(both, goal.maximize)
    found = _estimate(d, ratio, 0.0, alpha, sequential)
    gain = reliable(decided(found.interval), _fails(pairs, goal.metric))
    return Comparison(goal.metric, goal.maximize, found.mean, found.interval, gain)


def _estimate(d: Array, ratio: float, zone: float, alpha: float, sequential: bool) -> intervals.Estimate:
    found = intervals.student(d, ratio, zone, alpha)
    return replace(found, interval=intervals.always_valid(d, ratio, alpha)) if sequential else found


def gains(values: Sequence[tuple[float, float]], maximize: bool) -> Array:
    """Differences of (baseline, tuned) values: positive is better."""
    return np.array([t - b if maximize else b - t for b, t in values])


def checked(**given: float) -> None:
    """Raises SpecError for one of these that is negative or not finite."""
    said = {
        "test_train_ratio": "n_test / n_train, 0 for independent seeds",
        "equivalence": "a half-width in the metric's unit, 0 for no zone",
        "minimum_effect": "the least gain that is worth proving, in the metric's unit",
    }
    for name, v in given.items():
        if isinstance(v, bool) or not isinstance(v, int | float) or not 0 <= v < math.inf:
            raise SpecError(f"{name}={v!r} must be a finite number of at least 0; give {said[name]}")


def _check(c: Constraint, complete: Sequence[tuple[Metrics, Metrics]]) -> ConstraintCheck:
    """The constraint over the pairs in which it can be judged; NaN where there is none."""
    means = [t[c.metric] for _, t in complete if _has(t, c.metric)]
    excess = np.array([c.excess(t, b) for b, t in complete])
    held = excess[~np.isnan(excess)] <= 0
    mean, share = (float(np.mean(v)) if len(v) else math.nan for v in (means, held))
    return ConstraintCheck(c.text, mean, share, len(held), intervals.share(int(held.sum()), len(held), 1 - LEVEL))


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
        by = _failures(pairs, metric)
        said.append(
            f"{len(pairs) - J} of {plural(len(pairs), 'pair')} left out because a run failed "
            f"(baseline {by[0]}, tuned {by[1]}): the difference speaks only of runs that ended"
        )
    if _fails(pairs, metric):
        said.append("the tuned setting fails more often than the baseline: a gain among runs that ended is no proof")
    if J < 2:
        said.append(f"{plural(J, 'complete pair')}: an interval needs at least 2")
    elif J < FEW:
        said.append(
            f"only {J} pairs: the interval leans on the assumption that differences are normal; {FEW} are better"
        )
    if J >= 2 and intervals.identical(d):
        said.append(_SAME_RUNS if np.ptp(values, axis=0).max() == 0 else _SAME_DIFFERENCES)
    said += [f"the tuned setting broke {c.text!r} in {percent(1 - c.held)} of pairs" for c in checks if c.held < 1]
    said += [f"whether the tuned setting keeps {c.text!r} is unknown" for c in checks if math.isnan(c.held)]
    return said


def _complete(pairs: Sequence[Pair], metric: str) -> list[tuple[Metrics, Metrics]]:
    """The pairs in which both runs have the metric."""
    return [(b, t) for b, t in pairs if b is not None and t is not None and _has(b, metric) and _has(t, metric)]


def _has(metrics: Metrics, name: str) -> bool:
    return math.isfinite(metrics.get(name, math.nan))
