"""The record as it stood at a position of its chain, without anything later, so that a document can be made again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ..chain import PROPOSED
from ..chain.verify import spent, state_after
from ..checks import index, shown
from ..errors import SpecError
from ..evidence import Evidence
from ..formatting import plural
from ..records import Event, Purpose, Report, State, StudyRecord, StudyState, Trial
from ..records.history import specs_of
from .facts import Facts
from .origins import Origins, Source, of_event


@dataclass(frozen=True)
class Snapshot:
    """A study as of an event. findings: of `verify`. data: the user's description of it. card: what persons have filled
    in."""

    study: StudyRecord
    trials: Sequence[Trial]
    reports: Sequence[Report]
    events: Sequence[Event]
    findings: Sequence[str] = ()
    data: Mapping[str, Any] | None = None
    card: Mapping[str, Any] | None = None
    previous: Mapping[str, Any] | None = None  # evidence record of the study that was approved before

    @cached_property
    def facts(self) -> Facts:
        """What figures and tables need, about the setting and the goal of the evidence, if there is some."""
        trials = sorted(self.trials, key=lambda t: t.number)
        if (e := self.evidence) is None:
            return Facts(self.study, trials)
        metrics = [g.metric for g in self.study.spec.goals]
        return Facts(self.study, trials, e.tuned_trial, metrics.index(e.metric) if e.metric in metrics else 0)

    @property
    def origins(self) -> Origins:
        return Origins(self.study, self.events)

    def of(self, *kinds: str) -> list[Event]:
        """The events of these kinds, in order."""
        return [e for e in self.events if e.kind in kinds]

    @property
    def at(self) -> float:
        """Time of the last event, in seconds since the epoch: the document's own."""
        return self.events[-1].at

    @cached_property
    def evidence(self) -> Evidence | None:
        """The last certificate; None if there is none."""
        found = self.of("evidence")
        return Evidence.from_json(found[-1].body["evidence"]) if found else None

    @property
    def environment(self) -> Mapping[str, Any]:
        """The environment of the last run."""
        found = self.of("run")
        return found[-1].body["environment"] if found else {}

    @cached_property
    def protocol(self) -> tuple[Source, Mapping[str, Any]] | None:
        """How results were measured, where a `CrossValidation` last said so: the event, and its protocol."""
        said = [(of_event(e), e.body.get("protocol") or {}) for e in self.of("run")]
        return next((found for found in reversed(said) if found[1].get("kind") == "cross-validation"), None)

    @cached_property
    def inputs(self) -> dict[str, tuple[Source, Mapping[str, Any]]]:
        """Name of a data set -> (the event that last named it, its fingerprint)."""
        at, protocol = self.protocol or ((), {"data": {}})
        measured = {n: (at, f) for n, f in protocol["data"].items()}
        told = [e for e in self.of("run", "inputs") if not e.body.get("refused")]
        return measured | {n: (of_event(e), f) for e in told for n, f in (e.body.get("data") or {}).items()}

    @property
    def described(self) -> dict[str, str] | None:
        """What is known about the data: the user's description, and the fingerprints on record."""
        known = {f"{name} ({f['kind']})": f"{extent(f)}; SHA-256 {f['sha256']}" for name, (_, f) in self.inputs.items()}
        return {**(self.data or {}), **known} or None

    @property
    def described_by(self) -> Source:
        """Where that comes from: the events with the fingerprints, and what was passed in for the document."""
        events = dict.fromkeys(source for at, _ in self.inputs.values() for source in at)
        return (*events, "data") if self.data else (*events,)


def extent(f: Mapping[str, Any]) -> str:
    """The amount of data that a fingerprint covers."""
    if "rows" in f:
        return f"{f['rows']:,} rows, {plural(len(f['columns']), 'column')}"
    if "shape" in f:
        return " x ".join(map(str, f["shape"])) + f" of {f['type']}"
    return plural(len(f["files"]), "file") if "files" in f else f"{f.get('bytes', 0):,} bytes"


def as_of(
    study: StudyRecord,
    trials: Sequence[Trial],
    reports: Sequence[Report],
    events: Sequence[Event],
    position: int | None,
) -> tuple[StudyRecord, list[Trial], list[Report], list[Event]]:
    """Study, trials, reports and events at a position.

    None: that of the last event that is not about a document, so that a second one does not differ because of the first.
    Claims are not events: a trial that had not ended yet is shown as queued. Raises SpecError for a position that does
    not exist.
    """
    usual = max((e.position for e in events if e.kind != "report"), default=0)
    asked = usual if position is None else position
    position = index(asked)
    if position not in {e.position for e in events}:
        last = max((e.position for e in events), default=0)
        raise SpecError(f"at={shown(asked)} is no event; the record of {study.name!r} has events 1 to {last}")
    past = [e for e in events if e.position <= position]
    known = {n for e in past if e.kind == "enqueue" for n, _ in e.body["trials"]}
    then = [t if t.told is not None and t.told <= position else _waiting(t) for t in trials if t.number in known]
    search = {t.number: t for t in then if t.purpose is Purpose.SEARCH}
    states = [state_after(e) for e in past]
    row = replace(
        study,
        spec=specs_of(past)[-1][1],
        state=StudyState(next((s for s in reversed(states) if s), "open")),
        count=len(then),
        reserved=sum(t.state is not State.CANCELLED for t in search.values()),
        spent=spent(search, past),
        position=position,
        head=past[-1].hash,
    )
    ended = {t.number for t in then if t.told is not None}
    return row, sorted(then, key=lambda t: t.number), [r for r in reports if r.number in ended], past


def _waiting(t: Trial) -> Trial:
    """The trial as it was enqueued."""
    proposed = {name: getattr(t, name) for name in PROPOSED}
    return Trial(study=t.study, state=State.QUEUED, fidelity=t.fidelity, **proposed)
