"""Finding allowed rows if they are rare: a bounded search at definition, a random walk when sampling.

Notation: rows (n, d) of the unit cube, m requirements. A space is seen as a function that judges rows.
"""

from collections.abc import Callable, Mapping

import numpy as np

from ..arrays import Array, Mask

_ENOUGH = 64  # rows that must satisfy each requirement, and all together, for the search to end
_ROUNDS = 3  # of the bounded search
_STARTS = 16  # rows from which a round starts
_COLUMNS = 12  # columns that a round changes, one at a time
_POSITIONS = 512  # positions that it tries in each column
_STEPS = 30  # of the random walk


def along_columns(
    rows: Array, judge: Callable[[Array], Mask], positions: Mapping[int, Array], rng: np.random.Generator
) -> Array:
    """`rows`, plus others that differ from the best in one column if few of them satisfy the requirements.

    `judge` gives (n, m); `positions` those to try in each column that a requirement names. One column at a time is
    enough for thin sets such as a + b == 100.
    """
    for _ in range(_ROUNDS):
        judged = judge(rows)
        if min(judged.sum(axis=0).min(), judged.all(axis=1).sum()) >= _ENOUGH:
            break
        starts = rows[np.argsort(-judged.sum(axis=1), kind="stable")[:_STARTS]]
        found = [rows]
        for j in rng.permutation(list(positions))[:_COLUMNS]:
            tries = np.repeat(starts, len(positions[j]), axis=0)
            tries[:, j] = np.tile(positions[j], len(starts))
            found.append(tries)
        rows = np.concatenate(found)
    return rows


def places(cells: float, also: Array, rng: np.random.Generator) -> Array:
    """Positions to try in a column: all its cells if they are few, else the ends, `also`, and many at random."""
    if cells <= _POSITIONS:
        return np.asarray((np.arange(int(cells)) + 0.5) / cells)
    return np.concatenate([also, [0.0, 1.0], rng.random(_POSITIONS)])


def walk(starts: Array, judge: Callable[[Array], Mask], unordered: Mask, rng: np.random.Generator) -> Array:
    """Allowed rows (n, d): the end of one random walk from each of the allowed rows `starts` (n, d). `judge` gives
    (n,).

    Metropolis steps of random length in random columns, with reflection at the faces of the cube: symmetric, so that
    the stationary distribution is uniform on the part of the allowed region that the walk can reach.
    """
    n, d = starts.shape
    rows = np.where(np.isnan(starts), rng.random((n, d)), starts)
    for _ in range(_STEPS):
        moved = rng.random((n, d)) < rng.random((n, 1))
        length = 10.0 ** (-4.0 * rng.random((n, 1)))
        step = np.where(unordered, rng.random((n, d)), rows + length * rng.standard_normal((n, d)))
        tries = np.where(moved, 1.0 - np.abs(1.0 - np.abs(step) % 2.0), rows)
        rows = np.where(judge(tries)[:, None], tries, rows)
    return rows
