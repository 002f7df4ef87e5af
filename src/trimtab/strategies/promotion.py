"""Any strategy with trials that pause: each is one stretch of training, and a policy says which go on.

A new setting is trained to its first rung; there it pauses, which is to say that its trial ends and its checkpoint stays.
When a slot is free, a policy names a paused trial, and a new one goes on from its checkpoint to the next rung; or it names
nobody, and `inner` proposes a new setting. So who is promoted is a function of the record, nobody is promoted twice from a
rung, and nobody waits for a slow or a dead worker.

The policy here is the pausing form of asynchronous successive halving: the best 1/eta of the trials at a rung that have not
been promoted yet are, from the highest rung down (Li et al. 2020, "A system for massively parallel hyperparameter tuning",
algorithm 2). Another one is in `thawing`.

An early rung may say nothing of the end. So new settings pause at the first rung from high / eta^2 on, until 8 trials have
passed a lower one and their order there agrees with that at this rung by a Kendall's tau of `trust`.

With `growing` the highest rung to which anybody is promoted is the second one at first. It grows by one whenever the
order of those at the top of it is not that which they had one rung below (Bohdal et al. 2023, "PASHA"); trials closer than
a tenth of the spread at the lower rung may change places.

A budget of trials ends before most have been trained to the top. When it has no more than the stretches that the most
advanced trial still needs, that one is trained on, so that there is a full training.

Notation: n rows, R rungs, m goals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import SpecError
from ..numerics.kendall import agreement
from ..numerics.pareto import by_front, ranks, violations
from . import LINEAGE, Array, Judge, Problem, Proposal, Rows, Strategy
from .rungs import levelled

Ints = NDArray[np.intp]

NUMBER, PARENT, LEVEL, REACHED, _ = range(len(LINEAGE))
_WITNESSES, _LATEST = 8, 32  # trials that must have passed a rung before it is trusted; that are looked at
_ALIKE = 0.1  # share of the spread at a rung within which the order does not count


@dataclass(frozen=True)
class Paused:
    """The state: finished rows, and for one ask those under way."""

    problem: Problem
    rows: Rows
    under_way: Rows


Choice = tuple[int, Mapping[str, Any]]
"""A paused trial, by its row, and why it goes on: JSON."""


class Policy(Protocol):
    """Which paused trials go on, and where new settings pause."""

    @property
    def version(self) -> str:
        """Of what it decides: part of the strategy's version in the record."""
        ...

    def check(self, problem: Problem) -> None:
        """Raises SpecError for a problem that it cannot decide on."""
        ...

    def first_rung(self, ladder: "Ladder") -> int:
        """The rung at which new settings pause."""
        ...

    def choose(self, ladder: "Ladder", first: int) -> tuple[Sequence[Choice], Sequence[Choice]]:
        """The paused trials that go on before new settings are begun, and those that do where there are no new ones."""
        ...

    def waiting(self, ladder: "Ladder") -> NDArray[np.bool_]:
        """(n,) which paused trials may yet go on."""
        ...


@dataclass(frozen=True)
class Promoting:
    """`inner` for new settings, a policy for the others."""

    inner: Strategy[Any]
    policy: Policy
    name: str
    version: str

    @staticmethod
    def over(inner: Strategy[Any], policy: Policy) -> Strategy[Any]:
        """The strategy, with the version of what is done around it in its own."""
        made = Promoting(inner, policy, inner.name, f"{inner.version}/{policy.version}")
        return cast(Strategy[Any], made)  # frozen, so not a Strategy to mypy

    def init(self, problem: Problem) -> Paused:
        """Raises SpecError without a fidelity."""
        if not problem.rungs:
            raise SpecError("promotion needs rungs: give the study fidelity=tt.Fidelity('epochs', 1, 81)")
        self.policy.check(problem)
        self.inner.init(problem)  # raises where it cannot search the space
        none = Rows.empty(len(problem.space), problem.goals, problem.constraints)
        return Paused(problem, none, none)

    def tell(self, state: Paused, rows: Rows) -> Paused:
        return replace(state, rows=state.rows + rows)

    def begun(self, state: Paused, under_way: Rows) -> Paused:
        return replace(state, under_way=under_way)

    def needed(self, state: Paused) -> frozenset[int]:
        """The trials that pause and may yet be promoted; what is under way may be cancelled."""
        ladder = Ladder(replace(state, under_way=self.init(state.problem).rows))
        return frozenset(int(state.rows.lineage[i, NUMBER]) for i in np.flatnonzero(self.policy.waiting(ladder)))

    def ask(self, state: Paused, pending: Array, n: int, rng: np.random.Generator) -> list[Proposal]:
        ladder = Ladder(state)
        if (last := ladder.last_ones(self.policy.waiting(ladder))) is not None:
            return [ladder.on(i, ladder.place(i)) for i in last[:n]]
        first = self.policy.first_rung(ladder)
        before, otherwise = self.policy.choose(ladder, first)
        made = [ladder.on(i, why) for i, why in before[:n]]
        if len(made) < n:
            anew = np.isnan(state.under_way.lineage[:, PARENT])
            waiting = np.concatenate([state.under_way.X[anew], pending[len(state.under_way) :]])
            level = state.problem.rungs[first]
            fresh = self.inner.ask(self._told(state, first), waiting, n - len(made), rng)
            made += [replace(p, fidelity=level) for p in fresh]
        return made + [ladder.on(i, why) for i, why in otherwise[: n - len(made)]]

    def shortfall(self, state: Paused, pending: Array, x: Array, rng: np.random.Generator) -> float:
        """What the inner strategy says (see strategies.Judge)."""
        if not isinstance(self.inner, Judge):
            return np.inf
        first = self.policy.first_rung(Ladder(state))
        return self.inner.shortfall(self._told(state, first), pending, x, rng)

    def _told(self, state: Paused, first: int) -> Any:
        """The inner strategy's state. It knows that new settings are judged at this rung."""
        brackets = tuple(float(k == first) for k in range(len(state.problem.rungs)))
        inner = self.inner.init(replace(state.problem, brackets=brackets))
        return self.inner.tell(inner, levelled(settings(state.rows)))


