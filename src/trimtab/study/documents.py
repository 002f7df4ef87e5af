"""A study's report: the record as of a position and a template become the content of a file, and the body of its event."""

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from .. import checks
from ..canonical import digest, storable
from ..capture import environment
from ..checks import shown
from ..dossier.frameworks import framework
from ..dossier.quoted import quoted
from ..dossier.record import record
from ..engine.blas import one_thread
from ..errors import SpecError
from ..records import Event, StudyRecord, Trial
from ..reports.document import render
from ..reports.snapshot import Snapshot, as_of
from ..storage import Storage

STUDY = "study"
"""The template of the usual report, which follows no framework: the answer comes first."""
FORMS = (".html", ".docx", ".json")


def snapshot(
    storage: Storage, study: StudyRecord, trials: Sequence[Trial], findings: Sequence[str], at: int | None, **given: Any
) -> Snapshot:
    """The study as of event `at` (None: the last one). given: data, card and previous, as in Study.report."""
    events = storage.events(study.id)[: study.position]
    then = as_of(study, trials, storage.reports(study.id), events, at)
    return Snapshot(*then, findings, **given)


def written(s: Snapshot, template: str, form: str) -> tuple[bytes, dict[str, Any]]:
    """The report's content, and the body of its event: template, position, and the hashes of report and evidence
    record."""
    with one_thread():
        made = record(s, environment()["packages"]["trimtab"])
        content = _content(s, made, template, form)
    body = {"template": template, "position": s.study.position, "form": form[1:], "record": made["sha256"]}
    return content, {**body, "sha256": hashlib.sha256(content).hexdigest()}


def _content(s: Snapshot, made: Mapping[str, Any], template: str, form: str) -> bytes:
    """The report's content. made: the evidence record, which is the same whatever the template; a wrong one is refused
    nevertheless, since the event names it."""
    chosen = None if template == STUDY else framework(template)
    if form == ".json":
        return json.dumps(made, indent=1, ensure_ascii=False, sort_keys=True).encode() + b"\n"
    if form == ".docx":
        from ..dossier.word import word

        return word(s, chosen or framework("us-sr-26-2-2026"), made)
    if chosen is None:
        return render(s, made).encode()
    from ..dossier.page import page

    return page(s, chosen, made).encode()


def form_of(path: Path) -> str:
    """The format that a file's name asks for. Raises SpecError."""
    form = path.suffix.lower()
    if form not in FORMS:
        raise SpecError(f"{path}: a report is written as {', '.join(FORMS)}; name the file so")
    return form


def card_of(given: Any) -> Mapping[str, Any] | None:
    """What a person has filled in, {item: text or {field: text}}: a mapping, or a YAML file. Raises SpecError."""
    if not isinstance(given, str | os.PathLike):
        return described(given, "card")
    where = f"card {os.fspath(given)}"
    try:
        loaded = quoted(Path(given).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SpecError(f"{where} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(loaded, dict | None):
        raise SpecError(f"{where} is no mapping; write `purpose: {{use: ...}}`")
    return described(loaded or {}, where)


def described(given: Any, word: str) -> Mapping[str, Any] | None:
    """A user's mapping as plain JSON. Raises SpecError for anything else, and for a mapping that holds itself."""
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise SpecError(f"{word}={shown(given)} is no mapping; write {{name: text}}")
    try:
        return {storable(str(k)): _texts(v) for k, v in given.items()}
    except RecursionError:
        raise SpecError(f"{word} is nested too deeply; write {{name: text}}") from None


def _texts(value: Any) -> Any:
    """A value as JSON: what JSON does not have (dates, NaN, ...) as text."""
    if isinstance(value, Mapping):
        return {storable(str(k)): _texts(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_texts(v) for v in value]
    known = isinstance(value, int | None) or (isinstance(value, float) and math.isfinite(value))
    return value if known else storable(str(value))


def previous_of(given: Any) -> Mapping[str, Any] | None:
    """The evidence record of the study that was approved before: a mapping, or the .json or .html that holds it.

    Raises SpecError if there is no such record, or if it does not fit its own hash.
    """
    if given is None:
        return None
    where = "previous" if isinstance(given, Mapping) else f"previous {os.fspath(checks.path('previous', given))}"
    try:
        found = given if isinstance(given, Mapping) else _record_in(Path(given))
        if not isinstance(found, Mapping) or not {"items", "study", "sha256"} <= found.keys():
            raise ValueError("it holds no evidence record")
        held = digest({k: v for k, v in found.items() if k != "sha256"})
    except (OSError, TypeError, ValueError, RecursionError) as error:
        raise SpecError(f"{where} cannot be read: {error}") from None
    if held != found["sha256"]:
        raise SpecError(f"{where} was edited: its content does not fit its hash; name the document that was approved")
    return found


def _record_in(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    return json.loads(embedded(text) if path.suffix.lower() == ".html" else text)


def embedded(html: str) -> str:
    """The evidence record in an HTML report, as JSON text. Raises ValueError if there is none."""
    _, begin, rest = html.partition('<script type="application/json" id="evidence">')
    text, end, _ = rest.partition("</script>")
    if not begin or not end:
        raise ValueError("it holds no evidence record")
    return text


def unrecorded(path: str | os.PathLike[str], events: Sequence[Event]) -> list[str]:
    """A finding if a report is not, byte for byte, one whose hash an event holds. Raises SpecError if the file cannot be
    read."""
    try:
        with open(path, "rb") as file:
            sha = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SpecError(f"report {os.fspath(path)!r} cannot be read: {error.strerror}") from None
    known = {e.body["sha256"] for e in events if e.kind == "report"}
    if sha in known:
        return []
    return [f"{os.fspath(path)}: no report event holds its hash {sha[:16]}; it was edited, or is not of this study"]
