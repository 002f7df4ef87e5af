"""What each change does to a study's row, its trials and its chain: records and `now` in, records and entries out. No IO
and no clock; the only random numbers are the salts of private texts."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..canonical import commitment, storable
from ..chain import commitments, ended, link, proposed
from ..errors import BudgetSpent, Stale, StudyMismatch
from ..fidelity import Fidelity
from ..goals import Metrics
from ..records import (
    GOOD,
    LIVING,
    OPEN,
    TRANSITIONS,
    Cost,
    Event,
    Json,
    Outcome,
    Proposal,
    Purpose,
    Report,
    State,
    StudyRecord,
    Trial,
)
from .rows import stored_fields, stored_json

DOUBT = 60.0  # seconds: if a clock and a measurement differ by more, the clock is wrong


@dataclass(frozen=True)
class Actor:
    """Who made a change. Its event holds only the commitment; salt and name are kept separately, so that they can be
    erased."""

    salt: str
    name: str

    @property
    def commitment(self) -> str:
        return commitment(self.salt, self.name)


@dataclass(frozen=True)
class Entry:
    """What is to become the next event of the chain."""

    kind: str
    number: int | None
    body: Json
    actor: Actor | None = None


def append(study: StudyRecord, entries: Sequence[Entry], now: float) -> tuple[StudyRecord, list[Event]]:
    """Continue the chain: the study's row after these entries, and the events that they become."""
    events: list[Event] = []
    head, at = study.head, float(now) + 0.0
    for position, entry in enumerate(entries, start=study.position + 1):
        who = {"actor": entry.actor.commitment} if entry.actor else {}
        event = link(head, position, entry.kind, entry.number, at, stored_json({**entry.body, **who}))
        events.append(event)
        head = event.hash
    return replace(study, position=study.position + len(events), head=head), events


def admit(study: StudyRecord, proposals: Sequence[Proposal], at: int, opened: int) -> None:
    """Raises StudyMismatch, Stale or BudgetSpent if the proposals may not be enqueued (see Storage.enqueue).

    opened: how many search trials are queued or running. Each is expected to use as much of the budget as the average
    finished one.
    """
    if study.state not in LIVING:
        raise StudyMismatch(
            f"study {study.name!r} is {study.state}: it takes no more trials; "
            "begin anew: fresh=True (--fresh), or another name"
        )
    if at != study.count:
        raise Stale(f"study {study.name!r} has {study.count} trials, not {at}: somebody was faster; read it again")
    wanted = sum(p.purpose is Purpose.SEARCH for p in proposals)
    if not wanted:
        return
    budget, spent = study.spec.budget, study.spent
    if budget.trials is not None and study.reserved + wanted > budget.trials:
        raise BudgetSpent(
            f"study {study.name!r}: {study.reserved} of its {budget.trials} trials are given out, "
            f"{wanted} more would exceed them; raise the budget's trials"
        )
    finished = study.reserved - opened
    for name, (used, limit) in budget.measured(spent).items():
        if used >= limit:
            raise BudgetSpent(f"study {study.name!r}: {name}={used:g} of {limit:g} is spent; raise the budget's {name}")
        mean = used / finished if finished > 0 else 0.0
        if used + (opened + wanted) * mean > limit:
            raise BudgetSpent(
                f"study {study.name!r}: {name}={used:g} of {limit:g} is spent, and {opened} open trials have the rest "
                f"reserved at {mean:.3g} each; raise the budget's {name}, or wait until they have ended"
            )


def queued(
    study: StudyRecord, number: int, proposal: Proposal, *, seen: int, at: int, batch: int, now: float, position: int
) -> Trial:
    """The trial that a proposal becomes by the `enqueue` event at `position`. Without a fidelity of its own, it is to be
    fully trained."""
    top = None if study.spec.fidelity is None else study.spec.fidelity.high
    return Trial(
        **stored_fields(
            study=study.id,
            number=number,
            state=State.QUEUED,
            purpose=proposal.purpose,
            params=proposal.params,
            seed=proposal.seed,
            strategy=proposal.strategy,
            version=proposal.version,
            why=proposal.why,
            seen=seen,
            at=at,
            batch=batch,
            parent=proposal.parent,
            replicate=proposal.replicate,
            priority=proposal.priority,
            fidelity=top if proposal.fidelity is None else proposal.fidelity,
            created=now,
            revision=position,
        )
    )


def claimed(trial: Trial, worker: str, now: float, lease: float | None) -> Trial:
    """The trial once a worker has claimed it: a new attempt, held for `lease` seconds (None: without expiry)."""
    until = None if lease is None else now + lease
    held = stored_fields(worker=storable(worker), lease_until=until, started=now)
    return replace(trial, state=State.RUNNING, attempt=trial.attempt + 1, **held)


def enqueue_entry(trials: Sequence[Trial]) -> Entry:
    """The entry for a batch of new trials, whose proposer knew the same about all of them."""
    first = trials[0]
    digests = [[t.number, proposed(t)] for t in trials]
    return Entry("enqueue", None, {"at": first.at, "seen": first.seen, "batch": first.batch, "trials": digests})


