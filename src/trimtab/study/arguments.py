"""The arguments of `Study(...)`, `revise` and `add`: each is checked by itself, and becomes a field of the spec."""

import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import EllipsisType
from typing import Any, cast

from .. import stopping as rules
from ..canonical import dumps, stable_repr
from ..checks import flag, index, members, no_setting, plain, shown, whole
from ..errors import SpaceError, SpecError
from ..fidelity import Fidelity
from ..goals import Constraint, Metrics, constraint, goals
from ..objective import ActiveTrial
from ..other_tuners import meant
from ..outcomes import from_import
from ..records import Budget, Outcome, Proposal, Purpose, StudySpec, Trial
from ..records.usage import amounts
from ..space import Params, Space
from ..strategies import Strategy, names, strategy

Names = str | Iterable[str]
Stopping = str | rules.Rule | Mapping[str, Any] | Sequence[Any] | None


def spec_fields(
    *,
    space: Space | Mapping[str, Any] | None = None,
    minimize: Names | None = None,
    maximize: Names | None = None,
    subject_to: Names | None = None,
    budget: Budget | Mapping[str, Any] | None = None,
    baseline: Params | None = None,
    strategy: str | Strategy[Any] | None = None,
    seed: int | None = None,
    replicates: int | None = None,
    retries: int | None = None,
    max_failures: int | EllipsisType | None = ...,
    deterministic: bool | None = None,
    fidelity: Fidelity | Mapping[str, Any] | None = None,
    stopping: Stopping | EllipsisType = ...,
) -> dict[str, Any]:
    """The fields of a StudySpec that the given arguments set; those of other arguments are absent. Raises SpecError or
    SpaceError."""
    found: dict[str, Any] = {}
    if space is not None:
        found["space"] = space if isinstance(space, Space) else Space(space)
    if minimize is not None or maximize is not None:
        found["goals"] = goals(minimize, maximize)
    if subject_to is not None:
        found["constraints"] = _constraints(subject_to)
    if budget is not None:
        found["budget"] = amounts(Budget, budget, "budget")
    if baseline is not None:
        found["baseline"] = _setting(baseline)
    if strategy is not None:
        found["strategy"], found["settings"] = _named(strategy)
    counts = {
        "seed": (seed, 0),
        "replicates": (replicates, 1),
        "retries": (retries, 0),
        "max_failures": (None if max_failures is ... else max_failures, 1),
    }
    for name, (value, least) in counts.items():
        if value is not None:
            found[name] = whole(name, value, least)
    if max_failures is None:
        found["max_failures"] = None
    if deterministic is not None:
        found["deterministic"] = flag("deterministic", deterministic)
    if fidelity is not None:
        found["fidelity"] = _fidelity(fidelity)
    if not isinstance(stopping, EllipsisType):
        found["stopping"] = tuple(rules.to_json(rules.rule(r)) for r in _several(stopping))
    return found


def _fidelity(given: Fidelity | Mapping[str, Any]) -> Fidelity:
    """A Fidelity from a Fidelity or a mapping of its fields."""
    if isinstance(given, Fidelity):
        return given
    known = [f.name for f in fields(Fidelity)]
    if not isinstance(given, Mapping) or not {"name", "low", "high"} <= given.keys() <= {*known}:
        raise SpecError(f"fidelity={shown(given)} is not understood; write tt.Fidelity('epochs', 1, 81)")
    return Fidelity(**given)


def _several(stopping: Stopping) -> Iterable[Any]:
    """The rules that a `stopping` argument names: one, several, or None for none."""
    if stopping is None:
        return ()
    return stopping if isinstance(stopping, list | tuple) else [stopping]


