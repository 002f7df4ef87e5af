"""Gaussian-process regression: Matérn-5/2, one lengthscale per group of columns, MAP hyperparameters.

Notation: n points, C feature columns, D groups of columns that share a lengthscale; y is standardised.

    k(x, x') = s (1 + r + r^2/3) exp(-r),   r^2 = 5 sum_c (x_c - x'_c)^2 / l_g(c)^2        (Rasmussen and Williams 4.17)
    K = k(X, X) + diag(noise w + 1e-6),     w_i = 1 / (number of results averaged in y_i)
    theta = (log l_1 .. log l_D, log noise, log s)

The gradient needs no (n, n, D) array: with W = (K^-1 - a a^T) * (-2 dk/dr^2-part), a = K^-1 y, every derivative by a
lengthscale is a row sum and one matrix product (see `loss`). Cost O(n^3 + n^2 C) per evaluation; meant for n <= 500.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.optimize import minimize

Array = NDArray[np.float64]
Ints = NDArray[np.intp]
Back = Callable[[Array, Array], Array]

FLOOR = 1e-6  # variance always added to the diagonal
_LENGTH = (np.log(2.5e-2), np.log(1e3))
_NOISE = (np.log(1e-6), 1.0)
_SCALE = (-4.0, 4.0)
_VARIANCE_FLOOR = 1e-12


@dataclass(frozen=True)
class Data:
    """Training points: X (n, C), y (n,), weights w (n,), group of each column (C,); `exact` fixes the noise at 1e-6."""

    X: Array
    y: Array
    weights: Array
    groups: Ints
    exact: bool = False

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: Ints) -> "Data":
        return Data(self.X[rows], self.y[rows], self.weights[rows], self.groups, self.exact)

    def append(self, X: Array, y: Array) -> "Data":
        weights = np.concatenate([self.weights, np.ones(len(y))])
        return Data(np.concatenate([self.X, X]), np.concatenate([self.y, y]), weights, self.groups, self.exact)


def default_theta(D: int) -> Array:
    """Where a cold fit starts: l = D^(1/4) / 2, noise e^-4, s = 1."""
    return np.concatenate([np.full(D, np.log(0.5) + 0.25 * np.log(D)), [-4.0, 0.0]])


def fit(data: Data, start: Array, iterations: int) -> Array:
    """The hyperparameters that maximise the posterior, by L-BFGS-B from `start`. Never raises: at worst `start`."""
    D = len(start) - 2
    noise = (_NOISE[0], _NOISE[0]) if data.exact else _NOISE
    bounds = np.array([_LENGTH] * D + [noise, _SCALE])
    start = np.clip(start, bounds[:, 0], bounds[:, 1])
    squares = data.X**2
    with np.errstate(all="ignore"):
        found = minimize(
            lambda theta: loss(theta, data, squares),
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": iterations, "ftol": 1e-7, "gtol": 1e-3},
        )
    theta: Array = np.asarray(found.x, dtype=float)
    return theta if np.isfinite(theta).all() else start


def cold_fit(data: Data, iterations: int = 40) -> Array:
    """`fit` from the default start, remembered by value: the same data never costs twice in a row."""
    key = _Key(data.X.tobytes(), data.y.tobytes(), data.weights.tobytes(), tuple(data.groups), data.exact)
    return np.array(_cold(key, iterations))


class _Key(NamedTuple):
    """`Data` that can be hashed."""

    X: bytes
    y: bytes
    weights: bytes
    groups: tuple[int, ...]
    exact: bool


@lru_cache(maxsize=64)
def _cold(key: _Key, iterations: int) -> tuple[float, ...]:
    groups = np.array(key.groups, dtype=np.intp)
    X = np.frombuffer(key.X).reshape(-1, len(groups))
    data = Data(X, np.frombuffer(key.y), np.frombuffer(key.weights), groups, key.exact)
    return tuple(fit(data, default_theta(int(groups.max()) + 1), iterations))


def loss(theta: Array, data: Data, squares: Array) -> tuple[float, Array]:
    """Negative log posterior of theta and its gradient (n log 2 pi / 2 left out). `squares` is X ** 2."""
    D, n = len(theta) - 2, len(data)
    inverse = np.exp(-theta[:D])[data.groups]
    noise, s = np.exp(theta[D]) * data.weights, np.exp(theta[D + 1])
    K, G = matern(_squared_distances(data.X * inverse, data.X * inverse))
    K *= s
    K.flat[:: n + 1] = s + noise + FLOOR
    L, info = lapack.dpotrf(K.T, lower=1, clean=0)
    if info:
        return 1e10, np.zeros_like(theta)
    a, _ = lapack.dpotrs(L, data.y, lower=1)
    value = 0.5 * data.y @ a + np.log(np.diagonal(L)).sum()
    half, _ = lapack.dpotri(L, lower=1, overwrite_c=1)  # lower triangle of K^-1
    W = np.tril(half)
    W = W + W.T
    W.flat[:: n + 1] *= 0.5
    W -= np.multiply.outer(a, a)
    diagonal = np.diagonal(W)
    by_noise = 0.5 * diagonal @ noise
    by_scale = 0.5 * ((n - data.y @ a) - diagonal @ (noise + FLOOR))  # trace(W K) = n - y.a
    W *= G
    W *= s
    quadratic = 2 * (W.sum(1) @ squares - np.einsum("ij,ij->j", data.X, W @ data.X)) * inverse**2
    by_length = 0.5 * np.bincount(data.groups, quadratic, D)
    prior, slope = _prior(theta, D)
    return float(value + prior), np.concatenate([by_length, [by_noise, by_scale]]) + slope


def _prior(theta: Array, D: int) -> tuple[float, Array]:
    """Negative log priors: l ~ LogN(sqrt 2 + log(D)/2, sqrt 3) as a density of l (Hvarfner et al. 2024),
    noise ~ LogN(-4, 1) as a density of the noise, log s ~ N(0, 1/4)."""
    u = (theta[:D] - np.sqrt(2) - 0.5 * np.log(D)) / np.sqrt(3)
    v = theta[D] + 4
    w = theta[D + 1]
    value = 0.5 * (u @ u + v * v + 4 * w * w) + theta[: D + 1].sum()
    return float(value), np.concatenate([u / np.sqrt(3) + 1, [v + 1, 4 * w]])


@dataclass(frozen=True)
class Posterior:
    """A GP conditioned on its data. Z = X / l (n, C), alpha = K^-1 y, root = L^-1 (n, n)."""

    Z: Array
    inverse: Array  # (C,) 1 / l of each column
    scale: float
    alpha: Array
    root: Array

    def predict(self, X: Array) -> tuple[Array, Array]:
        """Posterior mean and variance of the noise-free function at X (B, C): two (B,) arrays."""
        mean, var, _ = self.forward(X)
        return mean, var

    def forward(self, X: Array) -> tuple[Array, Array, Back]:
        """Mean, variance, and the map from (dv/dmean, dv/dvar), each (B,), to dv/dX (B, C)."""
        Zx = X * self.inverse
        k, G = matern(_squared_distances(Zx, self.Z))
        k *= self.scale
        V = k @ self.root.T  # V V^T = k K^-1 k^T
        var = np.maximum(self.scale - np.einsum("ij,ij->i", V, V), _VARIANCE_FLOOR)

        def back(by_mean: Array, by_var: Array) -> Array:
            w = (by_mean[:, None] * self.alpha - 2 * by_var[:, None] * (V @ self.root)) * G * -self.scale
            return (w.sum(1)[:, None] * Zx - w @ self.Z) * self.inverse

        return k @ self.alpha, var, back


def condition(data: Data, theta: Array) -> Posterior:
    """The posterior under theta. Jitter grows until the Cholesky factorisation succeeds: never raises."""
    D, n = len(theta) - 2, len(data)
    inverse = np.exp(-theta[:D])[data.groups]
    scale = float(np.exp(theta[D + 1]))
    Z = data.X * inverse
    K = matern(_squared_distances(Z, Z))[0] * scale
    for jitter in (0.0, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1.0):
        K.flat[:: n + 1] = scale * (1 + jitter) + np.exp(theta[D]) * data.weights + FLOOR
        L, info = lapack.dpotrf(K.T, lower=1, clean=1)
        if info == 0:
            break
    alpha, _ = lapack.dpotrs(L, data.y, lower=1)
    root, _ = lapack.dtrtri(L, lower=1)
    return Posterior(Z, inverse, scale, alpha, np.ascontiguousarray(root))


def matern(squared: Array) -> tuple[Array, Array]:
    """k / s, and G = (5/3)(1 + r) e^-r, of squared scaled distances: dk/dlog l_g = s G sum_{c in g} (x_c - x'_c)^2 / l_g^2."""
    r = np.sqrt(5 * squared)
    E = np.exp(-r)
    G = (1 + r) * E
    r *= r
    r *= E
    r /= 3
    r += G
    G *= 5 / 3
    return r, G


def _squared_distances(A: Array, B: Array) -> Array:
    """(len(A), len(B)) squared Euclidean distances by one matrix product."""
    out: Array = A @ B.T
    out *= -2
    out += np.einsum("ij,ij->i", A, A)[:, None]
    out += np.einsum("ij,ij->i", B, B)
    return np.maximum(out, 0, out=out)
