"""Where learning curves end: an ensemble of three families of curves, weighted by evidence.

Curve i has the value y_ik at level t_k, for some k of 1 .. R. Under shape s it is, with noise of variance v,

    y_ik = a_i + b_i g_s(t_k),      g_s(t_1) = 1,  g_s(t_R) = 0,      (a_i, b_i) ~ N(m_s, S_s)

so that a_i is where it ends and b_i how far it has to fall. Shapes are of three families, with u = t / t_R:

    power law  u^-p;    exponential  exp(-u / q);    Janoschek's  exp(-(u / q)^2), which is slow to begin

All curves together fit m, S and v of each shape by expectation-maximisation (EM). So the curves that went on show what to
expect of the others, and a curve with a single point has a forecast, too. Weak priors count as a few further curves. Then
each curve weighs the shapes by their evidence on it, times how often they were right on all curves. Nothing is drawn or
searched: the forecast is a function of the values (Domhan et al. 2015, from whom the families are, sample an ensemble of
eleven, curve by curve).

Notation: c curves, R levels, s shapes. Values are standardised: of order 1, smaller is better.
"""

from typing import NamedTuple

import numpy as np

from ..arrays import Array

_POWERS = (0.25, 0.5, 1.0, 2.0)
_RATES = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
_MEAN = (0.0, 0.5)  # prior means of a and b
_SPREAD = (1.0, 0.5)  # prior variances of a and b
_NOISE = 0.01  # prior variance of the noise
_COUNT = 3.0  # curves that the priors count as
_STEPS = 12  # of expectation and maximisation
_ROUNDS = 4  # of weighing the shapes against each other


def forecast(V: Array, levels: Array) -> tuple[Array, Array]:
    """Mean and standard deviation (c,) of where curves V (c, R), NaN where unknown, end at the last of the levels (R,)."""
    g = shapes(levels)
    sums, model = _Sums.of(V, g), _Model.expected(len(g))
    fits = _fitted(sums, model)
    for _ in range(_STEPS - 1):
        model = _most_probable(sums, fits)
        fits = _fitted(sums, model)
    weights = _weighed(fits.evidence)
    mean = (weights * fits.a).sum(1)
    return np.asarray(mean), np.sqrt((weights * (fits.var_a + (fits.a - mean[:, None]) ** 2)).sum(1))


class _Sums(NamedTuple):
    """All that is needed of the values y and the shapes g: sums over the levels that are known of a curve, (c, s)."""

    n: Array  # their number
    g: Array
    gg: Array
    y: Array  # (c, 1)
    yg: Array
    yy: Array  # (c, 1)

    @staticmethod
    def of(V: Array, g: Array) -> "_Sums":
        seen = np.isfinite(V)
        y = np.where(seen, V, 0.0)
        n, sum_g, sum_gg = (seen @ x.T for x in (np.ones_like(g), g, g * g))
        return _Sums(n, sum_g, sum_gg, y.sum(1)[:, None], y @ g.T, (y * y).sum(1)[:, None])

    def residue(self, a: Array, b: Array) -> Array:
        """The sum of (y - a - b g)^2."""
        without_squares = self.yy - 2 * (a * self.y + b * self.yg)
        return np.asarray(without_squares + a * a * self.n + 2 * a * b * self.g + b * b * self.gg)


class _Model(NamedTuple):
    """What all curves have in common under each shape (s,): the normal distribution of their a and b, and the noise."""

    a: Array  # mean
    b: Array
    var_a: Array
    var_b: Array
    cov: Array
    noise: Array  # variance

    @staticmethod
    def expected(count: int) -> "_Model":
        """The prior, for this number of shapes."""
        return _Model(*(np.full(count, value) for value in (*_MEAN, *_SPREAD, 0.0, _NOISE)))


class _Fits(NamedTuple):
    """What is known of each curve under each shape (c, s): its a and b, and the logarithm of the evidence for the shape
    (a constant left out)."""

    a: Array  # mean
    b: Array
    var_a: Array
    var_b: Array
    cov: Array
    evidence: Array


def _fitted(sums: _Sums, model: _Model) -> _Fits:
    """The E-step: Bayesian linear regression of each curve on 1 and g, with the model as its prior."""
    m, v = model, model.noise
    det = m.var_a * m.var_b - m.cov * m.cov
    # The precision of (a, b), its determinant, and its inverse.
    p_aa, p_bb, p_ab = m.var_b / det + sums.n / v, m.var_a / det + sums.gg / v, -m.cov / det + sums.g / v
    whole = p_aa * p_bb - p_ab**2
    var_a, var_b, cov = p_bb / whole, p_aa / whole, -p_ab / whole
    # X'(y - X m) / v, with the columns 1 and g of X
    r_a = (sums.y - sums.n * m.a - sums.g * m.b) / v
    r_b = (sums.yg - sums.g * m.a - sums.gg * m.b) / v
    move_a, move_b = var_a * r_a + cov * r_b, cov * r_a + var_b * r_b
    size = sums.n * np.log(v) + np.log(det * whole)  # log determinant of the values' covariance
    evidence = -0.5 * (size + sums.residue(m.a, m.b) / v - r_a * move_a - r_b * move_b)
    return _Fits(m.a + move_a, m.b + move_b, var_a, var_b, cov, evidence)


def _most_probable(sums: _Sums, fits: _Fits) -> _Model:
    """The M-step: the model that makes these fits most probable, with the prior as _COUNT further curves."""
    a, b, total = fits.a, fits.b, len(fits.a) + _COUNT
    (prior_a, prior_b), (prior_var_a, prior_var_b) = _MEAN, _SPREAD
    mean_a, mean_b = (a.sum(0) + _COUNT * prior_a) / total, (b.sum(0) + _COUNT * prior_b) / total
    off_a, off_b = a - mean_a, b - mean_b
    residue = sums.residue(a, b) + fits.var_a * sums.n + 2 * fits.cov * sums.g + fits.var_b * sums.gg
    return _Model(
        mean_a,
        mean_b,
        ((fits.var_a + off_a**2).sum(0) + _COUNT * (prior_var_a + (prior_a - mean_a) ** 2)) / total,
        ((fits.var_b + off_b**2).sum(0) + _COUNT * (prior_var_b + (prior_b - mean_b) ** 2)) / total,
        ((fits.cov + off_a * off_b).sum(0) + _COUNT * (prior_a - mean_a) * (prior_b - mean_b)) / total,
        np.maximum((residue.sum(0) + _COUNT * _NOISE) / (sums.n.sum(0) + _COUNT), 1e-6),
    )


def shapes(levels: Array) -> Array:
    """The shapes (s, R) at the levels, each from 1 down to 0."""
    u = levels / levels[-1]
    made = [u**-p for p in _POWERS]
    made += [np.exp(-((u / q) ** d)) for q in _RATES for d in (1, 2)]
    return np.array([(g - g[-1]) / (g[0] - g[-1]) for g in made if g[0] - g[-1] > 1e-6])


def _weighed(evidence: Array) -> Array:
    """The weight of each shape for each curve (c, s): its evidence times its share of all curves."""
    likelihood = np.exp(evidence - evidence.max(1, initial=-np.inf, keepdims=True))
    weights = np.full_like(likelihood, 1 / likelihood.shape[1])
    for _ in range(_ROUNDS):
        share = (weights.sum(0) + 1) / (len(weights) + weights.shape[1])
        weights = share * likelihood
        weights = weights / weights.sum(1, keepdims=True)
    return np.asarray(weights)
