"""From the record of a study to its next proposals. Pure: no clock, no IO, no unseeded randomness.

A study is a fold over its record: `fold` tells the strategy the results so far, `suggest` asks it for the next points.

    ledger      what is known about a study: its open trials, counts, and the results that strategies are told
    matrix      trials as arrays
    wrapping    the strategy as a study with a fidelity uses it
    incumbents  settings with their results, the best of them, the Pareto front
    planning    what a runner is to do next
    lineage     which trial continues the training of which
    blas        arithmetic that gives the same result on any number of cores

Notation: d columns, n rows, m goals, k constraints whose limit is known (see `matrix`).
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays import Array
from ..canonical import dumps, jsonable
from ..checks import shown
from ..errors import SpecError
from ..goals import Metrics
from ..records import Proposal, StudySpec, Trial
from ..stopping import rule
from ..stopping.halving import Hyperband
from ..stopping.rules import StoppingRules
from ..strategies import Continuing, Judge, Problem, Rows, Source, Strategy
from ..strategies import Proposal as Point
from .blas import one_thread
from .ledger import BASELINE, baseline_trial
from .matrix import cost_budget, known_constraints, rows
from .wrapping import wrapped


def problem(spec: StudySpec) -> Problem:
    """What a strategy may know about the study before the first result."""
    unit, total = cost_budget(spec)
    return Problem(
        space=spec.space,
        goals=len(spec.goals),
        constraints=len(spec.constraints),
        budget=spec.budget.trials,
        cost_budget=total,
        cost_is_time=unit == "wall",
        deterministic=spec.deterministic,
        replicates=spec.replicates,
        seed=spec.seed,
        sources=tuple(Source(source.study, *source.rows(spec.space)) for source in spec.sources),
        rungs=() if spec.fidelity is None else spec.fidelity.rungs,
        brackets=_brackets(spec),
    )


def _brackets(spec: StudySpec) -> tuple[float, ...]:
    """The share of trials that Hyperband first judges at each rung; () without Hyperband: all start at the lowest."""
    rules = [r for r in map(rule, spec.stopping) if isinstance(r, Hyperband)]
    return rules[0].shares(spec.fidelity) if rules and spec.fidelity is not None else ()


def trial_seed(study_seed: int, stream: str, number: int) -> int:
    """The seed of a trial: 31 bits that depend on the study's seed, the stream ("search", "certify") and a number."""
    made = hashlib.sha256(f"{study_seed}/{stream}/{number}".encode()).digest()
    return int.from_bytes(made[:4]) >> 1


def stopping_rules(spec: StudySpec, first: Trial | None) -> StoppingRules:
    """The study's stopping rules, before the first report.

    first: trial 0, if it exists. If it runs the baseline, no rule may stop it.
    """
    exempt = None if first is None or baseline_trial(spec, {0: first}) is None else 0
    return StoppingRules(spec.stopping, spec.fidelity, spec.goals, spec.constraints, exempt)


@dataclass(frozen=True)
class Fold:
    """A strategy and its state after the first `n` told trials.

    key: the spec and the baseline's result; while they stay the same, the state can be continued. baseline: that result,
    if a constraint refers to it.
    """

    key: str
    baseline: Metrics | None
    strategy: Strategy[Any]
    state: Any
    n: int


def fold(
    spec: StudySpec, strategy: Strategy[Any], told: Sequence[Trial], baseline: Metrics | None, last: Fold | None
) -> Fold:
    """Tell the strategy the trials `told`, continuing from the fold `last` if that still fits."""
    relative = dict(baseline) if baseline and any(c.relative for c in spec.constraints) else None
    key = spec.text + dumps(relative)
    if last is None or last.key != key or last.n > len(told):
        known = replace(problem(spec), constraints=len(known_constraints(spec, relative)))
        used = wrapped(spec, strategy)
        last = Fold(key, relative, used, used.init(known), 0)
    if last.n == len(told):
        return last
    fresh = rows(spec, told[last.n :], relative)
    with one_thread():
        state = last.strategy.tell(last.state, fresh)
    return replace(last, state=state, n=len(told))


def suggest(spec: StudySpec, folded: Fold, pending: Sequence[Trial], at: int, n: int) -> list[Proposal]:
    """The next n proposals when `at` trials exist: a function of the fold, the pending trials, the seed, `at` and n.

    Trial 0 is the baseline, if there is one. Returns fewer than n, or none, if the strategy has no more points.
    """
    made: list[Proposal] = []
    waiting = spec.encode(t.params for t in pending)
    if at == 0 and spec.baseline is not None:
        made.append(Proposal(spec.baseline, trial_seed(spec.seed, "search", 0), strategy=BASELINE, version="1"))
        waiting = np.concatenate([waiting, spec.space.encode([spec.baseline])])
    if len(made) < n:
        folded = replace(folded, state=_with_pending(spec, folded, pending))
        made += _ask(spec, folded, waiting, at, n - len(made), first=at + len(made))
    return made


