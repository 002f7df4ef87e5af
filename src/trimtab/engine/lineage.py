"""Which trial continues the training of which: trials with a parent form trees. Pure."""

from collections.abc import Mapping

from ..checks import no_trial
from ..errors import Damaged, SpecError
from ..records import Purpose, Trial


def parent_of(trial: Trial) -> int | None:
    """The number of the trial from whose checkpoint a trial continues; None if it starts from scratch.

    Only of search trials: the `parent` of an evidence trial is the trial whose setting it measures.
    """
    return trial.parent if trial.purpose is Purpose.SEARCH else None


def ancestry(trials: Mapping[int, Trial], number: int) -> tuple[Trial, ...]:
    """The trials that together trained what trial `number` ended with: the first ancestor first, the trial itself last.

    Raises SpecError if there is no trial of that number, and Damaged for a parent that is not an earlier trial: that
    would never end.
    """
    if number not in trials:
        raise SpecError(no_trial(number, len(trials)))
    line = [trials[number]]
    while (parent := parent_of(line[-1])) is not None:
        if parent not in trials or parent >= line[-1].number:
            raise Damaged(
                f"trial {line[-1].number}: its parent {parent} is no earlier trial; it was changed outside Trimtab, restore "
                "the store from a backup"
            )
        line.append(trials[parent])
    return tuple(reversed(line))
