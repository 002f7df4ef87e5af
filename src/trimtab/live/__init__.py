"""A live study: a study in its store, as one process works on it. It reads what has changed, proposes and enqueues.

inputs         code and data, checked before each trial
checkpoints    directories in which trials save their state
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from .. import engine
from ..engine import incumbents
from ..engine.ledger import UNFINISHED, Ledger
from ..engine.wrapping import wrapped
from ..errors import SetBack, SpecError, Stale
from ..formatting import plural
from ..records import LIVING, TOLD, Change, Changes, Proposal, StudyRecord, StudySpec, Trial
from ..records.columns import Results
from ..storage import Claim, Ending, Settled, Storage
from ..strategies import Continuing, Strategy, learns, strategy
from ..strategies.honours import notices
from .checkpoints import Checkpoints
from .inputs import Inputs

Batches = Sequence[Sequence[Proposal]]
"""Proposals in the batches in which they are enqueued, one after the other."""


class _NoStrategy(Exception):
    """The study uses a strategy object of its user's, which this process does not have."""


@dataclass(frozen=True)
class StoredTrials:
    """The ended trials of a study in its store: the archive of a ledger (see ledger.Archive)."""

    storage: Storage
    study: int

    def trials(self, first: int, stop: int) -> list[Trial]:
        return self.storage.page(self.study, first, stop)

    def results(self, after: int, upto: int) -> Results:
        return self.storage.results(self.study, after, upto)


def _check_follows(changes: Changes, known: StudyRecord) -> None:
    """Raises SetBack if changes do not follow the record as it was last read. (A head that fits no event, in a row that has
    not changed since, is for `verify` to find.)"""
    row = changes.study
    if changes.base != known.head and (row.position, row.head) != (known.position, known.head):
        raise SetBack(
            f"study {known.name!r}: its record was set back, by a restored backup or a failover: event {known.position} is "
            "not in it any more; run the same again, which goes on from what is there"
        )


