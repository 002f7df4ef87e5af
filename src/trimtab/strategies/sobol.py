"""Sobol search: the points of one scrambled low-discrepancy sequence, in order."""

from dataclasses import dataclass

import numpy as np

from . import Array, History, Problem, Proposal, Rows
from .points import Taken, sequence, unseen


@dataclass(frozen=True)
class Sobol:
    """A scrambled Sobol sequence. Proposal i is point i; points that are taken or not allowed are passed over."""

    name: str = "sobol"
    version: str = "1"

    def init(self, problem: Problem) -> History:
        return History.start(problem)

    def tell(self, state: History, rows: Rows) -> History:
        return state.with_rows(rows)

    def ask(self, state: History, pending: Array, n: int, rng: np.random.Generator) -> list[Proposal]:
        taken = Taken.of(state.problem, state.rows, pending)
        proposals = []
        for index, x in sequence(state.problem, taken, len(state.rows) + len(pending), n):
            proposals.append(Proposal(x, why={"design": "sobol", "index": index}))
            taken = taken.plus(x)
        rest = unseen(taken, n - len(proposals), rng)
        return proposals + [Proposal(x, why={"design": "random"}) for x in rest]
