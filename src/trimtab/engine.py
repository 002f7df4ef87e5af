"""The decisions of a study. Pure: rows and `now` go in, decisions come out; no clock, no IO, no unseeded randomness.

A study is a fold over its record. A `Ledger` (see `ledger`) knows counts, spending and what strategies are told; `fold`
feeds those rows to the strategy; `suggest` asks it for the next ones; `plan` says what a runner should do next.

Notation: d columns, n rows, m goals, k constraints (see `matrix`).
"""

import hashlib
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from .canonical import dumps, plain
from .errors import SpecError
from .goals import Metrics
from .ledger import BASELINE, Ledger, Told
from .matrix import purse, results, rows, suited
from .numerics.pareto import nondominated
from .records import Cost, Proposal, State, StudySpec, StudyState, Trial, completed
from .space import Params
from .stopping import rule
from .stopping.halving import Hyperband
from .stopping.jury import Jury
from .strategies import Array, Continuing, Judge, Problem, Rows, Source, Strategy
from .strategies import Proposal as Point

Charge = Callable[[float, float], Cost]  # seconds of time and of CPU time -> what a trial costs that used them


def trial_seed(study_seed: int, stream: str, number: int) -> int:
    """The seed of a trial: 31 bits that depend on the study's seed, the stream ("search", "certify") and a number."""
    made = hashlib.sha256(f"{study_seed}/{stream}/{number}".encode()).digest()
    return int.from_bytes(made[:4]) >> 1


# ----------------------------------------------------------------------------------------------------- rows to strategy


def baseline_metrics(spec: StudySpec, trial: Trial | None) -> Metrics | None:
    """The metrics that relative constraints compare with; None while unknown, or when the baseline failed."""
    if spec.baseline is None or trial is None or trial.state is not State.DONE:
        return None
    return trial.metrics


def feasible(spec: StudySpec, metrics: Metrics, baseline: Metrics | None) -> bool | None:
    """Whether all constraints hold; None when that cannot be known (the baseline has no result)."""
    if not spec.constraints:
        return True
    excess = [c.excess(metrics, baseline) for c in spec.constraints]
    if any(e > 0 for e in excess):
        return False
    return None if any(math.isnan(e) for e in excess) else True


@dataclass(frozen=True)
class Fold:
    """A strategy's state after the first `n` told trials, valid for one spec and one knowledge of the baseline."""

    key: str
    strategy: Strategy[Any]
    state: Any
    n: int


def problem(spec: StudySpec) -> Problem:
    """What a strategy may know of the study before the first result."""
    return Problem(
        space=spec.space,
        goals=len(spec.goals),
        constraints=len(spec.constraints),
        budget=spec.budget.trials,
        purse=purse(spec)[1],
        workers=spec.workers,
        deterministic=spec.deterministic,
        replicates=spec.replicates,
        seed=spec.seed,
        sources=tuple(Source(source.study, *source.rows(spec.space)) for source in spec.sources),
        rungs=() if spec.fidelity is None else spec.fidelity.rungs,
        brackets=_brackets(spec),
    )


def _brackets(spec: StudySpec) -> tuple[float, ...]:
    """The shares of the trials that the study's rules first judge at each rung; (): all at the first one."""
    rules = [r for r in map(rule, spec.stopping) if isinstance(r, Hyperband)]
    return rules[0].shares(spec.fidelity) if rules and spec.fidelity is not None else ()


def fold(
    spec: StudySpec, strategy: Strategy[Any], told: Sequence[Trial], baseline: Metrics | None, last: Fold | None
) -> Fold:
    """Feed the told trials to the strategy, going on from `last` where it still holds."""
    relative = dict(baseline) if baseline and any(c.relative for c in spec.constraints) else None
    key = _key(spec, relative)
    if last is None or last.key != key or last.n > len(told):
        made = suited(spec, strategy)
        last = Fold(key, made, made.init(problem(spec)), 0)
    if last.n == len(told):
        return last
    fresh = rows(spec, told[last.n :], baseline)
    with one_thread():
        state = last.strategy.tell(last.state, fresh)
    return Fold(key, last.strategy, state, len(told))


def one_thread() -> AbstractContextManager[Any]:
    """BLAS in one thread: its sums come out the same each time, and workers don't crowd each other out."""
    limited: AbstractContextManager[Any] = _blas().limit(limits=1)
    return limited


_keys: deque[tuple[StudySpec, str]] = deque(maxlen=8)
"""The texts of the last specs: each fold asks for one again."""


