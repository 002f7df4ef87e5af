"""One JSON text for each value, and the digests that the record is built from.

Canonical JSON here: keys sorted, no white space, UTF-8, floats as Python's shortest round-trip form, no NaN or infinity.
"""

import hashlib
import json
from typing import Any

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def dumps(value: Any) -> str:
    """The canonical JSON text of `value`. Raises ValueError for NaN and infinity."""
    return _ENCODER.encode(value)


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, in hexadecimal."""
    return hashlib.sha256(dumps(value).encode()).hexdigest()


def commitment(salt: str, text: str) -> str:
    """What stands for a private text in an event: it can be checked while salt and text exist, and says nothing after."""
    return hashlib.sha256(f"{salt}\n{text}".encode()).hexdigest()
