"""The feature columns of a Gaussian process, made from the columns of the unit cube.

A numeric parameter or an ordered choice is one column (0.5 if inactive). An unordered choice is one-hot / sqrt 2 with
one lengthscale for all its columns, so that two different options are at squared distance 1 (first option if inactive).
Choices that offer the same three or more options, such as the operations on the edges of a network, share another group
of columns: how many of them took each option, because an option often has the same effect in several places. A model of
several rungs of a fidelity has the rung as its last column.

Notation: d parameters, N of them numeric, C feature columns: the N numeric ones first.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..arrays import Array, Ints
from ..errors import SpecError
from ..space import Choice, Space

MOST = 5000  # options of unordered choices in a model: then `gp` takes 0.2 GB, `tpe` 0.7 GB, `study.outlook()` 1 GB

_COORDINATE = float(np.sqrt(0.5))
_COMMON = 2.0  # the weight of counts, chosen by measurement
_OPTIONS = 3  # flags that are on or off have seldom much in common


def too_wide(space: Space) -> bool:
    """Whether a space has too many options for a model."""
    return bool(space.cells[space.unordered].sum() > MOST)


def check_width(space: Space, name: str, instead: str = "evolution") -> None:
    """Raises SpecError if a space has too many options for the models of the strategy of that name. instead: one that needs
    no model."""
    if too_wide(space):
        counts = {n: int(space.cells[j]) for j, n in enumerate(space.names) if space.unordered[j]}
        widest = max(counts, key=lambda n: counts[n])
        raise SpecError(
            f"{widest}: {counts[widest]:,} options are too many for the models of strategy={name!r}: unordered choices may "
            f"have {MOST:,} in all; write ordered=True if neighbours are alike, or take strategy={instead!r}"
        )


@dataclass(frozen=True)
class Coded:
    """Where an unordered choice is encoded: its column of the cube, its first feature column, its number of options."""

    column: int
    first: int
    options: int


@dataclass(frozen=True)
class Counted:
    """Choices with the same options, and the first of the feature columns that count these."""

    first: int
    members: tuple[Coded, ...]


@dataclass(frozen=True)
class Features:
    """How rows (n, d) of the unit cube become features (n, C). `groups` (C,) says which columns share a lengthscale:
    those of the parameter of that number; from d on, counts and the rung."""

    numeric: Ints  # (N,) columns of the cube
    choices: tuple[Coded, ...]
    counts: tuple[Counted, ...]
    groups: Ints
    rung: bool = False  # whether there is a column of the rung: from 0, the first one, to 1, the top

    @staticmethod
    @lru_cache(maxsize=64)
    def of(space: Space, rung: bool = False) -> "Features":
        numeric = np.flatnonzero(~space.unordered)
        groups, choices = [*numeric.tolist()], []
        offering: dict[str, list[Coded]] = {}
        for column, parameter in enumerate(space.params.values()):
            if isinstance(parameter, Choice) and space.unordered[column]:
                coded = Coded(column, len(groups), int(space.cells[column]))
                choices.append(coded)
                offering.setdefault(repr(parameter.options), []).append(coded)
                groups += [column] * coded.options
        counts = []
        for members in offering.values():
            if len(members) > 1 and members[0].options >= _OPTIONS:
                counts.append(Counted(len(groups), tuple(members)))
                groups += [len(space) + len(counts) - 1] * members[0].options
        groups += [len(space) + len(counts)] * rung
        return Features(numeric, tuple(choices), tuple(counts), np.array(groups, dtype=np.intp), rung)

    @property
    def group_count(self) -> int:
        """The number of groups of columns, each of which has one lengthscale."""
        return int(self.groups.max()) + 1

    def encode(self, X: Array, rung: Array | None = None) -> Array:
        """Features of rows at a rung (n,); default: the top."""
        F = np.zeros((len(X), len(self.groups)))
        values = X[:, self.numeric]
        F[:, : len(self.numeric)] = np.where(np.isnan(values), 0.5, values)
        rows = np.arange(len(X))
        for c in self.choices:
            level = np.where(np.isnan(X[:, c.column]), 0.0, X[:, c.column] * c.options).astype(np.intp)
            F[rows, c.first + np.minimum(level, c.options - 1)] = _COORDINATE
        for counted in self.counts:
            # An inactive one counts for nothing.
            taken = [~np.isnan(X[:, c.column, None]) * F[:, c.first : c.first + c.options] for c in counted.members]
            F[:, counted.first : counted.first + taken[0].shape[1]] = _COMMON / np.sqrt(len(taken)) * sum(taken)
        if self.rung:
            F[:, -1] = 1.0 if rung is None else rung
        return F
