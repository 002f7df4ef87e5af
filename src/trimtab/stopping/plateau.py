"""Plateau: stop a trial that no longer improves."""

from dataclasses import dataclass, field
from typing import ClassVar

from ..fidelity import Fidelity
from . import Score, ScoredReport, bounded


@dataclass(frozen=True)
class Plateau:
    """Stop a trial that has not improved in any goal by more than `delta` (in the metric's unit) over `patience` steps.
    Any less violation of the constraints is an improvement, too."""

    patience: float = 10.0
    delta: float = 0.0
    name: str = "plateau"
    version: ClassVar[str] = "2"

    def __post_init__(self) -> None:
        bounded(self, "patience", 1e-300, 1e300)
        bounded(self, "delta", 0.0, 1e300)

    def begin(self, fidelity: Fidelity | None) -> "_Plateaus":
        del fidelity
        return _Plateaus(self)


@dataclass
class _Plateaus:
    rule: Plateau
    best: dict[int, Score] = field(default_factory=dict)
    since: dict[int, float] = field(default_factory=dict)  # the step of each trial's last improvement

    def update(self, report: ScoredReport) -> str:
        number = report.number
        best = self.best.get(number)
        if best is None or self._better(report.score, best):
            self.best[number] = report.score if best is None else tuple(map(min, report.score, best))
            self.since[number] = report.step
            return ""
        waited = report.step - self.since[number]
        return f"plateau: no improvement for {waited:g} steps" if waited >= self.rule.patience else ""

    def _better(self, new: Score, best: Score) -> bool:
        return new[0] < best[0] or any(a < b - self.rule.delta for a, b in zip(new[1:], best[1:], strict=True))
