"""One evaluation of an objective: what it meets (`ActiveTrial`), and the message that says how it ended.

Messages are plain JSON mappings. While it runs an objective sends {"kind": "report", "step", "metrics"} -> {"stop"[, "rule"]}
and {"kind": "note", "text"} -> {}. Its last message is {"state": "done" | "stopped", "metrics"} or
{"state": "failed", "reason", "error"}, where the first line of `error` says what happened.
"""

import inspect
import math
import os
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SpecError, TrimtabError, nearest
from .handover import handed_over, taken_over

if TYPE_CHECKING:
    from ..records import Trial

Message = dict[str, Any]
Send = Callable[[Message], Mapping[str, Any]]
Objective = Callable[["ActiveTrial"], object]

ERROR, MEMORY, BAD_RESULT = "error", "memory", "bad result"  # the values of records.Reason that an objective can cause
LONGEST = 20_000  # characters of an error that are kept


@dataclass(frozen=True)
class Folders:
    """Of an attempt's checkpoint, of the one that is handed over to it, and of attempts before it, the last one first."""

    own: str | None = None
    handed: str | None = None
    earlier: Sequence[str] = ()


class TrialFailed(TrimtabError):
    """Ends the trial as failed for `reason`, with a text that needs no traceback."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def payload(trial: "Trial", metrics: Iterable[str] = (), folders: Folders = Folders()) -> dict[str, Any]:
    """What an evaluation needs to know of a trial, the metrics that it must return, and where it may save its state."""
    return {
        "params": dict(trial.params),
        "seed": trial.seed,
        "number": trial.number,
        "purpose": str(trial.purpose),
        "replicate": trial.replicate,
        "attempt": trial.attempt,
        "metrics": list(metrics),
        "fidelity": trial.fidelity,
        "parent": trial.parent,
        "checkpoint": folders.own,
        "handed": folders.handed,
        "earlier": list(folders.earlier),
        "member": trial.why.get("member"),
    }


class ActiveTrial:
    """A running trial, as an objective meets it.

    params: the setting to evaluate. seed: for everything random in the evaluation; nothing global is seeded. number: of the
    trial. purpose: "search", "select" or "certify". replicate: which evidence pair it belongs to. attempt: 1, 2, ...
    metrics: names that must be returned. fidelity: how far to train, in the unit of the study's Fidelity; None without one.
    parent: number of the trial whose checkpoint this one began with, to go on from there; None where it begins anew.
    """

    def __init__(self, task: Mapping[str, Any], send: Send) -> None:
        self.params: dict[str, Any] = dict(task["params"])
        self.seed: int = task["seed"]
        self.number: int = task["number"]
        self.purpose: str = task["purpose"]
        self.replicate: int | None = task["replicate"]
        self.attempt: int = task["attempt"]
        self.metrics: tuple[str, ...] = tuple(task["metrics"])
        self.fidelity: float | None = task.get("fidelity")
        self.parent: int | None = task.get("parent")
        self._checkpoint: str | None = task.get("checkpoint")
        self._handed: str | None = task.get("handed")
        self._earlier = [Path(path) for path in task.get("earlier", ())]
        self._member: int | None = task.get("member")  # of a population
        self.reported: dict[str, float] = {}  # the last value of each metric
        self.rule = ""  # the stopping rule that the objective has been told of
        self._send = send
        self._reply: Mapping[str, Any] = {}

    @staticmethod
    def of(trial: "Trial", send: Send, folders: Folders = Folders()) -> "ActiveTrial":
        """The active side of a claimed trial."""
        return ActiveTrial(payload(trial, folders=folders), send)

    def __repr__(self) -> str:
        return f"<ActiveTrial {self.number}: {self.params}>"

    @property
    def checkpoint(self) -> Path:
        """A directory of this attempt's own, with what the attempt before has saved: a killed training goes on there.

        A trial with a parent begins with a copy of the parent's. It is kept while the trial is open, and afterwards as
        long as another trial may go on from it, or if the trial is the study's best. In a simulation there is none.

        Raises TrialFailed for a member of a population whose parent's checkpoint is not here.
        """
        if self._checkpoint is None:
            raise SpecError("this trial has no directory for checkpoints: it is simulated, or from an older worker")
        own, parent = Path(self._checkpoint), None if self._handed is None else Path(self._handed)
        taken_over(own, self._earlier)
        if parent is not None and not own.is_dir() and not parent.is_dir():
            self._begin_anew(f"there is no checkpoint of trial {self.parent} in {parent.parent}")
        return handed_over(own, parent)

    def _begin_anew(self, why: str) -> None:
        """A setting can be trained from the beginning; what a member of a population has gone through cannot."""
        if self._member is None:
            self.note(f"begins anew: {why}")
            return
        raise TrialFailed(
            ERROR,
            f"{why}, from which this one goes on; let TRIMTAB_CHECKPOINTS name a folder that all who run the trials of "
            "this study see, and in which nobody else removes anything",
        )

    def report(self, step: float, /, **metrics: float) -> None:
        """Record metrics at a step (epoch, fold, row count): finite numbers, several at once.

        Anything else ends the trial as failed (bad result).
        """
        at = number(step)
        if at is None or not math.isfinite(at):
            raise TrialFailed(BAD_RESULT, f"report(step={step!r}): the step must be a finite number")
        if not metrics:
            raise TrialFailed(BAD_RESULT, f"report({at:g}) names no metric; write trial.report(step, loss=...)")
        values = {clean(name): _finite(f"report({at:g})", name, value) for name, value in metrics.items()}
        self.reported = {**self.reported, **values}
        self._reply = self._send({"kind": "report", "step": at, "metrics": values})

    def should_stop(self) -> bool:
        """Whether the objective should return now (as of its last report)."""
        stop = bool(self._reply.get("stop"))
        if stop:
            self.rule = str(self._reply.get("rule", ""))
        return stop

    def note(self, text: str) -> None:
        """Attach a note to the trial."""
        self._send({"kind": "note", "text": clean(str(text))})


def evaluate(objective: Objective, task: Mapping[str, Any], send: Send) -> Message:
    """Run the objective once; the last message. Only KeyboardInterrupt passes through.

    An objective that heeded a stopping rule is `stopped`, and its last reports fill in for what it did not return.
    """
    trial, here = ActiveTrial(task, send), _folder()
    try:
        returned = objective(trial)
        if not trial.rule:
            return {"state": "done", "metrics": measured(returned, trial.metrics)}
        late = {} if returned is None else measured(returned, trial.metrics, partly=True)
        return {"state": "stopped", "metrics": {**trial.reported, **late}}
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return failure(error)
    finally:
        if here != _folder():  # the next trial begins where this one did
            with suppress(OSError):
                os.chdir(here)


def _folder() -> str:
    """The working folder; empty when it was removed."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def measured(returned: object, needed: Sequence[str], partly: bool = False) -> dict[str, float]:
    """The metrics in what an objective returned: a mapping of finite numbers, or one number where one is needed.

    Raises TrialFailed (bad result) for everything else; `partly` forgives missing metrics.
    """
    wanted = "return {" + ", ".join(f"{m!r}: ..." for m in needed) + "}"
    if returned is None:
        raise TrialFailed(
            BAD_RESULT, f"missing metric {', '.join(map(repr, needed))}: the objective returned None; {wanted}"
        )
    if not isinstance(returned, Mapping):
        if number(returned) is None:
            raise TrialFailed(BAD_RESULT, f"the objective returned {_shown(returned)}; {wanted}{_hint(returned)}")
        if len(needed) != 1:
            text = (
                f"the objective returned one number, {returned!r}, but the study needs {len(needed)} metrics; {wanted}"
            )
            raise TrialFailed(BAD_RESULT, text)
        return {needed[0]: _finite("the objective returned", needed[0], returned)}
    for name in returned:
        if not isinstance(name, str):
            raise TrialFailed(BAD_RESULT, f"the objective returned a metric named {name!r}; names are texts: {wanted}")
    for name in needed:
        if name not in returned and not partly:
            known = nearest(name, returned) or "; the mapping is empty"
            raise TrialFailed(BAD_RESULT, f"missing metric {name!r} in what the objective returned{known}; {wanted}")
    return {clean(name): _finite("the objective returned", name, value) for name, value in returned.items()}


