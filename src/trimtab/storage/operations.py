"""What each method of Storage reads and writes in its transaction: the same for all stores."""

from collections.abc import Sequence
from dataclasses import replace
from secrets import token_hex

from ..errors import LeaseLost, StudyMismatch, StudyNotFound, TrimtabError
from ..records import (
    Cost,
    Json,
    Outcome,
    Proposal,
    Purpose,
    Reason,
    Report,
    State,
    StudyRecord,
    StudySpec,
    StudyState,
    Trial,
)
from . import MAX_ATTEMPTS, Claim, CompleteStudy, Ending, Settled, Then, lost_attempts, rules
from .rules import Actor, Entry
from .transaction import Transaction


def create(tx: Transaction, spec: StudySpec) -> StudyRecord:
    """See Storage.create."""
    found = tx.named(spec.name)
    if found is not None:
        return found
    uid = token_hex(16)
    empty = StudyRecord(0, uid, spec.name, spec, StudyState.OPEN, tx.now, 0, 0, Cost(), position=0, head=uid)
    earlier = tx.archived(spec.name)  # recorded, so that starting over until the result suits does not stay hidden
    body = {"spec": spec.to_json(), **({"earlier": earlier} if earlier else {})}
    study, events = rules.append(empty, [Entry("create", None, body)], tx.now)
    study = tx.add_study(study)
    tx.add_events(study, events)
    return study


def adopt(tx: Transaction, whole: CompleteStudy) -> StudyRecord:
    """See Storage.adopt."""
    if whole.study.state is not StudyState.ARCHIVED and tx.named(whole.study.name) is not None:
        raise StudyMismatch(f"there is another study {whole.study.name!r} in the store; archive that one first")
    study = tx.add_study(whole.study)
    tx.add_trials([replace(t, study=study.id) for t in sorted(whole.trials, key=lambda t: t.revision)])
    tx.add_reports(study.id, sorted(whole.reports, key=lambda r: r.written))
    tx.add_events(study, whole.events)
    tx.add_actors(study.id, [(position, Actor(*who)) for position, who in whole.actors.items()])
    return study


def existing_study(tx: Transaction, study: int) -> StudyRecord:
    """The study's row, locked. Raises StudyNotFound."""
    row = tx.study(study)
    if row is None:
        raise StudyNotFound(not_found(study))
    return row


def not_found(study: int) -> str:
    """The message of StudyNotFound."""
    return f"study number {study} is not in this store (any more); `trimtab list` shows what is"


def enqueue(
    tx: Transaction, study: int, proposals: Sequence[Proposal], at: int, seen: int, claim: Claim | None
) -> list[Trial]:
    """See Storage.enqueue."""
    return _enqueue(tx, existing_study(tx, study), proposals, at, seen, claim)[1]


def _enqueue(
    tx: Transaction, row: StudyRecord, proposals: Sequence[Proposal], at: int, seen: int, claim: Claim | None
) -> tuple[StudyRecord, list[Trial]]:
    """Enqueue proposals: the study's row after that, and the new trials."""
    rules.admit(row, proposals, at, tx.count_open_search(row.id) if row.spec.budget.measured(row.spent) else 0)
    if not proposals:
        return row, []
    batch, position = len(proposals), row.position + 1
    trials = [
        rules.queued(row, at + i, p, seen=seen, at=at, batch=batch, now=tx.now, position=position)
        for i, p in enumerate(proposals)
    ]
    wanted = sum(t.purpose is Purpose.SEARCH for t in trials)
    row = replace(row, count=row.count + len(trials), reserved=row.reserved + wanted)
    row = record(tx, row, [rules.enqueue_entry(trials)])
    if claim is not None and row.state is StudyState.OPEN:
        trials[: claim.n] = [rules.claimed(t, claim.worker, tx.now, claim.lease) for t in trials[: claim.n]]
    tx.add_trials(trials)
    return row, trials


def record(tx: Transaction, study: StudyRecord, entries: Sequence[Entry]) -> StudyRecord:
    """Save the study's row with its chain continued by the entries."""
    if not entries:
        return study
    study, events = rules.append(study, entries, tx.now)
    tx.save_study(study)
    tx.add_events(study, events)
    actors = [(e.position, entry.actor) for e, entry in zip(events, entries, strict=True) if entry.actor]
    if actors:
        tx.add_actors(study.id, actors)
    return study


