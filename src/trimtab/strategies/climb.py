"""Maximises an acquisition over a space of any mix of types: a pool of points is scored, gradient ascent climbs from
diverse ones of the best, and the levels of discrete parameters are exchanged.

Notation: P points, d parameters, N numeric ones, C feature columns. All points are snapped and allowed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import Array, Ints, Mask
from ..numerics.acquisition import Term, total, total_with_slope
from ..numerics.ascent import ascend
from ..numerics.qmc import rotated
from ..space import Space
from .features import Features

_HALF = 384  # Sobol points in the pool, and as many perturbed incumbents
_AWAY = (-1.0, 0.5)  # log10 of how many lengthscales incumbents are moved: an ascent finds by itself what is nearer
_REDRAWN = 0.3  # chance that an unordered choice of an incumbent is drawn anew
_SHORTLIST = 128  # best points of the pool, among which starts are chosen
_STARTS = 16  # points from which gradient ascent starts
_KEPT = 4  # points whose levels are exchanged
_ALL_LEVELS = 12  # cells of an ordered parameter up to which all are tried in the exchange
_STEPS = (0.01, 0.04, 0.15)  # of one with more cells, up and down, as shares of its range
_MOST_OPTIONS = 64  # options of an unordered parameter that are tried in the exchange
_ROUGH, _FINE = 4, 30  # iterations of a climb that another one follows, and of the last

LogPrior = Callable[[Array], tuple[Array, Array]]
"""A user's prior: rows (n, d) of the cube -> logarithms (n,) of their density, and the slopes of these (n, d)."""


@dataclass(frozen=True)
class Search:
    """What is maximised over the space: the sum of `terms` and, if there is one, the `log_prior`. The `lengths` (d,),
    lengthscales of the parameters, determine step sizes."""

    space: Space
    features: Features
    terms: Sequence[Term]
    lengths: Array
    log_prior: LogPrior | None = None

    def score(self, X: Array) -> Array:
        """The acquisition (n,) at rows X (n, d)."""
        return self._with_prior(X, total(self.terms, self.features.encode(X)))

    def screen(self, X: Array) -> Array:
        """`score` in single precision."""
        terms = [(posterior.single(), function) for posterior, function in self.terms]
        return self._with_prior(X, total(terms, self.features.encode(X)))

    def _with_prior(self, X: Array, values: Array) -> Array:
        return values if self.log_prior is None else values + self.log_prior(X)[0]

    def legal(self, X: Array) -> Array:
        """Snapped rows that are allowed."""
        X = self.space.snap(X)
        return X[self.space.allowed(X)]


