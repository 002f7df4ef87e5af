"""The default: looks at the problem and the number of results, and lets another strategy propose."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from . import Array, Judge, Problem, Proposal, Rows, Strategy, strategy
from .points import size

_GRID = 1000  # a finite space up to this size is searched completely if the budget allows
_MODEL = 2000  # beyond this many results a Gaussian process learns little more from its neighbourhood
_FRONT = 250  # the same for the models of several goals, which have to know a whole front
_OTHER = "tpe"  # gives second opinions
_TURN = 5  # of so many proposals one is a second opinion
_ALONE = 10  # results that it needs before it has one


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
    """`grid` where the budget pays for every point, else `gp`; for very long studies one whose cost hardly grows.

    Every fifth proposal beside `gp` is a second opinion by `tpe`. A model that has come to believe the wrong thing, as
    happens with noisy results, otherwise never meets a result that it did not ask for.
    """

    name: str = "auto"
    version: str = "12"
    honours: ClassVar[frozenset[str]] = frozenset({"constraints", "goals", "priors", "warm start"})

    def init(self, problem: Problem) -> State:
        which, reason = choose(problem, 0)
        rows = Rows.empty(len(problem.space), problem.goals, problem.constraints)
        return State(problem, rows, which, reason, strategy(which).init(problem))

    def tell(self, state: State, rows: Rows) -> State:
        told = state.rows + rows
        which, reason = choose(state.problem, len(told))
        chosen = strategy(which)
        kept = which == state.which
        inner = chosen.tell(state.inner, rows) if kept else chosen.tell(chosen.init(state.problem), told)
        return State(state.problem, told, which, reason, inner)

    def ask(self, state: State, pending: Array, n: int, rng: np.random.Generator) -> list[Proposal]:
        made: list[Proposal] = []
        while len(made) < n:
            waiting = np.concatenate([pending, *(p.x[None] for p in made)])
            speaker = _speaker(state, len(state.rows) + len(waiting))
            proposals = speaker.strategy.ask(speaker.state, waiting, min(speaker.turns, n - len(made)), rng)
            if not proposals:
                break
            made += [Proposal(p.x, p.parent, {**p.why, "auto": speaker.why}) for p in proposals]
        return made

    def shortfall(self, state: State, pending: Array, x: Array, rng: np.random.Generator) -> float:
        """What the strategy whose turn it is says (see strategies.Judge)."""
        speaker = _speaker(state, len(state.rows) + len(pending))
        if not isinstance(speaker.strategy, Judge):
            return np.inf
        return speaker.strategy.shortfall(speaker.state, pending, x, rng)


@dataclass(frozen=True)
class _Speaker:
    """Whose turn it is: the strategy, its state after all rows, for how many proposals, and why."""

    strategy: Strategy[Any]
    state: Any
    turns: int
    why: str


def _speaker(state: State, count: int) -> _Speaker:
    """Who proposes when `count` points were told or are pending."""
    if not _doubted(state):
        return _Speaker(strategy(state.which), state.inner, 10**9, f"{state.which}: {state.reason}")
    if count % _TURN == 0 and len(state.rows) >= _ALONE:
        other = strategy(_OTHER)
        told = other.tell(other.init(state.problem), state.rows)
        return _Speaker(other, told, 1, f"{_OTHER}: a second opinion, as for every {_TURN}th proposal")
    return _Speaker(strategy(state.which), state.inner, _TURN - count % _TURN, f"{state.which}: {state.reason}")


def _doubted(state: State) -> bool:
    """Whether the model's proposals alternate with another strategy's: only where that one knows all that matters."""
    p = state.problem
    plain = p.goals == 1 and not p.constraints and not p.sources and not p.rungs and p.purse is None
    return state.which == "gp" and plain and not any(q.prior for q in p.space.params.values())


def choose(problem: Problem, results: int) -> tuple[str, str]:
    """The strategy for the next proposal and, in words, why."""
    points = size(problem.space) * problem.replicates
    if points <= min(problem.budget or _GRID, _GRID):
        return "grid", f"{points} points fit the budget"
    if results < (_MODEL if problem.goals == 1 else _FRONT):
        return "gp", f"{results} results, a model pays"
    if problem.goals > 1:
        return ("nsga2" if problem.goals == 2 else "nsga3"), f"{results} results, several goals"
    if any(p.when for p in problem.space.params.values()):
        return "tpe", f"{results} results, conditions"
    return "cma", f"{results} results, no conditions"
