"""Metrics in what a command prints. Those from JSON lines take precedence over those from other lines."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .metrics import real
from .trial import ActiveTrial

# What is unclear is kept as a text, which is no metric, instead of its first digits: 12 345.6 (one number, or two?), 1,234.5 or
# 0,93 or 45/50.
_GROUPED = r"[-+]?[1-9]\d{0,2}(?:[ '’\u00a0\u202f]\d{3})+(?!\w)(?:[.,]\d+)?"
_NUMBER = rf"((?!{_GROUPED})[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|nan|inf(?:inity)?))(?!\w|[.,/]\d)"
_UNCLEAR = rf"({_GROUPED}|[-+]?[\d.]+[,/][\d.,/]*\d)"
_COLOUR = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")  # and other control sequences of terminals (ECMA-48)


class PrintedMetrics:
    """The metrics seen so far; of each, the last value counts. needed: the metrics that the study needs."""

    def __init__(self, needed: Sequence[str]) -> None:
        self._needed = tuple(needed)
        self._patterns = {
            m: re.compile(rf"(?<![\w.-]){re.escape(m)}[\"']?(?:\s*[:=]\s*|\s+)(?:{_NUMBER}|{_UNCLEAR})", re.IGNORECASE)
            for m in needed
        }
        self._printed: dict[str, float | str] = {}  # by lines such as `auc: 0.91`
        self._filed: dict[str, Any] = {}  # by JSON lines of the result file
        self._json: dict[str, Any] = {}  # by JSON lines on standard output
        self._last = ""  # the last line that was not blank

    def line(self, text: str, trial: ActiveTrial) -> bool:
        """Read a line of standard output. Returns whether it was a report."""
        text = _COLOUR.sub("", text)
        self._last = text.strip() or self._last
        entry = _object(text)
        if entry is not None and ("step" in entry or any(m in entry for m in self._needed)):
            self._json.update(self._useful(entry))
            return _report(entry, trial)
        for metric, pattern in self._patterns.items():
            for match in pattern.finditer(text):
                self._printed[metric] = float(match[1]) if match[1] else match[2]
        return False

    def entry(self, text: str, trial: ActiveTrial) -> bool:
        """Read a line of the result file. Returns whether it was a report."""
        entry = _object(text)
        if entry is None:
            return False
        self._filed.update(self._useful(entry))
        return _report(entry, trial)

    def metrics(self) -> dict[str, Any]:
        """What was found: needed metrics whatever their value, others only if they are numbers.

        If nothing was found, one metric is needed, and the last line is just a number, then it is that.
        """
        found = {**self._printed, **self._filed, **self._json}
        if not found and len(self._needed) == 1 and re.fullmatch(_NUMBER, self._last, re.IGNORECASE):
            return {self._needed[0]: float(self._last)}
        return found

    def _useful(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in entry.items() if k in self._needed or (k != "step" and real(v) is not None)}


def _object(text: str) -> dict[str, Any] | None:
    """The line as a JSON object; None if it is none."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _report(entry: Mapping[str, Any], trial: ActiveTrial) -> bool:
    """Pass an entry on as a report if it has a step and metrics. Returns whether it has."""
    metrics = {k: v for k, v in entry.items() if k != "step" and real(v) is not None}
    if "step" not in entry or not metrics:
        return False
    trial.report(entry["step"], **metrics)
    return True