def suggest_each(spec: StudySpec, folded: Fold, pending: Sequence[Trial], at: int, n: int) -> list[Proposal]:
    """The next n proposals, each as `suggest` would make it one at a time, once the ones before it are enqueued.

    Only for strategies that do not learn from results: pending trials are told to them as if they had ended.
    """
    first = suggest(spec, folded, pending, at, 1)
    others = spec.encode([*(t.params for t in pending), *(p.params for p in first)])
    nothing, asked, strategy = np.empty((0, len(spec.space))), list[Point](), folded.strategy
    with one_thread():
        state = strategy.tell(folded.state, _blank(spec, folded, others))
        while first and len(asked) < n - 1:
            fresh = strategy.ask(state, nothing, 1, _rng(spec, at + 1 + len(asked)))
            if not fresh:
                break
            asked += fresh
            state = strategy.tell(state, _blank(spec, folded, fresh[0].x[None]))
    return first + _proposals(spec, strategy, asked, first=at + 1)


def _blank(spec: StudySpec, folded: Fold, points: Array) -> Rows:
    """Points (n, d) as rows without results."""
    n = len(points)
    Y, C = (np.full((n, len(k)), math.nan) for k in (spec.goals, known_constraints(spec, folded.baseline)))
    return Rows(points, Y, C, np.full(n, math.nan))


def _with_pending(spec: StudySpec, folded: Fold, pending: Sequence[Trial]) -> Any:
    """The state of the fold. A strategy whose trials continue from one another also learns which are under way."""
    if not isinstance(folded.strategy, Continuing):
        return folded.state
    return folded.strategy.begun(folded.state, rows(spec, pending, folded.baseline))


def needed(spec: StudySpec, folded: Fold, pending: Sequence[Trial]) -> frozenset[int]:
    """The numbers of the ended trials that the strategy may still continue from: their checkpoints must be kept."""
    if not isinstance(folded.strategy, Continuing):
        return frozenset()
    return folded.strategy.needed(_with_pending(spec, folded, pending))


def _ask(spec: StudySpec, folded: Fold, pending: Array, at: int, n: int, first: int) -> list[Proposal]:
    with one_thread():  # so that proposals don't depend on the number of cores
        asked = folded.strategy.ask(folded.state, pending, n, _rng(spec, at))
    return _proposals(spec, folded.strategy, asked, first)


def _rng(spec: StudySpec, at: int) -> np.random.Generator:
    """The random generator for proposals that are made when `at` trials exist."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([spec.seed, at])))


def _proposals(spec: StudySpec, strategy: Strategy[Any], asked: Sequence[Point], first: int) -> list[Proposal]:
    """A strategy's points as proposals, for trials with numbers from `first` on."""
    _check(spec, strategy.name, asked)
    params = spec.space.decode(np.array([p.x for p in asked], dtype=float).reshape(len(asked), len(spec.space)))
    return [
        Proposal(
            params=params[i],
            seed=trial_seed(spec.seed, "search", first + i),
            strategy=strategy.name,
            version=strategy.version,
            why=jsonable(p.why),
            parent=p.parent,
            fidelity=p.fidelity,
        )
        for i, p in enumerate(asked)
    ]


def shortfall(spec: StudySpec, folded: Fold, pending: Sequence[Trial], trial: Trial) -> float:
    """By how much a trial's setting is worse, in the strategy's own measure, than the best that it would propose now.

    Infinite if the strategy cannot tell (see strategies.Judge).
    """
    if not isinstance(folded.strategy, Judge):
        return math.inf
    waiting = spec.encode(t.params for t in pending)
    x = spec.space.encode([trial.params])[0]
    with one_thread():
        return float(folded.strategy.shortfall(folded.state, waiting, x, _rng(spec, trial.at)))


def _check(spec: StudySpec, name: str, asked: Sequence[Point]) -> None:
    """Raises SpecError if a point is not in the space: a mistake in a strategy, found before it costs a trial."""
    for p in asked:
        if not isinstance(p.why, Mapping):
            raise SpecError(
                f"strategy {name!r}: its proposal says why={shown(p.why)}; give a dictionary, {{}} for nothing"
            )
    space, rows = spec.space, [np.asarray(p.x, dtype=float) for p in asked]
    if all(x.shape == (len(space),) for x in rows):
        X = np.array(rows).reshape(len(rows), len(space))
        if np.array_equal(space.snap(X), X, equal_nan=True) and space.allowed(X).all():
            return
    for p, x in zip(asked, rows, strict=True):
        if x.shape != (len(space),) or not np.array_equal(space.snap(x[None]), x[None], equal_nan=True):
            fault = "is no row of the space (shape, range, cell centres, NaN where inactive); return space.snap(...)"
        elif not space.allowed(x[None])[0]:
            fault = "breaks a require expression or uses a retired value; keep to space.allowed(...)"
        else:
            continue
        raise SpecError(f"strategy {name!r}: its proposal {p.x!r} {fault}")
