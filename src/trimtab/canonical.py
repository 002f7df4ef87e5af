"""One JSON text for each value, and the digests from which the record is built.

Canonical JSON here: keys sorted, no white space, UTF-8, floats in Python's shortest round-trip form, no NaN or
infinity.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


_MADE: Any = getattr(json.encoder, "c_make_encoder", None)
_FAST = _MADE and _MADE(None, _ENCODER.default, json.encoder.encode_basestring, None, ":", ",", True, False, False)
"""What JSONEncoder would create again for every value; None if Python has no C code for it."""


def dumps(value: Any) -> str:
    """The canonical JSON text of `value`. Raises ValueError for NaN and infinity."""
    return "".join(_FAST(value, 0)) if _FAST else _ENCODER.encode(value)


def same_setting(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Whether two settings are equal, types included: for Python, 1, 1.0 and True are equal."""
    return dumps(dict(a)) == dumps(dict(b))


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, in hexadecimal."""
    return hashlib.sha256(dumps(value).encode()).hexdigest()


def commitment(salt: str, text: str) -> str:
    """What represents a private text in an event: it can be checked while salt and text exist, and reveals nothing
    afterwards."""
    return hashlib.sha256(f"{salt}\n{text}".encode()).hexdigest()


def jsonable(value: Any) -> Any:
    """The JSON form of an algorithm's output: plain Python for numpy's values, None for what is not finite."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
