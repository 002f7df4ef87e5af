"""Gaussian-process regression: a trend plus Matérn-5/2, one lengthscale per group of columns, MAP hyperparameters.

Notation: n points, C feature columns, D groups of columns that share a lengthscale; y is standardised.

    K = k(X, X) + diag(noise w + 1e-6),     k: see `kernel`,     w_i = 1 / (number of results averaged in y_i)
    theta = (log l_1 .. log l_D, log noise, log s, log v)

The gradient needs no (n, n, D) array: with a = K^-1 y and W = K^-1 - a a^T, the derivatives by all lengthscales are row
sums and one matrix product of W * G (see `loss` and `kernel.matern`). Cost O(n^3 + n^2 C) per evaluation; meant for n <= 500.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import blas, lapack

from ..arrays import Array, Ints
from . import trend
from .descent import Minimum, descend
from .kernel import Kernel, Points, matern

Pullback = Callable[[Array, Array], Array]
"""From the derivatives of a value v by mean and variance, to those by the points: see `Posterior.forward`."""

FLOOR = 1e-6  # variance always added to the diagonal
_LENGTH = (np.log(2.5e-2), np.log(1e3))
_NOISE = (np.log(1e-6), 1.0)
_SCALE = (-4.0, 4.0)
_TREND = (-8.0, 4.0)
_TREND_MEAN, _TREND_SD = -0.5, 1.2  # of log v, a priori
_VARIANCE_FLOOR = 1e-12
_LEAF = 64  # triangles up to this size are inverted by LAPACK, which is slow with larger ones


class Prior(NamedTuple):
    """What is expected of hyperparameters.

    reach, spread: each lengthscale is log-normal, its median `reach` times sqrt D times how far apart two random points are
    in its columns, the standard deviation of its logarithm `spread`. rate: of the noise's Gamma prior, the larger the less
    noise; 0 expects nothing.
    """

    reach: float
    spread: float
    rate: float


SEARCH = Prior(reach=0.5, spread=float(np.sqrt(3)), rate=30.0)
"""A search does well to expect little noise, and rough functions. For numbers this is nearly the prior of Hvarfner et al.
(2024, eq. 4), l ~ LogNormal(mu, s^2) with mu = sqrt 2 + log(D) / 2 and s = sqrt 3: as a function of log l, its density in l
is a normal one around mu - s^2."""


@dataclass(frozen=True)
class Data:
    """Training points: X (n, C), y (n,), weights w (n,), group of each column (C,); `exact` fixes the noise at 1e-6."""

    X: Array
    y: Array
    weights: Array
    groups: Ints
    exact: bool = False
    prior: Prior = SEARCH

    @cached_property
    def squares(self) -> Array:
        return self.X**2

    @cached_property
    def trends(self) -> Array:
        """The features (n, B) of the trend."""
        return trend.features(self.X, self.groups)

    @cached_property
    def reaches(self) -> Array:
        """The logarithm (D,) of the median of each lengthscale a priori. The mean squared distance of two random points is
        1/6 in a number, 1 - 1/k in k options, one-hot / sqrt 2."""
        columns = np.bincount(self.groups)
        squared = np.where(columns > 1, 1 - 1 / columns, 1 / 6)
        return np.asarray(np.log(self.prior.reach) + 0.5 * np.log(len(columns) * squared))

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: Ints) -> "Data":
        return replace(self, X=self.X[rows], y=self.y[rows], weights=self.weights[rows])


def default_start(D: int, n: int) -> Minimum:
    """Where a cold fit of n points starts: l = D^(1/4) / 2, noise e^-4, s = 1, v as expected, and guessed curvatures."""
    theta = np.concatenate([np.full(D, np.log(0.5) + 0.25 * np.log(D)), [-4.0, 0.0, _TREND_MEAN]])
    curvature = np.concatenate([np.full(D, 1 + n / (2 * D)), [1 + n / 4] * 2, [2.0]])
    return Minimum(theta, np.diag(1 / curvature))


def noise(theta: Array) -> float:
    """The variance of the noise of one result."""
    return float(np.exp(theta[-3]))


def fit(data: Data, start: Minimum, iterations: int, tolerance: float) -> Minimum:
    """The hyperparameters that maximise the posterior, by descent from `start` until a step gains less than
    `tolerance` nats. Never raises: at worst `start` comes back."""
    within = (_NOISE[0], _NOISE[0]) if data.exact else _NOISE
    low, high = np.array([_LENGTH] * (len(start.x) - 3) + [within, _SCALE, _TREND]).T
    with np.errstate(all="ignore"):
        return descend(lambda theta: loss(theta, data), start, (low, high), iterations, tolerance)


def warm_fit(data: Data, start: Minimum) -> Minimum:
    """`fit` from the minimum for almost the same data, in at most 12 steps up to 37 points, then fewer: a few points of
    many move little, and each step costs more."""
    return fit(data, start, iterations=max(3, 450 // max(len(data), 37)), tolerance=0.02)


def cold_fit(data: Data) -> Minimum:
    """`fit` from the default start, remembered by value: the same data does not cost twice."""
    X, y, weights, groups = (part.tobytes() for part in (data.X, data.y, data.weights, data.groups))
    return _cold(X, y, weights, groups, data.exact, data.prior)


@lru_cache(maxsize=64)
def _cold(X: bytes, y: bytes, weights: bytes, columns: bytes, exact: bool, prior: Prior) -> Minimum:
    """`cold_fit` of the parts of `Data`, as what can be hashed."""
    groups = np.frombuffer(columns, dtype=np.intp)
    rows = np.frombuffer(X).reshape(-1, len(groups))
    data = Data(rows, np.frombuffer(y), np.frombuffer(weights), groups, exact, prior)
    found = fit(data, default_start(int(groups.max()) + 1, len(data)), iterations=40, tolerance=1e-3)
    for part in found:
        part.setflags(write=False)
    return found


def loss(theta: Array, data: Data) -> tuple[float, Array]:
    """Negative log posterior of theta and its gradient (n log 2 pi / 2 left out)."""
    kernel, n = Kernel.of(theta, data.groups), len(data)
    D = len(theta) - 3
    diffuse = noise(theta) * data.weights + FLOOR
    Z = data.X * kernel.inverse
    K, G = matern(Z, Z, kernel.scale)
    K.flat[:: n + 1] = kernel.scale
    B = kernel.trend_scale * (data.trends @ data.trends.T)
    K += B
    K.flat[:: n + 1] += diffuse
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
    by_noise = 0.5 * diagonal @ (diffuse - FLOOR)
    M = W.T
    by_trend = np.einsum("ij,ij->", M, B) - 0.5 * diagonal @ np.diagonal(B)
    by_scale = 0.5 * ((n - data.y @ a) - diagonal @ diffuse) - by_trend  # trace(W K) = n - y.a
    M *= G
    # sum_ab M_ab (x_a - x_b)^2 of each column
    quadratic = (M.sum(0) + M.sum(1)) @ data.squares - 2 * np.einsum("ij,ij->j", data.X, M @ data.X)
    by_length = np.bincount(data.groups, quadratic * kernel.inverse**2, D)
    prior, slope = _prior(theta, data)
    return float(value + prior), np.concatenate([by_length, [by_noise, by_scale, by_trend]]) + slope


def _prior(theta: Array, data: Data) -> tuple[float, Array]:
    """Negative log priors and their derivatives, chosen by measurement: log l ~ N(`data.reaches`, spread^2), noise ~
    Gamma(1.1, rate) and s ~ Gamma(2, rate 1) as in Optuna's GP sampler, log v ~ N(-0.5, 1.2^2)."""
    D, expected = len(theta) - 3, data.prior
    length = (theta[:D] - data.reaches) / expected.spread
    variance, s = noise(theta), np.exp(theta[D + 1])
    v = (theta[D + 2] - _TREND_MEAN) / _TREND_SD
    value = 0.5 * (length @ length + v * v) + expected.rate * variance - 0.1 * theta[D] + s - theta[D + 1]
    slope = [expected.rate * variance - 0.1, s - 1, v / _TREND_SD]
    return float(value), np.concatenate([length / expected.spread, slope])