def _key(spec: StudySpec, relative: Metrics | None) -> str:
    """What a fold is valid for."""
    text = next((text for known, text in _keys if known is spec), None)  # specs never change
    if text is None:
        text = dumps(spec.to_json())
        _keys.append((spec, text))
    return text + dumps(relative)


@cache
def _blas() -> ThreadpoolController:
    """The thread pools of numpy's and scipy's BLAS, which must be loaded to be found."""
    import scipy.linalg  # noqa: F401

    return ThreadpoolController()


def suggest(spec: StudySpec, folded: Fold, pending: Sequence[Trial], at: int, n: int) -> list[Proposal]:
    """The next n proposals when `at` trials exist: a function of the fold, the pending trials, the seed, `at` and n.

    Trial 0 is the baseline, where there is one. Fewer than n, or none: the strategy has no more points.
    """
    made: list[Proposal] = []
    waiting = spec.space.encode([t.complete(spec.assumed, spec.space) for t in pending])
    if at == 0 and spec.baseline is not None:
        made.append(Proposal(spec.baseline, trial_seed(spec.seed, "search", 0), strategy=BASELINE, version="1"))
        waiting = np.concatenate([waiting, spec.space.encode([spec.baseline])])
    if len(made) < n:
        folded = replace(folded, state=_begun(spec, folded, pending))
        made += _ask(spec, folded, waiting, at, n - len(made), first=at + len(made))
    return made


def suggest_each(spec: StudySpec, folded: Fold, pending: Sequence[Trial], at: int, n: int) -> list[Proposal]:
    """The next n proposals, each as `suggest` makes one when the trials of those before it exist: of a strategy that does
    not learn, to which a point is the same whether it is told or pending."""
    first = suggest(spec, folded, pending, at, 1)
    others = spec.space.encode([*(t.complete(spec.assumed, spec.space) for t in pending), *(p.params for p in first)])
    nothing, asked, strategy = np.empty((0, len(spec.space))), list[Point](), folded.strategy
    with one_thread():
        state = strategy.tell(folded.state, _blank(spec, others))
        while first and len(asked) < n - 1:
            fresh = strategy.ask(state, nothing, 1, _rng(spec, at + 1 + len(asked)))
            if not fresh:
                break
            asked += fresh
            state = strategy.tell(state, _blank(spec, fresh[0].x[None]))
    return first + _proposals(spec, strategy, asked, first=at + 1)


def _blank(spec: StudySpec, points: Array) -> Rows:
    """Rows at points (n, d), without results."""
    n, unknown = len(points), np.full(len(points), math.nan)
    Y, C = (np.full((n, len(k)), math.nan) for k in (spec.goals, spec.constraints))
    return Rows(points, Y, C, unknown, unknown)


def _begun(spec: StudySpec, folded: Fold, pending: Sequence[Trial]) -> Any:
    """The strategy's state; one whose trials go on from one another knows those under way too."""
    if not isinstance(folded.strategy, Continuing):
        return folded.state
    return folded.strategy.begun(folded.state, rows(spec, pending, None))


def needed(spec: StudySpec, folded: Fold, pending: Sequence[Trial]) -> frozenset[int]:
    """The ended trials that the strategy may still go on from: their checkpoints must stay."""
    if not isinstance(folded.strategy, Continuing):
        return frozenset()
    return folded.strategy.needed(_begun(spec, folded, pending))


def _ask(spec: StudySpec, folded: Fold, pending: Array, at: int, n: int, first: int) -> list[Proposal]:
    with one_thread():  # so that proposals don't depend on the number of cores
        asked = folded.strategy.ask(folded.state, pending, n, _rng(spec, at))
    return _proposals(spec, folded.strategy, asked, first)


def _rng(spec: StudySpec, at: int) -> np.random.Generator:
    """The random numbers of who proposes when `at` trials exist."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([spec.seed, at])))


def _proposals(spec: StudySpec, strategy: Strategy[Any], asked: Sequence[Point], first: int) -> list[Proposal]:
    """What a strategy proposes, for trials with numbers from `first` on."""
    _check(spec, strategy.name, asked)
    params = spec.space.decode(np.array([p.x for p in asked], dtype=float).reshape(len(asked), len(spec.space)))
    return [
        Proposal(
            params=params[i],
            seed=trial_seed(spec.seed, "search", first + i),
            strategy=strategy.name,
            version=strategy.version,
            why=plain(p.why),
            parent=p.parent,
            fidelity=p.fidelity,
        )
        for i, p in enumerate(asked)
    ]


def shortfall(spec: StudySpec, folded: Fold, pending: Sequence[Trial], trial: Trial) -> float:
    """How far the strategy finds a trial's setting below the best that it would propose now, in its own measure.

    Infinite where it cannot tell (see strategies.Judge).
    """
    if not isinstance(folded.strategy, Judge):
        return math.inf
    waiting = spec.space.encode([t.complete(spec.assumed, spec.space) for t in pending])
    x = spec.space.encode([trial.params])[0]
    with one_thread():
        return float(folded.strategy.shortfall(folded.state, waiting, x, _rng(spec, trial.at)))


def _check(spec: StudySpec, name: str, asked: Sequence[Point]) -> None:
    """Raises SpecError for a point that is not in the space: a plug-in's mistake, found before it costs a run."""
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