def end(
    trial: Trial, outcome: Outcome, reports: Sequence[Report], now: float, position: int, fidelity: Fidelity | None
) -> tuple[Trial, dict[str, Any]]:
    """The trial once the event at `position` has ended it, and what that event says of it: {"digest", "private"}.

    reports: all of the trial. Raises Stale if it cannot end so.
    """
    if outcome.state in OPEN or outcome.state not in TRANSITIONS[trial.state]:
        raise Stale(f"trial {trial.number} is {trial.state} and cannot become {outcome.state}; read it again")
    texts = private_texts(outcome, trial.worker)
    notes = [*trial.private.get("notes", []), *texts.get("notes", [])]
    after = replace(
        trial,
        **stored_fields(
            started=_started(trial, outcome.cost, now),
            state=outcome.state,
            metrics=outcome.metrics,
            reason=outcome.reason,
            cost=outcome.cost,
            ended=now,
            worker=None,
            lease_until=None,
            private={**texts, "notes": notes} if notes else texts,
            curve={} if fidelity is None else _curve(trial, outcome, reports, fidelity),
            verdict=outcome.verdict,
            told=position,
            revision=position,
        ),
    )
    return after, {"digest": ended(after, reports), "private": commitments(texts)}


def _started(trial: Trial, cost: Cost, now: float) -> float | None:
    """When the attempt that ends now has started, without the time for which it waited for room.

    If the clock and the measured time of loading and running differ by more than DOUBT, the clock has jumped or the
    machine has slept, and the measurement counts: a jump must not spend a budget of time. If nobody measured, the attempt
    ran no longer than its lease.
    """
    if trial.started is None:
        return None
    started, measured = trial.started + cost.waiting, cost.wall + cost.loading
    if not measured:
        return started + max(0.0, now - (now if trial.lease_until is None else trial.lease_until))
    return started if abs(now - started - measured) < DOUBT else now - measured


def _curve(trial: Trial, outcome: Outcome, reports: Sequence[Report], fidelity: Fidelity) -> dict[float, Metrics]:
    """step -> metrics, at the rungs that the trial passed and at its end. A later attempt's report of a step counts."""
    if outcome.state not in GOOD:
        return {}
    curve = {r.step: r.metrics for r in sorted(reports, key=lambda r: r.attempt)}
    last = trial.fidelity if outcome.state is State.DONE else max(curve, default=None)
    if last is None:  # it was stopped without a report, or is older than the study's fidelity
        return {}
    passed = {step: metrics for step, metrics in curve.items() if step < last}
    return {**fidelity.thinned(passed), last: outcome.metrics}


def finish_body(trial: Trial, sealed: Json) -> dict[str, Any]:
    """The body of a `finish` or `import` event. sealed: what `end` returned with the trial."""
    verdict = {"verdict": dict(trial.verdict)} if trial.verdict else {}
    return {"state": trial.state, "reason": trial.reason, "metrics": dict(trial.metrics), **verdict, **sealed}


def late_entry(trial: Trial, outcome: Outcome) -> Entry:
    """The entry for a result that came after the lease was lost: its numbers are kept, its texts are not."""
    body = {
        "attempt": trial.attempt,
        "state": outcome.state,
        "reason": outcome.reason,
        "metrics": dict(outcome.metrics),
        "cost": outcome.cost.to_json(),
    }
    return Entry("late", trial.number, body)


def takeover_entry(before: Trial) -> Entry:
    """The entry for a trial that another worker takes over. before: as its silent worker held it."""
    return Entry("takeover", before.number, {"attempt": before.attempt, "held": [before.started, before.lease_until]})


def charged(study: StudyRecord, trial: Trial, cost: Cost) -> StudyRecord:
    """The study's row with a cost added, if the trial is a search trial: only those count for the budget."""
    return replace(study, spent=study.spent.plus(cost)) if trial.purpose is Purpose.SEARCH else study


def released(study: StudyRecord, trials: Sequence[Trial]) -> StudyRecord:
    """The study's row after these trials have ended: cancelled ones free their place in the budget of trials."""
    free = sum(t.purpose is Purpose.SEARCH and t.state is State.CANCELLED for t in trials)
    return replace(study, reserved=study.reserved - free)


def private_texts(outcome: Outcome, worker: str | None) -> dict[str, Any]:
    """The private texts of an ended trial, salted (see records.Trial.private); empty ones are left out."""
    texts: dict[str, Any] = {
        name: salted(text)
        for name, text in (("error", outcome.error), ("output", outcome.output), ("worker", worker))
        if text
    }
    if outcome.notes:
        texts["notes"] = [salted(note) for note in outcome.notes]
    return texts


def salted(text: str) -> list[str]:
    """[salt, text] of a private text, with a new salt. Invalid Unicode is replaced: captured output may hold anything."""
    return [secrets.token_hex(16), text.encode(errors="replace").decode()]
