"""Asynchronous successive halving in its stopping form, in one bracket or in Hyperband's, with doubt about early rungs.

A trial that reaches a rung continues if it is among the best 1/eta of all trials that have reached it so far (Li et al.
2020, "A system for massively parallel hyperparameter tuning", section 3; the stopping form as in Tune and Syne Tune).
Nothing waits: a trial is judged once per rung, against those that came before. Until a rung holds `least` trials, all
continue.

An early rung may say nothing about the end, and would then stop good trials; and it saves little, since later rungs
stop the bad ones too. So a rung below high / factor^2 stops nothing until 8 trials have gone on from it to the next
one, and only while the orders of the latest 32 of them at the two rungs agree by a Kendall's tau of at least `trust`
(default: 1, entirely). Only survivors are compared, which restricts the range, so that the rung is doubted sooner
rather than later; when it stops nothing, new trials show whether it should.
"""

from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..fidelity import Fidelity
from ..numerics import brackets
from ..numerics.rank_correlation import LATEST, trusted
from . import Score, ScoredReport, bounded, needed
from .rungs import Rung


@dataclass(frozen=True)
class Asha:
    """Stop unless among the best 1/eta of the rung. eta: default: the fidelity's factor. least: trials in a rung before
    any is stopped there; default: eta, rounded up. trust: see above; 0 trusts every rung at once."""

    eta: float | None = None
    least: int | None = None
    trust: float = 1.0
    name: str = "asha"
    version: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        _check(self)

    def begin(self, fidelity: Fidelity | None) -> "_State":
        given = needed(self.name, fidelity)
        return _State(self, given, [given.rungs], [1.0])


@dataclass(frozen=True)
class Hyperband:
    """Successive halving in brackets: in bracket s, trials are first judged at rung s (Li et al. 2018). Trials are
    assigned by their numbers, to each bracket in proportion to its number of trials in Hyperband."""

    eta: float | None = None
    least: int | None = None
    trust: float = 0.0
    name: str = "hyperband"
    version: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        _check(self)

    def begin(self, fidelity: Fidelity | None) -> "_State":
        given = needed(self.name, fidelity)
        rungs = given.rungs
        return _State(self, given, [rungs[i:] for i in range(len(rungs))], self.shares(given))

    def shares(self, fidelity: Fidelity) -> tuple[float, ...]:
        """The share of trials that are first judged at each rung."""
        return brackets.shares(self.eta or fidelity.factor, len(fidelity.rungs))


def _check(rule: Asha | Hyperband) -> None:
    if rule.eta is not None:
        bounded(rule, "eta", 1.1, 100)
    if rule.least is not None:
        bounded(rule, "least", 2, 10**9)
    bounded(rule, "trust", 0.0, 1.0)


class _State:
    """The rungs of each bracket, including the top. shares: of the trials, by bracket."""

    def __init__(
        self, rule: Asha | Hyperband, fidelity: Fidelity, levels: Sequence[Sequence[float]], shares: Sequence[float]
    ) -> None:
        self._name, self._trust, self._levels = rule.name, rule.trust, levels
        self._eta = rule.eta or fidelity.factor
        self._early = fidelity.high / fidelity.factor**2
        self._least = max(2, -int(-self._eta // 1)) if rule.least is None else rule.least
        self._shares = shares
        self._rungs: defaultdict[tuple[int, int], Rung] = defaultdict(Rung)
        self._passed: defaultdict[int, list[Score]] = defaultdict(list)  # each trial's scores at the rungs behind it
        # Scores of the latest trials that went on from a rung: there, and at the next.
        self._witnesses: defaultdict[tuple[int, int], deque[tuple[Score, Score]]]
        self._witnesses = defaultdict(lambda: deque(maxlen=LATEST))

    def bracket(self, number: int) -> int:
        """The bracket of a trial."""
        return brackets.bracket(number, self._shares)

    def idle(self, number: int, step: float) -> bool:
        return bisect_right(self._levels[self.bracket(number)], step) <= len(self._passed[number])

    def update(self, report: ScoredReport) -> str:
        bracket, passed = self.bracket(report.number), self._passed[report.number]
        levels = self._levels[bracket]
        before, now = len(passed), bisect_right(levels, report.step)
        if now <= before:
            return ""
        if before:
            self._witnesses[bracket, before - 1].append((passed[-1], report.score))
        for k in range(before, now):
            passed.append(report.score)
            self._rungs[bracket, k].put(report.number, report.score)
        return "" if now == len(levels) else self._judge(bracket, now - 1, report.number)

    def _judge(self, bracket: int, k: int, number: int) -> str:
        rung, level = self._rungs[bracket, k], self._levels[bracket][k]
        n = len(rung)
        if n < self._least:
            return ""
        places, better = max(1, int(n / self._eta)), rung.better(number)
        if better < places or not self._trusted(bracket, k):
            return ""
        return f"{self._name}: {better} of {n - 1} others are better at {level:g}; {places} of {n} go on"

    def _trusted(self, bracket: int, k: int) -> bool:
        """Whether the order at this rung predicts that at the next one well enough."""
        if self._trust == 0.0 or self._levels[bracket][k] >= self._early:
            return True
        return trusted(self._witnesses[bracket, k], self._trust)
