"""Rules under which trials pause and none is stopped. strategies.promotion and strategies.freeze_thaw decide which
continue.

The rule holds the settings; its state lets every trial continue to its fidelity.
"""

from dataclasses import dataclass
from typing import ClassVar

from ..checks import flag
from ..fidelity import Fidelity
from . import ScoredReport, bounded, needed


@dataclass(frozen=True)
class Promotion:
    """Trials pause at each rung, and the best 1/eta of it continue when a slot is free.

    eta: default: the fidelity's factor. trust: how far the order at an early rung must agree with that of a later one
    before new trials pause there (Kendall's tau); 0 trusts the first rung at once. growing: nothing is trained further
    than it takes to tell which is best (PASHA).
    """

    eta: float | None = None
    trust: float = 0.6
    growing: bool = False
    name: str = "promotion"
    version: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        if self.eta is not None:
            bounded(self, "eta", 1.1, 100)
        bounded(self, "trust", 0.0, 1.0)
        object.__setattr__(self, "growing", flag(f"stopping {self.name!r}: growing", self.growing))

    def begin(self, fidelity: Fidelity | None) -> "_State":
        needed(self.name, fidelity)
        return _State()


@dataclass(frozen=True)
class FreezeThaw:
    """Trials pause at each rung. The one continues whose extrapolated learning curve promises the largest improvement
    for its cost; or a new one starts. trust: as in Promotion."""

    trust: float = 0.6
    name: str = "freeze-thaw"
    version: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        bounded(self, "trust", 0.0, 1.0)

    def begin(self, fidelity: Fidelity | None) -> "_State":
        needed(self.name, fidelity)
        return _State()


class _State:
    """Stops nobody."""

    def update(self, report: ScoredReport) -> str:
        del report
        return ""
