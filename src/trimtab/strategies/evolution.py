"""Regularised evolution (Real et al. 2019): made for spaces of choices, such as neural architectures.

The population consists of the latest results, so that every point dies of age, however good it was. Each proposal is
the best of a sample of the population, changed in one parameter.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..arrays import Array, Ints
from ..checks import whole
from . import History, Problem, Proposal, Rows
from .breeding import design_size, proposals, results
from .variation import mutants


@dataclass(frozen=True)
class Evolution:
    """Regularised evolution. `population`: how many results live, at most a quarter of the budget; `sample`: of how
    many the best becomes a parent."""

    population: int = 100
    sample: int = 10
    name: str = "evolution"
    version: str = "1"
    honours: ClassVar[frozenset[str]] = frozenset({"constraints", "goals", "many goals"})

    def init(self, problem: Problem) -> History:
        """Raises SpecError if population or sample is no whole number of at least 1, or the sample has more than 10,000."""
        whole("population", self.population)
        whole("sample", self.sample, most=10_000)
        return History.start(problem)

    def tell(self, state: History, rows: Rows) -> History:
        return state.with_rows(rows)

    def ask(self, state: History, pending: Array, n: int, rng: np.random.Generator) -> list[Proposal]:
        size = design_size(self.population, state.problem.budget)
        known = results(state.rows)
        alive = known.take(np.arange(len(known))[-size:])
        place = alive.place()

        def breed(count: int, mutations: int, rng: np.random.Generator) -> tuple[Array, Ints]:
            drawn = rng.integers(len(alive), size=(count, self.sample))
            parent = drawn[np.arange(count), place[drawn].argmin(axis=1)]
            return mutants(state.problem.space, alive.X[parent], mutations, rng), alive.row[parent][:, None]

        return proposals(state, pending, n, rng, size, breed if len(alive) else None)
