"""Rules for folds of a cross-validation: every trial reports the score of each fold, on the same folds.

The incumbent is the trial with the best mean among those that have all folds. Folds must be shared between trials and
come in the same order, so that scores are paired: step i is the same split for every trial.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from scipy.special import ndtr

from ..arrays import HUGE
from ..fidelity import Fidelity
from . import Score, ScoredReport, bounded, needed

Scores = Mapping[float, Score]  # of one trial, by fold
Worse = Callable[[Scores, Scores, int], str]
"""Scores of a trial, those of the incumbent, its number -> why the trial is worse, or "" if it may continue."""
_EXACT = (
    300  # differences up to which all signs are counted, in time n^3; beyond, p = 0.1 is right to 0.2 %, 0.0004 to 5 %
)


@dataclass(frozen=True)
class Forgiving:
    """Stop a trial whose mean over its folds so far is worse than the incumbent's worst fold (Bergman et al. 2024, "Don't
    waste your time: early stopping cross-validation", the forgiving rule)."""

    name: str = "forgiving"
    version: ClassVar[str] = "1"

    def begin(self, fidelity: Fidelity | None) -> "_Folds":
        return _Folds(needed(self.name, fidelity, "'folds', 1, 10"), self._worse)

    def _worse(self, mine: Scores, theirs: Scores, incumbent: int) -> str:
        mean = _mean(mine)
        worst = tuple(max(goal) for goal in zip(*theirs.values(), strict=True))
        in_every_goal = all(a > b for a, b in zip(mean[1:], worst[1:], strict=True))
        if mean[0] < worst[0] or (mean[0] == worst[0] and not in_every_goal):  # the violation of limits goes first
            return ""
        return f"forgiving: the mean of {len(mine)} folds is worse than the worst fold of trial {incumbent}"


@dataclass(frozen=True)
class Wilcoxon:
    """Stop a trial that is worse than the incumbent on the same folds by a one-sided signed-rank test at level `p`,
    once it has `least` folds and its mean is worse, too."""

    p: float = 0.1
    least: int = 3
    name: str = "wilcoxon"
    version: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        bounded(self, "p", 1e-6, 0.5)
        bounded(self, "least", 2, 10**6)

    def begin(self, fidelity: Fidelity | None) -> "_Folds":
        return _Folds(needed(self.name, fidelity, "'folds', 1, 10"), self._worse)

    def _worse(self, mine: Scores, theirs: Scores, incumbent: int) -> str:
        shared = sorted(mine.keys() & theirs.keys())
        if len(shared) < self.least or len(mine[shared[0]]) != 2:  # more than one goal: there is nothing to test
            return ""
        differences = [mine[s][1] - theirs[s][1] for s in shared]
        if math.fsum(differences) <= 0 or (p := signed_rank(differences)) >= self.p:
            return ""
        return f"wilcoxon: worse than trial {incumbent} on the same {len(shared)} folds (p = {p:.2g})"


@dataclass
class _Folds:
    """The scores of all trials, by fold, and the incumbent among those that have all folds."""

    fidelity: Fidelity
    worse: Worse
    scores: defaultdict[int, dict[float, Score]] = field(default_factory=lambda: defaultdict(dict))
    incumbent: int | None = None

    def update(self, report: ScoredReport) -> str:
        mine = self.scores[report.number]
        mine[report.step] = tuple(min(max(x, -HUGE), HUGE) for x in report.score)  # so that sums are finite
        if report.step >= self.fidelity.high:  # all folds are in
            if self.incumbent is None or _mean(mine) < _mean(self.scores[self.incumbent]):
                self.incumbent = report.number
            return ""
        if self.incumbent is None or self.incumbent == report.number:
            return ""
        return self.worse(mine, self.scores[self.incumbent], self.incumbent)


def _mean(scores: Scores) -> Score:
    columns = zip(*scores.values(), strict=True)
    return tuple(math.fsum(c) / len(scores) for c in columns)


def signed_rank(differences: list[float]) -> float:
    """The one-sided p-value of Wilcoxon's signed-rank test that the differences are no larger than 0 (zeros are left out,
    ties get mean ranks): by the chance of each sum of ranks under all signs, which is exact for up to 52 differences. For
    many, by the normal approximation with the same mean and variance, corrected for continuity."""
    d = np.array([x for x in differences if x != 0])
    _, place, ties = np.unique(np.abs(d), return_inverse=True, return_counts=True)
    ranks = (2 * np.cumsum(ties) - ties + 1)[place]  # doubled, since mean ranks may be halves
    least = int(ranks[d < 0].sum())  # a sum of at most this is as probable as one of at least what the others sum up to
    if len(d) > _EXACT:
        return float(ndtr((least + 1 - ranks.sum() / 2) / (math.sqrt(float((ranks.astype(float) ** 2).sum())) / 2)))
    chances = np.zeros(least + 1)
    chances[0] = 1.0
    for r in ranks:
        chances[r:] += chances[: max(0, least + 1 - r)].copy()
        chances /= 2
    return math.fsum(chances)
