"""A worker process among equals: it serves the studies of a store, several at once, and nobody is its head.

It refills a study's queue when that is empty (and loses politely when another was faster), claims, runs, reports, renews
its leases. What it runs is its own code, which its call allowed (see `announcements`).
"""

import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from secrets import token_hex

from .announcements import Announcement, allowed, facts, latest, located
from .book import Book
from .capture import environment
from .errors import InputChanged, ObjectiveError, TrimtabError
from .executors.local import Local
from .inputs import POLICIES, Inputs
from .objective import Program
from .outlook import Enough
from .planning import Close, Start, Terms
from .records import Budget, Change, StudyRecord, StudyState
from .runner import (
    IDLE,
    NOTHING,
    Decision,
    Staff,
    carry_out,
    check_results,
    decide,
    give_back,
    look,
    settle,
    worker,
)
from .storage import LEASE, Settled, Storage
from .worker import Crew

LOOK = 1.0  # seconds between two looks for studies, and at one for which there was nothing to do
AGAIN = 30.0  # ... at one that could not be served: its code may have been mended here

_log = logging.getLogger(__name__)


class Post:
    """One study that this worker serves. Its processes exist while there is something to do."""

    def __init__(
        self,
        storage: Storage,
        record: StudyRecord,
        said: Announcement,
        called: Program,
        slots: int,
        data: Mapping[str, str],
        enough: Enough | None = None,
    ) -> None:
        self._enough, self._looked, self._had = enough, 0, False  # when to look, and whether there was enough
        self.name, self.closed = record.name, "not begun"
        self._storage, self._called, self._slots = storage, called, slots
        self._book = Book(storage, record.id)
        self._book.inputs = Inputs(storage, record.id, data, POLICIES[said.refuse])
        self._next = 0.0  # when there is reason to look at the record again
        self._go_by(said)
        self._staff: Staff | None = None
        self._joined = False
        self._spent: Budget | None = None  # the budget that was found to be spent

    @property
    def running(self) -> int:
        return 0 if self._staff is None else len(self._staff.crew.running)

    def heed(self, said: Announcement) -> None:
        """Go on by a later announcement of the same."""
        if self.said != said:
            self._go_by(said)

    def _go_by(self, said: Announcement) -> None:
        self.said, self._next = said, 0.0
        self._terms = Terms(said.trials, said.until, since=said.position, charge=said.resources.charge)

    def begin(self, free: int, most: int) -> None:
        """Record what has ended, refill the queue and begin trials in up to `free` slots; very short ones may be claimed
        ahead, up to `most` in all. `closed` says why there is nothing to do, if so."""
        ended = self._staff is not None and bool(self._staff.crew.endings)
        wrong = self.closed.startswith("wrong") and not self.running
        if not ended and (time.monotonic() < self._next or wrong):
            return
        before = self.running
        self._book.collect()
        try:
            closing = self._serve(free, most)
        except InputChanged as error:
            self.closed, self._next = f"refused: {error}", time.monotonic() + AGAIN
            self.leave()
            return
        except ObjectiveError as error:
            self.closed = f"wrong: {error}"
            self.leave()
            return
        self.closed = closing or ""
        if closing and not self.running:
            self.leave()
        if self.running == before and not ended:
            self._next = time.monotonic() + LOOK

    def _serve(self, free: int, most: int) -> str | None:
        """One look at the record, and what follows from it; why there is nothing more to begin, if so."""
        over = "budget" if self._spent == self._book.spec.budget else None
        decision, settled = self._look(free, most, going_on=over is None and self._enough is None)
        if decision.closing == "budget":
            self._spent = self._book.spec.budget  # for good: what was estimated of running trials may have been less
        elif over is None and decision.closing is None and self._has_enough():
            over = "enough"
        if over is not None and decision.closing is None:
            decision = replace(decision, actions=[Close(over)])
        if self._staff is None and decision.closing is not None:
            return decision.closing
        if any(isinstance(a, Start) for a in decision.actions) and not settled.claimed:
            self._book.inputs.check()  # before a trial is claimed, and again before it starts
        self._terms, closing = carry_out(decision, self._book, self._at_work(), self._terms, settled)
        return closing

    def _look(self, free: int, most: int, going_on: bool) -> tuple[Decision, Settled]:
        """The plan for `free` slots; with what has ended recorded, and trials claimed in the same transaction."""
        if self._staff is None or not self._staff.crew.endings:
            return decide(self._book, free, time.time(), self._terms), NOTHING
        refused: InputChanged | None = None
        try:
            self._book.inputs.check()
        except InputChanged as error:
            refused = error  # nothing is claimed any more; what has ended counts
        decision, settled = settle(self._book, self._staff, self._terms, going_on and refused is None, most)
        check_results(self._book, [t for t in settled.ended if t is not None], self._terms)
        if refused is not None:
            raise refused
        return decision, settled

    def _has_enough(self) -> bool:
        """Whether more search is not worth it, where this worker asks; once it is so it stays so here."""
        if self._enough is not None and not self._had:
            self._looked, found = look(self._book, self._enough, self._looked)
            self._had = found is not None and bool(found.reason)
        return self._had

    def collect(self, wait: float, interrupted: bool) -> int:
        """Wait for trials to end, and how many did; `begin` records them. interrupted: this worker was told to end, and
        records them at once."""
        if self._staff is None:
            return 0
        crew, before = self._staff.crew, self.running
        crew.interrupted = interrupted
        if interrupted:
            crew.give_back_ahead()
            return len(crew.poll(wait))
        crew.collect(wait)
        self._next = 0.0 if self.running < before else self._next
        return crew.endings

    def leave(self) -> None:
        """Give back what still runs, and end the processes."""
        if self._staff is None:
            return
        try:
            give_back(self._book, self._staff)
        finally:
            self._staff.crew.close()
            self._staff.executor.close()
            self._staff = None
        with suppress(TrimtabError):
            self._book.tidy()  # nobody may come after this worker

    def _at_work(self) -> Staff:
        """The processes for its trials; the record says once that this worker has joined."""
        if self._staff is not None:
            return self._staff
        if not self._joined:
            seen = {"data": self._book.inputs.begin()["data"]} if self._book.inputs.watched else {}
            body = {**seen, **facts(self._called, self.said.resources, self._slots, environment())}
            self._storage.revise(self._book.study, Change("run", body={**body, "joined": True}))
            self._joined = True
        executor = Local(self._slots, self._called, self.said.resources)
        crew = Crew(
            self._storage,
            executor,
            lambda: self._book.spec,
            self._book.study,
            self.said.resources,
            LEASE,
            self._book.inputs.check,
            checkpoints=self._book.checkpoints,
        )
        self._staff = Staff(f"{worker()}:{token_hex(4)}", crew, executor, lambda _: None)
        return self._staff


