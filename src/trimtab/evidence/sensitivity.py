"""How far each parameter may move from the best setting, and what a reader should be warned of.

The safe range of a parameter holds the values, the others being those of the best, whose predicted loss is within one
standard error of the best's: that of the model at the best, or 1 % of the spread of the results where that is larger. A
value with which a constraint is expected to break, or trials to fail, does not belong to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..canonical import same_setting
from ..formatting import number, plural, value
from ..space import Choice, Params, Space
from ..space.parameters import Value, live_cells
from ..space.scales import Scale, centres
from .belief import Belief
from .calibration import Calibration

GRID = 65
_EDGE = 0.02  # of the range: nearer to a bound counts as being there
_TINY = 1e-9  # positions that differ by less are the same
_NEAR = 0.05  # of the range: neighbours that a stable best should not differ from
_NEIGHBOURS = 128


@dataclass(frozen=True)
class Safe:
    """The safe range of a parameter: from `low` to `high` (numbers), or `options` (choices); `width` is its share of the
    range, `at` the best's value, `edge` whether that lies at a bound ("low", "high" or "")."""

    name: str
    at: Value
    low: Value
    high: Value
    options: tuple[Value, ...]
    width: float
    edge: str


@dataclass(frozen=True)
class Finding:
    """Something that a reader should know: `kind` is "edge", "unstable", "noise", "model" or "indifferent"."""

    kind: str
    params: tuple[str, ...]
    text: str


def safe_ranges(belief: Belief, best: Params, bounds: Sequence[Belief] = ()) -> list[Safe]:
    """The safe range of every parameter that is active at the best, in the order of the space.

    bounds: models of what may not be above zero, such as the excess over a constraint's limit.
    """
    space = belief.space
    row = space.encode([best])[0]
    mean, sd = belief.predict(row[None])
    ceilings = [(belief, float(mean[0]) + max(float(sd[0]), 0.01 * belief.unit))]
    ceilings += [(bound, max(0.0, float(bound.predict(row[None])[0][0]))) for bound in bounds]
    return [_safe(space, row, int(j), ceilings) for j in np.flatnonzero(~np.isnan(row))]


def _safe(space: Space, row: Array, j: int, ceilings: Sequence[tuple[Belief, float]]) -> Safe:
    """ceilings: models, and the largest value of each that is safe."""
    rows, positions = _slice(space, row, j)
    inside = np.all([model.predict(rows)[0] <= ceiling for model, ceiling in ceilings], axis=0)
    here = int(np.argmin(np.abs(positions - row[j])))
    inside[here] = True
    name = space.names[j]
    p = space.params[name]
    at, *values = (p.value(float(v)) for v in p.scale.numbers(np.append(row[j], positions)))
    if space.unordered[j]:
        options = tuple(v for v, ok in zip(values, inside, strict=True) if ok)
        return Safe(name, at, None, None, options, len(options) / len(values), "")
    outside = np.flatnonzero(~inside)
    first = int(outside[outside < here].max(initial=-1)) + 1
    last = int(outside[outside > here].min(initial=len(values))) - 1
    at_end = edge(space, row, j) if len(values) > 2 else ""
    return Safe(name, at, values[first], values[last], (), (last - first + 1) / len(values), at_end)


def holds(s: Safe, p: Choice, option: Value) -> bool:
    """Whether an option of the choice p is in its safe range. True is not 1, so that codes are compared."""
    if s.options:
        return p.code(option) in map(p.code, s.options)
    return p.code(s.low) <= p.code(option) <= p.code(s.high)


def edge(space: Space, row: Array, j: int) -> str:
    """The end of its range at which the row's value of column j lies, "low" or "high": within 2 % of it, or its last value.

    "" elsewhere, for a retired option, an inactive parameter, and one with fewer than three values or without an order.
    """
    cells = live_cells(space.params[space.names[j]])  # without retired options, which have the last ones
    if space.unordered[j] or cells < 3:
        return ""
    first, last = centres(_scale(space, j), np.array([0.0, cells - 1])) if np.isfinite(cells) else (0.0, 1.0)
    low, high = max(_EDGE, first + _TINY), min(1 - _EDGE, last - _TINY)
    return "low" if row[j] <= low else "high" if high <= row[j] <= last + _TINY else ""


