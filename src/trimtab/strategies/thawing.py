"""Freeze-thaw: the paused trial goes on whose learning curve promises most, or a new one is begun.

All curves together say where each of them will end, and how sure that is (see numerics.extrapolation). A paused trial is
worth its expected improvement at the top on the best full training, over what it is expected to cost from here: to the next
rung, and from each rung on a share of 1/eta of the way to the one after it, for most of those that go on pause again. A new
setting is worth the same, if it turns out like the latest ones (Swersky et al. 2014, "Freeze-thaw Bayesian optimization",
chose by information gain among a basket of paused trials and new ones).

Curves are of one metric. It is seen in units of the better half's spread, and beyond the median by its logarithm, so that what
diverges has no weight.

Notation: n rows, R rungs, c settings.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from ..errors import SpecError
from ..numerics.extrapolation import forecast
from . import Array, Problem, Rows
from .features import Ints, Mask
from .promotion import NUMBER, REACHED, Choice, Ladder, origins, settings

_LATEST = 16  # settings that say what a new one will be like
_ENOUGH = 8  # values at a rung that set the unit
_HUGE = 1e300
_FAR = 1e3  # units below the median that still count


@dataclass(frozen=True)
class Thawing:
    """The policy (see promotion.Policy). eta: of so many that pause at a rung one is expected to go on."""

    eta: float
    trust: float
    version: str = "thawing1"

    def check(self, problem: Problem) -> None:
        if problem.goals > 1:
            raise SpecError("stopping='freeze-thaw' extrapolates one metric; with several goals take 'promotion'")

    def first_rung(self, ladder: Ladder) -> int:
        return ladder.telling(self.eta, self.trust)

    def choose(self, ladder: Ladder, first: int) -> tuple[list[Choice], list[Choice]]:
        pausing = np.flatnonzero(ladder.pausing)
        if len(pausing) == 0:
            return [], []
        lines, rows = ladder.state.rows.lineage, settings(ladder.state.rows)
        known = np.flatnonzero(~np.isnan(rows.Y).any(axis=1))
        V = seen(_curves(rows, known, ladder.levels))
        mean, sd = forecast(V, np.array(ladder.levels))
        whole = ~np.isnan(V[:, -1])
        best = float(V[whole, -1].min() if whole.any() else mean.min())
        cost = expected_cost(ladder.levels, self.eta)

        begun = origins(lines)
        numbers = [int(number) for number in rows.lineage[known, NUMBER]]
        latest = np.argsort([begun[number] for number in numbers], kind="stable")[-_LATEST:]
        like = improvement(mean[latest].mean(), np.sqrt((sd[latest] ** 2).mean() + mean[latest].var()), best)
        new = float(like / (cost[first] + (ladder.levels[first - 1] if first else 0.0)))

        at = {number: i for i, number in enumerate(numbers)}
        which = np.array([at[int(number)] for number in lines[pausing, NUMBER]])
        worth = improvement(mean[which], sd[which], best) / cost[ladder.rung[pausing] + 1]
        worth = np.where((rows.C[known][which] > 0).any(axis=1), 0.0, worth)
        chosen: list[Choice] = [
            (int(pausing[i]), {"worth": float(worth[i]), "new": new}) for i in np.argsort(-worth, kind="stable")
        ]
        before = int((worth > new).sum())
        return chosen[:before], chosen[before:]

    def waiting(self, ladder: Ladder) -> Mask:
        budget = ladder.state.problem.budget
        return ladder.pausing & (budget is None or len(ladder.state.rows) < budget)


def _curves(rows: Rows, known: Ints, levels: Sequence[float]) -> Array:
    """The losses of some settings at each rung; at the last one what they ended with."""
    V = np.full((len(known), len(levels)), np.nan)
    if rows.rungs.shape[1] == len(levels):
        V[:] = rows.rungs[known, :, 0]
    at = np.clip(np.searchsorted(levels, rows.lineage[known, REACHED], side="right") - 1, 0, None)
    V[np.arange(len(known)), at] = rows.Y[known, 0]
    return V


def seen(V: Array) -> Array:
    """Values V (c, R) in units of the spread of the last ones about their median; logarithmic from a unit above it on."""
    V = np.clip(V, -_HUGE, _HUGE) / 4  # so that differences are finite
    known = ~np.isnan(V)
    last = V[known.any(axis=1), V.shape[1] - 1 - known[:, ::-1].argmax(axis=1)[known.any(axis=1)]]
    centre = np.median(last)
    unit = np.mean(np.abs(last - centre)) or 1.0
    with np.errstate(over="ignore"):
        Z = np.clip((V - centre) / unit, -_FAR, _HUGE)
    return np.where(Z > 1, 1 + np.log(np.maximum(Z, 1.0)), Z)


def improvement(mean: Array, sd: Array, best: float) -> Array:
    """By how much a normal value is expected to be below `best`, if it is."""
    sd = np.maximum(sd, 1e-9)
    z = (best - mean) / sd
    return np.asarray(np.maximum(sd * (z * ndtr(z) + np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)), 0.0))


def expected_cost(levels: Sequence[float], eta: float) -> Array:
    """What the stretch to each rung (R,) is expected to cost with those that follow: of eta that pause one goes on."""
    cost = np.diff(np.array(levels), prepend=0.0)
    for k in range(len(cost) - 2, -1, -1):
        cost[k] += cost[k + 1] / eta
    return cost
