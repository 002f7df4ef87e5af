"""Random search: uniform points of the cube, independent of all results."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from . import Array, History, Problem, Proposal, Rows
from .points import Taken, unseen


@dataclass(frozen=True)
class Random:
    """Uniform random search without repeats (Bergstra and Bengio 2012)."""

    name: str = "random"
    version: str = "1"
    honours: ClassVar[frozenset[str]] = frozenset()

    def init(self, problem: Problem) -> History:
        return History.start(problem)

    def tell(self, state: History, rows: Rows) -> History:
        return state.with_rows(rows)

    def ask(self, state: History, pending: Array, n: int, rng: np.random.Generator) -> list[Proposal]:
        taken = Taken.of(state, pending)
        return [Proposal(x, why={"design": "random"}) for x in unseen(taken, n, rng)]
