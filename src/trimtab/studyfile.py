"""The YAML form of a study: a file's text -> a `StudyFile`, the arguments of `Study`, `Study.run` and `Study.evidence`.

Scalars are read as YAML 1.2 does: `1e-4` is a number, only `true` and `false` are truth values, and `on`, `off`, `yes`,
`no`, dates and `010` stay what the user wrote. Every error names the file and the place in it:
`study.yaml: space.learning_rate.float: 0.1 is no list of two numbers; write [low, high]`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from .errors import ObjectiveError, SpaceError, SpecError, nearest
from .executors.slurm import Slurm
from .objective import Command
from .records import Budget, Resources
from .space import Choice, Float, Int, Space

Read = Callable[[Any, str], Any]  # (value, where it stands) -> the checked value


@dataclass(frozen=True)
class StudyFile:
    """What a study file says. Relative paths in it are relative to the working folder."""

    path: Path  # absolute
    name: str
    objective: str | Command
    study: Mapping[str, Any]  # keyword arguments of Study
    workers: int = 1
    resources: Resources = field(default_factory=Resources)
    evidence: Mapping[str, Any] = field(default_factory=dict)  # keyword arguments of Study.evidence
    storage: str | None = None
    slurm: Slurm = field(default_factory=Slurm)


def read(path: str | Path) -> StudyFile:
    """The study file at `path`. Raises SpecError or SpaceError, naming file, place, value, rule and repair."""
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
        return _study_file(Path(path).absolute(), _parse(text))
    except (SpecError, SpaceError, ObjectiveError) as error:
        raise type(error)(f"{path}: {error}") from None


# --------------------------------------------------------------------------------------------------------------- YAML


class _Loader(yaml.SafeLoader):
    """Safe YAML with the plain scalars of YAML 1.2's core schema, in which a key may not stand twice."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own attribute): none of YAML 1.1's

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise SpecError(f"{_place(key.start_mark)}: {key.value!r} stands twice in one mapping; remove one")
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _bool(text: str) -> bool:
    return text.lower() == "true"


def _float(text: str) -> float:
    return float(re.sub(r"\.(?=[in])", "", text.lower()))  # .inf and .nan


def _none(_: str) -> None:
    return None


_SCALARS: Mapping[str, tuple[str, str, Callable[[str], Any]]] = {  # tag -> pattern, first characters, value
    "bool": ("true|True|TRUE|false|False|FALSE", "tTfF", _bool),
    "int": ("[-+]?[0-9]+", "-+0123456789", int),
    "float": (
        r"[-+]?(?:(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
        _float,
    ),
    "null": ("~|null|Null|NULL|", "~nN", _none),
}


def _scalar(make: Callable[[str], Any]) -> Callable[[yaml.SafeLoader, yaml.ScalarNode], Any]:
    return lambda _, node: make(node.value)


for _tag, (_pattern, _first, _make) in _SCALARS.items():
    _uri = f"tag:yaml.org,2002:{_tag}"
    _Loader.add_implicit_resolver(_uri, re.compile(f"^(?:{_pattern})$"), [*_first, ""] if _tag == "null" else [*_first])
    _Loader.add_constructor(_uri, _scalar(_make))