@dataclass(frozen=True)
class Halving:
    """The best 1/eta of each rung go on. See stopping.promotion.Promotion for the settings."""

    eta: float
    trust: float
    growing: bool
    version: str = "promotion2"

    def check(self, problem: Problem) -> None:
        del problem

    def first_rung(self, ladder: "Ladder") -> int:
        return ladder.telling(self.eta, self.trust)

    def choose(self, ladder: "Ladder", first: int) -> tuple[Sequence[Choice], Sequence[Choice]]:
        ceiling = ladder.ceiling(first) if self.growing else len(ladder.levels) - 1
        return [(i, ladder.place(i)) for i in self.promotable(ladder, ceiling)], ()

    def promotable(self, ladder: "Ladder", ceiling: int) -> list[int]:
        """The best 1/eta of each rung below the ceiling that still pause, from the highest rung down."""
        orders = [ladder.orders[k] for k in range(ceiling - 1, -1, -1)]
        return [int(i) for order in orders for i in order[: int(len(order) / self.eta)] if ladder.pausing[i]]

    def waiting(self, ladder: "Ladder") -> NDArray[np.bool_]:
        """A budget bounds how many will come to a rung; with one goal and without constraints nobody's place gets better.
        (Else units and fronts change, and all may.)"""
        rows, budget = ladder.state.rows, ladder.state.problem.budget
        if budget is None:
            return ladder.pausing
        left, hopeful = budget - len(rows), np.zeros(len(rows), dtype=bool)
        if left <= 0:
            return hopeful
        for k in range(len(ladder.levels) - 1):
            order = ladder.orders[k]
            plain = rows.Y.shape[1] == 1 and rows.C.shape[1] == 0
            hopeful[order[: max(1, int((len(order) + left) / self.eta)) if plain else None]] = True
        return np.asarray(ladder.pausing & hopeful)


