"""The default: looks at the problem and the number of results, and lets another strategy propose."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from . import Array, History, Judge, Problem, Proposal, Rows, strategy
from .points import size

_GRID = 1000  # a finite space up to this size is searched completely if the budget allows
_MODEL = 2000  # beyond this many results a Gaussian process learns little more from its neighbourhood


@dataclass(frozen=True)
class Auto:
    """`grid` where the budget pays for every point, else `gp`; for very long studies `sobol` and `random` in turn."""

    name: str = "auto"
    version: str = "3"
    honours: ClassVar[frozenset[str]] = frozenset({"constraints", "goals", "warm start"})

    def init(self, problem: Problem) -> History:
        return History.start(problem)

    def tell(self, state: History, rows: Rows) -> History:
        return state.with_rows(rows)

    def ask(self, state: History, pending: Array, n: int, rng: np.random.Generator) -> list[Proposal]:
        which, reason = choose(state.problem, len(state.rows))
        chosen = strategy(which)
        told = chosen.tell(chosen.init(state.problem), state.rows)
        proposals = chosen.ask(told, pending, n, rng)
        return [Proposal(p.x, p.parent, {**p.why, "auto": f"{which}: {reason}"}) for p in proposals]

    def shortfall(self, state: History, pending: Array, x: Array, rng: np.random.Generator) -> float:
        """What the strategy that it chooses says (see strategies.Judge)."""
        chosen = strategy(choose(state.problem, len(state.rows))[0])
        if not isinstance(chosen, Judge):
            return np.inf
        return chosen.shortfall(chosen.tell(chosen.init(state.problem), state.rows), pending, x, rng)


def choose(problem: Problem, results: int) -> tuple[str, str]:
    """The strategy for the next proposal and, in words, why."""
    points = size(problem.space) * problem.replicates
    if points <= min(problem.budget or _GRID, _GRID):
        return "grid", f"{points} points fit the budget"
    if results < _MODEL:
        return "gp", f"{results} results, a model pays"
    return ("random" if results % 2 else "sobol"), f"{results} results are too many for the model"
