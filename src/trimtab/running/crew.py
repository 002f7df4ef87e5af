"""The crew: the trials that run in one process. It launches them, takes their reports, renews leases, records ends."""

import logging
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from ..engine.ledger import Ledger
from ..errors import LeaseLost, OverQuota, Stale, TrimtabError
from ..executors import Executor, Exit, Job
from ..live import LiveStudy
from ..objective.trial import payload
from ..outcomes import cost_of, from_exit
from ..records import Change, Cost, Event, Outcome, Reason, Report, Resources, State, Trial
from ..storage import INTERRUPTED, KILLED, LEASE, MAX_ATTEMPTS, RETRY, Ending, lost_attempts
from .claim_ahead import HELD, Buffer, Pace
from .clock import SYSTEM, Clock
from .referee import Key, Referee, key_of

QUICK = 1.0  # seconds: if a trial reports more often, reports that no rule judges are written together

_log = logging.getLogger(__name__)


def worker_name() -> str:
    """The name under which this process claims trials: host and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


@dataclass(frozen=True)
class Run:
    """A trial that runs here: its job, its notes so far, and when it started."""

    trial: Trial
    job: Job
    notes: list[str]
    begun: float


class Crew:
    """The running trials of one process. The executor runs their jobs; a thread renews their leases.

    before_claiming: called before trials are claimed; what it raises ends the run. lease: seconds for which they are
    claimed. name: under which they are claimed; by default, one of its own.
    """

    def __init__(
        self,
        live: LiveStudy,
        executor: Executor,
        resources: Resources,
        *,
        before_claiming: Callable[[], None] = lambda: None,
        lease: float = LEASE,
        clock: Clock = SYSTEM,
        name: str | None = None,
    ) -> None:
        self.live, self.executor, self.lease, self.clock = live, executor, lease, clock
        self.watch: Callable[[Ledger], object] = lambda _: None  # called with the ledger as the study goes on
        self.name = f"{worker_name()}:{token_hex(4)}" if name is None else name
        self._storage, self._study, self._resources = live.storage, live.id, resources
        self.charge = resources.charge
        self.before_claiming = before_claiming
        self.interrupted = False  # whether this process was told to end: its trials' processes may have been told, too
        self.running: dict[int, Run] = {}
        self._buffer = Buffer()
        self._pace = Pace()
        self._reaped: list[tuple[Job, Exit]] = []  # jobs that have ended, and are not looked at yet
        self._referee = Referee(live.storage, live.id, lambda: live.spec, clock.now, together=QUICK)
        self._lost: set[Key] = set()  # attempts whose trials another worker has taken over
        # What ends the run: the store failed while an objective reported, or a checkpoint has no room.
        self._broken: TrimtabError | None = None
        self._cut_short: set[Key] = set()  # attempts that this has cut short: they are run again
        self._ended = threading.Event()  # tells the thread that renews leases to end
        self._renewal: threading.Thread | None = None  # that thread, from the first trial on

    def start(self, trial: Trial) -> None:
        """Launch a claimed trial."""
        if self._renewal is None:
            self._ended = threading.Event()
            self._renewal = threading.Thread(target=self._renew, args=[self._ended], daemon=True)
            self._renewal.start()
        job = Job(
            key=(trial.study, trial.number, trial.attempt),
            payload=payload(trial, self.live.spec.metrics, self.live.checkpoints.folders(trial)),
            listen=lambda message: self._listen(trial, message),
            resources=self._resources,
        )
        self.running[trial.number] = Run(trial, job, [], time.monotonic())
        self._buffer.touch()
        if self.executor.free():
            self.executor.launch(job)
        else:
            self._buffer.wait(job)

    def room(self, ahead: int = 0) -> int:
        """How many trials may be claimed: one for each free slot, one more if trials are short, and up to `ahead` more if
        they are very short (see `claim_ahead`)."""
        free = self.executor.free()
        return free + self._pace.ahead(len(self.running) + free, ahead) - self._buffer.waiting

    @property
    def waited(self) -> dict[int, float]:
        """For how many seconds running trials have waited for room on the executor, by number."""
        return {key[1]: seconds for key, seconds in self.executor.waited().items()}

    @property
    def unrecorded(self) -> int:
        """How many trials have ended without being recorded yet."""
        return self._buffer.unrecorded

    def poll(self, wait: float) -> list[Trial]:
        """Wait up to `wait` seconds for trials to end, record how they ended, and return them.

        Trials that another worker has taken over are killed. If one has just ended by itself, its result is kept as a
        late one.
        """
        self.collect(wait)
        return self._record_all()

    def _record_all(self) -> list[Trial]:
        """Record the endings that are held; returns the trials that are ended by that."""
        recorded: list[Trial | None] = []
        endings = self.take()
        try:
            for ending in endings:
                recorded.append(self._record(ending))
        except BaseException as error:
            # Ctrl-C waits for the end of a transaction (see interrupts.deferred): by then, this result is recorded.
            done = len(recorded) + (not isinstance(error, Exception))
            self.put_back(endings[done:])
            raise
        return [trial for trial in recorded if trial is not None]

    def take(self) -> list[Ending]:
        """Take out the endings that are not recorded yet: the caller records them, or puts them back."""
        return self._buffer.take()

    def put_back(self, endings: Sequence[Ending]) -> None:
        """Return endings that could not be recorded: `poll` and `release` try again."""
        self._buffer.add(endings)

    def collect(self, wait: float, stop: Callable[[], bool] = lambda: False) -> None:
        """Wait up to `wait` seconds for trials to end, and hold their endings until they are taken.

        If trials are claimed ahead (see `claim_ahead`), it launches them and goes on collecting for a moment, as long as
        none fails and `stop` does not say True.
        """
        self._collect(wait, stop)
        while self._buffer.growing and not stop():
            self._collect(min(wait, HELD), stop)

    def _collect(self, wait: float, stop: Callable[[], bool]) -> None:
        self._reaped += self.executor.reap(0.0 if self._reaped else wait)
        if self._broken is not None:
            raise self._broken
        while self._reaped:  # one by one: if the store fails, the others are still there
            job, how = self._reaped.pop(0)
            run = self.running.get(job.key[1])
            if run is not None and run.job is job and (ending := self._end(run, how)) is not None:
                self._buffer.add([ending])
        if self._broken is not None:
            raise self._broken
        self._launch_waiting(stop)
        for n, run in [*self.running.items()]:
            if key_of(run.trial) in self._lost:
                self._drop(n)

    def _launch_waiting(self, stop: Callable[[], bool]) -> None:
        """Launch jobs that were claimed ahead in slots that are free by now."""
        while self.executor.free() and self._buffer.all_done and not stop():
            if (waiting := self._buffer.next_job()) is None:
                return
            self.executor.launch(waiting)

    def cancel(self, number: int) -> Cost:
        """End a trial's process; returns what it has used. The caller records the end of the attempt."""
        job = self.running[number].job
        self._drop(number)
        self._forget(number)
        reaped = self.executor.reap()
        self._reaped += [(j, how) for j, how in reaped if j is not job]
        return next((cost_of(how.cost, self._resources) for j, how in reaped if j is job), Cost())

    def _drop(self, number: int) -> None:
        """Kill a trial's job, or forget it if it was not launched yet."""
        if self._buffer.drop(job := self.running[number].job):
            self._forget(number)
        else:
            self.executor.kill(job)

    def release(self) -> None:
        """End all processes and return their trials to the queue; those that end by themselves meanwhile keep their
        results."""
        self.release_ahead()
        self._record_what_ended()
        for run in list(self.running.values()):
            if all(job is not run.job for job, _ in self._reaped):
                used = self.cancel(run.trial.number)
                self._return(run.trial, used)
        self._record_what_ended()

    def _record_what_ended(self) -> None:
        """Record trials that have ended. An earlier error is forgotten, since the store may work again."""
        self._broken = None
        try:
            with suppress(OverQuota):  # its trial has returned to the queue
                self.collect(0.0)
            self._record_all()
        except TrimtabError as error:  # the store still fails: these trials will be run again
            _log.warning("trials that have ended could not be recorded: %s", error)

    def release_ahead(self) -> None:
        """Return trials that were claimed ahead to the queue."""
        while (job := self._buffer.next_job()) is not None:
            if (run := self.running.get(job.key[1])) is not None:  # else another thread has just cancelled it
                self._forget(run.trial.number)
                self._return(run.trial, Cost())

    def _return(self, trial: Trial, used: Cost) -> None:
        try:
            self._requeue(trial, INTERRUPTED, used)
        except TrimtabError as error:  # its lease will run out
            _log.warning("trial %s could not be given back: %s", trial.number, error)

    @property
    def begun(self) -> bool:
        """Whether a trial has started since this crew was made or closed."""
        return self._renewal is not None

    def close(self) -> None:
        """Stop renewing leases, and end the executor's processes. If another trial starts, both begin anew."""
        self._ended.set()
        if self._renewal is not None:
            self._renewal.join(timeout=1.0)
            self._renewal = None
        self.executor.close()

    def _listen(self, trial: Trial, message: Mapping[str, Any]) -> dict[str, Any]:
        """The reply to a message of a running objective (see objective.trial)."""
        if message["kind"] == "note":
            self.running[trial.number].notes.append(message["text"])
            return {}
        try:
            verdict = self._referee.report(trial, message["step"], message["metrics"], self.lease)
            if verdict is not None:
                return {"stop": True, "rule": verdict.rule}
        except LeaseLost:
            self._lost.add(key_of(trial))
        except TrimtabError as error:
            self._broken = error  # not the objective's fault; `_collect` raises it, which ends the run
        if self._broken is not None:
            self._cut_short.add(key_of(trial))
        return {"stop": key_of(trial) in self._lost or self._broken is not None}

    def _record(self, ending: Ending) -> Trial | None:
        """Record how a trial has ended. Returns the ended trial; None if another worker has taken it over."""
        try:
            return self._storage.finish(ending.trial, ending.outcome, ending.reports)
        except LeaseLost:  # the store has kept it as a late result
            return None

    def _end(self, run: Run, ended: Exit) -> Ending | None:
        """How a job's end ends its trial; None if the trial returns to the queue."""
        trial = run.trial
        self._pace.add(ended.cost.get("wall", math.inf))
        last = self._referee.take_held(trial)
        self._forget(trial.number)
        try:
            outcome = from_exit(ended, self._resources, run.notes)
        except OverQuota as error:  # the next trial's checkpoint would have no room either
            self._broken, outcome = error, None
            self._cut_short.add(key_of(trial))
        if (why := self._why_again(trial, ended, outcome, last)) is not None:
            self._requeue(trial, why, cost_of(ended.cost, self._resources))
            return None
        if outcome is None:
            text = f"its process was killed in {MAX_ATTEMPTS} attempts, of which none got further; look at the machine's memory"
            outcome = Outcome(State.FAILED, reason=Reason.LOST, error=text, output=ended.output)
        elif outcome.state is State.STOPPED:
            outcome = self._referee.stopped(trial, outcome)
        return Ending(trial, outcome, last)

    def _why_again(self, trial: Trial, ended: Exit, outcome: Outcome | None, last: Sequence[Report]) -> str | None:
        """Why a trial returns to the queue (see storage.INTERRUPTED); None if it has ended. last: its last reports."""
        if key_of(trial) in self._cut_short:  # what it returned may be the result of a part of its training
            return INTERRUPTED
        if outcome is None:
            if ended.killed or (self.interrupted and ended.signal == signal.SIGTERM):
                return INTERRUPTED
            return KILLED if self._futile(trial, last) < MAX_ATTEMPTS else None
        return RETRY if outcome.reason is Reason.ERROR and self._may_be_retried(trial) else None

    def _may_be_retried(self, trial: Trial) -> bool:
        """Whether a trial that failed by itself has retries left."""
        retries = self.live.spec.retries
        return retries > 0 and sum(e.body.get("why") == RETRY for e in self._requeues(trial)) < retries

    def _futile(self, trial: Trial, last: Sequence[Report]) -> int:
        """How many attempts at a trial were lost without getting further, this one included. Its `last` reports are written
        before, since they show how far it got."""
        if last:
            with suppress(LeaseLost):
                self._storage.report(trial, last, self.lease, since=None)
        return lost_attempts(trial, self._requeues(trial), self._storage.reports(self._study, trial.number))

    def _requeues(self, trial: Trial) -> list[Event]:
        """The events that returned the trial to the queue."""
        if trial.attempt == 1:
            return []
        return [e for e in self._storage.events(self._study, kinds={"requeue"}) if e.number == trial.number]

    def _requeue(self, trial: Trial, why: str, used: Cost) -> None:
        change = Change("requeue", number=trial.number, attempt=trial.attempt, body={"why": why}, cost=used)
        try:
            self._storage.revise(self._study, change)
        except Stale:
            _log.info("trial %s is somebody else's already", trial.number)

    def _forget(self, number: int) -> None:
        if (run := self.running.get(number)) is not None:
            self._referee.take_held(run.trial)
            self.running.pop(number, None)

    def _flush(self) -> None:
        """If a long trial blocks the main thread or all slots, record what has ended and return what was claimed ahead."""
        if not self._buffer.stuck:
            return
        self.release_ahead()
        for ending in self._buffer.take():
            try:
                self._record(ending)
            except Exception as error:  # also a driver's own: the main thread records it later, or raises it
                _log.warning("the result of trial %s could not be recorded yet: %s", ending.trial.number, error)
                self._buffer.add([ending])

    def renew_expired(self, expired: Sequence[Trial]) -> None:
        """Renew the leases of those expired trials that run here: the clock has jumped, or the machine has slept, and this
        process would take the trials over from itself."""
        for trial in expired:
            run = self.running.get(trial.number)
            if run is not None and run.trial.attempt == trial.attempt:
                with suppress(LeaseLost):  # the thread that renews finds that, too
                    self._referee.renew(run.trial, self.lease)

    def _renew(self, ended: threading.Event) -> None:
        """Renew the leases of running trials, in a thread, since an inline objective blocks the main one.

        Trials that have just started are left out: there may be many, and their leases are fresh. No error ends the thread,
        also none of a driver or the system: without it, others would take all these trials over. Each is told once.
        """
        told = set[str]()

        def tell(what: str, error: Exception) -> None:
            if (text := f"{what}: {type(error).__name__}: {error}") not in told:
                told.add(text)
                _log.warning("%s; it is tried again", text)

        while not ended.wait(self.lease / 3):
            try:
                self._flush()
            except Exception as error:
                tell("trials that wait could not be given back", error)
            now = time.monotonic()
            for number, run in list(self.running.items()):
                if now - run.begun < self.lease / 6:
                    continue
                try:
                    self._referee.renew(run.trial, self.lease)
                except LeaseLost:
                    self._lost.add(key_of(run.trial))
                except Exception as error:
                    tell(f"the lease of trial {number} could not be renewed", error)
