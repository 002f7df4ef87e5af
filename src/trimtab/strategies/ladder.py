"""Paused trials on the rungs of a fidelity, and what a promotion policy may ask about them (see promotion.Policy).

An early rung may say nothing about the end. So new settings pause at the first rung from high / eta^2 on, until 8
trials have passed a lower one and their order there agrees with that at this rung by a Kendall's tau of `trust` (see
`numerics.rank_correlation.trusted`).

With `growing`, the highest rung to which trials are promoted is the second one at first. It grows by one whenever the
order of those at the top of it differs from their order one rung below (Bohdal et al. 2023, "PASHA"); trials closer
than a tenth of the spread at the lower rung may change places.

A budget of trials may end before any setting has been trained to the top. So when it has just enough trials left to train
the most advanced setting to the top, only that one continues.

Notation: n rows, R rungs, m goals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..arrays import HUGE, Array, Ints, Mask
from ..numerics.pareto import by_front, ranks, violations
from ..numerics.rank_correlation import LATEST, trusted
from ..numerics.warp import typical_distance
from . import LEVEL, NUMBER, PARENT, REACHED, Problem, Proposal, Rows

_ALIKE = 0.1  # trials that differ by less than this share of the spread at a rung may change places


@dataclass(frozen=True)
class Paused:
    """The state: finished rows, and for one ask those under way."""

    problem: Problem
    rows: Rows
    under_way: Rows


@dataclass(frozen=True)
class Ladder:
    """Which trial is at which rung. Indices are those of the finished rows."""

    state: Paused

    @property
    def levels(self) -> tuple[float, ...]:
        """The fidelity of each rung (R,), in rising order."""
        return self.state.problem.rungs

    @cached_property
    def rung(self) -> Ints:
        """(n,) the rung at which each trial ended well; -1 for the others."""
        lines = self.state.rows.lineage
        good = ~self.state.rows.failed & (lines[:, REACHED] >= lines[:, LEVEL])
        at = np.searchsorted(self.levels, np.nan_to_num(lines[:, LEVEL]))
        at = np.minimum(at, len(self.levels) - 1)
        return np.where(good & (np.array(self.levels)[at] == lines[:, LEVEL]), at, -1)

    @cached_property
    def pausing(self) -> Mask:
        """(n,) which trials may continue: below the top, and not promoted yet."""
        known = np.concatenate([self.state.rows.lineage[:, PARENT], self.state.under_way.lineage[:, PARENT]])
        below = (self.rung >= 0) & (self.rung < len(self.levels) - 1)
        return np.asarray(below & ~np.isin(self.state.rows.lineage[:, NUMBER], known))

    @cached_property
    def orders(self) -> tuple[Ints, ...]:
        """For each rung the trials that ended there, the best first."""
        rows, found = self.state.rows, []
        for k in range(len(self.levels)):
            here = np.flatnonzero(self.rung == k)
            found.append(here[by_front(rows.Y[here], violations(rows.C[here]))] if len(here) else here)
        return tuple(found)

    def place(self, i: int) -> Mapping[str, Any]:
        """A trial's rank at its rung, as JSON."""
        order = self.orders[int(self.rung[i])]
        return {"place": int(np.flatnonzero(order == i)[0]) + 1, "of": len(order)}

    def continued(self, i: int, why: Mapping[str, Any]) -> Proposal:
        """The proposal that trial i goes on from its checkpoint to the next rung."""
        rows, k = self.state.rows, int(self.rung[i])
        number = int(rows.lineage[i, NUMBER])
        return Proposal(rows.X[i], number, {"promoted": number, **why, "from": self.levels[k]}, self.levels[k + 1])

    def reserved(self, waiting: Mask) -> list[int] | None:
        """For which trial the rest of the budget is reserved, because it is just enough to train the most advanced setting
        to the top: [] while that setting is under way; None if the budget is not so short, or a setting has got there."""
        rows, under_way, top = self.state.rows, self.state.under_way, len(self.levels) - 1
        if self.state.problem.budget is None:
            return None
        left = self.state.problem.budget - len(rows) - len(under_way)
        climbing = [int(np.searchsorted(self.levels, level)) for level in under_way.lineage[:, LEVEL]]
        highest = max([-1, *climbing, *self.rung[waiting]])
        arrived = (self.rung == top) & (rows.lineage[:, NUMBER] > 0)  # trial 0, a baseline, never pauses
        if arrived.any() or highest >= top or highest < 0 or left > top - highest:
            return None
        best = [int(i) for i in self.orders[highest] if waiting[i]]
        return best[:1] if highest not in climbing else []

    def trusted_rung(self, eta: float, trust: float) -> int:
        """The rung at which new settings pause: the first one from high / eta^2 on, or the lowest one below it whose order
        agrees with the order there by a Kendall's tau of `trust` (0: the first rung of all)."""
        if trust == 0.0:
            return 0
        late = next(k for k, level in enumerate(self.levels) if level >= self.levels[-1] / eta**2)
        return next((k for k in range(late) if self._agree(k, late, trust)), late)

    def _agree(self, k: int, later: int, trust: float) -> bool:
        """Whether the latest settings that have passed both rungs are enough, and in the same order at both."""
        V = settings(self.state.rows).curve
        if V.shape[1] <= later:
            return False
        both = np.flatnonzero(~np.isnan(V[:, [k, later]]).any(axis=(1, 2)))[-LATEST:]
        return trusted(list(zip(_scores(V[both, k]), _scores(V[both, later]), strict=True)), trust)

    def ceiling(self, first: int) -> int:
        """The highest rung to which trials are promoted: it grows while the order at it differs from that one rung
        below."""
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
        """Whether those that came up are in the same order as one rung below, except for similar ones."""
        Y = np.clip(self.state.rows.Y, -HUGE, HUGE)
        early, late = (Y[[pair[j] for pair in came]] for j in (0, 1))
        if Y.shape[1] > 1:  # of several goals: whether no front has changed
            return bool((ranks(early) == ranks(late)).all())
        before, now = (y[:, 0] - y for y in (early, late))  # (p, p): the differences between those p
        alike = np.abs(before) <= _ALIKE * typical_distance(Y[below, 0])
        return bool((alike | (np.sign(before) * np.sign(now) > 0)).all())


