"""NSGA-III (Deb and Jain 2014; constraints: Jain and Deb 2014): evolutionary search for many goals.

As NSGA-II, but the last front that fits into the population is thinned by reference directions, evenly spaced on the
simplex: results are kept near those that have fewest. Parents win binary tournaments by front; the published ones,
which consider only feasibility, have too little selection pressure in a study of some hundred trials.

Notation: m goals, h directions, f rows of the fronts in question.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..arrays import Array, Ints
from ..numerics.pareto import directions, fronts, ranks, scaled
from . import History, Problem, Proposal, Rows
from .breeding import Results, by_tournament, check_population, design_size, population_size, proposals, results

_LEAST = 1e-6


@dataclass(frozen=True)
class NSGA3:
    """Search by non-dominated sorting and reference directions. `population`: how many results may be parents; None: a
    tenth of the budget, between 20 and 50. It is raised to the number of goals, so that each direction has room."""

    population: int | None = None
    name: str = "nsga3"
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
        size = max(population_size(self.population, problem.budget), problem.goals)
        alive = survivors(results(state.rows), size)
        breed = by_tournament(problem.space, alive, ranks(alive.Y, alive.violation))
        return proposals(state, pending, n, rng, design_size(size, problem.budget), breed)


def survivors(known: Results, count: int) -> Results:
    """The best `count`: whole fronts, and of the next one those that fill the emptiest directions."""
    chosen = np.empty(0, dtype=np.intp)
    best = None  # the first front
    for front in fronts(known.Y, known.violation):
        best = front if best is None else best
        if len(chosen) + len(front) > count:
            lines = directions(known.Y.shape[1], count)
            Z = normalised(known.Y[np.append(chosen, front)], known.Y[best])
            return known.take(np.append(chosen, front[fill(Z, len(chosen), count, lines)]))
        chosen = np.append(chosen, front)
    return known.take(chosen)


def normalised(Y: Array, front: Array) -> Array:
    """Y (f, m) with the first front's ideal point at 0 and its intercepts with the axes at 1 (section IV-C).

    The intercepts are those of the plane through the points that are extreme in each goal; if there is no such plane,
    the worst of each goal.
    """
    every = scaled(np.concatenate([Y, front]))
    Z, F = every[: len(Y)], every[len(Y) :]
    low = F.min(axis=0)
    Z, F = Z - low, F - low
    m = Y.shape[1]
    extreme = F[[int((F / np.where(np.arange(m) == j, 1.0, _LEAST)).max(axis=1).argmin()) for j in range(m)]]  # (eq. 4)
    worst = np.maximum(F.max(axis=0), _LEAST)
    try:
        inverse = np.linalg.solve(extreme, np.ones(m))
    except np.linalg.LinAlgError:
        return np.asarray(Z / worst)
    sound = np.isfinite(inverse).all() and (inverse > 0).all() and (inverse <= 1 / _LEAST).all()
    return np.asarray(Z * inverse if sound else Z / worst)


def fill(Z: Array, settled: int, count: int, lines: Array) -> Ints:
    """Which of the rows Z (f, m) after the first `settled` join those until there are `count` (algorithms 3 and 4).

    Repeatedly, the direction with the fewest rows takes the row nearest to it. Where the paper draws at random (one of
    equally empty directions; any row for a direction that has one already), the first and the nearest are taken.
    """
    unit = lines / np.linalg.norm(lines, axis=1, keepdims=True)
    along = Z @ unit.T
    distance = np.sqrt(np.maximum((Z**2).sum(axis=1)[:, None] - along**2, 0.0))
    nearest = distance.argmin(axis=1)
    niche = np.bincount(nearest[:settled], minlength=len(lines)).astype(float)
    own = distance[np.arange(len(Z)), nearest]
    waiting = [settled + np.flatnonzero(nearest[settled:] == h) for h in range(len(lines))]
    queues = [rows[np.argsort(own[rows], kind="stable")].tolist()[::-1] for rows in waiting]
    niche[[not q for q in queues]] = np.inf
    joined: list[int] = []
    while settled + len(joined) < count:
        h = int(niche.argmin())
        joined.append(queues[h].pop() - settled)
        niche[h] = niche[h] + 1 if queues[h] else np.inf
    return np.array(joined, dtype=np.intp)
