"""YAML whose values are quoted in a document: each is the text that was written (`no`, `010`, `4.10`), but for null."""

from typing import Any

import yaml

from ..yamltext import load

_NULL = "tag:yaml.org,2002:null"


class _AsWritten(yaml.SafeLoader):
    """Safe YAML that reads no value as a boolean, a number or a date."""


_AsWritten.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag == _NULL]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def quoted(text: str) -> Any:
    """The document in `text`. Raises yaml.YAMLError."""
    return load(text, _AsWritten)
