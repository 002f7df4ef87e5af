"""Mixtures of product kernels on the unit cube: the densities of a tree-structured Parzen estimator.

A kernel is centred on a row. Along a smooth column it is a normal density truncated to [0, 1]; along a coarse column,
one of few cells, it is a probability for each cell: that of a normal in an ordered one, most of it on the row's own
cell in an unordered one (Aitchison and Aitken 1976). Where its row is inactive a kernel is uniform, and a density is
one of the active columns of its argument only: rows of different conditions share what they have in common. One kernel
more, uniform in every column, is the prior.

The logarithm of a kernel is a scalar product of features of the argument and coefficients of the kernel, so that all
kernels at all points are one matrix product:

    -(x - mu)^2 / 2 s^2 - log(s Z sqrt(2 pi)) = [x^2, x, 1] . [-1/2s^2, mu/s^2, -mu^2/2s^2 - log(s Z sqrt(2 pi))],

with Z the normal's mass in [0, 1], and a coarse column is one-hot times a row of logarithms.

Notation: n rows, d columns, p features, B points. X (n, d) is NaN where inactive. Densities are by Lebesgue measure on
the cube: uniform is 1, a cell of probability P among k has the density k P.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import erf, ndtr, ndtri

from ..arrays import Array, Ints, Mask

LEAST = 0.03  # bandwidth (Watanabe 2023, section 3.3.4)
_CLIP = 2.0  # exponent of the magic clip (there, too)
_FEW = 32  # cells: columns of more are smooth, for their cells are narrower than any bandwidth
_STAY = 0.9  # probability of the own cell of an unordered column
_LOG_HALF_SQRT_2PI = 0.5 * np.log(0.5 * np.pi)
_SQRT_HALF = np.sqrt(0.5)
_OUTSIDE = 9.0  # sorts behind [0, 1]
_TINY = 1e-300
_LOG_TINY = -690.0  # below, np.exp is slow and its result counts for nothing


@dataclass(frozen=True)
class Columns:
    """What kind each column is."""

    smooth: Ints
    coarse: tuple[tuple[int, int, bool], ...]  # column, cells, whether ordered
    width: int  # d

    @staticmethod
    def of(cells: Array, unordered: Mask) -> "Columns":
        """From the number of cells of each column (d,), inf where continuous, and whether they have no order (d,)."""
        few = unordered | (cells <= _FEW)
        coarse = tuple((int(j), int(cells[j]), not unordered[j]) for j in np.flatnonzero(few))
        return Columns(np.flatnonzero(~few), coarse, len(cells))

    def features(self, X: Array) -> Array:
        """What kernels are multiplied by: (B, p) of points (B, d)."""
        active = ~np.isnan(X[:, self.smooth])
        x = np.where(active, X[:, self.smooth], 0.0)
        hot = [_cells(k, _outside(X[:, j]))[:, None] == np.arange(k) for j, k, _ in self.coarse]
        return np.hstack([x * x, x, active, *hot])


@dataclass(frozen=True)
class Mixture:
    """A weighted sum of kernels, the last of which is the prior. Its arrays have one column for each kernel."""

    columns: Columns
    centres: Array  # (d, n + 1) NaN where uniform
    widths: Array  # (s, n + 1) standard deviations in the s smooth columns
    tables: tuple[Array, ...]  # (k, k + 1) for each coarse column, see `_log_shares`
    weights: Array  # (n + 1,) sum 1
    coefficients: Array  # (p, n + 1)

    @staticmethod
    def fit(columns: Columns, X: Array, weights: Array | None = None) -> "Mixture":
        """Kernels on the rows X (n, d) and the prior, whose weight is the mean of `weights` (n,), > 0 in sum."""
        w = np.ones(len(X)) if weights is None else weights
        w = np.append(w, w.mean() if len(w) else 1.0)
        centres = np.full((columns.width, len(X) + 1), np.nan)
        centres[:, :-1] = X.T
        smooth = centres[columns.smooth]
        widths = bandwidths(smooth)
        tables = tuple(_ordered(k, centres[j]) if ordered else _unordered(k) for j, k, ordered in columns.coarse)
        shares = [_looked_up(t, centres[j]) for (j, *_), t in zip(columns.coarse, tables, strict=True)]
        coefficients = np.concatenate([_normal(smooth, widths), *shares])
        return Mixture(columns, centres, widths, tables, w / w.sum(), coefficients)

    def log_density(self, X: Array) -> Array:
        """The logarithm of the density (B,) at points (B, d), by log-sum-exp."""
        L = self.columns.features(X) @ self.coefficients
        L += np.log(np.maximum(self.weights, _TINY))
        top = L.max(axis=1)
        L -= top[:, None]  # in place, for L is large and fresh memory costs more than arithmetic
        np.exp(np.maximum(L, _LOG_TINY, out=L), out=L)
        return np.asarray(top + np.log(L.sum(axis=1)))

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """n points (n, d) with all columns filled: a condition that a point does not meet is the caller's to apply."""
        chosen = rng.choice(len(self.weights), n, p=self.weights)
        U = rng.random((self.columns.width, n))
        centres, points = self.centres[:, chosen], U.copy()
        smooth = self.columns.smooth
        mu, sd = centres[smooth], self.widths[:, chosen]
        low, high = ndtr(-mu / sd), ndtr((1 - mu) / sd)
        draws = mu + sd * ndtri(low + U[smooth] * (high - low))
        points[smooth] = np.where(np.isnan(mu), U[smooth], np.clip(draws, 0.0, 1.0))
        for (j, k, _), table in zip(self.columns.coarse, self.tables, strict=True):
            share = np.exp(_looked_up(table, centres[j])) / k
            cell = (share.cumsum(axis=0) < U[j]).sum(axis=0)
            points[j] = (np.minimum(cell, k - 1) + 0.5) / k
        return points.T


