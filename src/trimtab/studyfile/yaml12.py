"""YAML 1.2: plain scalars of the core schema. Duplicate keys are errors, and so are Python's None and tuples unquoted."""

import re
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

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        return int(self.construct_scalar(node))  # 010 is ten


_SCALARS = {  # tag -> pattern, first characters
    "bool": ("true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    "int": ("[-+]?[0-9]+", [*"-+0123456789"]),
    "float": (
        r"[-+]?(?:(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)",
        [*"-+.0123456789"],
    ),
    "null": ("~|null|Null|NULL|", [*"~nN", ""]),
}
_Loader.yaml_implicit_resolvers = {}  # none of YAML 1.1's
for _tag, (_pattern, _first) in _SCALARS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


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
    except yaml.YAMLError as error:
        raise SpecError(f"this is no YAML: {' '.join(str(error).split())}") from None


def _place(mark: yaml.Mark | None) -> str:
    return "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}"
