"""The unit cube of a space's parameters: the cells of each column, which columns are active, and which rows mean the same.

Notation: d parameters, n rows; X (n, d) and S (n, d) as in `space`.
"""

import math
from collections.abc import Mapping

import numpy as np

from ..arrays import Array, Mask, within
from ..errors import SpaceError
from .conditions import gates, order
from .parameters import Parameter, live_cells
from .scales import LogIntegers, centres, grouped


class Cube:
    """The columns of parameters, as declared. SpaceError: conditions that cannot be."""

    def __init__(self, params: Mapping[str, Parameter]) -> None:
        self.params = tuple(params.values())
        self.gates = gates(params)
        self.order = order(tuple(params), self.gates)  # parents first
        self.scales = [p.scale for p in self.params]
        self.cells = np.array([s.cells for s in self.scales])  # (d,) retired options included; inf if continuous
        self.live = [live_cells(p) for p in self.params]  # of each column, as a number of cells
        shares = [n / k if n < k else 1.0 for n, k in zip(self.live, self.cells.tolist(), strict=True)]
        self.share = np.array(shares)  # of each column that is live: retired options have the last cells
        self.whole = bool((self.share == 1.0).all())  # no option is retired
        self._grouped = grouped(self.scales)
        self._logs = [j for j, scale in enumerate(self.scales) if isinstance(scale, LogIntegers)]

    def fitting(self, X: Array) -> Array:
        """X, if it has a column for each parameter."""
        X, d = np.asarray(X, dtype=float), len(self.params)
        if X.ndim != 2 or X.shape[1] != d:
            raise SpaceError(f"rows of shape {X.shape} don't fit the space; give (n, {d})")
        return X

    def filled(self, X: Array) -> Array:
        """S: X with NaN as 0.5, and every entry at the centre of its cell, active or not."""
        X = self.fitting(X)
        S = within(np.where(np.isnan(X), 0.5, X), 0.0, 1.0)
        logs = S[:, self._logs]
        finite = np.isfinite(self.cells)
        k = self.cells[finite]
        S[:, finite] = (np.minimum(np.floor(S[:, finite] * k), k - 1.0) + 0.5) / k
        for column, j in enumerate(self._logs):
            scale = self.scales[j]
            S[:, j] = scale.position(scale.numbers(logs[:, column]))
        return S

    def active(self, S: Array) -> Mask:
        """Which parameters are active (n, d)."""
        active = np.ones(S.shape, dtype=bool)
        for j in self.order:
            for gate in self.gates[j]:
                code = self.scales[gate.parent].numbers(S[:, gate.parent])
                active[:, j] &= active[:, gate.parent] & gate.opens(code)
        return active

    def numbers(self, S: Array) -> Array:
        """The number (n, d) at each position, on its column's scale."""
        V = np.empty_like(S)
        for columns, scale in self._grouped:
            V[:, columns] = scale.numbers(S[:, columns])
        return V

    def keys(self, X: Array) -> list[bytes]:
        """The identities of rows X: equal for rows that mean the same setting (floats to 1e-9)."""
        S = self.filled(X)
        active = self.active(S)
        for columns, scale in self._grouped:
            if scale.cells == math.inf:  # by way of the numbers: what encodes equal params has equal keys
                S[:, columns] = np.round(scale.position(scale.numbers(S[:, columns])), 9)
        return [row.tobytes() for row in np.where(active, S + 0.0, -1.0)]

    def centres(self, j: int, i: Array) -> Array:
        """The centres of cells i (m,) of column j."""
        return centres(self.scales[j], i)
