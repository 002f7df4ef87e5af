"""One evaluation of an objective, and the message that says how it ended.

The last message is {"state": "done" | "stopped", "metrics"} or {"state": "failed", "reason", "error"}; the first line
of `error` says what happened.
"""

import os
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from .metrics import ERROR, MEMORY, TrialFailed, brief, clean, measured
from .trial import ActiveTrial, Message, Send, note_unread

Objective = Callable[[ActiveTrial], object]
LONGEST = 20_000  # characters of an error that are kept


def evaluate(objective: Objective, task: Mapping[str, Any], send: Send) -> Message:
    """Run the objective once; returns the last message. Only KeyboardInterrupt passes through.

    An objective that obeyed a stopping rule is `stopped`; its last reports supply what it did not return.
    """
    trial, here = ActiveTrial(task, send), _folder()
    try:
        returned = objective(trial)
        note_unread(trial)
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
    """The working directory; empty if it was removed."""
    try:
        return os.getcwd()
    except OSError:
        return ""


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
        last = f"the objective called sys.exit({brief(error.code)}); return the metrics, or raise an exception"
    return failed(reason, f"{last.strip().splitlines()[0]}\n\n{trace}".strip())


def failed(reason: str, text: str) -> Message:
    """A last message that says why a trial failed."""
    shorter = text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}\n...\n{text[-LONGEST // 2 :]}"
    return {"state": "failed", "reason": reason, "error": clean(shorter)}


def _own_frames(error: BaseException) -> Any:
    """The traceback without the frames of this package that called the objective."""
    here, frames = os.path.dirname(__file__), error.__traceback__
    while frames is not None and os.path.dirname(frames.tb_frame.f_code.co_filename) == here:
        frames = frames.tb_next
    return frames
