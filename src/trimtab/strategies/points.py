"""Which points may still be proposed, and where to find some: shared by the strategies, knows no results.

A point is a snapped row (d,) of the unit cube. It may be proposed as long as fewer than `problem.replicates` told or
pending rows equal it.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..numerics.qmc import sobol
from ..space import Space
from . import Array, Problem, Rows

SMALL = 2048  # spaces up to this size are simply listed
_LISTABLE = 100_000  # spaces up to this size are listed when sampling finds nothing new
_SCAN = 16_384  # how far a Sobol sequence is followed in search of a new point
_BLOCK = 64


@dataclass(frozen=True)
class Taken:
    """How often each point was told or is pending."""

    space: Space
    limit: int
    counts: Mapping[bytes, int]

    @staticmethod
    def of(problem: Problem, rows: Rows, pending: Array) -> "Taken":
        counts = Counter(problem.space.keys(np.concatenate([rows.X, pending])))
        return Taken(problem.space, problem.replicates, counts)

    def admits(self, x: Array) -> bool:
        return self.counts.get(self.space.key(x), 0) < self.limit

    def plus(self, x: Array) -> "Taken":
        key = self.space.key(x)
        return Taken(self.space, self.limit, {**self.counts, key: self.counts.get(key, 0) + 1})


@lru_cache(maxsize=8)
def listing(space: Space) -> Array:
    """All points of a finite space: (cardinality, d), read-only."""
    X = space.encode(list(space))
    X.setflags(write=False)
    return X


def sequence(problem: Problem, taken: Taken, start: int, n: int) -> list[tuple[int, Array]]:
    """The next n points of the study's Sobol sequence from index `start` on that are allowed and not taken, each with
    its index. Fewer when a long stretch of the sequence has no more of them."""
    space, found = problem.space, list[tuple[int, Array]]()
    for first in range(start, start + _SCAN, _BLOCK):
        X = space.snap(sobol(first, _BLOCK, len(space), problem.seed))
        for i in np.flatnonzero(space.allowed(X)):
            if len(found) == n:
                return found
            if taken.admits(X[i]):
                found.append((first + int(i), X[i]))
                taken = taken.plus(X[i])
    return found


def unseen(taken: Taken, n: int, rng: np.random.Generator) -> list[Array]:
    """Up to n random points that are not taken: fewer only if sampling, and listing a finite space, find no more."""
    space, found = taken.space, list[Array]()
    size = space.cardinality()
    draws = (n, 256, 4096) if size > SMALL else ()
    for draw in draws:
        for x in space.sample(draw, rng):
            if len(found) < n and taken.admits(x):
                found.append(x)
                taken = taken.plus(x)
        if len(found) == n:
            return found
    if size <= _LISTABLE:
        X = listing(space)
        for i in np.tile(rng.permutation(len(X)), taken.limit):
            if len(found) < n and taken.admits(X[i]):
                found.append(X[i].copy())
                taken = taken.plus(X[i])
    return found
