"""NSGA-II (Deb et al. 2002): evolutionary search for several goals, steady-state, without a stored population.

The population consists of the best of all results so far: whole fronts in order, and of the last one those that are
most spread, with constraint domination. Each proposal is a child of two winners of binary tournaments.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..arrays import Array
from ..numerics.pareto import fronts, spread
from . import History, Problem, Proposal, Rows
from .breeding import Results, by_tournament, check_population, design_size, population_size, proposals, results


@dataclass(frozen=True)
class NSGA2:
    """Search by non-dominated sorting. `population`: how many results may be parents; None: a tenth of the budget, between 20
    and 50."""

    population: int | None = None
    name: str = "nsga2"
    version: str = "1"
    honours: ClassVar[frozenset[str]] = frozenset({"constraints", "goals", "many goals"})

    def init(self, problem: Problem) -> History:
        """Raises SpecError if the population is smaller than 2."""
        check_population(self.population)
        return History.start(problem)

    def tell(self, state: History, rows: Rows) -> History:
        return state.with_rows(rows)

    def ask(self, state: History, pending: Array, n: int, rng: np.random.Generator) -> list[Proposal]:
        problem = state.problem
        size = population_size(self.population, problem.budget)
        alive = survivors(results(state.rows), size)
        breed = by_tournament(problem.space, alive, alive.place())
        return proposals(state, pending, n, rng, design_size(size, problem.budget), breed)


def survivors(known: Results, count: int) -> Results:
    """The best `count`."""
    chosen = np.empty(0, dtype=np.intp)
    for front in fronts(known.Y, known.violation):
        chosen = np.append(chosen, front[spread(known.Y[front], count - len(chosen))])
        if len(chosen) == count:
            break
    return known.take(chosen)
