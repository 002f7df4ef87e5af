"""What proposals for two or three goals improve on: the Pareto front of posterior means, up to a reference point.

A reference point close behind the front makes proposals extend it locally; but then a young front in one corner of the
space never leaves it. A distant one does the opposite: most of the gain lies at the ends, in a goal that is already as
good as it gets. So reference points alternate: close behind the front, then far in one goal after the other.

Results are noisy, so the front is that of posterior means. Pending points belong to it, which keeps proposals off them.

Notation: m goals, p known points, w pending ones.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from ..arrays import HUGE, Array, Mask
from ..numerics.acquisition import Term
from ..numerics.ehvi import Joint, boxes, log_ehvi
from ..numerics.gp import Posterior
from ..numerics.pareto import nondominated

MOST = 3  # goals; the boxes of more are too many
_BEHIND = 0.1  # of the front's extent: how far behind its worst value "close" is


def extent(Y: Array, feasible: Mask) -> Array:
    """Up to where the values Y (p, m) of known points matter for the front, in their own units: (m,).

    To close behind the front's worst values, and at least to the median: a model of the better half is a good one.
    """
    Y = np.clip(Y, -HUGE, HUGE)
    close, _ = _behind(Y[feasible] if feasible.any() else Y)
    return np.maximum(close, np.quantile(Y, 0.5, axis=0, method="lower"))


def improvement(goals: Sequence[Posterior], known: Array, waiting: Array, far: Array, turn: int) -> Term:
    """Log expected hypervolume improvement on the features `known` (p, columns) of feasible points and `waiting` (w,
    columns).

    `far` (m,) is the farthest reference point, in the units of the models; `turn` selects the reference point.
    """
    joint = Joint(tuple(goals))
    means = joint.predict(np.concatenate([known, waiting]))[0].T
    close, wide = _behind(means)
    closest = np.where(wide, np.minimum(close, far), far)
    reference = np.where(np.arange(len(far)) == turn % (len(far) + 1), far, closest)
    return joint, partial(log_ehvi, region=boxes(means, reference))


def _behind(Y: Array) -> tuple[Array, Mask]:
    """A point (m,) close behind the front of Y (p, m), and in which goals that front has any extent at all (m,)."""
    front = Y[nondominated(Y)]
    worst, best = front.max(0), front.min(0)
    return worst + _BEHIND * (worst - best), worst > best
