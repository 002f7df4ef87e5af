"""Projected L-BFGS ascent of many starts at once, in a box.

B starts, k coordinates in [0, 1]. All rows share one batched evaluation per step; every row keeps its own curvature
pairs (two-loop recursion, Nocedal and Wright, algorithm 7.4) and its own step length (Armijo, with interpolation).
Coordinates are divided by `scale` (the lengthscales), which makes the first step a good one; the descent is on -f.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.intp]
Function = Callable[[Array, Ints], tuple[Array, Array]]

_MEMORY = 6


class _Point(NamedTuple):
    """Rows x (b, k) with their values (b,) and gradients (b, k)."""

    x: Array
    value: Array
    slope: Array


def ascend(f: Function, start: Array, scale: Array, iterations: int = 30) -> Array:
    """Where each start (B, k) climbs to. `f(x, rows)` gives values (b,) and gradients (b, k) for rows of the batch."""
    high = 1 / scale
    live = np.arange(len(start))
    descent = _scaled(f, scale)
    x = np.clip(start, 0, 1) / scale
    value, slope = descent(x, live)
    moves = np.zeros((_MEMORY, *x.shape))
    turns = np.zeros((_MEMORY, *x.shape))
    for iteration in range(iterations):
        at = _Point(x[live], value[live], slope[live])
        held = ((at.x <= 0) & (at.slope > 0)) | ((at.x >= high) & (at.slope < 0))
        memory = min(iteration, _MEMORY)
        p = np.where(held, 0, _direction(np.where(held, 0, at.slope), moves[:memory, live], turns[:memory, live]))
        longest = 2.0 if iteration else 0.5
        p *= np.minimum(1, longest / (np.sqrt(_dot(p, p)) + 1e-300))[:, None]
        to, stuck = _search(descent, live, at, p, high)
        moves, turns = np.roll(moves, 1, axis=0), np.roll(turns, 1, axis=0)
        moves[0, live], turns[0, live] = to.x - at.x, to.slope - at.slope
        x[live], value[live], slope[live] = to
        flat = np.abs(np.clip(to.x - to.slope, 0, high) - to.x).max(1) < 1e-3
        live = live[~(flat | (at.value - to.value < 1e-5) | stuck)]
        if len(live) == 0:
            break
    return np.clip(x * scale, 0, 1)


def _scaled(f: Function, scale: Array) -> Function:
    """-f and its gradient in scaled coordinates; what is not finite counts as very bad and flat."""

    def descent(x: Array, rows: Ints) -> tuple[Array, Array]:
        value, slope = f(x * scale, rows)
        return np.where(np.isfinite(value), -value, 1e300), np.where(np.isfinite(slope), -slope * scale, 0.0)

    return descent


def _direction(g: Array, moves: Array, turns: Array) -> Array:
    """-H g by the two-loop recursion over the stored pairs, newest first; the steepest descent where that fails."""
    sy = _dot(moves, turns)
    yy = _dot(turns, turns)
    good = sy > 1e-10 * np.sqrt(yy + 1e-300)
    rho = np.where(good, 1 / np.where(good, sy, 1.0), 0.0)
    q = g.copy()
    weights = np.zeros_like(sy)
    for j in range(len(moves)):
        weights[j] = rho[j] * _dot(moves[j], q)
        q -= weights[j][:, None] * turns[j]
    if len(moves):
        q *= np.where(good[0], sy[0] / np.where(good[0], yy[0], 1.0), 1.0)[:, None]
    for j in reversed(range(len(moves))):
        q += (weights[j] - rho[j] * _dot(turns[j], q))[:, None] * moves[j]
    uphill = _dot(q, g) <= 1e-16
    return -np.where(uphill[:, None], g, q)


def _search(f: Function, rows: Ints, at: _Point, p: Array, high: Array) -> tuple[_Point, NDArray[np.bool_]]:
    """Backtracking line search of `rows` along p, projected on the box: where it ends, and which of them are stuck."""
    x, value, slope = (part.copy() for part in at)
    length = np.ones(len(x))
    todo = np.arange(len(x))
    for _ in range(6):
        trial = np.clip(at.x[todo] + length[todo, None] * p[todo], 0, high)
        v, s = f(trial, rows[todo])
        ok = v <= at.value[todo] + 1e-4 * _dot(at.slope[todo], trial - at.x[todo])  # Armijo
        x[todo[ok]], value[todo[ok]], slope[todo[ok]] = trial[ok], v[ok], s[ok]
        todo, v = todo[~ok], v[~ok]
        if len(todo) == 0:
            break
        t = length[todo]
        d = t * _dot(p[todo], at.slope[todo])
        least = -d / (2 * (v - at.value[todo] - d) + 1e-300)  # of the parabola through the two values and the slope
        length[todo] = t * np.clip(least, 0.1, 0.5)
    stuck = np.zeros(len(x), dtype=bool)
    stuck[todo] = True
    return _Point(x, value, slope), stuck


def _dot(a: Array, b: Array) -> Array:
    out: Array = np.einsum("...j,...j->...", a, b)
    return out
