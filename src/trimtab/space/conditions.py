"""When a parameter is active: the graph defined by the `when` arguments.

Columns are numbered as declared. A gate of column j names a parent column and the codes (numbers on the parent's scale)
that open it; j is active if all its gates are open and all their parents active.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import Array, Mask
from ..errors import SpaceError, nearest
from .parameters import Parameter


@dataclass(frozen=True)
class Gate:
    """A parent column and the codes that let the child be active."""

    parent: int
    codes: tuple[float, ...]

    def opens(self, code: Array) -> Mask:
        """Which of the codes of the parent let the child be active."""
        return np.isin(code, self.codes)


Gates = tuple[tuple[Gate, ...], ...]  # for every column


def gates(params: Mapping[str, Parameter]) -> Gates:
    """The gates of every column. SpaceError: a parent that is unknown, itself or continuous; a value that it can't
    take."""
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


def never_together(columns: Sequence[int], gates: Gates) -> bool:
    """Whether the columns are never all active, because they, or parents of theirs, need disjoint codes of one parent."""
    open_: dict[int, set[float]] = {}
    waiting, met = [*columns], set[int]()
    while waiting:
        j = waiting.pop()
        for gate in () if j in met else gates[j]:
            open_[gate.parent] = open_.get(gate.parent, {*gate.codes}) & {*gate.codes}
            waiting.append(gate.parent)
        met.add(j)
    return not all(open_.values())


def order(names: Sequence[str], gates: Gates) -> tuple[int, ...]:
    """The columns with parents first, otherwise as declared. SpaceError: a cycle, with its path."""
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