class LiveStudy:
    """A study in its store, with its ledger as of the last `refresh`, and the strategy's state after that.

    custom: a user's own strategy object. inputs: what results depend on; by default, only the objective's files.
    Thread-safe: whoever decides something by the ledger holds `lock`, so that the ledger does not change until it is
    done.
    """

    def __init__(
        self, storage: Storage, study: int, custom: Strategy[Any] | None = None, inputs: Inputs | None = None
    ) -> None:
        self.storage = storage
        self.id = study
        self._custom = custom
        self.inputs = Inputs(storage, study) if inputs is None else inputs
        self._folded: engine.Fold | None
        self.lock = threading.RLock()
        self.ledger = self._opened()
        self.checkpoints = Checkpoints(storage, self.ledger.study.uid)
        self._paces = deque[float](maxlen=8)  # seconds that each of the last proposals took
        self.behind = False  # whether the ledger lacks a change that this process has made
        self._nothing_at: tuple[str, int] | None = None  # what was known when the strategy had nothing to propose
        self._torn = False  # whether the ledger may hold only a part of some changes, or changes that were rolled back

    @property
    def spec(self) -> StudySpec:
        return self.ledger.study.spec

    def refresh(self) -> Ledger:
        """Read what has changed in the store since the last refresh. Raises SetBack."""
        with self.lock:
            if self._torn:  # Ctrl-C has interrupted the last refresh: read everything again
                self.ledger = self._opened()
            self.behind = False
            known = self.ledger.study
            changes = self.storage.trials(self.id, since=known.position)
            self._torn = True
            _check_follows(changes, known)
            self.ledger.absorb(changes)
            self._torn = False
            ledger = self.ledger
            upto = ledger.unfinished_upto
            if self.spec.budget.time is not None and upto < ledger.study.position:
                ledger.add_unfinished(self.storage.events(self.id, since=upto, kinds=UNFINISHED))
            return ledger

    def _opened(self) -> Ledger:
        """A new ledger, of the study as it stands in the store."""
        self._folded = None
        return Ledger.of(self.storage.outline(self.id), StoredTrials(self.storage, self.id))

    def strategy_of(self, spec: StudySpec) -> Strategy[Any]:
        """The strategy that a spec of this study names: the user's own object, if that has the name."""
        if self._custom is not None and self._custom.name == spec.strategy:
            return self._custom
        return strategy(spec.strategy, **spec.settings)

    def _wrapped(self) -> Strategy[Any]:
        """The strategy as `engine.fold` uses it."""
        return wrapped(self.spec, self.strategy_of(self.spec))

    @property
    def pace(self) -> float:
        """Seconds that a proposal takes: the least of the last few, since other programs can only slow one down."""
        return min(self._paces, default=math.inf)

    def shortcomings(self) -> list[str]:
        """What the study's strategy does not take into account, in words; empty if its object is missing."""
        try:
            return notices(self.strategy_of(self.spec), engine.problem(self.spec))
        except SpecError:
            return []

    def propose(self, n: int) -> list[Proposal]:
        """The next n proposals, by the ledger as it stands."""
        with self.lock:
            began = time.perf_counter()
            made = engine.suggest(self.spec, self._fold(), self._pending(), self.ledger.study.count, n)
            self._paces.append(time.perf_counter() - began)
            return made

    def batches(self, n: int) -> list[list[Proposal]]:
        """The next n proposals, in batches.

        If the strategy does not learn from results, these are batches of one, so that proposals do not depend on n.
        """
        if not n:
            return []
        if self.learns:
            return [self.propose(n)]
        with self.lock:
            began = time.perf_counter()
            made = engine.suggest_each(self.spec, self._fold(), self._pending(), self.ledger.study.count, n)
            self._paces.append((time.perf_counter() - began) / n)
            return [[p] for p in made]

    @property
    def learns(self) -> bool:
        """Whether proposals depend on results."""
        return learns(self._wrapped())

    @property
    def exhausted(self) -> bool:
        """Whether the strategy had nothing to propose when it was last asked, and nothing that it goes by has changed."""
        return self._nothing_at == self._known()

    def _known(self) -> tuple[str, int]:
        """The spec, and how many results there are."""
        return self.spec.text, len(self.ledger.told)

    def why_nothing(self) -> str:
        """Why the strategy has nothing to propose, in words."""
        if not isinstance(self._wrapped(), Continuing):
            return "every point of its space has been proposed"
        if self.ledger.running():
            return "nothing can be proposed before a running trial has ended; tell its result first"
        return "every trial that may continue is trained to the top"

    def why_held(self) -> str:
        """Why nothing more starts, in words: trials were asked for and not told yet, and nobody else can end them."""
        first, *others = (t.number for t in self.ledger.running() if t.lease_until is None)
        more = f" and {plural(len(others), 'other')}" if others else ""
        return (
            f"asked for and not told yet: trial {first}{more}; each takes the place of another trial; "
            f"study.tell({first}, ...) or study.cancel({first}) ends it"
        )

    def collect(self) -> None:
        """Remove the checkpoints that are no longer needed, by the ledger as it stands.

        If the strategy's object is missing, none are removed, since only the strategy knows which it needs.
        """
        with self.lock, suppress(_NoStrategy):
            self.checkpoints.collect(self.ledger, self._needed)

    def tidy(self) -> None:
        """Refresh the ledger and `collect`, if there are any checkpoints."""
        if self.checkpoints.held():
            self.refresh()
            self.collect()

    def _needed(self) -> frozenset[int]:
        """The ended trials whose checkpoints the strategy may still need."""
        if self.ledger.study.state not in LIVING:
            return frozenset()
        try:
            made = self._wrapped()
        except SpecError as error:
            raise _NoStrategy from error
        if not isinstance(made, Continuing):
            return frozenset()
        return engine.needed(self.spec, self._fold(), self._pending())

    def _fold(self) -> engine.Fold:
        """The strategy's state after all results in the ledger."""
        ledger, spec = self.ledger, self.spec
        baseline = incumbents.baseline_metrics(spec, ledger.baseline)
        self._folded = engine.fold(spec, self.strategy_of(spec), ledger.told, baseline, self._folded)
        return self._folded

    def _pending(self) -> list[Trial]:
        """The open trials whose results will be told, by number."""
        return sorted((t for t in self.ledger.open.values() if t.purpose in TOLD), key=lambda t: t.number)

    def enqueue(self, proposals: Sequence[Proposal], claim: Claim | None = None) -> list[Trial]:
        """Enqueue proposals that were made by the ledger as it stands. Raises Stale if there are more trials by now."""
        with self.lock:
            study = self.ledger.study
            return self.storage.enqueue(self.id, proposals, at=study.count, seen=study.position, claim=claim)

    def fill(self, n: int, at: int, claim: Claim | None = None) -> list[Trial] | None:
        """Propose and enqueue n trials; returns them, or None if the strategy has no more points.

        at: how many trials existed when n was decided. If there are more by now, nothing is enqueued, and the list is
        empty. claim: on the first of the new trials. They are not in the ledger until the next refresh.
        """
        with self.lock:
            if at != self.ledger.study.count:
                return []
            proposals = self.propose(n)
            if not proposals:
                self._nothing_at = self._known()
                return None
            try:
                return self.enqueue(proposals, claim)
            except Stale:
                return []

    def settle(self, endings: Sequence[Ending], then: Callable[[], tuple[Batches, Claim | None]]) -> Settled:
        """In one transaction: record how trials ended, absorb that into the ledger, then enqueue and claim what `then`
        returns.

        Nobody else can change the study meanwhile. `then` may run more than once, if the transaction is repeated. The new
        trials are not in the ledger until the next refresh.
        """

        def absorb(changes: Changes) -> tuple[Batches, Claim | None]:
            _check_follows(changes, known)
            if self._torn:  # the transaction is repeated: what was absorbed the first time may have been rolled back
                self.ledger = self._opened()
            self._torn = True
            self.ledger.absorb(changes)
            return then()

        with self.lock:
            if self._torn:
                self.refresh()
            self.behind = False
            known = self.ledger.study
            settled = self.storage.settle(self.id, endings, known.position, absorb)
            self._torn = isinstance(settled.error, SetBack)
            return settled

    def revise(self, change: Change) -> None:
        """Make an audited change. A search that runs in this process reads the record at once (see `behind`)."""
        self.storage.revise(self.id, change)
        self.behind = True

    def enqueue_one(self, wanted: Callable[[StudyRecord], Proposal]) -> Trial:
        """Enqueue a proposal that depends on nothing but the study's row. The ledger is not refreshed, since that takes the
        longer the more trials are queued."""
        while True:
            study = self.storage.study(self.id)
            if study.count == 0 and study.spec.baseline is not None:
                (trial,) = self.enqueue_wanted(lambda ledger: [wanted(ledger.study)])
                return trial
            with suppress(Stale):
                (trial,) = self.storage.enqueue(self.id, [wanted(study)], at=study.count, seen=study.position)
                return trial

    def enqueue_wanted(self, wanted: Callable[[Ledger], Sequence[Proposal]]) -> list[Trial]:
        """Enqueue trials that no strategy proposes, such as runs for evidence.

        wanted: makes the proposals from a ledger; it is called again if there are more trials by then. In an empty study,
        the baseline's trial comes first.
        """
        with self.lock:
            while True:
                first = self.propose(1) if self.ledger.study.count == 0 and self.spec.baseline is not None else []
                proposals = [*first, *wanted(self.ledger)]
                try:
                    return self.enqueue(proposals)[len(first) :] if proposals else []
                except Stale:
                    pass
                finally:
                    self.refresh()
