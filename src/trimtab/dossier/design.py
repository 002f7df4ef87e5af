"""Items 1 to 17: what the study is, and how its search was designed. Each function gives the parts of one item."""

from ..formatting import command, moment, number, setting
from ..records import Event, StudySpec
from ..reports import sections
from ..reports.origins import of_event
from ..reports.sections.table import Table, traced
from ..reports.snapshot import Snapshot
from ..space import Params
from .items import Fact, Missing, NotApplicable, Part

CREATED = ("event:1",)


def identity(s: Snapshot) -> list[Part]:
    return [
        Fact("Study", s.study.name, CREATED),
        Fact("Identifier", s.study.uid, CREATED),
        Fact("Created", moment(s.study.created), CREATED, s.study.created),
        Fact("State", str(s.study.state), s.origins.now, str(s.study.state)),
        Fact("As of event", str(s.study.position), s.origins.now, s.study.position),
    ]


def roles(s: Snapshot) -> list[Part]:
    independent = [e for e in s.of("reproduce") if e.body["reproduction"].get("independent")]
    if independent:
        text = "trials were run again by somebody who did not run the study, by the name given; names are not checked"
        return [Fact("Separation", text, of_event(independent[-1]))]
    how = command("reproduce", s.study.name, " --storage URL --as VALIDATOR")
    return [Missing(f"No re-run by somebody who did not run the study ({how}).")]


def task(s: Snapshot) -> list[Part]:
    runs = s.of("run")
    if not runs:
        return [Missing("The objective was evaluated by hand (ask and tell): the record does not name it.")]
    return [Fact("Objective", runs[-1].body["objective"], s.origins.run)]


def objectives(s: Snapshot) -> list[Part]:
    source = s.origins.spec
    goals = [Fact("Goal", g.text, source, {"metric": g.metric, "maximize": g.maximize}) for g in s.study.spec.goals]
    limits = [Fact("Constraint", c.text, source, c.text) for c in s.study.spec.constraints]
    return [*goals, *(limits or [Fact("Constraints", "none", source)])]


def space(s: Snapshot) -> list[Part]:
    source = s.origins.spec
    required = [Fact("Required", text, source, text) for text in s.study.spec.space.requirements]
    table = sections.design.space_table(s.study.spec, source)
    return [table, *required, Fact("SHA-256 of the space", s.study.spec.space.hash, source)]


def fixed(s: Snapshot) -> list[Part]:
    if s.protocol is None:
        return []
    at, said = s.protocol
    return [Fact(sections.measurement.ESTIMATOR, sections.measurement.estimator(said), at)]


def space_history(s: Snapshot) -> list[Part]:
    changed = sections.history.revision_table(s.events, s.origins)
    if not changed.rows:
        return [Fact("Changes", "none on record: space, budget and goals are those of the start", s.origins.now)]
    return [changed]


def strategy(s: Snapshot) -> list[Part]:
    spec, source = s.study.spec, s.origins.spec
    text, used = sections.design.proposers(s.facts)
    trials = tuple(f"trial:{t.number}" for t in s.facts.searched[:1])
    made: list[Part] = [
        Fact("Strategy", sections.design.strategy(spec), source),
        Fact("Seed", str(spec.seed), source, spec.seed),
        *(Fact(label, text, source) for label, text in sections.design.learnt(spec)),
    ]
    if used:
        made.append(Fact("Proposed by", text, trials, used))
        made += [Fact(label, text, trials) for label, text in sections.design.methods(s.facts)]
    return made


def budget(s: Snapshot) -> list[Part]:
    first = sections.design.budget_text(_first_spec(s).budget)
    now, source = sections.design.budget_text(s.study.spec.budget), s.origins.spec
    done = sum(t.counts for t in s.facts.trials)
    made = [Fact("Budget set before the start", first, CREATED), Fact("Set at", moment(s.study.created), CREATED)]
    made += [] if now == first else [Fact("Budget now", now, source)]
    before, after = sections.design.training(_first_spec(s)), sections.design.training(s.study.spec)
    made += [Fact(label, text, CREATED) for label, text in before]
    made += [Fact(f"{label} now", text, source) for label, text in after if (label, text) not in before]
    made.append(Fact("Finished search trials", str(done), s.origins.now, done))
    made += [_enough(e) for e in s.of("enough")]
    return [*made, Fact("Whether it is used up", s.facts.bound or "no limit was reached", s.origins.now)]


def _enough(e: Event) -> Fact:
    """An end of the search by its outlook."""
    seen = e.body["outlook"]
    why = {"noise": "below the noise or the tolerance", "cost": "not worth its cost"}[seen["reason"]]
    text = f"after {seen['results']} results what was left to gain was {why}"
    return Fact("Ended by its outlook", text, of_event(e), seen)


def _first_spec(s: Snapshot) -> StudySpec:
    return StudySpec.from_json(s.events[0].body["spec"])


def protocol(s: Snapshot) -> list[Part]:
    spec, source = s.study.spec, s.origins.spec
    made: list[Part] = []
    if s.protocol is not None:
        at, said = s.protocol
        made = [Fact(label, text, at) for label, text in sections.measurement.measurement(said)[:3]]
    count = sum(e.look for e in s.events)
    made += [
        Fact("Each setting is run", sections.design.repetitions(spec), source, spec.replicates),
        Fact("Looks at the hold-out", str(count), s.origins.now, count),
    ]
    if s.evidence is None:
        return [*made, Missing("No test on runs that the search never saw (study.evidence).")]
    at = s.origins.evidence
    return [*made, Fact("Test", s.evidence.test, at), Fact("Rule of decision", sections.answer.rule(s.evidence), at)]


def trade_off(s: Snapshot) -> list[Part]:
    goals = s.study.spec.goals
    if len(goals) < 2:
        return [NotApplicable("The study has one goal.")]
    head = ["Trial", *(g.metric for g in goals), "Setting"]
    rows = [[str(c.number), *(number(c.metrics[g.metric]) for g in goals), setting(c.params)] for c in s.facts.front]
    made = traced(rows, s.origins.trial_of)
    return [Table(head, made, numeric=range(len(goals) + 1), title="Settings that no other one beats in every goal")]


def choice_reason(s: Snapshot) -> list[Part]:
    e, best = s.evidence, s.facts.best
    if e is not None:
        return _chosen(s, f"trial {e.tuned_trial}", s.facts.spec.current(e.tuned), e.tuned_trial)
    if best is None:
        return [Missing("No trial has finished with a result that keeps the constraints.")]
    return _chosen(s, f"trial {best.number} (best of the search)", s.study.spec.current(best.params), best.number)


def _chosen(s: Snapshot, text: str, params: Params, trial: int) -> list[Part]:
    names = [n for n in s.study.spec.space.names if n in params]
    source = s.origins.trial(trial)
    rows = [Fact(name, sections.answer.shown(params, name), source, params[name]) for name in names]
    return [Fact("Chosen setting", text, source, trial), *rows]
