"""The record as one process reads it, and how it adds to it: refresh, propose, enqueue."""

from collections.abc import Sequence
from typing import Any

from . import engine
from .errors import Stale
from .records import TOLD, Proposal, Purpose, StudySpec, Trial
from .storage import Storage
from .strategies import Strategy, strategy


class Book:
    """A study in a store, its ledger as of the last `refresh`, and its strategy's state as a fold over it."""

    def __init__(self, storage: Storage, study: int, custom: Strategy[Any] | None = None) -> None:
        self.storage = storage
        self.study = study
        self._custom = custom
        self._folded: engine.Fold | None = None
        self.ledger = engine.Ledger(storage.trials(study, since=0).study)
        self._read = 0
        self.refresh()

    @property
    def spec(self) -> StudySpec:
        return self.ledger.study.spec

    def refresh(self) -> engine.Ledger:
        """Read what changed since the last time."""
        changes = self.storage.trials(self.study, since=self._read)
        self.ledger.absorb(changes)
        self._read = changes.study.position
        return self.ledger

    def strategy(self) -> Strategy[Any]:
        """The study's strategy: the object that the user gave, else the one that the spec names."""
        return self._custom or strategy(self.spec.strategy, **self.spec.settings)

    def propose(self, n: int) -> list[Proposal]:
        """The next n proposals, as the record stands."""
        ledger, spec = self.ledger, self.spec
        baseline = engine.baseline_metrics(spec, ledger.baseline)
        made = self._folded.strategy if self._folded else self.strategy()
        self._folded = engine.fold(spec, made, ledger.told, baseline, self._folded)
        pending = sorted((t for t in ledger.open.values() if t.purpose in TOLD), key=lambda t: t.number)
        return engine.suggest(spec, self._folded, pending, ledger.study.count, n)

    def enqueue(self, proposals: Sequence[Proposal]) -> list[Trial]:
        """Add proposals that were made from the ledger as it stands; raises Stale when the record has moved on."""
        study = self.ledger.study
        added = self.storage.enqueue(self.study, proposals, at=study.count, seen=study.position)
        self.refresh()
        return added

    def fill(self, n: int) -> bool:
        """Propose and enqueue n trials; True when the strategy still had points. Losing a race is no error."""
        proposals = self.propose(n)
        if proposals:
            try:
                self.enqueue(proposals)
            except Stale:
                self.refresh()
        return bool(proposals)

    def put(self, proposals: Sequence[Proposal]) -> list[Trial]:
        """Enqueue what does not depend on the record (a user's wish, evidence), however often the record moves on.

        The baseline goes first when the study is still empty.
        """
        while True:
            first = self.propose(1) if self.ledger.study.count == 0 and self.spec.baseline is not None else []
            try:
                return self.enqueue([*first, *proposals])[len(first) :]
            except Stale:
                self.refresh()

    def of_purpose(self, purpose: Purpose) -> list[Trial]:
        """All trials of a purpose, by number."""
        return sorted((t for t in self.ledger.trials.values() if t.purpose is purpose), key=lambda t: t.number)
