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

from ..arrays import Array, Ints
from ..formatting import number
from ..numerics.paths import draws
from ..numerics.qmc import sobol as points
from ..space import Space
from ..space.parameters import Value
from .belief import Belief

BASE = 128  # points over which the other parameters are averaged
TOTAL = 1024  # points for the variance of the whole function
GRID = 12  # values of a column with more
DRAWS = 48
_LEVEL = (0.05, 0.95)


@dataclass(frozen=True)
class Index:
    """A Sobol' index, a share of the variance (first-order: what a parameter causes by itself), with a 90 % interval."""

    value: float
    low: float
    high: float


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
    f, U = functions(belief), base(belief.space)
    total = f(belief.space.snap(base(belief.space, TOTAL))).var(axis=0)
    found = {}
    for j, name in enumerate(belief.space.names):
        X, g, share = _varied(belief.space, U, j)
        shares = share * _means(f(X), g).var(axis=0) / np.maximum(total, 1e-300) if len(X) else np.zeros(DRAWS)
        found[name] = summary(shares)
    return found


def summary(shares: Array) -> Index:
    """Mean and 90 % interval of an index over draws."""
    low, high = np.quantile(shares, _LEVEL)
    return Index(float(shares.mean()), float(low), float(high))


def dependence(belief: Belief, name: str, maximize: bool = False) -> Dependence:
    """The partial dependence of a parameter, averaged over the settings in which it is active."""
    space = belief.space
    j = space.names.index(name)
    X, g, _ = _varied(space, base(space), j, grid=2 * GRID)
    effect = _means(functions(belief)(X), g) * (-1.0 if maximize else 1.0)
    values = [space.decode(X[np.flatnonzero(g == i)[:1]])[0][name] for i in range(len(effect))]
    low, high = np.quantile(effect, _LEVEL, axis=1)
    return Dependence(name, tuple(values), *(tuple(v.tolist()) for v in (effect.mean(1), low, high)))


def functions(belief: Belief) -> Callable[[Array], Array]:
    """Draws of the model's function, in the metric's unit: rows (B, d) to losses (B, S)."""
    made = draws(belief.data, belief.theta, belief.posterior, DRAWS, np.random.default_rng(0))
    return lambda X: belief.centre + belief.unit * made(belief.features.encode(X))


def base(space: Space, n: int = BASE) -> Array:
    """Base points (n, d), with a position for inactive parameters too: another value of a column may make them active. Rows
    with a retired option are replaced."""
    U = points(0, n, len(space), 1)
    free = Space(space.params)  # without its requirements
    gone = ~free.allowed(U)
    if gone.any():
        fresh = free.sample(int(gone.sum()), np.random.default_rng(1))
        U = U.copy()
        U[gone] = np.where(np.isnan(fresh), U[gone], fresh)
    return U


def _varied(space: Space, U: Array, j: int, grid: int = GRID) -> tuple[Array, Ints, float]:
    """Base points with every value of column j, where it is active; the number of the value of each; the active share."""
    k = space.cells[j]
    count = int(k) if k <= grid or space.unordered[j] else grid
    active = space.active(U)[:, j]
    rows = U[active]
    if not len(rows):
        return rows, np.empty(0, dtype=np.intp), 0.0
    X = np.tile(rows, (count, 1))
    X[:, j] = np.repeat((np.arange(count) + 0.5) / count, len(rows))
    X = space.snap(X)
    number = np.repeat(np.arange(count), len(rows))
    if space.unordered[j]:  # retired options are no longer anybody's
        live = [i for i in range(count) if _live(space, X[number == i][:1], j)]
        kept = np.isin(number, live)
        X, number = X[kept], np.searchsorted(live, number[kept])
    return X, number, float(active.mean())


def _live(space: Space, x: Array, j: int) -> bool:
    name = space.names[j]
    options = getattr(space.params[name], "options", ())
    return space.decode(x)[0].get(name) in options


def _means(F: Array, g: Ints) -> Array:
    """Means of F (rows, S) over the rows of each value g: (values, S)."""
    count = int(g.max()) + 1
    return np.stack([F[g == i].mean(0) for i in range(count)])
