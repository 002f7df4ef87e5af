"""A rung: the scores of the trials that have reached it, and how many of them are better than a given one."""

from bisect import bisect_left, insort

import numpy as np

from ..numerics.pareto import ranks
from . import Score


class Rung:
    """Scores by trial number. With one goal they are kept sorted, so that a look-up costs O(log n)."""

    def __init__(self) -> None:
        self._scores: dict[int, Score] = {}
        self._order: list[Score] = []

    def __len__(self) -> int:
        return len(self._scores)

    def put(self, number: int, score: Score) -> None:
        """Enter a trial's score, replacing an earlier one of the same trial."""
        before = self._scores.get(number)
        if before is not None:
            del self._order[bisect_left(self._order, before)]
        self._scores[number] = score
        insort(self._order, score)

    def better(self, number: int) -> int:
        """How many trials are better: smaller violation, then smaller loss, or with several goals a better front."""
        score = self._scores[number]
        if len(score) == 2:
            return bisect_left(self._order, score)
        S = np.array(list(self._scores.values()))
        rank = ranks(S[:, 1:], S[:, 0])
        return int((rank < rank[list(self._scores).index(number)]).sum())