@dataclass(frozen=True)
class Ladder:
    """Who stands where. Indices are of the finished rows."""

    state: Paused

    @property
    def levels(self) -> tuple[float, ...]:
        return self.state.problem.rungs

    @cached_property
    def rung(self) -> Ints:
        """(n,) the rung at which each trial ended well; -1 for the others."""
        lines = self.state.rows.lineage
        good = ~np.isnan(self.state.rows.Y).any(axis=1) & (lines[:, REACHED] >= lines[:, LEVEL])
        at = np.searchsorted(self.levels, np.nan_to_num(lines[:, LEVEL]))
        at = np.minimum(at, len(self.levels) - 1)
        return np.where(good & (np.array(self.levels)[at] == lines[:, LEVEL]), at, -1)

    @cached_property
    def pausing(self) -> NDArray[np.bool_]:
        """(n,) who may go on: below the top, and not promoted yet."""
        known = np.concatenate([self.state.rows.lineage[:, PARENT], self.state.under_way.lineage[:, PARENT]])
        below = (self.rung >= 0) & (self.rung < len(self.levels) - 1)
        return np.asarray(below & ~np.isin(self.state.rows.lineage[:, NUMBER], known))

    @cached_property
    def orders(self) -> tuple[Ints, ...]:
        """Those who ended at each rung, the best first."""
        rows, found = self.state.rows, []
        for k in range(len(self.levels)):
            here = np.flatnonzero(self.rung == k)
            found.append(here[by_front(rows.Y[here], violations(rows.C[here]))] if len(here) else here)
        return tuple(found)

    def place(self, i: int) -> Mapping[str, Any]:
        """Where a trial stands at its rung: JSON."""
        order = self.orders[int(self.rung[i])]
        return {"place": int(np.flatnonzero(order == i)[0]) + 1, "of": len(order)}

    def on(self, i: int, why: Mapping[str, Any]) -> Proposal:
        """The stretch of a trial to the next rung."""
        rows, k = self.state.rows, int(self.rung[i])
        number = int(rows.lineage[i, NUMBER])
        return Proposal(rows.X[i], number, {"promoted": number, **why, "from": self.levels[k]}, self.levels[k + 1])

    def last_ones(self, waiting: NDArray[np.bool_]) -> list[int] | None:
        """Who alone may go on, because the budget has no more than the most advanced one still needs; else None."""
        rows, under_way, top = self.state.rows, self.state.under_way, len(self.levels) - 1
        if self.state.problem.budget is None:
            return None
        left = self.state.problem.budget - len(rows) - len(under_way)
        climbing = [int(np.searchsorted(self.levels, level)) for level in under_way.lineage[:, LEVEL]]
        highest = max([-1, *climbing, *self.rung[waiting]])
        settled = bool(((self.rung == top) & (rows.lineage[:, NUMBER] > 0)).any()) or highest >= top
        if settled or highest < 0 or left > top - highest:
            return None
        best = [int(i) for i in self.orders[highest] if waiting[i]]
        return best[:1] if highest not in climbing else []

    def telling(self, eta: float, trust: float) -> int:
        """The lowest rung that tells enough of the first one that is late enough to be trusted."""
        if trust == 0.0:
            return 0
        late = next(k for k, level in enumerate(self.levels) if level >= self.levels[-1] / eta**2)
        return next((k for k in range(late) if self._agree(k, late, trust)), late)

    def _agree(self, k: int, later: int, trust: float) -> bool:
        V = settings(self.state.rows).rungs
        if V.shape[1] <= later:
            return False
        both = np.flatnonzero(~np.isnan(V[:, [k, later]]).any(axis=(1, 2)))[-_LATEST:]
        pairs = list(zip(_scores(V[both, k]), _scores(V[both, later]), strict=True))
        return len(pairs) >= _WITNESSES and agreement(pairs) >= trust

    def ceiling(self, first: int) -> int:
        """The highest rung to which anybody is promoted: it grows while the order at it is not what it was one rung below."""
        rows, c = self.state.rows, min(first + 1, len(self.levels) - 1)
        before = {int(number): i for i, number in enumerate(rows.lineage[:, NUMBER]) if not np.isnan(number)}
        came: list[tuple[int, int]] = []  # (row one rung below, row) of those at the ceiling
        for i in range(len(rows)):
            if c == len(self.levels) - 1:
                break
            origin = before.get(int(np.nan_to_num(rows.lineage[i, PARENT], nan=-1)))
            if self.rung[i] == c and origin is not None and self.rung[origin] == c - 1:
                came.append((origin, i))
                if not self._steady(came, np.flatnonzero(self.rung[:i] == c - 1)):
                    c, came = c + 1, []
        return c

    def _steady(self, came: Sequence[tuple[int, int]], below: Ints) -> bool:
        """Whether those that came up are in the same order as one rung below, but for such as are alike."""
        Y = self.state.rows.Y
        if Y.shape[1] > 1:  # of several goals: whether no front has changed
            a, b = (ranks(Y[[pair[j] for pair in came]], None) for j in (0, 1))
            return bool((a == b).all())
        alike = _ALIKE * float(np.mean(np.abs(Y[below, 0] - np.median(Y[below, 0]))))
        values = [(Y[i, 0], Y[j, 0]) for i, j in came]
        return all((a - c) * (b - d) > 0 or abs(a - c) <= alike for (a, b) in values for (c, d) in values)


def settings(rows: Rows) -> Rows:
    """One row for each setting: its stretches joined, in the order of their last ends."""
    lines = rows.lineage
    at = {int(number): i for i, number in enumerate(lines[:, NUMBER]) if not np.isnan(number)}
    parents = [at.get(int(np.nan_to_num(p, nan=-1))) for p in lines[:, PARENT]]
    went_on = {p for p in parents if p is not None}
    V, cost = rows.rungs.copy(), rows.cost.copy()
    for i, p in enumerate(parents):  # a parent ended before its child began
        if p is not None:
            known = ~np.isnan(V[p])
            V[i][known] = V[p][known]
            cost[i] += cost[p]
    last = [i for i in range(len(rows)) if i not in went_on]
    return Rows(rows.X[last], rows.Y[last], rows.C[last], cost[last], rows.seed[last], V[last], lines[last])


def origins(lines: Array) -> Mapping[int, int]:
    """The trial that began each trial's setting, by their numbers, from the lineage (n, 5) of finished trials."""
    found: dict[int, int] = {}
    for number, parent in lines[:, [NUMBER, PARENT]]:  # a parent ended before its child began
        if not np.isnan(number):
            found[int(number)] = int(number) if np.isnan(parent) else found.get(int(parent), int(parent))
    return found


def _scores(Y: Array) -> list[tuple[float, ...]]:
    """Something to order rows (n, m) by: the loss, or the front."""
    return [(float(y),) for y in (Y[:, 0] if Y.shape[1] == 1 else ranks(Y, None))]
