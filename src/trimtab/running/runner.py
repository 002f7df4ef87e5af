"""The loop that carries out plans: refill the queue, claim, launch, record, until the plan says to close.

Any number of processes may run this loop on one study; the store decides which of them gets a trial.
"""

import math
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from ..checks import whole
from ..engine.ledger import is_expired
from ..engine.planning import Action, Cancel, Close, Fill, Here, Start, Terms, plan
from ..errors import BudgetSpent, ObjectiveError, RunFailed, SpecError, Stale, StorageError, TrimtabError
from ..formatting import first_line, plural
from ..live import Batches, LiveStudy
from ..outlook import Enough
from ..records import OPEN, Budget, Change, Reason, State, StudyRecord, StudySpec, StudyState, Trial
from ..storage import INTERRUPTED, Claim, Ending, Settled
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
    live, own = crew.live, Search(crew, terms, enough)
    with _giving_back(crew):
        while True:
            closing = own.step()
            if closing == "failures":
                raise too_many_failures(live, live.ledger.failures_in_a_row(terms.since))
            if closing is not None:
                crew.release() if closing == "time" else crew.release_ahead()
                if not crew.running:
                    break
            crew.collect(IDLE, lambda: live.behind)
            if not crew.unrecorded and not crew.running:  # others hold what is open, or were faster
                crew.clock.sleep(random.uniform(0, IDLE / 10) if own.contended else IDLE)
    crew.watch(live.refresh())
    live.collect()
    return closing


@dataclass(frozen=True)
class Decision:
    """A plan, and what was known when it was made."""

    actions: Sequence[Action]
    at: int  # how many trials existed
    unopposed: int = 0  # how many new trials may be claimed as they are enqueued, since no other trial has precedence

    @property
    def fill(self) -> int:
        """How many trials to propose."""
        return sum(a.n for a in self.actions if isinstance(a, Fill))

    @property
    def start(self) -> int:
        """How many trials to start."""
        return sum(a.n for a in self.actions if isinstance(a, Start))

    @property
    def closing(self) -> str | None:
        """Why nothing more is to be started; None if something may be."""
        return next((a.reason for a in self.actions if isinstance(a, Close)), None)


def decide(live: LiveStudy, now: float, terms: Terms, here: Here) -> Decision:
    """Read the record, and plan. No other thread changes the ledger meanwhile. now: by the clock of `terms.until`."""
    with live.lock:
        live.refresh()
        return _decided(live, now, terms, here)


def _decided(live: LiveStudy, now: float, terms: Terms, here: Here) -> Decision:
    """The plan by the ledger as it stands. The end of the terms is translated to the store's clock here."""
    ledger = live.ledger
    until = None if terms.until is None else terms.until - now + ledger.now
    here = replace(here, exhausted=live.exhausted)
    decision = Decision(plan(ledger, ledger.now, replace(terms, until=until), here), ledger.study.count)
    # New trials may be claimed as they are enqueued, unless one that has lost its worker goes first.
    return decision if ledger.expired(ledger.now) else replace(decision, unopposed=decision.start)


def ahead_limit(live: LiveStudy) -> int:
    """How many very short trials may be claimed ahead and recorded together.

    0 if the next trial depends on how this one ends (what is proposed, whether it continues, whether the budget can pay
    it), or if files are kept after each trial.
    """
    spec = live.spec
    alone = bool(spec.stopping) or not spec.budget.countable or bool(live.checkpoints.held())
    if alone or live.pace == math.inf or live.learns:
        return 0
    return min(AHEAD, int(BRIEF / live.pace))


