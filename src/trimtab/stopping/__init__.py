"""Stopping rules: which trial is not worth its next step. Pure: reports go in, verdicts come out.

A rule is a frozen dataclass of settings. `begin` gives its state, which takes in the reports of all trials of a study
in the order in which they were written, and says after each report whether its trial should stop. So a verdict is a
function of the reports so far, and the same reports give the same verdicts again.

A score is (violation, loss of goal 1, loss of goal 2, ...): smaller is better, and violation is 0 if all constraints
hold as far as they are known.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

from ..checks import is_number, one_of, plain, shown
from ..errors import SpecError
from ..fidelity import Fidelity

Score = tuple[float, ...]
"""By how much constraints are violated, then the loss in each goal: two numbers where there is one goal."""


@dataclass(frozen=True, slots=True)
class ScoredReport:
    """A report, as rules see it."""

    number: int  # of the trial
    step: float
    score: Score  # () if it lacks a goal; then only thresholds on other metrics are shown it
    metrics: Mapping[str, float]


class RuleState(Protocol):
    """What a rule knows of the reports so far."""

    def update(self, report: ScoredReport) -> str:
        """Take in one report; returns why its trial should stop now, or "" to continue."""
        ...


@runtime_checkable
class Idling(Protocol):
    """A state to which most reports make no difference, such as those between two rungs."""

    def idle(self, number: int, step: float) -> bool:
        """Whether the next report of this trial would change nothing if it came at this step."""
        ...


@runtime_checkable
class Rule(Protocol):
    """A stopping rule: a dataclass of JSON values with a `name`. Raise its `version` when the same reports would give other
    verdicts."""

    name: str

    @property
    def version(self) -> str: ...

    def begin(self, fidelity: Fidelity | None) -> RuleState:
        """The state before the first report. Raises SpecError if the rule does not fit the fidelity."""
        ...


_TABLE = {  # name -> module:class
    "asha": "halving:Asha",
    "forgiving": "folds:Forgiving",
    "freeze-thaw": "promotion:FreezeThaw",
    "hyperband": "halving:Hyperband",
    "median": "percentile:Median",
    "percentile": "percentile:Percentile",
    "plateau": "plateau:Plateau",
    "promotion": "promotion:Promotion",
    "threshold": "threshold:Threshold",
    "wilcoxon": "folds:Wilcoxon",
}
PAUSING = frozenset({"freeze-thaw", "promotion"})
"""Rules that stop no trial: trials pause, and their returned results are judged."""


def names() -> list[str]:
    """The rules that can be named."""
    return sorted(_TABLE)


def rule(which: "str | Rule | Mapping[str, Any]") -> Rule:
    """The rule called `which`, or made from the output of `to_json`; a rule object is returned as it is. Raises
    SpecError."""
    if isinstance(which, str):
        which = {"rule": which}
    if isinstance(which, Mapping):
        settings = dict(which)
        name = one_of("stopping", settings.pop("rule", None), names())
        module, _, cls = _TABLE[name].partition(":")
        try:
            made: Rule = getattr(import_module(f"{__name__}.{module}"), cls)(**settings)
        except TypeError as error:
            raise SpecError(f"stopping {name!r}: {error}; see trimtab.stopping.{module}.{cls}") from None
        return made
    if isinstance(which, Rule) and is_dataclass(which) and which.name in _TABLE:
        return which
    raise SpecError(
        f"stopping={shown(which)} is no rule; give one of {', '.join(names())}, or a rule of trimtab.stopping"
    )


def to_json(made: Rule) -> dict[str, Any]:
    """A rule as the record keeps it: its name and settings."""
    settings = {f.name: getattr(made, f.name) for f in fields(made) if f.init and f.name != "name"}  # type: ignore[arg-type]
    return {"rule": made.name, **settings}


def bounded(rule: Any, name: str, low: float, high: float) -> None:
    """Raises SpecError if this setting of a rule is not a number from low to high. One of numpy's becomes a plain one."""
    value = plain(getattr(rule, name))
    if not is_number(value) or not low <= value <= high:
        raise SpecError(f"stopping {rule.name!r}: {name}={shown(value)} must be a number from {low:g} to {high:g}")
    object.__setattr__(rule, name, value)


def needed(rule: str, fidelity: Fidelity | None, example: str = "'epochs', 1, 81") -> Fidelity:
    """The fidelity, for a rule that requires one. Raises SpecError, with an example of one."""
    if fidelity is None:
        raise SpecError(f"stopping={rule!r} needs fidelity=tt.Fidelity({example}), or take stopping='median'")
    return fidelity
