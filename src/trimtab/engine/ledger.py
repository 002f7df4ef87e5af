"""The ledger: what one process knows about a study, folded from the record. Pure, except for what its archive reads.

A study may have hundreds of thousands of ended trials; a ledger keeps only a few numbers of each. Whole trials are
cached, up to `KEPT` of those absorbed or looked up last. The others are read from the archive, `PAGE` at a time.
"""

import threading
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol, overload

from ..checks import index, no_trial
from ..errors import Damaged, SpecError
from ..records import COUNTED, OPEN, TOLD, Changes, Event, Purpose, State, StudyRecord, StudySpec, Trial
from ..records.columns import End, Outline, Results

KEPT = 2048
PAGE = 256

UNFINISHED = frozenset({"requeue", "late", "takeover"})
"""The kinds of events about an attempt that did not end its trial."""

BASELINE = "baseline"  # `Trial.strategy` of the trial that runs the baseline


def baseline_trial(spec: StudySpec, trials: Mapping[int, Trial]) -> Trial | None:
    """Trial 0, if it ran the baseline of the spec; None if it is an imported result, or ran a baseline since revised."""
    first = trials.get(0)
    if spec.baseline is None or first is None or first.strategy != BASELINE:
        return None
    return first if dict(spec.current(first.params)) == dict(spec.baseline) else None


def is_expired(trial: Trial, now: float) -> bool:
    """Whether the lease of a running trial has expired; one that is held without a lease never expires."""
    return trial.lease_until is not None and trial.lease_until <= now


class Archive(Protocol):
    """Where ended trials can be read again. They never change, except for notes."""

    def trials(self, first: int, stop: int) -> Sequence[Trial]:
        """The trials with numbers first .. stop-1, ended or not."""
        ...

    def results(self, after: int, upto: int) -> Results:
        """The results that strategies are told, of trials ended by events at positions after+1 .. upto, in that order."""
        ...


class Trials(Mapping[int, Trial]):
    """All trials of a study by number, read from the archive when they are not cached. Without one, all are cached."""

    def __init__(self, archive: Archive | None) -> None:
        self.archive = archive
        self.open: dict[int, Trial] = {}
        self._ended: dict[int, Trial] = {}  # the cached ones, the last used last
        self._count = 0
        self._lock = threading.RLock()  # one thread may read while another absorbs

    def note(self, number: int) -> None:
        """Register that there is a trial of this number."""
        self._count = max(self._count, number + 1)

    def keep(self, trial: Trial) -> None:
        """Cache an ended trial. Trial 0, which may be the baseline, always stays in the cache."""
        with self._lock:
            self._ended.pop(trial.number, None)
            self._ended[trial.number] = trial
            if self.archive is not None and len(self._ended) > KEPT:
                del self._ended[next(n for n in self._ended if n)]

    def cached_suffix(self, numbers: Sequence[int]) -> list[Trial]:
        """The trials at the end of a list of ended trials' numbers, as far back as all of them are cached."""
        found = list[Trial]()
        for number in reversed(numbers):
            if (trial := self._ended.get(number)) is None:
                break
            found.append(trial)
        return found[::-1]

    def __getitem__(self, number: int) -> Trial:
        if (known := self.open.get(number) or self._ended.get(number)) is not None:
            return known
        if self.archive is None or number not in self:
            raise KeyError(number)
        first = number - number % PAGE
        with self._lock:
            page = {t.number: t for t in self.archive.trials(first, min(first + PAGE, self._count))}
            for trial in page.values():
                if trial.number not in self.open and trial.state not in OPEN:
                    self.keep(trial)
            if number not in page:
                raise Damaged(
                    f"trial {number}: its row is missing; it was deleted outside Trimtab, restore the store from a backup"
                )
            return page[number]

    def named(self, number: int | Trial) -> Trial:
        """The trial that a user names, by its number or itself. Raises SpecError if there is none."""
        found = number.number if isinstance(number, Trial) else index(number)
        if found is None or found not in self:
            raise SpecError(no_trial(number, len(self)))
        return self[found]

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and 0 <= number < self._count

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._count))

    def __len__(self) -> int:
        return self._count


