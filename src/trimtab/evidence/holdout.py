"""From two trained models to the certificate of one hold-out set: the bootstrap over its rows, and what a reader must know."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import Ints
from ..formatting import plural
from ..goals import Constraint, Goal
from .certificate import HOLDOUT, LEVEL, Evidence, gains
from .design import Contest
from .intervals import bootstrap
from .judgement import decided

_FEW = 10  # groups of rows below which the bootstrap covers too seldom


@dataclass(frozen=True)
class HeldOut:
    """Two trained models on one hold-out set: the metric of baseline and tuned on chosen ones of its rows; the group of
    each row (n,), a number of its own where rows come in no groups; and whether they follow one another in time."""

    before: Callable[[Ints], float]
    after: Callable[[Ints], float]
    groups: Ints
    in_time: bool = False

    @property
    def said(self) -> list[str]:
        """What a reader must know of the rows."""
        n, G, kind = len(self.groups), len(np.unique(self.groups)), "block" if self.in_time else "group"
        apart = f" in {plural(G, kind)}, which are drawn as wholes" if n > G else ""
        said = [
            f"{plural(n, 'hold-out row')}{apart}; two trained models: another training of the same settings may differ"
        ]
        if G < _FEW:
            said.append(f"only {plural(G, kind if n > G else 'row')}: too few for an interval that can be relied on")
        if self.in_time:
            said.append(
                "the rows follow one another in time: where they are alike over longer than a block, the interval is too short"
            )
        return said


def held_out(
    goal: Goal,
    contest: Contest,
    models: HeldOut,
    equivalence: float,
    rng: np.random.Generator,
    *,
    look: int,
    compared: int,
    constraints: Sequence[Constraint],
) -> Evidence:
    """The evidence of one hold-out set.

    look: how often it has been looked at. compared: how many settings and goals were. Constraints are not judged here.
    If a metric is not finite on all rows, the pair has failed.
    """
    every, alpha = np.arange(len(models.groups)), (1 - LEVEL) / compared

    def difference(rows: Ints) -> float:
        pair = models.before(rows), models.after(rows)
        return float(gains([pair], goal.maximize)[0]) if all(map(math.isfinite, pair)) else math.nan

    found = bootstrap(difference, models.groups, equivalence, alpha, rng)
    said = models.said
    if look > 1:
        said.append(f"look {look} at these rows: what was chosen after an earlier look is no longer unseen by them")
    if constraints:
        said.append(f"whether {', '.join(c.text for c in constraints)} holds on these rows is not judged")
    values = models.before(every), models.after(every)
    known = all(map(math.isfinite, values))
    if not known:
        said.append(f"{goal.metric} is not finite on these rows (baseline {values[0]}, tuned {values[1]})")
    return Evidence(
        goal.metric,
        goal.maximize,
        contest.baseline,
        contest.tuned,
        contest.trial,
        (values,) if known else (),
        difference=found.mean if known else math.nan,
        interval=found.interval,
        p_better=found.better,
        p_equivalent=found.equivalent,
        p_worse=found.worse,
        equivalence=equivalence,
        decision="not shown" if contest.same or not known else decided(found.interval),
        test_train_ratio=0.0,
        failed_pairs=0 if known else 1,
        constraints=(),
        notices=tuple(said),
        protocol=HOLDOUT,
        compared=compared,
    )
