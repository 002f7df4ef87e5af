"""Templates of commands: split into words as by a shell, with placeholders that a trial fills in."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from ..canonical import storable
from ..checks import shown
from ..errors import ObjectiveError, SpecError, nearest
from ..space.parameters import Choice, Parameter
from .trial import ActiveTrial

RESERVED = ("seed", "trial", "params", "fidelity", "checkpoint")
_PLACE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")

_SHELLS = frozenset({"sh", "ash", "bash", "dash", "fish", "ksh", "zsh"})
_REREAD = frozenset({"make", "parallel", "ssh"})  # they read their arguments as a shell, or something like it, would
_CODE = re.compile(r"[\s;|&$`(){}<>'\"\\]")  # what a word of arguments seldom has, and a script nearly always
_PLAIN = re.compile(r"[\w.,:/@+-]*")  # a text that no shell or interpreter takes for more than one word


def words(template: str) -> list[str]:
    """The words of a template. Raises ObjectiveError if it is no text, if there are none or a quote is not closed."""
    if not isinstance(template, str):
        raise ObjectiveError(f"command {shown(template)} is no text; write one, such as 'python train.py --lr {{lr}}'")
    if storable(template) != template:
        raise ObjectiveError(f"command {shown(template)} holds NUL, or a byte that is no UTF-8; leave it out")
    try:
        found = shlex.split(template)
    except ValueError as error:
        raise ObjectiveError(f"command {template!r}: {error}; close the quote") from None
    if not found:
        raise ObjectiveError(f"command {template!r} is empty; write a program and its arguments")
    return found


def check(template: str, parameters: Mapping[str, Parameter]) -> None:
    """Raises ObjectiveError for an unknown placeholder, an option that may not become part of a script, or a program that
    does not exist."""
    names, found = [*parameters], words(template)
    for word in found:
        for name in _placeholders(word):
            if name not in (*names, *RESERVED):
                raise ObjectiveError(
                    f"command {template!r}: {{{name}}} is no parameter{nearest(name, [*names, *RESERVED])}; "
                    "double the braces where they are meant literally"
                )
            if name in RESERVED and name in names and parameters[name].when:
                raise ObjectiveError(
                    f"command {template!r}: {{{name}}} also stands for something of Trimtab's own, which would be filled in "
                    f"where the parameter {name!r} is inactive; rename the parameter"
                )
            if name == "params" and name not in names and word != "{params}":
                raise ObjectiveError(f"command {template!r}: {{params}} makes several words; put it between spaces")
    texts = {name: p.options if isinstance(p, Choice) else () for name, p in parameters.items()}
    _refuse_code(template, found, texts)
    program = found[0]
    if _placeholders(program) or shutil.which(program, path=search_path()):
        return
    if os.path.isfile(program):
        raise ObjectiveError(
            f"command {template!r}: {program} may not be executed; run `chmod +x {shlex.quote(program)}`"
        )
    raise ObjectiveError(f"command {template!r}: no program {program!r} on the PATH; install it or give its path")


def _placeholders(word: str) -> list[str]:
    return [m[1] for m in _PLACE.finditer(word) if m[1] is not None]


def _is_script(found: Sequence[str], at: int) -> bool:
    """Whether word `at` is, or may become, part of a script: it looks like one, or it goes to a shell, here or elsewhere.

    Values come from the record, which other people may write; in a script they could run anything.
    """
    before = [os.path.basename(word) for word in found[:at]]
    to_shell = bool(before) and bool(re.fullmatch("-[a-z]*c", before[-1])) and not _SHELLS.isdisjoint(before)
    return to_shell or not _REREAD.isdisjoint(before) or bool(_CODE.search(_PLACE.sub("", found[at])))


def _refuse_code(template: str, found: Sequence[str], values: Mapping[str, Iterable[Any]]) -> None:
    """Raises ObjectiveError if a value of a parameter, in a script, could be more than a word.

    found: the words of the template. values: by parameter.
    """
    for name in [n for at, word in enumerate(found) if _is_script(found, at) for n in _placeholders(word)]:
        everything = [*values, *chain.from_iterable(values.values())] if name == "params" else ()
        for text in map(str, values.get(name, everything)):
            if not _PLAIN.fullmatch(text):
                raise ObjectiveError(
                    f"command {template!r}: {text!r} would become part of a script, which could run it as code; give it to "
                    "the script as an argument: sh -c './train \"$1\" | sort' sh {name}"
                )


def search_path() -> str:
    """The PATH, then this interpreter's folder, so that `python` is found even if no environment was activated."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), os.path.dirname(sys.executable)])


def _training(template: str, trial: ActiveTrial) -> dict[str, str]:
    """The trial's fidelity and checkpoint, if it has them.

    The checkpoint is only asked for if the template needs it, because asking creates the directory.
    """
    place = checkpoint(trial) if "checkpoint" in _placeholders(template) else ""
    return {name: value for name, value in {"fidelity": fidelity(trial), "checkpoint": place}.items() if value}


def checkpoint(trial: ActiveTrial) -> str:
    """The trial's checkpoint directory; "" in a simulation, where there is none."""
    try:
        return str(trial.checkpoint)
    except SpecError:
        return ""


def fidelity(trial: ActiveTrial) -> str:
    """The trial's fidelity as a text that reads back exactly, without decimals if it is an integer; "" if it has none."""
    amount = trial.fidelity
    return "" if amount is None else str(int(amount)) if amount == int(amount) else repr(amount)


def arguments(template: str, trial: ActiveTrial) -> list[str]:
    """The words of the template with a trial's values filled in. A parameter that is None is left out like an inactive one,
    except in a script, of which no part can be left out."""
    given = {"seed": trial.seed, "trial": trial.number, **_training(template, trial), **trial.params}
    unset = {name for name, value in trial.params.items() if value is None}
    found = words(template)
    _refuse_code(template, found, {name: [value] for name, value in trial.params.items()})
    filled: list[str] = []
    option = False  # whether the last word is an option that waits for its value
    for at, word in enumerate(found):
        left_out = set[str]() if _is_script(found, at) else unset
        if word == "{params}" and "params" not in given:
            kept = {name: value for name, value in trial.params.items() if name not in left_out}
            filled += [w for name, value in kept.items() for w in (f"--{name}", str(value))]
            option = False
        elif any(name not in given or name in left_out for name in _placeholders(word)):
            filled = filled[:-1] if option else filled
            option = False
        else:
            filled.append(_PLACE.sub(lambda m: m[0][0] if m[1] is None else str(given[m[1]]), word))
            option = word.startswith("-") and not _placeholders(word)
    return filled
