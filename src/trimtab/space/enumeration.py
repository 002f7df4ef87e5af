"""The number of settings of a space, with or without requirements, and all of them, in blocks of rows."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ..arrays import Array
from .conditions import Gates
from .cube import Cube
from .parameters import is_live

_BLOCK = 4_096  # rows at once


def count(cube: Cube) -> int | float:
    """The number of distinct settings, or inf. Unconnected parts of the graph are counted separately."""
    params, gates = cube.params, cube.gates
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
        live = cube.live[first]
        if live == math.inf:
            return math.inf
        if not rest:
            return int(live)
        special = [code for code in sorted(listed.get(first, ())) if is_live(params[first], code)]
        others = _times(int(live) - len(special), total(rest, {**known, first: -math.inf}))
        return sum((total(rest, {**known, first: code}) for code in special), others)

    return total(cube.order, {})


def _times(a: int | float, b: int | float) -> int | float:
    if a == 0 or b == 0:
        return 0
    return math.inf if math.inf in (a, b) else a * b


def _parts(columns: tuple[int, ...], gates: Gates) -> list[tuple[int, ...]]:
    """`columns` split into connected parts; the order within each part is kept."""
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


def rows(cube: Cube) -> Iterator[Array]:
    """Every setting of live values as a row (n, d), in blocks."""
    return _blocks(cube, np.full((1, len(cube.params)), np.nan), cube.order)


def _blocks(cube: Cube, X: Array, columns: Sequence[int]) -> Iterator[Array]:
    """Rows X with every combination of live cells in `columns`, whose parents are in X or come first."""
    if not columns:
        yield X
        return
    j, rest = columns[0], columns[1:]
    live, active = cube.live[j], cube.active(cube.filled(X))[:, j]
    size = int(max(1, _BLOCK // live))
    for first in range(0, len(X), size):
        part = slice(first, first + size)
        k = int(live) if active[part].any() else 1
        for start in range(0, k, _BLOCK):
            times = np.where(active[part], min(_BLOCK, k - start), int(start == 0))
            rows = np.repeat(X[part], times, axis=0)
            i = start + np.arange(len(rows)) - np.repeat(np.cumsum(times) - times, times)
            rows[:, j] = np.where(np.repeat(active[part], times), cube.centres(j, i.astype(float)), np.nan)
            yield from _blocks(cube, rows, rest)
