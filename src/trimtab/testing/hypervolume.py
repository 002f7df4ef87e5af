"""How much a front dominates: the measure by which tests and benchmarks compare searches for several goals.

Notation: n rows, m goals, all minimised.
"""

from bisect import bisect_left

import numpy as np

from ..arrays import Array
from ..numerics.pareto import nondominated


def hypervolume(Y: Array, reference: Array) -> float:
    """The volume that the rows of Y (n, m) dominate within the box below `reference` (m,), exactly.

    By sweeps for up to three goals; beyond, each row's exclusive volume by recursion (WFG: While, Bradstreet and Barone
    2012), exponential in m at worst. Finite numbers only.
    """
    Y = Y[(reference > Y).all(axis=1)]
    return _volume(np.unique(Y[nondominated(Y)], axis=0), reference)


def _volume(Y: Array, r: Array) -> float:
    """The hypervolume of distinct rows Y (n, m) below r (m,) that don't dominate each other, sorted lexicographically."""
    if len(Y) == 0:
        return 0.0
    if Y.shape[1] == 1:
        return float(r[0] - Y[0, 0])
    if Y.shape[1] == 2:
        return float(((r[0] - Y[:, 0]) * -np.diff(Y[:, 1], prepend=r[1])).sum())
    if Y.shape[1] == 3:
        return _volume3(Y, r)
    Y = Y[np.argsort(-Y[:, -1], kind="stable")]
    total = 0.0
    for i, y in enumerate(Y):  # later rows are no worse in the last goal: what they share with y has its depth
        shared = np.unique(np.maximum(Y[i + 1 :, :-1], y[:-1]), axis=0)
        own = float(np.prod(r[:-1] - y[:-1])) - _volume(shared[nondominated(shared)], r[:-1])
        total += float(r[-1] - y[-1]) * own
    return total


def _volume3(Y: Array, r: Array) -> float:
    """The same of three goals: a sweep along the third of the area that the rows so far dominate, kept as a staircase. No
    corner lies on or behind the staircase, as no row dominates another."""
    xs, ys = [-np.inf, float(r[0])], [float(r[1]), -np.inf]  # corners: xs increase, ys decrease
    area = total = 0.0
    last = 0.0
    for x, y, z in Y[np.argsort(Y[:, 2], kind="stable")].tolist():
        total += area * (z - last)
        last = z
        i = bisect_left(xs, x)
        j, left, top = i, x, ys[i - 1]
        while True:  # from step to step under the new corner
            area += (xs[j] - left) * (top - y)
            if ys[j] < y:
                break
            left, top, j = xs[j], ys[j], j + 1
        xs[i:j], ys[i:j] = [x], [y]
    return total + area * (float(r[2]) - last)
