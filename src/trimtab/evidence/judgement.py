"""From pairs to a certificate: the interval of the protocol, the decision, and what a reader must also know.

Pairs of (baseline, tuned) metrics go in, in replicate order. `intervals` computes the numbers. Valid for differences
that are roughly normal; at least two pairs, better five.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..arrays import Array
from ..formatting import percent, plural
from ..goals import Constraint, Goal, Metrics
from . import intervals
from .certificate import FEW, LEVEL, Comparison, ConstraintCheck, Evidence, gains
from .design import INDEPENDENT, Contest, Design

RESERVE = 0.5  # share of the error that the interval of independent pairs leaves unused
Pair = tuple[Metrics | None, Metrics | None]
_SAME_RUNS = (
    "the replicates are identical: the objective seems to ignore trial.seed. They repeat what the search chose by and say "
    "nothing about noise, so they count as one, and the interval is unbounded. Use trial.seed for splits and training; if "
    "there is one split only, by time, let trial.replicate choose the series or users that a pair judges. "
    "deterministic=True is for results that have no noise"
)
_NO_NOISE = "the replicates are identical, as deterministic=True says"
_SAME_DIFFERENCES = "all differences are identical: they show no noise, and the interval rests on their number alone"
_FEW_ALIKE = (
    "all differences are identical, and so few may agree by luck: they count as one, and the interval is unbounded. More "
    "pairs, or a metric with finer steps, would tell"
)


def certify(
    goal: Goal,
    contest: Contest,
    pairs: Sequence[Pair],
    design: Design = INDEPENDENT,
    *,
    constraints: Sequence[Constraint] = (),
    others: Sequence[Goal] = (),
    compared: int = 1,
    seen: bool = False,
    deterministic: bool = False,
    left_out: int = 0,
) -> Evidence:
    """The evidence in `pairs` of (baseline, tuned) metrics, None for a run that failed, in replicate order.

    constraints: relative ones refer to the baseline's run in the same pair. others: further goals over the same pairs.
    compared: comparisons that share the 95 %, including this one and those of `others`. seen: whether the pairs are the
    folds on which the search chose the tuned setting: no gain on them is proven. deterministic: results have no noise;
    otherwise identical replicates count as one. left_out: pairs that ran and are not among these.
    """
    metric, ratio = goal.metric, design.test_train_ratio
    complete, values = _complete(pairs, metric), _values(pairs, metric)
    repeated = not deterministic and _alike(values)
    compared = max(compared, 1 + len(others))
    reserve = 0.0 if ratio or design.sequential else RESERVE  # those two are wide by themselves
    alpha = (1 - LEVEL) * (1 - reserve) / compared
    few = [] if deterministic else [g.metric for g in (goal, *others) if _few_alike(pairs, g, compared)]
    d = gains(values[:1] if repeated or metric in few else values, goal.maximize)
    found = _estimate(d, design, alpha)
    checks = tuple(_check(c, complete) for c in constraints)
    doubtful = seen or _fails(pairs, metric)
    gain = "not shown" if contest.same else reliable(decided(found.interval, design.minimum_effect), doubtful)
    return Evidence(
        metric,
        goal.maximize,
        contest.baseline,
        contest.tuned,
        contest.trial,
        values,
        difference=found.mean,
        interval=found.interval,
        p_better=found.better,
        p_equivalent=found.equivalent,
        p_worse=found.worse,
        equivalence=design.equivalence,
        decision=within(gain, checks),
        test_train_ratio=ratio,
        failed_pairs=left_out + len(pairs) - len(values),
        constraints=checks,
        notices=tuple(_notices(metric, pairs, values, contest.same, constraints, checks, deterministic, few)),
        protocol="folds" if ratio else "seeds",
        minimum_effect=design.minimum_effect,
        compared=compared,
        sequential=design.sequential,
        reserve=reserve,
        doubtful=doubtful,
        more=0 if gain == "proven" else None if doubtful else _more(d, design, alpha),
        detectable=math.nan if doubtful else _detectable(d, design, alpha),
        goals=tuple(_compare(g, pairs, design, alpha, seen, repeated, g.metric in few) for g in others),
    )


def decided(interval: tuple[float, float], minimum_effect: float = 0.0) -> str:
    """The decision by an interval: "proven" above the minimum effect, "worse" below 0, else "not shown"."""
    low, high = interval
    return "proven" if low > minimum_effect else "worse" if high < 0 else "not shown"


def within(gain: str, checks: Sequence[ConstraintCheck]) -> str:
    """The decision on a gain under constraints: what would be proven is "infeasible" unless all of them are met."""
    return "infeasible" if gain == "proven" and not all(c.kept for c in checks) else gain


def reliable(gain: str, doubtful: bool) -> str:
    """The decision if the gain may hold only for its own pairs: because the setting's runs fail, or because it was
    chosen on these folds. Then it is not proven."""
    return "not shown" if gain == "proven" and doubtful else gain


def _alike(values: Sequence[tuple[float, float]]) -> bool:
    """Whether each of the two settings gave the same value in every pair."""
    return len(values) > 1 and bool(np.ptp(values, axis=0).max() == 0)


def _few_alike(pairs: Sequence[Pair], goal: Goal, compared: int) -> bool:
    """Whether the differences are one number, and so few that a sign test shows nothing (it is exact, and needs no
    reserve)."""
    d = gains(_values(pairs, goal.metric), goal.maximize)
    return len(d) > 1 and intervals.identical(d) and 0.5 ** len(d) > (1 - LEVEL) / compared / 2


def _fails(pairs: Sequence[Pair], metric: str) -> bool:
    """Whether the tuned setting failed in more than 5 % of the pairs, and more often than the baseline."""
    baseline, tuned = _failures(pairs, metric)
    return tuned > baseline and tuned > (1 - LEVEL) * len(pairs)


def _failures(pairs: Sequence[Pair], metric: str) -> tuple[int, int]:
    """In how many pairs the baseline and the tuned setting have no value."""
    baseline, tuned = (sum(not _has(p[side] or {}, metric) for p in pairs) for side in (0, 1))
    return baseline, tuned


def _more(d: Array, design: Design, alpha: float) -> int | None:
    """How many pairs beyond those of d would probably settle it; None: no number would."""
    needed = intervals.pairs_needed(d, design.test_train_ratio, design.minimum_effect, alpha, design.sequential)
    return None if needed is None else max(1, needed - len(d))


def _detectable(d: Array, design: Design, alpha: float) -> float:
    """The mean that as many pairs as d would probably prove."""
    return intervals.detectable(d, design.test_train_ratio, design.minimum_effect, alpha, design.sequential)


def _compare(
    goal: Goal, pairs: Sequence[Pair], design: Design, alpha: float, seen: bool, repeated: bool, few: bool
) -> Comparison:
    """What the pairs say of another goal. seen: as in `certify`. repeated: whether the first goal's values show that the
    replicates are identical. few: whether these differences are alike, and too few to tell."""
    values = _values(pairs, goal.metric)
    d = gains(values[:1] if few or (repeated and _alike(values)) else values, goal.maximize)
    found = _estimate(d, design, alpha)
    gain = reliable(decided(found.interval), seen or _fails(pairs, goal.metric))
    return Comparison(goal.metric, goal.maximize, found.mean, found.interval, gain)


def _estimate(d: Array, design: Design, alpha: float) -> intervals.Estimate:
    """The mean of the differences d (J,), its probabilities, and the interval of the design."""
    found = intervals.student(d, design.test_train_ratio, design.equivalence, alpha)
    if not design.sequential:
        return found
    return replace(found, interval=intervals.always_valid(d, design.test_train_ratio, alpha))


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
    same: bool,
    constraints: Sequence[Constraint],
    checks: Sequence[ConstraintCheck],
    deterministic: bool,
    few: Sequence[str],
) -> list[str]:
    """What a reader must also know of the pairs. few: goals whose differences are alike and too few to tell."""
    said, J = [], len(values)
    if same:
        said.append("the tuned setting is the baseline itself: there is no gain to show")
    if len(pairs) > J:
        by = _failures(pairs, metric)
        said.append(
            f"{len(pairs) - J} of {plural(len(pairs), 'pair')} left out because a run failed "
            f"(baseline {by[0]}, tuned {by[1]}): the difference speaks only of runs that ended"
        )
        if both := sum(pair == (None, None) for pair in pairs):
            said.append(
                f"{plural(both, 'pair')} failed on both sides: mend the cause and ask again, to have them made again"
            )
    if _fails(pairs, metric):
        said.append("the tuned setting fails more often than the baseline: a gain among runs that ended is no proof")
    if J < 2:
        said.append(f"{plural(J, 'complete pair')}: an interval needs at least 2")
    elif J < FEW and not (deterministic and _alike(values)):
        said.append(
            f"only {J} pairs: the interval leans on the assumption that differences are normal; {FEW} are better"
        )
    if _alike(values):
        said.append(_NO_NOISE if deterministic else _SAME_RUNS)
    elif J >= 2 and intervals.identical(gains(values, maximize=True)):
        said.append(_FEW_ALIKE if metric in few else _SAME_DIFFERENCES)
    said += [f"{name}: {_FEW_ALIKE}" for name in few if name != metric]
    said += [f"the tuned setting broke {c.text!r} in {percent(1 - c.held)} of pairs" for c in checks if c.held < 1]
    said += [f"whether the tuned setting keeps {c.text!r} is unknown" for c in checks if math.isnan(c.held)]
    return said + _of_the_baseline(constraints, _complete(pairs, metric))


def _of_the_baseline(constraints: Sequence[Constraint], complete: Sequence[tuple[Metrics, Metrics]]) -> list[str]:
    """A notice for each limit that the baseline breaks, too often for a setting that may be used. Limits that are relative to
    it may ask for more than it has."""
    checks = [_check(c, [(b, b) for b, _ in complete]) for c in constraints if not c.relative]
    return [
        f"the baseline broke {c.text!r} in {percent(1 - c.held)} of pairs: it may not be used either"
        for c in checks
        if c.held < 1 and not c.kept
    ]


def _complete(pairs: Sequence[Pair], metric: str) -> list[tuple[Metrics, Metrics]]:
    """The pairs in which both runs have the metric."""
    return [(b, t) for b, t in pairs if b is not None and t is not None and _has(b, metric) and _has(t, metric)]


def _values(pairs: Sequence[Pair], metric: str) -> tuple[tuple[float, float], ...]:
    """A metric of baseline and tuned setting in the pairs in which both have it."""
    return tuple((float(b[metric]), float(t[metric])) for b, t in _complete(pairs, metric))


def _has(metrics: Metrics, name: str) -> bool:
    return math.isfinite(metrics.get(name, math.nan))
