"""What a certificate is asked, fixed before anything runs: which settings are compared, and how their pairs are judged."""

from dataclasses import dataclass

from ..canonical import same_setting
from ..checks import flag, nonnegative
from ..space import Params


@dataclass(frozen=True)
class Contest:
    """What is compared: the baseline's setting, and the tuned one of a trial."""

    baseline: Params
    tuned: Params
    trial: int

    @property
    def sides(self) -> tuple[tuple[int, Params], tuple[int, Params]]:
        """Both settings, each with the number of the trial that it comes from."""
        return (0, self.baseline), (self.trial, self.tuned)

    @property
    def same(self) -> bool:
        """Whether there is nothing to compare: the tuned setting is the baseline."""
        return same_setting(self.baseline, self.tuned)


@dataclass(frozen=True)
class Design:
    """How pairs are judged, fixed before they run.

    test_train_ratio: n_test / n_train of the folds, 0 for independent seeds. equivalence: half-width of the zone of
    practical equivalence, in the metric's unit. minimum_effect: the gain that "proven" needs, in the metric's unit.
    sequential: add pairs until the answer is clear. Raises SpecError for negative or non-finite values.
    """

    test_train_ratio: float = 0.0
    equivalence: float = 0.0
    minimum_effect: float = 0.0
    sequential: bool = False

    def __post_init__(self) -> None:
        for name, rule in _RULES.items():
            object.__setattr__(self, name, nonnegative(name, getattr(self, name), repair=f"; give {rule}"))
        object.__setattr__(self, "sequential", flag("sequential", self.sequential))


_RULES = {
    "test_train_ratio": "n_test / n_train, 0 for independent seeds",
    "equivalence": "a half-width in the metric's unit, 0 for no zone",
    "minimum_effect": "the least gain that is worth proving, in the metric's unit",
}
INDEPENDENT = Design()
