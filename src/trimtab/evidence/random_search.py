"""The gain over random search at equal cost, estimated by a model of the study's own results."""

import math
from collections.abc import Sequence

import numpy as np

from ..arrays import Array, Mask
from ..space import Space
from .belief import Belief
from .effects import functions

_SEARCHES = 100  # random searches that are simulated
_MOST = 20_000  # points of all simulated searches, unless one search needs more


def over_random(belief: Belief | None, space: Space, tuned: Array, trials: int, limits: Sequence[Belief] = ()) -> float:
    """By how much the tuned row (d,) is expected to beat the results of random searches with `trials` settings.

    In losses; positive is better. NaN if there is no model. limits: models of how far each constraint is exceeded.

    Each random search sees its results with the noise of one run, and keeps the lowest of those that are expected to
    meet the constraints, if there is one; its result is the loss there without the noise. The losses are those of draws of
    the model's function, the tuned row's too: the mean of the model varies less than the function itself, so that random
    searches would find too little in it.
    """
    if belief is None or trials < 1:
        return math.nan
    rng = np.random.default_rng(0)
    searches = max(1, min(_SEARCHES, _MOST // trials))  # on each draw
    X = space.sample(searches * trials, rng)
    f = functions(belief)
    losses = belief.unit * f(X).reshape(searches, trials, -1)  # of each draw
    seen = losses + belief.noise * rng.standard_normal((searches, trials, 1))
    for limit in limits:
        seen[limit.predict(X)[0].reshape(searches, trials) > 0] = np.inf
    found = np.take_along_axis(losses, seen.argmin(axis=1)[:, None], axis=1)[:, 0][np.isfinite(seen).any(axis=(1, 2))]
    return float((found - belief.unit * f(tuned[None])).mean()) if len(found) else math.nan


def equal_trials(costs: Array, full: Array, random: Mask) -> int:
    """How many random settings with a result the same cost would have paid for. The number of trials if costs are
    unknown.

    costs (n,) of all trials; full (n,): what each cost that has a result, NaN for those that failed; random (n,): those not
    chosen by a model. Random ones say what random ones cost, if there are five.
    """
    known = full > 0
    asked = known & random if (known & random).sum() >= 5 else known
    if not asked.any():
        return len(costs)
    return max(1, round(len(costs) * float(costs[costs > 0].mean() / full[asked].mean())))