def revision_arguments(words: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments of `revise`, if `spec_fields` takes all of them and each changes something. Raises SpecError."""
    parameters = inspect.signature(spec_fields).parameters
    for word, value in words.items():
        if word not in parameters:
            raise SpecError(f"{word!r} is nothing that a study has{meant(word, parameters)}")
        if value is None and parameters[word].default is None:
            repair = _TO_REMOVE.get(word, "leave it out")
            raise SpecError(f"{word}=None changes nothing; {repair}")
    return words


_TO_REMOVE = {"budget": "for no limit write budget={}", "subject_to": "for no constraints write subject_to=[]"}


def _constraints(subject_to: Names) -> tuple[Constraint, ...]:
    """Constraints from one text or several."""
    one = isinstance(subject_to, str) or callable(subject_to)  # a function, as for Optuna, is no text
    texts = [subject_to] if one else members("subject_to", subject_to, "constraints")
    return tuple(constraint(_text(t)) for t in texts)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise SpecError(f"constraint {shown(value)} is no text; write it like 'latency_ms <= 20'")
    return value


def _setting(baseline: object) -> Params:
    """A setting from a user's mapping. Raises SpecError."""
    if not isinstance(baseline, Mapping):
        raise SpecError("baseline=" + no_setting(baseline, "{'parameter': value, ...}"))
    return dict(baseline)


def _named(chosen: str | Strategy[Any]) -> tuple[str, dict[str, Any]]:
    """The name and the settings of a strategy, as the record keeps them. Raises SpecError for an unknown name."""
    made = strategy(chosen)
    if isinstance(chosen, str):
        return chosen, {}
    settings: dict[str, Any] = (
        {f.name: plain(getattr(made, f.name)) for f in fields(made) if f.init} if is_dataclass(made) else {}
    )
    settings.pop("name", None)
    settings.pop("version", None)
    for name, value in settings.items():
        try:
            settings[name] = json.loads(dumps(value))  # as it will be read from the record
        except (TypeError, ValueError):
            if made.name in names():  # other strategies are not made again by name: for them, a description will do
                raise SpecError(
                    f"strategy {made.name!r}: {name}={shown(value)} is no finite number, text or list of Python's own"
                ) from None
            return made.name, {"repr": stable_repr(made)}
    return made.name, settings


def trial_number(given: object) -> int:
    """The number of a trial, from a trial or a number. Raises SpecError."""
    found = given.number if isinstance(given, ActiveTrial | Trial) else index(given)
    if found is None or not 0 <= found < 2**63:
        raise SpecError(f"{shown(given)} is no trial; give what ask() returned, or its number")
    return found


def imported(spec: StudySpec, params: Any, metrics: Any) -> list[tuple[Proposal, Outcome]]:
    """The trials that `add` records, from its arguments. Raises SpaceError or SpecError for one that is wrong, with its
    place if there are several."""
    found = []
    for place, (setting, measured) in enumerate(results(params, metrics)):
        try:
            proposal = Proposal(spec.space.validate(setting), 0, Purpose.IMPORT, strategy="user", version="1")
            found.append((proposal, from_import(measured, spec.metrics)))
        except (SpaceError, SpecError) as error:
            if isinstance(params, Mapping):
                raise
            which = "params" if isinstance(error, SpaceError) else "metrics"
            raise type(error)(f"{which}[{place}]: {error}") from None
    return found


def results(
    params: Params | Sequence[Params], metrics: float | Metrics | Sequence[float | Metrics]
) -> list[tuple[Params, float | Metrics]]:
    """Pairs of a setting and its metrics, from one of each or from two sequences of equal length. Raises SpecError."""
    if isinstance(params, Mapping):
        return [(params, cast(float | Metrics, metrics))]
    if hasattr(params, "to_dict"):  # a table, or one row of it
        raise SpecError(f"params={shown(params)} is no list of settings; write params.to_dict('records')")
    settings, measured = members("params", params, "settings"), members("metrics", metrics, "results")
    if len(settings) != len(measured):
        raise SpecError(f"add: {len(settings)} settings but {len(measured)} results; give one result for each setting")
    return list(zip(settings, measured, strict=True))
