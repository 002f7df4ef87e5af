"""Which trial continues the training of which: trials with a parent form trees. Pure."""

from collections.abc import Mapping

from ..checks import no_trial
from ..errors import SpecError
from ..records import Purpose, Trial


def parent_of(trial: Trial) -> int | None:
    """The number of the trial from whose checkpoint a trial continues; None if it starts from scratch.

    Only of search trials: the `parent` of an evidence trial is the trial whose setting it measures.
    """
    return trial.parent if trial.purpose is Purpose.SEARCH else None


def ancestry(trials: Mapping[int, Trial], number: int) -> tuple[Trial, ...]:
    """The trials that together trained what trial `number` ended with: the first ancestor first, the trial itself last.

    Raises SpecError if there is no trial of that number.
    """
    if number not in trials:
        raise SpecError(no_trial(number, len(trials)))
    line = [trials[number]]
    while (parent := parent_of(line[-1])) is not None:
        line.append(trials[parent])
    return tuple(reversed(line))