def _scale(space: Space, j: int) -> Scale:
    return space.params[space.names[j]].scale


def _slice(space: Space, row: Array, j: int) -> tuple[Array, Array]:
    """The row with every value of column j, or with its own and GRID others; and their positions. Parameters that only
    another value makes active are set to the middle of their ranges."""
    cells = space.cells[j]
    few = np.isfinite(cells) and (cells <= GRID or space.unordered[j])
    many = np.union1d(np.linspace(0.0, 1.0, GRID), row[j])
    positions = centres(_scale(space, j), np.arange(cells)) if few else many
    rows = np.repeat(row[None], len(positions), axis=0)
    rows[:, j] = positions
    rows = space.snap(rows)
    allowed = space.allowed(rows)
    if not space.allowed(row[None])[0]:  # a revision has ruled the best out: its other values say nothing of this one's
        allowed[:] = True
    allowed[np.argmin(np.abs(positions - row[j]))] = True
    return rows[allowed], rows[allowed, j]


def findings(
    belief: Belief,
    best: Params,
    baseline: Params | None,
    calibration: Calibration,
    safe: Sequence[Safe],
) -> list[Finding]:
    """What the results warn of: a model that errs, noise, an unstable best, values at the edge of their ranges.

    What is said of the model comes first, since all the rest is what the model says. safe: the safe ranges around the best.
    """
    unstable = _unstable(belief, best, baseline)
    return [
        *(Finding("model", (), text) for text in _model_errors(calibration)),
        *(Finding("noise", (), text) for text in _noise(belief)),
        *([Finding("unstable", (), unstable)] if unstable else []),
        *(found for s in safe if (found := _of_parameter(s)) is not None),
    ]


def _model_errors(calibration: Calibration) -> list[str]:
    said = []
    if calibration.n >= 20 and not calibration.honest:
        said.append(
            f"the model errs: {number(100 * calibration.inside, 2)} % of {plural(calibration.n, 'result')} lie in its 90 % "
            "intervals when each is left out; read what it says with care"
        )
    if not calibration.predictive:
        said.append(
            f"the model predicts a result hardly better than the mean of the others does (R² {number(calibration.r2, 2)}): "
            "what it says of parameters may be chance"
        )
    return said


def _noise(belief: Belief) -> list[str]:
    if not belief.noisy:
        return []
    share = number(100 * belief.share, 2)
    return [f"one result varies by ±{number(belief.noise, 2)} by chance: {share} % of the variance is noise"]


def _of_parameter(s: Safe) -> Finding | None:
    if s.low == s.high and len(s.options) < 2 and s.width >= 0.999:  # it has no other value
        return None
    if s.edge:
        said = (
            f"{s.name}: the best value {value(s.at)} is at the {s.edge} end of its range; better ones may lie beyond it"
        )
        return Finding("edge", (s.name,), said)
    if s.width >= 0.999:
        said = f"{s.name}: any value does as well, the others being those of the best"
        return Finding("indifferent", (s.name,), said)
    return None


def _unstable(belief: Belief, best: Params, baseline: Params | None) -> str | None:
    """Whether small changes of all parameters at once may cost half of the gain over the baseline."""
    if baseline is None or same_setting(baseline, best):
        return None
    space = belief.space
    row, first = space.encode([best, baseline])
    moves = np.random.default_rng(0).uniform(-_NEAR, _NEAR, (_NEIGHBOURS, len(row)))
    moves[:, space.unordered] = 0.0
    near = space.snap(np.clip(row + moves, 0.0, 1.0))
    near = near[space.allowed(near)]
    if not len(near):
        return None
    mean, _ = belief.predict(np.concatenate([row[None], first[None], near]))
    gain, lost = mean[1] - mean[0], float(np.quantile(mean[2:] - mean[0], 0.9))
    if gain <= 0 or lost < gain / 2:
        return None
    return (
        f"the best setting is unstable: moving every number by up to 5 % of its range may cost {number(lost, 2)} of the "
        f"{number(float(gain), 2)} gained over the baseline"
    )
