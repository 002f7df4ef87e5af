"""The gain over several data sets: the evidence of one study for each, combined."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import SpecError
from ..formatting import estimate, number, plural
from .certificate import LEVEL, Evidence, chances
from .design import Design
from .intervals import Interval, identical, moments, random_effects
from .judgement import decided, reliable, within


@dataclass(frozen=True)
class Across:
    """The gain to expect on another data set of this kind; fields as in `Evidence`. `between` is the standard deviation
    of the true gain between data sets, `gains` the mean difference on each. compared: as how many comparisons it counts.
    notices: what a reader must also know."""

    metric: str
    gains: tuple[float, ...]
    difference: float
    interval: Interval
    p_better: float
    p_equivalent: float
    p_worse: float
    equivalence: float
    between: float
    decision: str
    compared: int = 1
    notices: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return self.text()

    def text(self) -> str:
        """Aligned lines for a terminal."""
        gain, low, high = estimate(self.difference, self.interval)
        each = f", corrected as one of {self.compared} comparisons" if self.compared > 1 else ""
        lines = [
            ("decision", f"{self.decision} over {plural(len(self.gains), 'data set')}"),
            ("difference", f"{gain} in {self.metric}, 95 % interval {low} to {high} (positive is better)"),
            ("probability", chances(self.p_better, self.p_equivalent, self.p_worse, self.equivalence)),
            ("between", f"{number(self.between, 3)}: standard deviation of the gain from data set to data set"),
            ("test", f"random-effects mean (Paule & Mandel 1982), interval of Hartung & Knapp (2001){each}"),
            *(("note", notice) for notice in self.notices),
        ]
        return "\n".join(f"{label:<12}{line}" for label, line in lines)


def across(evidence: Sequence[Evidence], equivalence: float = 0.0) -> Across:
    """The evidence of several studies on one metric, as a random-effects mean. Each needs at least two complete pairs.

    A gain is not proven if it would be no proof on one of the data sets, and is infeasible if a constraint is not met on one.
    The interval is corrected for as many comparisons as the most corrected evidence. What was chosen by looking (one of
    several settings, or when to stop) makes a mean too good, for which nothing corrects: `notices` tells of it.
    equivalence: half-width of the zone of practical equivalence, in the metric's unit. Raises SpecError for fewer than two,
    for different metrics or directions, and for evidence that says nothing of its noise.
    """
    equivalence = Design(equivalence=equivalence).equivalence  # checked
    asked = {(e.metric, e.maximize) for e in evidence}
    if len(evidence) < 2 or len(asked) != 1:
        said = ", ".join(sorted({m for m, _ in asked})) or "none"
        raise SpecError(
            f"across takes the evidence of two or more studies on one metric, and got {len(evidence)} on {said}"
        )
    few = [i for i, e in enumerate(evidence) if len(e.pairs) < 2]
    if few:
        raise SpecError(
            f"evidence {few[0]} has fewer than two complete pairs: it says nothing of its noise; add replicates"
        )
    repeated = [i for i, e in enumerate(evidence) if _repeated(e)]
    if repeated:
        raise SpecError(
            f"evidence {repeated[0]} has identical replicates, or a few identical differences: it says nothing of its noise; "
            "use trial.seed in the objective, add replicates, or say deterministic=True where results have no noise"
        )
    doubtful = any(e.doubtful for e in evidence)
    means, errors = zip(*(_moments(e) for e in evidence), strict=True)
    compared = max(e.compared for e in evidence)
    found, between = random_effects(means, errors, equivalence, (1 - LEVEL) / compared)
    gain = reliable(decided(found.interval), doubtful)
    return Across(
        evidence[0].metric,
        means,
        found.mean,
        found.interval,
        found.better,
        found.equivalent,
        found.worse,
        equivalence,
        between,
        within(gain, [c for e in evidence for c in e.constraints]),
        compared,
        tuple(_notices(evidence)),
    )


def _notices(evidence: Sequence[Evidence]) -> list[str]:
    """Whose means may be too good because of what was looked at before; data sets are numbered from 0, in the given order."""
    chosen = [str(i) for i, e in enumerate(evidence) if e.compared > 1 + len(e.goals)]
    grown = [str(i) for i, e in enumerate(evidence) if e.sequential]
    said = []
    if chosen:
        said.append(
            f"several comparisons were made on data set {', '.join(chosen)}: a setting that was chosen among them by what they "
            "showed has too good a mean, and this interval does not know it"
        )
    if grown:
        said.append(
            f"the pairs of data set {', '.join(grown)} were looked at while they grew: who stopped at a good moment has too "
            "good a mean, and this interval holds for one look"
        )
    return said


def _repeated(e: Evidence) -> bool:
    """Whether its pairs are identical though the study is not deterministic: then its interval is unbounded."""
    return identical(np.array(e.gains)) and not math.isfinite(e.interval[0])


def _moments(e: Evidence) -> tuple[float, float]:
    """Mean gain and its standard error."""
    d = np.array(e.gains)
    mean, sd = moments(d)
    return mean, 0.0 if identical(d) else sd * math.sqrt(1 / len(d) + e.test_train_ratio)
