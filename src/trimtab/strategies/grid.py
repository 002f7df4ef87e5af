"""Grid search: every point of a finite space once, in an order that covers the space wherever it is cut off."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..arrays import Array
from ..errors import SpecError
from . import History, Problem, Proposal, Rows
from .points import Taken, size, sobol_points, unseen


@dataclass(frozen=True)
class Grid:
    """All points of a finite space in the order in which a Sobol sequence meets their cells; stragglers at random."""

    name: str = "grid"
    version: str = "1"
    honours: ClassVar[frozenset[str]] = frozenset()
    learns: ClassVar[bool] = False

    def init(self, problem: Problem) -> History:
        """Raises SpecError if the space is infinite."""
        space = problem.space
        if size(space) == math.inf:
            endless = [name for name, cells in zip(space.names, space.cells, strict=True) if np.isinf(cells)]
            raise SpecError(
                f"strategy='grid' needs a finite space; continuous: {', '.join(endless)}; "
                "give each a step=, make it an Int or a Choice, or take strategy='sobol'"
            )
        return History.start(problem)

    def tell(self, state: History, rows: Rows) -> History:
        return state.with_rows(rows)

    def ask(self, state: History, pending: Array, n: int, rng: np.random.Generator) -> list[Proposal]:
        taken = Taken.of(state, pending)
        done = len(state.rows) + len(pending)
        _, first = sobol_points(state.problem, taken, done, n)
        points = np.concatenate([first, unseen(taken.plus(first), n - len(first), rng)])
        of = size(state.problem.space)
        return [Proposal(x, why={"design": "grid", "index": done + i, "of": of}) for i, x in enumerate(points)]
