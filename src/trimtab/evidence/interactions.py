"""What parameters do together: total and second-order Sobol' indices of the model, and the surface of a pair.

Notation as in `effects`: f the model's function of the unit cube (loss), S draws of it, base points U (B, d).

The total index of a column is E (f(U) - f(U'))^2 / (2 Var f), U' having that column shuffled (Jansen 1999): everything it
has a part in. It is shuffled by a further column of the Sobol sequence, so that old and new values fill their square evenly:
by chance alone 1024 points would err by several percent. The second-order index of a pair is Var_gh i(g, h) / Var f
(Sobol' 1993), where m(g, h) is the mean over the base points of f with both columns set, and

    i(g, h) = m(g, h) - m(g, .) - m(., h) + m(., .)

Because all (g, h) share their base points, whatever does not belong to the pair cancels, up to interactions of three and
more: few base points are enough. A pair is judged among the points in which both are active, and weighted with their share;
a parameter and the one that it depends on are no pair.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..arrays import Array
from ..numerics.qmc import sobol as points
from ..space import Choice, Space
from ..space.parameters import Value
from .belief import Belief
from .effects import TOTAL, Index, base, functions, summary

BASE = 32  # points over which the other parameters are averaged
GRID = 8  # values of a column with more
FINE = 16  # and in a surface
MOST = 12  # parameters whose pairs are looked at: those with the largest total index
_MANY = 40  # options of a choice beyond which its pairs would cost too much: it is left out


@dataclass(frozen=True)
class Surface:
    """What two parameters do together, averaged over all others: `mean[i][j]` is the goal at `first[i]` and `second[j]`, in
    the metric's unit and direction."""

    names: tuple[str, str]
    first: tuple[Value, ...]
    second: tuple[Value, ...]
    mean: tuple[tuple[float, ...], ...]

    def __repr__(self) -> str:
        return f"<Surface over {self.names[0]} and {self.names[1]}: {len(self.first)} by {len(self.second)} values>"


def totals(belief: Belief) -> dict[str, Index]:
    """The total Sobol' index of every parameter, by name: by itself and with others."""
    f, U = functions(belief), base(belief.space, TOTAL)
    here = f(belief.space.snap(U))
    spread = np.maximum(here.var(axis=0), 1e-300)
    rank = points(0, TOTAL, len(belief.space) + 1, 1)[:, -1].argsort().argsort()
    found = {}
    for j, name in enumerate(belief.space.names):
        other = U.copy()
        other[:, j] = np.sort(U[:, j])[rank]
        found[name] = summary(((here - f(belief.space.snap(other))) ** 2).mean(axis=0) / 2 / spread)
    return found


def interactions(belief: Belief) -> dict[tuple[str, str], Index]:
    """The second-order Sobol' index of every pair among the most influential parameters, the largest first."""
    space, f, U = belief.space, functions(belief), base(belief.space, BASE)
    spread = np.maximum(f(space.snap(base(space, TOTAL))).var(axis=0), 1e-300)
    found = {}
    for i, j in combinations(_influential(belief), 2):
        crossed = _crossed(space, U, i, j, GRID)
        if crossed is None:
            continue
        X, (a, b), share = crossed
        m = f(X).reshape(a, b, -1, spread.size).mean(axis=2)
        part = m - m.mean(axis=0) - m.mean(axis=1)[:, None] + m.mean(axis=(0, 1))
        found[space.names[i], space.names[j]] = summary(share * (part**2).mean(axis=(0, 1)) / spread)
    return dict(sorted(found.items(), key=lambda item: -item[1].value))


def surface(belief: Belief, first: str, second: str, maximize: bool = False) -> Surface | None:
    """The goal over the values of two parameters; None where they are never active together."""
    space = belief.space
    i, j = space.names.index(first), space.names.index(second)
    crossed = _crossed(space, base(space, BASE), i, j, FINE)
    if crossed is None:
        return None
    X, (a, b), _ = crossed
    mean = belief.predict(X)[0].reshape(a, b, -1).mean(axis=2) * (-1.0 if maximize else 1.0)
    settings = space.decode(X.reshape(a, b, -1, len(space))[:, :, 0].reshape(a * b, -1))
    one, other = (tuple(p[name] for p in part) for name, part in ((first, settings[::b]), (second, settings[:b])))
    return Surface((first, second), one, other, tuple(tuple(row) for row in mean.tolist()))


def _influential(belief: Belief) -> list[int]:
    """Columns of the parameters with the largest total indices, in the order of the space."""
    space = belief.space
    free = [j for j in range(len(space)) if space.cells[j] > 1 and not (space.unordered[j] and space.cells[j] > _MANY)]
    if len(free) <= MOST:
        return free
    ranked = totals(belief)
    return sorted(sorted(free, key=lambda j: -ranked[space.names[j]].value)[:MOST])


def _crossed(space: Space, U: Array, i: int, j: int, grid: int) -> tuple[Array, tuple[int, int], float] | None:
    """Base points with every pair of values of two columns, (a * b * B, d); a and b; the share in which both are active.
    None where they are never active together for every pair of values."""
    active = space.active(U)[:, [i, j]].all(axis=1)
    values = _positions(space, i, grid), _positions(space, j, grid)
    shape = len(values[0]), len(values[1])
    if not active.any() or min(shape) < 2:
        return None
    rows = U[active]
    X = np.tile(rows, (shape[0] * shape[1], 1))
    X[:, i] = np.repeat(values[0], shape[1] * len(rows))
    X[:, j] = np.tile(np.repeat(values[1], len(rows)), shape[0])
    X = space.snap(X)
    return None if np.isnan(X[:, [i, j]]).any() else (X, shape, float(active.mean()))


def _positions(space: Space, j: int, grid: int) -> Array:
    """Where the values of a column lie in [0, 1]: all of a choice (those retired left out) or a small integer, else `grid`."""
    p, cells = space.params[space.names[j]], space.cells[j]
    if isinstance(p, Choice):
        return np.array([(p.code(v) + 0.5) / cells for v in p.options])
    count = int(min(cells, grid))
    return (np.arange(count) + 0.5) / count
