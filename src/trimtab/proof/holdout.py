"""A look at the hold-out: tuned against baseline on one set of held-out rows; every look is on record.

Both settings are trained once on all search rows; the interval comes from the bootstrap over the hold-out's rows, or groups. A
hold-out that has been looked at often is no longer unseen. So looks are counted in the chain; each is written before
its result is known, and after every check of the call. A look that started without giving an answer (a crash, a metric
that raises) is the same look if the same is asked again: nobody has seen its result.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import standing
from ..engine import trial_seed
from ..errors import ObjectiveError, SpecError, UserError
from ..evidence import Contest, Design, Evidence, HeldOut, held_out
from ..live import LiveStudy
from ..objective import as_program
from ..records import Change, Event, StudySpec, StudyState
from ..storage import Storage
from . import pairs
from .looks import counted, last_certificate, sides


def look(live: LiveStudy, objective: Any, tuned: int | None, metric: str | None, equivalence: float) -> Evidence:
    """Compare a trial's setting (default: the certified one, else the best) with the baseline on the objective's
    hold-out rows.

    Raises SpecError if the objective holds out no rows, or other rows than in the search, if there is nothing to
    compare, or if the study is archived; ObjectiveError if training or the metric fails; InputChanged.
    """
    Design(equivalence=equivalence)  # a wrong number is an error before anything else
    ledger = live.refresh()
    spec, goal = ledger.study.spec, pairs.goal(ledger.study.spec, metric)
    program = as_program(objective, spec)
    call: Any = program.call
    if not hasattr(call, "on_holdout"):
        raise SpecError(f"objective {objective!r} keeps no rows apart; give a CrossValidation with holdout=0.2")
    if ledger.study.state is StudyState.ARCHIVED:
        raise SpecError(f"study {spec.name!r} is archived and read-only; a look could not be recorded")
    if tuned is None:
        last = last_certificate(live)
        chosen = (
            standing.best_trial(ledger, standing.of_ledger(ledger)) if last is None else ledger.trials[last.tuned_trial]
        )
    else:
        chosen = ledger.trials.named(tuned)
    contest = pairs.contest(spec, chosen)
    protocol = getattr(call, "protocol", None)
    _same_rows(protocol, live.storage.events(live.id, kinds={"run"}))
    live.inputs.begin(program)
    seed = trial_seed(spec.seed, "holdout", 0)  # of both trainings
    metrics = [goal.metric, *(c.metric for c in spec.constraints)]
    with _as_objective_error("training on the search rows failed, and nothing was looked at"):
        before, groups = call.on_holdout(contest.baseline, seed, metrics)
        after, _ = call.on_holdout(contest.tuned, seed, metrics)
    count = _start_look(live, spec, contest, goal.metric)
    with _as_objective_error(
        f"{goal.metric} failed; look {count} is on record without a result, asking the same again completes it"
    ):
        found = held_out(
            goal,
            contest,
            HeldOut(before, after, groups, in_time=_decisive(protocol).get("respects") == "time order"),
            equivalence,
            np.random.default_rng(spec.seed),
            look=count,
            compared=counted(
                [[_comparison(spec, e.body)] for e in looks(live.storage, live.id)],
                [(sides(spec, contest.trial, contest.baseline), goal.metric)],
            ),
            constraints=spec.constraints,
        )
    live.storage.revise(live.id, Change("holdout", body={"result_of": count, "evidence": found.to_json()}))
    return found


@contextmanager
def _as_objective_error(what: str) -> Iterator[None]:
    """A context that turns the objective's exceptions into an ObjectiveError."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise ObjectiveError(f"{what}: {type(error).__name__}: {error}") from error


def _same_rows(protocol: Any, runs: Sequence[Event]) -> None:
    """Raises SpecError if a recorded run held out other rows: its search has seen rows of this hold-out."""
    now = _decisive(protocol)
    for e in runs:
        then = _decisive(e.body.get("protocol"))
        if now and then and now != then:
            other = ", ".join(name for name in now if now[name] != then[name])
            raise SpecError(
                f"these are not the rows that the search left alone: {other} differ from the run at event {e.position}; "
                "give the CrossValidation that the study ran"
            )


def _decisive(protocol: Any) -> dict[str, Any]:
    """The part of a cross-validation's protocol that decides which rows are held out; {} for anything else."""
    if not isinstance(protocol, Mapping) or protocol.get("kind") != "cross-validation":
        return {}
    data = {name: protocol["data"].get(name) for name in ("y", "groups", "time", "stratify")}
    return {**{name: protocol[name] for name in ("rows", "respects", "seed")}, **data}


def _start_look(live: LiveStudy, spec: StudySpec, contest: Contest, metric: str) -> int:
    """Record that a look starts, unless it had started before and has no result; returns its number, from 1.

    Two looks that start at once are counted in the order of the chain.
    """
    body = {"look": True, "metric": metric, "tuned": contest.trial, "baseline": contest.baseline}
    asked, position = _comparison(spec, body), 0
    for e in live.storage.events(live.id, kinds={"holdout"}):
        if e.look and _comparison(spec, e.body) == asked:
            position = e.position
        elif (said := e.body.get("evidence")) and _comparison(spec, {**said, "tuned": said["tuned_trial"]}) == asked:
            position = 0
    if not position:
        position = live.storage.revise(live.id, Change("holdout", body=body)).position
    return sum(e.position <= position for e in looks(live.storage, live.id))


def _comparison(spec: StudySpec, body: Mapping[str, Any]) -> tuple[tuple[int, str], str]:
    """What tells looks apart: the settings and the goal. Older looks don't name their baseline."""
    return sides(spec, body["tuned"], body.get("baseline", spec.baseline)), body["metric"]


def looks(storage: Storage, study: int) -> list[Event]:
    """The looks at the hold-out that have started."""
    return [e for e in storage.events(study, kinds={"holdout"}) if e.look]
