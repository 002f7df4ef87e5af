"""Population-based bandits (Parker-Holder et al. 2020): as PBT, but a Gaussian process chooses the parameters of
copies.

The process is fitted to the gain of each interval, given when it began, from what rank, and with what parameters. It is
asked for the setting with the greatest upper confidence bound of the gain now. Settings that are under way, or were
chosen in the same ask, count as known to it, so that members do not all try the same (algorithm 1). Two things differ
from the paper: gains are warped within their level (see `warp.half_rank`), since early ones are far greater, and one
that diverged must not hide the others; and time is one more column of the kernel with a lengthscale of its own, where
the paper multiplies the kernel by a power of the time between.

Notation: d columns of the cube, C features of them, n intervals with a known gain; every goal is a loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar

import numpy as np

from ..arrays import HUGE, Array, Mask
from ..numerics import gp
from ..numerics.warp import half_rank, typical_distance
from . import LEVEL, PARENT, Problem, Proposal, Rows
from .features import Features, check_width
from .population import Census, Plan, Population, free, intervals, near, needed
from .variation import perturbed

_LATEST = 300  # gains that are looked at
_NEAR, _FAR = 128, 256  # settings among which the best is sought: near the copied one, and anywhere
_REACH = 0.3  # how far near settings are moved at most
_STEP, _RESAMPLE = 0.1, 0.1  # of settings while too little is known for a model
_C1, _C2 = 0.2, 0.4  # of the bound: beta = c1 + log(c2 n)


@dataclass(frozen=True)
class PB2:
    """Copy the best, and choose their parameters by a model of the gain. The settings are those of PBT."""

    population: int | None = None
    intervals: int | None = None
    frequencies: tuple[int, ...] = (1,)
    quantile: float = 0.25
    fixed: tuple[str, ...] = ()
    name: str = "pb2"
    version: str = "5"
    honours: ClassVar[frozenset[str]] = frozenset({"constraints", "goals", "many goals"})

    def init(self, problem: Problem) -> Population:
        """Raises SpecError without a fidelity, and for settings that do not fit it or the space."""
        free(problem, self.fixed)
        check_width(problem.space, self.name, "pbt")
        plan = Plan.of(problem, self.population, self.intervals, self.frequencies, self.quantile)
        return Population(problem, plan, problem.no_rows, problem.no_rows)

    def tell(self, state: Population, rows: Rows) -> Population:
        return replace(state, rows=state.rows + rows)

    def begun(self, state: Population, under_way: Rows) -> Population:
        return replace(state, under_way=under_way)

    def needed(self, state: Population) -> frozenset[int]:
        return needed(state)

    def ask(self, state: Population, pending: Array, n: int, rng: np.random.Generator) -> list[Proposal]:
        del pending  # the state knows the trials under way
        movable, gains = free(state.problem, self.fixed), cache(lambda: Gains.of(state))

        def explore(x: Array, level: float, chosen: Sequence[Array], rng: np.random.Generator) -> tuple[Array, Any]:
            if len(gains().y) < max(2 * x.size, state.plan.size // 2):
                return near(state, x, _STEP, _RESAMPLE, movable, rng), {"gain": "not known yet"}
            return gains().best(x, level, chosen, movable, rng)

        with np.errstate(over="ignore"):  # of the spread of losses near the largest float
            return intervals(state, n, rng, explore)


@dataclass(frozen=True)
class Gains:
    """The gains of intervals, warped within the level from which they began. Inputs F (n, 2 + C): when the
    interval began, as a share of the whole training, its parent's rank in its level from 0 to 1, and features; y (n,).
    """

    state: Population
    census: Census
    features: Features
    F: Array
    y: Array

    @staticmethod
    def of(state: Population) -> "Gains":
        census, features = Census.of(state), Features.of(state.problem.space)
        before = {i: census.line(census.lines[i, PARENT]) for i in np.flatnonzero(census.good)}
        pairs = [(i, p) for i, p in before.items() if p is not None and census.good[p]][-_LATEST:]
        now, then = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
        known = census.Y[census.good[: census.ended]]
        scale = np.array([typical_distance(y) or 1.0 for y in known.T]) if len(known) else 1.0
        length = census.lines[now, LEVEL] - census.lines[then, LEVEL]
        gain = np.clip((census.Y[then] - census.Y[now]) / scale, -HUGE, HUGE).sum(axis=1) / np.maximum(length, 1e-12)
        levels = census.lines[then, LEVEL]
        for level in np.unique(levels):
            same = levels == level
            gain[same] = -half_rank(-gain[same]).z
        order = {level: census.at(level) for level in np.unique(levels)}
        place = [
            np.flatnonzero(order[level] == p)[0] / max(len(order[level]) - 1, 1)
            for p, level in zip(then, levels, strict=True)
        ]
        started = np.stack([levels / census.plan.levels[-1], np.array(place, dtype=float)], axis=1)
        return Gains(state, census, features, np.hstack([started, features.encode(census.X[now])]), gain)

    def best(
        self, x: Array, level: float, chosen: Sequence[Array], movable: Mask, rng: np.random.Generator
    ) -> tuple[Array, dict[str, Any]]:
        """The setting from which most may be gained from this level on, from the best rank there; near x (d,), or anywhere."""
        space, census = self.state.problem.space, self.census
        start = np.array([level / census.plan.levels[-1], 0.0])
        near = perturbed(space, x, rng.random(_NEAR) * _REACH, 0.0, movable, rng)
        far = space.snap(np.where(movable, space.sample(_FAR, rng), x))
        X = np.concatenate([x[None], near, far[space.allowed(far)]])
        groups = np.concatenate([[0, 1], 2 + self.features.groups])
        data = gp.Data(self.F, self.y, np.ones(len(self.y)), groups, prior=gp.SEARCH._replace(rate=3.0))
        theta = gp.cold_fit(data).x
        waiting = [census.X[i] for i in census.latest.values() if i >= census.ended] + list(chosen)
        model = gp.condition(data, theta).believing(self._inputs(start, np.array(waiting)), gp.noise(theta))
        mean, variance = model.predict(self._inputs(start, X))
        beta = max(0.0, _C1 + np.log(_C2 * max(len(self.y), 1)))
        top = int(np.argmax(mean + np.sqrt(beta * variance)))
        return X[top], {"gain": float(mean[top]), "sd": float(np.sqrt(variance[top]))}

    def _inputs(self, start: Array, X: Array) -> Array:
        X = X.reshape(-1, len(self.state.problem.space))
        return np.hstack([np.tile(start, (len(X), 1)), self.features.encode(X)])
