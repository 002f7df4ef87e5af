"""How large is the mean of paired differences? Intervals and probabilities, one function for each protocol.

Notation: J differences d_j (positive is better) with mean m and sample variance s^2 (J - 1 degrees of freedom);
r = n_test / n_train where the pairs are folds whose training sets overlap, 0 for independent seeds; alpha is the chance
that an interval may miss; z the half-width of the zone of practical equivalence.

* seeds: Student's t on m with variance s^2 / J.
* folds: scores of overlapping folds are correlated and s^2 / J is too small; Nadeau and Bengio (2003, Machine Learning
  52, section 3) take s^2 (1/J + r). Read as a posterior the same t gives the probabilities of a better, an equivalent and
  a worse setting (Corani and Benavoli 2015, Machine Learning 100, eq. 7).
* looking again and again: the t-test martingale of Wang and Ramdas (2023, arXiv:2310.03722): with a normal mixture of
  variance g over the standardised effect, the likelihood ratio of the t-statistic is a martingale whatever the variance,
  so that by Ville's inequality the set where it stays below 1 / alpha holds the mean at all J at once.
* one hold-out set: percentiles of the bootstrap over its rows, or over its groups where rows come in groups,
  expanded as Hesterberg (2015, The American Statistician 69, section 3.3) says: percentiles alone are too narrow for few.
  For errors below 5 % (several comparisons) they are as much wider as Student's: a thousand resamples hold no rarer ends.
* shares (how often a limit held): the exact interval of Clopper and Pearson (1934, Biometrika 26).
* several data sets: a random-effects mean, with the t interval of Hartung and Knapp (2001, Statistics in Medicine 20).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import betaincinv, ndtr, stdtr, stdtrit

from ..arrays import Array, Ints

Interval = tuple[float, float]
EVERYTHING: Interval = (-math.inf, math.inf)
POWER = 0.8
MOST_PAIRS = 10_000  # beyond this number "more pairs" is no useful advice
_MIXTURE = 0.5  # g: 1.6 to 1.8 times the width of a single look between 10 and 100 pairs
_RESAMPLES = 1_000
_TOLD = 0.05  # the least error whose percentiles _RESAMPLES can estimate
_ORDINARY = 400  # squares of numbers between 2^-400 and 2^400 neither overflow nor vanish


@dataclass(frozen=True)
class Estimate:
    """A mean difference, its interval, and the probabilities (NaN where unknown) that it is above, in, below the zone."""

    mean: float
    interval: Interval = EVERYTHING
    better: float = math.nan
    equivalent: float = math.nan
    worse: float = math.nan


def power_of_two(*parts: Array) -> float:
    """A power of two by which numbers are divided (which is exact) so that no square of them overflows or vanishes: 1.0 for
    ordinary ones."""
    largest = max((float(np.nanmax(np.abs(part), initial=0.0)) for part in parts), default=0.0)
    exponent = math.frexp(largest)[1] if math.isfinite(largest) else 0
    return 1.0 if abs(exponent) < _ORDINARY else math.ldexp(1.0, exponent - 1)


def student(d: Array, ratio: float, zone: float, alpha: float) -> Estimate:
    """The t interval of d (J,), and the probabilities of the same t read as a posterior. Unbounded for J < 2."""
    J = len(d)
    if J < 2:
        return Estimate(float(d[0]) if J else math.nan)
    mean, s = moments(d)
    scale = s * math.sqrt(1 / J + ratio)
    if identical(d) or scale == 0.0:
        return Estimate(mean, (mean, mean), *certain(mean, zone))
    return _by_t(mean, scale, J - 1, zone, alpha)


def _by_t(mean: float, scale: float, freedom: int, zone: float, alpha: float) -> Estimate:
    """The t interval of a mean with standard error `scale`, and the probabilities of the same t read as a posterior."""
    half = float(stdtrit(freedom, 1 - alpha / 2)) * scale
    better, worse = (float(stdtr(freedom, (v - zone) / scale)) for v in (mean, -mean))
    return Estimate(mean, (mean - half, mean + half), better, max(0.0, 1 - better - worse), worse)


def always_valid(d: Array, ratio: float, alpha: float) -> Interval:
    """An interval that holds however often one looks while pairs are added. Unbounded for few pairs."""
    J = len(d)
    if J < 2:
        return EVERYTHING
    mean, s = moments(d)
    if identical(d):
        return mean, mean
    t = float(_always_valid(np.array([J]), alpha)[0])
    if math.isinf(t):
        return EVERYTHING
    half = t * s * math.sqrt(1 / J + ratio)
    return mean - half, mean + half


def _always_valid(J: Ints, alpha: float) -> Array:
    """The t-statistics (m,) of numbers of pairs (m,) that an always-valid interval does not exclude; inf: none is excluded.

    With A = (sqrt(1 + J g) / alpha)^(2/J) the martingale is below 1 / alpha where t^2 / (J - 1) is below
    (A - 1) / (1 - A / (1 + J g)).
    """
    spread = 1 + J * _MIXTURE
    A = (np.sqrt(spread) / alpha) ** (2 / J)
    bounded = spread > A
    return np.sqrt(np.where(bounded, (J - 1) * (A - 1) / np.where(bounded, 1 - A / spread, 1.0), np.inf))


def pairs_needed(d: Array, ratio: float, effect: float, alpha: float, sequential: bool = False) -> int | None:
    """How many pairs in all would show, four times in five, that the mean exceeds `effect`, if mean and variance of d
    are what they seem. None: no number would, or the mean is not above it, or nothing is known."""
    if len(d) < 2 or identical(d):
        return None
    mean, s = moments(d)
    J = np.arange(2, MOST_PAIRS + 1)
    shown = mean - effect >= _reach(J, alpha, sequential) * s * np.sqrt(1 / J + ratio)
    return int(J[np.argmax(shown)]) if shown.any() else None


def detectable(d: Array, ratio: float, effect: float, alpha: float, sequential: bool = False) -> float:
    """The least mean that J pairs with the variance of d would show four times in five to exceed `effect`. NaN where nothing
    is known, or no mean would do."""
    J = len(d)
    if J < 2 or identical(d):
        return math.nan
    reach = float(_reach(np.array([J]), alpha, sequential)[0])
    return effect + reach * moments(d)[1] * math.sqrt(1 / J + ratio) if math.isfinite(reach) else math.nan


def _reach(J: Ints, alpha: float, sequential: bool) -> Array:
    """Standard errors (m,) between an effect and a mean that J (m,) pairs show to exceed it with probability POWER;
    sequential: at the last of many looks."""
    critical = _always_valid(J, alpha) if sequential else stdtrit(J - 1, 1 - alpha / 2)
    return np.asarray(critical + stdtrit(J - 1, POWER))


def moments(d: Array) -> tuple[float, float]:
    """Mean and standard deviation of d (J,), also of huge or tiny numbers."""
    u = power_of_two(d)
    return u * float((d / u).mean()), u * float((d / u).std(ddof=1))


def bootstrap(
    difference: Callable[[Ints], float], groups: Ints, zone: float, alpha: float, rng: np.random.Generator
) -> Estimate:
    """The estimate from one hold-out set: `difference` of the two settings on chosen rows, over bootstrap resamples.

    groups (n,): the group of each row. Rows of a group are alike, so they are drawn together. The interval speaks of other
    groups (or rows, if each is a group) of the same kind, for these two fitted models. Resamples on which the metric is
    undefined (NaN) are left out. Unbounded for a single group.
    """
    values = np.array([difference(rows) for rows in resamples(groups, rng)])
    values = values[np.isfinite(values)]
    mean, G = float(difference(np.arange(len(groups)))), len(np.unique(groups))
    if G < 2 or len(values) < _RESAMPLES / 2:
        return Estimate(mean)
    reach, wanted = stdtrit(G - 1, 1 - np.array([max(alpha, _TOLD), alpha]) / 2)
    tail = float(ndtr(-math.sqrt(G / (G - 1)) * reach))
    low, middle, high = np.quantile(values, [tail, 0.5, 1 - tail])
    wider = wanted / reach - 1
    low, high = low - wider * (middle - low), high + wider * (high - middle)
    counts = (values > zone).sum(), (values < -zone).sum()
    better, worse = (float((c + 0.5) / (len(values) + 1)) for c in counts)  # of a thousand none is not never
    return Estimate(mean, (float(low), float(high)), better, max(0.0, 1 - better - worse), worse)


def resamples(groups: Ints, rng: np.random.Generator) -> Iterator[Ints]:
    """The rows of each bootstrap resample: as many groups (n,) as there are, drawn as wholes."""
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    alone, G = len(members) == len(groups), len(members)
    for _ in range(_RESAMPLES):
        chosen = rng.integers(G, size=G)
        yield chosen if alone else np.concatenate([members[i] for i in chosen])


def share(held: int, of: int, alpha: float) -> Interval:
    """The interval of a share of which `held` of `of` runs were seen."""
    low = float(betaincinv(held, of - held + 1, alpha / 2)) if held else 0.0
    high = float(betaincinv(held + 1, of - held, 1 - alpha / 2)) if held < of else 1.0
    return low, high


def random_effects(
    means: Sequence[float] | Array, errors: Sequence[float] | Array, zone: float, alpha: float
) -> tuple[Estimate, float]:
    """The mean gain over data sets like these k, from the mean and standard error on each; and the spread tau between them.

    y_i ~ N(mu_i, e_i^2), mu_i ~ N(mu, tau^2); tau^2 by Paule and Mandel (1982): the value at which
    sum_i w_i (y_i - mu)^2 = k - 1 with w_i = 1 / (e_i^2 + tau^2), or 0 where none is. Errors of 0 are taken as a
    thousandth of the spread.
    """
    y, e = np.asarray(means, dtype=float), np.asarray(errors, dtype=float)
    if (u := power_of_two(y, e)) != 1.0:
        found, tau = random_effects(y / u, e / u, zone / u, alpha)
        low, high = found.interval
        return replace(found, mean=u * found.mean, interval=(u * low, u * high)), u * tau
    k, e2 = len(y), e**2
    if k < 2:
        return Estimate(float(y[0]) if k else math.nan), math.nan
    if np.ptp(y) == 0 and not e2.any():
        return Estimate(float(y[0]), (float(y[0]), float(y[0])), *certain(float(y[0]), zone)), 0.0
    e2 = np.maximum(e2, (1e-3 * max(float(np.ptp(y)), float(np.sqrt(e2.max())))) ** 2)
    tau2 = _between(y, e2)
    w = 1 / (e2 + tau2)
    mean = float(w @ y / w.sum())
    # Hartung and Knapp's factor, sum_i w_i (y_i - mu)^2 / (k - 1), is 1 at this tau^2. Where it would be smaller, at
    # tau^2 = 0, it is taken as 1: data sets that agree by chance would make the interval too narrow.
    return _by_t(mean, 1 / math.sqrt(float(w.sum())), k - 1, zone, alpha), math.sqrt(tau2)


def _between(y: Array, e2: Array) -> float:
    """The variance between data sets (Paule and Mandel), by bisection: the sum falls as it grows."""

    def surplus(tau2: float) -> float:
        w = 1 / (e2 + tau2)
        return float(w @ (y - w @ y / w.sum()) ** 2) - (len(y) - 1)

    if surplus(0.0) <= 0:
        return 0.0
    low, high = 0.0, float(np.ptp(y)) ** 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if surplus(middle) > 0 else (low, middle)
    return high


def identical(d: Array) -> bool:
    """Whether the differences are one number, up to rounding."""
    return bool(np.ptp(d) <= 1e-12 * np.abs(d).max())


def certain(mean: float, zone: float) -> tuple[float, float, float]:
    """P(better), P(equivalent), P(worse) of a difference that is known."""
    better, worse = float(mean > zone), float(mean < -zone)
    return better, 1 - better - worse, worse
