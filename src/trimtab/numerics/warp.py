"""Output warps: what a GP is shown instead of the raw results.

`half_rank` keeps order and spacing of the good half and replaces the bad half by Gaussian quantiles, so that one
diverged trial cannot flatten the rest (the half-rank warper of Song et al. 2024). Values of 1e300 and infinite ones are
fine.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from ..arrays import HUGE, Array
from .rank_correlation import doubled_ranks


@dataclass(frozen=True)
class Warped:
    """Standardised values z (n,) of results raw (n,), and how to go back: up to the knot, the warp is linear, and
    raw = knot + unit * (z - at)."""

    z: Array
    raw: Array
    knot: float  # the median of the results in `half_rank`
    unit: float  # raw units of one z below the knot
    at: float  # z of the knot

    def inverse(self, z: float) -> float:
        """The raw value that corresponds to z: linear up to the knot, interpolated between the results above it."""
        if z <= self.at:
            return self.knot + self.unit * (z - self.at)
        order = np.argsort(self.z, kind="stable")
        return float(np.interp(z, self.z[order], self.raw[order]))

    def spread(self, z: float, sd: float) -> float:
        """Half the width, in raw units, of the interval z ± sd."""
        return self.inverse(z + sd) / 2 - self.inverse(z - sd) / 2


def half_rank(y: Array) -> Warped:
    """Warp finite or infinite y (n,), n >= 1, smaller is better, to mean 0 and standard deviation 1 (0 if constant)."""
    raw = np.clip(y, -HUGE, HUGE)
    # The mean of two middle values must not overflow, nor half of the tiniest value become 0.
    median = max(float(np.median(raw / 2)) * 2, float(raw.min()))
    away = raw - median
    good = away <= 0
    unit = float(np.abs(away[good]).max())
    if unit == 0:  # more than half of the values tie at the best one
        unit = float(away.max()) or 1.0
        z = away / unit
    else:
        z = np.minimum(away, 0.0) / unit  # 1e300 / 1e-40 would overflow
        spread = np.sqrt(np.mean(z[good] ** 2))
        z = np.where(good, z, spread * ndtri(_place(raw)))
    z, mean, sd = _standardised(z)
    return Warped(z, raw, median, unit * sd, -mean / sd)


def linear_up_to(y: Array, knot: float) -> Warped:
    """Warp y (n,) as `half_rank` does, but with the spacing kept up to `knot` instead of the median: for a goal of
    which all values up to there matter alike."""
    raw = np.clip(y, -HUGE, HUGE)
    away = raw - knot
    near = away <= 0
    unit = float(np.abs(away[near]).max(initial=0.0)) or float(np.abs(away).max()) or 1.0
    both = near.any() and not near.all()
    z = (np.minimum(away, 0.0) if both else away) / unit
    if both:
        spread = np.sqrt(np.mean(z[near] ** 2)) or 1.0
        z = np.where(near, z, spread * (ndtri(_place(raw)) - ndtri(near.mean())))
    z, mean, sd = _standardised(z)
    return Warped(z, raw, knot, unit * sd, -mean / sd)


def typical_distance(values: Array) -> float:
    """The median distance of values (n,) from their median, n >= 1; the mean distance where more than half are equal."""
    away = np.abs(values - np.median(values))
    return float(np.median(away) or np.mean(away))


@dataclass(frozen=True)
class Compressed:
    """Standardised constraint values z (n,), and the z of the value 0."""

    z: Array
    zero: float

    @property
    def excess(self) -> Array:
        """By how much the values exceed 0 (n,), in the units of z."""
        return self.z - self.zero


def bilog(c: Array) -> Compressed:
    """Constraint values (n,), n >= 1, feasible where <= 0, with their tails compressed.

    sign(c) log(1 + |c| / scale) keeps the sign and tames the tails (Eriksson and Poloczek 2021, section 3.2).
    """
    size = np.minimum(np.abs(c), HUGE)
    scale = float(np.median(size[size > 0] / 2) * 2) if (size > 0).any() else 1.0
    scale = max(scale, 1e-300)
    size = np.minimum(size, HUGE * min(scale, 1.0))  # their ratio must not overflow
    z, mean, sd = _standardised(np.sign(c) * np.log1p(size / scale))
    return Compressed(z, -mean / sd)


def _place(raw: Array) -> Array:
    """The shares (n,) of values that are smaller, half of the equal ones among them: equal values have the same."""
    return np.asarray(doubled_ranks(raw) / (2 * len(raw)))


def _standardised(z: Array) -> tuple[Array, float, float]:
    """z (n,) with mean 0 and standard deviation 1, and the mean and standard deviation that it had; 1 if it is constant."""
    sd = float(z.std())
    sd = sd if sd > 1e-12 else 1.0
    mean = float(z.mean())
    return (z - mean) / sd, mean, sd
