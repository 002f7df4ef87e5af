"""Acquisition functions of a Gaussian posterior, each with its derivatives. Larger is better; the goal is minimised.

Every function but `improvement` takes the posterior mean and variance of B points, shapes (B,), and returns `Scores`:
the value and its derivatives by mean and variance, so that a sum of terms is differentiated by adding the derivatives.

phi and Phi are the standard normal density and distribution; h(z) = phi(z) + z Phi(z), and the expected improvement is
sd h((best - mean) / sd).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, Self

import numpy as np
from scipy.special import erfcx, log_ndtr, ndtr

from ..arrays import Array
from .gp import Pullback

_LOG_SQRT_2PI = 0.5 * np.log(2 * np.pi)
_SQRT_HALF_PI = np.sqrt(0.5 * np.pi)


class Scores(NamedTuple):
    """Value and derivatives of one term, each (B,)."""

    value: Array
    by_mean: Array
    by_var: Array


class Belief(Protocol):
    """The posterior that a term is computed from: a `gp.Posterior`, or an `ehvi.Joint` of m of them, whose means and
    variances are (m, B). The methods are those of `gp.Posterior`."""

    def single(self) -> Self: ...

    def predict(self, X: Array) -> tuple[Array, Array]: ...

    def forward(self, X: Array) -> tuple[Array, Array, Pullback]: ...


Term = tuple[Belief, Callable[[Array, Array], Scores]]
"""A summand of an acquisition: a posterior, and the function of its mean and variance."""


def total(terms: Sequence[Term], F: Array) -> Array:
    """The sum of all terms at features F (B, C): (B,)."""
    return np.asarray(sum(function(*posterior.predict(F)).value for posterior, function in terms))


def total_with_slope(terms: Sequence[Term], F: Array) -> tuple[Array, Array]:
    """The sum of all terms at F (B, C), and its gradient (B, C)."""
    value, slope = np.zeros(len(F)), np.zeros_like(F)
    for posterior, function in terms:
        mean, var, pullback = posterior.forward(F)
        scores = function(mean, var)
        value = value + scores.value
        slope = slope + pullback(scores.by_mean, scores.by_var)
    return value, slope


def lower_bound(mean: Array, var: Array, beta: float) -> Scores:
    """Lower confidence bound, negated: beta sd - mean. In Srinivas et al. (2010), beta is the square root of beta_t."""
    sd = np.sqrt(var)
    return Scores(beta * sd - mean, -np.ones_like(mean), beta / (2 * sd))


def log_per_cost(mean: Array, var: Array, power: float) -> Scores:
    """Logarithm of 1 / cost^power, where `mean` is that of the logarithm of the cost: it divides the other terms."""
    return Scores(-power * mean, np.full_like(mean, -power), np.zeros_like(var))


def log_improvement(mean: Array, var: Array, best: float, doubt: float = 1.0) -> Scores:
    """Logarithm of the expected improvement on `best` (Ament et al. 2023), without underflow. The standard deviation is
    multiplied by `doubt` first, for a model that is surer than it should be."""
    sd = doubt * np.sqrt(var)
    z = (best - mean) / sd
    value, slope = log_h(z)
    return Scores(value + np.log(sd), -slope / sd, (1 - slope * z) / (2 * var))


def improvement(mean: Array, sd: Array, best: float) -> Array:
    """The expected improvement on `best` of normal values with these means and standard deviations (B,): by itself, for
    sums of money or time, where its logarithm would not do."""
    z = (best - mean) / sd
    return np.asarray(np.maximum(sd * (z * ndtr(z) + np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)), 0.0))


def log_below(mean: Array, var: Array, bound: float) -> Scores:
    """Logarithm of P(f <= bound): the probability that a constraint holds (Gardner et al. 2014)."""
    sd = np.sqrt(var)
    z = (bound - mean) / sd
    slope = 1 / (_SQRT_HALF_PI * erfcx(-z / np.sqrt(2)))  # phi / Phi; erfcx overflows to inf where the slope is 0
    return Scores(log_ndtr(z), -slope / sd, -slope * z / (2 * var))


def log_rate(mean: Array, var: Array, centre: float) -> Scores:
    """Logarithm of the predicted share of trials that succeed, clipped to [0.001, 0.95]. The model is a regression of 0
    (failed) and 1 (succeeded) less `centre`, their mean."""
    rate = np.clip(mean + centre, 0.001, 0.95)
    return Scores(np.log(rate), np.where(rate == mean + centre, 1 / rate, 0.0), np.zeros_like(var))


def log_h(z: Array) -> tuple[Array, Array]:
    """log h(z) and its derivative Phi(z) / h(z), stable for |z| up to 1e100.

    With a = |z| and the Mills ratio r = Phi(-a) / phi(a) = sqrt(pi/2) erfcx(a / sqrt 2): h(-a) = phi(a) (1 - a r), whose
    cancellation is replaced beyond a = 1000 by the asymptotic series (1 - 3/a^2) / a^2; and h(a) = a + h(-a).
    """
    a = np.minimum(np.abs(z), 1e100)
    ratio = _SQRT_HALF_PI * erfcx(a / np.sqrt(2))
    tail = np.maximum(a, 1e3)
    h_phi = np.where(a < 1e3, 1 - a * ratio, (1 - 3 / tail**2) / tail**2)
    log_phi = -0.5 * a * a - _LOG_SQRT_2PI
    phi = np.exp(log_phi)
    above = z > 0
    h = np.where(above, a + phi * h_phi, h_phi)  # over phi where z is not above 0
    value = np.log(h) + np.where(above, 0.0, log_phi)
    return value, np.where(above, 1 - phi * ratio, ratio) / h
