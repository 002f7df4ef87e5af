"""`trimtab worker`: a process that serves the studies of a store, several at once. All workers are equal: none leads.

It refills a study's queue when that is empty (and yields if another worker was faster), claims trials, runs them and
renews their leases. It runs its own copy of the objective, if its options allow that objective (see `announcements`).
"""

import logging
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ..errors import Damaged, ObjectiveError, SetBack, SpaceError, SpecError, StudyNotFound, TrimtabError, nearest
from ..formatting import plural
from ..interrupts import interruptible
from ..outlook import Enough
from ..records import LIVING, StudyRecord
from ..storage import Storage
from .announcements import Announcement, latest_announcement, load_allowed, locate_data
from .runner import IDLE
from .served import AGAIN, LOOK, ServedStudy

UNREADABLE = LookupError, TypeError, ValueError, AttributeError, ArithmeticError
"""What reading a record may raise, besides Damaged, if it was changed outside Trimtab. Other studies are still served."""

FEW = 3  # if more studies than this are newly not served, one line says so of all

_log = logging.getLogger(__name__)


@dataclass
class _Known:
    """What a worker knows of a study."""

    record: StudyRecord | None = None  # as it was last read; None if it is not open or paused, or cannot be read
    damaged_at: int | None = None  # its position when it could not be read
    heard: int = 0  # the position up to which its announcements were read
    announced: Announcement | None = None  # the last of these
    again: float = 0.0  # the time before which it is not tried again
    refused: str = ""  # why it is not served
    said: str = ""  # what was last said about it

    def put_off(self, error: Exception) -> None:
        """It is not served for now."""
        self.again, self.refused = time.monotonic() + AGAIN, str(error)


