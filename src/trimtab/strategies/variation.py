"""Crossover and mutation of rows of the unit cube, for evolutionary strategies; independent of results.

Ordered columns are crossed by simulated binary crossover and mutated polynomially, both bounded (Deb and Agrawal 1995,
Deb 2001); columns of unordered choices are exchanged whole and mutated to another option. A parent's inactive columns
are filled from the other parent, or uniformly if both are inactive; so a child that switches a branch on has values
there.

Notation: d columns, c children. Rows (c, d) are NaN where inactive; operators work on rows that are filled.
"""

import numpy as np

from ..arrays import Array, Mask
from ..space import Space

CROSSOVER = 0.9  # probability that a pair is crossed at all
ETA = 20.0  # distribution index: the larger, the closer are children to their parents
WIDE = 1.0  # distribution index of mutants, which move by mutation alone


def children(space: Space, A: Array, B: Array, mutations: float, rng: np.random.Generator) -> Array:
    """One snapped child (c, d) of each pair of parents A, B (c, d), with this many expected mutations; it may not be
    allowed."""
    A, B = _filled(A, B, rng), _filled(B, A, rng)
    X = np.where(rng.random((len(A), 1)) < CROSSOVER, crossed(A, B, space.unordered, rng), A)
    open_ = _open(space, X)
    chosen = rng.random(X.shape) < mutations / np.maximum(open_.sum(axis=1, keepdims=True), 1)
    return space.snap(np.where(chosen & open_, mutated(space, X, ETA, rng), X))


def mutants(space: Space, A: Array, mutations: int, rng: np.random.Generator) -> Array:
    """One snapped row (c, d) for each of A (c, d), with this many active columns moved."""
    X = _filled(A, A, rng)
    order = np.where(_open(space, X), rng.random(X.shape), np.inf)
    chosen = (order <= np.sort(order, axis=1)[:, [min(mutations, len(space)) - 1]]) & np.isfinite(order)
    return space.snap(np.where(chosen, mutated(space, X, WIDE, rng), X))


def perturbed(space: Space, x: Array, steps: Array, resample: float, free: Mask, rng: np.random.Generator) -> Array:
    """Allowed rows (k, d) near the row x (d,), at most one for each of `steps` (c,). Every `free` column (d,) is moved
    up or down by the step, or by a cell if that is more, or is drawn anew with probability `resample`; unordered
    choices are only drawn anew."""
    A = np.tile(x, (len(steps), 1))
    F = _filled(A, A, rng)
    reach = np.maximum(steps[:, None], np.where(np.isfinite(space.cells), 1 / np.maximum(space.cells, 1), 0.0))
    away = np.where(space.unordered, F, np.clip(F + np.where(rng.random(F.shape) < 0.5, -reach, reach), 0.0, 1.0))
    X = np.where(rng.random(F.shape) < resample, rng.random(F.shape), away)
    X = space.snap(np.where(free, X, A))
    return X[space.allowed(X) & _same(X[:, ~free], x[~free]).all(axis=1)]


def _same(A: Array, b: Array) -> Mask:
    """Where A (c, d) equals b (d,); NaN equals NaN."""
    return np.asarray((b == A) | (np.isnan(A) & np.isnan(b)))


def crossed(A: Array, B: Array, unordered: Mask, rng: np.random.Generator) -> Array:
    """Children (c, d) of A and B: each column is crossed or left as in A with equal odds; crossed ones resemble A or B
    with equal odds."""
    blend = sbx(np.minimum(A, B), np.maximum(A, B), rng.random(A.shape), rng.random(A.shape) < 0.5)
    swap = rng.random(A.shape) < 0.5
    return np.where(unordered, np.where(swap, B, A), np.where(swap, blend, A))


def sbx(low: Array, high: Array, u: Array, upper: Mask) -> Array:
    """Simulated binary crossover within [0, 1] of parents low <= high: with `upper` the child near high, else the one
    near low, for uniform u (Deb and Agrawal 1995; bounded as in Deb's NSGA-II)."""
    gap = high - low
    apart = gap > 1e-14
    width = np.where(apart, gap, 1.0)
    beta = 1 + 2 * np.where(upper, 1 - high, low) / width  # beyond it the child would leave the cube
    alpha = 2 - beta ** -(ETA + 1)
    inner = np.maximum(u * alpha, 0.0)
    outer = 1 / np.maximum(2 - u * alpha, 1e-300)
    spread = np.where(inner <= 1, inner, outer) ** (1 / (ETA + 1))
    child = 0.5 * (low + high + np.where(upper, 1.0, -1.0) * spread * width)
    return np.where(apart, np.clip(child, 0.0, 1.0), low)


def mutated(space: Space, X: Array, eta: float, rng: np.random.Generator) -> Array:
    """Filled rows X (c, d), mutated in every column: another option, or a polynomial step. Columns of cells are also
    shifted by up to a cell, so that columns of few cells are left as easily as those of many."""
    u, cells = rng.random(X.shape), space.cells
    finite = np.isfinite(cells)
    k = np.where(finite, cells, 1.0)
    option = (X + (1 + np.floor(u * (k - 1))) / k) % 1.0
    shift = np.where(finite, 2 * rng.random(X.shape) - 1, 0.0) / k
    return np.where(space.unordered, option, np.clip(polynomial(X, u, eta) + shift, 0.0, 1.0))


def polynomial(x: Array, u: Array, eta: float) -> Array:
    """Polynomial mutation within [0, 1] of x for uniform u: 0 at u = 0, x at 1/2, 1 at 1 (Deb 2001, bounded)."""
    power = 1 / (eta + 1)
    low = (2 * u + (1 - 2 * u) * (1 - x) ** (eta + 1)) ** power - 1
    high = 1 - (2 * (1 - u) + (2 * u - 1) * x ** (eta + 1)) ** power
    return np.clip(x + np.where(u < 0.5, low, high), 0.0, 1.0)


def _filled(A: Array, B: Array, rng: np.random.Generator) -> Array:
    """A with its NaN replaced by the values of B, else by uniform numbers."""
    other = np.where(np.isnan(B), rng.random(A.shape), B)
    return np.where(np.isnan(A), other, A)


def _open(space: Space, X: Array) -> Mask:
    """Which columns of rows X (c, d) are active and have more than one value."""
    return space.active(X) & (space.cells > 1)
