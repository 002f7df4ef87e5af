"""Sequential search with a forest of random trees, as in SMAC: for large spaces of choices and conditions.

After a Sobol design, an ensemble of extremely randomised trees (Geurts et al. 2006) is fitted to all results. Its mean
and variance over trees and leaves (Hutter et al. 2014, "Algorithm runtime prediction") give an expected improvement. The
logarithm of that is maximised over random points and by local search from the best of them and the best results. As in
SMAC (Hutter et al. 2011), a random point is proposed now and then: a forest is overconfident where it has seen nothing.

Several goals are combined into one by a random weighting for each proposal, as in `gp`. An infeasible result counts as
worse than all feasible ones, by its violation, in which the unit of a constraint does not matter; a failed one as the
worst. Pending points count as results equal to the mean. Needs scikit-learn.

Notation: d columns, n rows, t trees, c candidates.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..arrays import HUGE, Array
from ..errors import UserError
from ..numerics.acquisition import log_improvement
from ..numerics.warp import bilog, half_rank
from . import History, Problem, Proposal, Rows
from .breeding import design_size
from .points import SMALL, Taken, at_random, by_sobol, listing, one_by_one, size
from .scalarisation import scalarised
from .variation import mutants

_DESIGN = 10  # points of the initial design
_TREES = 64
_LEAF, _COLUMNS = 3, 5 / 6  # results in a leaf at least, and share of the columns that a split may take, as in SMAC
_ROWS = 2_000  # of each tree at most
_RANDOM = 0.1  # of the proposals
_POOL = 1_000  # random points
_STARTS, _NEIGHBOURS, _ROUNDS = 10, 20, 8  # of the local search: rows that it starts from, that it tries around each
_FLOOR = 1e-6  # of the variance, in units of that of the results


@dataclass(frozen=True)
class Forest:
    """A forest of random trees as the model."""

    name: str = "forest"
    version: str = "3"
    honours: ClassVar[frozenset[str]] = frozenset({"constraints", "goals"})

    def init(self, problem: Problem) -> History:
        """Raises UserError if scikit-learn is missing."""
        _trees(0)
        return History.start(problem)

    def tell(self, state: History, rows: Rows) -> History:
        return state.with_rows(rows)

    def ask(self, state: History, pending: Array, n: int, rng: np.random.Generator) -> list[Proposal]:
        problem, rows = state.problem, state.rows

        def propose(taken: Taken, pending: Array) -> Proposal | None:
            count, made = len(rows) + len(pending), None
            if count < design_size(_DESIGN, problem.budget):
                made = by_sobol(problem, taken, count)
            elif not rows.failed.all() and rng.random() >= _RANDOM:
                made = _by_model(_Belief.of(rows, pending, rng), taken, rng)
            return made or at_random(taken, rng)

        return one_by_one(state, pending, n, propose)


def _by_model(belief: "_Belief", taken: Taken, rng: np.random.Generator) -> Proposal | None:
    """The admissible point with the largest log expected improvement that was found; None if all are taken."""
    X = listing(taken.space) if size(taken.space) <= SMALL else _search(belief, taken, rng)
    mean, var = belief.predict(X)
    values = log_improvement(mean, var, belief.best).value
    order = np.argsort(-values, kind="stable")
    for i in order[taken.admitted(X[order], 1)]:
        why = {"acquisition": "log-ei", "value": float(values[i]), "z": float(mean[i]), "sd": float(var[i] ** 0.5)}
        return Proposal(X[i], why={**why, "rows": len(belief.X)})
    return None


def _search(belief: "_Belief", taken: Taken, rng: np.random.Generator) -> Array:
    """Random points, and the results of local search from the best of them and from the best results (c, d)."""
    space = taken.space
    pool = space.sample(_POOL, rng)
    starts = np.concatenate([belief.X[np.argsort(belief.z, kind="stable")[:_STARTS]], pool])
    top = starts[np.argsort(-belief.improvement(starts), kind="stable")[:_STARTS]]
    met, value = [pool, top], belief.improvement(top)
    for _ in range(_ROUNDS):
        near = mutants(space, np.repeat(top, _NEIGHBOURS, axis=0), 1, rng)
        values = np.where(space.allowed(near), belief.improvement(near), -np.inf).reshape(len(top), -1)
        best = values.argmax(axis=1)
        to = near.reshape(len(top), -1, near.shape[1])[np.arange(len(top)), best]
        better = values.max(axis=1) > value
        if not better.any():
            break
        top, value = np.where(better[:, None], to, top), np.where(better, values.max(axis=1), value)
        met.append(top)
    X = np.concatenate(met)
    return X[space.allowed(X)]


# ------------------------------------------------------------------------------------------------------------- model


@dataclass(frozen=True)
class _Belief:
    """A fitted forest, its data X (n, d) and z (n,), and the value to improve on."""

    trees: Any
    X: Array
    z: Array
    best: float

    @staticmethod
    def of(rows: Rows, pending: Array, rng: np.random.Generator) -> "_Belief":
        """Fitted to the rows and, if some are pending, to its own mean there."""
        z = half_rank(_losses(rows, rng)).z
        seed = int(rng.integers(2**31))
        trees = _trees(seed, len(z)).fit(_filled(rows.X), z)
        if len(pending):
            believed = trees.predict(_filled(pending))
            trees = _trees(seed, len(z)).fit(_filled(np.concatenate([rows.X, pending])), np.append(z, believed))
        return _Belief(trees, rows.X, z, float(z.min()))

    def predict(self, X: Array) -> tuple[Array, Array]:
        """Mean and variance (c,) over the trees, each of which has a normal distribution in the leaf of a point."""
        F = _filled(X).astype(np.float32)
        means, within = [], []
        for tree in (member.tree_ for member in self.trees.estimators_):
            leaf = tree.apply(F)
            means.append(tree.value[leaf, 0, 0])
            within.append(tree.impurity[leaf])
        M = np.array(means)
        return M.mean(0), M.var(0) + np.maximum(np.mean(within, axis=0), _FLOOR)

    def improvement(self, X: Array) -> Array:
        mean, var = self.predict(X)
        return log_improvement(mean, var, self.best).value


def _losses(rows: Rows, rng: np.random.Generator) -> Array:
    """What is modelled (n,): the goal; beyond its worst value infeasible results, by their violation, then failed ones."""
    failed, m = rows.failed, rows.Y.shape[1]
    y = np.clip(scalarised(rows.Y, failed, rng.dirichlet(np.ones(m)) if m > 1 else None)[:, 0], -HUGE / 4, HUGE / 4)
    known = ~np.isnan(y)
    worst, step = float(y[known].max()), float(np.ptp(y[known])) or 1.0
    violation = _violation(rows.C)
    broken = known & ~(rows.C <= 0).all(axis=1)
    place = np.argsort(np.argsort(violation, kind="stable"), kind="stable") / max(len(y), 1)
    y = np.where(broken, worst + step * place, y)
    return np.where(known, y, worst + step)


def _violation(C: Array) -> Array:
    """By how much rows of C (n, k) violate constraints C <= 0, each in the units in which `gp` models it, in sum (n,): 0
    where feasible, inf where one is unknown (NaN)."""
    total = np.zeros(len(C))
    for column in C.T:
        known = ~np.isnan(column)
        total[known] += np.maximum(bilog(column[known]).excess, 0.0) if known.any() else 0.0
        total[~known] = np.inf
    return total


def _filled(X: Array) -> Array:
    """Inactive columns get a value of their own, left of the cube."""
    return np.where(np.isnan(X), -1.0, X)


def _trees(seed: int, rows: int = 0) -> Any:
    """An unfitted ensemble. Raises UserError if scikit-learn is missing."""
    try:
        from sklearn.ensemble import ExtraTreesRegressor
    except ImportError:
        raise UserError('strategy "forest" needs scikit-learn; run: pip install "trimtab[forest]"') from None
    sample = {"bootstrap": True, "max_samples": _ROWS} if rows > _ROWS else {}
    leaf = min(_LEAF, max(1, rows // 8))
    return ExtraTreesRegressor(_TREES, min_samples_leaf=leaf, max_features=_COLUMNS, random_state=seed, **sample)
