"""Main effects: the features in which a response may rise, fall or bend along each column, by itself.

What hyperparameters do to a loss is largely a sum of effects of single ones, many of them monotone up to the edge of the
range. A few results show such a trend long before a stationary kernel has covered the space, and it reaches where no
result is yet. With t = 2 x - 1 in [-1, 1], a numeric column has the first two Legendre polynomials, t and
0.7 (3 t^2 - 1) / 2; each column of a one-hot group is its own feature. All are divided by sqrt(D), so that a prior
variance v of the coefficients gives the trend a variance of at most about v.

Notation: n points, C columns, D groups of columns, B features: of the N numeric columns t, then the bends, then the rest.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..arrays import Array, Ints

_BEND = 0.7


class _Effects(NamedTuple):
    """Each feature is a + b x + c x^2 of one column x."""

    columns: Ints  # (B,)
    a: Array  # (B,)
    b: Array
    c: Array
    numeric: int  # N


def features(X: Array, groups: Ints) -> Array:
    """The features (n, B) of points X (n, C) in the unit cube."""
    columns, a, b, c, _ = _effects(groups.tobytes(), X.dtype.char)
    x = X.take(columns, axis=1)
    out = c * x
    out += b
    out *= x
    out += a
    return out


def pullback(X: Array, groups: Ints, by_features: Array) -> Array:
    """The vector-Jacobian product of `features`: from dv/dfeatures (n, B) to dv/dX (n, C)."""
    columns, _, b, c, N = _effects(groups.tobytes(), X.dtype.char)
    slope = X.take(columns, axis=1)
    slope *= 2 * c
    slope += b
    slope *= by_features
    slope[:, :N] += slope[:, N : 2 * N]  # a numeric column has two features
    out = np.empty_like(X)
    out[:, columns[2 * N :]] = slope[:, 2 * N :]
    out[:, columns[:N]] = slope[:, :N]
    return out


@lru_cache(maxsize=64)
def _effects(groups: bytes, dtype: str) -> _Effects:
    g = np.frombuffer(groups, dtype=np.intp)
    alone = np.bincount(g)[g] == 1
    numeric, coded = np.flatnonzero(alone), np.flatnonzero(~alone)
    flat, steep = np.zeros(len(numeric)), np.ones(len(numeric))
    zero, one = np.zeros(len(coded)), np.ones(len(coded))
    scale = np.sqrt(g.max() + 1)
    a, b, c = (
        (np.concatenate(parts) / scale).astype(dtype)
        for parts in (
            (-steep, _BEND * steep, zero),
            (2 * steep, -6 * _BEND * steep, one),
            (flat, 6 * _BEND * steep, zero),
        )
    )
    return _Effects(np.concatenate([numeric, numeric, coded]), a, b, c, len(numeric))
