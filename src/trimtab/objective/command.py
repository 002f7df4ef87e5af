"""Objectives in any language: a command template, run once per trial, that prints its metrics.

Parameters arrive in the template and in TRIMTAB_PARAMS (JSON); TRIMTAB_SEED, TRIMTAB_TRIAL, TRIMTAB_PURPOSE,
TRIMTAB_REPLICATE, TRIMTAB_FIDELITY and TRIMTAB_CHECKPOINT hold the rest. Metrics come back as JSON lines on standard
output (with "step": a report), through `trimtab report-metrics` (the file TRIMTAB_RESULT), or from lines such as `auc:
0.91` of an untouched script.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import IO, Any

import psutil

from ..checks import shown
from ..errors import ObjectiveError
from .metrics import BAD_RESULT, ERROR, Killed, TrialFailed, real
from .output import PrintedMetrics
from .template import arguments, checkpoint, fidelity, search_path
from .trial import ActiveTrial

SCRATCH = "TRIMTAB_SCRATCH"  # names the folder for temporary files of a supervised process, which its parent removes
_TERMINATION = 5.0  # seconds between SIGTERM and SIGKILL
_LOOK = 0.1  # seconds between two looks at TRIMTAB_RESULT
# A command that has ended may leave processes behind that still write to its pipes. They are read until nothing comes for
# _SILENT waits of half a _LOOK, but for at most _AFTERWARDS seconds.
_SILENT = 20
_AFTERWARDS = 30.0

_LAUNCH = (  # asks the kernel to kill the command when the process that started it dies, even by SIGKILL
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); "
    "os.getppid() == int(sys.argv[1]) or os._exit(1); os.execvp(sys.argv[2], sys.argv[2:])"
)


@dataclass(frozen=True)
class Command:
    """A program as an objective: `python train.py --lr {learning_rate} --depth {max_depth}`.

    Placeholders are {parameter}, {seed}, {trial}, {fidelity}, {checkpoint} and {params} (`--name value` for every
    active parameter); a parameter of the same name takes precedence; {{ and }} are literal braces. A word whose value
    the trial does not have, because a parameter is inactive or None, is left out together with the option before it. The
    template is split into words as a shell would, but no shell runs it.
    """

    template: str


def run(template: str, trial: ActiveTrial) -> dict[str, Any]:
    """Run the command for a trial and return its metrics. Its output goes to this process's output too.

    Raises TrialFailed: `error` for a non-zero exit or a signal, `bad result` if a metric that is needed was not found.
    Raises Killed if something else has ended the command, as it might end a supervised process.
    """
    argv = arguments(template, trial)
    with tempfile.TemporaryDirectory(prefix="trimtab-", dir=os.environ.get(SCRATCH)) as folder:
        result = _ResultFile(Path(folder) / "result")
        process = _start(argv, trial, result.path)
        try:
            printed, stopped, stdout, stderr = _follow(process, result, trial)
        finally:
            _end(process)
    if stopped:
        return {}
    if process.returncode in (-signal.SIGKILL, -signal.SIGTERM):  # out of memory, a job scheduler
        raise Killed(_exit_message(process.returncode, stderr, argv))
    if process.returncode != 0:
        raise TrialFailed(ERROR, _exit_message(process.returncode, stderr, argv))
    metrics = printed.metrics()
    missing = [m for m in trial.metrics if m not in metrics]
    if missing:
        example = json.dumps(dict.fromkeys(trial.metrics, 0.5))
        raise TrialFailed(
            BAD_RESULT,
            f"missing metric {', '.join(map(repr, missing))} on the standard output of the command; let it print a line "
            f"such as {example}{_named(missing, stdout, stderr)}\n\ncommand: {shlex.join(argv)}",
        )
    return metrics


def _named(missing: Sequence[str], stdout: Sequence[str], stderr: Sequence[str]) -> str:
    """The last line that names a missing metric without giving a number that can be read, in words; "" if there is none."""
    for lines, place in ((stdout, "it printed"), (stderr, "on standard error, which is not searched, it printed")):
        for line in reversed(lines):
            if any(m.casefold() in line.casefold() for m in missing):
                return f" ({place} {shown(line.strip())})"
    return ""


def _start(argv: Sequence[str], trial: ActiveTrial, result: Path) -> "subprocess.Popen[str]":
    environment = {
        **os.environ,
        "PATH": search_path(),
        "TRIMTAB_PARAMS": json.dumps(trial.params),
        "TRIMTAB_SEED": str(trial.seed),
        "TRIMTAB_TRIAL": str(trial.number),
        "TRIMTAB_PURPOSE": trial.purpose,
        "TRIMTAB_REPLICATE": "" if trial.replicate is None else str(trial.replicate),
        "TRIMTAB_FIDELITY": fidelity(trial),
        "TRIMTAB_CHECKPOINT": "" if trial.fidelity is None else checkpoint(trial),
        "TRIMTAB_RESULT": str(result),
    }
    launcher = [sys.executable, "-ISc", _LAUNCH, str(os.getpid())] if sys.platform == "linux" else []
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*launcher, *argv], env=environment, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe,
        text=True, encoding="utf-8", errors="replace",
    )  # fmt: skip


class _ResultFile:
    """The file TRIMTAB_RESULT, to which a command appends metrics; read as it grows."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self.path = path
        self._read = 0  # bytes

    def take(self, printed: PrintedMetrics, trial: ActiveTrial) -> bool:
        """Read the new complete lines. Returns whether one of them was a report."""
        with self.path.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        reported = [printed.entry(line, trial) for line in whole.decode("utf-8", "replace").splitlines()]
        return any(reported)


