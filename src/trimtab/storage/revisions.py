"""Audited changes: what each kind of Change does to a study, its trials and its chain (see Storage.revise)."""

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..canonical import commitment, storable
from ..checks import no_trial
from ..errors import Stale
from ..records import OPEN, Change, Cost, Outcome, Proposal, Purpose, State, StudyRecord, StudyState, Trial
from . import rules
from .operations import cancel, existing_study, record
from .rules import Actor, Entry
from .transaction import Transaction

_MOVES: Mapping[str, tuple[frozenset[StudyState], StudyState]] = {
    "pause": (frozenset({StudyState.OPEN}), StudyState.PAUSED),
    "resume": (frozenset({StudyState.PAUSED}), StudyState.OPEN),
    "cancel": (frozenset({StudyState.OPEN, StudyState.PAUSED}), StudyState.CANCELLED),
    "archive": (frozenset({StudyState.OPEN, StudyState.PAUSED, StudyState.CANCELLED}), StudyState.ARCHIVED),
}
"""Kind of change -> the states of a study in which it is legal, and the state after it."""

_STATEMENTS = frozenset(
    {"run", "evidence", "holdout", "replay", "reproduce", "inputs", "checkpoint", "report", "enough"}
)
"""Kinds of changes that only add an event, with their body."""

_PART = 1000  # how many imported results are written at a time

_OF_A_TRIAL = frozenset({"cancel", "requeue", "note"})
KINDS = frozenset({*_MOVES, *_STATEMENTS, *_OF_A_TRIAL, "import", "spec"})
"""All kinds of changes. Events of other kinds do not say who made them."""


def revise(tx: Transaction, study: int, change: Change) -> StudyRecord:
    """See Storage.revise."""
    row = existing_study(tx, study)
    if row.state is StudyState.ARCHIVED:
        raise Stale(f"study {row.name!r} is archived: it is read-only; start a study of the same name to go on")
    actor = _actor_of(change)
    if change.number is not None and change.kind in _OF_A_TRIAL:
        return _of_trial(tx, row, change.number, change, actor)
    if change.kind in _MOVES:
        return _move(tx, row, change, actor)
    if change.kind == "import":
        return _import(tx, row, change, actor)
    if change.kind == "spec" and change.spec is not None:
        body = {**change.body, "spec": change.spec.to_json()}
        return record(tx, replace(row, spec=change.spec), [Entry("spec", None, body, actor)])
    if change.kind in _STATEMENTS:
        return record(tx, row, [Entry(change.kind, None, change.body, actor)])
    known = ", ".join(sorted(KINDS))
    raise ValueError(f"no such change: kind={change.kind!r}, number={change.number!r}; kinds are {known}")


def _move(tx: Transaction, study: StudyRecord, change: Change, actor: Actor) -> StudyRecord:
    """Pause, resume, cancel or archive a study."""
    allowed, state = _MOVES[change.kind]
    if study.state not in allowed:
        raise Stale(
            f"study {study.name!r} is {study.state}; {change.kind} needs one that is {' or '.join(sorted(allowed))}"
        )
    ends = {"cancel": {State.QUEUED}, "archive": OPEN}.get(change.kind, set())
    ended = [t for t in tx.open_trials(study.id) if t.state in ends] if ends else []
    return cancel(tx, replace(study, state=state), ended, first=[Entry(change.kind, None, change.body, actor)])


def _of_trial(tx: Transaction, study: StudyRecord, number: int, change: Change, actor: Actor) -> StudyRecord:
    """Cancel, requeue or annotate one trial."""
    trial = tx.trial(study.id, number)
    if trial is None:
        raise Stale(no_trial(number, study.count))
    if change.kind == "note":
        return _note(tx, study, trial, change, actor)
    if trial.state not in OPEN:
        raise Stale(f"trial {number} is {trial.state}; only a queued or a running one can be changed")
    if change.kind == "cancel":
        return cancel(tx, study, [trial], body=change.body, actor=actor, cost=change.cost)
    return _requeue(tx, study, trial, change, actor)


def _requeue(tx: Transaction, study: StudyRecord, trial: Trial, change: Change, actor: Actor) -> StudyRecord:
    """Return a running trial to the queue; in a cancelled study, where nobody would take it, cancel it."""
    if trial.state is not State.RUNNING or trial.attempt != change.attempt:
        raise Stale(
            f"trial {trial.number} is {trial.state} in attempt {trial.attempt}, not running in {change.attempt}"
        )
    body = {**change.body, "attempt": trial.attempt}
    if study.state is StudyState.CANCELLED:
        return cancel(tx, study, [trial], body=body, actor=actor, cost=change.cost)
    body = body if change.cost == Cost() else {**body, "cost": change.cost.to_json()}
    study = record(tx, rules.charged(study, trial, change.cost), [Entry("requeue", trial.number, body, actor)])
    waiting = replace(trial, state=State.QUEUED, worker=None, lease_until=None, started=None, revision=study.position)
    tx.save_trial(trial, waiting)
    return study


def _note(tx: Transaction, study: StudyRecord, trial: Trial, change: Change, actor: Actor) -> StudyRecord:
    note = rules.salted(change.text)
    body = {**change.body, "note": commitment(*note)}
    study = record(tx, study, [Entry("note", trial.number, body, actor)])
    notes = [*trial.private.get("notes", []), note]
    tx.save_trial(trial, replace(trial, private={**trial.private, "notes": notes}, revision=study.position))
    return study


def _import(tx: Transaction, study: StudyRecord, change: Change, actor: Actor) -> StudyRecord:
    """Record imported results, by two events each: `enqueue` and `import`."""
    for first in range(0, len(change.trials), _PART):  # in parts: a server ends transactions that are silent for long
        study = _import_part(tx, study, change, change.trials[first : first + _PART], actor)
    return study


def _import_part(
    tx: Transaction, study: StudyRecord, change: Change, results: Sequence[tuple[Proposal, Outcome]], actor: Actor
) -> StudyRecord:
    entries: list[Entry] = []
    trials: list[Trial] = []
    for number, (proposal, outcome) in enumerate(results, start=study.count):
        position = study.position + len(entries) + 1
        measured = replace(proposal, purpose=Purpose.IMPORT)
        new = rules.queued(
            study, number, measured, seen=position - 1, at=number, batch=1, now=tx.now, position=position
        )
        running = replace(new, state=State.RUNNING)  # only a running trial can end; this one ran elsewhere
        ended, sealed = rules.end(running, outcome, [], tx.now, position + 1, study.spec.fidelity)
        entries.append(rules.enqueue_entry([new]))
        body = {**change.body, **rules.finish_body(ended, sealed)}
        entries.append(Entry("import", number, body, actor))
        trials.append(ended)
    study = record(tx, replace(study, count=study.count + len(trials)), entries)
    tx.add_trials(trials)
    return study


def _actor_of(change: Change) -> Actor:
    return Actor(*rules.salted(storable(change.actor or user())))


def user() -> str:
    """The login name of the user of this process."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user id without a name, as in some containers
        return "unknown"
