"""Freeze-thaw: the paused trial continues whose learning curve promises most, or a new one starts.

All curves together predict where each of them will end, and with what uncertainty (see numerics.extrapolation). The
worth of a paused trial is its expected improvement at the top on the best full training, over its expected cost: the
way to the next rung, plus the rest of the way times the probability that it improves, since it will then be trained to
the end. The worth of a new setting is computed in the same way, as if it would turn out like the latest ones (Swersky
et al. 2014, "Freeze-thaw Bayesian optimization", chose by information gain among a basket of paused trials and new
ones). Until there is a full training, the improvement is on the median forecast.

Curves are of one metric. It is measured in units of its typical distance from the median, and logarithmically from one
unit above the median on, so that divergence has no weight.

Notation: n rows, R rungs, c settings.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from ..arrays import HUGE, Array, Mask
from ..errors import SpecError
from ..numerics.acquisition import improvement
from ..numerics.extrapolation import forecast
from ..numerics.warp import typical_distance
from . import NUMBER, REACHED, Problem, Rows
from .ladder import Ladder, origins, settings
from .promotion import Continuation

_LATEST = 16  # last settings, from which the forecast of a new one is made
_SURE = 1e-9  # least standard deviation of a forecast
_FAR = 1e3  # units below the median to which values are clipped


@dataclass(frozen=True)
class Thawing:
    """The policy (see promotion.Policy). New settings pause where those of promotion.Halving do, by `eta` and `trust`."""

    eta: float
    trust: float
    version: str = "thawing6"

    def check(self, problem: Problem) -> None:
        if problem.goals > 1:
            raise SpecError("stopping='freeze-thaw' extrapolates one metric; with several goals take 'promotion'")

    def first_rung(self, ladder: Ladder) -> int:
        return ladder.trusted_rung(self.eta, self.trust)

    def choose(self, ladder: Ladder, first: int) -> tuple[list[Continuation], list[Continuation]]:
        pausing = np.flatnonzero(ladder.pausing)
        if len(pausing) == 0:
            return [], []
        levels, lines = np.array(ladder.levels), ladder.state.rows.lineage
        rows = settings(ladder.state.rows)
        rows = rows[np.flatnonzero(~rows.failed)]
        V = standardised(_curves(rows, levels))
        mean, sd = forecast(V, levels)
        sd = np.maximum(sd, _SURE)
        whole = ~np.isnan(V[:, -1])
        best = float(V[whole, -1].min() if whole.any() else np.median(mean))

        begun, numbers = origins(lines), [int(number) for number in rows.lineage[:, NUMBER]]
        latest = np.argsort([begun[number] for number in numbers], kind="stable")[-_LATEST:]
        like = np.sqrt((sd[latest] ** 2).mean() + mean[latest].var(keepdims=True))
        new = float(worth(mean[latest].mean(keepdims=True), like, best, levels[first], levels[-1] - levels[first])[0])

        at = {number: i for i, number in enumerate(numbers)}
        which = np.array([at[int(number)] for number in lines[pausing, NUMBER]])
        here, then = levels[ladder.rung[pausing]], levels[ladder.rung[pausing] + 1]
        value = worth(mean[which], sd[which], best, then - here, levels[-1] - then)
        value = np.where((rows.C[which] > 0).any(axis=1), 0.0, value)
        order = np.argsort(-value, kind="stable")
        chosen: list[Continuation] = [(int(pausing[i]), {"worth": float(value[i]), "new": new}) for i in order]
        before = int((value > new).sum())
        return chosen[:before], chosen[before:]

    def waiting(self, ladder: Ladder) -> Mask:
        budget = ladder.state.problem.budget
        return ladder.pausing & (budget is None or len(ladder.state.rows) < budget)


def _curves(rows: Rows, levels: Array) -> Array:
    """The losses (c, R) of settings at each rung; at their last one their final losses."""
    V = np.full((len(rows), len(levels)), np.nan)
    if rows.curve.shape[1] == len(levels):
        V[:] = rows.curve[:, :, 0]
    at = np.clip(np.searchsorted(levels, rows.lineage[:, REACHED], side="right") - 1, 0, None)
    V[np.arange(len(rows)), at] = rows.Y[:, 0]
    return V


def standardised(V: Array) -> Array:
    """Values V (c, R) less the median of the curves' last ones, in units of their typical distance from it; those more than
    one unit above it logarithmically, so that a curve that diverges has no weight."""
    V = np.clip(V, -HUGE, HUGE) / 4  # so that differences are finite
    known = ~np.isnan(V)
    last = V[known.any(axis=1), V.shape[1] - 1 - known[:, ::-1].argmax(axis=1)[known.any(axis=1)]]
    centre = np.median(last)
    unit = typical_distance(last) or 1.0
    with np.errstate(over="ignore"):
        Z = np.clip((V - centre) / unit, -_FAR, HUGE)
    return np.where(Z > 1, 1 + np.log(np.maximum(Z, 1.0)), Z)


def worth(mean: Array, sd: Array, best: float, step: Array, rest: Array) -> Array:
    """The expected improvement on `best` of normal values (n,) over the expected cost: the step, plus the rest times
    the probability that they improve."""
    improves = ndtr((best - mean) / sd)
    return np.asarray(improvement(mean, sd, best) / (step + improves * rest))
