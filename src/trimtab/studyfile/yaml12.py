"""YAML 1.2: plain scalars of the core schema. Duplicate keys are errors, and so are Python's None and tuples unquoted."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from ..errors import SpecError
from ..yamltext import TooManyAliases, load

_PYTHON = (
    ("None", "is a text in YAML; write null for no value, or 'None' in quotes"),
    (
        r"\([^)]*",
        "begins a tuple, and YAML has none: it ends this text at the comma; write one text in quotes, as '(1, 2)'",
    ),
)
"""What looks like Python, and what to write instead."""


class _Loader(yaml.SafeLoader):
    """Safe YAML with the plain scalars of YAML 1.2's core schema, without duplicate keys and what Python reads otherwise."""

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        text = super().construct_scalar(node)
        if isinstance(node, yaml.ScalarNode) and node.style is None:  # without quotes
            for pattern, repair in _PYTHON:
                if re.fullmatch(pattern, text):
                    raise SpecError(f"{_place(node.start_mark)}: {text} {repair}")
        return text

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():  # what is none is refused below
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


_Loader.yaml_implicit_resolvers = {}  # none of YAML 1.1's
for _tag, (_pattern, _first, _make) in _SCALARS.items():
    _uri = f"tag:yaml.org,2002:{_tag}"
    _Loader.add_implicit_resolver(_uri, re.compile(f"^(?:{_pattern})$"), [*_first, ""] if _tag == "null" else [*_first])
    _Loader.add_constructor(_uri, _scalar(_make))


def parse(text: str) -> Any:
    """The one document in `text`."""
    try:
        return load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = " ".join(filter(None, [error.context, error.problem]))
        quotes = "; a text that holds ': ' needs quotes around it" if why.startswith("mapping values") else ""
        raise SpecError(f"{_place(mark)}: this is no YAML: {why}{quotes}") from None
    except TooManyAliases as error:
        raise SpecError(str(error)) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SpecError(f"this is no YAML: {' '.join(str(error).split())}") from None


def _place(mark: yaml.Mark | None) -> str:
    return "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}"
