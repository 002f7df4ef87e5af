"""Population-based training (Jaderberg et al. 2017): a schedule of parameters is found while models train.

See `population` for members, intervals and sub-populations.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from ..arrays import Array
from ..checks import is_number, plain, shown
from ..errors import SpecError
from . import Problem, Proposal, Rows
from .population import Plan, Population, free, intervals, near, needed


@dataclass(frozen=True)
class PBT:
    """Copy the best, perturb their parameters.

    population: members; None: what the budget trains to the top, 4 to 40. intervals: in which each is trained, a trial
    each; None: 12, or fewer where the fidelity has no room for them. frequencies: after how many intervals the
    sub-populations look around, such as (1, 3) against greediness. quantile: the share of the worst that copy, and of the
    best that are copied. step: how far a parameter is moved, as a share of its range on its own scale. resample: the
    chance that it is drawn anew instead. fixed: parameters that a trained model cannot change; they come with the copy.
    """

    population: int | None = None
    intervals: int | None = None
    frequencies: tuple[int, ...] = (1,)
    quantile: float = 0.25
    step: float = 0.1
    resample: float = 0.1
    fixed: tuple[str, ...] = ()
    name: str = "pbt"
    version: str = "2"
    honours: ClassVar[frozenset[str]] = frozenset({"constraints", "goals", "many goals"})

    def init(self, problem: Problem) -> Population:
        """Raises SpecError without a fidelity, and for settings that do not fit it or the space."""
        for name, value in (("step", self.step), ("resample", self.resample)):
            if not is_number(plain(value)) or not 0 <= value <= 1:
                raise SpecError(f"{name}={shown(value)} must be a number from 0 to 1")
        free(problem, self.fixed)
        plan = Plan.of(problem, self.population, self.intervals, self.frequencies, self.quantile)
        return Population(problem, plan, problem.no_rows, problem.no_rows)

    def tell(self, state: Population, rows: Rows) -> Population:
        return replace(state, rows=state.rows + rows)

    def begun(self, state: Population, under_way: Rows) -> Population:
        return replace(state, under_way=under_way)

    def needed(self, state: Population) -> frozenset[int]:
        return needed(state)

    def ask(self, state: Population, pending: Array, n: int, rng: np.random.Generator) -> list[Proposal]:
        del pending  # the state knows the trials under way
        movable = free(state.problem, self.fixed)

        def explore(x: Array, level: float, chosen: Any, rng: np.random.Generator) -> tuple[Array, dict[str, Any]]:
            del level, chosen  # a step at random, whoever takes it
            return near(state, x, self.step, self.resample, movable, rng), {}

        return intervals(state, n, rng, explore)
