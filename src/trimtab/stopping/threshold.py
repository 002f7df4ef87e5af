"""Threshold: stop a trial that has passed a limit."""

from dataclasses import dataclass
from typing import ClassVar

from ..errors import SpecError
from ..fidelity import Fidelity
from . import ScoredReport, bounded


@dataclass(frozen=True)
class Threshold:
    """Stop a trial whose `metric` lies above or below a limit after `after` steps: it diverges, or is hopeless."""

    metric: str = ""
    above: float | None = None
    below: float | None = None
    after: float = 0.0
    name: str = "threshold"
    version: ClassVar[str] = "2"

    def __post_init__(self) -> None:
        named = isinstance(self.metric, str) and self.metric
        if not named or (self.above is None and self.below is None):
            raise SpecError(
                "stopping 'threshold' needs a metric and a limit: Threshold('loss', above=10.0) stops what lies above"
            )
        for name in ("above", "below", "after"):
            if name == "after" or getattr(self, name) is not None:
                bounded(self, name, -1e300, 1e300)

    def begin(self, fidelity: Fidelity | None) -> "Limits":
        del fidelity
        return Limits(self)


@dataclass(frozen=True)
class Limits:
    """The state: there is none. It judges every report of the metric, also one that lacks a goal."""

    rule: Threshold

    def update(self, report: ScoredReport) -> str:
        rule, value = self.rule, report.metrics.get(self.rule.metric)
        if value is None or report.step < rule.after:
            return ""
        if rule.above is not None and value > rule.above:
            return f"threshold: {rule.metric} = {value:g} is above {rule.above:g}"
        if rule.below is not None and value < rule.below:
            return f"threshold: {rule.metric} = {value:g} is below {rule.below:g}"
        return ""
