"""Rules that look at one curve alone: it improves no more, or it has passed a limit."""

from dataclasses import dataclass, field

from ..errors import SpecError
from ..fidelity import Fidelity
from . import Heard, Score, within


@dataclass(frozen=True)
class Plateau:
    """Stop a trial that has not improved in any goal by more than `delta` (in the metric's unit) over `patience` steps."""

    patience: float = 10.0
    delta: float = 0.0
    name: str = "plateau"

    def __post_init__(self) -> None:
        within(self.name, "patience", self.patience, 1e-300, 1e300)
        within(self.name, "delta", self.delta, 0.0, 1e300)

    def begin(self, fidelity: Fidelity | None) -> "_Plateaus":
        del fidelity
        return _Plateaus(self)


@dataclass
class _Plateaus:
    rule: Plateau
    best: dict[int, Score] = field(default_factory=dict)
    since: dict[int, float] = field(default_factory=dict)  # the step of each trial's last improvement

    def hear(self, heard: Heard) -> str:
        number = heard.number
        best = self.best.get(number)
        if best is None or any(new < old - self.rule.delta for new, old in zip(heard.score, best, strict=True)):
            self.best[number] = heard.score if best is None else tuple(map(min, heard.score, best))
            self.since[number] = heard.step
            return ""
        waited = heard.step - self.since[number]
        return f"plateau: no improvement for {waited:g} steps" if waited >= self.rule.patience else ""


@dataclass(frozen=True)
class Threshold:
    """Stop a trial whose `metric` lies above or below a limit after `after` steps: divergence, or hopelessness."""

    metric: str = ""
    above: float | None = None
    below: float | None = None
    after: float = 0.0
    name: str = "threshold"

    def __post_init__(self) -> None:
        if not self.metric or (self.above is None and self.below is None):
            raise SpecError(
                "stopping 'threshold' needs a metric and a limit: Threshold('loss', above=10.0) stops what lies above"
            )
        for name, limit in (("above", self.above), ("below", self.below), ("after", self.after)):
            within(self.name, name, 0.0 if limit is None else limit, -1e300, 1e300)

    def begin(self, fidelity: Fidelity | None) -> "_Limits":
        del fidelity
        return _Limits(self)


@dataclass(frozen=True)
class _Limits:
    rule: Threshold

    def hear(self, heard: Heard) -> str:
        rule, value = self.rule, heard.metrics.get(self.rule.metric)
        if value is None or heard.step < rule.after:
            return ""
        if rule.above is not None and value > rule.above:
            return f"threshold: {rule.metric} = {value:g} is above {rule.above:g}"
        if rule.below is not None and value < rule.below:
            return f"threshold: {rule.metric} = {value:g} is below {rule.below:g}"
        return ""