def bandwidths(M: Array) -> Array:
    """The neighbour rule of Bergstra et al. (2011) for each entry of M (s, n), NaN where there is none: the larger of
    the distances to its neighbours in the line, clipped to [max(LEAST, (1 + m)^-2), 1] with m the entries of the line;
    the distance to the farther end of [0, 1] if it is alone."""
    active = ~np.isnan(M)
    filled = np.where(active, M, _OUTSIDE)
    order = np.argsort(filled + 1e-12 * np.arange(M.shape[1]), axis=1)  # ties in one order with any sorting routine
    rows = np.arange(len(M))[:, None]
    gaps = np.diff(filled[rows, order])
    sides = np.zeros((len(M), M.shape[1] + 1))
    sides[:, 1:-1] = np.where(gaps > 1, 0.0, gaps)
    wide = np.empty_like(M)
    wide[rows, order] = np.maximum(sides[:, :-1], sides[:, 1:])
    count = active.sum(axis=1, keepdims=True)
    wide = np.where((count == 1) & active, np.maximum(M, 1 - M), wide)
    return np.clip(wide, np.maximum(LEAST, (1.0 + count) ** -_CLIP), 1.0)


def _normal(mu: Array, sd: Array) -> Array:
    """The three coefficients of truncated normals with means (s, n), 0 where those are NaN: (3 s, n)."""
    found = np.empty((3, *mu.shape))
    quadratic, linear, constant = found
    np.divide(-0.5, sd * sd, out=quadratic)
    np.multiply(-2 * mu, quadratic, out=linear)
    steep = _SQRT_HALF / sd
    mass = erf((1 - mu) * steep) + erf(mu * steep)  # twice the normal's
    np.subtract(quadratic * mu * mu, np.log(sd * mass) + _LOG_HALF_SQRT_2PI, out=constant)
    found[:, np.isnan(mu)] = 0.0
    return found.reshape(-1, mu.shape[1])


def _ordered(k: int, x: Array) -> Array:
    """The table of an ordered column of k cells for kernels at x (n,): the bandwidth is that of the cells which occur."""
    occurring = np.zeros(k + 1, dtype=bool)
    occurring[_cells(k, _outside(x))] = True
    return _ordered_around(k, occurring[:k].tobytes())


@lru_cache(maxsize=256)
def _ordered_around(k: int, occurring: bytes) -> Array:
    """The table of an ordered column of k cells of which some occur (k booleans): often all of them, again and again."""
    centres = (np.arange(k) + 0.5) / k
    there = np.flatnonzero(np.frombuffer(occurring, dtype=bool))
    sd = np.ones(k)
    sd[there] = bandwidths(centres[None, there])
    edges = ndtr((np.arange(k + 1)[:, None] / k - centres) / sd)
    return _log_shares(np.diff(edges, axis=0))


@lru_cache(maxsize=32)
def _unordered(k: int) -> Array:
    """The table of an unordered column of k cells."""
    return _log_shares(np.where(np.eye(k) > 0, _STAY, (1 - _STAY) / max(k - 1, 1)))


def _log_shares(P: Array) -> Array:
    """From the masses P (k, k) of the cells (rows) around each cell (columns) to their log densities (k, k + 1): the last
    column is that of no cell, uniform."""
    table = np.zeros((len(P), len(P) + 1))
    table[:, :-1] = np.log(np.maximum(len(P) * P / P.sum(axis=0), _TINY))
    table.setflags(write=False)  # it is remembered
    return table


def _cells(k: int, x: Array) -> Ints:
    """The cell of each x, and k for what is outside of [0, 1]."""
    return np.where(x > 1, k, np.minimum(x * k, k - 1)).astype(np.intp)


def _looked_up(table: Array, x: Array) -> Array:
    """The column of a table (k, k + 1) for the cell of each x (n,), the last one where x is NaN: (k, n)."""
    return np.take(table, _cells(len(table), _outside(x)), axis=1)


def _outside(x: Array) -> Array:
    """x with NaN outside of [0, 1]."""
    return np.where(np.isnan(x), _OUTSIDE, x)
