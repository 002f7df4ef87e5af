"""Projected BFGS descent of one smooth function of a few variables, in a box.

Made for hyperparameters: k is some dozen, an evaluation costs far more than k^2, and the next problem resembles the
last. So the inverse Hessian is dense (Nocedal and Wright 2006, eq. 6.17), may be given to start with, and is returned.
Variables at a bound whose slope points out of the box are held while it does (Bertsekas 1982).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..arrays import Array

Function = Callable[[Array], tuple[float, Array]]

_LONGEST = 2.0  # largest step of one variable
_TRIES = 8  # points that a line search tries
_ARMIJO = 1e-4  # share of the decrease predicted by the slope that a step must reach


class Minimum(NamedTuple):
    """Where a descent ended: x (k,), and the inverse Hessian (k, k) that it believed in."""

    x: Array
    inverse: Array


def descend(f: Function, start: Minimum, box: tuple[Array, Array], iterations: int, tolerance: float) -> Minimum:
    """The minimum reached from `start` in `iterations` steps, or when a step gains less than `tolerance`; `start`
    itself if that cannot be improved on."""
    low, high = box
    x, H = np.clip(start.x, low, high), start.inverse
    value, slope = f(x)
    for _ in range(iterations):
        free = np.where(x <= low, slope < 0, np.where(x >= high, slope > 0, True))
        p = np.where(free, -(H @ np.where(free, slope, 0.0)), 0.0)
        if not p @ slope < 0:
            break
        p *= min(1.0, _LONGEST / np.abs(p).max())
        found = _search(f, x, value, slope, p, box)
        if found is None:
            break
        gain = value - found[1]
        H = _updated(H, found[0] - x, found[2] - slope)
        x, value, slope = found
        if gain < tolerance:
            break
    return Minimum(x, H)


def _search(
    f: Function, x: Array, value: float, slope: Array, p: Array, box: tuple[Array, Array]
) -> tuple[Array, float, Array] | None:
    """The first point along p, projected on the box, that is low enough (Armijo), backtracking by interpolation."""
    length, down = 1.0, float(p @ slope)
    for _ in range(_TRIES):
        to = np.clip(x + length * p, *box)
        v, s = f(to)
        if v <= value + _ARMIJO * (slope @ (to - x)):
            return to, v, s
        d = length * down
        length *= min(max(-d / (2 * (v - value - d)), 0.1), 0.5)  # least of the parabola through values and slope
    return None


def _updated(H: Array, s: Array, y: Array) -> Array:
    """H after a step s that changed the slope by y; unchanged where the curvature along s is not positive."""
    sy = float(s @ y)
    if not sy > 1e-10 * np.sqrt((s @ s) * (y @ y)):
        return H
    Hy = H @ y
    across = np.outer(Hy, s)
    return np.asarray(H + np.outer(s, s) * ((sy + y @ Hy) / sy**2) - (across + across.T) / sy)