def candidates(search: Search, incumbents: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Points and their acquisitions: those that were climbed to, best first, then the best of the pool, best first as far
    as single precision tells. `incumbents` (b, d), best first, are perturbed."""
    pool = _pool(search, incumbents, rng)
    screened = search.screen(pool)
    shortlist = np.argsort(-screened, kind="stable")[:_SHORTLIST]
    pool, screened = pool[shortlist], screened[shortlist]
    discrete = np.isfinite(search.space.cells)
    again = discrete.any() and not discrete.all()
    starts = np.concatenate([pool[_diverse(search, pool, screened)], incumbents[:1]])
    climbed = _climb(search, starts, ~search.space.unordered, _ROUGH if again else _FINE)
    found, values = _best(search, np.concatenate([starts, climbed]), _KEPT)
    if discrete.any():
        found, values = _best(search, np.concatenate([found, _exchange(search, found)]), 2 * _KEPT)
        if again:
            climbed = _climb(search, found, ~discrete, _FINE)
            found, values = _best(search, np.concatenate([found, climbed]), 2 * _KEPT)
    return np.concatenate([found, pool]), np.concatenate([values, screened])


def _best(search: Search, X: Array, n: int) -> tuple[Array, Array]:
    """The n rows of X with the largest acquisition, snapped, of those that are allowed, best first; and their values."""
    X = search.legal(X)
    values = search.score(X)
    best = np.argsort(-values, kind="stable")[:n]
    return X[best], values[best]


def _pool(search: Search, incumbents: Array, rng: np.random.Generator) -> Array:
    """Sobol points and incumbents with some coordinates moved (Regis and Shoemaker 2013), as many of each."""
    space, d = search.space, len(search.space)
    centre = incumbents[rng.integers(0, len(incumbents), _HALF)]
    centre = np.where(np.isnan(centre), rng.random(centre.shape), centre)
    share = np.minimum(np.maximum(rng.random((_HALF, 1)), 1 / d), 20 / max(d, 20))
    size = np.minimum(search.lengths, 1.0) * 10 ** rng.uniform(*_AWAY, (_HALF, 1))
    moved = centre + size * rng.standard_normal(centre.shape) * (rng.random(centre.shape) < share)
    moved = np.abs(moved)
    moved = np.clip(np.where(moved > 1, 2 - moved, moved), 0, 1)
    redrawn = np.where(rng.random(centre.shape) < _REDRAWN, rng.random(centre.shape), centre)
    moved = np.where(space.unordered, redrawn, moved)
    pool = search.legal(np.concatenate([rotated(_HALF, d, rng), moved]))
    if len(pool) < _HALF // 4:  # require() leaves little of the cube
        pool = np.concatenate([pool, space.sample(_HALF // 4, rng)])
    return pool


def _diverse(search: Search, X: Array, values: Array) -> Ints:
    """Up to _STARTS rows, greedily by value + log(scaled distance to those already taken)."""
    lengths = np.ones(search.features.group_count)  # of counts, too; a rung is the same for all
    lengths[: len(search.lengths)] = search.lengths
    Z = search.features.encode(X) / lengths[search.features.groups]
    chosen = [0]
    near = ((Z - Z[0]) ** 2).sum(1)
    while len(chosen) < min(_STARTS, len(X)):
        score = values + 0.5 * np.log(np.maximum(near, 1e-12))
        score[chosen] = -np.inf
        chosen.append(int(np.argmax(score)))
        near = np.minimum(near, ((Z - Z[chosen[-1]]) ** 2).sum(1))
    return np.array(chosen, dtype=np.intp)


def _climb(search: Search, X: Array, free: Mask, iterations: int) -> Array:
    """Rows after gradient ascent in the numeric columns that are `free` (d,) and active. Not yet snapped."""
    numeric = search.features.numeric
    N = len(numeric)
    if not free[numeric].any():
        return X
    F = search.features.encode(X)
    moves = free[numeric] & ~np.isnan(X[:, numeric])

    def f(x: Array, rows: Ints) -> tuple[Array, Array]:
        E = F[rows]
        E[:, :N] = x
        value, slope = total_with_slope(search.terms, E)
        slope = slope[:, :N]
        if search.log_prior is not None:
            at = X[rows]
            at[:, numeric] = np.where(moves[rows], x, at[:, numeric])
            more, steeper = search.log_prior(at)
            value, slope = value + more, slope + steeper[:, numeric]
        return value, slope * moves[rows]

    top = ascend(f, F[:, :N], np.minimum(search.lengths[numeric], 10.0), iterations)
    out = X.copy()
    out[:, numeric] = np.where(moves, top, X[:, numeric])
    return out


def _exchange(search: Search, X: Array) -> Array:
    """The rows with one discrete column changed: to every level, by steps if there are many ordered ones, to the first
    _MOST_OPTIONS of many unordered ones."""
    space, changed = search.space, [np.empty((0, X.shape[1]))]
    for column in np.flatnonzero(np.isfinite(space.cells) & (space.cells > 1)):
        cells = space.cells[column]
        if cells <= _ALL_LEVELS or space.unordered[column]:
            levels = (np.arange(min(int(cells), _MOST_OPTIONS)) + 0.5) / cells
            moved = np.broadcast_to(levels, (len(X), len(levels)))
        else:
            steps = np.array([1 / cells, *(s for s in _STEPS if s > 1 / cells)])
            moved = np.clip(X[:, column, None] + np.concatenate([-steps, steps]), 0, 1)
        rows = np.repeat(X, moved.shape[1], axis=0)
        rows[:, column] = np.where(np.isnan(rows[:, column]), np.nan, moved.ravel())
        changed.append(rows)
    return np.concatenate(changed)