class Search:
    """A search as one process carries it on: a `step` does what there is to do now. Between steps, `crew.collect` waits
    for trials to end.

    crew: runs the trials. terms, enough: when the search ends.
    """

    def __init__(self, crew: Crew, terms: Terms, enough: Enough | None = None) -> None:
        self._crew, self._live, self._terms = crew, crew.live, terms
        self._enough = EnoughCheck(crew.live, enough)
        # The budget that was found to be spent. It stays so, even if running trials turn out cheaper than estimated.
        self._spent: Budget | None = None
        self._batch = 1  # how many to propose together: grows while other processes are faster

    @property
    def contended(self) -> bool:
        """Whether other processes were faster the last time."""
        return self._batch > 1

    def step(self, most: int = sys.maxsize) -> str | None:
        """Record the trials that have ended, refill the queue, and start up to `most` trials, as planned.

        Returns why nothing more may start; None if something may. Raises ObjectiveError (see `check_results`), and what
        `crew.before_claiming` raises.
        """
        live = self._live
        decision, settled = self._settle(most)
        check_results(live, settled.ended, self._terms)
        live.collect()
        self._crew.watch(live.ledger)
        if decision.closing == "budget":
            self._spent = live.spec.budget
        elif decision.closing is None and not settled.claimed:
            if self._spent == live.spec.budget:
                return "budget"
            if self._enough.has_enough():
                return "enough"
        return self._carry_out(decision, settled)

    def _settle(self, most: int) -> tuple[Decision, Settled]:
        """Record the trials that have ended, and make the next plan, for up to `most` trials.

        If the strategy is quick and nothing has to be found out first, the same transaction also enqueues and claims what
        the plan proposes.
        """
        live, crew, plans, endings = self._live, self._crew, list[Decision](), list[Ending]()
        careful = self._spent == live.spec.budget or self._enough.asked or live.inputs.strict
        quick = live.pace < BRIEF and not careful
        if not crew.unrecorded:
            decision = decide(live, crew.clock.steady(), self._terms, self._here(most))
            if not (quick and self.contended and decision.fill):
                return decision, NOTHING

        def then() -> tuple[Batches, Claim | None]:
            may = quick and all(e.outcome.reason is not Reason.BAD_RESULT for e in endings)
            here = replace(self._here(most, ahead_limit(live) if may else 0), batch=1)
            plans.append(_decided(live, crew.clock.steady(), self._terms, here))
            return live.batches(plans[-1].fill if may else 0), self._claim(plans[-1].unopposed) if may else None

        try:
            endings += crew.take()
            settled = live.settle(endings, then)
        except BaseException as error:
            if isinstance(error, StorageError) or not plans:  # else it is Ctrl-C, which has waited for the commit
                crew.put_back(endings)
            raise
        if settled.error is not None and not isinstance(settled.error, BudgetSpent):
            raise settled.error
        if settled.made:
            self._was_faster(True)
        return plans[-1], settled

    def _fill(self, decision: Decision, n: int) -> list[Trial]:
        """Propose and enqueue n trials; returns those of them that are claimed: the first ones, unless earlier trials wait."""
        first = 0 if self._live.ledger.queued() else decision.unopposed
        made = self._live.fill(n, decision.at, self._claim(first))
        self._was_faster(made != [])
        return [t for t in made or [] if t.state is State.RUNNING]

    def _was_faster(self, first: bool) -> None:
        """Propose twice as many together next time if another process was faster, so that one refill serves all that
        compete; one less otherwise."""
        self._batch = max(1, self._batch - 1) if first else min(2 * self._batch, CROWD)

    def _here(self, most: int, ahead: int = 0) -> Here:
        crew = self._crew
        free = max(0, min(most, crew.room(ahead)))
        return Here(free, batch=self._batch, charge=crew.charge, waited=crew.waited)

    def _claim(self, n: int) -> Claim:
        return Claim(self._crew.name, self._crew.lease, n)

    def _carry_out(self, decision: Decision, settled: Settled) -> str | None:
        """Do what was decided, except for what `settled` has done already; returns why nothing more may start."""
        live, crew, closing, begun = self._live, self._crew, decision.closing, list(settled.claimed)
        if decision.start:
            crew.before_claiming()
        for trial in begun:
            crew.start(trial)
        for action in decision.actions:
            match action:
                case Fill(n) if not settled.made:
                    try:
                        made = self._fill(decision, n)
                    except BudgetSpent:
                        closing = "budget"
                        continue
                    for trial in made:
                        crew.start(trial)
                    begun += made
                case Start(n):
                    crew.renew_expired(live.ledger.expired(live.ledger.now))
                    for _ in range(n - len(begun)):
                        waiting = live.storage.claim(live.id, crew.name, crew.lease)
                        if waiting is None:
                            break
                        crew.start(waiting)
                case Cancel(number) if number in crew.running:
                    used = crew.cancel(number)
                    with suppress(Stale):  # it ended by itself in the meantime
                        live.storage.revise(live.id, Change("cancel", number=number, cost=used))
        return closing


@contextmanager
def _giving_back(crew: Crew) -> Iterator[None]:
    """A context that returns running trials to the queue if anything ends it early."""
    try:
        yield
    except BaseException as stop:
        crew.interrupted = crew.interrupted or isinstance(stop, KeyboardInterrupt)
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
                    crew.before_claiming()
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


def check_results(live: LiveStudy, ended: Iterable[Trial | None], terms: Terms) -> None:
    """Raises ObjectiveError if the first trials of the study all returned something else than it needs: then the call is
    wrong, and not the settings.

    ended: the trials that have just ended, by the ledger as it stands; without a bad result among them there is nothing
    to check.
    """
    if not any(t is not None and t.reason is Reason.BAD_RESULT for t in ended):
        return
    failures = live.ledger.failures_in_a_row(terms.since)
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
