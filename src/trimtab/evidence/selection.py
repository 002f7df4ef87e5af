"""What fresh runs and the search together say of a few finalists: which is the best, and which keep their limits.

Finalists run again on fresh seeds, the same for all of them; not all have equally many runs. The runs' own level may
differ from the search's (other splits, other rows), so losses are compared by their differences between finalists only,
and limits by the search's value plus a shift that is common to all.

Notation: k finalists, up to r runs each, c limits; prior means (k,) and covariance (k, k) of their losses from the
search, fresh losses (k, r), how far each run was beyond a limit (k, r, c) and how far the search says (k, c); NaN where a
run failed or was never made. A limit is kept where that is at most 0.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, stdtr

from ..arrays import Array
from .intervals import power_of_two

_WEIGHT = 2.0  # runs that the search's estimate of the noise is worth


@dataclass(frozen=True)
class Posterior:
    """Means (k,) of the losses and their covariance (k, k). Only differences between finalists have a meaning, and where
    losses are huge or tiny, only their ratios."""

    mean: Array
    covariance: Array

    def sd_of_difference(self, of: int) -> Array:
        """Standard deviations (k,) of the differences to this finalist."""
        own = np.diag(self.covariance)
        return np.asarray(np.sqrt(np.maximum(own + own[of] - 2 * self.covariance[of], 0.0)))

    def ahead(self, of: int) -> Array:
        """The chance (k,) that each finalist is better than this one."""
        return np.asarray(ndtr((self.mean[of] - self.mean) / np.maximum(self.sd_of_difference(of), 1e-150)))


def posterior(prior: Array, covariance: Array, losses: Array, noise: float) -> Posterior:
    """The losses of all finalists, from the search and the fresh runs.

    Loss of finalist i in seed j: a_i + b_j + e_ij with e ~ N(0, s^2), a ~ N(prior + level, covariance), seeds b and level
    unknown (flat). Each seed adds (I - 1/n 11') / s^2 over its n runs to the precision of a; the prior adds D - D11'D / 1'D1
    with D the inverse of its covariance: settings that are alike have like errors, so that their difference is known better
    than either. s^2 comes from the fresh runs, and as from `_WEIGHT` of them from the search (`noise`, NaN if unknown).
    """
    k, u = len(prior), power_of_two(prior, losses)
    prior, covariance, losses, noise = prior / u, covariance / u / u, losses / u, noise / u
    least = max(1e-3 * float(np.ptp(prior)), 1e-4 * math.sqrt(float(np.diag(covariance).max())), 1e-15)
    D = np.linalg.inv(covariance + least**2 * np.eye(k))
    precision = D - np.outer(D.sum(1), D.sum(0)) / D.sum()
    weighted = precision @ prior
    usual = float(np.diag(covariance).mean()) + least**2
    variance = max(_variance(losses, noise, usual), 1e-6 * usual)
    for y in losses.T:
        seen = np.flatnonzero(~np.isnan(y))
        if len(seen) > 1:
            centred = (np.eye(len(seen)) - 1 / len(seen)) / variance
            precision[np.ix_(seen, seen)] += centred
            weighted[seen] += centred @ y[seen]
    found = np.linalg.inv(precision + D.sum() / k**2)  # the level, on which nothing depends
    return Posterior(found @ weighted, (found + found.T) / 2)


def _variance(losses: Array, noise: float, otherwise: float) -> float:
    """Variance of one run once finalists and seeds are taken out, by least squares."""
    k, r = losses.shape
    i, j = np.nonzero(~np.isnan(losses))
    design = np.zeros((len(i), k + r))
    design[np.arange(len(i)), i] = design[np.arange(len(i)), k + j] = 1.0
    y = losses[i, j]
    fit, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    free, error = len(y) - int(rank), float(np.sum((y - design @ fit) ** 2))
    if np.isfinite(noise):
        return (error + _WEIGHT * noise**2) / (free + _WEIGHT)
    return error / free if free > 1 else otherwise


def keeps(searched: Array, excess: Array) -> Array:
    """The probability (k,) that a further run of each finalist keeps all limits, also of finalists without fresh runs."""
    chances = np.ones(len(searched))
    for limit in range(searched.shape[1]):
        chances *= np.nan_to_num(_kept(searched[:, limit], excess[:, :, limit]), nan=1.0)
    return chances


def _kept(x: Array, excess: Array) -> Array:
    """The probability (k,) that a further run of each finalist keeps one limit, by a t-distribution. NaN if unknown.

    x (k,): by how much each exceeds the limit according to the search; excess (k, r): by how much its fresh runs did. Only
    ratios have a meaning.

    m_i, the mean of n_i runs, is shrunk towards x_i + shift, where shift is the mean of m_i - x_i and their variance
    beyond the noise, the mean of all s^2 / n_i, is by moments, but at least that noise: of equally many runs, the own ones
    count for half or more.
    """
    u = power_of_two(x, excess)
    x, excess = x / u, excess / u
    n = (~np.isnan(excess)).sum(1)
    ran = n > 0
    free = int(n.sum() - ran.sum())
    if not free:  # nothing is known of the noise
        return np.where(np.isnan(x), np.nan, np.where(x <= 0, 0.5, 0.0))
    m = np.array([np.nanmean(row) if seen else 0.0 for row, seen in zip(excess, ran, strict=True)])
    s2 = float(np.nansum((excess - m[:, None]) ** 2)) / free
    noise = s2 * float((1 / n[ran]).mean())  # of a mean, on average over them
    moved = (m - x)[ran & ~np.isnan(x)]
    between = max(float(moved.var(ddof=1)) - noise if len(moved) > 1 else s2, noise)
    expected = np.where(np.isnan(x), m[ran].mean(), x + (moved.mean() if len(moved) else 0.0))
    own = np.where(ran, between / np.maximum(between + s2 / np.maximum(n, 1), 1e-300), 0.0)
    mean = (1 - own) * expected + own * m
    variance = s2 + np.where(ran, own * s2 / np.maximum(n, 1), between + noise)
    known = np.asarray(stdtr(free, -mean / np.sqrt(np.maximum(variance, 1e-300))))
    return np.where(variance > 0, known, mean <= 0)
