"""Hyperband's brackets: in bracket s trials are first compared at rung s, and trials are dealt out to brackets one by one.

In Hyperband (s_max + 1) / (s + 1) * eta^s trials begin in the bracket that has s rungs above its first one (Li et al. 2018,
algorithm 1). Dealt out one by one, each bracket gets as many in proportion.
"""

from bisect import bisect_right
from collections.abc import Sequence

_GOLDEN = 0.6180339887498949  # its multiples modulo 1 spread evenly, however many there are


def shares(eta: float, rungs: int) -> tuple[float, ...]:
    """The share of the trials that each bracket gets, by its first rung."""
    weights = [rungs / (rungs - i) * eta ** (rungs - 1 - i) for i in range(rungs)]
    return tuple(w / sum(weights) for w in weights)


def bracket(number: int, shares: Sequence[float]) -> int:
    """The bracket of a trial by its number."""
    ends = [sum(shares[: i + 1]) for i in range(len(shares))]
    return min(bisect_right(ends, (number * _GOLDEN) % 1), len(shares) - 1)
