"""Hyperband's brackets, dealt out trial by trial: the trials of bracket i are compared for the first time at rung i.

Hyperband starts (s_max + 1) / (s + 1) * eta^s trials in the bracket that has s rungs above its first one (Li et al.
2018, algorithm 1). With R rungs, s_max = R - 1, and the s of bracket i is R - 1 - i. Here trials begin one by one, and
each bracket gets the same share of them as there.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

_GOLDEN = 0.6180339887498949  # its multiples modulo 1 spread evenly, however many there are


def shares(eta: float, rungs: int) -> tuple[float, ...]:
    """The share of the trials that each of the R = `rungs` brackets gets, in the order of their first rungs; the sum is
    1. eta: the reduction factor, above 1."""
    weights = [rungs / (rungs - i) * eta**-i for i in range(rungs)]  # over eta^s_max, which may overflow
    return tuple(w / sum(weights) for w in weights)


def bracket(number: int, shares: Sequence[float]) -> int:
    """The bracket of the trial of this number, so that the brackets fill evenly, in proportion to their `shares`."""
    return bisect_right([*accumulate(shares[:-1])], (number * _GOLDEN) % 1)
