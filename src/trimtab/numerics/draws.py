"""Draws of whole functions from a Gaussian process, cheap at many points: what gives every figure of a model its interval.

A draw of the prior in random Fourier features is corrected by what the data says of it (Wilson et al. 2020, Efficiently
sampling functions from Gaussian process posteriors, eq. 9):

    f(x) = phi(x) w + k(x, X) K^-1 (y - phi(X) w - e),    e ~ N(0, noise w_i + floor)

with phi_m(x) = sqrt(2 s / M) cos(omega_m . x / l + b_m), and the features of the trend, whose weights have variance v.
The Matérn-5/2 kernel's frequencies have a t distribution with 5 degrees of freedom (Rasmussen and Williams, section
4.2.1). Notation: B points, n data points, M features, S draws.
"""

from collections.abc import Callable

import numpy as np

from ..arrays import Array
from .gp import FLOOR, Data, Posterior, noise
from .kernel import Points

_FEATURES = 256


def draws(
    data: Data, theta: Array, posterior: Posterior, count: int, rng: np.random.Generator
) -> Callable[[Array], Array]:
    """`count` functions from the posterior of `data` under theta, one without lessons: a map from points X (B, C) to values
    (B, count)."""
    kernel, told, root = posterior.kernel, posterior.data, posterior.root
    omega = rng.standard_normal((told.Z.shape[1], _FEATURES)) / np.sqrt(rng.chisquare(5, _FEATURES))
    phase = rng.uniform(0, 2 * np.pi, _FEATURES)
    height = np.sqrt(2 * kernel.scale / _FEATURES)
    weights = rng.standard_normal((_FEATURES, count))
    slopes = np.sqrt(kernel.trend_scale) * rng.standard_normal((told.P.shape[1], count))

    def prior(at: Points) -> Array:  # Z holds sqrt(5) X / l
        return np.asarray(height * np.cos(at.Z @ omega + phase) @ weights + at.P @ slopes)

    error = np.sqrt(noise(theta) * data.weights + FLOOR)[:, None] * rng.standard_normal((len(data), count))
    correction = root.T @ (root @ (data.y[:, None] - prior(told) - error))

    def values(X: Array) -> Array:
        at = kernel.points(X)
        return np.asarray(prior(at) + kernel.between(at, told)[0] @ correction)

    return values
