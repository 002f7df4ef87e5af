"""How far two orders agree: Kendall's tau and Spearman's rho; and whether the order at an early rung can be trusted."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from ..arrays import Array, Ints

Score = tuple[float, ...]
LATEST = 32  # trials by which an early rung is judged, at most
_LEAST = 8  # of them, at least


def kendall(pairs: Sequence[tuple[Score, Score]]) -> float:
    """Kendall's tau-a between the orders of n >= 2 items by the first and by the second score of each: the share of pairs
    of items on which the orders agree, less the share on which they disagree. A tie is neither. O(n^2)."""
    total = 0
    for (a, b), (c, d) in combinations(pairs, 2):
        total += (int(a > c) - int(a < c)) * (int(b > d) - int(b < d))
    return 2 * total / (len(pairs) * (len(pairs) - 1))


def trusted(pairs: Sequence[tuple[Score, Score]], tau: float) -> bool:
    """Whether the order of trials at a rung agrees with their order at a later one, by a Kendall's tau of at least `tau`.

    pairs: the scores at both rungs of the LATEST trials that have reached both; too few are not trusted.
    """
    return len(pairs) >= _LEAST and kendall(pairs) >= tau


def spearman(a: Array, b: Array) -> float:
    """Spearman's rank correlation of a (n,) and b (n,), equal values at their mean rank; 0 if one is constant, or n < 2."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    x, y = _ranks(a), _ranks(b)
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))


def _ranks(v: Array) -> Array:
    """Twice the rank of each value (n,), less the mean of all."""
    return np.asarray(doubled_ranks(v) - float(len(v)))


def doubled_ranks(v: Array) -> Ints:
    """How many values (n,) are smaller than each, plus how many are not larger: twice its rank, the mean for equal ones."""
    order = np.sort(v)
    return np.searchsorted(order, v, "left") + np.searchsorted(order, v, "right")
