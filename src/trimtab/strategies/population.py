"""What population-based training strategies share: members that train in intervals, and which member continues from which.

A population trains its members side by side. Each trial is one interval of one member: it continues from the checkpoint of
its parent and trains to its level. A member that is among the worst of its level when its interval has ended gives up its
state for a copy of one of the best, with other parameters (Jaderberg et al. 2017). Members are compared only at equal
levels, and no member waits for another.

Members of a sub-population of frequency f compare themselves after every f-th interval only: the larger f, the less greedy.
Sub-populations are compared with each other at the levels that both have. A copy from a sub-population of smaller f takes
over the weights but not the parameters, since parameters that win early need not win late (after Doulazmi et al. 2025,
MF-PBT).

Notation: d columns, n rows, m goals; P members, L intervals; a level is a fidelity.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays import HUGE, Array, Ints, Mask
from ..checks import is_number, members, plain, shown, whole
from ..errors import SpecError
from ..numerics.pareto import by_front, violations
from ..numerics.tally import Tally
from . import LEVEL, MEMBER, NUMBER, PARENT, REACHED, Problem, Proposal, Rows
from .points import Taken, sobol_points
from .variation import perturbed

_FEW, _SOME, _MANY = 4, 16, 40  # members: at least, without a budget, at most
_MOST = 10_000  # members that may be asked for
_INTERVALS = 12
_TRIES = 32  # random changes of a setting that are tried until one is allowed


@dataclass(frozen=True)
class Plan:
    """The layout of a population: `size` members, which take the `frequencies` in turn; `levels` (L,) at which intervals may
    end; `quantile`, the share of the worst members that copy."""

    size: int
    frequencies: tuple[int, ...]
    levels: tuple[float, ...]
    quantile: float

    @staticmethod
    def of(
        problem: Problem, population: int | None, intervals: int | None, frequencies: Sequence[int], quantile: float
    ) -> "Plan":
        """Raises SpecError for settings that do not fit each other or the fidelity."""
        _check(problem, population, intervals, frequencies, quantile)
        common, (low, top) = math.lcm(*frequencies), (problem.rungs[0], problem.rungs[-1])
        usual = common * max(-(-2 * max(frequencies) // common), int(min(_INTERVALS, top / low)) // common)
        L = usual if intervals is None else intervals
        if L % common or 2 * max(frequencies) > L:
            raise SpecError(
                f"intervals={L} must be a multiple of {common}, and at least twice the frequency {max(frequencies)}"
            )
        counted = float(low).is_integer() and float(top).is_integer()

        def end(k: int) -> float:
            """Where interval k of 1 .. L ends: in whole numbers where the fidelity is counted in them."""
            return float(math.ceil(top * k / L - 1e-9)) if counted else top * k / L

        if end(1) < low or (counted and top < L):
            raise SpecError(
                f"intervals={L} are too many for a fidelity from {low:g} to {top:g}; take fewer, or a smaller low"
            )
        levels = tuple(end(k) for k in range(1, L + 1))
        each = sum(L / f for f in frequencies) / len(frequencies)  # trials of a member
        P = _SOME if problem.budget is None else min(int((problem.budget - 1) / each), _MANY)
        size = max(P, _FEW * len(frequencies)) if population is None else population
        return Plan(size, tuple(frequencies), levels, quantile)

    def frequency(self, member: int) -> int:
        """The frequency of a member's sub-population; also of a member beyond `size`, from before the budget was lowered."""
        return self.frequencies[member % len(self.frequencies)]

    def next(self, member: int, level: float) -> float:
        """The level of a member's next interval after `level` (0: its first one)."""
        passed = bisect_right(self.levels, level)
        return self.levels[min(passed + self.frequency(member), len(self.levels)) - 1]


def _check(
    problem: Problem, population: int | None, intervals: int | None, frequencies: Sequence[int], quantile: float
) -> None:
    if not problem.rungs:
        raise SpecError("a population trains in intervals: give the study fidelity=tt.Fidelity('epochs', 1, 81)")
    if not members("frequencies", frequencies, "whole numbers, such as (1, 3)"):
        raise SpecError(f"frequencies={frequencies!r} is empty; write (1,)")
    for f in frequencies:
        whole("frequencies", f, repair=", such as (1, 3)")
    for name, value, least in (("population", population, _FEW * len(frequencies)), ("intervals", intervals, 2)):
        if value is not None:
            whole(name, value, least, most=_MOST)
    if not is_number(plain(quantile)) or not 0 < quantile <= 0.5:
        raise SpecError(f"quantile={shown(quantile)} must be above 0 and at most 0.5")


