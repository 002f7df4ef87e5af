"""Canonical JSON (exactly one text for each value), the digests of it from which the record is built, and texts of values
that JSON cannot hold.

Keys are sorted, there is no white space, floats have Python's shortest round-trip form, and NaN and infinity are errors.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_MADE: Any = getattr(json.encoder, "c_make_encoder", None)
_FAST = _MADE and _MADE(None, _ENCODER.default, json.encoder.encode_basestring, None, ":", ",", True, False, False)
"""The C encoder of _ENCODER, made once: JSONEncoder.encode makes a new one for every value. None if Python has none."""


def dumps(value: Any) -> str:
    """The canonical JSON text of `value`. Raises ValueError for NaN and infinity."""
    return "".join(_FAST(value, 0)) if _FAST else _ENCODER.encode(value)


def storable(text: str) -> str:
    """The text as every store can keep it: lone surrogates and NUL are replaced."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def spelled_out(text: str) -> str:
    """The text with lone surrogates, such as those of a file name that is no UTF-8, as escapes: unlike `storable`, it keeps
    different names different."""
    return text.encode("utf-8", "backslashreplace").decode()


def same_setting(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether two settings are equal, types included: for Python, 1, 1.0 and True are equal."""
    return dumps(dict(a)) == dumps(dict(b))


def stable_repr(value: Any) -> str:
    """The repr of a value as it is in every process: a set is in order, and objects have no addresses in memory."""
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}({sorted(map(stable_repr, value))})"
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, in hexadecimal."""
    return hashlib.sha256(dumps(value).encode()).hexdigest()


def commitment(salt: str, text: str) -> str:
    """A salted hash that stands for a private text in an event. Whoever has salt and text can check it; once they are
    erased, it reveals nothing."""
    return hashlib.sha256(f"{salt}\n{text}".encode()).hexdigest()


def jsonable(value: Any) -> Any:
    """An algorithm's output in a form that JSON can hold: numpy's values as plain Python, None for NaN and infinity."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
