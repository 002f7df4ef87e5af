"""Sobol search: the points of one scrambled low-discrepancy sequence, in order."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..arrays import Array
from . import History, Problem, Proposal, Rows
from .points import Taken, sobol_points, unseen


@dataclass(frozen=True)
class Sobol:
    """A scrambled Sobol sequence. Proposal i is point i; points that are taken or not allowed are skipped."""

    name: str = "sobol"
    version: str = "1"
    honours: ClassVar[frozenset[str]] = frozenset()
    learns: ClassVar[bool] = False

    def init(self, problem: Problem) -> History:
        return History.start(problem)

    def tell(self, state: History, rows: Rows) -> History:
        return state.with_rows(rows)

    def ask(self, state: History, pending: Array, n: int, rng: np.random.Generator) -> list[Proposal]:
        taken = Taken.of(state, pending)
        indices, X = sobol_points(state.problem, taken, len(state.rows) + len(pending), n)
        rest = unseen(taken.plus(X), n - len(X), rng)
        proposals = [Proposal(x, why={"design": "sobol", "index": i}) for i, x in zip(indices, X, strict=True)]
        return proposals + [Proposal(x, why={"design": "random"}) for x in rest]
