"""The one reader of YAML. It limits aliases, by which a small file could fill the memory."""

from typing import Any

import yaml

MOST = 100_000  # values that the aliases (*name) of a document may stand for, beyond those that are written


class TooManyAliases(yaml.YAMLError):
    """The aliases of a document stand for too many values."""


def load(text: str | bytes, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """The one document in `text`; None if there is none. Raises yaml.YAMLError (TooManyAliases is one) if it cannot be read."""
    reader = loader(text)
    try:
        root = reader.get_single_node()
        if root is None:
            return None
        sizes: dict[int, int] = {}
        if _size(root, sizes) - len(sizes) > MOST:
            raise TooManyAliases(
                f"its aliases (*name) stand for more than {MOST:,} values; write out what is needed of them"
            )
        return reader.construct_document(root)
    except (LookupError, AttributeError):  # so PyYAML answers `!!bool maybe`
        raise yaml.YAMLError("a value is none of the type that its tag (!!...) names") from None
    except (ValueError, RecursionError) as error:
        raise yaml.YAMLError(str(error)) from None
    finally:
        reader.dispose()


def _size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """How many values a node stands for, with those inside it. sizes: of the nodes seen so far; 0 while one is not done."""
    known = sizes.get(id(node))
    if known == 0:
        raise TooManyAliases("an alias (*name) stands inside what it names; write out what is needed of it")
    if known is None:
        sizes[id(node)] = 0
        inside = node.value if isinstance(node, yaml.CollectionNode) else []
        parts = [part for item in inside for part in (item if isinstance(item, tuple) else (item,))]
        sizes[id(node)] = known = 1 + sum(_size(part, sizes) for part in parts)
    return known
