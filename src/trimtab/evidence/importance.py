"""Which parameters matter: PED-ANOVA (Watanabe, Bansal & Hutter 2023, arXiv:2304.10255), local to the trials that ran.

Notation: X (n, d) rows of the unit cube, NaN where inactive; y (n,) minimised, NaN where a trial failed (ignored). The
top set holds the best tenth of the rows: at least 10 and at most half of them. For one column let p be the density of
all rows and q that of the top rows, both as Parzen estimates on G cells. The importance of the column is the variance,
over its values, of the chance to be in the top set: gamma^2 * sum_g p_g (q_g / p_g - 1)^2, with gamma = k / n the share
of top rows (eq. 13).

Two departures, both because studies are small:

* A random set of k of n rows also gives a positive sum. Its expectation is known exactly, since the estimate q is a mean
  of k kernels drawn without replacement: sum_g Var_g / p_g * (1/k) (n - k) / (n - 1), with Var_g the variance of the
  kernels at cell g over all rows. It is subtracted, and what is left is cut off at 0.
* A conditional parameter is judged among the rows in which it is active, and weighted with their share: by the law of
  total variance that is its own part, and what is due to being active at all belongs to the parameter that decides it.

Rows with a retired option are left out: that it was worse than others says nothing of the values that are left.
"""

import math
from itertools import compress

import numpy as np

from ..arrays import Array, Mask
from ..space import Space
from ..space.scales import LogIntegers
from .base_points import live_rows

TOP = 0.1
LEAST = 10  # rows in the top set, unless that is more than half of them
GRID = 64  # cells for columns with more values


def importance(X: Array, y: Array, space: Space) -> dict[str, float]:
    """The share of each parameter, by name, summing to 1; all 0 when nothing can be told apart."""
    known = np.isfinite(y) & live_rows(space, X)
    X, y = X[known], y[known]
    names = space.names
    if len(y) < 4:
        return dict.fromkeys(names, 0.0)
    k = math.ceil(max(TOP * len(y), min(LEAST, len(y) / 2)))
    top = y <= np.partition(y, k - 1)[k - 1]  # ties are all in
    effects = [_effect(X[:, j], top, _cells(space, j), bool(space.unordered[j])) for j in range(len(names))]
    total = sum(effects)
    return {name: e / total if total > 0 else 0.0 for name, e in zip(names, effects, strict=True)}


def by_branch(X: Array, y: Array, space: Space) -> dict[str, dict[str, float]]:
    """The importance of the active parameters within each branch of a conditional space, by "parent=value": among the rows
    of that value alone, so that "best" means best of the branch. {} for a space without conditions."""
    found = {}
    live = live_rows(space, X)
    X, y = X[live], y[live]
    for j, (parent, p) in enumerate(space.params.items()):
        given = [v for child in space.params.values() for v in child.when.get(parent, ())]
        at = np.where(np.isnan(X[:, j]), np.nan, p.scale.numbers(np.nan_to_num(X[:, j])))
        for code in sorted({p.code(p.clean(parent, v)) for v in given}):
            inside = at == code
            if inside.sum() >= 4:
                # Not the parent, nor its own parents: they have one value here.
                varied = [len(np.unique(x[~np.isnan(x)])) > 1 for x in X[inside].T]
                shares = importance(X[inside], y[inside], space)
                found[f"{parent}={p.value(code)}"] = {n: shares[n] for n in compress(space.names, varied)}
    return found


def _cells(space: Space, j: int) -> int:
    """Into how many cells of equal width a column is cut: one for each value, if these are as wide and not too many."""
    cells = space.cells[j]
    even = cells == 1 or not isinstance(space.params[space.names[j]].scale, LogIntegers)
    return int(cells) if space.unordered[j] or (even and cells <= GRID) else GRID


def _effect(x: Array, top: Mask, G: int, unordered: bool) -> float:
    """Variance of P(top) over the values of one column, chance subtracted, times the share of rows where it is active."""
    active = ~np.isnan(x)
    n, k = int(active.sum()), int((top & active).sum())
    if n < 4 or k in (0, n) or G == 1:
        return 0.0
    cell = np.minimum((x[active] * G).astype(np.int64), G - 1)
    counts = np.bincount(cell, minlength=G).astype(float)
    top_counts = np.bincount(cell[top[active]], minlength=G).astype(float)
    if unordered:  # no kernel: each cell for itself
        p, q = counts / n, top_counts / k
        squares = p
    else:
        K = _kernel(G, counts, k)
        p, q, squares = counts @ K / n, top_counts @ K / k, counts @ K**2 / n
    seen = p > 1e-12
    divergence = float(np.sum((q[seen] - p[seen]) ** 2 / p[seen]))
    var = squares - p**2
    chance = float(np.sum(var[seen] / p[seen])) / k * (n - k) / (n - 1)
    return n / len(x) * (k / n) ** 2 * max(0.0, divergence - chance)


def _kernel(G: int, counts: Array, k: int) -> Array:
    """(G, G) Gaussian kernel between cells, rows summing to 1: Scott's bandwidth for k rows, at least half a cell."""
    centres = (np.arange(G) + 0.5) / G
    n = counts.sum()
    mean = counts @ centres / n
    sigma = math.sqrt(counts @ (centres - mean) ** 2 / n)
    h = max(1.06 * sigma * k**-0.2, 0.5 / G)
    K = np.exp(-0.5 * ((centres[:, None] - centres) / h) ** 2)
    normal: Array = K / K.sum(axis=1, keepdims=True)
    return normal
