"""Gaussian-process regression: Matérn-5/2, one lengthscale per group of columns, MAP hyperparameters.

Notation: n points, C feature columns, D groups of columns that share a lengthscale; y is standardised.

    k(x, x') = s (1 + r + r^2/3) exp(-r),   r = |z - z'|,   z_c = sqrt(5) x_c / l_g(c)     (Rasmussen and Williams 4.17)
    K = k(X, X) + diag(noise w + 1e-6),     w_i = 1 / (number of results averaged in y_i)
    theta = (log l_1 .. log l_D, log noise, log s)

The gradient needs no (n, n, D) array: with a = K^-1 y and W = K^-1 - a a^T, the derivatives by all lengthscales are row
sums and one matrix product of W * G (see `loss`, `matern`). Cost O(n^3 + n^2 C) per evaluation; meant for n <= 500.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, lapack

from .descent import Minimum, descend

Array = NDArray[np.float64]
Ints = NDArray[np.intp]
Back = Callable[[Array, Array], Array]

FLOOR = 1e-6  # variance always added to the diagonal
_LENGTH = (np.log(2.5e-2), np.log(1e3))
_NOISE = (np.log(1e-6), 1.0)
_SCALE = (-4.0, 4.0)
_VARIANCE_FLOOR = 1e-12
_SQRT_5 = np.sqrt(5.0)
_LEAF = 64  # triangles up to this size are inverted by LAPACK, which is slow with larger ones


@dataclass(frozen=True)
class Data:
    """Training points: X (n, C), y (n,), weights w (n,), group of each column (C,); `exact` fixes the noise at 1e-6.

    rate: of the noise's Gamma prior. 30 expects little noise, as a search does well to; 0 expects nothing.
    """

    X: Array
    y: Array
    weights: Array
    groups: Ints
    exact: bool = False
    rate: float = 30.0

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: Ints) -> "Data":
        return Data(self.X[rows], self.y[rows], self.weights[rows], self.groups, self.exact, self.rate)

    def append(self, X: Array, y: Array) -> "Data":
        weights = np.concatenate([self.weights, np.ones(len(y))])
        return Data(
            np.concatenate([self.X, X]), np.concatenate([self.y, y]), weights, self.groups, self.exact, self.rate
        )


def unfitted(D: int, n: int) -> Minimum:
    """Where a cold fit of n points starts: l = D^(1/4) / 2, noise e^-4, s = 1, and a guess of the curvatures."""
    theta = np.concatenate([np.full(D, np.log(0.5) + 0.25 * np.log(D)), [-4.0, 0.0]])
    curvature = np.concatenate([np.full(D, 1 + n / (2 * D)), [1 + n / 4] * 2])
    return Minimum(theta, np.diag(1 / curvature))


def fit(data: Data, start: Minimum, iterations: int, tolerance: float) -> Minimum:
    """The hyperparameters that maximise the posterior, by descent from `start` until a step gains less than
    `tolerance` nats. Never raises: at worst `start` comes back."""
    D = len(start.x) - 2
    noise = (_NOISE[0], _NOISE[0]) if data.exact else _NOISE
    low, high = np.array([_LENGTH] * D + [noise, _SCALE]).T
    squares = data.X**2
    with np.errstate(all="ignore"):
        return descend(lambda theta: loss(theta, data, squares), start, (low, high), iterations, tolerance)


def warm_fit(data: Data, start: Minimum) -> Minimum:
    """`fit` from the minimum for almost the same data, in at most 12 steps up to 75 points, then fewer: a few points of
    many move little, and each step costs more."""
    return fit(data, start, iterations=max(3, 900 // max(len(data), 75)), tolerance=0.02)


def cold_fit(data: Data) -> Minimum:
    """`fit` from the default start, remembered by value: the same data does not cost twice."""
    return _cold(
        _Key(data.X.tobytes(), data.y.tobytes(), data.weights.tobytes(), tuple(data.groups), data.exact, data.rate)
    )


class _Key(NamedTuple):
    """`Data` that can be hashed."""

    X: bytes
    y: bytes
    weights: bytes
    groups: tuple[int, ...]
    exact: bool
    rate: float


@lru_cache(maxsize=64)
def _cold(key: _Key) -> Minimum:
    groups = np.array(key.groups, dtype=np.intp)
    X = np.frombuffer(key.X).reshape(-1, len(groups))
    data = Data(X, np.frombuffer(key.y), np.frombuffer(key.weights), groups, key.exact, key.rate)
    found = fit(data, unfitted(int(groups.max()) + 1, len(data)), iterations=40, tolerance=1e-3)
    for part in found:
        part.setflags(write=False)
    return found


def loss(theta: Array, data: Data, squares: Array) -> tuple[float, Array]:
    """Negative log posterior of theta and its gradient (n log 2 pi / 2 left out). `squares` is X ** 2."""
    D, n = len(theta) - 2, len(data)
    inverse = _SQRT_5 * np.exp(-theta[:D])[data.groups]
    noise, s = np.exp(theta[D]) * data.weights, np.exp(theta[D + 1])
    Z = data.X * inverse
    K, G = matern(Z, Z, s)
    K.flat[:: n + 1] = s + noise + FLOOR
    L, info = lapack.dpotrf(K.T, lower=1, clean=1, overwrite_a=1)
    if info:
        return np.inf, np.zeros_like(theta)
    root = inverted(L)
    a = (root @ data.y) @ root  # K^-1 y
    value = 0.5 * data.y @ a + np.log(np.diagonal(L)).sum()
    # The lower triangle of W = K^-1 - a a^T: its upper one is 0, and a sum over both is twice the sum over one.
    W, _ = lapack.dlauum(root, lower=1, overwrite_c=1)
    W = blas.dsyr(-1.0, a, lower=1, a=W, overwrite_a=1)
    diagonal = np.diagonal(W)
    by_noise = 0.5 * diagonal @ noise
    by_scale = 0.5 * ((n - data.y @ a) - diagonal @ (noise + FLOOR))  # trace(W K) = n - y.a
    M = W.T
    M *= G
    # sum_ab M_ab (x_a - x_b)^2 of each column
    quadratic = (M.sum(0) + M.sum(1)) @ squares - 2 * np.einsum("ij,ij->j", data.X, M @ data.X)
    by_length = np.bincount(data.groups, quadratic * inverse**2, D)
    prior, slope = _prior(theta, D, data.rate)
    return float(value + prior), np.concatenate([by_length, [by_noise, by_scale]]) + slope


def _prior(theta: Array, D: int, rate: float) -> tuple[float, Array]:
    """Negative log priors and their derivatives, chosen by measurement, as in Optuna's GP sampler:

    0.1 / x + 0.1 x of each x = 1 / l^2 (both very short and very long lengthscales are implausible), noise ~
    Gamma(1.1, rate), s ~ Gamma(2, rate 1).
    """
    x = np.exp(-2 * theta[:D])
    noise, s = np.exp(theta[D]), np.exp(theta[D + 1])
    value = 0.1 * (1 / x + x).sum() + rate * noise - 0.1 * theta[D] + s - theta[D + 1]
    return float(value), np.concatenate([0.2 * (1 / x - x), [rate * noise - 0.1, s - 1]])


@dataclass(frozen=True)
class Posterior:
    """A GP conditioned on its data. Z = sqrt(5) X / l (n, C), alpha = K^-1 y, root = L^-1 (n, n).

    trend: (a, c, other) of each posterior whose mean m adds a (m(x) - c) to this one's; the data are what is left over.
    """

    Z: Array
    inverse: Array  # (C,) sqrt(5) / l of each column
    scale: float
    alpha: Array
    root: Array
    trend: "tuple[tuple[float, float, Posterior], ...]" = ()

    def single(self) -> "Posterior":
        """The same in single precision: several times faster, good enough to choose which points deserve better."""
        parts: list[Any] = [part.astype(np.float32) for part in (self.Z, self.inverse, self.alpha, self.root)]
        Z, inverse, alpha, root = parts
        trend = tuple((a, c, other.single()) for a, c, other in self.trend)
        return Posterior(Z, inverse, self.scale, alpha, root, trend)

    def predict(self, X: Array) -> tuple[Array, Array]:
        """Posterior mean and variance of the noise-free function at X (B, C): two (B,) arrays."""
        mean, var, _ = self.forward(X)
        return mean, var

    def forward(self, X: Array) -> tuple[Array, Array, Back]:
        """Mean, variance, and the map from (dv/dmean, dv/dvar), each (B,), to dv/dX (B, C)."""
        Zx = X.astype(self.Z.dtype) * self.inverse
        k, G = matern(Zx, self.Z, self.scale)
        V = k @ self.root.T  # V V^T = k K^-1 k^T
        var = np.maximum(self.scale - np.einsum("ij,ij->i", V, V), _VARIANCE_FLOOR)

        others = [(a, c, *other.forward(X)) for a, c, other in self.trend]

        def back(by_mean: Array, by_var: Array) -> Array:
            w = (by_mean[:, None] * self.alpha - 2 * by_var[:, None] * (V @ self.root)) * -G
            slope = (w.sum(1)[:, None] * Zx - w @ self.Z) * self.inverse
            for a, _, _, _, other in others:
                slope = slope + a * other(by_mean, np.zeros_like(by_var))
            return np.asarray(slope)

        mean = k @ self.alpha
        for a, c, m, _, _ in others:
            mean = mean + a * (m - c)
        return mean, var, back

    def believing(self, X: Array, noise: float) -> "Posterior":
        """Conditioned further on results at X (w, C), with this variance of noise, that are what it expects there.

        Such results leave alpha as it is, and the variance shrinks as if they were known: the rows that X adds to the
        root are all that changes, O(n^2 w).
        """
        if len(X) == 0:
            return self
        Zx, n = X * self.inverse, len(self.Z)
        k, _ = matern(Zx, self.Z, self.scale)
        V = k @ self.root.T
        S, _ = matern(Zx, Zx, self.scale)
        S -= V @ V.T
        S.flat[:: len(X) + 1] += noise + FLOOR
        corner, _ = lapack.dtrtri(_factor(S), lower=1)
        root = np.zeros((n + len(X), n + len(X)))
        root[:n, :n] = self.root
        root[n:, :n] = -corner @ V @ self.root
        root[n:, n:] = corner
        alpha = np.concatenate([self.alpha, np.zeros(len(X))])
        return Posterior(np.concatenate([self.Z, Zx]), self.inverse, self.scale, alpha, root, self.trend)


def _factor(S: Array) -> Array:
    """The lower Cholesky factor of S, with jitter that grows until there is one: never raises."""
    diagonal = np.diagonal(S).copy()
    for jitter in (0.0, 1e-8, 1e-6, 1e-4, 1e-2, 1.0):
        S.flat[:: len(S) + 1] = np.maximum(diagonal, FLOOR) + jitter
        L, info = lapack.dpotrf(S.T, lower=1, clean=1)
        if info == 0:
            break
    return np.asarray(L)


def condition(data: Data, theta: Array) -> Posterior:
    """The posterior under theta. Jitter grows until the Cholesky factorisation succeeds: never raises."""
    D, n = len(theta) - 2, len(data)
    inverse = _SQRT_5 * np.exp(-theta[:D])[data.groups]
    scale = float(np.exp(theta[D + 1]))
    Z = data.X * inverse
    K, _ = matern(Z, Z, scale)
    for jitter in (0.0, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1.0):
        K.flat[:: n + 1] = scale * (1 + jitter) + np.exp(theta[D]) * data.weights + FLOOR
        L, info = lapack.dpotrf(K.T, lower=1, clean=1)
        if info == 0:
            break
    alpha, _ = lapack.dpotrs(L, data.y, lower=1)
    return Posterior(Z, inverse, scale, alpha, np.ascontiguousarray(inverted(L)))


def inverted(L: Array) -> Array:
    """L^-1 (n, n) of a lower triangle, by halves: matrix products do most of the work. Fortran order."""
    out = np.zeros(L.shape, order="F")

    def invert(a: int, b: int) -> None:
        if b - a <= _LEAF:
            out[a:b, a:b], _ = lapack.dtrtri(L[a:b, a:b], lower=1)
            return
        m = (a + b) // 2
        invert(a, m)
        invert(m, b)
        out[m:b, a:m] = -out[m:b, m:b] @ (L[m:b, a:m] @ out[a:m, a:m])

    invert(0, len(L))
    return out


def matern(A: Array, B: Array, s: float) -> tuple[Array, Array]:
    """Covariances k of points A (a, C) and B (b, C), scaled to z, and G = s (1 + r) e^-r / 3, both (a, b).

    dk/dlog l_g = G sum_{c in g} (A_c - B_c)^2 and dk/dA_c = -G (A_c - B_c).
    """
    squared = _squared_distances(A, B)
    r = np.sqrt(squared)
    E = np.subtract(np.log(s / 3).astype(r.dtype), r)
    np.exp(E, out=E)  # s e^-r / 3
    r += 1
    r *= E
    squared *= E
    np.multiply(r, 3, out=E)
    squared += E  # s (1 + r + r^2/3) e^-r
    return squared, r


def _squared_distances(A: Array, B: Array) -> Array:
    """Squared Euclidean distances (a, b) by one matrix product."""
    out: Array = (-2 * A) @ B.T
    out += np.einsum("ij,ij->i", A, A)[:, None]
    out += np.einsum("ij,ij->i", B, B)
    return np.maximum(out, 0, out=out)
