"""Opening a study: the spec as a whole, checked before anything is stored, and compared with what is stored."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import engine
from .. import stopping as rules
from ..canonical import dumps
from ..checks import flag, shown
from ..engine.wrapping import wrapped
from ..errors import SpaceError, SpecError, StudyMismatch, StudyNotFound, nearest
from ..goals import Goal, goals
from ..live import LiveStudy
from ..records import Change, StudyRecord, StudySpec, StudyState
from ..records.sources import Source
from ..space import Params, Space
from ..storage import Storage, missing_file, skip
from ..strategies import Continuing, names, strategy
from .warmstart import Earlier, sources

SHORTEST = 8  # characters that the start of a uid must have to name a study
DEFAULT_STOPPING = "asha"  # with a fidelity, if stopping= is not given


def new_spec(name: str, given: Mapping[str, Any]) -> StudySpec:
    """The spec of a study that does not exist yet, checked. Raises SpecError.

    given: the fields of the spec that the user has given (see arguments.spec_fields).
    """
    if not isinstance(name, str) or not name.strip() or any(ord(c) < 32 for c in name):
        raise SpecError(
            f"study name {shown(name)} must be a text that is not blank, without control characters; write "
            "tt.Study('a-name', space, ...)"
        )
    if "space" not in given:
        raise SpecError(
            f"study {name!r} does not exist yet, so it needs its space: tt.Study({name!r}, space, maximize=...)"
        )
    if "goals" not in given:
        goals(None, None)  # raises the error that says what is missing
    spec = StudySpec(**{**given, "name": name})
    if spec.fidelity is not None and "stopping" not in given and not _continuing(spec):
        spec = replace(spec, stopping=(rules.to_json(rules.rule(DEFAULT_STOPPING)),))
    _check_constraints(spec)
    return _checked(replace(spec, seed=given.get("seed", secrets.randbits(31))))


def _check_constraints(spec: StudySpec) -> None:
    """Raises SpecError for a constraint on a parameter, since the objective returns no metric of that name."""
    goals_ = {g.metric for g in spec.goals}
    for c in spec.constraints:
        if c.metric in spec.space.params and c.metric not in goals_:
            raise SpecError(
                f"constraint {c.text!r}: {c.metric!r} is a parameter, and constraints are on what the objective returns; "
                f"limit the space with space.require({c.text!r}), in a study file require:, or rename the metric"
            )


def _continuing(spec: StudySpec) -> bool:
    """Whether the strategy itself decides which trials continue, in place of stopping rules."""
    return spec.strategy in names() and isinstance(strategy(spec.strategy, **spec.settings), Continuing)


def _checked(spec: StudySpec) -> StudySpec:
    """The spec with its baseline filled in and validated. Raises SpecError if parts of it contradict each other."""
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
        rules.rule(rule).begin(spec.fidelity)  # raises if the rule does not fit the fidelity
        if rule["rule"] == "wilcoxon" and len(spec.goals) > 1:
            raise SpecError("stopping='wilcoxon' tests one metric; with several goals take 'forgiving'")
        if rule["rule"] in rules.PAUSING and _continuing(spec):
            raise SpecError(f"strategy={spec.strategy!r} says itself who goes on; leave stopping={rule['rule']!r} out")
    if spec.strategy in names():  # raises if the strategy cannot search this space
        wrapped(spec, strategy(spec.strategy, **spec.settings)).init(engine.problem(spec))
    settled = replace(spec, baseline=baseline)
    try:
        settled.text.encode()
    except UnicodeEncodeError as error:
        text = error.object[max(0, error.start - 10) : error.end + 10]
        raise SpecError(
            f"{text!r} holds half a character (a lone surrogate), which no file can store; leave it out"
        ) from None
    return settled


def revised_spec(stored: StudySpec, given: Mapping[str, Any], assume: Params | None = None) -> StudySpec:
    """The stored spec with the user's changes, checked. A new space must keep old trials valid (see Space.revise).

    assume: by new parameter, the value that old trials had.
    """
    changes = dict(given)
    if assume is not None and not isinstance(assume, Mapping):
        raise SpecError(f"assume={shown(assume)} is no mapping; write assume={{'parameter': value}}")
    assumed = dict(stored.assumed)
    if "space" in changes:
        fresh = {k: v for k, v in (assume or {}).items() if k not in assumed}
        changes["space"] = stored.space.revise(changes["space"], dict(assume or {}))
        assumed.update(fresh)
        if stored.baseline is not None and "baseline" not in changes:
            changes["baseline"] = replace(stored, space=changes["space"], assumed=assumed).current(stored.baseline)
    if "goals" in changes:
        changes["sources"] = _lessons(stored, changes["goals"])
    changed = replace(stored, **changes, assumed=assumed)
    if changes.keys() & {"space", "constraints"}:
        _check_constraints(changed)
    return _checked(changed)


def _lessons(stored: StudySpec, wanted: Sequence[Goal]) -> tuple[Source, ...]:
    """The sources of the warm start, for other goals. Empty if one of these is new, since its metric was not copied."""
    if not set(wanted) <= set(stored.goals):
        return ()
    columns = [stored.goals.index(goal) for goal in wanted]
    return tuple(source.of_goals(columns) for source in stored.sources)


def check_same(stored: StudySpec, given: Mapping[str, Any]) -> None:
    """Raises StudyMismatch if the user's arguments (except for the budget) do not agree with the stored spec."""
    wanted = replace(stored, **{k: v for k, v in given.items() if k != "budget"})
    if "space" in given:
        wanted = replace(wanted, space=_as_stored(stored.space, given["space"]))
        if "baseline" not in given:
            wanted = replace(wanted, baseline=stored.baseline)
    if "baseline" in given:
        wanted = _checked(wanted)
    if wanted == stored:  # also if a number is written as 1 here, and as 1.0 there
        return
    before, after = stored.to_json(), wanted.to_json()
    different = [k for k in before | after if dumps(before.get(k)) != dumps(after.get(k)) and k != "name"]
    if not different:
        return
    in_words = {"goals": tuple(", ".join(g.text for g in spec.goals) for spec in (stored, wanted))}
    pairs = {k: in_words.get(k) or (_short(before.get(k)), _short(after.get(k))) for k in different if k != "space"}
    lines = [f"  {k}: stored {a}, given {b}" for k, (a, b) in pairs.items()]
    if "space" in different:
        lines += _differences(stored.space, wanted.space)
    raise StudyMismatch(
        f"study {stored.name!r} exists with another spec:\n" + "\n".join(lines) + "\n"
        f"To go on with the change: tt.Study({stored.name!r}, storage=...).revise({_call(stored, wanted, different)}); "
        "to begin anew: fresh=True (the old study is archived), or another name"
    )


