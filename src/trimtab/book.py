"""The record as one process reads it, and how it adds to it: refresh, propose, enqueue."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from . import engine
from .engine import incumbents
from .engine.ledger import Ledger
from .engine.matrix import suited
from .errors import SpecError, Stale
from .records import TOLD, Change, Changes, Proposal, StudyRecord, StudySpec, StudyState, Trial
from .records.columns import Results
from .running.checkpoints import Checkpoints
from .running.inputs import Inputs
from .storage import Claim, Ending, Settled, Storage
from .strategies import Continuing, Strategy, learns, strategy
from .strategies.honours import notices

Batches = Sequence[Sequence[Proposal]]


class _Unknown(Exception):
    """The strategy's object is missing here."""


@dataclass(frozen=True)
class Shelf:
    """Where a ledger reads the ended trials of a study again: its store."""

    storage: Storage
    study: int

    def trials(self, first: int, stop: int) -> list[Trial]:
        return self.storage.page(self.study, first, stop)

    def results(self, after: int, upto: int) -> Results:
        return self.storage.results(self.study, after, upto)


class Book:
    """A study in a store, its ledger as of the last `refresh`, and its strategy's state as a fold over it.

    custom: a strategy that no name leads to. inputs: what results depend on besides; the objective's files alone unless given.
    Safe for threads: they take turns, so that what is proposed and what is known when it is enqueued are of one moment.
    """

    def __init__(
        self, storage: Storage, study: int, custom: Strategy[Any] | None = None, inputs: Inputs | None = None
    ) -> None:
        self.storage = storage
        self.study = study
        self._custom = custom
        self.inputs = Inputs(storage, study) if inputs is None else inputs
        self._folded: engine.Fold | None = None
        self.turn = threading.RLock()  # who decides by the ledger holds it, so that the ledger stays as it was
        self.ledger = self._opened()
        self.checkpoints = Checkpoints(storage, self.ledger.study.uid)
        self._paces = deque[float](maxlen=8)  # seconds that the last proposals took
        self.moved = False  # whether this process has changed the record since the ledger last read it
        self._torn = False  # whether the ledger has half of some changes

    @property
    def spec(self) -> StudySpec:
        return self.ledger.study.spec

    def refresh(self) -> Ledger:
        """Read what changed since the last time."""
        with self.turn:
            if self._torn:  # Ctrl-C in the middle of it: begin again
                self.ledger = self._opened()
            self.moved = False
            changes = self.storage.trials(self.study, since=self.ledger.study.position)
            self._torn = True
            self.ledger.absorb(changes)
            self._torn = False
            return self.ledger

    def _opened(self) -> Ledger:
        return Ledger.of(self.storage.outline(self.study), Shelf(self.storage, self.study))

    def strategy_of(self, spec: StudySpec) -> Strategy[Any]:
        """The strategy that a spec of the study names: the user's own object if it has that name, else by the name."""
        if self._custom is not None and self._custom.name == spec.strategy:
            return self._custom
        return strategy(spec.strategy, **spec.settings)

    @property
    def pace(self) -> float:
        """About how many seconds a proposal takes: the least of the last few, since other programs only add to it."""
        return min(self._paces, default=math.inf)

    def shortcomings(self) -> list[str]:
        """What the study's strategy will not take into account, in words; nothing while its object is missing."""
        try:
            return notices(self.strategy_of(self.spec), engine.problem(self.spec))
        except SpecError:
            return []

    def propose(self, n: int) -> list[Proposal]:
        """The next n proposals, as the record stands."""
        with self.turn:
            began = time.perf_counter()
            made = engine.suggest(self.spec, self._fold(), self._pending(), self.ledger.study.count, n)
            self._paces.append(time.perf_counter() - began)
            return made

    def batches(self, n: int) -> list[list[Proposal]]:
        """The next n proposals as they are to be enqueued: one by one where the strategy does not learn, so that they are
        the same however many are made at once; else together."""
        if not n:
            return []
        if self.learns:
            return [self.propose(n)]
        with self.turn:
            began = time.perf_counter()
            made = engine.suggest_each(self.spec, self._fold(), self._pending(), self.ledger.study.count, n)
            self._paces.append((time.perf_counter() - began) / n)
            return [[p] for p in made]

    @property
    def learns(self) -> bool:
        """Whether results matter to proposals."""
        return learns(suited(self.spec, self.strategy_of(self.spec)))

    def nothing(self) -> str:
        """Why the strategy proposes nothing, where it does not."""
        if not isinstance(suited(self.spec, self.strategy_of(self.spec)), Continuing):
            return "every point of its space has been proposed"
        if self.ledger.running():
            return "nothing can be proposed before a running trial has ended; tell its result first"
        return "everybody who may go on is trained to the top"

    def collect(self) -> None:
        """Remove the checkpoints that nobody needs any more, as the ledger stands; none where the strategy's object is
        missing, which alone knows what it needs."""
        with self.turn, suppress(_Unknown):
            self.checkpoints.collect(self.ledger, self._needed)

    def tidy(self) -> None:
        """As `collect`, as the record stands now."""
        if self.checkpoints.held():
            self.refresh()
            self.collect()

    def _needed(self) -> frozenset[int]:
        if self.ledger.study.state not in (StudyState.OPEN, StudyState.PAUSED):
            return frozenset()
        try:
            made = suited(self.spec, self.strategy_of(self.spec))
        except SpecError as error:
            raise _Unknown from error
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
        """Add proposals that were made from the ledger as it stands; raises Stale when the record has moved on."""
        with self.turn:
            study = self.ledger.study
            return self.storage.enqueue(self.study, proposals, at=study.count, seen=study.position, claim=claim)

    def fill(self, n: int, at: int, claim: Claim | None = None) -> list[Trial] | None:
        """Propose and enqueue n trials, the first of them claimed; None when the strategy had no points.

        at: how many trials the decision for n knew of. None are added when another was faster, in this process or elsewhere.
        Either way the ledger is as it was: refresh it.
        """
        with self.turn:
            if at != self.ledger.study.count:
                return []
            proposals = self.propose(n)
            try:
                return self.enqueue(proposals, claim) if proposals else None
            except Stale:
                return []

    def settle(self, endings: Sequence[Ending], then: Callable[[], tuple[Batches, Claim | None]]) -> Settled:
        """Record how trials ended, and what `then` wants enqueued and claimed once the ledger knows it, in one transaction.

        `then` runs while nobody else can change the study, maybe more than once; the ledger does not know of the trials
        that it makes: refresh it.
        """

        def tell(changes: Changes) -> tuple[Batches, Claim | None]:
            if self._torn:  # the transaction is repeated: what was read in it before may not be so
                self.ledger = self._opened()
            self._torn = True
            self.ledger.absorb(changes)
            return then()

        with self.turn:
            if self._torn:
                self.refresh()
            self.moved = False
            settled = self.storage.settle(self.study, endings, self.ledger.study.position, tell)
            self._torn = False
            return settled

    def revise(self, change: Change) -> None:
        """An audited change that who runs trials here is to heed at once."""
        self.storage.revise(self.study, change)
        self.moved = True

    def wish(self, wanted: Callable[[StudyRecord], Proposal]) -> Trial:
        """Enqueue one trial for which only the study's row need be known: its cost does not grow with what waits already. The
        ledger is not read again."""
        while True:
            study = self.storage.study(self.study)
            if study.count == 0 and study.spec.baseline is not None:
                (trial,) = self.put(lambda ledger: [wanted(ledger.study)])
                return trial
            with suppress(Stale):
                (trial,) = self.storage.enqueue(self.study, [wanted(study)], at=study.count, seen=study.position)
                return trial

    def put(self, wanted: Callable[[Ledger], Sequence[Proposal]]) -> list[Trial]:
        """Enqueue what no strategy proposes (a user's wish, evidence): asked for again each time the record moves on.

        The baseline goes first when the study is still empty.
        """
        with self.turn:
            while True:
                first = self.propose(1) if self.ledger.study.count == 0 and self.spec.baseline is not None else []
                proposals = [*first, *wanted(self.ledger)]
                try:
                    return self.enqueue(proposals)[len(first) :] if proposals else []
                except Stale:
                    pass
                finally:
                    self.refresh()
