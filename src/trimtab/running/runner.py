"""The loop that carries out plans: refill the queue, claim, launch, record, until the plan says to close.

Any number of processes may run this loop on one study; the store decides which of them gets a trial.
"""

import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from ..checks import whole
from ..engine.ledger import Ledger, is_expired
from ..engine.planning import Action, Cancel, Close, Fill, Start, Terms, plan
from ..errors import BudgetSpent, ObjectiveError, RunFailed, SpecError, Stale, StorageError, TrimtabError
from ..formatting import first_line, plural
from ..live import Batches, LiveStudy
from ..outlook import Enough
from ..records import OPEN, Change, Reason, State, StudyRecord, StudySpec, StudyState, Trial
from ..storage import INTERRUPTED, Claim, Settled
from ..units import seconds
from .clock import SYSTEM, Clock
from .crew import Crew
from .enough import EnoughCheck

IDLE = 0.1  # seconds between two checks of the record while others work
BRIEF = 0.02  # seconds: a strategy that is faster proposes inside the transaction that records results
CROWD = 32  # maximum number of trials proposed together when several processes compete
AHEAD = 32  # maximum number of trials claimed ahead, see `ahead_limit`
NOTHING = Settled(())  # nothing was recorded, proposed or claimed
_ANEW = "start over with fresh=True (--fresh), or these trials, trial 0 among them, stay failed and count"


def terms_of(live: LiveStudy, trials: int | None, limit: float | str | None, clock: Clock = SYSTEM) -> Terms:
    """The terms of one call of run: it ends at `trials` finished trials, or after the time `limit`.

    Raises SpecError if nothing says when to stop, and if the study takes no more trials.
    """
    if trials is not None:
        trials = whole("trials", trials, repair="; leave it out for no limit")
    duration = seconds(limit, "time")
    study = live.refresh().study
    if trials is None and duration is None and endless(study.spec):
        raise SpecError("nothing says when to stop; give trials= or time=, or the study a budget")
    check_open(study)
    until = None if duration is None else clock.steady() + duration
    return Terms(trials, until, since=study.position)


def endless(spec: StudySpec) -> bool:
    """Whether neither the budget nor the space limits the number of trials."""
    return spec.budget.unlimited and spec.space.cardinality() == math.inf


def check_open(study: StudyRecord) -> None:
    """Raises SpecError for a study that is not open."""
    if study.state is not StudyState.OPEN:
        raise SpecError(_why_closed(study))


def _why_closed(study: StudyRecord) -> str:
    """Why no trial of a study that is not open starts, and what to do."""
    way_out = (
        "resume it to go on"
        if study.state is StudyState.PAUSED
        else "begin anew: fresh=True (--fresh), or another name"
    )
    return f"study {study.name!r} is {study.state}; {way_out}"


def search(crew: Crew, terms: Terms, enough: Enough | None = None) -> str:
    """Run search trials until the plan closes, or until there is `enough`; returns why it closed.

    Raises ObjectiveError if the objective never returns a metric that the study needs, RunFailed if too many trials
    fail in a row, KeyboardInterrupt after returning the running trials to the queue.
    """
    live, closing, check = crew.live, None, EnoughCheck(crew.live, enough)
    with _giving_back(crew):
        while True:
            terms = replace(terms, charge=crew.charge, waited=crew.waited)
            decision, settled = settle(crew, terms, closing is None and not check.asked)
            check_results(live, [t for t in settled.ended if t is not None], terms)
            live.collect()
            crew.watch(live.ledger)
            if closing is None and check.has_enough():
                closing = "enough"
            if closing is None:
                terms, closing = carry_out(decision, crew, terms, settled)
            if closing is not None:
                _wind_down(crew, closing)
                if not crew.running:
                    break
            crew.collect(IDLE, lambda: live.behind)
            if not crew.unrecorded and not crew.running:  # others hold what is open, or were faster
                crew.clock.sleep(IDLE if terms.batch == 1 else random.uniform(0, IDLE / 10))
    crew.watch(live.refresh())
    live.collect()
    if closing == "failures":
        raise too_many_failures(live, live.ledger.failures_in_a_row(terms.since))
    return closing


def _wind_down(crew: Crew, closing: str) -> None:
    """Give back trials that were claimed ahead; also running ones, if there is no time to wait for them, or no point."""
    if closing in ("time", "failures"):
        crew.release()
    else:
        crew.release_ahead()


