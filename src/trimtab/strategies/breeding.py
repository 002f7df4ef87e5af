"""What evolutionary strategies share besides operators: which results count, how they rank, and how children become
proposals.

No strategy stores a population: it is computed from all rows, so that imported results, other strategies' proposals and
late ones belong to it like its own.

Notation: d columns, n rows, m goals; p distinct points.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..arrays import HUGE, Array, Ints
from ..checks import whole
from ..numerics.pareto import by_front, violations
from ..space import Space
from . import History, Proposal, Rows
from .points import Taken, distinct, sobol_points, unseen
from .variation import children

_FEWEST, _MOST = 20, 50  # points of a population
_ROUNDS = 4  # rounds of breeding, each with more mutations, before points are drawn at random
_LITTER = 16  # children that a round makes at least: more than are wanted, as some may be taken or not allowed


@dataclass(frozen=True)
class Results:
    """The distinct points that did not fail, in the order in which they first ended; means if there are several."""

    X: Array  # (p, d)
    Y: Array  # (p, m) finite
    violation: Array  # (p,) 0 where feasible
    row: Ints  # (p,) of each point's first result

    def __len__(self) -> int:
        return len(self.X)

    def take(self, chosen: Ints) -> "Results":
        return Results(self.X[chosen], self.Y[chosen], self.violation[chosen], self.row[chosen])

    def place(self) -> Ints:
        """The rank (p,) of each, 0 for the best: by front, then the least crowded first."""
        place = np.empty(len(self), dtype=np.intp)
        place[by_front(self.Y, self.violation)] = np.arange(len(self))
        return place


def results(rows: Rows) -> Results:
    """The results at the points that were told."""
    known = np.flatnonzero(~rows.failed)
    point, first = distinct(x.tobytes() for x in rows.X[known])
    V = np.clip(np.hstack([rows.Y, rows.C])[known], -HUGE, HUGE)
    share = 1 / np.bincount(point, minlength=len(first))[point]
    means = np.zeros((len(first), V.shape[1]))
    np.add.at(means, point, V * share[:, None])
    m = rows.Y.shape[1]
    return Results(rows.X[known[first]], means[:, :m], violations(means[:, m:]), known[first])


Breed = Callable[[int, int, np.random.Generator], tuple[Array, Ints]]
"""(count, mutations, rng) -> that many snapped rows (count, d), and which rows are their parents (count, 1 or 2)."""


def by_tournament(space: Space, alive: Results, place: Ints) -> Breed | None:
    """Children of pairs, each parent the winner of a binary tournament by `place` (p,); None if there are no parents."""

    def breed(count: int, mutations: int, rng: np.random.Generator) -> tuple[Array, Ints]:
        rivals = rng.integers(len(alive), size=(count, 2, 2))
        winners = np.take_along_axis(rivals, place[rivals].argmin(axis=2)[..., None], axis=2)[..., 0]
        A, B = alive.X[winners[:, 0]], alive.X[winners[:, 1]]
        return children(space, A, B, mutations, rng), alive.row[winners]

    return breed if len(alive) else None


def proposals(
    state: History, pending: Array, n: int, rng: np.random.Generator, design: int, breed: Breed | None
) -> list[Proposal]:
    """The next n: points of the Sobol design until `design` points are finished or under way, then children. Random
    points if those are not new, or if `breed` is None because there are no parents."""
    problem, begun = state.problem, len(state.rows) + len(pending)
    taken = Taken.of(state, pending)
    indices, X = sobol_points(problem, taken, begun, min(n, max(design - begun, 0)))
    made = [Proposal(x, why={"design": "sobol", "index": i}) for i, x in zip(indices, X, strict=True)]
    for mutations in 2 ** np.arange(_ROUNDS):
        missing = n - len(made)
        if breed is None or missing == 0:
            break
        taken = taken.plus(X)
        bred, parents = breed(max(_LITTER, 2 * missing), int(mutations), rng)
        allowed = np.flatnonzero(problem.space.allowed(bred))
        new = allowed[taken.admitted(bred[allowed], missing)]
        X = bred[new]
        made += [Proposal(bred[i], why={"parents": parents[i].tolist(), "mutations": int(mutations)}) for i in new]
    if len(made) < n:
        made += [Proposal(x, why={"design": "random"}) for x in unseen(taken.plus(X), n - len(made), rng)]
    return made


def check_population(population: int | None) -> None:
    """Raises SpecError for a population that has no pair of parents."""
    if population is not None:
        whole("population", population, 2, "; or leave it out")


def population_size(given: int | None, budget: int | None) -> int:
    """How many results may be parents if pairs are crossed: as given, else a tenth of the budget, 20 to 50."""
    if given is not None:
        return given
    return _MOST if budget is None else min(max(-(-budget // 10), _FEWEST), _MOST)


def design_size(population: int, budget: int | None) -> int:
    """Points of the initial design: the population, but no more than a quarter of the budget."""
    return population if budget is None else min(population, max(-(-budget // 4), 1))
