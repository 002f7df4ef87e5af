"""What each change from the baseline to the best contributes: an ablation path, by the model of all results.

Biedenkapp, Lindauer, Eggensperger and Hutter (2017, Efficient parameter importance analysis via ablation with surrogates):
from the baseline, the parameter whose change to the target's value is predicted to help most is changed next, and so on.
A choice takes the parameters that it wakes up along. Run the settings of the steps to see what the model got right.
"""

from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from ..space import Params
from ..space.parameters import Value
from .belief import Belief


@dataclass(frozen=True)
class Step:
    """One change: `params` after it; `gain` of it, positive is better, with its standard deviation, in the metric's unit."""

    name: str
    before: Value
    after: Value
    params: Params
    gain: float
    sd: float


def path(belief: Belief, baseline: Params, target: Params) -> list[Step]:
    """The steps from `baseline` to `target`, the most helpful first; the last one ends at the target."""
    space = belief.space
    a, b = space.encode([baseline, target])
    start = np.where(np.isnan(a), np.where(np.isnan(b), 0.5, b), a)
    end = np.where(np.isnan(b), start, b)
    here, left, steps = start.copy(), [int(j) for j in np.flatnonzero(np.abs(start - end) > 1e-12)], list[Step]()
    row = space.snap(here[None])
    before = space.decode(row)[0]
    while left:
        latent = np.repeat(here[None], len(left), axis=0)
        latent[np.arange(len(left)), left] = end[left]
        rows = space.snap(latent)
        i = int(np.argmin(belief.predict(rows)[0]))
        gain, sd = _gain(belief, np.stack([row[0], rows[i]]))
        after = space.decode(rows[i : i + 1])[0]
        name = space.names[left[i]]
        steps.append(Step(name, before.get(name), after.get(name), after, gain, sd))
        here, row, before = latent[i], rows[i : i + 1], after
        del left[i]
    return [s for s in steps if s.before != s.after or s.gain != 0]


def _gain(belief: Belief, two: Array) -> tuple[float, float]:
    """How much lower the second row's loss is than the first's, and the standard deviation of that."""
    mean, cov = belief.joint(two)
    return float(mean[0] - mean[1]), float(np.sqrt(max(0.0, cov[0, 0] + cov[1, 1] - 2 * cov[0, 1])))