def free(problem: Problem, fixed: tuple[str, ...]) -> Mask:
    """Which columns (d,) may change while a model trains. Raises SpecError for a name that is no parameter."""
    unknown = [n for n in members("fixed", fixed, "parameters' names") if n not in problem.space.names]
    if unknown:
        raise SpecError(f"fixed={shown(unknown)} names no parameters; the space has {', '.join(problem.space.params)}")
    return np.array([name not in fixed for name in problem.space.params])


@dataclass(frozen=True)
class Population:
    """The state: finished rows, and for one ask those under way."""

    problem: Problem
    plan: Plan
    rows: Rows
    under_way: Rows


@dataclass(frozen=True)
class Census:
    """The members as they stand. Indices are of `lines` and `X`: finished rows first, then those under way."""

    plan: Plan
    X: Array  # (n, d)
    lines: Array  # (n, 5), see strategies.LINEAGE
    good: Mask  # (n,) trained to its level, with a result
    Y: Array  # (finished, m)
    violation: Array  # (finished,)
    settled: bool  # whether another result never changes the order of the earlier ones
    latest: dict[int, int]  # member -> its last interval
    since: dict[int, float]  # member -> number of the first trial that it may copy; nearly always 0, see `_since`
    ended: int

    @staticmethod
    def of(state: Population) -> "Census":
        both = state.rows + state.under_way
        lines, ended = both.lineage, len(state.rows)
        known = ~state.rows.failed & (state.rows.lineage[:, REACHED] >= state.rows.lineage[:, LEVEL])
        order = np.argsort(lines[:, NUMBER], kind="stable")
        members = [i for i in order if 0 <= lines[i, MEMBER] < state.plan.size]
        good = np.zeros(len(both), dtype=bool)
        good[:ended] = known & (state.rows.lineage[:, MEMBER] >= 0)
        Y = np.clip(state.rows.Y, -HUGE, HUGE)
        C = np.clip(state.rows.C, -HUGE, HUGE)
        settled, latest = Y.shape[1] == 1 and C.shape[1] == 0, {int(lines[i, MEMBER]): int(i) for i in members}
        return Census(state.plan, both.X, lines, good, Y, violations(C), settled, latest, _since(lines, order), ended)

    @property
    def due(self) -> list[int]:
        """Members whose interval has ended short of the top, the least trained first, then by who ended first."""
        top = self.plan.levels[-1]
        waiting = [(self.lines[i, LEVEL], i, m) for m, i in self.latest.items() if i < self.ended]
        return [m for level, _, m in sorted(waiting) if level < top or not self.good[self.latest[m]]]

    def at(self, level: float, since: float = 0.0, frequency: int | None = None) -> Ints:
        """The good results at a level from trial number `since` on, best first; only those of one sub-population, if its
        `frequency` is given."""
        here = np.flatnonzero(self.good & (self.lines[:, LEVEL] == level) & (self.lines[:, NUMBER] >= since))
        if frequency is not None:
            here = here[[self.frequency(int(i)) == frequency for i in here]]
        return here[by_front(self.Y[here], self.violation[here])] if len(here) else here

    def frequency(self, i: int) -> int:
        """The frequency of the sub-population to which the member of trial i belongs."""
        return self.plan.frequency(int(self.lines[i, MEMBER]))

    def line(self, number: float) -> int | None:
        """The index of the trial of that number; None if it is not known."""
        found = np.flatnonzero(self.lines[:, NUMBER] == number)
        return int(found[0]) if len(found) else None


def _since(lines: Array, order: Ints) -> dict[int, float]:
    """For each member, the number of the first trial that it may copy.

    All members begin before the first one continues. Members that a raised budget adds later may not copy trials from before
    they began: checkpoints that no member needed then are gone. order: the rows by trial number.
    """
    since: dict[int, float] = {}
    first, together = 0.0, True
    for i in order[~np.isnan(lines[order, MEMBER])]:
        member = int(lines[i, MEMBER])
        if member not in since:
            since[member] = first = first if together else float(lines[i, NUMBER])
            together = True
        together = together and bool(np.isnan(lines[i, PARENT]))
    return since


Explore = Callable[[Array, float, Sequence[Array], np.random.Generator], tuple[Array, dict[str, Any]]]
"""(setting x (d,) to change, the level where the interval begins, settings chosen in this ask, rng) -> an allowed setting
(d,), and why this one (JSON)."""


def intervals(state: Population, n: int, rng: np.random.Generator, explore: Explore) -> list[Proposal]:
    """Up to n next intervals: the members' first ones, then those of members that are due."""
    census = Census.of(state)
    missing = [m for m in range(state.plan.size) if m not in census.latest]
    made = _first(state, census, missing[:n], rng)
    for member in census.due[: n - len(made)]:
        made.append(_next(state, census, member, [p.x for p in made], rng, explore))
    return made