def jury(spec: StudySpec) -> Jury:
    """The study's stopping rules, before the first report. Trial 0 is never stopped where it is the baseline."""
    exempt = None if spec.baseline is None else 0
    return Jury(spec.stopping, spec.fidelity, spec.goals, spec.constraints, exempt)


# ---------------------------------------------------------------------------------------------------------------- plan


@dataclass(frozen=True)
class Fill:
    """Propose and enqueue n trials."""

    n: int


@dataclass(frozen=True)
class Start:
    """Claim and launch up to n queued trials (or expired ones)."""

    n: int


@dataclass(frozen=True)
class Cancel:
    """End this running trial: the budget has no more for it."""

    number: int


@dataclass(frozen=True)
class Close:
    """Start nothing more: trials, budget, time, failures, exhausted, held, paused, cancelled or archived says why.

    held: all that is left to do was asked for without a lease, and may be told at any time or never.
    """

    reason: str


Action = Fill | Start | Cancel | Close


@dataclass(frozen=True)
class Terms:
    """What one call of `run` asks for: stop at so many finished trials or at this moment (seconds since the epoch)."""

    trials: int | None = None
    until: float | None = None
    since: int = 0  # event position at which it began: earlier failures are forgiven
    exhausted: int | None = None  # so many results were known when the strategy had nothing more to propose
    batch: int = 1  # at least so many are proposed together: it grows where others keep being faster
    charge: Charge | None = None  # what running trials cost


def plan(ledger: Ledger, free: int, now: float, terms: Terms) -> list[Action]:
    """What to do next, given `free` slots."""
    spec = ledger.study.spec
    if reason := _closed(ledger, now, terms):
        cancel = [Cancel(t.number) for t in ledger.running()] if reason == "budget" else []
        return [*cancel, Close(reason)]
    running = ledger.running()
    queued, expired = len(ledger.queued()), sum(t.lease_until is not None and t.lease_until <= now for t in running)
    limits = [x for x in (spec.budget.trials, terms.trials) if x is not None]
    room = max(free, terms.batch) if free else 0
    left = min(limits) - ledger.counted - len(running) if limits else room
    paid = affordable(ledger, now, terms.charge)
    if paid < 1 and not running:
        return [Close("budget")]
    left = int(min(left, max(0, paid)))
    exhausted = terms.exhausted == len(ledger.told)
    wanted = 0 if exhausted or queued >= free else max(0, min(room, left) - queued)
    startable = min(free, left + expired, queued + wanted + expired)
    if startable <= 0 and free > 0 and all(t.lease_until is None for t in running):
        return [Close("exhausted" if exhausted and not running else "held")]
    fill: list[Action] = [Fill(wanted)] if wanted else []
    return [*fill, Start(startable)] if startable > 0 else fill


def _closed(ledger: Ledger, now: float, terms: Terms) -> str | None:
    spec, study = ledger.study.spec, ledger.study
    if study.state is not StudyState.OPEN:
        return str(study.state)
    if spec.max_failures is not None and len(ledger.failures_in_a_row(terms.since)) >= spec.max_failures:
        return "failures"
    b = spec.budget
    if terms.trials is not None and ledger.counted >= terms.trials:
        return "trials"
    if b.trials is not None and ledger.counted >= b.trials:
        return "trials"
    if spent(ledger, now, terms.charge) is not None:
        return "budget"
    return "time" if terms.until is not None and now >= terms.until else None


def spent(ledger: Ledger, now: float, charge: Charge | None = None) -> str | None:
    """Which budget, apart from that of trials, is used up: by what has ended and, where `charge` is known, by what runs."""
    b, used = ledger.study.spec.budget, ledger.study.spent
    if isinstance(b.time, float) and ledger.wall(now) >= b.time:
        return "time"
    for accrued in _accrued(ledger, now, charge) if b.measured(used) else []:
        used = used.plus(accrued)
    return next((name for name, (x, limit) in b.measured(used).items() if x >= limit), None)