def claim(
    tx: Transaction, study: int, worker: str, lease: float | None, number: int | None
) -> tuple[Trial | None, bool]:
    """See Storage.claim. Returns the trial or None, and whether to try again in a new transaction."""
    found = tx.claimable(study, number)
    if found is None:
        return None, False
    if found.state is State.RUNNING and _abandoned(tx, found):
        return None, True
    taken = rules.claimed(found, worker, tx.now, lease)
    if not tx.swap_trial(found, taken):
        return None, True
    return _taken_over(tx, found, taken) if found.state is State.RUNNING else taken, False


def _taken_over(tx: Transaction, before: Trial, taken: Trial) -> Trial:
    """Record that a trial whose worker went silent has another one: otherwise nobody would know how long it ran before."""
    study = record(tx, existing_study(tx, taken.study), [rules.takeover_entry(before)])
    after = replace(taken, revision=study.position)
    tx.save_trial(taken, after)
    return after


def _abandoned(tx: Transaction, found: Trial) -> bool:
    """End a running trial whose lease has expired, if nobody may take it over.

    Returns whether it cannot be claimed: it was ended here, or has changed since it was found.
    """
    study, trial = existing_study(tx, found.study), tx.trial(found.study, found.number)
    if trial is None or (trial.state, trial.attempt, trial.lease_until) != (
        found.state,
        found.attempt,
        found.lease_until,
    ):
        return True  # another process was faster
    if study.state is StudyState.CANCELLED:
        cancel(tx, study, [trial])
        return True
    reports = tx.reports(study.id, trial.number)
    lost = lost_attempts(trial, tx.requeues(study.id, trial.number), reports)
    if lost < MAX_ATTEMPTS:
        return False
    text = f"its worker went silent or was killed in {lost} attempts; look at the workers' machines and memory"
    _end(tx, study, trial, Outcome(State.FAILED, reason=Reason.LOST, error=text), reports)
    return True


def report(tx: Transaction, trial: Trial, reports: Sequence[Report], lease: float | None) -> None:
    """See Storage.report."""
    if reports:
        tx.study(trial.study)  # locks the study, since its reports are numbered in the order of writing
    if not tx.renew(trial, None if lease is None else tx.now + lease):
        raise LeaseLost(lease_lost(trial))
    if reports:
        tx.write_reports(trial, _last(trial, reports))


def _last(trial: Trial, reports: Sequence[Report]) -> list[Report]:
    """The last of the reports for each step, as reports of this trial and attempt, with their steps as they are stored."""
    kept = {float(r.step) + 0.0: r for r in reports}  # + 0.0 makes -0.0 a 0.0
    return [replace(r, number=trial.number, attempt=trial.attempt, step=step) for step, r in kept.items()]


def lease_lost(trial: Trial) -> str:
    """The message of LeaseLost."""
    return f"trial {trial.number}, attempt {trial.attempt}: it has ended or belongs to another worker now"


def finish(tx: Transaction, trial: Trial, outcome: Outcome, reports: Sequence[Report]) -> Trial | None:
    """See Storage.finish. Returns None if the lease was lost: the caller raises LeaseLost after the commit."""
    (ended,) = finish_all(tx, trial.study, [Ending(trial, outcome, reports)])
    return ended


def finish_all(tx: Transaction, study: int, endings: Sequence[Ending]) -> list[Trial | None]:
    """End trials of one study, each by its own event; None where the lease was lost."""
    row, found = tx.trials_with_reports(study, [e.trial.number for e in endings])
    ended: list[Trial | None] = []
    for e in endings:
        number = e.trial.number
        if row is None or number not in found or found[number][0].created != e.trial.created:
            ended.append(None)  # it is gone; its number may have been given out again, if the record was set back
            continue
        before, written = found[number]
        if before.state is State.RUNNING and before.attempt == e.trial.attempt:
            row, after = _end(tx, row, before, e.outcome, written, e.reports)
            ended.append(after)
        else:
            row = record(tx, rules.charged(row, before, e.outcome.cost), [rules.late_entry(e.trial, e.outcome)])
            after = replace(before, revision=row.position)
            tx.save_trial(before, after)
            ended.append(None)
        found[number] = (after, written)
    return ended


