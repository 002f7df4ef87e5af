"""The earlier studies of a warm start: found, and read for what they can teach a new study."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from ..checks import shown
from ..engine.incumbents import fully_trained
from ..errors import SpecError, nearest
from ..formatting import plural, setting
from ..records import TOLD, State, StudyRecord, StudySpec, Trial
from ..records.sources import Source
from ..space import Params
from ..storage import Storage, skip


@runtime_checkable
class Readable(Protocol):
    """What is needed of a study object here. (Study itself cannot be imported: it imports this module.)"""

    @property
    def record(self) -> StudyRecord: ...

    @property
    def trials(self) -> list[Trial]: ...


Earlier = Readable | str | Sequence[Readable | str]


def sources(storage: Storage, warm_start: Earlier, spec: StudySpec) -> tuple[Source, ...]:
    """What earlier studies teach the study of `spec`.

    warm_start: a study object, a name in the same store, or several. Raises SpecError for a study that does not exist, or
    has no results that fit.
    """
    several = [warm_start] if isinstance(warm_start, str) or not isinstance(warm_start, Sequence) else list(warm_start)
    return tuple(_source(storage, study, spec) for study in several)


def _source(storage: Storage, study: Any, spec: StudySpec) -> Source:
    if isinstance(study, str):
        if not (records := storage.studies(study)):
            there = dict.fromkeys(r.name for r in storage.studies(damaged=skip))
            raise SpecError(f"warm_start={study!r}: {storage.url} holds no such study{nearest(study, there)}")
        record, trials = records[-1], storage.trials(records[-1].id).trials
    elif isinstance(study, Readable):
        record, trials = study.record, study.trials
    else:
        raise SpecError(f"warm_start={shown(study)} is no study; give a tt.Study, a name, or a list of them")
    if not set(record.spec.space.params) & set(spec.space.params):
        raise SpecError(f"warm_start={record.name!r}: no parameter of its space is one of {list(spec.space.names)}")
    source = Source.of(record.name, record.uid, record.head, _lessons(record.spec, trials, spec))
    placed = len(source.rows(spec.space)[0])
    if not placed:
        raise SpecError(
            f"warm_start={record.name!r}: none of its {plural(len(source.params), 'result')} has a place in the new space, "
            f"such as {setting(source.params[0])}"
        )
    if placed == 1:
        raise SpecError(
            f"warm_start={record.name!r}: a single result has a place in the new space, and teaches nothing; "
            "enqueue its setting to try it first"
        )
    return source


def _lessons(earlier: StudySpec, trials: Sequence[Trial], spec: StudySpec) -> list[tuple[Params, tuple[float, ...]]]:
    """(setting, losses) of the earlier study's results that have a metric for each goal of `spec`.

    Settings are in the space of the earlier study. Only fully trained trials count: the result of a short training is none
    of a full one.
    """
    metrics = [goal.metric for goal in spec.goals]
    done = [t for t in trials if t.state is State.DONE and t.purpose in TOLD]
    full = [t for t in done if fully_trained(earlier, t.fidelity)]
    good = [t for t in full if all(metric in t.metrics for metric in metrics)]
    if not good:
        none_of, top = f"warm_start={earlier.name!r}: none of its {len(done)} finished trials", earlier.fidelity
        if top is not None and not full:
            raise SpecError(f"{none_of} was trained to {top.name}={top.high:g}: they say nothing of full trainings")
        raise SpecError(f"{none_of} has {', '.join(metrics)}")
    losses = [tuple(goal.loss(t.metrics) for goal in spec.goals) for t in good]
    return [(earlier.current(t.params), loss) for t, loss in zip(good, losses, strict=True)]
