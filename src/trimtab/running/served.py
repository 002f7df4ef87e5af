"""One study that a worker serves (see `worker`): its trials in this worker, and the processes that run them."""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from ..engine.planning import Terms
from ..errors import InputChanged, ObjectiveError, OverQuota, SpaceError, SpecError, TrimtabError
from ..executors.local import Local
from ..live import LiveStudy
from ..live.inputs import POLICIES, Inputs
from ..objective import Program
from ..outlook import Enough
from ..records import Change, StudyRecord
from ..storage import Storage
from .alerts import Alerts
from .announcements import Announcement, run_body
from .clock import SYSTEM
from .crew import Crew
from .runner import Search, give_back

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
        self._program, self._slots, self._enough = program, slots, enough
        inputs = Inputs(storage, record.id, data, POLICIES[announced.refuse])
        self._live = LiveStudy(storage, record.id, inputs=inputs)
        executor = Local(slots, program, announced.resources)
        self._crew = Crew(self._live, executor, announced.resources, before_claiming=self._before_claiming)
        alerts = Alerts(self._live, say)
        self._crew.watch = lambda _: alerts.look()
        self._joined = False
        self._refused = False  # whether it cannot be served now: inputs changed, no room for checkpoints, no strategy
        self._next = 0.0  # when to look at the record again; 0: at once
        self._follow(announced)

    @property
    def running(self) -> int:
        """How many of its trials run here."""
        return len(self._crew.running)

    @property
    def at_work(self) -> bool:
        """Whether trials are running here, or have ended and are not recorded yet."""
        return bool(self._crew.running or self._crew.unrecorded)

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
        terms = Terms(announced.trials, until, since=announced.position)
        self._search = Search(self._crew, terms, self._enough)

    def begin(self, most: int) -> None:
        """Record what has ended, refill the queue, and start up to `most` trials. Sets `closed`."""
        ended, before = self._crew.unrecorded > 0, self.running
        if time.monotonic() < self._next and not ended:
            return
        self._refused = False
        try:
            self.closed = self._search.step(most) or ""
        except (InputChanged, OverQuota, SpaceError, SpecError) as error:
            self._refuse(error)
            return
        except ObjectiveError as error:
            self.closed, self._next = f"wrong: {error}", math.inf  # until it is announced again
            self.leave()
            return
        if self.closed and not self.running:
            self.leave()
        if self.running == before and not ended:
            self._next = time.monotonic() + LOOK

    def _refuse(self, error: TrimtabError) -> None:
        """Run nothing for a while, because of something outside the record that may change."""
        self._refused, self.closed = True, f"refused: {error}"
        self._next = time.monotonic() + AGAIN
        self.leave()

    def _before_claiming(self) -> None:
        """Check the inputs. The first time, an event says that this worker joins."""
        inputs = self._live.inputs
        inputs.check()
        if not self._joined:
            seen = {"data": inputs.begin()["data"]} if inputs.watched else {}
            body = {**seen, **run_body(self._program, self.announced.resources, self._slots), "joined": True}
            self._live.storage.revise(self._live.id, Change("run", body=body))
            self._joined = True

    def collect(self, wait: float) -> int:
        """Wait for trials to end; returns how many did. The next `begin` records them."""
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
        self._crew.interrupted = True
        try:
            self._crew.release_ahead()
            return len(self._crew.poll(wait))
        except OverQuota as error:
            self._refuse(error)
            return 0

    def leave(self) -> None:
        """Return what is still running to the queue, and end the processes. `begin` may start them again."""
        if not self._crew.begun:
            return
        try:
            give_back(self._crew)
        finally:
            self._crew.close()
        with suppress(TrimtabError):
            self._live.tidy()  # this worker may be the last one
