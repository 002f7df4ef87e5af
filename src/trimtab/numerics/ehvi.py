"""Log expected hypervolume improvement (EHVI) for two and three goals with independent Gaussian posteriors, exactly.

A new value y adds to a front's hypervolume what it dominates of the region below the reference point that the front
leaves. That region is cut into K disjoint boxes, and the expected addition is a sum of products (Emmerich et al. 2011;
Yang et al. 2019, eq. 11):

    EHVI = sum_k prod_j (I_j(high_kj) - I_j(low_kj)),      I_j(a) = E max(a - y_j, 0) = sd_j h((a - mean_j) / sd_j)

Every part is positive, so that all is computed by its logarithm: no underflow however bad or certain a point is.
Valid where |a - mean| / sd < 1e100. Everything is minimised.

Notation: m goals (2 or 3), n points of the front, K <= 2 n + 1 boxes, B points in question.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import Array, Ints
from .acquisition import Scores, log_h
from .gp import Posterior, Pullback
from .pareto import nondominated

_NOTHING = 1e-300  # the least difference of two logarithms


@dataclass(frozen=True)
class Joint:
    """Independent posteriors of several goals as one: like `gp.Posterior`, with means and variances (m, B)."""

    parts: tuple[Posterior, ...]

    def single(self) -> "Joint":
        return Joint(tuple(part.single() for part in self.parts))

    def predict(self, X: Array) -> tuple[Array, Array]:
        mean, var, _ = self.forward(X)
        return mean, var

    def forward(self, X: Array) -> tuple[Array, Array, Pullback]:
        means, variances, pullbacks = zip(*(part.forward(X) for part in self.parts), strict=True)

        def pullback(by_mean: Array, by_var: Array) -> Array:
            return np.asarray(sum(pull(m, v) for pull, m, v in zip(pullbacks, by_mean, by_var, strict=True)))

        return np.stack(means), np.stack(variances), pullback


@dataclass(frozen=True)
class Boxes:
    """The region below the reference point that a front does not dominate, as disjoint boxes.

    levels (m, k): for each goal all finite bounds of boxes, increasing, the last one repeated where there are fewer.
    low, high (m, K): the bounds of each box, as places in (-inf, *levels).
    """

    levels: Array
    low: Ints
    high: Ints


def boxes(Y: Array, reference: Array) -> Boxes:
    """The region below `reference` (m,) that no row of Y (n, m) dominates. Rows that are dominated themselves, or not
    below the reference point, make no difference."""
    Y = Y[(reference > Y).all(axis=1)]
    Y = np.unique(Y[nondominated(Y)], axis=0)
    corners = np.array(_strips(Y, reference) if len(reference) == 2 else _sweep(Y, reference))  # (K, 2, m)
    bounds = [np.unique(c[np.isfinite(c)]) for c in corners.T]
    k = max(map(len, bounds))
    places = np.stack(
        [np.searchsorted(b, c) + np.isfinite(c) for b, c in zip(bounds, corners.transpose(2, 1, 0), strict=True)]
    )
    return Boxes(np.stack([np.pad(b, (0, k - len(b)), "edge") for b in bounds]), places[:, 0], places[:, 1])


Corners = list[tuple[Sequence[float], Sequence[float]]]
"""Lowest and highest corner of each box."""


def _strips(Y: Array, r: Array) -> Corners:
    """Two goals: between neighbours of the front, everything below the left one. Y is sorted."""
    edges = [-np.inf, *Y[:, 0].tolist(), float(r[0])]
    tops = [float(r[1]), *Y[:, 1].tolist()]
    return [((left, -np.inf), (right, top)) for left, right, top in zip(edges[:-1], edges[1:], tops, strict=True)]


def _sweep(Y: Array, r: Array) -> Corners:
    """Three goals: rising in the third, the strips of the first two, each a box from where it appeared to where a new
    point cuts it (as in Lacour et al. 2017 and Yang et al. 2019: at most 2 n + 1 boxes)."""
    done: Corners = []
    strips = [(-np.inf, float(r[0]), float(r[1]), -np.inf)]  # (left, right, top, since), from left to right

    def close(strip: tuple[float, float, float, float], now: float) -> None:
        left, right, top, since = strip
        if now > since:
            done.append(((left, -np.inf, since), (right, top, now)))

    for x, y, z in Y[np.argsort(Y[:, 2], kind="stable")].tolist():
        kept, end = [], x
        for left, right, top, since in strips:
            if right <= x or top <= y:
                kept.append((left, right, top, since))
                continue
            if left < x:
                kept.append((left, x, top, since))
            close((max(left, x), right, top, since), z)
            end = right
        if end > x:
            kept.append((x, end, y, z))
        strips = sorted(kept)
    for strip in strips:
        close(strip, float(r[2]))
    return done


def log_ehvi(mean: Array, var: Array, region: Boxes) -> Scores:
    """Logarithm of the expected hypervolume improvement (B,) for means and variances (m, B), and its derivatives by
    them (m, B)."""
    sd = np.sqrt(var)
    z = (region.levels[:, None] - mean[..., None]) / sd[..., None]  # (m, B, k)
    value, slope = log_h(z)
    integral = np.pad(value + np.log(sd)[..., None], ((0, 0), (0, 0), (1, 0)), constant_values=-np.inf)
    high = np.take_along_axis(integral, region.high[:, None], 2)  # (m, B, K)
    low = np.take_along_axis(integral, region.low[:, None], 2)
    gap = np.maximum(high - low, _NOTHING)
    sides = high + np.log(-np.expm1(-gap))
    volume = sides.sum(0)  # (B, K), logarithms
    largest = volume.max(1, keepdims=True)
    share = np.exp(volume - largest)
    total = share.sum(1, keepdims=True)
    share /= total
    # d log(e^high - e^low) = (d high - e^-gap d low) / (1 - e^-gap), gathered by level
    up = share / -np.expm1(-gap)
    places = np.arange(integral.shape[2])
    by_level = up @ (region.high[..., None] == places) - (up * np.exp(-gap)) @ (region.low[..., None] == places)
    by_level = by_level[..., 1:]
    by_mean = -(by_level * slope).sum(2) / sd
    by_var = (by_level * (1 - slope * z)).sum(2) / (2 * var)
    return Scores((largest + np.log(total))[:, 0], by_mean, by_var)
