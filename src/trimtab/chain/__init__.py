"""The hash chain: how events are linked, what they cover of a trial, and how a record is checked against them.

An event's hash is SHA-256 over the previous event's hash and its own canonical JSON; before the first event stands the
study's uid. An `enqueue` event holds a digest of each new trial as it was proposed. The event that ends a trial holds a
digest of its row and its reports, and commitments to its private texts. So if one byte of an event or a row changes, it
no longer fits, and `verify.findings` names the place.

    verify  whether a record fits its chain
    seals   signed checkpoints of a chain
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ..canonical import commitment, digest
from ..records import Event, Json, Report, Trial

PROPOSED = "number purpose params seed strategy version why seen at batch parent replicate priority created".split()
"""The fields of a trial, besides its fidelity, that are known when it is enqueued."""
_ENDED = "number state metrics reason attempt started ended".split()
ENDS = frozenset({"finish", "cancel", "import"})
"""Kinds of events that end a trial."""


def link(previous: str, position: int, kind: str, number: int | None, at: float, body: Json) -> Event:
    """The next event of a chain whose last hash is `previous` (the study's uid before the first event)."""
    content = {"previous": previous, "position": position, "kind": kind, "number": number, "at": at, "body": dict(body)}
    return Event(position, kind, number, at, body, digest(content))


def proposed(trial: Trial) -> str:
    """Digest of a trial as it was proposed, which later changes of its row do not affect."""
    row = {k: _plain(getattr(trial, k)) for k in PROPOSED}
    if trial.fidelity is not None:
        row["fidelity"] = trial.fidelity
    return digest(row)


def ended(trial: Trial, reports: Iterable[Report]) -> str:
    """Digest of a trial as it ended, with the reports of all its attempts. Private texts are left out: events commit to
    them separately, so that they can be erased."""
    row = {k: _plain(getattr(trial, k)) for k in _ENDED}
    row["cost"] = trial.cost.to_json()
    if trial.curve:
        row["curve"] = [[step, dict(metrics)] for step, metrics in sorted(trial.curve.items())]
    if trial.verdict:
        row["verdict"] = dict(trial.verdict)
    in_order = sorted(reports, key=lambda r: (r.attempt, r.step))
    row["reports"] = [[r.attempt, r.step, dict(r.metrics), r.at] for r in in_order]
    return digest(row)


def commitments(private: Json) -> dict[str, Any]:
    """What the event that ends a trial says about its private texts: a salted hash of each."""
    made: dict[str, Any] = {k: commitment(*private[k]) for k in ("error", "output", "worker") if k in private}
    made["notes"] = [commitment(*note) for note in private.get("notes", [])]
    return made


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value
