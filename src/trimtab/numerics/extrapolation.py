"""Where learning curves end: an ensemble of three families of curves, weighted by evidence.

Curve i has the value y_ik at level t_k, for some k of 1 .. R. Under shape s it is, with noise of variance v,

    y_ik = a_i + b_i g_s(t_k),      g_s(t_1) = 1,  g_s(t_R) = 0,      (a_i, b_i) ~ N(m_s, S_s)

so that a_i is where it ends and b_i how far it has to fall. Shapes are of three families, with u = t / t_R:

    power law  u^-p;    exponential  exp(-u / q);    Janoschek's (1961)  exp(-(u / q)^2), which is slow to begin

All curves together fit m, S and v of each shape by expectation and maximisation, with weak priors that stand in for curves
while there are few: what those that went on have shown is what is expected of the others, and a curve with one point has a
forecast. Then each curve weighs the shapes by their evidence on it, times how often they were right on all. Nothing is
drawn or searched: the forecast is a function of the values (Domhan et al. 2015 sample such an ensemble, curve by curve).

Notation: c curves, R levels, s shapes. Values are standardised: of order 1, smaller is better.
"""

import numpy as np

from ..arrays import Array

_POWERS = (0.25, 0.5, 1.0, 2.0)
_RATES = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
_MEAN = np.array([0.0, 0.5])  # prior mean of (a, b)
_SPREAD = np.array([1.0, 0.5])  # prior variances of a and b
_NOISE = 0.01  # prior variance of the noise
_COUNT = 3.0  # curves that the priors count as
_STEPS = 12  # of expectation and maximisation
_ROUNDS = 4  # of weighing the shapes against each other


def forecast(V: Array, levels: Array) -> tuple[Array, Array]:
    """Mean and standard deviation (c,) of where curves V (c, R), NaN where unknown, end at the last of the levels (R,)."""
    seen = np.isfinite(V)
    y = np.where(seen, V, 0.0)
    g = shapes(levels)  # (s, R)
    n, sg, sgg = (seen @ x.T for x in (np.ones_like(g), g, g * g))  # (c, s) sums over the levels seen of 1, g, g^2
    sy, syg, syy = y.sum(1)[:, None], y @ g.T, (y * y).sum(1)[:, None]
    m = np.tile(_MEAN[:, None], len(g))  # (2, s)
    A, B, C = np.full(len(g), _SPREAD[0]), np.full(len(g), _SPREAD[1]), np.zeros(len(g))  # variances, covariance
    v = np.full(len(g), _NOISE)
    evidence = np.zeros_like(n)
    for _ in range(_STEPS):
        # what each curve says of its (a, b), given m, S and v: precision P, covariance K, means
        det = A * B - C * C
        paa, pbb, pab = B / det + n / v, A / det + sgg / v, -C / det + sg / v
        whole = paa * pbb - pab**2
        kaa, kbb, kab = pbb / whole, paa / whole, -pab / whole
        ra, rb = (sy - n * m[0] - sg * m[1]) / v, (syg - sg * m[0] - sgg * m[1]) / v  # X'(y - X m) / v
        da, db = kaa * ra + kab * rb, kab * ra + kbb * rb
        a, b = m[0] + da, m[1] + db
        square = syy - 2 * (m[0] * sy + m[1] * syg) + m[0] ** 2 * n + 2 * m[0] * m[1] * sg + m[1] ** 2 * sgg
        evidence = -0.5 * (n * np.log(v) + np.log(det * whole) + square / v - ra * da - rb * db)
        # m, S and v that make these most probable
        residue = syy - 2 * (a * sy + b * syg) + a * a * n + 2 * a * b * sg + b * b * sgg
        residue = residue + kaa * n + 2 * kab * sg + kbb * sgg
        v = np.maximum((residue.sum(0) + _COUNT * _NOISE) / (n.sum(0) + _COUNT), 1e-6)
        total = len(V) + _COUNT
        m = (np.stack([a.sum(0), b.sum(0)]) + _COUNT * _MEAN[:, None]) / total
        A = ((kaa + (a - m[0]) ** 2).sum(0) + _COUNT * (_SPREAD[0] + (_MEAN[0] - m[0]) ** 2)) / total
        B = ((kbb + (b - m[1]) ** 2).sum(0) + _COUNT * (_SPREAD[1] + (_MEAN[1] - m[1]) ** 2)) / total
        C = ((kab + (a - m[0]) * (b - m[1])).sum(0) + _COUNT * (_MEAN[0] - m[0]) * (_MEAN[1] - m[1])) / total
    weights = _weighed(evidence)
    mean = (weights * a).sum(1)
    return np.asarray(mean), np.sqrt((weights * (kaa + (a - mean[:, None]) ** 2)).sum(1))


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
