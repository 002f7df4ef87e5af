"""One evaluation of an objective, and the message that says how it ended.

That last message is {"state": "done" | "stopped", "metrics"} or {"state": "failed", "reason", "error"}; the first line of
`error` says what happened. If checkpoints cannot be saved because a disk is full, that is not the objective's fault: then
it is {"state": "no room", "folder", "error"}; and if a command was killed from outside, {"state": "killed", "error"}.
"""

import os
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..canonical import storable
from ..checks import shown
from ..files import is_full
from .metrics import BAD_RESULT, ERROR, MEMORY, Killed, TrialFailed, measured
from .trial import ActiveTrial, Message, Send, lacks_room, note_unread

Objective = Callable[[ActiveTrial], object]
_NO_MEMORY = "OutOfMemoryError", "ResourceExhaustedError"  # of a GPU: PyTorch's, TensorFlow's
_TRACEBACK = "Traceback (most recent call last):"
LONGEST = 20_000  # characters of an error; the middle of a longer one is cut out


def evaluate(objective: Objective, payload: Mapping[str, Any], send: Send) -> Message:
    """Run the objective once, on a `trial.payload`; returns the last message. Of all exceptions, only KeyboardInterrupt
    passes through.

    If the objective has obeyed a stopping rule, the state is "stopped"; metrics that it did not return are taken from
    its last reports.
    """
    trial, here = ActiveTrial(payload, send), _folder()
    try:
        returned = _returned(objective, trial)
        note_unread(trial)
        metrics = measured(returned, trial.metrics, partly=bool(trial.rule), note=trial.note)
        if trial.rule:
            return {"state": "stopped", "metrics": {**trial.reported, **metrics}}
        return {"state": "done", "metrics": metrics}
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        message = failure(error)
        if trial.refusal and trial.refusal in message["error"]:  # CatBoost wraps what its callback raises
            message = failed(BAD_RESULT, trial.refusal)
        if message.get("reason") != ERROR:
            return message
        folder = lacks_room(trial, error)
        return {"state": "no room", "folder": folder, "error": message["error"]} if folder else _naming_disk(message)
    finally:
        if here != _folder():  # the objective has changed the working folder; the next trial begins in the old one
            with suppress(OSError):
                os.chdir(here)


def _returned(objective: Objective, trial: ActiveTrial) -> object:
    """What the objective returns. A process that it has forked ends here, as it would at the end of a program: it must
    neither answer for the trial, nor go on to the next one."""
    process, status = os.getpid(), 0
    try:
        return objective(trial)
    except BaseException as error:
        status = _exit_status(error)
        if os.getpid() != process and not isinstance(error, SystemExit):
            traceback.print_exc()
        raise
    finally:
        if os.getpid() != process:
            for stream in (sys.stdout, sys.stderr):
                with suppress(Exception):  # the objective may have closed or replaced it
                    stream.flush()
            os._exit(status)


def _exit_status(error: BaseException) -> int:
    """The exit status of a program that ends by this error."""
    code = error.code if isinstance(error, SystemExit) else 1
    return code if isinstance(code, int) else int(code is not None)


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
    if isinstance(error, Killed):
        return {"state": "killed", "error": str(error)}
    reason = MEMORY if isinstance(error, MemoryError) or type(error).__name__ in _NO_MEMORY else ERROR
    try:
        told = traceback.TracebackException(type(error), error, _own_frames(error))
        # Before the message come the lines that quote a syntax error; after it come notes.
        last = next(line for line in told.format_exception_only() if not line.startswith(" "))
        trace = "".join(told.format())
    except Exception:  # a user's exception class may do anything when it is formatted
        last, trace = type(error).__name__, ""
    if isinstance(error, SystemExit):
        last = f"the objective called sys.exit({shown(error.code)}); return the metrics, or raise an exception"
    return failed(reason, f"{_headline(last)}\n\n{trace}".strip())


def _headline(text: str) -> str:
    """The first line of an error, followed by the last one if a traceback lies between: that of another process, or of a
    callback from C++, where the last line says what happened."""
    first, *more = text.strip().splitlines()
    quotes = any(_TRACEBACK in line for line in (first, *more))
    return f"{first.replace(_TRACEBACK, '').strip()} {more[-1].strip()}" if more and quotes else first


def _naming_disk(message: Message) -> Message:
    """The message of a failure; its first line also says if the disk of temporary files, or of the working directory, is
    full: many programs only say that they could not write."""
    places = (os.environ.get("TMPDIR") or "/tmp", _folder())  # tempfile.gettempdir() avoids a full disk
    full = next((place for place in places if place and is_full(Path(place))), None)
    if full is None:
        return message
    first, line_end, more = message["error"].partition("\n")
    return {**message, "error": f"{first} (the disk of {full} is full){line_end}{more}"}


def failed(reason: str, text: str) -> Message:
    """A last message that says why a trial failed."""
    shorter = text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}\n...\n{text[-LONGEST // 2 :]}"
    return {"state": "failed", "reason": reason, "error": storable(shorter)}


def _own_frames(error: BaseException) -> Any:
    """The traceback of an error without the frames, at its beginning, of this package."""
    here, frames = os.path.dirname(__file__), error.__traceback__
    while frames is not None and os.path.dirname(frames.tb_frame.f_code.co_filename) == here:
        frames = frames.tb_next
    return frames
