"""What a runner is to do next: propose, start, cancel or close, as the budget and the record allow. Pure."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ..records import Cost, StudyState
from ..words import number
from .ledger import Ledger

Charge = Callable[[float, float], Cost]  # seconds of time and of CPU time -> what a trial costs that used them

Waited = Mapping[int, float]  # number of a trial that runs here -> seconds for which there was no room for it
NOT_AT_ALL: Waited = MappingProxyType({})


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
    """What one call of `run` asks for: stop at so many finished trials or at this moment, by a clock that is never
    set back (see `clock`)."""

    trials: int | None = None
    until: float | None = None
    since: int = 0  # event position at which it began: earlier failures are forgiven
    exhausted: int | None = None  # so many results were known when the strategy had nothing more to propose
    batch: int = 1  # at least so many are proposed together: it grows where others keep being faster
    charge: Charge | None = None  # what running trials cost
    waited: Waited = field(default_factory=dict)


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
    paid = affordable(ledger, now, terms.charge, terms.waited)
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
    if spent(ledger, now, terms.charge, terms.waited) is not None:
        return "budget"
    return "time" if terms.until is not None and now >= terms.until else None


def used(ledger: Ledger, now: float) -> dict[str, tuple[float, float]]:
    """(used, limit) of each limit of the budget, by its name: trials, time in seconds, and what ended trials have used."""
    b = ledger.study.spec.budget
    found = {} if b.trials is None else {"trials": (float(ledger.counted), float(b.trials))}
    if isinstance(b.time, float):
        found["time"] = (ledger.wall(now), b.time)
    return found | b.measured(ledger.study.spent)


def bound(ledger: Ledger, now: float) -> str | None:
    """Which limit of the budget lets no more trials begin, in words; None while there is room."""
    for name, (x, limit) in used(ledger, now).items():
        if x >= limit:
            return f"the budget of {name} is spent"
        mean = x / ledger.counted if ledger.counted else 0.0
        if name not in ("trials", "time") and limit - x < mean:
            return f"the budget of {name} has {number(limit - x, 3)} left, and a trial takes {number(mean, 3)}"
    return None


def spent(ledger: Ledger, now: float, charge: Charge | None = None, waited: Waited = NOT_AT_ALL) -> str | None:
    """Which budget, apart from that of trials, is used up: by what has ended and, where `charge` is known, by what runs."""
    b, used = ledger.study.spec.budget, ledger.study.spent
    if isinstance(b.time, float) and ledger.wall(now) >= b.time:
        return "time"
    for accrued in _accrued(ledger, now, charge, waited) if b.measured(used) else []:
        used = used.plus(accrued)
    return next((name for name, (x, limit) in b.measured(used).items() if x >= limit), None)


def affordable(ledger: Ledger, now: float, charge: Charge | None = None, waited: Waited = NOT_AT_ALL) -> float:
    """How many trials more may begin, by the budget's measured limits: each reserves what finished ones took on average, one
    that runs no less than what it has used. Infinite without such limits, and before anything has finished."""
    b, used = ledger.study.spec.budget, ledger.study.spent
    room = math.inf
    for name, (x, limit) in b.measured(used).items() if ledger.counted else ():
        mean = x / ledger.counted
        held = sum(max(mean, b.measured(accrued)[name][0]) for accrued in _accrued(ledger, now, charge, waited))
        room = min(room, math.floor((limit - x - held) / mean) if mean > 0 else math.inf)
    return room


def _accrued(ledger: Ledger, now: float, charge: Charge | None, waited: Waited) -> list[Cost]:
    """What each running trial has used so far, if it used as much CPU time in a second as what has ended did; one CPU
    before anything has. Nothing where nobody measures it: it was asked for."""
    used, made = ledger.study.spent, list[Cost]()
    cpus = used.cpu / used.wall if used.wall else 1.0
    for t in ledger.running():
        if charge is None or t.started is None or t.lease_until is None:
            made.append(Cost())
        else:
            wall = max(0.0, min(now, t.lease_until) - t.started - waited.get(t.number, 0.0))
            made.append(charge(wall, wall * cpus))
    return made