@dataclass(frozen=True)
class Decision:
    """A plan, and what was known when it was made."""

    actions: Sequence[Action]
    at: int  # how many trials existed
    unopposed: int  # how many new trials may be claimed as they are enqueued, since no other trial has precedence

    def contended(self, terms: Terms) -> bool:
        """Whether the plan is to propose, and other processes were faster the last time."""
        return terms.batch > 1 and any(isinstance(a, Fill) for a in self.actions)

    @property
    def closing(self) -> str | None:
        """Why nothing more is to be started; None if something may be."""
        return next((a.reason for a in self.actions if isinstance(a, Close)), None)


def decide(live: LiveStudy, free: int, now: float, terms: Terms) -> Decision:
    """Read the record, and plan for `free` slots. No other thread changes the ledger meanwhile."""
    with live.lock:
        return _decided(live.refresh(), free, now, terms)


def _decided(ledger: Ledger, free: int, now: float, terms: Terms) -> Decision:
    """The plan for `free` slots. now: by the clock of `terms.until`, which is translated to the store's clock here."""
    until = None if terms.until is None else terms.until - now + ledger.now
    actions = plan(ledger, free, ledger.now, replace(terms, until=until))
    # New trials may be claimed as they are enqueued, unless one that has lost its worker goes first.
    unopposed = 0 if ledger.expired(ledger.now) else sum(a.n for a in actions if isinstance(a, Start))
    return Decision(actions, ledger.study.count, unopposed)


def ahead_limit(live: LiveStudy) -> int:
    """How many very short trials may be claimed ahead and recorded together.

    0 if the next trial depends on how this one ends (what is proposed, whether it continues, whether the budget can pay
    it), or if files are checked before or kept after each trial.
    """
    spec = live.spec
    alone = bool(spec.stopping) or not spec.budget.countable or live.inputs.strict or bool(live.checkpoints.held())
    if alone or live.pace == math.inf or live.learns:
        return 0
    return min(AHEAD, int(BRIEF / live.pace))


def settle(crew: Crew, terms: Terms, going_on: bool, most: int | None = None) -> tuple[Decision, Settled]:
    """Record the trials that have ended, and make the next plan, for up to `most` trials.

    If the strategy is quick and the search is `going_on`, the same transaction also enqueues and claims what the plan
    proposes.
    """
    live, plans = crew.live, list[Decision]()
    endings = crew.take()
    quick = going_on and live.pace < BRIEF and all(e.outcome.reason is not Reason.BAD_RESULT for e in endings)
    ahead = ahead_limit(live) if quick else 0

    def slots(ahead: int) -> int:
        return crew.room(ahead) if most is None else min(most, crew.room(ahead))

    if not endings:
        decision = decide(live, slots(ahead=0), crew.clock.steady(), terms)
        if not (quick and decision.contended(terms)):
            return decision, NOTHING

    def then() -> tuple[Batches, Claim | None]:
        decision = _decided(live.ledger, slots(ahead), crew.clock.steady(), replace(terms, batch=1))
        plans.append(decision)
        n = sum(a.n for a in decision.actions if isinstance(a, Fill)) if quick else 0
        return live.batches(n), Claim(crew.name, crew.lease, decision.unopposed) if quick else None

    try:
        settled = live.settle(endings, then)
    except StorageError:
        crew.put_back(endings)
        raise
    if settled.error is not None and not isinstance(settled.error, BudgetSpent):
        raise settled.error
    return plans[-1], settled


def carry_out(decision: Decision, crew: Crew, terms: Terms, settled: Settled = NOTHING) -> tuple[Terms, str | None]:
    """Do what the plan says, except for what `settled` has done already.

    Returns the terms for the next plan, and why nothing more is to be started (None if something may be).
    """
    live, closing, begun = crew.live, decision.closing, len(settled.claimed)
    for trial in settled.claimed:
        crew.start(trial)
    for action in decision.actions:
        match action:
            case Fill(n):
                known = len(live.ledger.told)
                try:
                    made = settled.made or _fill(crew, decision, n)
                except BudgetSpent:
                    closing = "budget"
                    continue
                terms = replace(terms, exhausted=known if made is None else None, batch=_batch(terms.batch, made))
                claimed = [] if settled.made else [t for t in made or [] if t.state is State.RUNNING]
                for trial in claimed:
                    crew.start(trial)
                begun += len(claimed)
            case Start(n):
                crew.renew_expired(live.ledger.expired(live.ledger.now))
                for _ in range(n - begun):
                    waiting = live.storage.claim(live.id, crew.name, crew.lease)
                    if waiting is None:
                        break
                    crew.start(waiting)
            case Cancel(number) if number in crew.running:
                used = crew.cancel(number)
                with suppress(Stale):  # it ended by itself in the meantime
                    live.storage.revise(live.id, Change("cancel", number=number, cost=used))
    return terms, closing


