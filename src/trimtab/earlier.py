"""The earlier studies that a new one is warm-started from: found, read, and checked for what they can teach it."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from .errors import SpecError, nearest
from .records import TOLD, State, StudyRecord, StudySpec, Trial
from .sources import Source
from .space import Params
from .storage import Storage


@runtime_checkable
class Readable(Protocol):
    """A study as far as it is read here."""

    @property
    def record(self) -> StudyRecord: ...

    @property
    def trials(self) -> list[Trial]: ...


Earlier = Readable | str | Sequence[Readable | str]


def sources(storage: Storage, warm_start: Earlier, spec: StudySpec) -> tuple[Source, ...]:
    """What the studies that were named (an object, a name in the store, or several) teach the one of `spec`.

    Raises SpecError for one that does not exist or has nothing to teach.
    """
    several = [warm_start] if isinstance(warm_start, str) or not isinstance(warm_start, Sequence) else list(warm_start)
    return tuple(_source(storage, study, spec) for study in several)


def _source(storage: Storage, study: Any, spec: StudySpec) -> Source:
    if isinstance(study, str):
        records = {r.name: r for r in storage.studies()}
        if study not in records:
            raise SpecError(f"warm_start={study!r}: {storage.url} holds no such study{nearest(study, records)}")
        record, trials = records[study], storage.trials(records[study].id).trials
    elif isinstance(study, Readable):
        record, trials = study.record, study.trials
    else:
        raise SpecError(f"warm_start={study!r} is no study; give a tt.Study, a name, or a list of them")
    if not set(record.spec.space.params) & set(spec.space.params):
        raise SpecError(f"warm_start={record.name!r}: no parameter of its space is one of {list(spec.space.names)}")
    return Source.of(record.name, record.uid, record.head, _lessons(record.name, trials, spec))


def _lessons(name: str, trials: Sequence[Trial], spec: StudySpec) -> list[tuple[Params, tuple[float, ...]]]:
    """Settings and losses of the finished trials that have all goals of `spec`."""
    metrics = [goal.metric for goal in spec.goals]
    done = [t for t in trials if t.state is State.DONE and t.purpose in TOLD]
    good = [t for t in done if all(metric in t.metrics for metric in metrics)]
    if not good:
        raise SpecError(f"warm_start={name!r}: none of its {len(done)} finished trials has {', '.join(metrics)}")
    return [(t.params, tuple(goal.loss(t.metrics) for goal in spec.goals)) for t in good]