def _follow(
    process: "subprocess.Popen[str]", result: _ResultFile, trial: ActiveTrial
) -> tuple[PrintedMetrics, bool, list[str], list[str]]:
    """Read the command's output until it ends, or until a rule says that it should stop.

    Returns its metrics, whether it is to be stopped, and the last lines of its standard output and standard error. The
    output is passed on here, not by the threads that read it: a slow disk must not look like a silent command.
    """
    lines: Queue[tuple[bool, str]] = Queue()
    stdout, stderr = deque[str](maxlen=20), deque[str](maxlen=20)
    enough = threading.Event()  # set when nothing more is to be read
    readers = [
        _reader(process.stdout, lambda line: lines.put((True, line)), enough),
        _reader(process.stderr, lambda line: lines.put((False, line)), enough),
    ]
    printed = PrintedMetrics(trial.metrics)
    ended = None  # when the command ended
    silent = 0  # for how many waits nothing has come
    looked = 0.0  # when the result file was last read
    while any(r.is_alive() for r in readers) or not lines.empty():
        reported = False
        match _next(lines):
            case None:
                silent += 1
            case True, line:
                silent = 0
                _pass_on(line, sys.stdout)
                stdout.append(line)
                reported = printed.line(line, trial)
            case False, line:
                silent = 0
                _pass_on(line, sys.stderr)
                stderr.append(line)
        now = time.monotonic()
        if now - looked > _LOOK:
            looked = now
            reported = result.take(printed, trial) or reported
        if reported and trial.should_stop():
            enough.set()
            return printed, True, [*stdout], [*stderr]
        if process.poll() is not None:
            if ended is None:
                ended, silent = now, 0
            if silent > _SILENT or now - ended > _AFTERWARDS:
                enough.set()
            if enough.is_set() and lines.empty():
                break
    process.wait()
    result.take(printed, trial)
    return printed, False, [*stdout], [*stderr]


def _next(lines: "Queue[tuple[bool, str]]") -> tuple[bool, str] | None:
    """The next line of the command's output, and whether it is from standard output; None after a moment of silence."""
    try:
        return lines.get(timeout=_LOOK / 2)
    except Empty:
        return None


def _pass_on(line: str, sink: IO[str]) -> None:
    with suppress(OSError):  # a full disk takes no output, which is no fault of the command
        sink.write(line)
        sink.flush()


def _reader(stream: IO[str] | None, take: Callable[[str], None], enough: threading.Event) -> threading.Thread:
    """A thread that gives each line of a stream to `take`, until the stream ends or `enough` is set."""

    def read() -> None:
        assert stream is not None  # both streams are pipes
        with stream:
            for line in iter(lambda: "" if enough.is_set() else stream.readline(65536), ""):
                take(line)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def _end(process: "subprocess.Popen[str]") -> None:
    """End a command that still runs, with its children: SIGTERM, then SIGKILL for those that remain."""
    family = list[psutil.Process]()
    if process.poll() is None:
        with suppress(psutil.NoSuchProcess):
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for which in (signal.SIGTERM, signal.SIGKILL):
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.send_signal(which)
        _, family = psutil.wait_procs(family, timeout=_TERMINATION if which == signal.SIGTERM else 0)
    process.wait()


def _exit_message(code: int, stderr: Sequence[str], argv: Sequence[str]) -> str:
    """Why a command failed: how it ended, its last line of standard error, the command, and more of its standard error."""
    name = next((s.name for s in signal.Signals if s == -code), "unnamed")
    end = f"signal {-code} ({name})" if code < 0 else f"exit code {code}"
    text = "".join(stderr).strip()
    last = f": {text.splitlines()[-1]}" if text else ""
    return f"the command ended with {end}{last}\n\ncommand: {shlex.join(argv)}\n\n{text}".strip()


def report_metrics(pairs: Sequence[str], step: float | None = None) -> None:
    """Give metrics such as "auc=0.9" to the trial in whose command this process runs; with `step`, as a report.

    Raises ObjectiveError for a malformed pair, and outside of a trial.
    """
    path = os.environ.get("TRIMTAB_RESULT")
    if not path:
        raise ObjectiveError("TRIMTAB_RESULT is not set; report-metrics works inside the command of a trial")
    if not pairs:
        raise ObjectiveError("report-metrics needs at least one metric, such as auc=0.91")
    entry: dict[str, float] = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        try:
            entry[name.strip()] = float(text)
        except ValueError:
            sign = ""
        if not sign or not name.strip():
            raise ObjectiveError(f"{pair!r} is no metric; write name=number, such as auc=0.91")
    line = json.dumps(entry if step is None else {**entry, "step": real(step)}) + "\n"
    with open(path, "ab", buffering=0) as file:
        file.write(line.encode())
