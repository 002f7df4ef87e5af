"""A running trial, as the objective sees it.

It sends messages, plain JSON mappings, and gets replies: {"kind": "report", "step", "metrics"} -> {"stop"[, "rule"]},
and {"kind": "note", "text"} -> {}.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..calls import checked_call
from ..canonical import storable
from ..checks import shown
from ..errors import SpecError
from ..other_tuners import ACTIVE_TRIAL
from . import handover
from .metrics import BAD_RESULT, ERROR, TrialFailed, finite, real

if TYPE_CHECKING:
    from ..records import Trial

UNREAD = "trained from nothing: it was to go on from its parent, and did not ask for trial.checkpoint"
"""The note of a trial that did not ask for its parent's checkpoint."""

Message = dict[str, Any]
Send = Callable[[Message], Mapping[str, Any]]


@dataclass(frozen=True)
class Folders:
    """The checkpoint directories that matter to an attempt at a trial."""

    own: str | None = None  # its own; None in a simulation
    handed: str | None = None  # that of the parent trial, if it has one
    earlier: Sequence[str] = ()  # those of earlier attempts, the latest first


def payload(trial: "Trial", metrics: Iterable[str] = (), folders: Folders = Folders()) -> dict[str, Any]:
    """What an evaluation needs to know, as JSON: the trial, the metrics to return, and its checkpoint directories."""
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
    """A running trial, as the objective sees it.

    params: the setting to evaluate.
    seed: for everything random in the evaluation; nothing global is seeded.
    number: of the trial.
    purpose: "search", "select" or "certify".
    replicate: of a setting's runs for evidence, which one this is; both runs of a pair have the same. None in a search.
    attempt: 1, or more if earlier attempts were lost or retried.
    metrics: names of the metrics that must be returned.
    fidelity: how far to train, in the unit of the study's Fidelity; None without one.
    parent: number of the trial whose checkpoint this one starts from; None if it starts from scratch.
    reported: the last value of each metric that was reported; an objective may return it.
    """

    def __init__(self, payload: Mapping[str, Any], send: Send) -> None:
        self.params: dict[str, Any] = dict(payload["params"])
        self.seed: int = payload["seed"]
        self.number: int = payload["number"]
        self.purpose: str = payload["purpose"]
        self.replicate: int | None = payload["replicate"]
        self.attempt: int = payload["attempt"]
        self.metrics: tuple[str, ...] = tuple(payload["metrics"])
        self.fidelity: float | None = payload.get("fidelity")
        self.parent: int | None = payload.get("parent")
        self._checkpoint: str | None = payload.get("checkpoint")
        self._handed: str | None = payload.get("handed")
        self._looked = False  # whether the objective has asked for its checkpoint
        self._earlier = [Path(path) for path in payload.get("earlier", ())]
        self._member: int | None = payload.get("member")  # which member of a population it trains
        self.reported: dict[str, float] = {}
        self.refusal = ""  # why its last report was refused
        self.rule = ""  # the stopping rule, once should_stop() has returned True because of it
        self._send = send
        self._reply: Mapping[str, Any] = {}

    @staticmethod
    def of(trial: "Trial", send: Send, metrics: Iterable[str] = (), folders: Folders = Folders()) -> "ActiveTrial":
        """A claimed trial, as its objective sees it."""
        return ActiveTrial(payload(trial, metrics, folders), send)

    def __repr__(self) -> str:
        return f"<ActiveTrial {self.number}: {self.params}>"

    if not TYPE_CHECKING:  # a type checker shall still know what there is

        def __getattr__(self, name: str) -> Any:
            """Say where the values are to those who look for `trial.suggest_float("x", ...)` or `trial.x`."""
            known = ", ".join(self.__dict__.get("params", ()))
            answer = ACTIVE_TRIAL.get(name, f"its setting is the mapping trial.params, with {known}")
            raise AttributeError(f"a trial has no {name!r}; {answer}")

        def __getitem__(self, name: str) -> Any:
            raise TypeError(f"a trial is no mapping; write trial.params[{name!r}]")

    @property
    def checkpoint(self) -> Path:
        """The directory in which this attempt saves its state.

        It starts with what an earlier attempt has saved, so that a killed training continues from there; else with a copy
        of the parent's directory, if the trial has a parent; else empty. It is kept while the trial is open, and
        afterwards as long as another trial may continue from it, or if no trial has a better value. In a simulation
        there is none.

        Raises TrialFailed for a member of a population whose parent's checkpoint is missing.
        """
        if self._checkpoint is None:
            raise SpecError("this trial has no directory for checkpoints: it is simulated")
        self._looked = True
        own, parent = Path(self._checkpoint), None if self._handed is None else Path(self._handed)
        handover.take_over(own, self._earlier)
        if parent is not None and not own.is_dir() and not parent.is_dir():
            self._begin_anew(f"there is no checkpoint of trial {self.parent} in {parent.parent}")
        return handover.create(own, parent)

    def _begin_anew(self, why: str) -> None:
        """Note that the trial starts from scratch. A member of a population fails instead: its history cannot be made up
        for."""
        if self._member is None:
            self.note(f"begins anew: {why}")
            return
        raise TrialFailed(
            ERROR,
            f"{why}, from which this one goes on; let TRIMTAB_CHECKPOINTS name a folder that all who run the trials of "
            "this study see, and in which nobody else removes anything",
        )

    @checked_call
    def report(self, step: float, /, **metrics: float) -> None:
        """Record one or more metrics at a step, such as an epoch: trial.report(3, loss=0.2).

        All must be finite numbers; anything else makes the trial fail (bad result).
        """
        try:
            at, values = self._checked(step, metrics)
        except TrialFailed as refusal:
            self.refusal = str(refusal)
            raise
        self.reported = {**self.reported, **values}
        self._reply = self._send({"kind": "report", "step": at, "metrics": values})

    def _checked(self, step: float, metrics: Mapping[str, object]) -> tuple[float, dict[str, float]]:
        """What `report` was given: the step, and the metrics by name. Raises TrialFailed (bad result)."""
        at = real(step)
        if at is None or not math.isfinite(at):
            raise TrialFailed(BAD_RESULT, f"report(step={shown(step)}): the step must be a finite number")
        if not metrics:
            raise TrialFailed(BAD_RESULT, f"report({at:g}) names no metric; write trial.report(step, loss=...)")
        if "step" in metrics and "step" not in self.metrics:
            raise TrialFailed(
                BAD_RESULT,
                f"report({at:g}, step={shown(metrics['step'])}): the step comes first, and metrics have names; write "
                "trial.report(3, loss=0.2)",
            )
        return at, {storable(name): finite(f"report({at:g})", name, value) for name, value in metrics.items()}

    def should_stop(self) -> bool:
        """Whether the objective should return now. Judged at its last report."""
        stop = bool(self._reply.get("stop"))
        if stop:
            self.rule = str(self._reply.get("rule", ""))
        return stop

    def note(self, text: str) -> None:
        """Attach a note to the trial."""
        self._send({"kind": "note", "text": storable(str(text))})


def lacks_room(trial: ActiveTrial, error: BaseException) -> str:
    """The folder of the checkpoints, if the trial has asked for its own and failed because a disk is full; else ""."""
    if not trial._looked or trial._checkpoint is None:
        return ""
    own = Path(trial._checkpoint)
    return str(own.parent) if handover.lacks_room(own, error) else ""


def note_unread(trial: ActiveTrial) -> None:
    """Attach a note to a trial that should have continued from another's checkpoint, but ended without asking for it."""
    if trial._handed is not None and not trial._looked:
        trial.note(UNREAD)
