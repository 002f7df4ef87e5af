"""How much of a full training a trial gets (epochs, rows, trees, folds), and the rungs at which trials are compared."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .calls import checked_call
from .checks import positive, shown
from .errors import SpecError

MOST = 1000  # rungs; more can only be a mistake
LARGEST = 1e9  # factor: rules calculate with its square


@checked_call
@dataclass(frozen=True)
class Fidelity:
    """A quantity of training, such as epochs: more of it makes a trial more expensive and its result more accurate.

    name: what the objective calls it ("epochs").
    low: the smallest amount after which a result means anything.
    high: the amount of a full training.
    factor: the ratio of one rung to the one below. The rungs are low, low * factor, low * factor^2, ..., high; one that
        is within a factor of sqrt(factor) of high is left out.
    """

    name: str
    low: float
    high: float
    factor: float = 3

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise SpecError(f"fidelity name {shown(self.name)} must be a text, such as 'epochs'")
        for field in ("low", "high", "factor"):
            value = positive(f"fidelity {self.name}: {field}", getattr(self, field))
            object.__setattr__(self, field, value)
        if self.low >= self.high:
            raise SpecError(f"fidelity {self.name}: low={self.low:g} is not below high={self.high:g}; swap them")
        if not 1 < self.factor <= LARGEST:
            raise SpecError(
                f"fidelity {self.name}: factor={self.factor:g} must be above 1, and at most {LARGEST:g}; 3 is usual"
            )
        count = (math.log(self.high) - math.log(self.low)) / math.log(self.factor)
        if count > MOST:
            given = f"low={self.low:g}, high={self.high:g} and factor={self.factor!r}"
            raise SpecError(
                f"fidelity {self.name}: {given} make {count:.0f} rungs, {MOST} are allowed; factor=3 is usual"
            )

    @cached_property
    def rungs(self) -> tuple[float, ...]:
        """The levels at which trials are compared, in rising order; the last one is `high`."""
        made, level = [], float(self.low)
        while level * math.sqrt(self.factor) <= self.high * (1 + 1e-9):
            made.append(level)
            level *= self.factor
        return (*made, float(self.high))

    def thinned(self, curve: Mapping[float, Any]) -> dict[float, Any]:
        """For each rung below `high`, the first report of `curve` at or beyond it."""
        steps = sorted(curve)
        found = [next((s for s in steps if s >= rung), None) for rung in self.rungs[:-1]]
        return {s: curve[s] for s in found if s is not None}

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "low": self.low, "high": self.high, "factor": self.factor}
