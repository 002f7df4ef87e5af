"""When a parameter is active: the graph that the `when` arguments draw.

Columns are numbered as declared. A gate of column j names a parent column and the codes (numbers on the parent's
scale) that open it; j is active where all its gates are open and all their parents active.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import SpaceError, nearest
from .parameters import Choice, Parameter
from .scales import Array

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Gate:
    """A parent column and the codes that let the child be active."""

    parent: int
    codes: tuple[float, ...]

    def opens(self, code: Array) -> Mask:
        open_ = np.zeros(code.shape, dtype=bool)
        for wanted in self.codes:
            open_ |= code == wanted
        return open_


Gates = tuple[tuple[Gate, ...], ...]  # for every column


def gates(params: Mapping[str, Parameter]) -> Gates:
    """The gates of every column. SpaceError: parent unknown, itself or continuous; a value that it can't take."""
    index = {name: j for j, name in enumerate(params)}
    return tuple(
        tuple(_gate(name, parent, values, params, index) for parent, values in child.when.items())
        for name, child in params.items()
    )


def _gate(
    name: str, parent: str, values: Sequence[object], params: Mapping[str, Parameter], index: Mapping[str, int]
) -> Gate:
    if parent == name:
        raise SpaceError(f"{name}: when={{{parent!r}: ...}} names the parameter itself; name another one")
    if parent not in params:
        others = [other for other in params if other != name]
        raise SpaceError(f"{name}: when names {parent!r}, which is not a parameter{nearest(str(parent), others)}")
    if not values:
        raise SpaceError(f"{name}: when={{{parent!r}: []}} never holds; list the values that make {name} active")
    above = params[parent]
    if above.scale.cells == math.inf:
        raise SpaceError(
            f"{name}: when names {parent!r}, which is continuous; use a Choice, an Int or a Float with step"
        )
    codes = [above.code(above.clean(f"{name}: when {parent!r}", value)) for value in values]
    return Gate(index[parent], tuple(dict.fromkeys(codes)))


def order(names: Sequence[str], gates: Gates) -> tuple[int, ...]:
    """The columns, parents first, else as declared. SpaceError: a cycle, with its path."""
    done: dict[int, None] = {}

    def visit(j: int, path: tuple[int, ...]) -> None:
        if j in path:
            cycle = " -> ".join(names[i] for i in (*path[path.index(j) :], j))
            raise SpaceError(f"{names[j]}: the conditions form a cycle: {cycle}; remove one of them")
        if j not in done:
            for gate in gates[j]:
                visit(gate.parent, (*path, j))
            done[j] = None

    for j in range(len(names)):
        visit(j, ())
    return tuple(done)


def live_cells(p: Parameter) -> float:
    """How many values of p can be proposed; inf if continuous."""
    return float(len(p.options)) if isinstance(p, Choice) else p.scale.cells


def count(params: Sequence[Parameter], gates: Gates, order: Sequence[int]) -> int | float:
    """The number of distinct configurations, or inf. Parts of the graph that don't meet are counted on their own."""
    listed: dict[int, set[float]] = {}
    for gate in (gate for column in gates for gate in column):
        listed.setdefault(gate.parent, set()).update(gate.codes)

    def total(columns: tuple[int, ...], known: Mapping[int, float]) -> int | float:
        product: int | float = 1
        for part in _parts(columns, gates):
            product = _times(product, connected(part, known))
        return product

    def connected(part: tuple[int, ...], known: Mapping[int, float]) -> int | float:
        first, rest = part[0], part[1:]  # parents come first, so the activity of `first` is known
        if not all(known[gate.parent] in gate.codes for gate in gates[first]):
            return total(rest, {**known, first: math.nan})
        live = live_cells(params[first])
        if live == math.inf:
            return math.inf
        if not rest:
            return int(live)
        special = [code for code in sorted(listed.get(first, ())) if _is_live(params[first], code)]
        others = _times(int(live) - len(special), total(rest, {**known, first: -math.inf}))
        return sum((total(rest, {**known, first: code}) for code in special), others)

    return total(tuple(order), {})


def _is_live(p: Parameter, code: float) -> bool:
    return not isinstance(p, Choice) or code < len(p.options)


def _times(a: int | float, b: int | float) -> int | float:
    if a == 0 or b == 0:
        return 0
    return math.inf if math.inf in (a, b) else a * b


def _parts(columns: tuple[int, ...], gates: Gates) -> list[tuple[int, ...]]:
    """`columns` split where no gate connects them; the order within each part is kept."""
    label = {j: j for j in columns}
    for j in columns:
        for gate in gates[j]:
            if gate.parent in label:
                old, new = label[j], label[gate.parent]
                label = {i: new if part == old else part for i, part in label.items()}
    parts: dict[int, list[int]] = {}
    for j in columns:
        parts.setdefault(label[j], []).append(j)
    return [tuple(part) for part in parts.values()]
