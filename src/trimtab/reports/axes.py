"""How a parameter lies on an axis: positions of trials on it, and its ticks."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arrays import Array
from ..formatting import cut, value
from ..records import StudySpec, Trial
from ..space import Choice, Parameter
from ..space.parameters import Value
from .style import label

_MARKS = 5  # on a logarithmic axis, at most


def encoded(spec: StudySpec, trials: Sequence[Trial]) -> Array:
    """(n, d) rows of the unit cube, NaN if inactive."""
    return np.asarray(spec.encode(t.params for t in trials)).reshape(len(trials), len(spec.space))


def positions(spec: StudySpec, name: str, trials: Sequence[Trial]) -> list[float]:
    """Positions of trials in which the parameter is active: the value; for a choice the option's index, jittered by
    trial number."""
    p = spec.space.params[name]
    codes = [p.code(spec.current(t.params)[name]) for t in trials]
    if not isinstance(p, Choice):
        return codes
    spread = [(t.number * 0.618034) % 1 - 0.5 for t in trials]  # the golden ratio: neighbours in time lie apart
    return [code + 0.4 * s for code, s in zip(codes, spread, strict=True)]


def position(p: Parameter, v: Value) -> float:
    """The position of a value between the ends of its parameter's range, on the parameter's own scale."""
    return round(float(p.scale.position(np.array([p.code(v)]))[0]), 4)


def axis(spec: StudySpec, name: str) -> dict[str, Any]:
    """Plotly's description of the parameter's own axis."""
    p = spec.space.params[name]
    if isinstance(p, Choice):
        k = len(p.values)
        names = [_short(v) for v in p.values]
        return {"tickvals": list(range(k)), "ticktext": names, "range": [-0.5, k - 0.5], "showgrid": False}
    if not p.log:
        margin = 0.04 * (p.high - p.low) or 0.5
        return {"range": [p.low - margin, p.high + margin], "nticks": 6}
    low, high = math.log10(p.low), math.log10(p.high)
    margin = 0.04 * (high - low) or 0.5
    marks = _marks(p.low, p.high)
    texts = [value(v) for v in marks]
    return {"type": "log", "range": [low - margin, high + margin], "tickvals": marks, "ticktext": texts}


def _marks(low: float, high: float) -> list[float]:
    """Round numbers between two positive ones, evenly spread on the logarithmic scale: powers of ten, or 1 and 3 times
    these, or more if they are few; both ends if there are none."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for heads in ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10))):
        found = [float(f"{head}e{k}") for k in powers for head in heads if low <= float(f"{head}e{k}") <= high]
        if len(found) >= 3:
            break
    return found[:: math.ceil(len(found) / _MARKS)] if found else [low, high]


def ticks(spec: StudySpec, name: str) -> list[tuple[float, str]]:
    """(height in the unit cube, text) of a few marks on the parameter's column."""
    p = spec.space.params[name]
    if isinstance(p, Choice):
        k = len(p.values)
        return [((i + 0.5) / k, _short(v)) for i, v in enumerate(p.values)] if k <= 12 else []
    return [(0.0, label(value(p.low))), (1.0, label(value(p.high)))]


def _short(v: object) -> str:
    return label(cut(value(v), 14))