def _call(stored: StudySpec, wanted: StudySpec, different: Sequence[str]) -> str:
    """The arguments of the call of `revise` that would change these fields of the stored spec to the wanted ones."""
    goals = [way for way in ("minimize", "maximize") if any(g.maximize == (way == "maximize") for g in wanted.goals)]
    words = dict.fromkeys(w for k in different for w in (goals if k == "goals" else [_WORDS.get(k, k)]))
    new = [name for name in wanted.space.names if name not in stored.space.params]
    assume = ["assume={" + ", ".join(f"{name!r}: ..." for name in new) + "}"] if new else []
    return ", ".join([*(f"{word}=..." for word in words), *assume])


_WORDS = {"settings": "strategy"}  # by field of the spec: the argument, if that has another name


def _as_stored(stored: Space, given: Space) -> Space:
    """The stored space, if the given one differs only by leaving out options that were retired; else the given one."""
    try:
        return stored if stored.revise(given, {}) == stored else given
    except SpaceError:
        return given


def _differences(stored: Space, given: Space) -> list[str]:
    """What differs between two spaces, one parameter per line."""
    names = dict.fromkeys([*stored.names, *given.names])
    pairs = [(f"space {n}", repr(stored.params.get(n)), repr(given.params.get(n))) for n in names]
    pairs.append(("require", dumps(list(stored.requirements)), dumps(list(given.requirements))))
    if set(stored.names) == set(given.names):
        pairs.append(("space, in order", ", ".join(stored.names), ", ".join(given.names)))
    return [f"  {what}: stored {a}, given {b}" for what, a, b in pairs if a != b]


def _short(value: Any) -> str:
    text = dumps(value)
    return text if len(text) <= 160 else f"{text[:120]} ... ({len(text)} characters)"


def check_file(url: object, name: str, given: Mapping[str, Any]) -> None:
    """Raises StudyNotFound if a study is only to be opened, and its store is a file that does not exist."""
    if _only_opens(given) and missing_file(url):
        raise StudyNotFound(f"there is no file {url}, and so no study {name!r}; the working folder is {Path.cwd()}")


def _only_opens(given: Mapping[str, Any]) -> bool:
    """Whether the user has given nothing from which a study could be created."""
    return not given.keys() - {"seed"}


def open_study(
    storage: Storage,
    name: str,
    given: Mapping[str, Any],
    fresh: bool,
    warm_start: Earlier | None,
) -> StudyRecord:
    """The record of the study called `name`: opened and compared with what the user has given, or created.

    given: the given fields of the spec. With only a name, an archived study can be opened too, for reading, unless one
    that is not archived has the name; so can any study by the start of its uid.
    """
    fresh = flag("fresh", fresh)
    reading = not given and not fresh
    record = _found(storage, name, reading)
    if record is None and _only_opens(given):
        anew = f"; to create one: tt.Study({name!r}, space, minimize=...)" if storage.url == "memory://" else ""
        raise StudyNotFound(f"{storage.url} holds no study {name!r}{_nearest(storage, name, reading) or anew}")
    if record is not None and fresh and "space" not in given:
        raise SpecError(f"fresh=True begins study {name!r} anew, so it needs its space")
    if record is None or fresh:
        spec = new_spec(name, given)
        if warm_start is not None:
            spec = replace(spec, sources=sources(storage, warm_start, spec))
        if record is not None:
            storage.revise(record.id, Change("archive"))
            LiveStudy(storage, record.id).tidy()
        record = storage.create(spec)  # if another process was faster, it is that one's, and compared below
    check_same(record.spec, given)
    if "budget" in given and given["budget"] != record.spec.budget:
        return storage.revise(record.id, Change("spec", spec=revised_spec(record.spec, {"budget": given["budget"]})))
    return record


def _found(storage: Storage, name: str, reading: bool) -> StudyRecord | None:
    """The latest study of that name that is not archived; for reading, also an archived one, or one by the start of its
    uid."""
    records = storage.studies(name) if isinstance(name, str) else []
    if reading and not records:
        others = storage.studies(damaged=skip) if isinstance(name, str) and len(name) >= SHORTEST else []
        meant = [r for r in others if r.uid.startswith(name)]
        records = meant if len(meant) == 1 else []
    living = [r for r in records if r.state is not StudyState.ARCHIVED]
    return next(reversed(living or (records if reading else [])), None)


def _nearest(storage: Storage, name: str, reading: bool) -> str:
    """The end of an error message: similar names of studies that could be opened."""
    there = [r.name for r in storage.studies(damaged=skip) if reading or r.state is not StudyState.ARCHIVED]
    return nearest(name, dict.fromkeys(there))
