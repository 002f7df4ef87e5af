"""Trials as the arrays that strategies are told. Pure. This is the one place where goals become losses.

Notation: d columns, n rows, m goals, k constraints whose limit is known, R rungs of the fidelity.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from math import isnan

import numpy as np

from ..arrays import Array
from ..goals import Constraint, Metrics
from ..records import StudySpec, Trial
from ..records.columns import Results
from ..strategies import LINEAGE, Rows
from .ledger import Told


def results(trials: Iterable[Trial] | Told) -> Results:
    """The results of trials that strategies are told, as columns."""
    return trials.results() if isinstance(trials, Told) else Results.of(list(trials))


def rows(spec: StudySpec, trials: Sequence[Trial] | Told, baseline: Metrics | None) -> Rows:
    """Trials as arrays: settings X (n, d), losses Y (n, m), excess over each known limit C (n, k), NaN if unknown; and
    for each trial its cost, losses at the rungs and lineage."""
    unit, _ = cost_budget(spec)
    told = results(trials)
    X = spec.encode(told.params)
    losses = [[g.loss(m) for m in told.metrics] for g in spec.goals]
    excess = [[c.excess(m, baseline) for m in told.metrics] for c in known_constraints(spec, baseline)]
    return Rows(
        X,
        _columns(losses, len(told)),
        _columns(excess, len(told)),
        np.array([used.get(unit, 0.0) for used in told.cost], dtype=float),
        _curves(spec, told),
        _lineage(told),
    )


def known_constraints(spec: StudySpec, baseline: Metrics | None) -> tuple[Constraint, ...]:
    """The constraints whose limit is known: all but those relative to a baseline that has no result.

    Strategies are not told about the others: they would search in vain for settings that meet them.
    """
    return tuple(c for c in spec.constraints if not isnan(c.bound(baseline)))


def _columns(values: Sequence[Sequence[float | None]], n: int) -> Array:
    """An array (n, number of columns) of columns with n values each; None becomes NaN."""
    return np.ascontiguousarray(np.array(values, dtype=float).reshape(len(values), n).T)


def cost_budget(spec: StudySpec) -> tuple[str, float | None]:
    """The unit of the study's costs (a field of Cost), and how much of it may be spent.

    That is None if the budget limits the number of trials (strategies then plan with trials), or nothing.
    """
    b, hour = spec.budget, 3600.0
    limits = {
        "money": b.cost,
        "gpu": b.gpu_hours and b.gpu_hours * hour,
        "cpu": b.cpu_hours and b.cpu_hours * hour,
        "energy": b.kwh,
        "wall": b.time if isinstance(b.time, float) else None,
    }
    unit, total = next(((unit, total) for unit, total in limits.items() if total), ("wall", None))
    return unit, None if b.trials is not None else total


def _curves(spec: StudySpec, told: Results) -> Array:
    """Losses (n, R, m) at each rung of the fidelity, NaN at rungs that a trial did not reach; R is 0 without a fidelity.

    The result of a trial that ended below the lowest rung counts as one at the lowest rung.
    """
    levels = () if spec.fidelity is None else spec.fidelity.rungs
    V = np.full((len(told), len(levels), len(spec.goals)), np.nan)
    for i, curve in enumerate(told.curve if levels else ()):
        for step, metrics in sorted(curve.items(), reverse=True):
            V[i, : bisect_right(levels, step)] = [g.loss(metrics) for g in spec.goals]
        if curve:  # at its last rung its last value counts
            V[i, max(bisect_right(levels, max(curve)) - 1, 0)] = [g.loss(told.metrics[i]) for g in spec.goals]
    return V


def _lineage(told: Results) -> Array:
    """The columns strategies.LINEAGE (n, 5) of trials, NaN where a trial has no such value."""
    reached = [max(curve, default=None) if curve else None for curve in told.curve]
    lines: tuple[Sequence[float | None], ...] = (told.number, told.parent, told.fidelity, reached, told.member)
    return _columns(lines, len(told)) if len(told) else np.empty((0, len(LINEAGE)))
