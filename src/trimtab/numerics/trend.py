"""Main effects: the features in which a response may rise, fall or bend along each column, by itself.

What hyperparameters do to a loss is largely a sum of effects of single ones, many of them monotone up to the edge of the
range. A few results show such a trend long before a stationary kernel has covered the space, and it reaches where no
result is yet. With t = 2 x - 1 in [-1, 1], a numeric column has the first two Legendre polynomials, t and
0.7 (3 t^2 - 1) / 2; each column of a one-hot group is its own feature. All are divided by sqrt(D), so that a prior
variance v of the coefficients gives the trend a variance of at most about v.

Notation: n points, C columns, D groups of columns, B features: of the N numeric columns t, then the bends, then the rest.
"""

from functools import lru_cache

import numpy as np

from ..arrays import Array, Ints

_BEND = 0.7


def features(X: Array, groups: Ints) -> Array:
    """The features (n, B) of points X (n, C) in the unit cube."""
    numeric, coded = _columns(groups)
    T = 2 * X[:, numeric] - 1
    bends = (_BEND / 2) * (3 * T * T - 1)
    parts = [T, bends, X[:, coded]]
    return np.asarray(np.concatenate(parts, axis=1) / np.sqrt(groups.max() + 1), dtype=X.dtype)


def back(X: Array, groups: Ints, by_features: Array) -> Array:
    """From dv/dfeatures (n, B) to dv/dX (n, C)."""
    numeric, coded = _columns(groups)
    N = len(numeric)
    out = np.empty_like(X)
    out[:, numeric] = 2 * by_features[:, :N] + (6 * _BEND) * (2 * X[:, numeric] - 1) * by_features[:, N : 2 * N]
    out[:, coded] = by_features[:, 2 * N :]
    return np.asarray(out / np.sqrt(groups.max() + 1))


def _columns(groups: Ints) -> tuple[Ints, Ints]:
    """The columns that are a group by themselves, and the others."""
    return _parted(groups.tobytes())


@lru_cache(maxsize=64)
def _parted(groups: bytes) -> tuple[Ints, Ints]:
    g = np.frombuffer(groups, dtype=np.intp)
    alone = np.bincount(g)[g] == 1
    return np.flatnonzero(alone), np.flatnonzero(~alone)
