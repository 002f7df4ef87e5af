"""The columns that a Gaussian process sees, made from the columns of the unit cube.

A numeric parameter or an ordered choice is one column (0.5 where inactive). An unordered choice is one-hot / sqrt 2
with one lengthscale for all its columns, so that two different options are at squared distance 1 (first option where
inactive). A model of several rungs of a fidelity sees the rung in one more column, the last. Notation: d parameters, N of
them numeric, C feature columns: the N numeric ones first.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..space import Space
from . import Array

Ints = NDArray[np.intp]
Mask = NDArray[np.bool_]

_COORDINATE = float(np.sqrt(0.5))


@dataclass(frozen=True)
class Features:
    """How rows (n, d) of the unit cube become features (n, C); `groups` (C,) is the parameter of each column."""

    numeric: Ints  # (N,) columns of the cube
    choices: tuple[tuple[int, int, int], ...]  # (column of the cube, first feature column, options)
    groups: Ints
    rung: bool = False  # whether there is a column of the rung: from 0, the first one, to 1, the top

    @staticmethod
    def of(space: Space, rung: bool = False) -> "Features":
        numeric = np.flatnonzero(~space.unordered)
        groups, choices = list(numeric), []
        for column in np.flatnonzero(space.unordered):
            options = int(space.cells[column])
            choices.append((int(column), len(groups), options))
            groups += [column] * options
        groups += [np.intp(len(space))] * rung
        return Features(numeric, tuple(choices), np.array(groups, dtype=np.intp), rung)

    def encode(self, X: Array, rung: Array | None = None) -> Array:
        """Features of rows at a rung (n,), at the top unless said."""
        F = np.zeros((len(X), len(self.groups)))
        values = X[:, self.numeric]
        F[:, : len(self.numeric)] = np.where(np.isnan(values), 0.5, values)
        rows = np.arange(len(X))
        for column, first, options in self.choices:
            level = np.where(np.isnan(X[:, column]), 0.0, X[:, column] * options).astype(np.intp)
            F[rows, first + np.minimum(level, options - 1)] = _COORDINATE
        if self.rung:
            F[:, -1] = 1.0 if rung is None else rung
        return F