class Lesson(NamedTuple):
    """A part of a prior mean: weight * (m(x) - centre), with m the mean of another posterior."""

    weight: float
    centre: float
    teacher: "Posterior"


@dataclass(frozen=True)
class Posterior:
    """A GP conditioned on its data: alpha = K^-1 y, root = L^-1 (n, n).

    lessons: the parts of a prior mean. y is what they leave unexplained of the results, and predictions add them again.
    """

    kernel: Kernel
    data: Points
    alpha: Array
    root: Array
    lessons: tuple[Lesson, ...] = ()

    def single(self) -> "Posterior":
        """The same in single precision: several times faster, good enough to choose which points deserve better."""
        parts: list[Any] = [
            part.astype(np.float32) for part in (self.kernel.inverse, *self.data, self.alpha, self.root)
        ]
        inverse, Z, P, alpha, root = parts
        lessons = tuple(lesson._replace(teacher=lesson.teacher.single()) for lesson in self.lessons)
        return Posterior(replace(self.kernel, inverse=inverse), Points(Z, P), alpha, root, lessons)

    def predict(self, X: Array) -> tuple[Array, Array]:
        """Posterior mean and variance of the noise-free function at X (B, C): two (B,) arrays."""
        mean, var, _ = self.forward(X)
        return mean, var

    def forward(self, X: Array) -> tuple[Array, Array, Pullback]:
        """Mean and variance at X (B, C), each (B,), and their pullback (vector-Jacobian product): from dv/dmean and
        dv/dvar, each (B,), to dv/dX (B, C), for any value v of each point."""
        X = X.astype(self.root.dtype)
        kernel, at = self.kernel, self.kernel.points(X)
        k, G = kernel.between(at, self.data)
        V = _by_triangle(k, self.root)  # V V^T = k K^-1 k^T
        var = np.maximum(kernel.variance(at) - np.einsum("ij,ij->i", V, V), _VARIANCE_FLOOR)
        taught = [(lesson, *lesson.teacher.forward(X)) for lesson in self.lessons]

        def pullback(by_mean: Array, by_var: Array) -> Array:
            by_k = by_mean[:, None] * self.alpha - 2 * by_var[:, None] * _by_triangle(V, self.root, transposed=True)
            by_P = kernel.trend_scale * (by_k @ self.data.P + 2 * by_var[:, None] * at.P)
            w = by_k * -G
            by_Z = w.sum(1)[:, None] * at.Z - w @ self.data.Z
            slope = by_Z * kernel.inverse + trend.pullback(X, kernel.groups, by_P)
            for lesson, _, _, teacher_pullback in taught:
                slope = slope + lesson.weight * teacher_pullback(by_mean, np.zeros_like(by_var))
            return np.asarray(slope)

        mean = k @ self.alpha
        for lesson, m, _, _ in taught:
            mean = mean + lesson.weight * (m - lesson.centre)
        return mean, var, pullback

    def joint(self, X: Array) -> tuple[Array, Array]:
        """Posterior mean (B,) and covariance (B, B) of the noise-free function at X (B, C)."""
        at = self.kernel.points(X)
        k, _ = self.kernel.between(at, self.data)
        V = k @ self.root.T
        mean = k @ self.alpha
        for lesson in self.lessons:
            mean = mean + lesson.weight * (lesson.teacher.predict(X)[0] - lesson.centre)
        return mean, self.kernel.between(at, at)[0] - V @ V.T

    def believing(self, X: Array, noise: float) -> "Posterior":
        """Conditioned further on results at X (w, C), with this variance of noise, that equal its own mean there (the
        kriging believer of Ginsbourger et al. 2010).

        Such results leave alpha as it is, and the variance shrinks as if they were known: the rows that X adds to the
        root are all that changes, O(n^2 w).
        """
        if len(X) == 0:
            return self
        at, n = self.kernel.points(X), len(self.alpha)
        V = self.kernel.between(at, self.data)[0] @ self.root.T
        S, _ = self.kernel.between(at, at)
        variance, diagonal = self.kernel.variance(at), slice(None, None, len(X) + 1)
        S.flat[diagonal] = variance + noise + FLOOR
        S -= V @ V.T
        S.flat[diagonal] = np.maximum(S.flat[diagonal], FLOOR)
        corner, _ = lapack.dtrtri(_factor(S, variance), lower=1)
        root = np.zeros((n + len(X), n + len(X)))
        root[:n, :n] = self.root
        root[n:, :n] = -corner @ V @ self.root
        root[n:, n:] = corner
        alpha = np.concatenate([self.alpha, np.zeros(len(X))])
        both = Points(*(np.concatenate(parts) for parts in zip(self.data, at, strict=True)))
        return Posterior(self.kernel, both, alpha, root, self.lessons)


