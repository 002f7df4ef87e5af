"""Gaussian-process regression: Matérn-5/2, one lengthscale per group of columns, MAP hyperparameters.

Notation: n points, C feature columns, D groups of columns that share a lengthscale; y is standardised.

    k(x, x') = s (1 + r + r^2/3) exp(-r),   r^2 = 5 sum_c (x_c - x'_c)^2 / l_g(c)^2        (Rasmussen and Williams 4.17)
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


def fit(data: Data, start: Array, iterations: int, tolerance: float) -> Array:
    """The hyperparameters that maximise the posterior, by L-BFGS-B from `start` until a step gains less than
    `tolerance` times the loss. Never raises: at worst `start` comes back."""
    D = len(start) - 2
    noise = (_NOISE[0], _NOISE[0]) if data.exact else _NOISE
    bounds: Array = np.array([_LENGTH] * D + [noise, _SCALE])
    start = np.clip(start, bounds[:, 0], bounds[:, 1])
    squares = data.X**2
    with np.errstate(all="ignore"):
        found = minimize(
            lambda theta: loss(theta, data, squares),
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": iterations, "ftol": tolerance, "gtol": 1e-3},
        )
    theta: Array = np.asarray(found.x, dtype=float)
    return theta if np.isfinite(theta).all() else start


def warm_fit(data: Data, start: Array) -> Array:
    """`fit` from the hyperparameters of almost the same data: a tenth of a nat is not worth more steps."""
    return fit(data, start, iterations=20, tolerance=1e-4)


def cold_fit(data: Data) -> Array:
    """`fit` from the default start, remembered by value: the same data does not cost twice."""
    key = _Key(data.X.tobytes(), data.y.tobytes(), data.weights.tobytes(), tuple(data.groups), data.exact)
    return np.array(_cold(key))


class _Key(NamedTuple):
    """`Data` that can be hashed."""

    X: bytes
    y: bytes
    weights: bytes
    groups: tuple[int, ...]
    exact: bool


@lru_cache(maxsize=64)
def _cold(key: _Key) -> tuple[float, ...]:
    groups = np.array(key.groups, dtype=np.intp)
    X = np.frombuffer(key.X).reshape(-1, len(groups))
    data = Data(X, np.frombuffer(key.y), np.frombuffer(key.weights), groups, key.exact)
    return tuple(fit(data, default_theta(int(groups.max()) + 1), iterations=40, tolerance=1e-6))


def loss(theta: Array, data: Data, squares: Array) -> tuple[float, Array]:
    """Negative log posterior of theta and its gradient (n log 2 pi / 2 left out). `squares` is X ** 2."""
    D, n = len(theta) - 2, len(data)
    inverse = np.exp(-theta[:D])[data.groups]
    noise, s = np.exp(theta[D]) * data.weights, np.exp(theta[D + 1])
    Z = data.X * inverse
    K, G = matern(Z, Z, s)
    K.flat[:: n + 1] = s + noise + FLOOR
    L, info = lapack.dpotrf(K.T, lower=1, clean=1)
    if info:
        return 1e10, np.zeros_like(theta)
    a, _ = lapack.dpotrs(L, data.y, lower=1)
    value = 0.5 * data.y @ a + np.log(np.diagonal(L)).sum()
    half, _ = lapack.dpotri(L, lower=1, overwrite_c=1)  # K^-1 in its lower triangle, 0 above
    diagonal = np.diagonal(half) - a * a  # of W = K^-1 - a a^T
    by_noise = 0.5 * diagonal @ noise
    by_scale = 0.5 * ((n - data.y @ a) - diagonal @ (noise + FLOOR))  # trace(W K) = n - y.a
    # sum_ab W_ab G_ab (x_a - x_b)^2, where a triangle counted twice serves as well as the symmetric matrix
    M = half.T
    M *= 2
    M -= np.multiply.outer(a, a)
    M *= G
    quadratic = (M.sum(0) + M.sum(1)) @ squares - 2 * np.einsum("ij,ij->j", data.X, M @ data.X)
    by_length = 0.5 * np.bincount(data.groups, quadratic * inverse**2, D)
    prior, slope = _prior(theta, D)
    return float(value + prior), np.concatenate([by_length, [by_noise, by_scale]]) + slope


def _prior(theta: Array, D: int) -> tuple[float, Array]:
    """Negative log priors and their derivatives, chosen by measurement, as in Optuna's GP sampler:

    0.1 / x + 0.1 x of each x = 1 / l^2 (both very short and very long lengthscales are implausible), noise ~
    Gamma(1.1, rate 30), s ~ Gamma(2, rate 1).
    """
    x = np.exp(-2 * theta[:D])
    noise, s = np.exp(theta[D]), np.exp(theta[D + 1])
    value = 0.1 * (1 / x + x).sum() + 30 * noise - 0.1 * theta[D] + s - theta[D + 1]
    return float(value), np.concatenate([0.2 * (1 / x - x), [30 * noise - 0.1, s - 1]])


@dataclass(frozen=True)
class Posterior:
    """A GP conditioned on its data. Z = X / l (n, C), alpha = K^-1 y, root = L^-1 (n, n)."""

    Z: Array
    inverse: Array  # (C,) 1 / l of each column
    scale: float
    alpha: Array
    root: Array

    def single(self) -> "Posterior":
        """The same in single precision: several times faster, good enough to choose which points deserve better."""
        parts: list[Any] = [part.astype(np.float32) for part in (self.Z, self.inverse, self.alpha, self.root)]
        Z, inverse, alpha, root = parts
        return Posterior(Z, inverse, self.scale, alpha, root)

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

        def back(by_mean: Array, by_var: Array) -> Array:
            w = (by_mean[:, None] * self.alpha - 2 * by_var[:, None] * (V @ self.root)) * -G
            return np.asarray((w.sum(1)[:, None] * Zx - w @ self.Z) * self.inverse)

        return k @ self.alpha, var, back

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
        return Posterior(np.concatenate([self.Z, Zx]), self.inverse, self.scale, alpha, root)


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
    inverse = np.exp(-theta[:D])[data.groups]
    scale = float(np.exp(theta[D + 1]))
    Z = data.X * inverse
    K, _ = matern(Z, Z, scale)
    for jitter in (0.0, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1.0):
        K.flat[:: n + 1] = scale * (1 + jitter) + np.exp(theta[D]) * data.weights + FLOOR
        L, info = lapack.dpotrf(K.T, lower=1, clean=1)
        if info == 0:
            break
    alpha, _ = lapack.dpotrs(L, data.y, lower=1)
    root, _ = lapack.dtrtri(L, lower=1)
    return Posterior(Z, inverse, scale, alpha, np.ascontiguousarray(root))


def matern(A: Array, B: Array, s: float) -> tuple[Array, Array]:
    """Covariances k of scaled points A (a, C) and B (b, C), and G = (5/3) s (1 + r) e^-r, both (a, b).

    dk/dlog l_g = G sum_{c in g} (A_c - B_c)^2 and dk/dA_c = -G (A_c - B_c).
    """
    squared = _squared_distances(A, B)
    squared *= 5
    r = np.sqrt(squared)
    E = np.subtract(np.log(s).astype(r.dtype), r)
    np.exp(E, out=E)  # s e^-r
    r += 1
    r *= E
    squared *= E
    squared /= 3
    squared += r  # s (1 + r + r^2/3) e^-r
    r *= 5 / 3
    return squared, r


def _squared_distances(A: Array, B: Array) -> Array:
    """Squared Euclidean distances (a, b) by one matrix product."""
    out: Array = (-2 * A) @ B.T
    out += np.einsum("ij,ij->i", A, A)[:, None]
    out += np.einsum("ij,ij->i", B, B)
    return np.maximum(out, 0, out=out)