def affordable(ledger: Ledger, now: float, charge: Charge | None = None) -> float:
    """How many trials more may begin, by the budget's measured limits: each reserves what finished ones took on average, one
    that runs no less than what it has used. Infinite without such limits, and before anything has finished."""
    b, used = ledger.study.spec.budget, ledger.study.spent
    room = math.inf
    for name, (x, limit) in b.measured(used).items() if ledger.counted else ():
        mean = x / ledger.counted
        held = sum(max(mean, b.measured(accrued)[name][0]) for accrued in _accrued(ledger, now, charge))
        room = min(room, math.floor((limit - x - held) / mean) if mean > 0 else math.inf)
    return room


def _accrued(ledger: Ledger, now: float, charge: Charge | None) -> list[Cost]:
    """What each running trial has used so far, if it used as much CPU time in a second as what has ended did; one CPU
    before anything has. Nothing where nobody measures it: it was asked for."""
    used, made = ledger.study.spent, list[Cost]()
    for t in ledger.running():
        measured = charge is not None and t.started is not None and t.lease_until is not None
        wall = max(0.0, min(now, t.lease_until or now) - (t.started or now)) if measured else 0.0
        made.append(
            charge(wall, wall * (used.cpu / used.wall if used.wall else 1.0)) if charge and measured else Cost()
        )
    return made


# ------------------------------------------------------------------------------------------------------- best and front


@dataclass(frozen=True)
class Candidate:
    """A setting with all its successful results: number and params of the first trial that had it, the mean of each metric
    over its `n` results, and whether that is feasible. `trial` is looked up among `trials`."""

    number: int
    params: Params
    metrics: Metrics
    n: int
    feasible: bool | None
    trials: Mapping[int, Trial] = field(repr=False, compare=False)

    @property
    def trial(self) -> Trial:
        return self.trials[self.number]

    def complete(self, spec: StudySpec) -> Params:
        """Its params in today's space."""
        return completed(self.params, spec.assumed, spec.space)


def candidates(spec: StudySpec, told: Iterable[Trial], baseline: Metrics | None) -> list[Candidate]:
    """One candidate per setting among finished trials; replicates are averaged.

    A member of a population stands for itself: what it trained with last is not all that it was trained with.
    """
    told = told if isinstance(told, Told) else list(told)
    trials = told.trials if isinstance(told, Told) else {t.number: t for t in told}
    found = results(told)
    top = -math.inf if spec.fidelity is None else spec.fidelity.high
    goals = [g.metric for g in spec.goals]
    groups: dict[str | int, list[int]] = {}
    for i, (done, fidelity, metrics) in enumerate(zip(found.done, found.fidelity, found.metrics, strict=True)):
        if done and (fidelity is None or fidelity >= top) and all(goal in metrics for goal in goals):
            groups.setdefault(dumps(found.params[i]) if found.member[i] is None else i, []).append(i)
    made, wanted = [], spec.metrics
    for first, *others in groups.values():
        mean = found.metrics[first]
        if others:
            several = [mean, *(found.metrics[i] for i in others)]
            names = [m for m in wanted if all(m in metrics for metrics in several)]
            mean = {**mean, **{m: math.fsum(metrics[m] for metrics in several) / len(several) for m in names}}
        judged = feasible(spec, mean, baseline)
        made.append(Candidate(found.number[first], found.params[first], mean, 1 + len(others), judged, trials))
    return made


def complete(spec: StudySpec, t: Trial) -> bool:
    """Whether a trial was to be trained to the study's top fidelity (one from before there was a fidelity was)."""
    return spec.fidelity is None or t.fidelity is None or t.fidelity >= spec.fidelity.high


def best(spec: StudySpec, found: Sequence[Candidate]) -> Candidate | None:
    """The candidate with the best mean of the first goal, among those not known to be infeasible; the earliest on ties."""
    allowed = [c for c in found if c.feasible is not False]
    return min(allowed, key=lambda c: (spec.goals[0].loss(c.metrics), c.number), default=None)


def pareto(spec: StudySpec, found: Sequence[Candidate]) -> list[Candidate]:
    """Candidates that no other one beats in every goal, among those not known to be infeasible, by trial number."""
    allowed = sorted((c for c in found if c.feasible is not False), key=lambda c: c.number)
    L = np.array([[g.loss(c.metrics) for g in spec.goals] for c in allowed]).reshape(len(allowed), len(spec.goals))
    return [allowed[i] for i in np.flatnonzero(nondominated(L))]
