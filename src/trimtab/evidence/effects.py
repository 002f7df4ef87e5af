"""What each parameter does by itself: partial dependence and first-order Sobol' indices of the model, with intervals.

Notation: f the model's function of the unit cube (loss, smaller is better), S draws of it; U (B, d) base points, uniform;
for column j and value g the effect is m_j(g) = mean over the base points of f with x_j = g. The first-order index of a
column is Var_g m_j(g) / Var f (Sobol' 1993), here for every draw, so that it comes with an interval.

A conditional parameter is judged among the points in which it is active, and its index weighted with their share: by the
law of total variance that is its own part. `require` is not heeded: indices need parameters that vary freely.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..formatting import number
from ..numerics.draws import draws
from ..space import Space
from ..space.parameters import Value
from .base_points import TOTAL, active_points, pool, positions
from .belief import Belief, blocks

BASE = 64  # points over which the other parameters are averaged
GRID = 32  # values of a column with more
MANY = 24  # parameters whose indices are estimated well; of more, a rough estimate says which ones
ROUGH_BASE, ROUGH_GRID = 16, 12
DRAWS = 48
_LEVEL = (0.05, 0.95)


@dataclass(frozen=True)
class Index:
    """A Sobol' index, a share of the variance (first-order: what a parameter causes by itself), with a 90 % interval.

    shown: of a pair, whether the results show that it acts together. The interval cannot tell: no index is negative, so that
    a model that knows nothing has positive ones.
    """

    value: float
    low: float
    high: float
    shown: bool = True


@dataclass(frozen=True)
class Dependence:
    """What one parameter does on average over all others: `values` and, for each, mean and 90 % interval in the metric's
    unit and direction."""

    name: str
    values: tuple[Value, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __repr__(self) -> str:
        means = f"{number(min(self.mean))} to {number(max(self.mean))}"
        return f"<Dependence on {self.name}: {means} over {len(self.values)} values>"


def indices(belief: Belief) -> dict[str, Index]:
    """The first-order index of every parameter, by name."""
    space, f = belief.space, functions(belief)
    total = variance(space, f)

    def first_order(j: int, rough: bool) -> Array:
        effect, weight, share = _effect(space, f, j, *((ROUGH_GRID, ROUGH_BASE) if rough else (GRID, BASE)))
        return np.asarray(share * (weight @ (effect - weight @ effect) ** 2) / total)

    return each(space, first_order)


def each(space: Space, index: Callable[[int, bool], Array]) -> dict[str, Index]:
    """The index of every parameter, by name, from what `index(column, rough)` says of it for each draw (S,).

    Of many parameters, most hardly matter: a rough estimate is enough for all but the MANY with the largest one.
    """
    found = {name: summary(index(j, len(space) > MANY)) for j, name in enumerate(space.names)}
    if len(space) > MANY:
        for name in sorted(found, key=lambda n: -found[n].value)[:MANY]:
            found[name] = summary(index(space.names.index(name), False))
    return found


def variance(space: Space, f: Callable[[Array], Array]) -> Array:
    """The variance (S,) of each draw over the whole space."""
    return np.asarray(np.maximum(f(space.snap(pool(space).U[:TOTAL])).var(axis=0), 1e-300))


def summary(shares: Array) -> Index:
    """Mean and 90 % interval of an index over draws."""
    low, high = np.quantile(shares, _LEVEL)
    return Index(float(shares.mean()), float(low), float(high))


def dependence(belief: Belief, name: str, maximize: bool = False) -> Dependence | None:
    """The partial dependence of a parameter, averaged over the settings in which it is active; None if there are next to
    none."""
    space = belief.space
    j = space.names.index(name)
    effect, _, share = _effect(space, functions(belief), j, GRID, BASE)
    if not share:
        return None
    effect = (belief.centre + belief.unit * effect) * (-1.0 if maximize else 1.0)
    row = pool(space).U[active_points(space, [j], 1)[0]]
    values = [p[name] for p in space.decode(_with(space, row, j, positions(space, j, GRID)[0]))]
    low, high = np.quantile(effect, _LEVEL, axis=1)
    return Dependence(name, tuple(values), *(tuple(v.tolist()) for v in (effect.mean(1), low, high)))


def _effect(space: Space, f: Callable[[Array], Array], j: int, grid: int, base: int) -> tuple[Array, Array, float]:
    """The effect m_j (a, S) of each value of a column, the shares (a,) of these values, and the share of the points in which
    it is active: 0, and no effect, if there are none."""
    rows, share = active_points(space, [j], base)
    at, weight = positions(space, j, grid)
    if not len(rows):
        return np.zeros((len(at), DRAWS)), weight, share
    X = _with(space, pool(space).U[rows], j, at)
    return f(X).reshape(len(at), len(rows), -1).mean(axis=1), weight, share


def _with(space: Space, rows: Array, j: int, at: Array) -> Array:
    """Rows (B, d) with column j at each of the positions (a,): (a * B, d), snapped."""
    X = np.tile(rows, (len(at), 1))
    X[:, j] = np.repeat(at, len(rows))
    return space.snap(X)


def functions(belief: Belief) -> Callable[[Array], Array]:
    """Draws of the model's function, standardised: rows (B, d) to values (B, S)."""
    made = draws(belief.data, belief.theta, belief.posterior, DRAWS, np.random.default_rng(0))
    return lambda X: np.concatenate([made(belief.features.encode(block)) for block in blocks(X)])
