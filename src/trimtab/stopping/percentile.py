"""The median rule and its relatives: stop a trial that is worse than most others were at the same step.

A trial's best score so far is compared with the best scores that the others had at that step (Golovin et al. 2017,
"Google Vizier", section 3.2.2, with best values instead of running averages).
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import ClassVar

from ..fidelity import Fidelity
from . import Score, ScoredReport, bounded
from .rungs import Rung


@dataclass(frozen=True)
class Percentile:
    """Stop a trial if more than `share` of the others are better at a step.

    least: others needed at the step. after: steps that every trial gets.
    """

    share: float = 0.25
    least: int = 5
    after: float = 0.0
    name: str = "percentile"
    version: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        bounded(self, "share", 0.0, 1.0)
        bounded(self, "least", 1, 10**9)
        bounded(self, "after", 0.0, 1e300)

    def begin(self, fidelity: Fidelity | None) -> "_State":
        return _State(self, fidelity)


@dataclass(frozen=True)
class Median:
    """`Percentile` with a share of one half."""

    share: ClassVar[float] = 0.5
    least: int = 5
    after: float = 0.0
    name: str = "median"
    version: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        bounded(self, "least", 1, 10**9)
        bounded(self, "after", 0.0, 1e300)

    def begin(self, fidelity: Fidelity | None) -> "_State":
        return _State(self, fidelity)


class _State:
    def __init__(self, rule: Percentile | Median, fidelity: Fidelity | None) -> None:
        self._rule = rule
        self._top = float("inf") if fidelity is None else fidelity.high
        self._steps: defaultdict[float, Rung] = defaultdict(Rung)
        self._best: dict[int, Score] = {}

    def update(self, report: ScoredReport) -> str:
        number, step = report.number, report.step
        # In several goals no report is the best so far.
        best = min(self._best.get(number, report.score), report.score) if len(report.score) == 2 else report.score
        self._best[number] = best
        rung = self._steps[step]
        rung.put(number, best)
        rule, others, better = self._rule, len(rung) - 1, rung.better(number)
        if step <= rule.after or step >= self._top or others < rule.least or better <= rule.share * others:
            return ""
        return f"{rule.name}: {better} of {others} others were better at {step:g}"
