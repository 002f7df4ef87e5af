"""Draws of whole functions from a Gaussian process, cheap at many points: what gives every figure of a model its interval.

A draw of the prior in random Fourier features is corrected by what the data says of it (Wilson et al. 2020, Efficiently
sampling functions from Gaussian process posteriors, eq. 9):

    f(x) = phi(x) w + k(x, X) K^-1 (y - phi(X) w - e),    e ~ N(0, noise w_i + floor)

with phi_m(x) = sqrt(2 s / M) cos(omega_m . x / l + b_m). The Matérn-5/2 kernel's frequencies have a t distribution with
5 degrees of freedom (Rasmussen and Williams, section 4.2.1). Notation: B points, n data points, M features, S draws.
"""

from collections.abc import Callable

import numpy as np

from .gp import FLOOR, Array, Data, Posterior, matern

_FEATURES = 256


def draws(
    data: Data, theta: Array, posterior: Posterior, count: int, rng: np.random.Generator
) -> Callable[[Array], Array]:
    """`count` functions from the posterior of `data` under theta: a map from points X (B, C) to values (B, count)."""
    C = data.X.shape[1]
    omega = rng.standard_normal((C, _FEATURES)) / np.sqrt(rng.chisquare(5, _FEATURES))  # Z holds sqrt(5) X / l
    phase = rng.uniform(0, 2 * np.pi, _FEATURES)
    height = np.sqrt(2 * posterior.scale / _FEATURES)
    weights = rng.standard_normal((_FEATURES, count))

    def prior(Z: Array) -> Array:
        return np.asarray(height * np.cos(Z @ omega + phase) @ weights)

    noise = np.sqrt(np.exp(theta[-2]) * data.weights + FLOOR)[:, None] * rng.standard_normal((len(data), count))
    root = posterior.root
    correction = root.T @ (root @ (data.y[:, None] - prior(posterior.Z) - noise))

    def values(X: Array) -> Array:
        Z = X * posterior.inverse
        k, _ = matern(Z, posterior.Z, posterior.scale)
        return np.asarray(prior(Z) + k @ correction)

    return values