def settings(rows: Rows) -> Rows:
    """One row for each setting: its stretches joined, in the order of their last ends."""
    lines = rows.lineage
    at = {int(number): i for i, number in enumerate(lines[:, NUMBER]) if not np.isnan(number)}
    parents = [at.get(int(np.nan_to_num(p, nan=-1))) for p in lines[:, PARENT]]
    went_on = {p for p in parents if p is not None}
    V, cost = rows.curve.copy(), rows.cost.copy()
    for i, p in enumerate(parents):  # a parent ended before its child began
        if p is not None:
            known = ~np.isnan(V[p])
            V[i][known] = V[p][known]
            cost[i] += cost[p]
    last = [i for i in range(len(rows)) if i not in went_on]
    return replace(rows, cost=cost, curve=V)[last]


def origins(lines: Array) -> Mapping[int, int]:
    """The trial that started each trial's setting, by number, from the lineage (n, 5) of finished trials."""
    found: dict[int, int] = {}
    for number, parent in lines[:, [NUMBER, PARENT]]:  # a parent ended before its child began
        if not np.isnan(number):
            found[int(number)] = int(number) if np.isnan(parent) else found.get(int(parent), int(parent))
    return found


def _scores(Y: Array) -> list[tuple[float, ...]]:
    """A key to order rows (n, m) by: the loss, or the front."""
    return [(float(y),) for y in (Y[:, 0] if Y.shape[1] == 1 else ranks(Y))]
