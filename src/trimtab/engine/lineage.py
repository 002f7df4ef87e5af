"""Who goes on from whom: the trials of a population as branches of trees. Pure."""

from collections.abc import Mapping

from ..errors import SpecError
from ..records import Purpose, Trial


def parent_of(trial: Trial) -> int | None:
    """The number of the trial whose state a trial goes on from (those of an evidence name what they measure instead)."""
    return trial.parent if trial.purpose is Purpose.SEARCH else None


def ancestry(trials: Mapping[int, Trial], number: int) -> tuple[Trial, ...]:
    """The trials through which trial `number` came to its state, the first one first and itself last.

    Raises SpecError for a number that is no trial.
    """
    if number not in trials:
        raise SpecError(f"trial {number} does not exist; the study has trials 0 to {len(trials) - 1}")
    line = [trials[number]]
    while (parent := parent_of(line[-1])) is not None:
        line.append(trials[parent])
    return tuple(reversed(line))
