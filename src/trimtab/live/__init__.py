"""A study as one process works on it: read what changed in its store, propose, enqueue, record how trials ended.

inputs         code and data, looked at before each trial
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
from ..engine.ledger import Ledger
from ..engine.wrapping import wrapped
from ..errors import SpecError, Stale
from ..records import TOLD, Change, Changes, Proposal, StudyRecord, StudySpec, StudyState, Trial
from ..records.columns import Results
from ..storage import Claim, Ending, Settled, Storage
from ..strategies import Continuing, Strategy, learns, strategy
from ..strategies.honours import notices
from .checkpoints import Checkpoints
from .inputs import Inputs

Batches = Sequence[Sequence[Proposal]]


class _NoStrategy(Exception):
    """The study uses a strategy object that this process was not given."""


@dataclass(frozen=True)
class StoredTrials:
    """The archive from which a ledger reads ended trials again: the study's store."""

    storage: Storage
    study: int

    def trials(self, first: int, stop: int) -> list[Trial]:
        return self.storage.page(self.study, first, stop)

    def results(self, after: int, upto: int) -> Results:
        return self.storage.results(self.study, after, upto)


class LiveStudy:
    """A study in its store, with its ledger as of the last `refresh` and the strategy's state after that ledger.

    custom: a strategy object that cannot be found by name. inputs: what results depend on; by default, only the
    objective's files. Thread-safe: `lock` keeps the ledger unchanged between a proposal and its enqueueing.
    """

    def __init__(
        self, storage: Storage, study: int, custom: Strategy[Any] | None = None, inputs: Inputs | None = None
    ) -> None:
        self.storage = storage
        self.study = study
        self._custom = custom
        self.inputs = Inputs(storage, study) if inputs is None else inputs
        self._folded: engine.Fold | None = None
        self.lock = threading.RLock()  # held by whoever decides from the ledger, so that the ledger does not change
        self.ledger = self._opened()
        self.checkpoints = Checkpoints(storage, self.ledger.study.uid)
        self._paces = deque[float](maxlen=8)  # seconds that the last proposals took
        self.moved = False  # whether this process has changed the record since the ledger last read it
        self._torn = False  # whether only a part of some changes is in the ledger

    @property
    def spec(self) -> StudySpec:
        return self.ledger.study.spec

    def refresh(self) -> Ledger:
        """Read what has changed since the last refresh."""
        with self.lock:
            if self._torn:  # Ctrl-C interrupted the last refresh: read everything again
                self.ledger = self._opened()
            self.moved = False
            changes = self.storage.trials(self.study, since=self.ledger.study.position)
            self._torn = True
            self.ledger.absorb(changes)
            self._torn = False
            return self.ledger

    def _opened(self) -> Ledger:
        return Ledger.of(self.storage.outline(self.study), StoredTrials(self.storage, self.study))

    def strategy_of(self, spec: StudySpec) -> Strategy[Any]:
        """The strategy that a spec of this study names: the user's own object if it has that name."""
        if self._custom is not None and self._custom.name == spec.strategy:
            return self._custom
        return strategy(spec.strategy, **spec.settings)

    def _wrapped(self) -> Strategy[Any]:
        """The strategy as `engine.fold` uses it."""
        return wrapped(self.spec, self.strategy_of(self.spec))

    @property
    def pace(self) -> float:
        """Seconds that a proposal takes: the minimum of the last few, since other programs can only slow it down."""
        return min(self._paces, default=math.inf)

    def shortcomings(self) -> list[str]:
        """What the study's strategy will not take into account, in words; empty while its object is missing."""
        try:
            return notices(self.strategy_of(self.spec), engine.problem(self.spec))
        except SpecError:
            return []

    def propose(self, n: int) -> list[Proposal]:
        """The next n proposals, as the record stands."""
        with self.lock:
            began = time.perf_counter()
            made = engine.suggest(self.spec, self._fold(), self._pending(), self.ledger.study.count, n)
            self._paces.append(time.perf_counter() - began)
            return made

    def batches(self, n: int) -> list[list[Proposal]]:
        """The next n proposals in the batches in which they are to be enqueued.

        A strategy that does not learn makes batches of one, so that its proposals do not depend on n.
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

    def why_nothing(self) -> str:
        """Why the strategy has nothing to propose."""
        if not isinstance(self._wrapped(), Continuing):
            return "every point of its space has been proposed"
        if self.ledger.running():
            return "nothing can be proposed before a running trial has ended; tell its result first"
        return "every trial that may continue is trained to the top"

    def collect(self) -> None:
        """Remove the checkpoints that are no longer needed, by the ledger as it stands.

        Removes none if the strategy's object is missing: only the strategy knows which it needs.
        """
        with self.lock, suppress(_NoStrategy):
            self.checkpoints.collect(self.ledger, self._needed)

    def tidy(self) -> None:
        """Refresh and `collect`, if there are any checkpoints."""
        if self.checkpoints.held():
            self.refresh()
            self.collect()

    def _needed(self) -> frozenset[int]:
        if self.ledger.study.state not in (StudyState.OPEN, StudyState.PAUSED):
            return frozenset()
        try:
            made = self._wrapped()
        except SpecError as error:
            raise _NoStrategy from error
        if not isinstance(made, Continuing):
            return frozenset()
        return engine.needed(self.spec, self._fold(), self._pending())

    def _fold(self) -> engine.Fold:
        ledger, spec = self.ledger, self.spec
        baseline = incumbents.baseline_metrics(spec, ledger.baseline)
        self._folded = engine.fold(spec, self.strategy_of(spec), ledger.told, baseline, self._folded)
        return self._folded

    def _pending(self) -> list[Trial]:
        return sorted((t for t in self.ledger.open.values() if t.purpose in TOLD), key=lambda t: t.number)

    def enqueue(self, proposals: Sequence[Proposal], claim: Claim | None = None) -> list[Trial]:
        """Enqueue proposals made from the ledger as it stands. Raises Stale if the record has moved on."""
        with self.lock:
            study = self.ledger.study
            return self.storage.enqueue(self.study, proposals, at=study.count, seen=study.position, claim=claim)

    def fill(self, n: int, at: int, claim: Claim | None = None) -> list[Trial] | None:
        """Propose and enqueue n trials; with `claim`, the first of them are claimed. None if the strategy has no points.

        at: how many trials existed when n was decided. If there are more by now, in this process or in the store,
        nothing is added. The ledger does not know of the new trials until the next refresh.
        """
        with self.lock:
            if at != self.ledger.study.count:
                return []
            proposals = self.propose(n)
            try:
                return self.enqueue(proposals, claim) if proposals else None
            except Stale:
                return []

    def settle(self, endings: Sequence[Ending], then: Callable[[], tuple[Batches, Claim | None]]) -> Settled:
        """In one transaction: record how trials ended, absorb that, and enqueue and claim what `then` asks for.

        `then` may run more than once; nobody else can change the study meanwhile. The ledger does not know of the new
        trials until the next refresh.
        """

        def tell(changes: Changes) -> tuple[Batches, Claim | None]:
            if self._torn:  # the transaction is being repeated: what it read the first time may no longer hold
                self.ledger = self._opened()
            self._torn = True
            self.ledger.absorb(changes)
            return then()

        with self.lock:
            if self._torn:
                self.refresh()
            self.moved = False
            settled = self.storage.settle(self.study, endings, self.ledger.study.position, tell)
            self._torn = False
            return settled

    def revise(self, change: Change) -> None:
        """Make an audited change, to which the trials that run in this process must react at once."""
        self.storage.revise(self.study, change)
        self.moved = True

    def enqueue_one(self, wanted: Callable[[StudyRecord], Proposal]) -> Trial:
        """Enqueue a trial that depends only on the study's row, without a refresh: queued trials do not slow it down."""
        while True:
            study = self.storage.study(self.study)
            if study.count == 0 and study.spec.baseline is not None:
                (trial,) = self.enqueue_wanted(lambda ledger: [wanted(ledger.study)])
                return trial
            with suppress(Stale):
                (trial,) = self.storage.enqueue(self.study, [wanted(study)], at=study.count, seen=study.position)
                return trial

    def enqueue_wanted(self, wanted: Callable[[Ledger], Sequence[Proposal]]) -> list[Trial]:
        """Enqueue what no strategy proposes (evidence runs, say). `wanted` is called again if the record has moved on.

        In an empty study, the baseline goes first.
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