def _first(state: Population, census: Census, members: list[int], rng: np.random.Generator) -> list[Proposal]:
    """Points of the study's Sobol sequence, each begun anew; random ones where a small space has no more."""
    space, index = state.problem.space, len(census.X)
    taken = Taken(space, 1, Tally()).plus(census.X)
    _, X = sobol_points(state.problem, taken, index, len(members))
    if len(X) < len(members):
        X = np.concatenate([X, space.sample(len(members) - len(X), rng)])
    return [
        Proposal(x, why={"member": m, "begins": "anew"}, fidelity=state.plan.next(m, 0.0))
        for m, x in zip(members, X, strict=True)
    ]


def _next(
    state: Population,
    census: Census,
    member: int,
    chosen: list[Array],
    rng: np.random.Generator,
    explore: Explore,
) -> Proposal:
    """The next interval of a member: it continues, or continues a copy of a better member, or, if no member has a result at
    its level, repeats the interval that failed."""
    plan, i = census.plan, census.latest[member]
    level, number = float(census.lines[i, LEVEL]), int(census.lines[i, NUMBER])
    since = census.since[member]
    own = census.at(level, since, plan.frequency(member))
    place, cut = (int(np.flatnonzero(own == i)[0]) if census.good[i] else len(own)), int(plan.quantile * len(own))
    why: dict[str, Any] = {"member": member, "place": place + 1, "of": max(len(own), place + 1)}
    if census.good[i] and place < len(own) - cut:
        return Proposal(census.X[i], number, {**why, "goes on": number}, plan.next(member, level))
    others = census.at(level, since)
    if len(others) == 0 or level == plan.levels[-1]:
        return _again(state, census, member, chosen, rng, explore)
    best = others[: max(1, int(plan.quantile * len(others)))]
    donor = int(best[rng.integers(len(best))])
    model = donor
    if census.frequency(donor) < plan.frequency(member) and len(own):
        model = int(own[rng.integers(max(1, cut))])  # parameters of its own kind
    x, said = explore(census.X[model], level, chosen, rng)
    copied = {"copies": int(census.lines[donor, NUMBER]), "instead of": number}
    return Proposal(x, copied["copies"], {**why, **copied, **said}, plan.next(member, level))


def _again(
    state: Population, census: Census, member: int, chosen: list[Array], rng: np.random.Generator, explore: Explore
) -> Proposal:
    """The interval that failed again, with other parameters: from its parent's state if the parent succeeded, else from the
    beginning."""
    i = census.latest[member]
    before = census.line(census.lines[i, PARENT])
    if before is None or not census.good[before]:
        return _first(state, census, [member], rng)[0]
    level, number = float(census.lines[i, LEVEL]), int(census.lines[i, NUMBER])
    x, said = explore(census.X[before], float(census.lines[before, LEVEL]), chosen, rng)
    why = {"member": member, "again": number, **said}
    return Proposal(x, int(census.lines[before, NUMBER]), why, level)


def near(state: Population, x: Array, step: float, resample: float, movable: Mask, rng: np.random.Generator) -> Array:
    """A setting near x (d,), or x itself where no allowed one is found."""
    found = perturbed(state.problem.space, x, np.full(_TRIES, step), resample, movable, rng)
    return np.asarray(found[0] if len(found) else x)


def needed(state: Population) -> frozenset[int]:
    """Numbers of the trials that a later interval may continue from: the last ended trial of each member that has not been
    trained to the top (trials under way may yet fail or be cancelled), and the best of each level that some member has yet
    to pass."""
    told = Census.of(replace(state, under_way=state.problem.no_rows))
    plan, P, top = told.plan, told.plan.size, told.plan.levels[-1]
    lasts = [i for i in told.latest.values() if not (told.good[i] and told.lines[i, LEVEL] == top)]
    if not lasts and len(told.latest) == P:
        return frozenset()
    behind = min((told.lines[i, LEVEL] for i in lasts), default=0.0) if len(told.latest) == P else 0.0
    kept = {told.lines[i, NUMBER] for i in lasts} | {told.lines[i, PARENT] for i in lasts if not told.good[i]}
    few = max(1, int(plan.quantile * P)) if told.settled else None
    for level in plan.levels[:-1]:
        if level >= behind:
            kept |= {
                told.lines[i, NUMBER] for since in {0.0, *told.since.values()} for i in told.at(level, since)[:few]
            }
    return frozenset(int(number) for number in kept if not math.isnan(number))