def _fill(crew: Crew, decision: Decision, n: int) -> Sequence[Trial] | None:
    """Propose n trials, and claim the first of them unless earlier ones wait; None if the strategy has no more points."""
    first = 0 if crew.live.ledger.queued() else decision.unopposed
    return crew.live.fill(n, decision.at, Claim(crew.name, crew.lease, first))


def _batch(before: int, made: Sequence[Trial] | None) -> int:
    """How many to propose together next time: twice as many if another process was faster, so that one refill serves
    all that compete; one less otherwise."""
    return min(2 * before, CROWD) if made == [] else max(1, before - 1)


@contextmanager
def _giving_back(crew: Crew) -> Iterator[None]:
    """A context that returns running trials to the queue if anything ends it early."""
    try:
        yield
    except BaseException as stop:
        give_back(crew)
        if isinstance(stop, KeyboardInterrupt):
            stop.add_note("Running trials were given back to the queue. Run the same line again to go on.")
        raise


def give_back(crew: Crew) -> None:
    """End what is running and return its trials to the queue, also those that were claimed but have not started yet."""
    live = crew.live
    crew.release()
    with suppress(TrimtabError):  # what cannot be returned now is claimed by others when its lease expires
        for trial in live.refresh().open.values():
            if trial.state is State.RUNNING and trial.worker == crew.name:
                change = Change("requeue", number=trial.number, attempt=trial.attempt, body={"why": INTERRUPTED})
                live.storage.revise(live.id, change)


def _may_be_claimed(t: Trial, now: float) -> bool:
    """Whether an open trial is queued, or has lost its worker."""
    return t.state is State.QUEUED or is_expired(t, now)


def run_to_the_end(crew: Crew, numbers: Sequence[int]) -> None:
    """Run the evidence trials (`select` or `certify`) with these numbers to their ends."""
    live, failures = crew.live, list[Trial]()  # failures: in a row
    with _giving_back(crew):
        while waiting := [n for n in numbers if live.ledger.trials[n].state in OPEN]:
            if live.ledger.study.state is not StudyState.OPEN and not crew.running:
                raise SpecError(f"this evidence cannot be completed: {_why_closed(live.ledger.study)}")
            for n in waiting:
                # One that runs here may look as if its worker were gone, if the clock has jumped.
                ready = n not in crew.running and _may_be_claimed(live.ledger.trials[n], live.ledger.now)
                if crew.executor.free() and ready:
                    trial = live.storage.claim(live.id, crew.name, crew.lease, number=n)
                    if trial is not None:
                        crew.start(trial)
            ended = crew.poll(IDLE)
            for trial in ended:
                failures = [*failures, trial] if trial.state is State.FAILED else []
            if live.spec.max_failures is not None and len(failures) >= live.spec.max_failures:
                raise too_many_failures(live, failures)
            if not ended and not crew.running:  # others hold what is open
                crew.clock.sleep(IDLE)
            crew.watch(live.refresh())


def check_results(live: LiveStudy, ended: Sequence[Trial], terms: Terms) -> None:
    """Raises ObjectiveError if the first trials of the study all returned something else than it needs: then the call is
    wrong, and not the settings.

    ended: the trials that have just ended; without a bad result among them there is nothing to check.
    """
    if not any(t.reason is Reason.BAD_RESULT for t in ended):
        return
    failures = live.refresh().failures_in_a_row(terms.since)
    patience = min(3, live.spec.max_failures or 3)
    never = len(failures) >= patience and live.ledger.counted == len(failures)
    if never and all(t.reason is Reason.BAD_RESULT and "must be finite" not in t.error for t in failures):
        raise ObjectiveError(
            f"{first_line(failures[0].error)} (in each of the first {len(failures)} trials); mend the objective, and {_ANEW}"
        )


def too_many_failures(live: LiveStudy, failures: Sequence[Trial]) -> RunFailed:
    """The error that ends a run after too many failures in a row."""
    last = max(failures, key=lambda t: t.told or 0)
    never = live.ledger.counted == live.ledger.counts[State.FAILED]
    mend = _ANEW if never else "run the same line again"
    return RunFailed(
        f"study {live.spec.name}: {plural(len(failures), 'trial')} failed in a row (max_failures={live.spec.max_failures}); "
        f"the last one, trial {last.number}, by {last.reason}: {first_line(last.error)}. "
        f"Fix the objective and {mend}; or raise max_failures"
    )