def _parse(text: str) -> Any:
    """The one document in `text`."""
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = " ".join(filter(None, [error.context, error.problem]))
        raise SpecError(f"{_place(mark)}: this is no YAML: {why}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SpecError(f"this is no YAML: {' '.join(str(error).split())}") from None


def scalar(text: str) -> Any:
    """The value of a YAML scalar: `3` is a number, `true` a truth value, `gbtree` a text. Raises SpecError."""
    return _scalar_value(_parse(text), text)


def _place(mark: yaml.Mark | None) -> str:
    return "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}"


# ------------------------------------------------------------------------------------------------------ what keys mean


def _study_file(path: Path, data: Any) -> StudyFile:
    given = _keys(_FILE, data, "")
    for key in ("study", "space"):
        if key not in given:
            raise SpecError(f"{key} is missing; write {_EXAMPLE[key]}")
    if ("objective" in given) == ("command" in given):
        said = "both are there" if "objective" in given else "neither is there"
        raise SpecError(f"the file needs either objective (file.py:function) or command (any program); {said}")
    if "maximize" not in given and "minimize" not in given:
        raise SpecError("the study has no goal; write maximize: auc, or minimize: loss")
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


def _keys(known: Mapping[str, Read], data: Any, where: str) -> dict[str, Any]:
    """The mapping `data` with each value read by the reader of its key. Unknown keys are errors."""
    at = where.removesuffix(".")
    if not isinstance(data, dict):
        what = "is empty" if data is None else f"is {_shown(data)}"
        raise SpecError(f"{at or 'the file'} {what}; write a mapping with keys such as {', '.join(list(known)[:4])}")
    for key in data:
        if key not in known:
            raise SpecError(f"{where}{key} is not a key that is known here{nearest(str(key), known)}")
    return {key: known[key](value, f"{where}{key}") for key, value in data.items()}


def _wrong(where: str, value: Any, repair: str) -> SpecError:
    return SpecError(f"{where}: {'nothing is there' if value is None else _shown(value)}; {repair}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        hint = f', in quotes: "{value}"' if isinstance(value, int | float) else ""
        raise _wrong(where, value, f"a text is needed here{hint}")
    return value


def _texts(value: Any, where: str) -> list[str]:
    """One text or a list of texts, as a list."""
    if isinstance(value, list) and value:
        return [_text(item, f"{where}[{i}]") for i, item in enumerate(value)]
    return [_text(value, where)]


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(where, value, "a number is needed here, without quotes")
    return value


def _whole(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(where, value, "a whole number is needed here")
    return value


def _positive(value: Any, where: str) -> int:
    if _whole(value, where) < 1:
        raise _wrong(where, value, "a whole number of at least 1 is needed here")
    return int(value)


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(where, value, "write true or false")
    return value


def _amount(value: Any, where: str) -> Any:
    """A number, a text with a unit ("30m", "2GiB"), or nothing for no limit: the record checks units."""
    return value if value is None or isinstance(value, str) else _number(value, where)


def _scalar_value(value: Any, where: str) -> Any:
    if isinstance(value, list | dict):
        raise _wrong(where, value, "a single value is needed here")
    return value


def _params(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(where, value, "write {parameter: value, ...}")
    return {_text(k, f"{where}: a parameter's name"): _scalar_value(v, f"{where}.{k}") for k, v in value.items()}


def _numbers(value: Any, where: str) -> dict[str, float]:
    if not isinstance(value, dict):
        raise _wrong(where, value, "write {name: number, ...}")
    return {_text(k, f"{where}: a name"): _number(v, f"{where}.{k}") for k, v in value.items()}


def _fields(kind: type[Budget] | type[Resources]) -> Read:
    """A reader of Budget or Resources."""

    def read_fields(value: Any, where: str) -> Any:
        readers: dict[str, Read] = dict.fromkeys((f.name for f in fields(kind)), _amount)
        readers |= {name: _numbers for name in ("prices", "watts", "custom") if name in readers}
        given = _keys(readers, value, f"{where}.")
        try:
            return kind(**given)
        except SpecError as error:  # its message says "budget trials=0 ...": the place is in it
            raise SpecError(str(error).replace(f"{where} ", f"{where}.", 1)) from None

    return read_fields


def _slurm(value: Any, where: str) -> Slurm:
    readers: dict[str, Read] = dict.fromkeys((f.name for f in fields(Slurm)), _amount)
    given = _keys({**readers, "arguments": _texts}, value, f"{where}.")
    try:
        return Slurm(**given)
    except SpecError as error:
        raise SpecError(str(error).replace(f"{where} ", f"{where}.", 1)) from None


# --------------------------------------------------------------------------------------------------------------- space


def _space(value: Any, where: str) -> Space:
    if not isinstance(value, dict) or not value:
        raise _wrong(where, value, "write one parameter a line, such as rate: {float: [0.01, 0.3], log: true}")
    params = {_text(k, f"{where}: a parameter's name"): _parameter(v, f"{where}.{k}") for k, v in value.items()}
    try:
        return Space(params)
    except SpaceError as error:  # begins with the parameter's name
        raise SpaceError(f"{where}.{error}") from None


def _parameter(value: Any, where: str) -> Float | Int | Choice:
    kinds = [k for k in ("float", "int", "choice") if isinstance(value, dict) and k in value]
    if len(kinds) != 1:
        if isinstance(value, dict) and value and not kinds:
            _keys({**_RANGE, **_CHOICE}, value, f"{where}.")
        raise _wrong(where, value, "write one of {float: [low, high]}, {int: [low, high]} or {choice: [a, b, ...]}")
    given = _keys(_CHOICE if kinds == ["choice"] else _RANGE, value, f"{where}.")
    domain = given.pop(kinds[0])
    if kinds == ["choice"]:
        return Choice(*domain, **given)
    return Float(*domain, **given) if kinds == ["float"] else Int(*domain, **given)


def _bounds(value: Any, where: str) -> list[float]:
    if not isinstance(value, list) or len(value) != 2:
        raise _wrong(where, value, "two numbers are needed here: [low, high]")
    return [_number(item, f"{where}[{i}]") for i, item in enumerate(value)]


def _options(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise _wrong(where, value, "a list of options is needed here: [a, b, ...]")
    return [_scalar_value(item, f"{where}[{i}]") for i, item in enumerate(value)]


def _prior(value: Any, where: str) -> Any:
    """A centre, or [centre, confidence]."""
    if isinstance(value, list):
        if len(value) != 2:
            raise _wrong(where, value, "write a centre, or [centre, low | medium | high]")
        return (_scalar_value(value[0], where), _text(value[1], where))
    return value


def _when(value: Any, where: str) -> dict[str, list[Any]]:
    if not isinstance(value, dict) or not value:
        raise _wrong(where, value, "write {parent: [values]}")
    return {
        _text(k, f"{where}: a parameter's name"): _options(v if isinstance(v, list) else [v], f"{where}.{k}")
        for k, v in value.items()
    }


def _stopping(value: Any, where: str) -> Any:
    """A rule's name, {rule: name, setting: value}, a list of them, or nothing for none."""
    if isinstance(value, list):
        return [_stopping(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, dict):
        return {_text(k, where): _scalar_value(v, f"{where}.{k}") for k, v in value.items()}
    return None if value is None else _text(value, where)


_RANGE: Mapping[str, Read] = {
    "float": _bounds,
    "int": _bounds,
    "log": _flag,
    "step": _number,
    "default": _number,
    "prior": _prior,
    "when": _when,
}
_CHOICE: Mapping[str, Read] = {
    "choice": _options,
    "ordered": _flag,
    "default": _scalar_value,
    "prior": _prior,
    "when": _when,
}
_EVIDENCE: Mapping[str, Read] = {
    "replicates": _positive,
    "test_train_ratio": _number,
    "equivalence": _number,
    "minimum_effect": _number,
    "finalists": _positive,
    "sequential": _flag,
    "metric": _text,
}
_FIDELITY: Mapping[str, Read] = {"name": _text, "low": _number, "high": _number, "factor": _number}
_STUDY: Mapping[str, Read] = {  # keyword arguments of Study
    "minimize": _texts,
    "maximize": _texts,
    "subject_to": _texts,
    "budget": _fields(Budget),
    "baseline": _params,
    "strategy": _text,
    "seed": _whole,
    "replicates": _whole,
    "retries": _whole,
    "max_failures": _whole,
    "deterministic": _flag,
    "data": lambda value, where: {k: _text(v, f"{where}.{k}") for k, v in _params(value, where).items()},
    "on_change": _text,
    "fidelity": lambda value, where: _keys(_FIDELITY, value, f"{where}."),
    "stopping": _stopping,
    "warm_start": _texts,
}
_FILE: Mapping[str, Read] = {
    "study": _text,
    "objective": _text,
    "command": _text,
    "space": _space,
    "require": _texts,
    **_STUDY,
    "workers": _positive,
    "resources": _fields(Resources),
    "storage": _text,
    "slurm": _slurm,
    "evidence": lambda value, where: _keys(_EVIDENCE, value, f"{where}."),
}
