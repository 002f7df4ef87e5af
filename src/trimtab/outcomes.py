"""How trials end: a result that was told or imported, or the exit of a job, becomes an Outcome. Pure."""

import math
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace

from .errors import OverQuota, SpecError
from .executors import Exit
from .formatting import duration, first_line, size
from .objective import TrialFailed
from .objective.metrics import measured, real
from .records import Cost, Outcome, Reason, Resources, State


def from_tell(
    metrics: object, failed: str | None, needed: Sequence[str], wall: float, reported: Mapping[str, float] | None = None
) -> Outcome:
    """The outcome of a trial that was evaluated elsewhere in `wall` seconds: its metrics, or why it failed.

    reported: if the trial obeyed a stopping rule, the last reported value of each metric; these stand in for metrics
    that are not given. A NaN or infinite metric makes a failed trial, and is left out with a note if it is not needed;
    anything else that is no valid result raises SpecError.
    """
    cost = Cost(wall=wall)
    if failed is not None:
        return Outcome(State.FAILED, reason=Reason.ERROR, error=str(failed), cost=cost)
    return _from_result(metrics, needed, "tell was given", "tell", cost, reported)


def from_import(metrics: object, needed: Sequence[str]) -> Outcome:
    """The outcome of an imported result, which is judged like one that was told."""
    return _from_result(metrics, needed, "add was given", "give", Cost(), None)


def _from_result(
    metrics: object,
    needed: Sequence[str],
    source: str,
    repair: str,
    cost: Cost,
    reported: Mapping[str, float] | None,
) -> Outcome:
    """The outcome of what somebody gave as a result. Raises SpecError for what is none, unless a needed metric is NaN or
    infinite: that is a slip of whoever gave it, who can give it again."""
    notes = list[str]()
    try:
        found = measured(metrics, needed, reported is not None, source, repair, notes.append)
    except TrialFailed as error:
        values = [metrics.get(name) for name in needed] if isinstance(metrics, Mapping) else [metrics]
        if all(x is None or math.isfinite(x) for x in map(real, values)):
            raise SpecError(str(error)) from None
        return Outcome(State.FAILED, reason=Reason(error.reason), error=str(error), cost=cost)
    state = State.DONE if reported is None else State.STOPPED
    return Outcome(state, {**(reported or {}), **found}, notes=tuple(notes), cost=cost)


def from_exit(ended: Exit, resources: Resources, notes: Sequence[str] = ()) -> Outcome | None:
    """The outcome of a trial whose job has ended. None if its process was killed, but not for exceeding a limit: then
    the trial returns to the queue.

    Raises OverQuota if it ended because there is no room for its checkpoint: that is not the trial's fault either.
    """
    cost = cost_of(ended.cost, resources)

    def failed(reason: Reason, error: str) -> Outcome:
        return Outcome(State.FAILED, {}, reason, error, ended.output, tuple(notes), cost)

    if (message := ended.message) is not None:
        if message["state"] == "no room":
            raise OverQuota(
                f"checkpoints in {message['folder']} have no room: {first_line(message['error'])}; the disk, or your quota "
                "there, is full: free some space, save less, or take a smaller population, and run the same line again"
            )
        if message["state"] == "killed":
            return None
        if message["state"] == "failed":
            return failed(Reason(message["reason"]), message["error"])
        return Outcome(State(message["state"]), message["metrics"], None, "", ended.output, tuple(notes), cost)
    if ended.limit is not None:
        return failed(ended.limit, _exceeded(ended.limit, resources, cost))
    if ended.killed or ended.signal in (signal.SIGKILL, signal.SIGTERM):  # a job scheduler sends both
        return None
    if ended.signal is not None:
        name = next((s.name for s in signal.Signals if s == ended.signal), "unnamed")
        return failed(Reason.ERROR, f"the process ended by signal {ended.signal} ({name})")
    how = "closed its connection" if ended.code is None else f"ended with exit code {ended.code}"
    return failed(Reason.ERROR, f"the process {how} before the objective returned")


def cost_of(used: Mapping[str, float], resources: Resources) -> Cost:
    """What a job has used, as a Cost with money and energy."""
    cost = resources.charge(used.get("wall", 0.0), used.get("cpu", 0.0), used.get("memory", 0.0))
    return replace(cost, loading=used.get("loading", 0.0), waiting=used.get("waiting", 0.0))


def _exceeded(limit: Reason, resources: Resources, cost: Cost) -> str:
    """The error of a trial that was ended at a limit."""
    match limit:
        case Reason.MEMORY:
            return f"it used {size(cost.memory)} of memory; the limit is {size(float(resources.memory or 0))}"
        case Reason.STALL:
            return f"no report for {duration(float(resources.stall or 0))}, the limit; it ran {duration(cost.wall)}"
    return f"it ran {duration(cost.wall)}; the limit is {duration(float(resources.time or 0))}"
