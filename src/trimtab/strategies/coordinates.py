"""The coordinates in which an evolution strategy moves, made from the columns of the unit cube.

Reals and ordered columns of more than two cells are numbers; unordered choices and columns of two cells are categories;
a column of one cell is left out. Notation: d columns of the cube, N numbers, M categories, n rows; V (n, N) numbers,
not necessarily rounded, Z (n, M) options.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..arrays import Array, Ints
from ..space import Space
from ..space.parameters import live_cells
from ..space.scales import LogIntegers


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Which columns are numbers and which are categories, and how both become rows (n, d)."""

    width: int  # d
    numbers: Ints  # (N,) columns of the cube
    cells: Array  # (N,) of each, inf for a real
    live: Array  # (N,) cells that are not retired
    logs: tuple[tuple[int, LogIntegers], ...]  # the numbers whose cells are unequal
    categories: Ints  # (M,) columns of the cube
    options: Ints  # (M,) of each, without retired ones
    cuts: Array  # (M,) cells of the column, with retired ones

    @staticmethod
    @lru_cache(maxsize=8)
    def of(space: Space) -> "Coordinates":
        params = list(space.params.values())
        cells = space.cells
        live = np.array([live_cells(p) for p in params])
        category = (live >= 2) & (space.unordered | (live == 2))
        numbers, categories = np.flatnonzero((live >= 2) & ~category), np.flatnonzero(category)
        scales = [params[j].scale for j in numbers]
        logs = tuple((i, s) for i, s in enumerate(scales) if isinstance(s, LogIntegers))
        options = live[categories].astype(np.intp)
        return Coordinates(
            len(space), numbers, cells[numbers], live[numbers], logs, categories, options, cells[categories]
        )

    def __len__(self) -> int:
        return len(self.numbers) + len(self.categories)

    @property
    def discrete(self) -> tuple[int, int]:
        """The number of integers and of categories."""
        return int(np.isfinite(self.cells).sum()), len(self.categories)

    @property
    def box(self) -> tuple[Array, Array]:
        """Bounds of a mean, (N,) and (N,): a real in [0, 1]; an integer may also lie beyond the cell at its end, which
        it then means."""
        real = np.isinf(self.cells)
        return np.where(real, 0.0, -np.inf), np.where(real, 1.0, np.inf)

    def rows(self, V: Array, Z: Ints) -> Array:
        """Rows X (n, d) of the cube, not snapped."""
        X = np.full((len(V), self.width), 0.5)
        finite = np.isfinite(self.cells)
        top = np.ones(len(self.cells))
        top[finite] = (self.live[finite] - 0.5) / self.cells[finite]
        X[:, self.numbers] = np.clip(V, 0.0, np.where(self.live < self.cells, top, 1.0))
        X[:, self.categories] = (Z + 0.5) / self.cuts
        return X

    def parts(self, X: Array, v: Array, z: Ints) -> tuple[Array, Ints]:
        """V and Z of snapped rows X (n, d), with v and z for inactive columns; (N,) and (M,), or one for each row."""
        V, Z = X[:, self.numbers], X[:, self.categories] * self.cuts
        last = self.options - 1
        return np.where(np.isnan(V), v, V), np.where(np.isnan(Z), z, np.clip(np.nan_to_num(Z), 0, last)).astype(np.intp)

    def edges(self, v: Array) -> tuple[Array, Array]:
        """The ends (N,) of the cells of v (N,): infinite at the ends of a range and for reals."""
        finite = np.isfinite(self.cells)
        k = np.where(finite, self.cells, 1.0)
        i = np.clip(np.floor(v * k), 0.0, self.live - 1)
        first, last = i == 0, i == self.live - 1
        low, up = i / k, (i + 1) / k
        for j, scale in self.logs:
            value = scale.numbers(v[j : j + 1])
            low[j], up[j] = (float(scale.position(value + side)[0]) for side in (-0.5, 0.5))
            first[j], last[j] = value[0] == scale.low, value[0] == scale.high
        return np.where(finite & ~first, low, -np.inf), np.where(finite & ~last, up, np.inf)
