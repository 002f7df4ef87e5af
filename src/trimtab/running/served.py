"""One study that a worker serves (see `worker`): its trials in this worker, and the processes that run them."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from ..engine.planning import Close, Start, Terms
from ..errors import InputChanged, ObjectiveError, OverQuota, SpaceError, SpecError, TrimtabError
from ..executors.local import Local
from ..live import LiveStudy
from ..live.inputs import POLICIES, Inputs
from ..objective import Program
from ..outlook import Enough
from ..records import Budget, Change, StudyRecord
from ..storage import Settled, Storage
from .alerts import Alerts
from .announcements import Announcement, run_body
from .clock import SYSTEM
from .crew import Crew
from .enough import EnoughCheck
from .runner import NOTHING, Decision, carry_out, check_results, decide, give_back, settle

LOOK = 1.0  # seconds between two searches for studies to serve, and between two looks at a study with nothing to do
AGAIN = 30.0  # seconds until a study that could not be served is tried again: its code or data may be right by then


class ServedStudy:
    """One study that this worker serves. Its processes exist only while there is something to do.

    program: the announced objective, as this worker has loaded it. slots: how many trials the worker runs at once.
    closed: why there is nothing to do; "" while there is. The other arguments are those of `Worker`.
    """

    def __init__(
        self,
        storage: Storage,
        record: StudyRecord,
        announced: Announcement,
        program: Program,
        slots: int,
        data: Mapping[str, str],
        enough: Enough | None,
        say: Callable[[str], None],
    ) -> None:
        self.name, self.closed = record.name, "not begun"
        self._storage, self._program, self._slots = storage, program, slots
        inputs = Inputs(storage, record.id, data, POLICIES[announced.refuse])
        self._live = LiveStudy(storage, record.id, inputs=inputs)
        self._enough = EnoughCheck(self._live, enough)
        self._next = 0.0  # when to look at the record again; 0: at once
        self._follow(announced)
        self._alerts = Alerts(self._live, say)
        self._crew: Crew | None = None  # only while there is something to do
        self._joined = False
        self._refused = False  # whether it cannot be served now: inputs changed, no room for checkpoints, no strategy
        self._wrong = False  # whether it cannot be served, because its objective does not return what is needed
        self._spent: Budget | None = None  # the budget that was found to be spent

    @property
    def running(self) -> int:
        """How many of its trials run here."""
        return 0 if self._crew is None else len(self._crew.running)

    @property
    def at_work(self) -> bool:
        """Whether trials are running here, or have ended and are not recorded yet."""
        return self._crew is not None and bool(self._crew.running or self._crew.unrecorded)

    def at_rest(self, position: int) -> bool:
        """Whether there is nothing to do until the record has an event after `position`.

        That is so if no trial is open, and the reason why nothing more starts is in the record. A refused input is no such
        reason: its file may change back without an event.
        """
        ledger, looked = self._live.ledger, self._next > 0
        closed_by_record = looked and bool(self.closed) and not self._refused
        return closed_by_record and not ledger.open and ledger.study.position >= position

    def heed(self, announced: Announcement) -> None:
        """Follow a later announcement of the same objective."""
        if self.announced != announced:
            self._follow(announced)

    def _follow(self, announced: Announcement) -> None:
        self.announced, self._next = announced, 0.0
        until = None if announced.until is None else SYSTEM.steady() + announced.until - self._live.refresh().now
        self._terms = Terms(announced.trials, until, since=announced.position, charge=announced.resources.charge)

    def begin(self, free: int, most: int) -> None:
        """Record what has ended, refill the queue, and start trials in up to `free` slots.

        Very short ones may be claimed ahead, up to `most` trials in all. Sets `closed`.
        """
        ended = self._crew is not None and bool(self._crew.unrecorded)
        nothing_to_do = time.monotonic() < self._next or (self._wrong and not self.running)
        if nothing_to_do and not ended:
            return
        before = self.running
        self._refused = self._wrong = False
        try:
            self._live.collect()
            closing = self._serve(free, most)
        except (InputChanged, OverQuota, SpaceError, SpecError) as error:
            self._refuse(error)
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

    def _refuse(self, error: TrimtabError) -> None:
        """Run nothing for a while, because of something outside the record that may change."""
        self._refused, self.closed = True, f"refused: {error}"
        self._next = time.monotonic() + AGAIN
        self.leave()

    def _serve(self, free: int, most: int) -> str | None:
        """Read the record once and act on it. Returns why nothing more may start; None if something may."""
        over = "budget" if self._spent == self._live.spec.budget else None
        decision, settled = self._look(free, most, going_on=over is None and not self._enough.asked)
        self._alerts.look()
        if decision.closing == "budget":
            self._spent = self._live.spec.budget  # stays so, even if running trials turn out cheaper than estimated
        elif over is None and decision.closing is None and self._enough.has_enough():
            over = "enough"
        if over is not None and decision.closing is None:
            decision = replace(decision, actions=[Close(over)])
        if self._crew is None and decision.closing is not None:
            return decision.closing
        if any(isinstance(a, Start) for a in decision.actions) and not settled.claimed:
            self._live.inputs.check()  # before a trial is claimed, and again before it starts
        self._terms, closing = carry_out(decision, self._working_crew(), self._terms, settled)
        return closing

    def _look(self, free: int, most: int, going_on: bool) -> tuple[Decision, Settled]:
        """The plan for `free` slots. If trials have ended, recording them and claiming new ones is one transaction."""
        if self._crew is None or not self._crew.unrecorded:
            return decide(self._live, free, SYSTEM.steady(), self._terms), NOTHING
        refused: InputChanged | None = None
        try:
            self._live.inputs.check()
        except InputChanged as error:
            refused = error  # no trial is claimed, but the results of those that have ended count
        decision, settled = settle(self._crew, self._terms, going_on and refused is None, most)
        check_results(self._live, [t for t in settled.ended if t is not None], self._terms)
        if refused is not None:
            raise refused
        return decision, settled

    def collect(self, wait: float) -> int:
        """Wait for trials to end; returns how many did. The next `begin` records them."""
        if self._crew is None:
            return 0
        before = self.running
        try:
            self._crew.collect(wait)
        except OverQuota as error:
            self._refuse(error)
            return 0
        if self.running < before:
            self._next = 0.0
        return self._crew.unrecorded

    def drain(self, wait: float) -> int:
        """As `collect`, for a worker that was told to end: nothing new starts, and what has ended is recorded at once."""
        if self._crew is None:
            return 0
        self._crew.interrupted = True
        try:
            self._crew.release_ahead()
            return len(self._crew.poll(wait))
        except OverQuota as error:
            self._refuse(error)
            return 0

    def leave(self) -> None:
        """Return what is still running to the queue, and end the processes. `begin` may start them again."""
        if self._crew is None:
            return
        try:
            give_back(self._crew)
        finally:
            self._crew.close()
            self._crew = None
        with suppress(TrimtabError):
            self._live.tidy()  # this worker may be the last one

    def _working_crew(self) -> Crew:
        """The crew for its trials, set up if there is none. The first time, an event says that this worker joins."""
        if self._crew is not None:
            return self._crew
        if not self._joined:
            seen = {"data": self._live.inputs.begin()["data"]} if self._live.inputs.watched else {}
            body = {**seen, **run_body(self._program, self.announced.resources, self._slots)}
            self._storage.revise(self._live.id, Change("run", body={**body, "joined": True}))
            self._joined = True
        executor = Local(self._slots, self._program, self.announced.resources)
        self._crew = Crew(self._live, executor, self.announced.resources, before=self._live.inputs.check)
        return self._crew
