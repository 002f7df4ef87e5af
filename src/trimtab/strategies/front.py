"""What two or three goals have to improve on: the front that is believed in, and the reference point beyond it.

All is in the units of the models. Results are noisy, so the front is that of posterior means; pending points belong to
it, which keeps the next proposal away from them.

Notation: m goals, p known points, w pending ones.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from ..numerics.acquisition import Term
from ..numerics.ehvi import Boxes, Joint, boxes, log_ehvi
from ..numerics.gp import Posterior
from ..numerics.pareto import nondominated
from . import Array
from .features import Mask

MOST = 3  # goals; the boxes of more are too many
_BEYOND = 0.1  # of the front's extent: how far behind its worst values the reference point lies


def improvement(goals: Sequence[Posterior], F: Array, feasible: Mask, waiting: Array) -> Term:
    """Log expected hypervolume improvement on the feasible ones of F (p, columns) and on `waiting` (w, columns)."""
    joint = Joint(tuple(goals))
    means, _ = joint.predict(np.concatenate([F[feasible], waiting]))
    return joint, partial(log_ehvi, region=beyond(means.T))


def beyond(Y: Array) -> Boxes:
    """What the front of Y (p, m) leaves below its reference point."""
    front = Y[nondominated(Y)]
    worst = front.max(0)
    return boxes(front, worst + _BEYOND * np.maximum(worst - front.min(0), 1.0))