def number(value: object) -> float | None:
    """A real number as a float (numpy scalars and 0-d arrays too), None for everything else; bool is no number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, Real):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    item = getattr(value, "item", None)
    if getattr(value, "shape", None) != () or not callable(item):
        return None
    masked = getattr(value, "mask", False)  # numpy keeps a value there, which means nothing
    return math.nan if masked else number(item())


def _finite(where: str, name: str, value: object) -> float:
    x = number(value)
    if x is None:
        raise TrialFailed(BAD_RESULT, f"{where} {name}={_shown(value)}; a metric is one real number")
    if not math.isfinite(x):
        raise TrialFailed(BAD_RESULT, f"{where} {name}={x}; a metric must be finite")
    return x


def _shown(value: object) -> str:
    """A value and its type, shortly, whatever its __repr__ does; a coroutine is closed, since nobody will await it."""
    if inspect.iscoroutine(value):
        value.close()
    return f"{_repr(value)} ({type(value).__name__})"


def _repr(value: object) -> str:
    """The value in at most 80 characters."""
    try:
        text = repr(value)
    except Exception:
        return "an object that cannot be shown"
    return text if len(text) <= 80 else text[:77] + "..."


def _hint(value: object) -> str:
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        return " (a function with `yield` returns a generator; report steps with trial.report)"
    return " (an `async` function returns a coroutine; run it with asyncio.run)" if inspect.iscoroutine(value) else ""


def failure(error: BaseException) -> Message:
    """The last message of an evaluation that raised: what happened in the first line, then the traceback."""
    if isinstance(error, TrialFailed):
        return failed(error.reason, str(error))
    reason = MEMORY if isinstance(error, MemoryError) else ERROR
    try:
        told = traceback.TracebackException(type(error), error, _own_frames(error))
        # The lines of a syntax error's place come first, and those of notes last.
        last = next(line for line in told.format_exception_only() if not line.startswith(" "))
        trace = "".join(told.format())
    except Exception:  # an exception class may break every rule
        last, trace = type(error).__name__, ""
    if isinstance(error, SystemExit):
        last = f"the objective called sys.exit({_repr(error.code)}); return the metrics, or raise an exception"
    return failed(reason, f"{last.strip().splitlines()[0]}\n\n{trace}".strip())


def failed(reason: str, text: str) -> Message:
    """A last message that says why a trial failed."""
    shorter = text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}\n...\n{text[-LONGEST // 2 :]}"
    return {"state": "failed", "reason": reason, "error": clean(shorter)}


def clean(text: str) -> str:
    """Text that every store can keep: no lone surrogates, no NUL."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def _own_frames(error: BaseException) -> Any:
    """The traceback without the frames of this package that called the objective."""
    here, frames = os.path.dirname(__file__), error.__traceback__
    while frames is not None and os.path.dirname(frames.tb_frame.f_code.co_filename) == here:
        frames = frames.tb_next
    return frames
