"""The laws of strategies whose trials continue from one another (see strategies.Continuing).

Whole studies are run, in which trials end in any order, fail, are cancelled and are stopped short.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, cast

import numpy as np

from ..errors import SpecError
from ..space import Float, Space
from ..strategies import LEVEL, LINEAGE, Continuing, Problem, Proposal, Rows, Strategy
from .check import Check, require, require_legal, strict
from .spaces import random_space

_SEEDS = range(10)
_RUNGS = [(1.0, 3.0, 9.0, 27.0, 81.0), (1.0, 4.0, 16.0, 24.0), (0.125, 0.5, 2.0)]
_TURNS = 3000  # after so many, a study must have come to its end
_HARD = (0.0, 5e-324, 1e308, -1e308, np.inf, -np.inf)  # losses


@dataclass
class Campaign:
    """A study of one strategy, which is asked and told in turn. Every proposal is checked as it is made."""

    made: Strategy[Any]
    problem: Problem
    random: Random
    workers: int
    trouble: float = 0.1  # the probability that a trial fails, is cancelled, or is stopped short
    hard: Sequence[float] = ()  # every third result is one of these losses
    rows: Rows = field(init=False)  # the finished trials
    running: dict[int, Proposal] = field(default_factory=dict)  # by number
    ended: dict[int, float] = field(
        default_factory=dict
    )  # number -> level, of the trials that others may continue from
    dropped: set[int] = field(default_factory=set)  # trials that were once not needed: their checkpoints are gone
    count: int = 0  # of all proposals, which are numbered from 0
    noise: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def __post_init__(self) -> None:
        self.rows = self._row(np.empty((0, len(self.problem.space))), [])

    def state(self, cut: int = 0) -> Any:
        """The state that the study would have for an ask; told in two pieces, the first one of `cut` rows."""
        state = self.made.init(self.problem)
        for piece in (self.rows[:cut], self.rows[cut:]):
            state = self.made.tell(state, piece)
        lines = [self._line(number, p, np.nan) for number, p in self.running.items()]
        return cast(Continuing, self.made).begun(state, self._row(self.pending, lines))

    @property
    def pending(self) -> np.ndarray[Any, Any]:
        return np.array([p.x for p in self.running.values()]).reshape(-1, len(self.problem.space))

    def ask(self, n: int, cut: int = 0) -> list[Proposal]:
        return self.made.ask(self.state(cut), self.pending, n, np.random.default_rng(self.count))

    def turns(self) -> Iterator[list[Proposal]]:
        """Run until nothing is under way and nothing is proposed: the proposals of each turn."""
        for _ in range(_TURNS):
            proposals = self.ask(self.workers - len(self.running))
            self._begin(proposals)
            yield proposals
            if not self.running:
                return
            self._end(self.random.choice(list(self.running)))
            needed = cast(Continuing, self.made).needed(self.state())
            self.dropped |= {n for n in self.ended if n not in needed}
        require(False, f"a study must come to an end, this one did not in {_TURNS} trials", self.problem)

    def _begin(self, proposals: Sequence[Proposal]) -> None:
        require(len(proposals) <= self.workers - len(self.running), "no more than asked for", self.problem)
        for p in proposals:
            self._judge(p)
            self.running[self.count] = p
            self.count += 1

    def _judge(self, p: Proposal) -> None:
        top, case = self.problem.rungs[-1], f"{self.problem}, trial {self.count}"
        require_legal(p, self.problem.space, case)
        require(p.fidelity is not None and 0 < p.fidelity <= top, f"a fidelity up to {top:g}, not {p.fidelity}", case)
        if p.parent is not None:
            level = self.ended.get(p.parent)
            require(level is not None, f"parent {p.parent} must have ended well", case)
            require((level or 0) < (p.fidelity or 0), "a trial must train further than its parent", case)
            require(p.parent not in self.dropped, f"parent {p.parent} was not needed before; it is gone", case)

    def _end(self, number: int) -> None:
        """End a trial: in `trouble`, a third of them are cancelled, a third fail, and a third are stopped at half the way."""
        p, fate = self.running.pop(number), self.random.random()
        reached = float(p.fidelity or 0)
        if fate < self.trouble / 3:  # cancelled: the strategy is not told
            return
        Y = np.nan_to_num(p.x, nan=0.5).sum() / reached + self.noise.normal(0, 0.01, self.problem.goals)
        if self.hard and number % 3 == 0:
            Y = np.full_like(Y, self.random.choice(self.hard))
        C = self.noise.normal(-1, 1, self.problem.constraints)
        if fate < self.trouble * 2 / 3:
            Y, C, reached = Y * np.nan, C * np.nan, np.nan
        elif fate < self.trouble:
            reached /= 2
        else:
            self.ended[number] = reached
        new = self._row(p.x[None], [self._line(number, p, reached)])
        self.rows = self.rows + replace(new, Y=Y[None], C=C[None])

    @staticmethod
    def _line(number: int, p: Proposal, reached: float) -> list[float]:
        values = (number, p.parent, p.fidelity, reached, p.why.get("member"))
        return [np.nan if v is None else float(v) for v in values]

    def _row(self, X: np.ndarray[Any, Any], lines: list[list[float]]) -> Rows:
        n = len(X)
        Y, C = np.full((n, self.problem.goals), np.nan), np.full((n, self.problem.constraints), np.nan)
        return Rows(X, Y, C, lineage=np.array(lines).reshape(n, len(LINEAGE)))


def campaign(strategy: Strategy[Any], seed: int, trouble: float = 0.1) -> Campaign:
    """A random study."""
    random = Random(seed)
    problem = Problem(
        random_space(random),
        goals=random.choice([1, 1, 2]),
        constraints=random.choice([0, 0, 1]),
        budget=random.choice([40, 100]),
        seed=seed,
        rungs=random.choice(_RUNGS),
    )
    return Campaign(strategy, problem, random, random.choice([1, 2, 5, 30]), trouble)


@strict
def a_study_ends_whatever_becomes_of_its_trials(strategy: Strategy[Any]) -> None:
    for seed in _SEEDS:
        run = campaign(strategy, seed, trouble=[0.0, 0.3][seed % 2])
        for _ in run.turns():
            continue
        tops = [n for n, level in run.ended.items() if level == run.problem.rungs[-1]]
        require(tops, "some trial must be trained to the top", f"seed {seed}, {run.problem}")


@strict
def no_member_waits_for_another(strategy: Strategy[Any]) -> None:
    for seed in _SEEDS:
        run = campaign(strategy, seed, trouble=0.0)
        members = 0
        for proposals in run.turns():
            due = bool(run.rows.lineage.size) and run.rows.lineage[-1, LEVEL] < run.problem.rungs[-1]
            waits = due and not proposals and run.workers > len(run.running)
            require(not waits, "a member whose interval has ended must go on", f"seed {seed}, {run.problem}")
            members += sum(p.parent is None for p in proposals)
        require(members >= 2, "a population has several members", f"seed {seed}, {run.problem}")


@strict
def equal_inputs_give_equal_intervals_and_are_left_alone(strategy: Strategy[Any]) -> None:
    for seed in _SEEDS:
        run = campaign(strategy, seed)
        for turn, _ in enumerate(run.turns()):
            if turn % 7 != 5:
                continue
            rows, n, before = run.rows, len(run.rows), run.rows.lineage.copy()
            first = _texts(run.ask(3))
            require(
                _texts(run.ask(3, cut=turn % max(n, 1))) == first,
                "tell(tell(s, A), B) must equal tell(s, A + B)",
                f"seed {seed}",
            )
            require(_texts(run.ask(3)) == first, "equal inputs must give equal proposals", f"seed {seed}")
            require(np.array_equal(rows.lineage, before, equal_nan=True), "rows must not be changed", f"seed {seed}")


@strict
def hard_numbers_still_give_valid_intervals(strategy: Strategy[Any]) -> None:
    for seed in _SEEDS:
        for _ in replace(campaign(strategy, seed), hard=_HARD).turns():
            continue


@strict
def it_says_what_it_cannot_do_without_a_fidelity(strategy: Strategy[Any]) -> None:
    try:
        strategy.init(Problem(Space(x=Float(0, 1))))
    except SpecError:
        return
    require(False, "a study without a fidelity must be refused", strategy.name)


def _texts(proposals: Sequence[Proposal]) -> list[str]:
    return [f"{[v.hex() for v in p.x.tolist()]} {p.parent} {p.fidelity} {dict(p.why)}" for p in proposals]


CONTINUING_CHECKS: Sequence[Check] = (
    a_study_ends_whatever_becomes_of_its_trials,
    no_member_waits_for_another,
    equal_inputs_give_equal_intervals_and_are_left_alone,
    hard_numbers_still_give_valid_intervals,
    it_says_what_it_cannot_do_without_a_fidelity,
)