class Server:
    """Serves studies with `slots` trials at once. allow: objectives, files, modules and commands that may be run here.

    names: the studies to serve; all of the store otherwise. say: hears a line when something changes. trials: end after so
    many. data: where files that studies watch are here, by name. enough: begin no more trials of a study where more search
    is not worth it (see `outlook`); nobody asks without it.
    """

    def __init__(
        self,
        storage: Storage,
        allow: Sequence[str],
        names: Sequence[str] = (),
        slots: int = 1,
        say: Callable[[str], None] = _log.info,
        trials: int | None = None,
        data: Mapping[str, str] | None = None,
        enough: Enough | None = None,
    ) -> None:
        self._data, self._enough = dict(data or {}), enough
        self._storage, self._allow, self._names, self._slots, self._say = storage, allow, names, slots, say
        self._left = sys.maxsize if trials is None else trials  # so many more are begun and ended here
        self._posts: dict[int, Post] = {}
        self._read: dict[
            int, tuple[int, Announcement | None]
        ] = {}  # study -> up to where its events were read, and what for
        self._refused: dict[int, tuple[float, str]] = {}  # study -> when to look again, and why it is not served
        self._told: dict[int, str] = {}
        self._look = 0.0
        self._draining = False

    def run(self, idle: float | None = None) -> None:
        """Serve until SIGTERM (running trials are finished first), after `idle` seconds without anything to do, or after as
        many trials as it was made for.

        A second SIGTERM, or Ctrl-C, gives running trials back to the queue and raises KeyboardInterrupt.
        """
        busy = time.monotonic()
        with self._listening():
            try:
                while not self._draining or any(p.running for p in self._posts.values()):
                    self._turn()
                    if any(p.running or not p.closed for p in self._posts.values()):
                        busy = time.monotonic()
                    elif idle is not None and time.monotonic() - busy >= idle:
                        for number, post in self._posts.items():
                            self._tell(number, post)
                        self._say(f"nothing to do for {idle:g} s")
                        return
                self._say("drained")
            finally:
                for post in self._posts.values():
                    post.leave()

    def _turn(self) -> None:
        """One round: find studies, begin trials in free slots, collect those that ended."""
        if not self._draining:
            self._find()
            for number, post in sorted(self._posts.items(), key=lambda item: item[1].running):  # the least served first
                running = sum(p.running for p in self._posts.values())
                free = min(self._slots, self._left) - running
                post.begin(free, self._left - running if len(self._posts) == 1 else free)
                self._tell(number, post)
        at_work = [p for p in self._posts.values() if p.running]
        for post in at_work:
            self._left -= post.collect(IDLE / len(at_work), self._draining)
        if self._left <= 0 and not self._draining:
            self._draining = True
            self._say("it has done its share of trials")
        if not at_work:
            time.sleep(IDLE)

    def _tell(self, number: int, post: Post) -> None:
        """Say what has changed about a study."""
        now = f"study {post.name!r}: " + (f"nothing to do ({post.closed})" if post.closed else f"runs {post.said.text}")
        if self._told.get(number) != now and not (post.closed and post.running):
            self._told[number] = now
            self._say(now)

    def _find(self) -> None:
        """Take up the studies whose objective may be run here."""
        if time.monotonic() < self._look:
            return
        self._look = time.monotonic() + LOOK
        records = self._storage.studies()
        living = {r.id: r for r in records if r.state in (StudyState.OPEN, StudyState.PAUSED)}
        for number in [n for n in self._posts if n not in living and not self._posts[n].running]:
            self._posts.pop(number).leave()
        for record in living.values():
            said = self._announced(record) if not self._names or record.name in self._names else None
            post = self._posts.get(record.id)
            if said is not None and post is not None and post.said.what == said.what:
                post.heed(said)
            elif said is not None:
                self._take_up(record, said)

    def _announced(self, record: StudyRecord) -> Announcement | None:
        position, said = self._read.get(record.id, (0, None))
        if record.position > position:
            said = latest(self._storage.events(record.id, position, kinds={"run"})) or said
            self._read[record.id] = (record.position, said)
        return said

    def _take_up(self, record: StudyRecord, said: Announcement) -> None:
        until, before = self._refused.get(record.id, (0.0, ""))
        if time.monotonic() < until:
            return
        if record.id in self._posts:  # announced anew
            self._posts.pop(record.id).leave()
        try:
            called = allowed(said, self._allow, record.spec)
            data, absent = located(said, self._data)
        except ObjectiveError as error:
            self._refused[record.id] = (time.monotonic() + AGAIN, str(error))
            if str(error) != before:
                self._say(f"study {record.name!r} is not served: {error}")
            return
        for name in absent:
            self._say(
                f"study {record.name!r}: data {name!r} is not here and not watched; name it with --data {name}=PATH"
            )
        self._posts[record.id] = Post(self._storage, record, said, called, self._slots, data, self._enough)

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """SIGTERM drains; a second one interrupts."""

        def drain(signum: int, _: object) -> None:
            if self._draining:
                raise KeyboardInterrupt(signum)
            self._draining = True
            self._say("stopping: running trials are finished first")

        before = signal.signal(signal.SIGTERM, drain)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
