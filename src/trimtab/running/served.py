"""One study that a worker serves (see `worker`): its trials here, and the processes for them while there is work."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from secrets import token_hex

from ..capture import environment
from ..engine.planning import Close, Start, Terms
from ..errors import InputChanged, ObjectiveError, OverQuota, TrimtabError
from ..executors.local import Local
from ..live import LiveStudy
from ..live.inputs import POLICIES, Inputs
from ..objective import Program
from ..outlook import Enough
from ..records import Budget, Change, StudyRecord
from ..storage import Settled, Storage
from .alerts import Alerts
from .announcements import Announcement, facts
from .clock import SYSTEM
from .crew import Crew
from .enough import EnoughCheck
from .runner import NOTHING, Decision, Staff, carry_out, check_results, decide, give_back, settle, worker_name

LOOK = 1.0  # seconds between two checks for studies, and of an idle one
AGAIN = 30.0  # ... of one that could not be served: its code may have been fixed here


class ServedStudy:
    """One study that this worker serves. Its processes exist while there is something to do."""

    def __init__(
        self,
        storage: Storage,
        record: StudyRecord,
        said: Announcement,
        called: Program,
        slots: int,
        data: Mapping[str, str],
        enough: Enough | None,
        say: Callable[[str], None],
    ) -> None:
        self.name, self.closed = record.name, "not begun"
        self._storage, self._called, self._slots = storage, called, slots
        inputs = Inputs(storage, record.id, data, POLICIES[said.refuse])
        self._live = LiveStudy(storage, record.id, inputs=inputs)
        self._enough = EnoughCheck(self._live, enough)
        self._next = 0.0  # when there is reason to look at the record again
        self._go_by(said)
        self._alerts = Alerts(self._live, say)
        self._staff: Staff | None = None
        self._joined = False
        self._refused = self._wrong = False  # whether it could not be served: for its inputs or room; for its objective
        self._spent: Budget | None = None  # the budget that was found to be spent

    @property
    def running(self) -> int:
        return 0 if self._staff is None else len(self._staff.crew.running)

    @property
    def at_work(self) -> bool:
        """Whether trials are running here, or have ended and are not recorded yet."""
        return self._staff is not None and bool(self._staff.crew.running or self._staff.crew.endings)

    def at_rest(self, position: int) -> bool:
        """Whether there is nothing to do until the record has an event after `position`: all trials have ended, and the
        reason why the study is closed is on record. A refused input is not: its file may change back without an event.
        """
        known, looked = self._live.ledger, bool(self._next)
        settled = looked and bool(self.closed) and not self._refused
        return settled and not known.open and known.study.position >= position

    def heed(self, said: Announcement) -> None:
        """Follow a later announcement of the same objective."""
        if self.said != said:
            self._go_by(said)

    def _go_by(self, said: Announcement) -> None:
        self.said, self._next = said, 0.0
        until = None if said.until is None else SYSTEM.steady() + said.until - self._live.refresh().now
        self._terms = Terms(said.trials, until, since=said.position, charge=said.resources.charge)

    def begin(self, free: int, most: int) -> None:
        """Record what has ended, refill the queue and start trials in up to `free` slots; very short ones may be
        claimed ahead, up to `most` in all. Sets `closed` to the reason if there is nothing to do."""
        ended = self._staff is not None and bool(self._staff.crew.endings)
        nothing_to_do = time.monotonic() < self._next or (self._wrong and not self.running)
        if nothing_to_do and not ended:
            return
        before = self.running
        self._refused = self._wrong = False
        try:
            self._live.collect()
            closing = self._serve(free, most)
        except (InputChanged, OverQuota) as error:
            self._refused, self.closed = True, f"refused: {error}"
            self._next = time.monotonic() + AGAIN
            self.leave()
            return
        except ObjectiveError as error:
            self._wrong, self.closed = True, f"wrong: {error}"
            self.leave()
            return
        self.closed = closing or ""
        if closing and not self.running:
            self.leave()
        if self.running == before and not ended:
            self._next = time.monotonic() + LOOK

    def _serve(self, free: int, most: int) -> str | None:
        """Read the record once and act on it; returns why nothing more may start, if so."""
        over = "budget" if self._spent == self._live.spec.budget else None
        decision, settled = self._look(free, most, going_on=over is None and not self._enough.asked)
        self._alerts.look()
        if decision.closing == "budget":
            self._spent = self._live.spec.budget  # for good: what was estimated of running trials may have been less
        elif over is None and decision.closing is None and self._enough.has_enough():
            over = "enough"
        if over is not None and decision.closing is None:
            decision = replace(decision, actions=[Close(over)])
        if self._staff is None and decision.closing is not None:
            return decision.closing
        if any(isinstance(a, Start) for a in decision.actions) and not settled.claimed:
            self._live.inputs.check()  # before a trial is claimed, and again before it starts
        self._terms, closing = carry_out(decision, self._live, self._at_work(), self._terms, settled)
        return closing

    def _look(self, free: int, most: int, going_on: bool) -> tuple[Decision, Settled]:
        """The plan for `free` slots, after recording what has ended and claiming trials in the same transaction."""
        if self._staff is None or not self._staff.crew.endings:
            return decide(self._live, free, SYSTEM.steady(), self._terms), NOTHING
        refused: InputChanged | None = None
        try:
            self._live.inputs.check()
        except InputChanged as error:
            refused = error  # nothing is claimed any more; what has ended counts
        decision, settled = settle(self._live, self._staff, self._terms, going_on and refused is None, most)
        check_results(self._live, [t for t in settled.ended if t is not None], self._terms)
        if refused is not None:
            raise refused
        return decision, settled

    def collect(self, wait: float, interrupted: bool) -> int:
        """Wait for trials to end; returns how many did. `begin` records them; if `interrupted` (this worker was told to
        end), they are recorded at once."""
        if self._staff is None:
            return 0
        crew, before = self._staff.crew, self.running
        crew.interrupted = interrupted
        if interrupted:
            crew.release_ahead()
            return len(crew.poll(wait))
        crew.collect(wait)
        self._next = 0.0 if self.running < before else self._next
        return crew.endings

    def leave(self) -> None:
        """Return what is still running to the queue, and end the processes."""
        if self._staff is None:
            return
        try:
            give_back(self._live, self._staff)
        finally:
            self._staff.crew.close()
            self._staff.executor.close()
            self._staff = None
        with suppress(TrimtabError):
            self._live.tidy()  # this worker may be the last one

    def _at_work(self) -> Staff:
        """The processes for its trials. The record notes once that this worker has joined."""
        if self._staff is not None:
            return self._staff
        if not self._joined:
            seen = {"data": self._live.inputs.begin()["data"]} if self._live.inputs.watched else {}
            body = {**seen, **facts(self._called, self.said.resources, self._slots, environment())}
            self._storage.revise(self._live.study, Change("run", body={**body, "joined": True}))
            self._joined = True
        executor = Local(self._slots, self._called, self.said.resources)
        crew = Crew(self._live, executor, self.said.resources, before=self._live.inputs.check)
        self._staff = Staff(f"{worker_name()}:{token_hex(4)}", crew, executor, lambda _: None)
        return self._staff