class Worker:
    """Serves studies with `slots` trials at once.

    allow: objectives, files, modules and commands that may be run here.
    names: the studies to serve; default: all in the store.
    say: called with a line when something changes.
    trials: end after this many.
    data: name -> path here, for files that studies watch and that are elsewhere on this machine than their record says.
    enough: start no more trials of a study in which more search is not worth it (see `outlook`); None: never check.
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
        self._left = sys.maxsize if trials is None else trials  # trials that may still be started here
        self._served: dict[int, ServedStudy] = {}
        self._known: defaultdict[int, _Known] = defaultdict(_Known)
        self._unsaid: list[tuple[str, str]] = []  # studies that are newly not served, and why
        self._next_look = 0.0  # when to look for studies again
        self._draining = False  # whether running trials are finished, but no new ones begun

    def run(self, idle: float | None = None) -> None:
        """Serve until SIGTERM (running trials are finished first), after `idle` seconds without work, or after the
        number of trials that it was made for.

        A second SIGTERM, or Ctrl-C, returns running trials to the queue and raises KeyboardInterrupt.
        """
        busy = time.monotonic()
        with interruptible(spares=self._drains):
            try:
                self._find()
                self._greet()
                while not self._draining or any(s.running for s in self._served.values()):
                    self._turn()
                    to_look = self._next_look == 0.0  # a study was set back, and is not taken up again yet
                    if to_look or any(s.running or not s.closed for s in self._served.values()):
                        busy = time.monotonic()
                    elif idle is not None and time.monotonic() - busy >= idle:
                        for number, served in self._served.items():
                            self._tell(number, served)
                        self._say(f"nothing to do for {idle:g} s")
                        return
                self._say("drained")
            finally:
                for served in self._served.values():
                    served.leave()

    def _greet(self) -> None:
        """Say which of the named studies do not exist: they may be created later, or a name is wrong."""
        there = [known.record.name for known in self._known.values() if known.record is not None]
        for name in self._names:
            if name not in there:
                self._say(f"{self._storage.url} holds no open study {name!r} yet{nearest(name, there)}")
        if not (there or self._names):
            self._say(f"{self._storage.url} holds no open study yet")

    def _turn(self) -> None:
        """One round: find studies, start trials in free slots, collect those that ended."""
        if not self._draining:
            self._find()
            running = sum(s.running for s in self._served.values())
            least_served_first = sorted(self._served.items(), key=lambda item: item[1].running)
            for number, served in least_served_first:
                free, before = min(self._slots, self._left) - running, served.running
                if served.at_work or (free > 0 and not self._at_rest(number, served)):
                    with self._unless_gone(number, served):
                        # A study that is alone may claim very short trials ahead (see `claim_ahead`).
                        served.begin(self._left - running if len(self._served) == 1 else free)
                        self._tell(number, served)
                    running += served.running - before
        at_work = {n: s for n, s in self._served.items() if s.running}
        for number, served in at_work.items():
            with self._unless_gone(number, served):
                wait = IDLE / len(at_work)
                self._left -= served.drain(wait) if self._draining else served.collect(wait)
        if self._left <= 0 and not self._draining:
            self._draining = True
            self._say("it has done its share of trials")
        if not at_work:
            time.sleep(IDLE)

    @contextmanager
    def _unless_gone(self, number: int, served: ServedStudy) -> Iterator[None]:
        """A context in which a study that has been deleted, or cannot be read any more, is given up; others go on. One that
        was set back is read anew."""
        try:
            yield
        except SetBack as error:
            self._next_look = 0.0
            del self._known[number]
            self._served.pop(number).leave()
            self._say(str(error))
        except (StudyNotFound, Damaged, *UNREADABLE) as error:
            self._served.pop(number).leave()
            self._known[number].put_off(error)
            self._say(f"study {served.name!r} is not served any more: {_why(error)}")

    def _at_rest(self, number: int, served: ServedStudy) -> bool:
        record = self._known[number].record
        return record is not None and served.at_rest(record.position)

    def _tell(self, number: int, served: ServedStudy) -> None:
        """Say what this worker does for a study, if that has changed."""
        does = f"nothing to do ({served.closed})" if served.closed else f"runs {served.announced.text}"
        now = f"study {served.name!r}: {does}"
        if self._known[number].said != now and not (served.closed and served.running):
            self._known[number].said = now
            self._say(now)

    def _find(self) -> None:
        """Start serving the studies whose objective may be run here."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK
        living = self._living()
        for number in [n for n in self._served if n not in living and not self._served[n].running]:
            self._served.pop(number).leave()
        for record in living.values():
            if self._names and record.name not in self._names:
                continue
            try:
                announced = self._announced(record)
            except Damaged as error:  # others are served nevertheless
                self._refuse(record, error)
                continue
            served = self._served.get(record.id)
            if announced is not None and served is not None and served.announced.work == announced.work:
                served.heed(announced)
            elif announced is not None:
                self._take_up(record, announced)
        self._say_refused()

    def _living(self) -> dict[int, StudyRecord]:
        """The studies that are open or paused, by number. Only those that have changed are read again."""
        positions = self._storage.positions()
        for number in self._known.keys() - positions.keys():
            self._known[number].record = None
        for number, position in positions.items():
            known = self._known[number]
            before = None if known.record is None else known.record.position
            if position in (before, known.damaged_at):
                continue
            try:
                record = self._storage.study(number)
                known.record = record if record.state in LIVING else None
            except StudyNotFound:  # it was just deleted
                known.record = None
            except Damaged as error:  # others are served nevertheless
                known.record, known.damaged_at = None, position
                self._say(f"study number {number} is not served: {error}")
        return {number: known.record for number, known in self._known.items() if known.record is not None}

    def _announced(self, record: StudyRecord) -> Announcement | None:
        """What the study runs, by its last announcement; None if there is none."""
        known = self._known[record.id]
        if record.position > known.heard:
            events = self._storage.events(record.id, known.heard, kinds={"run"})
            known.announced = latest_announcement(events) or known.announced
            known.heard = record.position
        return known.announced

    def _take_up(self, record: StudyRecord, announced: Announcement) -> None:
        """Serve a study from now on, or say why not."""
        if time.monotonic() < self._known[record.id].again:
            return
        if record.id in self._served:  # announced again
            self._served.pop(record.id).leave()
        try:
            program = load_allowed(announced, self._allow, record.spec)
            data, absent = locate_data(announced, self._data)
            served = ServedStudy(
                self._storage, record, announced, program, self._slots, data, self._enough,
                say=lambda text: self._say(f"study {record.name!r}: {text}"),
            )  # fmt: skip
        except (ObjectiveError, SpaceError, SpecError, StudyNotFound, Damaged, *UNREADABLE) as error:
            self._refuse(record, error)
            return
        for name in absent:
            self._say(
                f"study {record.name!r}: data {name!r} is not here and not watched; name it with --data {name}=PATH"
            )
        self._served[record.id] = served

    def _refuse(self, record: StudyRecord, error: Exception) -> None:
        """Do not serve a study for now. `_say_refused` will say why, unless the reason is the same as before."""
        known = self._known[record.id]
        if str(error) != known.refused:
            self._unsaid.append((record.name, _why(error)))
        known.put_off(error)

    def _say_refused(self) -> None:
        """Say which studies are not served; of many, their number, and the reason of the first."""
        refused, self._unsaid = self._unsaid, []
        if len(refused) <= FEW:
            for name, why in refused:
                self._say(f"study {name!r} is not served: {why}")
            return
        named = ", ".join(repr(name) for name, _ in refused[:FEW])
        more = plural(len(refused) - FEW, "other")
        self._say(
            f"{len(refused):,} studies are not served: {named} and {more}; of the first, because {refused[0][1]} "
            "(of another: name it with --study)"
        )

    def _drains(self, number: int) -> bool:
        """Whether a signal, by its number, is the first SIGTERM: then this worker drains."""
        if number != signal.SIGTERM or self._draining:
            return False
        self._draining = True
        self._say("stopping: running trials are finished first")
        return True


def _why(error: Exception) -> str:
    """Why a study is not served."""
    if isinstance(error, TrimtabError):
        return str(error)
    _log.debug("a study cannot be served", exc_info=error)
    return f"{type(error).__name__}: {error}; see whether its record was changed: trimtab verify"
