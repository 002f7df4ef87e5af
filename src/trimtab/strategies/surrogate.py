"""From finished rows to the Gaussian processes of goals, constraints, success and cost.

- Rows with equal X become one point: their results are averaged, and its noise is divided by their number.
- Each goal has a model of its own; where there are too many for that, `weights` make one goal of them first.
- With `ladder`, the model of one goal uses results at all rungs of a fidelity, carried to the unit of the top (see
  `levelling`). The rung is a column of its own: its lengthscale says how much an early result tells about the last one, and
  so how certain that is. Predictions are at the top.
- Hyperparameters follow from the record alone: for n rows they are fitted from a start that is the cold fit on the first
  m rows, the last multiple of 10 below n. The more rows, the less ten of them can move: the warm fit takes fewer steps.

Notation: n rows, d parameters, k constraints, g modelled goals; p distinct points.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..arrays import HUGE, Array, Ints, Mask
from ..numerics import gp
from ..numerics.pareto import by_front
from ..numerics.warp import Warped, bilog, half_rank, linear_up_to
from . import History, Rows
from .features import Features
from .front import extent
from .levelling import carried
from .points import distinct
from .scalarisation import scalarised
from .transfer import lessons_of, prior_mean, teachers

_PERIOD = 10  # rows between two cold fits
_FIT = 256  # points on which hyperparameters are fitted, at most
_LOCAL = 500  # points up to which the model is conditioned on all of them
_NEAREST, _BEST, _SPREAD = 256, 64, 64  # of more points: those nearest to the best, the best, and some of the others
_FAILURES = 3  # failed trials from which on success has a model


@dataclass(frozen=True)
class Table:
    """One line for each distinct point; goals and constraints are averaged over its known results."""

    X: Array  # (p, d)
    F: Array  # (p, columns) features
    Y: Array  # (p, g) NaN where every result failed
    C: Array  # (p, k) NaN where unknown
    cost: Array  # (p,) the mean of its results
    results: Array  # (p,)
    success: Array  # (p,) share of the results that did not fail

    @cached_property
    def warps(self) -> tuple[Warped, ...]:
        """How the values of each goal are transformed for its model, from the points that have values.

        Of several goals, each keeps its spacing up to a little behind the front, so that volumes there are those in the
        user's units but for a factor.
        """
        known = ~np.isnan(self.Y).any(1)
        Y = self.Y[known]
        if Y.shape[1] == 1 or len(Y) == 0:
            return tuple(half_rank(y) for y in Y.T)
        return tuple(map(linear_up_to, Y.T, extent(Y, feasible(self)[known])))


@dataclass(frozen=True)
class Model:
    """Data of a Gaussian process and its hyperparameters."""

    data: gp.Data
    theta: Array
    lessons: tuple[gp.Lesson, ...] = ()

    @cached_property
    def told(self) -> gp.Posterior:
        """Conditioned on the data."""
        return replace(gp.condition(self.data, self.theta), lessons=self.lessons)

    def posterior(self, waiting: Array) -> gp.Posterior:
        """Conditioned on the data and, at the features (w, columns) of pending points, on its own mean."""
        return self.told.believing(waiting, gp.noise(self.theta))


@dataclass(frozen=True)
class GoalModel:
    """A modelled goal: the transform of its values, the values at the known points (p,) untransformed, and the model."""

    warped: Warped
    raw: Array
    model: Model


@dataclass(frozen=True)
class ConstraintModel:
    """A modelled constraint. In the model's units: the bound up to which it holds, and its value at the point that violates
    all constraints least (NaN if unknown there)."""

    model: Model
    bound: float
    least: float


@dataclass(frozen=True)
class Surrogate:
    """What is known: the points that have goal values, X (p, d) with features F, and all models."""

    features: Features
    weights: Array | None  # (m,) by which several goals were made one
    X: Array
    F: Array
    feasible: Mask  # (p,): known to satisfy every constraint
    goals: tuple[GoalModel, ...]
    constraints: tuple[ConstraintModel, ...]  # those of which something is known
    success: tuple[Model, float] | None  # model of the success less its mean, and the mean; None while failures are few
    cost: tuple[Model, float] | None  # see `logged`; None where all cost the same, or the budget counts trials
    spent: float  # the sum of all costs

    def ranking(self) -> Ints:
        """The points from best to worst, feasible ones first; with several goals front after front, the least crowded
        first."""
        if len(self.goals) == 1:
            return np.lexsort((self.goals[0].raw, ~self.feasible))
        return by_front(np.stack([goal.raw for goal in self.goals], axis=1), (~self.feasible).astype(float))


def surrogate(history: History, weights: Array | None, ladder: bool = False) -> Surrogate:
    """All models of a history in which at least one row did not fail. `weights` (m,), if any, make one goal of several;
    `ladder`: whether results at all rungs count, where there is one goal and no warm start."""
    problem, rows, keys = history.problem, history.rows, history.keys
    ladder = ladder and problem.goals == 1 and rows.curve.shape[1] > 1 and not problem.sources
    features = Features.of(problem.space, ladder)
    m = _PERIOD * ((len(rows) - 1) // _PERIOD)
    counts = (len(rows), m)
    tables = [tabulate(features, rows[:count], keys[:count], weights) for count in counts]
    by_rung = [at_rungs(features, rows[:count], keys[:count], problem.rungs) for count in counts] if ladder else tables
    table = tables[0]
    usable = ~np.isnan(table.Y).any(1)
    excess = np.stack([_where_known(c, _excess) for c in table.C.T], axis=1) if problem.constraints else table.C

    def model(values: Callable[[Table], Array], exact: bool = False, of: Sequence[Table] = tables) -> Model:
        return fitted(features, of, values, exact)

    def goal(j: int) -> GoalModel:
        warped = by_rung[0].warps[j]
        lessons = lessons_of(teachers(problem), table.F[usable], warped.z) if problem.goals == 1 else ()
        made = model(
            lambda t: _where_known(t.Y[:, j], lambda _: t.warps[j].z) - prior_mean(lessons, t.F),
            problem.deterministic,
            by_rung,
        )
        return GoalModel(warped, np.clip(table.Y[usable, j], -HUGE, HUGE), replace(made, lessons=lessons))

    def constraint(k: int) -> ConstraintModel:
        bound = bilog(table.C[~np.isnan(table.C[:, k]), k]).zero
        made = model(lambda t: _where_known(t.C[:, k], lambda c: bilog(c).z), problem.deterministic)
        return ConstraintModel(made, bound, bound + float(excess[_least(excess), k]))

    def success() -> tuple[Model, float]:
        return model(lambda t: _where_known(t.success, lambda rate: rate - rate.mean())), float(table.success.mean())

    def cost() -> tuple[Model, float] | None:
        _, unit = logged(table.cost)
        return (model(lambda t: logged(t.cost)[0]), unit) if unit > 0 else None

    known = np.flatnonzero((~np.isnan(table.C)).any(0))
    return Surrogate(
        features=features,
        weights=weights,
        X=table.X[usable],
        F=table.F[usable],
        feasible=feasible(table)[usable],
        goals=tuple(goal(j) for j in range(table.Y.shape[1])),
        constraints=tuple(constraint(int(k)) for k in known),
        success=success() if rows.failed.sum() >= _FAILURES else None,
        cost=None if problem.cost_budget is None else cost(),
        spent=float(rows.cost.sum()),
    )


def fitted(features: Features, tables: Sequence[Table], values: Callable[[Table], Array], exact: bool) -> Model:
    """The model of `values` (p,) of a table, NaN where unknown. `tables`: of all rows, and of the rows of the last cold
    fit."""
    table, earlier = tables
    before, now = values(earlier), values(table)
    old, known = _known(before), _known(now)
    some = _thin(before, old)
    start = gp.default_start(features.group_count, len(known))
    if len(some) > 1:
        start = gp.cold_fit(_data(features, earlier, before, some, exact))
    # Warm on the same lines and the new ones, so that the fit has little to change.
    some = np.append(some, np.setdiff1d(known, old))
    theta = gp.warm_fit(_data(features, table, now, some, exact), start).x
    return Model(_data(features, table, now, _local(table.F, now, known), exact), theta)


def feasible(table: Table) -> Mask:
    """Which points are known to satisfy every constraint."""
    return np.asarray((table.C <= 0).all(1))


def at_rungs(features: Features, rows: Rows, keys: Sequence[bytes], levels: Sequence[float]) -> Table:
    """One line for each distinct point at each rung (the fidelity's levels) that it has reached."""
    V = carried(rows.curve[:, :, 0])
    i, k = np.nonzero(~np.isnan(V) & ~np.isnan(rows.Y))
    lines = replace(rows[i], Y=V[i, k][:, None])
    at_rung = [keys[row] + rung.to_bytes(2) for row, rung in zip(i.tolist(), k.tolist(), strict=True)]
    place = np.log(np.array(levels) / levels[0]) / np.log(levels[-1] / levels[0])  # from 0 to 1
    return tabulate(features, lines, at_rung, None, place[k])


def tabulate(
    features: Features, rows: Rows, keys: Sequence[bytes], weights: Array | None, rung: Array | None = None
) -> Table:
    """One line for all rows with equal keys, in the order of their first appearance. `rung` (n,), if any, of each row."""
    line, first = distinct(keys)
    failed, results = rows.failed, np.bincount(line, minlength=len(first)).astype(float)
    return Table(
        X=rows.X[first],
        F=features.encode(rows.X[first], None if rung is None else rung[first]),
        Y=_average(scalarised(rows.Y, failed, weights), line, len(first)),
        C=_average(rows.C, line, len(first)),
        cost=np.bincount(line, rows.cost, len(first)) / results,
        results=results,
        success=np.bincount(line, ~failed, len(first)) / results,
    )


def logged(cost: Array) -> tuple[Array, float]:
    """The standardised logarithms (p,) of costs (p,), which are modelled, and how much of the logarithm one unit of them
    is: 0 where all cost the same."""
    seen = cost[cost > 0]
    z = np.log(np.maximum(cost, 0.01 * float(np.median(seen)))) if len(seen) else np.zeros(len(cost))
    unit = float(z.std()) if len(z) else 0.0
    return ((z - z.mean()) / unit, unit) if unit > 1e-6 else (np.zeros(len(cost)), 0.0)


def _average(values: Array, line: Ints, lines: int) -> Array:
    """Means (lines, columns) of the values (n, columns) of each line that are not NaN; NaN where there are none."""
    means = np.empty((lines, values.shape[1]))
    for j, column in enumerate(values.T):
        known = ~np.isnan(column)
        at, of = line[known], np.clip(column[known], -HUGE, HUGE)
        count = np.bincount(at, minlength=lines)
        means[:, j] = np.where(count > 0, np.bincount(at, of / np.maximum(count, 1)[at], lines), np.nan)
    return means


def _excess(c: Array) -> Array:
    """By how much constraint values (n,) exceed 0, in the units of their model."""
    return bilog(c).excess


def _least(excess: Array) -> int:
    """The line of (p, k) that violates constraints least; one where something is unknown only if there is no other."""
    return int(np.nan_to_num(np.maximum(excess, 0.0).sum(1), nan=np.inf).argmin())


def _where_known(values: Array, transform: Callable[[Array], Array]) -> Array:
    """`transform` of those values that are not NaN, in their places."""
    out = values.copy()
    known = ~np.isnan(values)
    if known.any():
        out[known] = transform(values[known])
    return out


def _known(values: Array) -> Ints:
    """The lines whose value is known."""
    return np.flatnonzero(~np.isnan(values))


def _data(features: Features, table: Table, values: Array, lines: Ints, exact: bool) -> gp.Data:
    """Training data from some lines."""
    return gp.Data(table.F[lines], values[lines], 1 / table.results[lines], features.groups, exact)


def _thin(values: Array, known: Ints) -> Ints:
    """At most _FIT of the known lines: a third the best, a third the latest, the rest evenly spread over the others."""
    n, third = len(known), _FIT // 3
    if n <= _FIT:
        return known
    chosen = np.union1d(np.argsort(values[known], kind="stable")[:third], np.arange(n - third, n))
    return known[np.union1d(chosen, _spread(n, chosen, _FIT - len(chosen)))]


def _local(F: Array, values: Array, known: Ints) -> Ints:
    """The known lines; of more than _LOCAL, those nearest to the best one, the best ones, and some spread over the others."""
    n = len(known)
    if n <= _LOCAL:
        return known
    best = np.argsort(values[known], kind="stable")
    near = np.argsort(((F[known] - F[known[best[0]]]) ** 2).sum(1), kind="stable")[:_NEAREST]
    chosen = np.union1d(near, best[:_BEST])
    return known[np.union1d(chosen, _spread(n, chosen, _SPREAD))]


def _spread(n: int, without: Ints, count: int) -> Ints:
    others = np.setdiff1d(np.arange(n), without)
    return others[np.linspace(0, len(others) - 1, count).astype(np.intp)]
