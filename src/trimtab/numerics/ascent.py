"""Projected L-BFGS ascent of many starts at once, in a box.

B starts, k coordinates in [0, 1]. All rows share one batched evaluation per step; every row keeps its own curvature
pairs (two-loop recursion, Nocedal and Wright, algorithm 7.4) and its own step length (Armijo, with interpolation).
Coordinates are divided by `scale` (the lengthscales), which makes the first step a good one; the descent is on -f.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..arrays import Array, Ints, Mask, within

Function = Callable[[Array, Ints], tuple[Array, Array]]

_MEMORY = 6  # curvature pairs
_GAIN = 2e-2  # a row whose step gains less stops: acquisitions are logarithms, or in units of the standardised goal
_FLAT = 1e-3  # a row whose largest slope is less stops
_ARMIJO = 1e-4  # as in `descent`
_BACK = 5  # further tries of a line search after the first
_FIRST, _LONGEST = 0.5, 2.0  # largest length of the first step, and of later ones


class _Point(NamedTuple):
    """Rows x (b, k) with their values (b,) and gradients (b, k)."""

    x: Array
    value: Array
    slope: Array

    def rows(self, which: Mask | Ints) -> "_Point":
        return _Point(*(part[which] for part in self))


class _Pair(NamedTuple):
    """A step (b, k), the change of the gradient that it made (b, k), and 1 / their product (b, 1), 0 where that is not
    positive: such a pair says nothing."""

    move: Array
    turn: Array
    rho: Array

    @staticmethod
    def of(move: Array, turn: Array) -> "_Pair":
        sy, yy = _dot(move, turn), _dot(turn, turn)
        good = sy > 1e-10 * np.sqrt(yy + 1e-300)
        return _Pair(move, turn, np.where(good, 1 / np.where(good, sy, 1.0), 0.0)[:, None])

    def rows(self, which: Mask) -> "_Pair":
        return _Pair(*(part[which] for part in self))


def ascend(f: Function, start: Array, scale: Array, iterations: int) -> Array:
    """Where each start (B, k) climbs to. `f(x, rows)` gives values (b,) and gradients (b, k) for rows of the batch."""
    high = 1 / scale
    descent = _scaled(f, scale)
    found = np.clip(start, 0, 1) / scale
    live = np.arange(len(start))  # the rows that still climb: `at`, `slope` and `pairs` hold these only
    at = _Point(found, *descent(found, live))
    slope = _free(at, high)
    pairs: list[_Pair] = []
    for iteration in range(iterations):
        p = np.where(slope == 0, 0, _direction(slope, pairs))
        longest = _LONGEST if iteration else _FIRST
        p *= np.minimum(1, longest / (np.sqrt(_dot(p, p)) + 1e-300))[:, None]
        to, stuck = _search(descent, live, at, p, high)
        found[live] = to.x
        pairs = [*pairs[1 - _MEMORY :], _Pair.of(to.x - at.x, to.slope - at.slope)]
        gain = np.maximum(at.value - to.value, -0.5 * _dot(p, slope))  # found, or expected
        slope = _free(to, high)
        done = stuck | (gain < _GAIN) | (np.abs(slope).max(1) < _FLAT)
        at = to
        if done.any():
            live, at, slope, pairs = live[~done], at.rows(~done), slope[~done], [pair.rows(~done) for pair in pairs]
            if len(live) == 0:
                break
    return np.clip(found * scale, 0, 1)


def _free(at: _Point, high: Array) -> Array:
    """The gradient, 0 in coordinates that it would push out of the box."""
    return np.where(np.where(at.slope > 0, at.x <= 0, at.x >= high), 0, at.slope)


def _scaled(f: Function, scale: Array) -> Function:
    """-f and its gradient in scaled coordinates; what is not finite counts as very bad and flat."""

    def descent(x: Array, rows: Ints) -> tuple[Array, Array]:
        value, slope = f(x * scale, rows)
        return np.where(np.isfinite(value), -value, 1e300), np.where(np.isfinite(slope), -slope * scale, 0.0)

    return descent


def _direction(g: Array, pairs: Sequence[_Pair]) -> Array:
    """-H g by the two-loop recursion over the pairs, latest last; the steepest descent where that fails."""
    if not pairs:
        return -g
    q, weights = g, []
    for move, turn, rho in reversed(pairs):
        weights.append(rho * _dot(move, q)[:, None])
        q = q - weights[-1] * turn
    _, turn, rho = pairs[-1]
    q *= np.where(rho > 0, 1 / np.where(rho > 0, rho * _dot(turn, turn)[:, None], 1.0), 1.0)
    for (move, turn, rho), weight in zip(pairs, reversed(weights), strict=True):
        q += (weight - rho * _dot(turn, q)[:, None]) * move
    uphill = _dot(q, g) <= 1e-16
    return -np.where(uphill[:, None], g, q)


def _search(f: Function, rows: Ints, at: _Point, p: Array, high: Array) -> tuple[_Point, Mask]:
    """Backtracking line search of `rows` along p, projected on the box: where it ends, and which of them are stuck."""
    x = within(at.x + p, 0.0, high)
    to = _Point(x, *f(x, rows))
    low = to.value <= at.value + _ARMIJO * _dot(at.slope, x - at.x)
    length, down = np.ones(len(rows)), _dot(p, at.slope)
    for _ in range(_BACK):
        todo = np.flatnonzero(~low)
        if len(todo) == 0:
            break
        start, v, d = at.rows(todo), to.value[todo], length[todo] * down[todo]
        least = -d / (2 * (v - start.value - d) + 1e-300)  # of the parabola through the two values and the slope
        length[todo] *= np.clip(least, 0.1, 0.5)
        x = within(start.x + length[todo, None] * p[todo], 0.0, high)
        to.x[todo] = x
        to.value[todo], to.slope[todo] = f(x, rows[todo])
        low[todo] = to.value[todo] <= start.value + _ARMIJO * _dot(start.slope, x - start.x)
    for new, old in zip(to, at, strict=True):
        new[~low] = old[~low]
    return to, ~low


def _dot(a: Array, b: Array) -> Array:
    out: Array = np.einsum("ij,ij->i", a, b)
    return out
