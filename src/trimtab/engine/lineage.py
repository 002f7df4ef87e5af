"""Which trial continues from which: the trials of a population as branches of trees. Pure."""

from collections.abc import Mapping

from ..errors import SpecError
from ..formatting import plural
from ..records import Purpose, Trial


def parent_of(trial: Trial) -> int | None:
    """The number of the trial whose state a trial continues from (for evidence trials, `parent` names what they
    measure)."""
    return trial.parent if trial.purpose is Purpose.SEARCH else None


def ancestry(trials: Mapping[int, Trial], number: int) -> tuple[Trial, ...]:
    """The trials that led to the state of trial `number`, the first one first and itself last.

    Raises SpecError if there is no trial of that number.
    """
    if number not in trials:
        raise SpecError(f"trial {number} does not exist; the study has {plural(len(trials), 'trial')}, numbered from 0")
    line = [trials[number]]
    while (parent := parent_of(line[-1])) is not None:
        line.append(trials[parent])
    return tuple(reversed(line))
