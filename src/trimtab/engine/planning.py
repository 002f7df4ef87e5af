"""What a runner is to do next: propose, start, cancel or close, as the budget and the record allow. Pure."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from ..formatting import number
from ..records import Cost, StudyState
from .ledger import Ledger

Charge = Callable[[float, float], Cost]
"""(wall seconds, CPU seconds) that a trial has used -> its cost."""


@dataclass(frozen=True)
class Fill:
    """Propose and enqueue n trials."""

    n: int


@dataclass(frozen=True)
class Start:
    """Claim and launch up to n trials that are queued, or whose lease has expired."""

    n: int


@dataclass(frozen=True)
class Cancel:
    """End this running trial: its budget is spent."""

    number: int


@dataclass(frozen=True)
class Close:
    """Start nothing more.

    reason: "trials", "budget", "time", "failures", "exhausted" (the strategy has no more points), "paused", "cancelled",
        "archived", or "held" (the remaining trials were asked for without a lease, and may be told at any time or never).
    """

    reason: str


Action = Fill | Start | Cancel | Close


@dataclass(frozen=True)
class Terms:
    """When one call of `run` ends."""

    trials: int | None = None  # when the study has so many finished trials
    until: float | None = None  # at this time of a monotonic clock (see running.clock)
    since: int = 0  # position of the last event before the call: earlier failures do not count as its own


@dataclass(frozen=True)
class Here:
    """What only the process that plans knows."""

    free: int  # slots
    exhausted: bool = False  # whether the strategy has nothing more to propose, as far as the ledger goes
    batch: int = 1  # propose at least so many together; grows while other processes are faster
    charge: Charge | None = None  # what running trials cost
    waited: Mapping[int, float] = field(default_factory=dict)  # by trial: seconds for which no slot was free for it


def plan(ledger: Ledger, now: float, terms: Terms, here: Here) -> list[Action]:
    """What to do next. now: by the store's clock, as is `terms.until` here."""
    running, using, free = ledger.running(), accrued(ledger, now, here), here.free
    if reason := _closed(ledger, now, terms, using, here.waited):
        cancel = [Cancel(t.number) for t in running] if reason == "budget" else []
        return [*cancel, Close(reason)]
    paid = affordable(ledger, using)
    if paid < 1 and not running:
        return [Close("budget")]
    room = max(free, here.batch) if free else 0
    limits = [n for n in (ledger.study.spec.budget.trials, terms.trials) if n is not None]
    allowed = min(limits) - ledger.counted - len(running) if limits else room
    left = int(min(allowed, max(0, paid)))  # how many more may start
    queued, expired = len(ledger.queued()), len(ledger.expired(now))
    wanted = 0 if here.exhausted or queued >= free else max(0, min(room, left) - queued)
    startable = min(free, left + expired, queued + wanted + expired)  # an expired one has already started
    if startable <= 0 and free > 0 and all(t.lease_until is None for t in running):
        return [Close("exhausted" if here.exhausted and not running else "held")]
    fill: list[Action] = [Fill(wanted)] if wanted else []
    return [*fill, Start(startable)] if startable > 0 else fill


def _closed(ledger: Ledger, now: float, terms: Terms, using: Sequence[Cost], waited: Mapping[int, float]) -> str | None:
    """Why nothing more may start; None if something may."""
    spec, study = ledger.study.spec, ledger.study
    if study.state is not StudyState.OPEN:
        return str(study.state)
    if spec.max_failures is not None and len(ledger.failures_in_a_row(terms.since)) >= spec.max_failures:
        return "failures"
    if any(limit is not None and ledger.counted >= limit for limit in (terms.trials, spec.budget.trials)):
        return "trials"
    if spent(ledger, now, using, waited) is not None:
        return "budget"
    return "time" if terms.until is not None and now >= terms.until else None


def used(ledger: Ledger, now: float) -> dict[str, tuple[float, float]]:
    """(used, limit) of each limit of the budget, by name: trials, time in seconds, and what ended trials have used."""
    b = ledger.study.spec.budget
    found = {} if b.trials is None else {"trials": (float(ledger.counted), float(b.trials))}
    if isinstance(b.time, float):
        found["time"] = (ledger.wall(now), b.time)
    return found | b.measured(ledger.study.spent)


def bound(ledger: Ledger, now: float) -> str | None:
    """Which limit of the budget prevents further trials, in words; None while there is room."""
    for name, (x, limit) in used(ledger, now).items():
        if x >= limit:
            return f"the budget of {name} is spent"
        mean = x / ledger.counted if ledger.counted else 0.0
        if name not in ("trials", "time") and limit - x < mean:
            return f"the budget of {name} has {number(limit - x, 3)} left, and a trial takes {number(mean, 3)}"
    return None


def spent(
    ledger: Ledger, now: float, using: Sequence[Cost] = (), waited: Mapping[int, float] = MappingProxyType({})
) -> str | None:
    """Which limit of the budget, other than trials, is used up; None if none is.

    using: what each running trial has used so far; it is added to what ended trials have used. waited: see Here.
    """
    budget, total = ledger.study.spec.budget, ledger.study.spent
    if isinstance(budget.time, float) and ledger.wall(now, waited) >= budget.time:
        return "time"
    for cost in using:
        total = total.plus(cost)
    return next((name for name, (x, limit) in budget.measured(total).items() if x >= limit), None)


def affordable(ledger: Ledger, using: Sequence[Cost]) -> float:
    """How many more trials the budget's limits on CPU hours, GPU hours, money and energy can pay.

    Each trial is expected to use as much as the average finished one; a running one, at least what it is `using`
    already. Infinite without such limits, and as long as no trial has finished.
    """
    if not ledger.counted:
        return math.inf
    budget, room = ledger.study.spec.budget, math.inf
    running = [budget.measured(cost) for cost in using]
    for name, (x, limit) in budget.measured(ledger.study.spent).items():
        mean = x / ledger.counted
        reserved = sum(max(mean, so_far[name][0]) for so_far in running)
        room = min(room, math.floor((limit - x - reserved) / mean) if mean > 0 else math.inf)
    return room


def accrued(ledger: Ledger, now: float, here: Here) -> list[Cost]:
    """An estimate of what each running trial has used so far: its CPUs are as busy as those of ended trials were on
    average (before any has ended: one CPU, always busy).

    Zero for trials that a user has asked for, since nobody measures them. Empty if the budget limits nothing of this.
    """
    ended, found = ledger.study.spent, list[Cost]()
    if not ledger.study.spec.budget.measured(ended):
        return found
    cpus = ended.cpu / ended.wall if ended.wall else 1.0
    for t in ledger.running():
        if here.charge is None or t.started is None or t.lease_until is None:
            found.append(Cost())
        else:
            wall = max(0.0, min(now, t.lease_until) - t.started - here.waited.get(t.number, 0.0))
            found.append(here.charge(wall, wall * cpus))
    return found
