"""Several goals at once: dominance, crowding, reference directions. Everything is minimised.

A row dominates another if it is nowhere worse and somewhere better; equal rows do not dominate each other. Rows may
have a violation >= 0 of their constraints: then less violation dominates, and goals decide among equal ones (Deb et al.
2002, section VI-A). A front is a set of rows that nothing outside earlier fronts dominates.

Notation: n rows, m goals, k constraints. Y (n, m) without NaN; infinities are allowed.
"""

import heapq
from collections.abc import Iterator
from itertools import combinations, pairwise
from math import comb

import numpy as np

from ..arrays import HUGE, Array, Ints, Mask

_TINY = float(np.finfo(float).tiny)


# ----------------------------------------------------------------------------------------------------------- dominance


def nondominated(Y: Array) -> Mask:
    """Which rows of Y (n, m) no other row dominates: (n,)."""
    mask = np.zeros(len(Y), dtype=bool)
    for front in fronts(Y):
        mask[front] = True
        break
    return mask


def ranks(Y: Array, violation: Array | None = None) -> Ints:
    """The number of the front (n,) of each row of Y (n, m), from 0; `violation` is (n,)."""
    rank = np.empty(len(Y), dtype=np.intp)
    for i, front in enumerate(fronts(Y, violation)):
        rank[front] = i
    return rank


def fronts(Y: Array, violation: Array | None = None) -> Iterator[Ints]:
    """The fronts of Y (n, m) one after the other, as increasing indices; each is found when it is asked for."""
    if violation is None:
        yield from _fronts(Y)
        return
    for level in np.unique(violation):
        same = np.flatnonzero(violation == level)
        for front in _fronts(Y[same]):
            yield same[front]


def violations(C: Array) -> Array:
    """By how much each row of C (n, k) violates constraints C <= 0, each in units of its median violation, in sum:
    (n,), 0 where feasible, inf where one is unknown (NaN)."""
    total = np.zeros(len(C))
    for column in np.clip(C.T, 0.0, HUGE):
        positive = column[column > 0]
        unit = np.median(positive / 2) * 2 if len(positive) else 1.0
        with np.errstate(over="ignore"):
            total += np.where(column > 0, np.maximum(column / max(unit, _TINY), _TINY), 0.0)
        total[np.isnan(column)] = np.inf
    return total


def _fronts(Y: Array) -> Iterator[Ints]:
    """Peels front after front off the distinct rows, in lexicographic order: a row is dominated by earlier ones only."""
    U, of = _distinct(Y)
    front_of = np.full(len(U), -1)
    left = np.arange(len(U))
    number = 0
    while len(left):
        first = left[_first_front(U[left])]
        front_of[first] = number
        yield np.flatnonzero(front_of[of] == number)
        left = left[front_of[left] < 0]
        number += 1