class Told(Sequence[Trial]):
    """The trials that strategies are told, in the order in which they ended; each is looked up when accessed."""

    def __init__(self, trials: Trials, numbers: "array[int]", positions: "array[int]") -> None:
        self.trials, self.numbers, self.positions = trials, numbers, positions

    def append(self, end: End) -> None:
        self.numbers.append(end.number)
        self.positions.append(end.told)

    def results(self) -> Results:
        """All of them as columns: the latest from the cache, the earlier ones from the archive.

        The order matters: what a transaction that is still open has ended is in the cache, but not yet in the archive.
        """
        latest = self.trials.cached_suffix(self.numbers)
        earlier = len(self) - len(latest)
        if not earlier or self.trials.archive is None:
            return Results.of(latest)
        return self.trials.archive.results(self.positions[0] - 1, self.positions[earlier - 1]) + Results.of(latest)

    @overload
    def __getitem__(self, i: int) -> Trial: ...
    @overload
    def __getitem__(self, i: slice) -> "Told": ...
    def __getitem__(self, i: int | slice) -> "Trial | Told":
        if isinstance(i, slice):
            return Told(self.trials, self.numbers[i], self.positions[i])
        return self.trials[self.numbers[i]]

    def __len__(self) -> int:
        return len(self.numbers)


class Ledger:
    """What is known about a study as of its last change. Absorbing changes takes time in proportion to their number, not
    to the size of the study."""

    def __init__(self, study: StudyRecord, archive: Archive | None = None) -> None:
        self.study = study
        self.now = 0.0  # the store's time when it was last read
        self.trials = Trials(archive)
        self.told = Told(self.trials, array("q"), array("q"))
        self.counts = dict.fromkeys(State, 0)  # of ended search trials
        self._busy = BusyTime()  # when search trials ran
        self._failing = array("q")  # indices into `told` of the failures in a row at its end
        self._untold: list[tuple[Purpose, int]] = []  # purpose and number of ended trials that strategies are not told
        self._ended = bytearray()  # by number: 1 for a trial that has ended
        self.unfinished_upto = 0  # position of the last event up to which unfinished attempts are counted

    @staticmethod
    def of(outline: Outline, archive: Archive) -> "Ledger":
        """The ledger of a study as it stands. archive: where its ended trials can be read."""
        made = Ledger(outline.study, archive)
        made.now = outline.now
        for end in outline.ends:
            made._end(end)
        made._opened(outline.open)
        return made

    def absorb(self, changes: Changes) -> None:
        """Fold in one snapshot of changes."""
        self.study, self.now = changes.study, changes.now
        ended = [t for t in changes.trials if t.state not in OPEN]
        for t in ended:
            self.trials.keep(t)
        for t in sorted(ended, key=lambda t: t.told or 0):
            if not self.has_ended(t.number):
                self._end(End.of(t))
        self._opened([t for t in changes.trials if t.state in OPEN])

    def add_unfinished(self, events: Sequence[Event]) -> None:
        """Count the time of attempts that did not end their trials: UNFINISHED events after position `unfinished_upto`."""
        known = [e for e in events if e.position <= self.study.position]
        self.unfinished_upto = self.study.position
        if known:
            others = {number for _, number in self._untold}  # their time is not the search's
            others |= {t.number for t in self.open.values() if t.purpose is not Purpose.SEARCH}
            self._busy.include([_attempt(e) for e in known if e.number not in others])

    def _opened(self, trials: Sequence[Trial]) -> None:
        self.trials.open = {t.number: t for t in trials}
        self.trials.note(max(self.trials.open, default=-1))

    def _end(self, end: End) -> None:
        self._ended.extend(bytes(max(0, end.number + 1 - len(self._ended))))
        self._ended[end.number] = 1
        self.trials.note(end.number)
        if end.purpose is Purpose.SEARCH:
            self.counts[end.state] += 1
            if end.started is not None and end.ended is not None:
                self._busy.add(end.started, max(end.started, end.ended))  # the clock may have been set back
        if end.purpose not in TOLD:
            self._untold.append((end.purpose, end.number))
        elif end.state is not State.CANCELLED:
            self.told.append(end)
            if end.purpose is Purpose.SEARCH and end.state is State.FAILED:
                self._failing.append(len(self.told) - 1)
            else:
                del self._failing[:]

    def has_ended(self, number: int) -> bool:
        """Whether there was a trial of this number that has ended."""
        return number < len(self._ended) and self._ended[number] == 1

    @property
    def open(self) -> dict[int, Trial]:
        """The queued and running trials, by number."""
        return self.trials.open

    @property
    def baseline(self) -> Trial | None:
        """Trial 0, if the study has a baseline."""
        return baseline_trial(self.study.spec, self.trials)

    @property
    def counted(self) -> int:
        """The number of finished search trials: what a budget of trials counts."""
        return sum(self.counts[s] for s in COUNTED)

    def queued(self) -> list[Trial]:
        """The search trials that are queued."""
        return [t for t in self.open.values() if t.state is State.QUEUED and t.purpose is Purpose.SEARCH]

    def running(self) -> list[Trial]:
        """The search trials that are running."""
        return [t for t in self.open.values() if t.state is State.RUNNING and t.purpose is Purpose.SEARCH]

    def expired(self, now: float) -> list[Trial]:
        """The running search trials whose lease has expired: anybody may claim them."""
        return [t for t in self.running() if is_expired(t, now)]

    def evidence_trials(self, purpose: Purpose) -> list[Trial]:
        """All trials of the evidence for a purpose (`select` or `certify`), by number."""
        ended = [number for p, number in self._untold if p is purpose]
        waiting = [t.number for t in self.open.values() if t.purpose is purpose]
        return [self.trials[number] for number in sorted({*ended, *waiting})]

    def wall(self, now: float, waited: Mapping[int, float] = MappingProxyType({})) -> float:
        """Seconds during which at least one search trial ran; a trial ran no longer than its lease. waited: for how many
        seconds running ones have waited for room, by number."""
        intervals = []
        for t in self.running():
            start = now if t.started is None else t.started + waited.get(t.number, 0.0)
            end = now if t.lease_until is None else min(now, t.lease_until)
            intervals.append((start, max(start, end)))
        return self._busy.length(intervals)

    def failures_in_a_row(self, since: int) -> list[Trial]:
        """The latest search trials that failed one after the other, after event position `since`."""
        return [self.told[i] for i in reversed(self._failing) if self.told.positions[i] > since]


