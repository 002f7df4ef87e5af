"""Random search: uniform points of the cube, independent of all results."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..arrays import Array
from ..numerics.tally import Tally
from . import Problem, Proposal, Rows
from .points import Taken, unseen


@dataclass(frozen=True)
class Told:
    """All that it needs from the rows so far: how often each point was told."""

    problem: Problem
    points: Tally


@dataclass(frozen=True)
class Random:
    """Uniform random search without repeats (Bergstra and Bengio 2012)."""

    name: str = "random"
    version: str = "1"
    honours: ClassVar[frozenset[str]] = frozenset()
    learns: ClassVar[bool] = False

    def init(self, problem: Problem) -> Told:
        return Told(problem, Tally())

    def tell(self, state: Told, rows: Rows) -> Told:
        return Told(state.problem, state.points.plus(state.problem.space.keys(rows.X)))

    def ask(self, state: Told, pending: Array, n: int, rng: np.random.Generator) -> list[Proposal]:
        problem = state.problem
        taken = Taken(problem.space, problem.replicates, state.points).plus(pending)
        return [Proposal(x, why={"design": "random"}) for x in unseen(taken, n, rng)]
