"""Many trials at once, as columns: much cheaper than a Trial object for each. Values only; no clock, no IO."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from ..goals import Metrics
from ..space import Params
from . import GOOD, Purpose, State, StudyRecord, Trial


class End(NamedTuple):
    """The few fields that a ledger keeps of an ended trial."""

    number: int
    told: int  # position of the event that ended it
    state: State
    purpose: Purpose
    started: float | None
    ended: float | None

    @staticmethod
    def of(t: Trial) -> "End":
        return End(t.number, t.told or 0, t.state, t.purpose, t.started, t.ended)


@dataclass(frozen=True)
class Outline:
    """A study in one consistent snapshot: its open trials in full, and the `End` of each ended one in order."""

    study: StudyRecord
    open: Sequence[Trial]
    ends: Sequence[End]
    now: float = 0.0  # the store's time


@dataclass(frozen=True)
class Results:
    """The results that strategies are told, one entry per trial in each column. Failed trials have empty metrics."""

    number: Sequence[int]
    done: Sequence[bool]  # False for trials that were stopped early or failed
    params: Sequence[Params]
    metrics: Sequence[Metrics]
    cost: Sequence[Mapping[str, float]]  # the fields of Cost
    parent: Sequence[int | None]
    fidelity: Sequence[float | None]
    curve: Sequence[Mapping[float, Metrics]]
    member: Sequence[Any]  # which member of a population it belongs to; None outside of populations

    def __len__(self) -> int:
        return len(self.number)

    def __add__(self, other: "Results") -> "Results":
        return Results(**{f.name: [*getattr(self, f.name), *getattr(other, f.name)] for f in fields(self)})

    @staticmethod
    def of(trials: Sequence[Trial]) -> "Results":
        return Results(
            number=[t.number for t in trials],
            done=[t.state is State.DONE for t in trials],
            params=[t.params for t in trials],
            metrics=[t.metrics if t.state in GOOD else {} for t in trials],
            cost=[t.cost.to_json() for t in trials],
            parent=[t.parent for t in trials],
            fidelity=[t.fidelity for t in trials],
            curve=[t.curve for t in trials],
            member=[t.why.get("member") for t in trials],
        )
