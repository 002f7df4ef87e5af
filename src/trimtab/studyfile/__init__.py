"""The YAML form of a study: a file's text -> a `StudyFile`, the arguments of `Study`, `Study.run` and `Study.evidence`.

Scalars follow YAML 1.2: `1e-4` is a number, only `true` and `false` are booleans, and `on`, `off`, `yes`, `no`, dates
and `010` stay what the user wrote. Every error names the file and the place in it: `study.yaml:
space.learning_rate.float: 0.1 is no list of two numbers; write [low, high]`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

from .. import checks
from ..errors import ObjectiveError, SpaceError, SpecError, nearest
from ..executors.slurm import Slurm
from ..objective import Command
from ..records import Budget, Resources
from ..space import Space
from . import parameters, values
from .values import Read
from .yaml12 import parse


@dataclass(frozen=True)
class StudyFile:
    """The contents of a study file. Relative paths in it are relative to the working directory."""

    path: Path  # absolute
    name: str
    objective: str | Command
    study: Mapping[str, Any]  # keyword arguments of Study
    workers: int = 1
    resources: Resources = field(default_factory=Resources)
    evidence: Mapping[str, Any] = field(default_factory=dict)  # keyword arguments of Study.evidence
    storage: str | None = None
    slurm: Slurm = field(default_factory=Slurm)

    @property
    def allowed(self) -> str:
        """What it runs, as `trimtab worker --allow` takes it: an import path or a command."""
        return self.objective if isinstance(self.objective, str) else self.objective.template


def read(path: str | Path) -> StudyFile:
    """The study file at `path`. Raises SpecError or SpaceError, naming file, place, value, rule and repair."""
    if Path(checks.path("file", path)).suffix == ".py":
        raise SpecError(f"{path} is a Python file; name a study file, which says objective: {path}:function")
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SpecError(f"{path}: there is no such file; the working folder is {Path.cwd()}") from None
    except IsADirectoryError:
        raise SpecError(f"{path} is a folder; name the study file in it") from None
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8 text") from None
    except OSError as error:
        raise SpecError(f"{path} cannot be read: {error.strerror}") from None
    try:
        return _study_file(Path(path).absolute(), parse(text))
    except (SpecError, SpaceError, ObjectiveError) as error:
        raise type(error)(f"{path}: {error}") from None


def scalar(text: str) -> Any:
    """The value of a YAML scalar: `3` is a number, `true` a boolean, `gbtree` a text. Raises SpecError."""
    return values.single(parse(text), text)


def _study_file(path: Path, data: Any) -> StudyFile:
    for key in data if isinstance(data, dict) else ():
        if key not in _FILE and key in _INSIDE:
            raise SpecError(f"{key} is not a key that is known here; write {_INSIDE[key]}: {{{key}: ...}}")
    given = values.keys(_FILE, data)
    for key in ("study", "space"):
        if key not in given:
            raise SpecError(f"{key} is missing; write {_EXAMPLE[key]}")
    if ("objective" in given) == ("command" in given):
        said = "both are there" if "objective" in given else "neither is there"
        raise SpecError(f"the file needs either objective (file.py:function) or command (any program); {said}")
    if "maximize" not in given and "minimize" not in given:
        raise SpecError("the study has no goal; write maximize: auc, or minimize: loss")
    metrics = [*given.get("minimize", ()), *given.get("maximize", ())]
    metric = given.get("evidence", {}).get("metric", metrics[0])
    if metric not in metrics:
        raise SpecError(f"evidence.metric: {metric!r} is none of the goals{nearest(metric, metrics)}")
    space: Space = given["space"]
    return StudyFile(
        path=path,
        name=given["study"],
        objective=given["objective"] if "objective" in given else Command(given["command"]),
        study={
            "space": space.require(*given["require"]) if "require" in given else space,
            **{key: given[key] for key in _STUDY if key in given},
        },
        workers=given.get("workers", 1),
        resources=given.get("resources", Resources()),
        evidence=given.get("evidence", {}),
        storage=given.get("storage"),
        slurm=given.get("slurm", Slurm()),
    )


_EXAMPLE = {"study": "study: a-name", "space": "space: {rate: {float: [1e-4, 0.3], log: true, default: 0.1}}"}


_ODD: Mapping[str, Read] = {  # fields that are no amounts
    "prices": values.numbers,
    "watts": values.numbers,
    "custom": values.numbers,
    "arguments": values.texts,
}


def _fields(kind: type[Budget] | type[Resources] | type[Slurm]) -> Read:
    """A reader of such an object."""
    readers = {f.name: _ODD.get(f.name, values.amount) for f in fields(kind)}

    def read_fields(value: Any, where: str) -> Any:
        given = values.keys(readers, value, where)
        try:
            return kind(**given)
        except SpecError as error:  # its message says "budget trials=0 ...": the place is in it
            raise SpecError(str(error).replace(f"{where} ", f"{where}.", 1)) from None

    return read_fields


def _stopping(value: Any, where: str) -> Any:
    """A rule's name, {rule: name, setting: value}, a list of them, or null for none."""
    if isinstance(value, list):
        return [_rule(item, f"{where}[{i}]") for i, item in enumerate(value)]
    return None if value is None else _rule(value, where)


def _rule(value: Any, where: str) -> Any:
    if isinstance(value, dict):
        return {values.text(k, where): values.single(v, f"{where}.{k}") for k, v in value.items()}
    return values.text(value, where)


_EVIDENCE: Mapping[str, Read] = {
    "replicates": values.positive,
    "test_train_ratio": values.unsigned,
    "equivalence": values.unsigned,
    "minimum_effect": values.unsigned,
    "finalists": values.positive,
    "sequential": values.flag,
    "metric": values.text,
}
_FIDELITY: Mapping[str, Read] = {
    "name": values.text,
    "low": values.number,
    "high": values.number,
    "factor": values.number,
}
_STUDY: Mapping[str, Read] = {  # keyword arguments of Study
    "minimize": values.texts,
    "maximize": values.texts,
    "subject_to": values.texts,
    "budget": _fields(Budget),
    "baseline": values.params,
    "strategy": values.text,
    "seed": values.whole,
    "replicates": values.whole,
    "retries": values.whole,
    "max_failures": lambda value, where: None if value is None else values.whole(value, where),
    "deterministic": values.flag,
    "data": values.paths,
    "on_change": values.text,
    "fidelity": partial(values.keys, _FIDELITY),
    "stopping": _stopping,
    "warm_start": values.texts,
}
_FILE: Mapping[str, Read] = {
    "study": values.text,
    "objective": values.text,
    "command": values.text,
    "space": parameters.space,
    "require": values.texts,
    **_STUDY,
    "workers": values.positive,
    "resources": _fields(Resources),
    "storage": values.text,
    "slurm": _fields(Slurm),
    "evidence": partial(values.keys, _EVIDENCE),
}
_INSIDE = {f.name: key for key, kind in (("resources", Resources), ("budget", Budget)) for f in fields(kind)}
"""What may have been meant by a key of the file that is one of a part: of two parts, the budget."""
