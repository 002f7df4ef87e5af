"""What parameters do together: total and second-order Sobol' indices of the model, and the surface of a pair.

Notation as in `effects`: f the model's function of the unit cube (loss), S draws of it, base points U (B, d).

The total index of a column is E (f(U) - f(U'))^2 / (2 Var f), U' having that column drawn anew (Jansen 1999): everything it
has a part in. It is drawn from a further column of the Sobol sequence, so that old and new values fill their square evenly:
by chance alone 1024 points would err by several percent. The second-order index of a pair is Var_gh i(g, h) / Var f
(Sobol' 1993), where m(g, h) is the mean over the base points of f with both columns set, and

    i(g, h) = m(g, h) - m(g, .) - m(., h) + m(., .)

Because all (g, h) share their base points, whatever does not belong to the pair cancels, up to interactions of three and
more: few base points are enough. A pair is judged among the points in which both are active, and weighted with their share;
a parameter and the one that it depends on are no pair.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from ..arrays import Array
from ..space import Space
from ..space.parameters import Value
from .base_points import TOTAL, active_points, pool, positions
from .belief import Belief
from .effects import Index, each, functions, summary, variance

BASE = 32  # points over which the other parameters are averaged
GRID = 8  # values of a column with more
FINE = 16  # values of a column with more, in a surface
ROUGH = 128  # points for a rough total index
MOST = 12  # parameters whose pairs are looked at: those with the largest total index
SURE = 0.005  # a pair is shown to act together if the low end of its share of the variance is at least this,
AGREED = (
    2.0  # and the ratio of its squared mean effect to its variance this: at most 6 % of pairs in noisy sums reach it
)
MANY = 40  # options beyond which a choice is left out of the pairs, as they would cost too much


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
    space, f = belief.space, functions(belief)
    U, _, further = pool(space)
    here, total = f(space.snap(U)), variance(space, f)

    def index(j: int, rough: bool) -> Array:
        rows, share = active_points(space, [j], ROUGH if rough else TOTAL)
        if not len(rows):
            return np.zeros_like(total)
        other = U[rows]
        other[:, j] = further[rows] * space.live_share[j]
        return np.asarray(share * ((here[rows] - f(space.snap(other))) ** 2).mean(axis=0) / 2 / total)

    return each(space, index)


def interactions(belief: Belief, known: Mapping[str, Index] | None = None) -> dict[tuple[str, str], Index]:
    """The second-order Sobol' index of every pair among the most influential parameters, the largest first.

    known: the total indices, if they have been computed.
    """
    space, f = belief.space, functions(belief)
    total = variance(space, f)
    found = {}
    for i, j in combinations(_influential(belief, known), 2):
        crossed = _crossed(space, i, j, GRID)
        if crossed is None:
            continue
        X, (p, q), share = crossed
        m = f(X).reshape(len(p), len(q), -1, total.size).mean(axis=2)
        first, second = np.einsum("j,ijs->is", q, m), np.einsum("i,ijs->js", p, m)
        part = m - first[:, None] - second + p @ first
        index = summary(share * np.einsum("i,j,ijs->s", p, q, part**2) / total)
        found[space.names[i], space.names[j]] = replace(index, shown=index.low >= SURE and _agreed(part))
    return dict(sorted(found.items(), key=lambda item: -item[1].value))


def _agreed(part: Array) -> bool:
    """Whether the draws (a, b, S) of what a pair does together agree: their mean is larger than they vary around it."""
    return float((part.mean(axis=2) ** 2).mean()) >= AGREED * float(part.var(axis=2).mean())


def surface(belief: Belief, first: str, second: str, maximize: bool = False) -> Surface | None:
    """The goal over the values of two parameters; None where they are never active together."""
    space = belief.space
    i, j = space.names.index(first), space.names.index(second)
    crossed = _crossed(space, i, j, FINE)
    if crossed is None:
        return None
    X, (p, q), _ = crossed
    shape = len(p), len(q)
    mean = belief.predict(X)[0].reshape(*shape, -1).mean(axis=2) * (-1.0 if maximize else 1.0)
    settings = space.decode(X.reshape(*shape, -1, len(space))[:, :, 0].reshape(-1, len(space)))
    one, other = (
        tuple(s[name] for s in part) for name, part in ((first, settings[:: len(q)]), (second, settings[: len(q)]))
    )
    return Surface((first, second), one, other, tuple(tuple(row) for row in mean.tolist()))


def unpaired(space: Space) -> list[str]:
    """The choices that are in no pair, as they have more than MANY options."""
    return [name for j, name in enumerate(space.names) if space.unordered[j] and space.cells[j] > MANY]


def _influential(belief: Belief, known: Mapping[str, Index] | None) -> list[int]:
    """Columns of the parameters with the largest total indices, in the order of the space."""
    space = belief.space
    left_out = unpaired(space)
    free = [j for j, name in enumerate(space.names) if space.cells[j] > 1 and name not in left_out]
    if len(free) <= MOST:
        return free
    ranked = totals(belief) if known is None else known
    return sorted(sorted(free, key=lambda j: -ranked[space.names[j]].value)[:MOST])


def _crossed(space: Space, i: int, j: int, grid: int) -> tuple[Array, tuple[Array, Array], float] | None:
    """Base points with every pair of values of two columns, (a * b * B, d); the shares (a,) and (b,) of these values; the
    share of the points in which both are active. None where they are not active together for every pair of values."""
    rows, share = active_points(space, [i, j], BASE)
    (x, p), (y, q) = positions(space, i, grid), positions(space, j, grid)
    if not len(rows) or min(len(x), len(y)) < 2:
        return None
    X = np.tile(pool(space).U[rows], (len(x) * len(y), 1))
    X[:, i] = np.repeat(x, len(y) * len(rows))
    X[:, j] = np.tile(np.repeat(y, len(rows)), len(x))
    X = space.snap(X)
    return None if np.isnan(X[:, [i, j]]).any() else (X, (p, q), share)
