"""The race of the finalists: runs are spent where they decide which setting is certified.

All finalists run a few times. Then only those that may still win run again, until one is left or the runs are spent. A
finalist that falls behind or breaks a limit drops out. If all break limits, the next settings in order enter: those that
are expected to keep the limits, by the runs so far. Every step is a function of the runs made so far, so that a race on
record can be repeated without new runs. (Racing: Maron and Moore 1997, Artificial Intelligence Review 11; here by a
Bayesian model.)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import Array, Mask
from .selection import Posterior, keeps, posterior

FIRST = 2  # runs of each finalist before anything is decided
ENOUGH = 4  # runs after which a setting that is not trusted with its limits drops out
SAFE = 0.98  # probability that a run keeps all limits, from which on a setting is trusted with them
CAUTION = 0.5  # standard deviations of the difference by which the best of the search must be beaten
_BEATEN = 0.05  # probability of being better than the leader, below which a finalist drops out

Measure = Callable[[Sequence[int]], tuple[Array, Array]]
"""Wanted number of runs of each entrant -> losses (k, r) and excess over each limit (k, r, c), NaN where there is none."""


@dataclass(frozen=True)
class Entrants:
    """Settings in the order of the search: prior mean (k,) and covariance (k, k) of their losses; by how much each exceeds
    each limit (k, c) according to the search; the standard deviation of one result (NaN if unknown)."""

    prior: Array
    covariance: Array
    searched: Array
    noise: float


def race(entrants: Entrants, first: int, most: int, measure: Measure) -> tuple[int, list[int]]:
    """The winner, and how many runs each entrant had. The `first` ones in order begin. There are at most `most` runs in all,
    or twice as many while no entrant is trusted with its limits.

    Of the entrants that are trusted with their limits the first in order wins, unless another is expected to be better by
    CAUTION standard deviations of their difference; if none is trusted, the one that is most likely to keep them.
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
    """The entrants that run again; none if the race is decided."""
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
    """The entrant that wins by now: 0, the best of the search, if all runs failed."""
    ran = np.flatnonzero(~lost)
    if not len(ran):
        return 0
    safe = ran[kept[ran] >= SAFE]
    if not len(safe):
        return int(ran[np.argmax(kept[ran])])
    cautious = expected.mean + CAUTION * expected.sd_of_difference(int(safe[0]))
    return int(safe[np.argmin(cautious[safe])])
