"""Lets any strategy work with results of unequal fidelity: each result is replaced by the result of a full training that
it predicts.

From each rung to the next there is a linear map. It takes the values of the trials that have reached both rungs from
the median and spread that they have at the lower one to those at the upper one. The last value of a trial that was
stopped is carried to the top through these maps. So the strategy sees results of one unit, and knows nothing about
fidelities (Salinas et al. 2023 take the last value as it is). A carried value is never better than the best that was
measured at the top.

Where few trials go on, and are much alike at the lower rung, the map is steep. A success rate of 0 would become one of
-4, if it went on as steeply beyond the values that were measured at the upper rung. So differences do not grow there.

Notation: n rows, R rungs, m goals.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays import HUGE, Array
from ..numerics.warp import typical_distance
from . import History, Judge, Problem, Proposal, Rows, Strategy

_PAIRS = 3  # trials that must have reached both rungs before their spreads are compared
_STEEPEST = 10.0  # factor by which a map may stretch or shrink


@dataclass(frozen=True)
class Levelled:
    """`inner`, told results as if all trials had been trained to the top."""

    inner: Strategy[Any]
    name: str
    version: str

    @staticmethod
    def over(inner: Strategy[Any]) -> Strategy[Any]:
        """The wrapped strategy; its version includes that of the levelling."""
        return Levelled(inner, inner.name, f"{inner.version}/rungs4")

    def init(self, problem: Problem) -> History:
        self.inner.init(problem)  # raises where it cannot search the space
        return History.start(problem)

    def tell(self, state: History, rows: Rows) -> History:
        return state.with_rows(rows)

    def ask(self, state: History, pending: Array, n: int, rng: np.random.Generator) -> list[Proposal]:
        return self.inner.ask(self._told(state), pending, n, rng)

    def shortfall(self, state: History, pending: Array, x: Array, rng: np.random.Generator) -> float:
        """The shortfall by the inner strategy (see strategies.Judge)."""
        if not isinstance(self.inner, Judge):
            return np.inf
        return self.inner.shortfall(self._told(state), pending, x, rng)

    def _told(self, state: History) -> Any:
        return self.inner.tell(self.inner.init(state.problem), levelled(state.rows))


def levelled(rows: Rows) -> Rows:
    """The rows with Y (n, m) as of a full training. Without a fidelity they are left as they are."""
    V = rows.curve
    if V.shape[1] < 2:
        return rows
    Y = rows.Y.copy()
    reached = np.asarray((~np.isnan(V)).any(axis=2))
    last = np.where(reached.any(axis=1), V.shape[1] - 1 - reached[:, ::-1].argmax(axis=1), -1)
    top = last.max(initial=-1)
    for j in range(V.shape[2]):
        for rung in range(top):
            lower = (last >= 0) & (last <= rung)
            Y[lower, j] = _up(V[:, rung, j], V[:, rung + 1, j], Y[lower, j])
        best = np.fmin.reduce(V[last == top, top, j], initial=np.nan)  # some may lack this goal
        Y[(last >= 0) & (last < top) & (Y[:, j] < best), j] = best
    return replace(rows, Y=Y)


def carried(V: Array) -> Array:
    """Values V (n, R) at each rung in the unit of the top, by the maps from rung to rung: (n, R), NaN where unknown."""
    out = V.copy()
    for rung in range(V.shape[1] - 1):
        out[:, : rung + 1] = _up(V[:, rung], V[:, rung + 1], out[:, : rung + 1])
    return out


def _up(lower: Array, upper: Array, values: Array) -> Array:
    """Values in the unit of the lower rung, mapped to that of the upper one by the trials that have both."""
    both = ~np.isnan(lower) & ~np.isnan(upper)
    if not both.any():
        return values
    a, b, values = (np.clip(v, -HUGE, HUGE) for v in (lower[both], upper[both], values))
    spread = typical_distance(a)
    slope = typical_distance(b) / spread if len(a) >= _PAIRS and spread > 0 else 1.0
    slope = np.clip(slope, 1 / _STEEPEST, _STEEPEST)
    mapped = np.median(b) + slope * (values - np.median(a))
    measured = np.clip(mapped, b.min(), b.max())
    return np.asarray(measured + (mapped - measured) / max(slope, 1.0))
