"""Kendall's tau: how far two orders agree."""

from collections.abc import Sequence
from itertools import combinations

Score = tuple[float, ...]


def agreement(pairs: Sequence[tuple[Score, Score]]) -> float:
    """Kendall's tau-a: pairs of trials in the same order in both columns less those in the opposite one, as a share."""
    total = 0
    for (a, b), (c, d) in combinations(pairs, 2):
        total += (int(a > c) - int(a < c)) * (int(b > d) - int(b < d))
    return 2 * total / (len(pairs) * (len(pairs) - 1))