def _attempt(e: Event) -> tuple[float, float]:
    """When the attempt of an UNFINISHED event began and ended: by its lease if it was taken over, else as was measured."""
    if "held" in e.body:
        start, end = e.body["held"]
        return start, max(start, end)
    cost = e.body.get("cost", {})
    return e.at - cost.get("wall", 0.0) - cost.get("loading", 0.0), e.at


class BusyTime:
    """The time covered by intervals that may overlap.

    They are kept as disjoint intervals in order. Intervals are normally added in the order of their ends; only if a clock
    was set back are there later ones already.
    """

    def __init__(self) -> None:
        self._starts, self._ends = array("d"), array("d")
        self._sums = array("d", [0.0])  # the total length of the first 0, 1, 2, ... intervals

    def add(self, start: float, end: float) -> None:
        """Cover the time from `start` to `end`, in seconds since the epoch."""
        later = list[tuple[float, float]]()
        while self._ends and self._ends[-1] >= start:
            s, e = self._starts.pop(), self._ends.pop()
            self._sums.pop()
            if s > end:
                later.append((s, e))
            else:
                start, end = min(start, s), max(end, e)
        for s, e in [(start, end), *reversed(later)]:
            self._starts.append(s)
            self._ends.append(e)
            self._sums.append(self._sums[-1] + e - s)

    def length(self, others: Sequence[tuple[float, float]] = ()) -> float:
        """The length of time covered, together with other intervals that are not added."""
        if not others:
            return self._sums[-1]
        apart, both = self._from(others)
        rest = BusyTime()
        for start, end in both:
            rest.add(start, end)
        return self._sums[apart] + rest.length()

    def include(self, others: Sequence[tuple[float, float]]) -> None:
        """Cover other intervals too, in any order and however early."""
        if not others:
            return
        apart, both = self._from(others)
        del self._starts[apart:], self._ends[apart:], self._sums[apart + 1 :]
        for start, end in both:
            self.add(start, end)

    def _from(self, others: Sequence[tuple[float, float]]) -> tuple[int, list[tuple[float, float]]]:
        """How many intervals end before all of the others, and the rest together with them, in the order of their ends."""
        apart = bisect_left(self._ends, min(start for start, _ in others))
        both = [*zip(self._starts[apart:], self._ends[apart:], strict=True), *others]
        return apart, sorted(both, key=lambda i: i[1])