def _distinct(Y: Array) -> tuple[Array, Ints]:
    """The distinct rows (u, m) of Y (n, m), lexicographically sorted, and which of them each row of Y is (n,). As
    np.unique, whose way with rows is slow."""
    order = np.lexsort(Y.T[::-1])
    rows = Y[order]
    new = np.ones(len(Y), dtype=bool)
    new[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    of = np.empty(len(Y), dtype=np.intp)
    of[order] = np.cumsum(new) - 1
    return rows[new], of


def _first_front(U: Array) -> Ints:
    """Which of the distinct rows U (u, m), lexicographically sorted, nothing dominates."""
    if U.shape[1] == 2:
        least = np.minimum.accumulate(U[:, 1])
        return np.flatnonzero(np.append(True, U[1:, 1] < least[:-1]))
    front, rest = [], np.arange(len(U))
    while len(rest):
        first, rest = rest[0], rest[1:]
        front.append(first)
        rest = rest[(U[rest] < U[first]).any(axis=1)]
    return np.array(front, dtype=np.intp)


# ------------------------------------------------------------------------------------------------------------ crowding


def scaled(Y: Array) -> Array:
    """Y (n, m) with every goal mapped to [0, 1] by its range; 0 for a goal with equal values."""
    Y = np.clip(Y, -HUGE, HUGE)
    low = Y.min(axis=0, initial=HUGE)
    span = np.maximum(Y.max(axis=0, initial=-HUGE) - low, 0.0)
    return np.where(span > 0, (Y - low) / np.where(span > 0, span, 1.0), 0.0)


def crowding(Y: Array) -> Array:
    """Crowding distance (n,) of the rows of a front Y (n, m) (Deb et al. 2002, section III-B): for every goal the
    distance between its neighbours, as a share of the range; inf for those at an end of a goal."""
    total = np.zeros(len(Y))
    for z in scaled(Y).T:
        order = np.argsort(z, kind="stable")
        wide = np.full(len(z), np.inf)
        wide[1:-1] = z[order[2:]] - z[order[:-2]]
        total[order] += wide
    return total


def by_front(Y: Array, violation: Array) -> Ints:
    """The rows of Y (n, m) from best to worst: front after front, in each the least crowded first. `violation` is (n,)."""
    if Y.shape[1] == 1:
        return _in_line(Y[:, 0], violation)
    key = np.empty((2, len(Y)))
    for number, front in enumerate(fronts(Y, violation)):
        key[:, front] = -crowding(Y[front]), np.full(len(front), number)
    return np.lexsort(key)


def _in_line(y: Array, violation: Array) -> Ints:
    """`by_front` of one goal y (n,), in O(n log n): a front is what is equal, the first and the last of it at its ends."""
    order = np.lexsort((y, violation))
    a, b = order[:-1], order[1:]
    differs = (y[a] != y[b]) | (violation[a] != violation[b])
    inner = np.empty(len(y), dtype=bool)
    inner[order] = ~(np.append(True, differs) | np.append(differs, True))[: len(y)]
    return np.lexsort((inner, y, violation))


def spread(Y: Array, count: int) -> Ints:
    """Indices, increasing, of `count` rows of a front Y (n, m): the most crowded row is removed until `count` are left
    (Kukkonen and Deb 2006, "Improved pruning of non-dominated solutions based on crowding distance"). Removing all at
    once would empty dense regions. O(m n log n)."""
    n = len(Y)
    if count >= n:
        return np.arange(n)
    columns = scaled(Y).T.tolist()
    # The neighbours of each row in each goal; -1 beyond the ends.
    before, after = ([[-1] * n for _ in columns] for _ in range(2))
    for z, left_of, right_of in zip(columns, before, after, strict=True):
        for left, right in pairwise(sorted(range(n), key=z.__getitem__)):
            right_of[left], left_of[right] = right, left

    def distance(i: int) -> float:
        """How far apart the neighbours of a row are, over all goals."""
        pairs = [(left_of[i], right_of[i]) for left_of, right_of in zip(before, after, strict=True)]
        if any(-1 in pair for pair in pairs):
            return np.inf
        return sum((z[right] - z[left] for z, (left, right) in zip(columns, pairs, strict=True)), 0.0)

    known = [distance(i) for i in range(n)]
    heap = [(d, i) for i, d in enumerate(known)]
    heapq.heapify(heap)
    gone: set[int] = set()
    while n - len(gone) > count:
        d, i = heapq.heappop(heap)
        if i in gone or d != known[i]:
            continue
        gone.add(i)
        touched = set()  # the neighbours that it leaves: they move together
        for left_of, right_of in zip(before, after, strict=True):
            left, right = left_of[i], right_of[i]
            if left >= 0:
                right_of[left] = right
            if right >= 0:
                left_of[right] = left
            touched |= {left, right} - {-1}
        for j in touched:
            known[j] = distance(j)
            heapq.heappush(heap, (known[j], j))
    return np.array([i for i in range(n) if i not in gone], dtype=np.intp)


# ------------------------------------------------------------------------------------------------------------- directions


def directions(m: int, most: int) -> Array:
    """Reference directions (h, m), h <= max(most, m): points of the unit simplex, evenly spaced (Das and Dennis 1998).

    Where there is room only for points on its boundary, a half-sized simplex inside is filled too (Deb and Jain 2014,
    section V).
    """
    divisions = _divisions(m, most)
    outer = _simplex(m, divisions)
    inner = _divisions(m, most - len(outer)) if divisions < m and most - len(outer) >= m > 1 else 0
    return np.concatenate([outer, (_simplex(m, inner) + 1 / m) / 2]) if inner else outer


def _divisions(m: int, most: int) -> int:
    """The largest number of divisions, at least 1, that gives no more than `most` points."""
    p = 1
    while m > 1 and comb(p + m, m - 1) <= most:
        p += 1
    return p


def _simplex(m: int, p: int) -> Array:
    """All points (h, m) whose coordinates are multiples of 1/p and sum to 1: stars and bars."""
    bars = np.array(list(combinations(range(p + m - 1), m - 1)), dtype=np.intp).reshape(comb(p + m - 1, m - 1), m - 1)
    edges = np.pad(bars, ((0, 0), (1, 1)), constant_values=((0, 0), (-1, p + m - 1)))
    return np.asarray((np.diff(edges, axis=1) - 1) / p)
