"""What an objective may be (a function, an import path, a command), and how it reaches the process that runs it.

`program` checks and names an objective; `load` makes the function that runs its trials, here or in a worker process to
which the pickled Program was sent. Code travels only through the pipe to our own child process; it is never stored.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ..errors import ObjectiveError
from . import command, functions, paths, template
from .command import Command, report_metrics
from .evaluation import Objective, evaluate, failed, failure
from .metrics import ERROR, TrialFailed
from .trial import ActiveTrial, Message, Send

if TYPE_CHECKING:
    from ..records import StudySpec

__all__ = [
    "ActiveTrial",
    "Command",
    "Program",
    "Run",
    "TrialFailed",
    "evaluate",
    "load",
    "program",
    "report_metrics",
]

Run = Callable[[Mapping[str, Any], Send], Message]
"""(payload, send) -> last message: one evaluation (see evaluation.evaluate)."""


@dataclass(frozen=True)
class Program:
    """An objective that has been checked.

    kind: "function", "path" or "command". text: qualified name, import path or template. fingerprint: sha256 of the
    source text or template. files: those that contain its code. Pickling it raises ObjectiveError if its function
    cannot leave this process.
    """

    kind: str
    text: str
    fingerprint: str
    files: tuple[str, ...] = ()  # where its code stands, as far as that is known
    code: bytes = field(default=b"", repr=False)  # the packed function, in the process to which it was sent
    call: Objective | None = field(default=None, repr=False, compare=False)  # in the process that made it

    def __getstate__(self) -> dict[str, Any]:
        code = functions.pack(self.call) if self.kind == "function" and self.call else self.code
        return {**self.__dict__, "code": code, "call": None}

    def objective(self) -> Objective:
        """The function of a trial that this names. Raises whatever importing it raises."""
        if self.kind == "command":
            return partial(command.run, self.text)
        if self.call is not None:
            return self.call
        loaded: Objective = paths.find(self.text)[0] if self.kind == "path" else functions.unpack(self.code)
        return loaded

    def load(self) -> Run:
        """What runs its trials in a worker process. No exception passes through; if it cannot be loaded, each trial
        fails."""
        try:
            return partial(_contained, self.objective())
        except (Exception, SystemExit) as error:
            cause = str(error) if isinstance(error, ObjectiveError) else f"{type(error).__name__}: {error}"
            message = failed(ERROR, f"objective {self.text} could not be loaded in its worker process: {cause}")
            return lambda _payload, _send: message


def _contained(objective: Objective, payload: Mapping[str, Any], send: Send) -> Message:
    """One evaluation in a process that no terminal interrupts: a KeyboardInterrupt is the objective's own."""
    try:
        return evaluate(objective, payload, send)
    except KeyboardInterrupt as error:
        return failure(error)


def resolved(objective: Any) -> Any:
    """The objective itself, with import paths resolved: it may have settings of its own (`replicates`,
    `test_train_ratio`).

    Raises ObjectiveError if there is no such object.
    """
    return paths.find(objective)[0] if isinstance(objective, str) else objective


def load(called: Program) -> Run:
    """What runs the trials of an objective in this process; KeyboardInterrupt passes through."""
    return partial(evaluate, called.objective())


def program(objective: Any, spec: "StudySpec") -> Program:
    """The objective of a study: a callable, "train.py:objective", "package.module:objective", a Command or a Program.

    Raises ObjectiveError if there is no such file, module, function or program, importing it fails, it cannot be called
    with only a trial, or a placeholder names no parameter. An objective's method `suits(spec)` may also raise it, for a
    study that it could only fail on or mislead.
    """
    if isinstance(objective, Program):
        return objective
    if isinstance(objective, Command):
        template.check(objective.template, spec.space.params)
        files = tuple(word for word in template.words(objective.template) if os.path.isfile(word))
        return Program("command", objective.template, _sha(objective.template), files)
    if isinstance(objective, str):
        call, text = paths.find(objective)
        functions.check(call)
        _suited(call, spec)
        return Program("path", objective, _sha(text), functions.files_of(call), call=call)
    if not callable(objective):
        raise ObjectiveError(
            f"objective={objective!r} cannot be called; give a function of the trial, 'train.py:objective' or a Command"
        )
    functions.check(objective)
    _suited(objective, spec)
    text = functions.text_of(objective)
    return Program("function", functions.name_of(objective), _sha(text), functions.files_of(objective), call=objective)


def _suited(call: Any, spec: "StudySpec") -> None:
    if not isinstance(call, type) and callable(suits := getattr(call, "suits", None)):
        suits(spec)


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