def settle(tx: Transaction, study: int, endings: Sequence[Ending], since: int, then: Then) -> Settled:
    """See Storage.settle."""
    return follow(tx, study, finish_all(tx, study, endings), since, then)


def follow(tx: Transaction, study: int, ended: Sequence[Trial | None], since: int, then: Then) -> Settled:
    """The second part of `settle`: enqueue and claim what follows from the ends."""
    changes = tx.changes(study, since)
    try:
        batches, claim = then(changes)
    except Exception as error:  # from a strategy: the results must be kept nevertheless
        return Settled(ended, error=error)
    row, made, claimed = changes.study, list[Trial](), list[Trial]()
    if claim is not None and row.state is StudyState.OPEN:
        claimed = _claim_waiting(tx, changes.trials, claim)
        claim = replace(claim, n=claim.n - len(claimed))
    try:
        for batch in batches:
            row, fresh = _enqueue(tx, row, batch, row.count, row.position, claim)
            made += fresh
            taken = [t for t in fresh if t.state is State.RUNNING]
            claimed += taken
            claim = claim and replace(claim, n=claim.n - len(taken))
    except TrimtabError as error:  # no room, and nothing was written for it
        return Settled(ended, made, claimed, error)
    return Settled(ended, made, claimed)


def _claim_waiting(tx: Transaction, trials: Sequence[Trial], claim: Claim) -> list[Trial]:
    """Claim the first queued search trials, except those that another process claims at this moment."""
    waiting = [t for t in trials if t.state is State.QUEUED and t.purpose is Purpose.SEARCH]
    first = sorted(waiting, key=lambda t: (-t.priority, t.number))[: claim.n]
    taken = [(t, rules.claimed(t, claim.worker, tx.now, claim.lease)) for t in first]
    return [after for before, after in taken if tx.swap_trial(before, after)]


def _end(
    tx: Transaction,
    study: StudyRecord,
    trial: Trial,
    outcome: Outcome,
    written: Sequence[Report],
    last: Sequence[Report] = (),
) -> tuple[StudyRecord, Trial]:
    """Write a trial's last reports and end it by a `finish` event. Returns the study's row and the trial after that.

    written: the reports that are stored already. last: those to be stored now.
    """
    fresh = _last(trial, last)
    if fresh:
        tx.write_reports(trial, fresh)
    reports = {(r.attempt, r.step): r for r in [*written, *fresh]}
    after, sealed = rules.end(trial, outcome, [*reports.values()], tx.now, study.position + 1, study.spec.fidelity)
    study = rules.released(rules.charged(study, after, after.cost), [after])
    study = record(tx, study, [Entry("finish", trial.number, rules.finish_body(after, sealed))])
    tx.save_trial(trial, after)
    return study, after


def cancel(
    tx: Transaction,
    study: StudyRecord,
    trials: Sequence[Trial],
    *,
    first: Sequence[Entry] = (),
    body: Json | None = None,
    actor: Actor | None = None,
    cost: Cost | None = None,
) -> StudyRecord:
    """Cancel open trials, by a `cancel` event for each. Returns the study's row after that.

    first: entries that come before these events. body, actor: of these events. cost: what each trial had used.
    """
    ended, entries, outcome = [], list(first), Outcome(State.CANCELLED, cost=cost or Cost())
    for trial in trials:
        position = study.position + len(entries) + 1
        reports = tx.reports(study.id, trial.number) if trial.attempt else []  # thousands may wait that never ran
        after, sealed = rules.end(trial, outcome, reports, tx.now, position, study.spec.fidelity)
        study = rules.charged(study, after, after.cost)
        ended.append(after)
        entries.append(Entry("cancel", trial.number, {**(body or {}), **sealed}, actor))
    study = record(tx, rules.released(study, ended), entries)
    for before, after in zip(trials, ended, strict=True):
        tx.save_trial(before, after)
    return study