def _by_triangle(A: Array, root: Array, transposed: bool = False) -> Array:
    """A root^T (B, n), or A root, for the lower triangle root (n, n): half the work of a full product."""
    multiply = blas.strmm if root.dtype == np.float32 else blas.dtrmm
    return np.asarray(multiply(1.0, root.T, A.T, lower=0, trans_a=not transposed).T)


def condition(data: Data, theta: Array) -> Posterior:
    """The posterior under theta: never raises."""
    kernel, n = Kernel.of(theta, data.groups), len(data)
    at = kernel.points(data.X)
    K, _ = kernel.between(at, at)
    variance = kernel.variance(at)
    K.flat[:: n + 1] = variance + (noise(theta) * data.weights + FLOOR)
    L = _factor(K, variance)
    alpha, _ = lapack.dpotrs(L, data.y, lower=1)
    return Posterior(kernel, at, alpha, np.ascontiguousarray(inverted(L)))


def _factor(K: Array, variance: Array) -> Array:
    """The lower Cholesky factor of K (n, n), which is overwritten. If rounding has left none, a growing share of the
    variance (n,) of the function is added to the diagonal until there is one: never raises."""
    diagonal = np.diagonal(K).copy()
    for jitter in (0.0, 1e-8, 1e-6, 1e-4, 1e-2, 1.0):
        K.flat[:: len(K) + 1] = diagonal + jitter * variance
        L, info = lapack.dpotrf(K.T, lower=1, clean=1)
        if info == 0:
            break
    return np.asarray(L)


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
