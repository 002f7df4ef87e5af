"""Objectives: a function, an import path or a command, and how each reaches the process that runs it.

`as_program` checks an objective and names it, as a `Program`. Its method `load_inline` gives the function that runs trials
in this process. A worker process gets the Program pickled, and calls its method `load`. Code travels only through the pipe
to our own child process; it is never stored.

    evaluation    one evaluation of an objective, and the message that says how it ended
    trial         a running trial, as the objective sees it
    metrics       what counts as a metric
    source        which code a callable is: its name, its files, and the text of which its fingerprint is made
    functions     functions: whether they take a trial, and how they are packed for another process
    import_paths  such as "train.py:objective"
    command       commands in any language: `template` makes their arguments, `output` finds metrics in what they print
    handover      checkpoint directories: empty, or a copy of the parent's
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ..checks import shown
from ..errors import ObjectiveError
from . import command, functions, import_paths, source, template
from .command import Command, report_metrics
from .evaluation import Objective, evaluate, failed, failure
from .metrics import ERROR, TrialFailed
from .trial import ActiveTrial, Message, Send

if TYPE_CHECKING:
    from ..records import StudySpec

__all__ = [
    "ActiveTrial",
    "AnyObjective",
    "Command",
    "Program",
    "Run",
    "TrialFailed",
    "as_program",
    "evaluate",
    "report_metrics",
]

Run = Callable[[Mapping[str, Any], Send], Message]
"""Runs one evaluation: (payload, send) -> last message (see evaluation.evaluate)."""


@dataclass(frozen=True)
class Program:
    """An objective that has been checked. Pickling it raises ObjectiveError if its function cannot leave this process."""

    kind: str  # "function", "path" or "command"
    text: str  # qualified name, import path or template
    fingerprint: str  # sha256 of the source text (see source.text_of) or template
    files: tuple[str, ...] = ()  # those that contain its code, as far as that is known
    code: bytes = field(default=b"", repr=False)  # the packed function, in the process to which it was sent
    # The function, in the process that made this.
    call: Objective | None = field(default=None, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        code = functions.pack(self.call) if self.kind == "function" and self.call else self.code
        return {**self.__dict__, "code": code, "call": None}

    def objective(self) -> Objective:
        """The objective as a function of the trial. Raises whatever importing it raises."""
        if self.kind == "command":
            return partial(command.run, self.text)
        if self.call is not None:
            return self.call
        loaded: Objective = import_paths.find(self.text)[0] if self.kind == "path" else functions.unpack(self.code)
        return loaded

    def load_inline(self) -> Run:
        """The function that runs its trials in this process. Only KeyboardInterrupt passes through it."""
        return partial(evaluate, self.objective())

    def load(self) -> Run:
        """The function that runs its trials in a worker process. It never raises; if the objective cannot be loaded, each
        trial fails with that reason."""
        try:
            return partial(_contained, self.objective())
        except (Exception, SystemExit) as error:
            cause = str(error) if isinstance(error, ObjectiveError) else f"{type(error).__name__}: {error}"
            message = failed(ERROR, f"objective {self.text} could not be loaded in its worker process: {cause}")
            return lambda _payload, _send: message


AnyObjective = Objective | Command | Program | str
"""What `as_program` takes."""


def _contained(objective: Objective, payload: Mapping[str, Any], send: Send) -> Message:
    """One evaluation in a worker process. No terminal interrupts that, so a KeyboardInterrupt comes from the objective."""
    try:
        return evaluate(objective, payload, send)
    except KeyboardInterrupt as error:
        return failure(error)


def resolved(objective: Any) -> Any:
    """The object itself that an import path names; anything else unchanged.

    It may have attributes that say how to measure it (`replicates`, `test_train_ratio`). Raises ObjectiveError if there
    is no such object.
    """
    return import_paths.find(objective)[0] if isinstance(objective, str) else objective


def as_program(objective: AnyObjective, spec: "StudySpec") -> Program:
    """A user's objective, checked for a study: a callable, "train.py:objective", "package.module:objective", a Command
    or a Program.

    Raises ObjectiveError if there is no such file, module, function or program, if importing it fails, if it cannot be
    called with only a trial, or if a placeholder names no parameter. If the objective has a method `suits(spec)`, that
    is called, and may raise it for a study that the objective cannot serve.
    """
    if isinstance(objective, Program):
        return objective
    if isinstance(objective, Command):
        template.check(objective.template, spec.space.params)
        files = tuple(word for word in template.words(objective.template) if os.path.isfile(word))
        return Program("command", objective.template, _sha(objective.template), files)
    if isinstance(objective, str):
        call, text = import_paths.find(objective)
        functions.check(call)
        _suited(call, spec)
        return Program("path", objective, _sha(text), source.files_of(call), call=call)
    if not callable(objective):
        raise ObjectiveError(
            f"objective={shown(objective)} cannot be called; give a function of the trial, 'train.py:objective' or a Command"
        )
    functions.check(objective)
    _suited(objective, spec)
    text, files = source.text_of(objective), source.files_of(objective)
    return Program("function", source.name_of(objective), _sha(text), files, call=objective)


def _suited(call: Any, spec: "StudySpec") -> None:
    if not isinstance(call, type) and callable(suits := getattr(call, "suits", None)):
        suits(spec)


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
