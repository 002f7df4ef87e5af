"""Templates of commands: split into words as by a shell, with placeholders that a trial fills in."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import ObjectiveError, SpecError, nearest
from .trial import ActiveTrial

RESERVED = ("seed", "trial", "params", "fidelity", "checkpoint")
_PLACE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")


def words(template: str) -> list[str]:
    """The words of a template. Raises ObjectiveError if there are none or a quote is not closed."""
    try:
        found = shlex.split(template)
    except ValueError as error:
        raise ObjectiveError(f"command {template!r}: {error}; close the quote") from None
    if not found:
        raise ObjectiveError(f"command {template!r} is empty; write a program and its arguments")
    return found


def check(template: str, parameters: Iterable[str]) -> None:
    """Raises ObjectiveError for an unknown placeholder or a program that does not exist."""
    names = [*parameters]
    for word in words(template):
        for name in _placeholders(word):
            if name not in (*names, *RESERVED):
                raise ObjectiveError(
                    f"command {template!r}: {{{name}}} is no parameter{nearest(name, [*names, *RESERVED])}; "
                    "double the braces where they are meant literally"
                )
            if name == "params" and name not in names and word != "{params}":
                raise ObjectiveError(f"command {template!r}: {{params}} makes several words; put it between spaces")
    program = words(template)[0]
    if _placeholders(program) or shutil.which(program, path=search_path()):
        return
    if Path(program).is_file():
        raise ObjectiveError(
            f"command {template!r}: {program} may not be executed; run `chmod +x {shlex.quote(program)}`"
        )
    raise ObjectiveError(f"command {template!r}: no program {program!r} on the PATH; install it or give its path")


def _placeholders(word: str) -> list[str]:
    return [m[1] for m in _PLACE.finditer(word) if m[1] is not None]


def search_path() -> str:
    """The PATH, then this interpreter's folder, so that `python` is found even if no environment was activated."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), os.path.dirname(sys.executable)])


def _training(template: str, trial: ActiveTrial) -> dict[str, str]:
    """The trial's fidelity and checkpoint, if it has them.

    The checkpoint is only asked for if the template needs it, because asking creates the directory.
    """
    place = checkpoint(trial) if "checkpoint" in _placeholders(template) else None
    values = {"fidelity": None if trial.fidelity is None else exact(float(trial.fidelity)), "checkpoint": place}
    return {name: value for name, value in values.items() if value is not None}


def checkpoint(trial: ActiveTrial) -> str | None:
    """The trial's checkpoint directory; None in a simulation, where there is none."""
    try:
        return str(trial.checkpoint)
    except SpecError:
        return None


def exact(amount: float) -> str:
    """A number as a text that reads back exactly; without decimals if it is an integer."""
    return str(int(amount)) if amount.is_integer() else repr(amount)


def arguments(template: str, trial: ActiveTrial) -> list[str]:
    """The words of the template with a trial's values filled in."""
    values: Mapping[str, Any] = {
        "seed": trial.seed,
        "trial": trial.number,
        **_training(template, trial),
        **trial.params,
    }
    filled: list[str] = []
    option = False  # whether the last word is an option that waits for its value
    for word in words(template):
        if word == "{params}" and "params" not in values:
            filled += [w for name, value in trial.params.items() for w in (f"--{name}", str(value))]
            option = False
        elif any(name not in values for name in _placeholders(word)):
            filled = filled[:-1] if option else filled
            option = False
        else:
            filled.append(_PLACE.sub(lambda m: m[0][0] if m[1] is None else str(values[m[1]]), word))
            option = word.startswith("-") and not _placeholders(word)
    return filled
