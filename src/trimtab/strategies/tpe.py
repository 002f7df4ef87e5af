"""Tree-structured Parzen estimator: for many results, and spaces with conditions, at little cost.

After a Sobol design, the results are split into the good ones and the rest. The proposal is the point, among samples of
l and some uniform ones, with the largest ratio of the density of the good, l, to that of the rest, g (Bergstra et al.
2011). Densities are multivariate, with the settings recommended by Watanabe (2023, arXiv 2304.11127): good rows
weighted by their improvement, bandwidths as in `numerics.kde`; but a tenth of the results is good, at most 25, as in
Optuna. A row contributes its active columns only. Failed and pending rows belong to the rest. Infeasible rows come
after all feasible ones, in order of their violation. Several goals are ordered by non-dominated rank.

Notation: d columns, n rows, m goals, k constraints.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import ClassVar

import numpy as np

from ..arrays import HUGE, Array, Ints
from ..numerics.kde import Columns, Mixture
from ..numerics.pareto import fronts, violations
from ..space import Space
from . import History, Problem, Proposal, Rows
from .features import check_width
from .points import Taken, at_random, by_sobol, one_by_one, unseen

_DESIGN = 10  # points of the initial design
_SHARE, _GOOD = 0.1, 25  # share of results that are good, and their maximum number
_CANDIDATES = 24  # from l
_UNIFORM = 8
_KERNELS = 512  # of the rest at most: more of them cost time and say little more


@dataclass(frozen=True)
class TPE:
    """Tree-structured Parzen estimator."""

    name: str = "tpe"
    version: str = "2"
    honours: ClassVar[frozenset[str]] = frozenset({"constraints", "goals", "many goals"})

    def init(self, problem: Problem) -> History:
        """Raises SpecError if the space has too many options."""
        check_width(problem.space, self.name)
        return History.start(problem)

    def tell(self, state: History, rows: Rows) -> History:
        return state.with_rows(rows)

    def ask(self, state: History, pending: Array, n: int, rng: np.random.Generator) -> list[Proposal]:
        split = cache(lambda: _split(state.problem, state.rows))

        def propose(taken: Taken, pending: Array) -> Proposal | None:
            count = len(state.rows) + len(pending)
            if count >= _DESIGN and len(split().good):
                return _by_model(split(), pending, taken, rng)
            return by_sobol(state.problem, taken, count) or at_random(taken, rng)

        return one_by_one(state, pending, n, propose)


# ------------------------------------------------------------------------------------------------------ good and rest


@dataclass(frozen=True)
class _Split:
    """The results in two parts, and the density of the first."""

    columns: Columns
    good: Array  # (g, d)
    rest: Array  # (n - g, d)
    density: Mixture  # l


@lru_cache(maxsize=8)
def _columns(space: Space) -> Columns:
    return Columns.of(space.cells, space.unordered)


def _split(problem: Problem, rows: Rows) -> _Split:
    known = np.flatnonzero(~rows.failed)
    Y = np.clip(rows.Y[known], -HUGE, HUGE)
    count = min(int(np.ceil(_SHARE * len(known))), _GOOD)
    violation = violations(rows.C[known])
    best, weights = _best(Y, violation, count)
    good = np.zeros(len(rows), dtype=bool)
    good[known[best]] = True
    columns = _columns(problem.space)
    X = rows.X[known[best]]
    return _Split(columns, X, rows.X[~good], Mixture.fit(columns, X, weights))


def _best(Y: Array, violation: Array, count: int) -> tuple[Ints, Array]:
    """Indices of the `count` best of the rows Y (n, m), and their weights.

    Feasible rows of one goal are weighted by their improvement on the best of the rest (the weights of the expected
    improvement); all others are weighted equally.
    """
    feasible = np.flatnonzero(violation == 0)
    if Y.shape[1] == 1:
        order = feasible[np.argsort(Y[feasible, 0], kind="stable")]
    else:
        order = feasible[_by_rank(Y[feasible], min(count, len(feasible)))]
    if len(order) < count:
        others = np.flatnonzero(violation > 0)
        order = np.append(order, others[np.argsort(violation[others], kind="stable")])
    best = order[:count]
    weights = np.ones(len(best))
    if Y.shape[1] == 1 and count < len(feasible):
        gain = Y[order[count], 0] - Y[best, 0]
        if gain.max() > 0:
            weights = gain / gain.max()
    return best, weights


def _by_rank(Y: Array, count: int) -> Ints:
    """The first `count` rows of Y (n, m) by non-dominated rank; of the last front those spread along its first goal."""
    chosen = np.empty(0, dtype=np.intp)
    for front in fronts(Y):
        missing, ordered = count - len(chosen), front[np.lexsort(Y[front].T[::-1])]
        if len(front) > missing:
            ordered = ordered[np.linspace(0, len(front) - 1, missing).round().astype(int)]
        chosen = np.append(chosen, ordered)
        if len(chosen) == count:
            break
    return chosen


# --------------------------------------------------------------------------------------------------------- proposal


def _by_model(split: _Split, pending: Array, taken: Taken, rng: np.random.Generator) -> Proposal | None:
    """The candidate of the largest l / g; None if no point is left."""
    X = _candidates(split.density, taken, rng)
    if len(X) == 0:
        return None
    bad = np.concatenate([split.rest, pending])
    if len(bad) > _KERNELS:
        bad = bad[np.linspace(0, len(bad) - 1, _KERNELS).astype(int)]
    score = split.density.log_density(X) - Mixture.fit(split.columns, bad).log_density(X)
    top = int(np.argmax(score))
    why = {"acquisition": "log l/g", "value": float(score[top]), "good": len(split.good), "rest": len(bad)}
    return Proposal(X[top], why=why)


def _candidates(density: Mixture, taken: Taken, rng: np.random.Generator) -> Array:
    """Points (c, d) that may be proposed: samples of the density, repeated while few of them are new, and uniform ones."""
    space = taken.space
    found, tries = np.empty((0, len(space))), space.sample(_UNIFORM, rng)
    for draw in (_CANDIDATES, 4 * _CANDIDATES, 16 * _CANDIDATES):
        X = space.snap(density.sample(draw, rng))
        tries = np.concatenate([tries, X[space.allowed(X)]])
        found = tries[taken.admitted(tries, _CANDIDATES + _UNIFORM)]
        if len(found) >= _CANDIDATES:
            break
    return found if len(found) else unseen(taken, 1, rng)
