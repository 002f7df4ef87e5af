"""What a study runs, by its record, and whether a worker may and can run it.

A `run` event names the objective, its kind and fingerprint, and the limits of its trials. It carries no code: a worker
has its own copy, must be allowed to run it, and must have the same version of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..capture import environment
from ..checks import text
from ..errors import Damaged, ObjectiveError, SpecError
from ..live import LiveStudy
from ..objective import Command, Program, as_program, import_paths
from ..records import Change, Event, Resources, StudySpec


@dataclass(frozen=True)
class Announcement:
    """What the `run` event at `position` says that the study runs. data, refuse: see live.inputs."""

    kind: str
    text: str  # how the objective is named: see objective.Program
    fingerprint: str
    resources: Resources
    position: int
    trials: int | None = None  # run until the study has so many finished trials
    until: float | None = None  # ... or until this time, by the store's clock
    data: tuple[tuple[str, str], ...] = ()  # name and path of each file or folder that the study watches
    refuse: bool = False  # whether trials may not run with changed data

    @property
    def work(self) -> tuple[object, ...]:
        """What a worker must know to run the trials. Two announcements with equal `work` ask for the same."""
        return self.kind, self.text, self.fingerprint, self.resources, self.data, self.refuse


def announce(live: LiveStudy, program: Program, resources: Resources, workers: int, **asked: float) -> None:
    """Record, by a `run` event, what the study runs from now on. asked: until when (see Announcement). Raises
    InputChanged."""
    body = {**live.inputs.begin(program), **run_body(program, resources, workers)}
    live.storage.revise(live.id, Change("run", body={**body, **asked}))


def run_body(program: Program, resources: Resources, workers: int) -> dict[str, Any]:
    """The body of a `run` event. If the objective has a `protocol` (how results are measured), it holds that too."""
    protocol = getattr(program.call, "protocol", None)
    return {
        "objective": program.text,
        "kind": program.kind,
        "fingerprint": program.fingerprint,
        "resources": asdict(resources),
        "workers": workers,
        "environment": environment(),
        **({"protocol": dict(protocol)} if isinstance(protocol, Mapping) else {}),
    }


def latest_announcement(events: Sequence[Event]) -> Announcement | None:
    """The last announcement among events. A `run` event by which a worker joins repeats one, and does not count.

    Raises Damaged for one that no program writes.
    """
    runs = [e for e in events if e.kind == "run" and not e.body.get("joined")]
    if not runs:
        return None
    try:
        return _announcement(runs[-1].position, runs[-1].body)
    except (LookupError, TypeError, ValueError, AttributeError, SpecError) as error:
        raise Damaged(
            f"event {runs[-1].position} (run) does not say what to run ({error}); it was changed outside Trimtab"
        ) from None


def _announcement(position: int, body: Mapping[str, Any]) -> Announcement:
    watched = sorted((body.get("data") or {}).items())
    return Announcement(
        kind=text("kind", body.get("kind", "function"), ""),
        text=text("objective", body["objective"], ""),
        fingerprint=text("fingerprint", body["fingerprint"], ""),
        resources=Resources(**body.get("resources", {})),
        position=position,
        trials=body.get("trials"),
        until=body.get("until"),
        data=tuple((name, look["path"]) for name, look in watched if "path" in look),
        refuse=body.get("on_change") == "refuse",
    )


def shareable(program: Program) -> Program:
    """The objective, if workers elsewhere can load it too. Raises ObjectiveError for a function of this program."""
    if program.kind == "function":
        raise ObjectiveError(
            f"{program.text} is a function of one program, which workers elsewhere cannot have; "
            "name it as 'file.py:function' or 'package.module:function'"
        )
    return program


def load_allowed(announced: Announcement, allow: Sequence[str], spec: StudySpec) -> Program:
    """The announced objective, loaded from this worker's own files.

    allow: what the worker was told that it may run; a file or module stands for what is written in it, not for what it
    imports. Raises ObjectiveError if the objective is not among that, does not exist here, or is another version than the
    study's.
    """
    shareable(Program(announced.kind, announced.text, announced.fingerprint))
    places = [announced.text, announced.text.rpartition(":")[0]] if announced.kind == "path" else [announced.text]
    if not any(place in allow for place in places):
        raise ObjectiveError(
            f"it runs {announced.text!r}, which this worker was not allowed; add --allow {places[-1]!r}"
        )
    here = as_program(Command(announced.text) if announced.kind == "command" else announced.text, spec)
    if announced.text not in allow and not import_paths.defines(announced.text, here.call):
        raise ObjectiveError(
            f"it runs {announced.text!r}, which {places[-1]} only imports; add --allow {announced.text!r} if it may"
        )
    if here.fingerprint != announced.fingerprint:
        raise ObjectiveError(
            f"{announced.text} is not the code that the study was started with (fingerprint {here.fingerprint[:12]} here, "
            f"{announced.fingerprint[:12]} on record); bring it to the same version, or submit the study again"
        )
    return here


def locate_data(announced: Announcement, given: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """(name -> path here, names of what is missing) of the announced data: as `given`, else under the recorded path.

    The record gets names and hashes of what is there, so a recorded path counts only below the working folder. Raises
    ObjectiveError if something is missing and the study refuses changed data.
    """
    found = {name: given.get(name, path) for name, path in announced.data}
    absent = [name for name, path in found.items() if name not in given and not _is_here(Path(path))]
    if absent and announced.refuse:
        name = absent[0]
        raise ObjectiveError(f"its data {name!r} is not here ({found[name]}); name it with --data {name}=PATH")
    return {name: path for name, path in found.items() if name not in absent}, absent


def _is_here(path: Path) -> bool:
    """Whether there is something under a path below the working folder."""
    return not path.is_absolute() and ".." not in path.parts and path.exists()
