"""The race of the finalists: runs are spent where they decide which setting is certified.

All finalists run a few times; then only those run on that may still win, until one is left or the runs are spent. Who
falls behind, or breaks a limit, is out; where the limits leave nobody, the next settings in order enter, by what the runs
so far have taught of the limits. Every step is a function of the runs made so far, so that a race on record is run
again without new runs. (Racing: Maron and Moore 1997, Artificial Intelligence Review 11; here by a Bayesian model.)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import Array, Mask
from .selection import Posterior, keeps, posterior

FIRST = 2  # runs of each finalist before anything is decided
ENOUGH = 4  # runs after which a setting must be known to keep its limits
SAFE = 0.98  # chance that a run keeps all limits, from which on the setting is trusted with them
CAUTION = 0.5  # standard deviations of the difference by which the best of the search must be beaten
_BEATEN = 0.05  # chance to be better than the leader, below which a finalist is out

Measure = Callable[[Sequence[int]], tuple[Array, Array]]
"""Wanted runs of each entrant -> losses (k, r) and excess over each limit (k, r, c), NaN where there is none."""


@dataclass(frozen=True)
class Entrants:
    """Settings in the order of the search: prior mean (k,) and covariance (k, k) of their losses, how far the search
    says they are beyond each limit (k, c), and the noise of one result (NaN if unknown)."""

    prior: Array
    covariance: Array
    searched: Array
    noise: float


def race(entrants: Entrants, first: int, most: int, measure: Measure) -> tuple[int, list[int]]:
    """The winner, and how many runs each entrant had: `first` of them begin, all together run at most `most` times, and
    as many more while nobody is trusted with the limits.

    Of those that are trusted to keep their limits the first in order wins, unless another is expected to be better by more
    than doubt about their difference; where none is trusted, the one that is most likely to keep them.
    """
    runs = [FIRST if i < first else 0 for i in range(len(entrants.prior))]
    while True:
        losses, excess = measure(runs)
        expected = posterior(entrants.prior, entrants.covariance, losses, entrants.noise)
        kept = keeps(entrants.searched, excess)
        lost = np.asarray(np.isnan(losses).all(axis=1))  # never run, or failed each time
        further = _further(runs, expected, kept, lost)
        cap = most if (kept[~lost] >= SAFE).any() else 2 * most
        if not further or sum(runs) + sum(max(1, FIRST - runs[i]) for i in further) > cap:
            return _winner(expected, kept, lost), runs
        for i in further:
            runs[i] = max(FIRST, runs[i] + 1)


def _further(runs: Sequence[int], expected: Posterior, kept: Array, lost: Mask) -> list[int]:
    """Who runs on; nobody when it is settled."""
    had = np.array(runs)
    hopeful = kept >= np.where(had < ENOUGH, 0.5, SAFE)
    able = np.flatnonzero(hopeful & ~lost)
    if not len(able):
        return [int(i) for i in np.flatnonzero((had == 0) & (kept >= 0.5))[:FIRST]]
    leader = int(able[np.argmin(expected.mean[able])])
    ahead = expected.ahead(leader)
    rivals = [int(i) for i in able if ahead[i] >= _BEATEN]  # the leader's own chance is a half
    if len(rivals) == 1 and kept[leader] >= SAFE:
        return []
    least = min(had[rivals])
    return [i for i in rivals if had[i] == least]


def _winner(expected: Posterior, kept: Array, lost: Mask) -> int:
    """0, the best of the search, where nobody ended well."""
    ran = np.flatnonzero(~lost)
    if not len(ran):
        return 0
    safe = ran[kept[ran] >= SAFE]
    if not len(safe):
        return int(ran[np.argmax(kept[ran])])
    cautious = expected.mean + CAUTION * expected.apart(int(safe[0]))
    return int(safe[np.argmin(cautious[safe])])
