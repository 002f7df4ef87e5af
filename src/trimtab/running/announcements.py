"""What a study runs, as its record names it, and whether a worker's own options allow that.

A `run` event names the objective, its kind and fingerprint, and the limits of its trials. It carries no code: a worker
has its own copy, must be allowed to run it, and must have the same version of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import ObjectiveError
from ..objective import Command, Program, program
from ..records import Event, Resources, StudySpec


@dataclass(frozen=True)
class Announcement:
    """An objective by name. position: of the event that announced it."""

    kind: str
    text: str
    fingerprint: str
    resources: Resources
    position: int
    trials: int | None = None  # what that call of `run` asked for, where it was one
    until: float | None = None  # by the time of the store
    data: tuple[tuple[str, str], ...] = ()  # name and path of each file or folder that is watched
    refuse: bool = False  # whether nothing may run on other data

    @property
    def what(self) -> tuple[object, ...]:
        """What is run and how, whoever announced it."""
        return self.kind, self.text, self.fingerprint, self.resources, self.data, self.refuse


def facts(called: Program, resources: Resources, workers: int, environment: dict[str, Any]) -> dict[str, Any]:
    """The body of a `run` event. protocol: how results are measured, if the objective says so about itself."""
    protocol = getattr(called.call, "protocol", None)
    return {
        "objective": called.text,
        "kind": called.kind,
        "fingerprint": called.fingerprint,
        "resources": asdict(resources),
        "workers": workers,
        "environment": environment,
        **({"protocol": dict(protocol)} if isinstance(protocol, Mapping) else {}),
    }


def latest(events: Sequence[Event]) -> Announcement | None:
    """The last announcement among events. That a worker has joined is not one."""
    said = [e for e in events if e.kind == "run" and not e.body.get("joined")]
    if not said:
        return None
    body = said[-1].body
    watched = sorted((body.get("data") or {}).items())
    return Announcement(
        kind=body.get("kind", "function"),
        text=body["objective"],
        fingerprint=body["fingerprint"],
        resources=Resources(**body.get("resources", {})),
        position=said[-1].position,
        trials=body.get("trials"),
        until=body.get("until"),
        data=tuple((name, look["path"]) for name, look in watched if "path" in look),
        refuse=body.get("on_change") == "refuse",
    )


def shared(called: Program) -> Program:
    """The objective, if other machines can have it. Raises ObjectiveError."""
    if called.kind == "function":
        raise ObjectiveError(
            f"{called.text} is a function of one program, which workers elsewhere cannot have; "
            "name it as 'file.py:function' or 'package.module:function'"
        )
    return called


def allowed(said: Announcement, allow: Sequence[str], spec: StudySpec) -> Program:
    """The announced objective as it exists here. Raises ObjectiveError that says what keeps this worker from running
    it."""
    shared(Program(said.kind, said.text, said.fingerprint))
    places = [said.text, said.text.rpartition(":")[0]] if said.kind == "path" else [said.text]
    if not any(place in allow for place in places):
        raise ObjectiveError(f"it runs {said.text!r}, which this worker was not allowed; add --allow {places[-1]!r}")
    here = program(Command(said.text) if said.kind == "command" else said.text, spec)
    if here.fingerprint != said.fingerprint:
        raise ObjectiveError(
            f"{said.text} is not the code that the study was started with (fingerprint {here.fingerprint[:12]} here, "
            f"{said.fingerprint[:12]} on record); bring it to the same version, or submit the study again"
        )
    return here


def located(said: Announcement, given: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Where the announced data is here (as `given` by name, else under the recorded path), and the names of what is
    missing.

    Raises ObjectiveError if something is missing and the study refuses other data, SpecError for a given path that does
    not exist.
    """
    found = {name: given.get(name, path) for name, path in said.data}
    absent = [name for name, path in found.items() if name not in given and not Path(path).exists()]
    if absent and said.refuse:
        name = absent[0]
        raise ObjectiveError(f"its data {name!r} is not here ({found[name]}); name it with --data {name}=PATH")
    return {name: path for name, path in found.items() if name not in absent}, absent
