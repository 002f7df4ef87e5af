"""The witness file, outside the database: one JSON line with the head of a study's chain after each commit.

A record that was cut short, or replaced by an older copy, is still a valid chain; only something outside the database
can tell that it was longer. If the file is lost, only that is lost: nothing needs it to work.
"""

import json
import logging
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from ..canonical import dumps

_log = logging.getLogger(__name__)


def append(file: Path, heads: Sequence[tuple[str, int, str]]) -> None:
    """Add (uid, position, hash) lines in one write; a failure is logged, once, and ignored."""
    lines = "".join(dumps({"uid": uid, "position": position, "hash": head}) + "\n" for uid, position, head in heads)
    try:
        handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            os.write(handle, lines.encode())
        finally:
            os.close(handle)
    except OSError as error:
        _warn(file, str(error))


@cache
def _warn(file: Path, why: str) -> None:
    """Warn of a line that could not be written, once for each reason: there is a line for every event."""
    _log.warning("%s: the witness line could not be written (%s); the record itself is safe", file, why)


def read(file: Path, uid: str) -> list[tuple[int, str]]:
    """(position, hash) of the study's lines. Lines that a crash or a full disk has cut short are skipped."""
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:  # of all studies: there may be very many
            return [found for line in lines if uid in line and (found := _parse(line, uid)) is not None]
    except FileNotFoundError:
        return []
    except OSError as error:
        _log.warning("%s: the witness file could not be read (%s)", file, error)
        return []


def _parse(line: str, uid: str) -> tuple[int, str] | None:
    try:
        entry = json.loads(line)
        return (int(entry["position"]), str(entry["hash"])) if entry["uid"] == uid else None
    except (ValueError, TypeError, KeyError):
        return None
