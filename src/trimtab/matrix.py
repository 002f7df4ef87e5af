"""Trials as arrays: what strategies are told. Pure; every goal is turned into a loss here, once.

Notation: d columns, n rows, m goals, k constraints, R rungs of the fidelity.
"""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from .goals import Metrics
from .records import State, StudySpec, Trial
from .strategies import LINEAGE, Array, Rows


def rows(spec: StudySpec, told: Sequence[Trial], baseline: Metrics | None) -> Rows:
    """Finished trials as arrays: X (n, d), Y (n, m) losses, C (n, k) excess over each limit, NaN where there is none."""
    unit, _ = purse(spec)
    X = spec.space.encode([t.complete(spec.assumed, spec.space) for t in told])
    good = [t.metrics if t.state in (State.DONE, State.STOPPED) else {} for t in told]
    Y = np.array([[g.loss(m) for g in spec.goals] for m in good], dtype=float).reshape(len(told), len(spec.goals))
    C = np.array([[c.excess(m, baseline) for c in spec.constraints] for m in good], dtype=float)
    return Rows(
        X,
        Y,
        C.reshape(len(told), len(spec.constraints)),
        np.array([getattr(t.cost, unit) for t in told], dtype=float),
        np.array([t.seed for t in told], dtype=float),
        _rungs(spec, told),
        _lineage(told),
    )


def purse(spec: StudySpec) -> tuple[str, float | None]:
    """What a study pays in, by the name of a field of Cost, and how much of it, over all workers. None: it counts trials,
    or has no limit."""
    b, hour = spec.budget, 3600.0
    time = b.time * spec.workers if isinstance(b.time, float) else None
    limits = {
        "money": b.cost,
        "gpu": b.gpu_hours and b.gpu_hours * hour,
        "cpu": b.cpu_hours and b.cpu_hours * hour,
        "wall": time,
    }
    unit, total = next(((unit, total) for unit, total in limits.items() if total), ("wall", None))
    return unit, None if b.trials is not None else total


def _rungs(spec: StudySpec, told: Sequence[Trial]) -> Array:
    """Losses (n, R, m) at each rung of the fidelity, NaN where it was not reached; R is 0 without one."""
    levels = () if spec.fidelity is None else spec.fidelity.rungs
    V = np.full((len(told), len(levels), len(spec.goals)), np.nan)
    for i, t in enumerate(told):
        for step, metrics in sorted(t.curve.items(), reverse=True):
            V[i, : bisect_right(levels, step)] = [g.loss(metrics) for g in spec.goals]
        if t.curve:  # at its last rung its last value counts
            V[i, bisect_right(levels, max(t.curve)) - 1] = [g.loss(t.metrics) for g in spec.goals]
    return V


def _lineage(told: Sequence[Trial]) -> Array:
    """The columns strategies.LINEAGE (n, 5) of trials, NaN where there is none."""
    lines = [(t.number, t.parent, t.fidelity, t.reached, t.why.get("member")) for t in told]
    return np.array(lines, dtype=float).reshape(len(told), len(LINEAGE))
