"""Any strategy with trials that pause: each trial is one stretch of training, and a policy says which continue.

A new setting is trained to its first rung and pauses there: its trial ends, and its checkpoint stays. When a slot is
free, a policy names a paused trial, and a new trial continues from its checkpoint to the next rung; or the policy names
none, and `inner` proposes a new setting. So promotions are a function of the record, no trial is promoted twice from a
rung, and nothing waits for a slow or dead worker.

The policy here is the pausing form of asynchronous successive halving: promote the best 1/eta of the trials at a rung
that have not been promoted yet, from the highest rung down (Li et al. 2020, "A system for massively parallel
hyperparameter tuning", algorithm 2). `freeze_thaw` has another policy.

Notation: n rows, R rungs, m goals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from ..arrays import Array, Mask
from ..errors import SpecError
from . import NUMBER, PARENT, Judge, Problem, Proposal, Rows, Strategy
from .ladder import Ladder, Paused, settings
from .levelling import levelled

Continuation = tuple[int, Mapping[str, Any]]
"""A paused trial, by its row, and why it continues (JSON)."""


class Policy(Protocol):
    """Which paused trials continue, and where new settings pause."""

    @property
    def version(self) -> str:
        """The version of its decisions: part of the strategy's version in the record."""
        ...

    def check(self, problem: Problem) -> None:
        """Raises SpecError for a problem that it cannot decide on."""
        ...

    def first_rung(self, ladder: Ladder) -> int:
        """The rung at which new settings pause."""
        ...

    def choose(self, ladder: Ladder, first: int) -> tuple[Sequence[Continuation], Sequence[Continuation]]:
        """The paused trials that continue before new settings start, and those that continue if there are no new ones."""
        ...

    def waiting(self, ladder: Ladder) -> Mask:
        """(n,) which paused trials may still continue."""
        ...


@dataclass(frozen=True)
class Promoting:
    """`inner` for new settings, a policy for paused trials."""

    inner: Strategy[Any]
    policy: Policy
    name: str
    version: str

    @staticmethod
    def over(inner: Strategy[Any], policy: Policy) -> Strategy[Any]:
        """The wrapped strategy; its version includes that of the policy."""
        return Promoting(inner, policy, inner.name, f"{inner.version}/{policy.version}")

    def init(self, problem: Problem) -> Paused:
        """Raises SpecError without a fidelity."""
        if not problem.rungs:
            raise SpecError("promotion needs rungs: give the study fidelity=tt.Fidelity('epochs', 1, 81)")
        self.policy.check(problem)
        self.inner.init(problem)  # raises where it cannot search the space
        return Paused(problem, problem.no_rows, problem.no_rows)

    def tell(self, state: Paused, rows: Rows) -> Paused:
        return replace(state, rows=state.rows + rows)

    def begun(self, state: Paused, under_way: Rows) -> Paused:
        return replace(state, under_way=under_way)

    def needed(self, state: Paused) -> frozenset[int]:
        """The paused trials that may still be promoted; trials under way count as if they might be cancelled."""
        ladder = Ladder(replace(state, under_way=state.problem.no_rows))
        return frozenset(int(state.rows.lineage[i, NUMBER]) for i in np.flatnonzero(self.policy.waiting(ladder)))

    def ask(self, state: Paused, pending: Array, n: int, rng: np.random.Generator) -> list[Proposal]:
        ladder = Ladder(state)
        if (reserved := ladder.reserved(self.policy.waiting(ladder))) is not None:
            return [ladder.continued(i, ladder.place(i)) for i in reserved[:n]]
        first = self.policy.first_rung(ladder)
        before, otherwise = self.policy.choose(ladder, first)
        made = [ladder.continued(i, why) for i, why in before[:n]]
        if len(made) < n:
            anew = np.isnan(state.under_way.lineage[:, PARENT])
            waiting = np.concatenate([state.under_way.X[anew], pending[len(state.under_way) :]])
            level = state.problem.rungs[first]
            fresh = self.inner.ask(self._told(state, first), waiting, n - len(made), rng)
            made += [replace(p, fidelity=level) for p in fresh]
        return made + [ladder.continued(i, why) for i, why in otherwise[: n - len(made)]]

    def shortfall(self, state: Paused, pending: Array, x: Array, rng: np.random.Generator) -> float:
        """The shortfall by the inner strategy (see strategies.Judge)."""
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
    """The best 1/eta of each rung continue. See stopping.promotion.Promotion for the settings."""

    eta: float
    trust: float
    growing: bool
    version: str = "promotion4"

    def check(self, problem: Problem) -> None:
        del problem

    def first_rung(self, ladder: Ladder) -> int:
        return ladder.trusted_rung(self.eta, self.trust)

    def choose(self, ladder: Ladder, first: int) -> tuple[Sequence[Continuation], Sequence[Continuation]]:
        ceiling = ladder.ceiling(first) if self.growing else len(ladder.levels) - 1
        return [(i, ladder.place(i)) for i in self.promotable(ladder, ceiling)], ()

    def promotable(self, ladder: Ladder, ceiling: int) -> list[int]:
        """The best 1/eta of each rung below the ceiling that still pause, from the highest rung down."""
        orders = [ladder.orders[k] for k in range(ceiling - 1, -1, -1)]
        return [int(i) for order in orders for i in order[: int(len(order) / self.eta)] if ladder.pausing[i]]

    def waiting(self, ladder: Ladder) -> Mask:
        """The paused trials that may still get into the best 1/eta. A budget bounds how many will reach a rung; with
        one goal and without constraints, no trial's rank improves. (Otherwise units and fronts change, and all may
        continue.)"""
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
