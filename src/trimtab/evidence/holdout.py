"""From two trained models to the certificate of one hold-out set: the bootstrap over its rows, and what a reader must know."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import Ints
from ..formatting import plural
from ..goals import Constraint, Goal
from .certificate import HOLDOUT, LEVEL, ConstraintCheck, Evidence, gains
from .design import Contest
from .intervals import bootstrap, resamples
from .judgement import decided, within

Score = Callable[[Ints], float]
"""A metric of a trained model on chosen hold-out rows."""
_FEW = 10  # groups of rows below which the bootstrap covers too seldom


@dataclass(frozen=True)
class HeldOut:
    """Two trained models on one hold-out set: the metrics of baseline and tuned on chosen ones of its rows, by name; the
    group of each row (n,), a number of its own where rows come in no groups; and whether they follow one another in time."""

    before: Mapping[str, Score]
    after: Mapping[str, Score]
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

    look: how often it has been looked at. compared: how many settings and goals were. If the goal's metric is not finite on
    all rows, the pair has failed. A constraint has to hold in 95 % of the resamples.
    """
    every, alpha = np.arange(len(models.groups)), (1 - LEVEL) / compared
    before, after = models.before[goal.metric], models.after[goal.metric]

    def difference(rows: Ints) -> float:
        pair = before(rows), after(rows)
        return float(gains([pair], goal.maximize)[0]) if all(map(math.isfinite, pair)) else math.nan

    found = bootstrap(difference, models.groups, equivalence, alpha, rng)
    said = models.said
    if look > 1:
        said.append(f"look {look} at these rows: what was chosen after an earlier look is no longer unseen by them")
    values = before(every), after(every)
    known = all(map(math.isfinite, values))
    if not known:
        said.append(f"{goal.metric} is not finite on these rows (baseline {values[0]}, tuned {values[1]})")
    checks = tuple(_check(c, models, rng) for c in constraints)
    said += [f"on these rows, the tuned setting is not shown to keep {c.text!r}" for c in checks if c.held < LEVEL]
    said += [
        f"whether the tuned setting keeps {c.text!r} is unknown on these rows" for c in checks if math.isnan(c.held)
    ]
    gain = "not shown" if contest.same or not known else decided(found.interval)
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
        decision=within(gain, checks),
        test_train_ratio=0.0,
        failed_pairs=0 if known else 1,
        constraints=checks,
        notices=tuple(said),
        protocol=HOLDOUT,
        compared=compared,
    )


def _check(c: Constraint, models: HeldOut, rng: np.random.Generator) -> ConstraintCheck:
    """The constraint on all rows, and in how many resamples of them it holds, of those in which it is defined."""

    def excess(rows: Ints) -> float:
        reference = {c.metric: models.before[c.metric](rows)} if c.relative else None
        return c.excess({c.metric: models.after[c.metric](rows)}, reference)

    known = [e for e in map(excess, resamples(models.groups, rng)) if math.isfinite(e)]
    held = sum(e <= 0 for e in known) / len(known) if known else math.nan
    return ConstraintCheck(c.text, models.after[c.metric](np.arange(len(models.groups))), held, resamples=len(known))
