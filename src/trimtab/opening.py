"""From the words of `Study(...)` to a spec: checked before anything is stored, and compared with what is stored."""

import inspect
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from types import EllipsisType
from typing import Any, cast

from . import engine
from . import stopping as rules
from .canonical import dumps
from .errors import SpaceError, SpecError, StudyMismatch, StudyNotFound, nearest, whole
from .fidelity import Fidelity
from .goals import Metrics, constraint, goals, listed
from .matrix import suited
from .records import Budget, Change, StudyRecord, StudySpec, StudyState, completed
from .space import Params, Space
from .storage import Storage
from .strategies import Continuing, Strategy, names, strategy
from .usage import amounts
from .warmstart import Earlier, sources

Names = str | Iterable[str]
Stopping = str | rules.Rule | Mapping[str, Any] | Sequence[Any] | None

DEFAULT_STOPPING = "asha"  # where there is a fidelity, and nothing is said of stopping


def given(
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
    """The spec's fields for what the user said; what was left out is absent. Raises SpecError or SpaceError."""
    said: dict[str, Any] = {}
    if space is not None:
        said["space"] = space if isinstance(space, Space) else Space(space)
    if minimize is not None or maximize is not None:
        said["goals"] = goals(minimize, maximize)
    if subject_to is not None:
        texts = [subject_to] if isinstance(subject_to, str) else listed(subject_to, "subject_to", "constraints")
        said["constraints"] = tuple(constraint(_text(t)) for t in texts)
    if budget is not None:
        said["budget"] = amounts(Budget, budget, "budget")
    if baseline is not None:
        if not isinstance(baseline, Mapping):
            raise SpecError(f"baseline={baseline!r} is no setting; write {{'parameter': value, ...}}")
        said["baseline"] = baseline
    if strategy is not None:
        said["strategy"], said["settings"] = _named(strategy)
    counts = {
        "seed": (seed, 0),
        "replicates": (replicates, 1),
        "retries": (retries, 0),
        "max_failures": (None if max_failures is ... else max_failures, 1),
    }
    for name, (value, least) in counts.items():
        if value is not None:
            whole(name, value, least)
            said[name] = value
    if max_failures is None:
        said["max_failures"] = None
    if deterministic is not None:
        if not isinstance(deterministic, bool):
            raise SpecError(f"deterministic={deterministic!r} must be True or False")
        said["deterministic"] = deterministic
    if fidelity is not None:
        said["fidelity"] = _fidelity(fidelity)
    if not isinstance(stopping, EllipsisType):
        said["stopping"] = tuple(rules.to_json(rules.rule(r)) for r in _several(stopping))
    return said


def _fidelity(given: Fidelity | Mapping[str, Any]) -> Fidelity:
    """A Fidelity from itself or from a mapping of its fields."""
    if isinstance(given, Fidelity):
        return given
    try:
        return Fidelity(**given)
    except TypeError as error:
        raise SpecError(f"fidelity={given!r}: {error}; write tt.Fidelity('epochs', 1, 81)") from None


def _several(stopping: Stopping) -> Iterable[Any]:
    """One rule or several as several; None is none."""
    if stopping is None:
        return ()
    return stopping if isinstance(stopping, list | tuple) else [stopping]


def known(words: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same words, if `given` takes them all. Raises SpecError."""
    takes = list(inspect.signature(given).parameters)
    for word in words:
        if word not in takes:
            raise SpecError(f"{word!r} is nothing that a study has{nearest(word, takes)}")
    return words


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise SpecError(f"constraint {value!r} is no text; write it like 'latency_ms <= 20'")
    return value


def _named(chosen: str | Strategy[Any]) -> tuple[str, dict[str, Any]]:
    """Name and settings of a strategy, as the record keeps them."""
    made = strategy(chosen)  # an unknown name is an error here
    if isinstance(chosen, str):
        return chosen, {}
    settings: dict[str, Any] = (
        {f.name: getattr(made, f.name) for f in fields(made) if f.init} if is_dataclass(made) else {}
    )
    settings.pop("name", None)
    settings.pop("version", None)
    try:
        settings = json.loads(dumps(settings))  # as the record gives them back
    except (TypeError, ValueError):
        settings = {"repr": repr(made)}
    return made.name, settings


def new_spec(name: str, said: Mapping[str, Any]) -> StudySpec:
    """The spec of a study that does not exist yet."""
    if not isinstance(name, str) or not name.strip() or any(ord(c) < 32 for c in name):
        raise SpecError(f"study name {name!r} must be a text without control characters")
    if "space" not in said:
        raise SpecError(
            f"study {name!r} does not exist yet, so it needs its space: tt.Study({name!r}, space, maximize=...)"
        )
    spec = StudySpec(**{"goals": goals(None, None) if "goals" not in said else said["goals"], **said, "name": name})
    if spec.fidelity is not None and "stopping" not in said and not _continuing(spec):
        spec = replace(spec, stopping=(rules.to_json(rules.rule(DEFAULT_STOPPING)),))
    return _checked(replace(spec, seed=said.get("seed", secrets.randbits(31))))


def _continuing(spec: StudySpec) -> bool:
    """Whether its strategy replaces what a stopping rule would stop."""
    return spec.strategy in names() and isinstance(strategy(spec.strategy, **spec.settings), Continuing)


def _checked(spec: StudySpec) -> StudySpec:
    """The spec with its baseline settled, or an error for what contradicts itself."""
    baseline = spec.space.defaults() if spec.baseline is None else spec.baseline
    if baseline is not None:
        try:
            baseline = spec.space.validate(baseline)
        except SpaceError as error:
            whose = "the defaults of the space" if spec.baseline is None else "baseline"
            raise SpecError(f"{whose}: {error}; give baseline= with a setting that is allowed") from None
    relative = [c.text for c in spec.constraints if c.relative]
    if relative and baseline is None:
        raise SpecError(
            f"constraint {relative[0]!r} compares with the baseline, but there is none; "
            "give baseline=, or a default to each parameter"
        )
    for rule in spec.stopping:
        rules.rule(rule).begin(spec.fidelity)  # raises what does not fit
        if rule["rule"] in ("promotion", "freeze-thaw") and _continuing(spec):
            raise SpecError(f"strategy={spec.strategy!r} says itself who goes on; leave stopping={rule['rule']!r} out")
    if spec.strategy in names():  # what it cannot search at all is told now
        suited(spec, strategy(spec.strategy, **spec.settings)).init(engine.problem(spec))
    settled = replace(spec, baseline=baseline)
    try:
        dumps(settled.to_json()).encode()
    except UnicodeEncodeError as error:
        text = error.object[max(0, error.start - 10) : error.end + 10]
        raise SpecError(
            f"{text!r} holds half a character (a lone surrogate), which no file can store; leave it out"
        ) from None
    return settled


def revised(stored: StudySpec, said: Mapping[str, Any], assume: Params | None = None) -> StudySpec:
    """The stored spec with the user's changes; a new space must keep old trials valid (see Space.revise)."""
    changes = dict(said)
    assumed = dict(stored.assumed)
    if "space" in changes:
        fresh = {k: v for k, v in (assume or {}).items() if k not in assumed}
        changes["space"] = stored.space.revise(changes["space"], dict(assume or {}))
        assumed.update(fresh)
        if stored.baseline is not None and "baseline" not in changes:
            changes["baseline"] = completed(stored.baseline, assumed, changes["space"])
    return _checked(replace(stored, **changes, assumed=assumed))


def same(stored: StudySpec, said: Mapping[str, Any]) -> None:
    """Raises StudyMismatch when the user's words (but for the budget) are not those of the stored study."""
    wanted = replace(stored, **{k: v for k, v in said.items() if k != "budget"})
    if "space" in said:
        wanted = replace(wanted, space=_as_stored(stored.space, said["space"]))
        if "baseline" not in said:
            wanted = replace(wanted, baseline=stored.baseline)
    if "baseline" in said:
        wanted = _checked(wanted)
    before, after = stored.to_json(), wanted.to_json()
    different = [k for k in before | after if dumps(before.get(k)) != dumps(after.get(k)) and k != "name"]
    if not different:
        return
    lines = [f"  {k}: stored {_short(before.get(k))}, given {_short(after.get(k))}" for k in different if k != "space"]
    if "space" in different:
        lines += _apart(stored.space, wanted.space)
    words = {"goals": "maximize", "subject_to": "subject_to"}
    call = ", ".join(f"{words.get(k, k)}=..." for k in different if k != "settings")
    raise StudyMismatch(
        f"study {stored.name!r} exists with another spec:\n" + "\n".join(lines) + "\n"
        f"To go on with the change: tt.Study({stored.name!r}, storage=...).revise({call}); "
        "to begin anew: fresh=True (the old study is archived), or another name"
    )


def _as_stored(stored: Space, given: Space) -> Space:
    """The stored space where the given one is what it was revised to: retired options need not be repeated."""
    try:
        return stored if stored.revise(given, {}) == stored else given
    except SpaceError:
        return given


def _apart(stored: Space, given: Space) -> list[str]:
    """What differs between two spaces, a parameter a line."""
    names = dict.fromkeys([*stored.names, *given.names])
    pairs = [(f"space {n}", repr(stored.params.get(n)), repr(given.params.get(n))) for n in names]
    pairs.append(("require", dumps(list(stored.requirements)), dumps(list(given.requirements))))
    if set(stored.names) == set(given.names):
        pairs.append(("space, in order", ", ".join(stored.names), ", ".join(given.names)))
    return [f"  {what}: stored {a}, given {b}" for what, a, b in pairs if a != b]


def _short(value: Any) -> str:
    text = dumps(value)
    return text if len(text) <= 160 else f"{text[:120]} ... ({len(text)} characters)"


def results(
    params: Params | Sequence[Params], metrics: float | Metrics | Sequence[float | Metrics]
) -> list[tuple[Params, float | Metrics]]:
    """Pairs of a setting and its metrics, from one or from two sequences of equal length. Raises SpecError."""
    if isinstance(params, Mapping):
        return [(params, cast(float | Metrics, metrics))]
    if isinstance(metrics, Mapping) or not (isinstance(params, Iterable) and isinstance(metrics, Iterable)):
        raise SpecError("add takes one setting with its metrics, or a list of settings with a list of metrics")
    settings, measured = list(params), list(metrics)
    if len(settings) != len(measured):
        raise SpecError(f"add: {len(settings)} settings but {len(measured)} results; give one result for each setting")
    return list(zip(settings, measured, strict=True))


def open_study(
    storage: Storage,
    name: str,
    said: Mapping[str, Any],
    fresh: bool,
    warm_start: Earlier | None = None,
) -> StudyRecord:
    """The record of the study called `name`: opened and compared, or created, with what `warm_start` teaches it.

    By its name alone an archived study is opened too, for reading, unless a living one has the name.
    """
    if not isinstance(fresh, bool):
        raise SpecError(f"fresh={fresh!r} must be True or False")
    records = storage.studies()
    known = {r.name: r for r in records if r.state is not StudyState.ARCHIVED}
    if not said and not fresh:
        known = {r.name: r for r in records} | known
    record = known.get(name)
    if record is None or fresh:
        if record is not None and "space" not in said:
            raise SpecError(f"fresh=True begins study {name!r} anew, so it needs its space")
        if not said.keys() - {"seed"}:
            raise StudyNotFound(f"{storage.url} holds no study {name!r}{nearest(name, known)}")
        spec = new_spec(name, said)
        if warm_start is not None:
            spec = replace(spec, sources=sources(storage, warm_start, spec))
        if record is not None:
            storage.revise(record.id, Change("archive"))
        record = storage.create(spec)  # somebody else's where they were faster: compared like any other
    same(record.spec, said)
    if "budget" in said and said["budget"] != record.spec.budget:
        return storage.revise(record.id, Change("spec", spec=revised(record.spec, {"budget": said["budget"]})))
    return record
