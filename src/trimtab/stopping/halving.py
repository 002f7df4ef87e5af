"""Asynchronous successive halving in its stopping form, in one bracket or in Hyperband's.

A trial that reaches a rung goes on if it is among the best 1/eta of all trials that have reached it so far (Li et al.
2020, "A system for massively parallel hyperparameter tuning", section 3; the stopping form as in Tune and Syne Tune).
Nobody waits: a trial is judged once a rung, against those who came before. Until a rung holds `least` trials all go on.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ..fidelity import Fidelity
from . import Heard, needed, within
from .rungs import Rung

_GOLDEN = 0.6180339887498949  # its multiples modulo 1 spread evenly, however many there are


@dataclass(frozen=True)
class Asha:
    """Stop unless among the best 1/eta of the rung. eta: the fidelity's factor unless given. least: trials in a rung
    before anyone is stopped there; eta, rounded up, unless given."""

    eta: float | None = None
    least: int | None = None
    name: str = "asha"

    def __post_init__(self) -> None:
        _check(self.name, self.eta, self.least)

    def begin(self, fidelity: Fidelity | None) -> "Halving":
        given = needed(self.name, fidelity)
        return Halving(self.name, [given.rungs[:-1]], [1.0], self.eta or given.factor, self.least)


@dataclass(frozen=True)
class Hyperband:
    """Successive halving in brackets: in bracket s trials are first judged at rung s (Li et al. 2018). Trials are dealt
    out by their numbers, to each bracket in proportion to its number of trials in Hyperband."""

    eta: float | None = None
    least: int | None = None
    name: str = "hyperband"

    def __post_init__(self) -> None:
        _check(self.name, self.eta, self.least)

    def begin(self, fidelity: Fidelity | None) -> "Halving":
        given = needed(self.name, fidelity)
        eta = self.eta or given.factor
        rungs = given.rungs
        most = len(rungs) - 1
        # n trials begin in the bracket that has s rungs above its first one: (s_max + 1) / (s + 1) * eta^s
        weights = [(most + 1) / (most - i + 1) * eta ** (most - i) for i in range(len(rungs))]
        return Halving(self.name, [rungs[i:-1] for i in range(len(rungs))], weights, eta, self.least)


def _check(name: str, eta: float | None, least: int | None) -> None:
    if eta is not None:
        within(name, "eta", eta, 1.1, 100)
    if least is not None:
        within(name, "least", least, 2, 10**9)


class Halving:
    """The rungs of each bracket. weights: how many trials each bracket gets, in proportion."""

    def __init__(
        self, name: str, levels: Sequence[Sequence[float]], weights: Sequence[float], eta: float, least: int | None
    ) -> None:
        self._name, self._levels, self._eta = name, levels, eta
        self._least = max(2, -int(-eta // 1)) if least is None else least
        total = sum(weights)
        self._shares = [sum(weights[: i + 1]) / total for i in range(len(weights))]
        self._rungs: defaultdict[tuple[int, float], Rung] = defaultdict(Rung)
        self._passed: dict[int, int] = {}  # how many rungs each trial has behind it

    def bracket(self, number: int) -> int:
        """The bracket of a trial."""
        return min(bisect_right(self._shares, (number * _GOLDEN) % 1), len(self._shares) - 1)

    def hear(self, heard: Heard) -> str:
        bracket = self.bracket(heard.number)
        levels = self._levels[bracket]
        before, now = self._passed.get(heard.number, 0), bisect_right(levels, heard.step)
        if now <= before:
            return ""
        self._passed[heard.number] = now
        for level in levels[before:now]:
            self._rungs[bracket, level].put(heard.number, heard.score)
        return self._judge(self._rungs[bracket, levels[now - 1]], levels[now - 1], heard.number)

    def _judge(self, rung: Rung, level: float, number: int) -> str:
        n = len(rung)
        if n < self._least:
            return ""
        places, better = max(1, int(n / self._eta)), rung.better(number)
        if better < places:
            return ""
        return f"{self._name}: {better} of {n - 1} others are better at {level:g}; {places} of {n} go on"
