"""Where the model's function is evaluated to explain it: base points of the unit cube, and the values of one column.

Base points are those of a Sobol' sequence, uniform in the live part of the cube (retired options are left out). Each has a
position for every column, active or not: another value of a column may make others active. A parameter with a condition
is looked at in points in which it is active; they are picked from more points, since there may be few of them.

Notation: U (N, d) points, B of them used.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..arrays import Array, Ints, Mask
from ..numerics.qmc import sobol
from ..space import Space
from ..space.parameters import live_cells
from ..space.scales import centres, widths

TOTAL = 1024  # points for the variance of the whole function
_CONDITIONAL = 4 * TOTAL  # points to pick from in a space with conditions


class Pool(NamedTuple):
    """Points U (N, d), which parameters are active in each (N, d), and a further column of the sequence (N,)."""

    U: Array
    active: Mask
    further: Array


@lru_cache(maxsize=4)
def pool(space: Space) -> Pool:
    """The base points of a space."""
    conditional = any(p.when for p in space.params.values())
    points = sobol(0, _CONDITIONAL if conditional else TOTAL, len(space) + 1, 1)
    U = points[:, :-1] * space.live_share
    found = Pool(U, space.active(U), points[:, -1])
    for part in found:
        part.setflags(write=False)
    return found


def active_points(space: Space, columns: list[int], most: int) -> tuple[Ints, float]:
    """Indices of the first base points (at most `most`) in which all these columns are active, and the share of such points."""
    both = pool(space).active[:, columns].all(axis=1)
    return np.flatnonzero(both)[:most], float(both.mean())


def positions(space: Space, j: int, most: int) -> tuple[Array, Array]:
    """Where the values of a column lie in [0, 1], in rising order, and their shares of it, each (a,): all of them if they
    have no order or are few, else about `most` evenly spread ones."""
    p = space.params[space.names[j]]
    scale, live = p.scale, live_cells(p)
    if live <= most or space.unordered[j]:
        i = np.arange(live)
        width = widths(scale, i)
        return centres(scale, i), width / width.sum()
    even = space.live_share[j] * (np.arange(most) + 0.5) / most
    at, count = np.unique(scale.position(scale.numbers(even)), return_counts=True)
    return at, count / most


def live_rows(space: Space, X: Array) -> Mask:
    """Which rows (n,) of the unit cube use no retired option."""
    live = space.live_share
    return np.asarray(~((live < 1.0) & (live <= X)).any(axis=1))
