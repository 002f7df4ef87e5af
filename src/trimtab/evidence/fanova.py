"""Functional ANOVA of a random forest: the share of its variance that each parameter causes by itself.

Hutter, Hoos and Leyton-Brown (2014, An efficient approach for assessing hyperparameter importance). A tree is constant on
boxes of the unit cube, so that the mean over all other columns is exact: a box with value v and volume V adds
v V / w_j to the marginal of column j on its side [a, b) of width w_j = b - a (Algorithm 2). The share of a column is
Var(marginal) / Var(tree), averaged over trees. Inactive columns count as being in the middle. Needs scikit-learn.

The cube is that of the options that are not retired: rows with a retired one are left out.
"""

from typing import Any

import numpy as np

from ..arrays import Array
from ..errors import UserError
from ..space import Space
from .base_points import live_rows
from .belief import standard

TREES = 32
ROWS = 2_000  # of each tree


def fanova(X: Array, y: Array, space: Space) -> dict[str, float]:
    """The share of each parameter, by name; what is missing to 1 is due to interactions. All 0 for too few results.

    X (n, d) rows of the unit cube, NaN where inactive; y (n,) losses, NaN where a trial failed (ignored).
    Raises UserError when scikit-learn is missing.
    """
    try:
        from sklearn.ensemble import RandomForestRegressor
    except ImportError:
        raise UserError('fANOVA needs scikit-learn; run: pip install "trimtab[explain]"') from None
    known = np.isfinite(y) & live_rows(space, X)
    X = X / space.live_share  # the live part of each column is [0, 1]
    X, y = np.where(np.isnan(X), 0.5, X)[known], y[known]
    if len(y) < 4:
        return dict.fromkeys(space.names, 0.0)
    rows = min(ROWS, len(y))
    forest = RandomForestRegressor(TREES, min_samples_leaf=2, max_features=0.7, max_samples=rows, random_state=0)
    forest.fit(X, standard(y)[0])
    shares = [s for s in (_shares(e.tree_, X.shape[1]) for e in forest.estimators_) if s is not None]
    mean = np.mean(shares, axis=0) if shares else np.zeros(len(space))
    return {name: float(v) for name, v in zip(space.names, mean, strict=True)}


def _shares(tree: Any, d: int) -> Array | None:
    """Var(marginal of each column) / Var(tree) (d,); None for a tree without variance."""
    low, high, value = _boxes(tree, d)
    width = high - low
    volume = width.prod(axis=1)
    mean = float(volume @ value)
    total = float(volume @ value**2) - mean**2
    if total <= 1e-12:
        return None
    return np.array([_variance(low[:, j], high[:, j], value * volume / width[:, j], mean) for j in range(d)]) / total


def _boxes(tree: Any, d: int) -> tuple[Array, Array, Array]:
    """Corners (leaves, d) and value (leaves,) of every leaf; parents come before their children."""
    low, high = np.zeros((tree.node_count, d)), np.ones((tree.node_count, d))
    left, right, feature, threshold = tree.children_left, tree.children_right, tree.feature, tree.threshold
    for node in np.flatnonzero(left >= 0):
        a, b, j, t = left[node], right[node], feature[node], threshold[node]
        low[a], high[a], low[b], high[b] = low[node], high[node], low[node], high[node]
        high[a, j] = low[b, j] = t
    leaf = left < 0
    return low[leaf], high[leaf], tree.value[leaf, 0, 0]


def _variance(low: Array, high: Array, height: Array, mean: float) -> float:
    """Variance over [0, 1] of the sum of steps of `height` on [low, high)."""
    at = np.concatenate([low, high])
    order = np.argsort(at, kind="stable")
    level = np.cumsum(np.concatenate([height, -height])[order])[:-1]
    return float(np.diff(at[order]) @ (level - mean) ** 2)
