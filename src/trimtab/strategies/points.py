"""Which points may still be proposed, and where to find some: shared by the strategies, independent of results.

A point is a snapped row (d,) of the unit cube. It may be proposed as long as fewer than `problem.replicates` told or
pending rows equal it.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..arrays import Array, Ints
from ..numerics.qmc import sobol
from ..numerics.tally import Tally
from ..space import Space
from . import History, Problem, Proposal

SMALL = 2048  # spaces up to this size are simply listed
_LISTABLE = 100_000  # spaces up to this size are listed when sampling finds nothing new
_SCAN = 16_384  # how far a Sobol sequence is followed in search of a new point
_BLOCK = 64


@dataclass(frozen=True)
class Taken:
    """How often each point was told or is pending."""

    space: Space
    limit: int
    counts: Tally

    @staticmethod
    def of(state: History, pending: Array) -> "Taken":
        problem = state.problem
        return Taken(problem.space, problem.replicates, state.points).plus(pending)

    def admitted(self, X: Array, n: int) -> list[int]:
        """Indices of the first n of the snapped rows X that may be proposed together."""
        chosen: list[int] = []
        counts = Counter[bytes]()
        for start in range(0, len(X), max(n, _BLOCK)):  # mostly one is wanted, and found among the first
            for i, key in enumerate(self.space.keys(X[start : start + max(n, _BLOCK)]), start):
                if len(chosen) == n:
                    return chosen
                if self.counts[key] + counts.get(key, 0) < self.limit:
                    counts[key] += 1
                    chosen.append(i)
        return chosen

    def plus(self, X: Array) -> "Taken":
        """With the rows X (n, d) taken as well."""
        return Taken(self.space, self.limit, self.counts.plus(self.space.keys(X))) if len(X) else self


@lru_cache(maxsize=8)
def listing(space: Space) -> Array:
    """All points of a finite space: (cardinality, d), read-only."""
    X = space.encode(list(space))
    X.setflags(write=False)
    return X


@lru_cache(maxsize=8)
def size(space: Space) -> int | float:
    """The number of points of a space, counted once: with `require`, counting takes long."""
    return space.cardinality()


def distinct(keys: Iterable[bytes]) -> tuple[Ints, Ints]:
    """Which point each key (n,) is, numbered in the order in which points first occur: (n,); and where each first occurs."""
    numbers: dict[bytes, int] = {}
    point = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.intp)
    return point, np.unique(point, return_index=True)[1]


def sobol_points(problem: Problem, taken: Taken, start: int, n: int) -> tuple[list[int], Array]:
    """The next points of the study's Sobol sequence from index `start` on that are allowed and not taken: up to n
    indices and rows (n, d). Fewer if a long stretch of the sequence has no more."""
    space = problem.space
    indices: list[int] = []
    found = np.empty((0, len(space)))
    stop = start + int(min(_SCAN, max(_BLOCK, 4 * size(space))))
    at, width = start, _BLOCK
    while len(indices) < n and at < stop:
        X = space.snap(sobol(at, width, len(space), problem.seed))
        allowed = np.flatnonzero(space.allowed(X))
        new = allowed[taken.admitted(X[allowed], n - len(indices))]
        indices += (at + new).tolist()
        found = np.concatenate([found, X[new]])
        taken = taken.plus(X[new])
        at, width = at + width, at + width - start  # each block doubles what has been looked at
    return indices, found


def unseen(taken: Taken, n: int, rng: np.random.Generator) -> Array:
    """Up to n random points (n, d) that are not taken; fewer only if sampling, and listing a finite space, find no
    more."""
    space = taken.space
    found = np.empty((0, len(space)))
    for draw in (n, 256, 4096) if size(space) > SMALL else ():
        X = space.sample(draw, rng)
        X = X[taken.admitted(X, n - len(found))]
        found = np.concatenate([found, X])
        if len(found) >= n:
            break
        taken = taken.plus(X)
    if len(found) < n and size(space) <= _LISTABLE:
        X = listing(space)
        X = X[np.tile(rng.permutation(len(X)), taken.limit)]
        found = np.concatenate([found, X[taken.admitted(X, n - len(found))]])
    return found


def one_by_one(
    state: History, pending: Array, n: int, propose: Callable[[Taken, Array], Proposal | None]
) -> list[Proposal]:
    """Up to n proposals, each made with the previous ones and the pending points (p, d) taken; fewer if there are no
    more."""
    taken, made = Taken.of(state, pending), list[Proposal]()
    with np.errstate(all="ignore"):
        while len(made) < n and (proposal := propose(taken, pending)) is not None:
            made.append(proposal)
            if len(made) < n:
                taken = taken.plus(proposal.x[None])
                pending = np.concatenate([pending, proposal.x[None]])
    return made


def by_sobol(problem: Problem, taken: Taken, count: int) -> Proposal | None:
    """The next point of the study's Sobol sequence for a design that has `count` points; None if there is none left."""
    for index, x in zip(*sobol_points(problem, taken, count, 1), strict=True):
        return Proposal(x, why={"design": "sobol", "index": index})
    return None


def at_random(taken: Taken, rng: np.random.Generator) -> Proposal | None:
    """A random point that is not taken; None if there is none left."""
    for x in unseen(taken, 1, rng):
        return Proposal(x, why={"design": "random"})
    return None
