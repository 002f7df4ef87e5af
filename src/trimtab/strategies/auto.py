"""The default: looks at the problem and the number of results, and lets another strategy propose."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..arrays import Array
from . import Judge, Problem, Proposal, Rows, strategy
from .features import check_width

_MODEL = 2000  # results beyond which a Gaussian process learns little more about the neighbourhood of the best
_FRONT = 250  # the same for several goals, whose models have to know a whole front


@dataclass(frozen=True)
class State:
    """All rows, the strategy that proposes next and why, and its state after these rows."""

    problem: Problem
    rows: Rows
    which: str
    reason: str
    inner: Any


@dataclass(frozen=True)
class Auto:
    """`gp`; for very long studies a strategy whose cost hardly grows."""

    name: str = "auto"
    version: str = "25"
    honours: ClassVar[frozenset[str]] = frozenset({"constraints", "goals", "priors", "warm start"})

    def init(self, problem: Problem) -> State:
        """Raises SpecError if the space has too many options."""
        check_width(problem.space, self.name)
        which, reason = choose(problem, 0)
        return State(problem, problem.no_rows, which, reason, strategy(which).init(problem))

    def tell(self, state: State, rows: Rows) -> State:
        told = state.rows + rows
        which, reason = choose(state.problem, len(told))
        chosen = strategy(which)
        kept = which == state.which
        inner = chosen.tell(state.inner, rows) if kept else chosen.tell(chosen.init(state.problem), told)
        return State(state.problem, told, which, reason, inner)

    def ask(self, state: State, pending: Array, n: int, rng: np.random.Generator) -> list[Proposal]:
        proposals = strategy(state.which).ask(state.inner, pending, n, rng)
        auto = f"{state.which}: {state.reason}"
        return [replace(p, why={**p.why, "auto": auto}) for p in proposals]

    def shortfall(self, state: State, pending: Array, x: Array, rng: np.random.Generator) -> float:
        """What the strategy that it chose says (see strategies.Judge)."""
        chosen = strategy(state.which)
        return chosen.shortfall(state.inner, pending, x, rng) if isinstance(chosen, Judge) else np.inf


def choose(problem: Problem, results: int) -> tuple[str, str]:
    """The strategy for the next proposal and, in words, why."""
    if results < (_MODEL if problem.goals == 1 else _FRONT):
        return "gp", f"{results} results, a model pays"
    if problem.goals > 1:
        return ("nsga2" if problem.goals == 2 else "nsga3"), f"{results} results, several goals"
    if any(p.when for p in problem.space.params.values()):
        return "tpe", f"{results} results, conditions"
    return "cma", f"{results} results, no conditions"
