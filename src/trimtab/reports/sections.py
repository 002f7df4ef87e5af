"""What the document says, as plain tables and sentences: rows in, text out. How it looks is the template's business."""

import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..canonical import dumps
from ..engine.incumbents import admission
from ..evidence import Evidence
from ..evidence.certificate import HOLDOUT, Comparison
from ..goals import Goal
from ..records import COUNTED, Budget, Cost, Event, Purpose, State, StudyRecord, StudySpec, Trial
from ..space import UNSET, Choice, Parameter, Params
from ..words import duration, estimate, moment, number, percent, plural, setting, signed, size, value
from .facts import Facts

Rows = list[list[str]]
Pairs = list[tuple[str, str]]
MOST_SIGNS = 160
"""Of the text of one change of the spec."""
MOST_ROWS = 1000
"""Trials that the report for those who tune shows one by one; the evidence record, which is part of it, has all."""


def wish(goal: Goal) -> str:
    return f"{'maximise' if goal.maximize else 'minimise'} {goal.metric}"


def headline(facts: Facts, evidence: Evidence | None) -> tuple[str, str]:
    """(kind, sentence): the answer, first."""
    if evidence is not None:
        return evidence.decision, _decided(evidence)
    best, goal = facts.best, facts.spec.goals[0]
    if best is None:
        done = any(t.state is State.DONE for t in facts.searched)
        why = f"no finished trial {admission(facts.spec)}" if done else "no trial has finished with a result"
        return "nothing", f"There is nothing to show: {why}."
    said = f"The best setting of the search, trial {best.trial.number}, has {goal.metric} {number(best.metrics[goal.metric])}"
    if (n := len(facts.spec.goals)) > 1:
        said = f"By the first of {n} goals, {said[0].lower()}{said[1:]}"
    if facts.baseline is not None and best.number == facts.baseline.number:
        return "no evidence", f"{said}: it is the baseline itself. The search found nothing better."
    if facts.reference and goal.metric in facts.reference:
        said += f"; the baseline has {number(facts.reference[goal.metric])}"
    return "no evidence", f"{said}. Whether that is a gain has not been tested: search results flatter the winner."


def _decided(e: Evidence) -> str:
    if not e.pairs:
        return f"The tuned setting, trial {e.tuned_trial}, was not compared with the baseline: {'; '.join(e.notices)}."
    difference, low, high = estimate(e.difference, e.interval)
    baseline, tuned = (number(v) for v in e.means)
    span = f"{difference} (95 % interval {low} to {high}; positive is better)"
    runs = f"in {plural(len(e.pairs), 'pair')} of fresh runs: {e.metric} {baseline} for the baseline, {tuned} tuned."
    said = {
        "proven": f"The tuned setting, trial {e.tuned_trial}, is better than the baseline by {span} {runs}",
        "worse": f"The tuned setting, trial {e.tuned_trial}, is worse than the baseline: {span} {runs}",
        "infeasible": f"The tuned setting, trial {e.tuned_trial}, is not shown to keep its limits. Its gain: {span} {runs}",
        "not shown": f"A gain of the tuned setting, trial {e.tuned_trial}, over the baseline is not shown: {span} {runs}",
    }
    broken = [f" It broke {c.text!r} in {percent(1 - c.held)} of them." for c in e.constraints if c.held < 1]
    return said[e.decision] + "".join([*broken, *(f" {_compared(c)}." for c in e.goals)])


def _compared(c: Comparison) -> str:
    """What the same pairs say of another goal."""
    difference, low, high = estimate(c.difference, c.interval)
    said = {"proven": "is better too", "worse": "is worse", "not shown": "is not shown to be better"}[c.decision]
    return f"In {c.metric}, another goal, it {said}: {difference} ({low} to {high})"


def comparison(facts: Facts, evidence: Evidence | None) -> list[tuple[str, str, str, bool]]:
    """(parameter, baseline, tuned, changed) for every parameter that is active in either."""
    before = facts.spec.today(evidence.baseline) if evidence else facts.spec.baseline or {}
    after = tuned(facts, evidence) or {}
    names = [n for n in facts.spec.space.names if n in before or n in after]
    texts = [[shown(p, n) if p else "none" for p in (before, after)] for n in names]
    return [(n, b, a, bool(before) and b != a) for n, (b, a) in zip(names, texts, strict=True)]


def tuned(facts: Facts, evidence: Evidence | None) -> Params | None:
    """The setting the document is about, in today's space: that of the evidence, else the best."""
    if evidence:
        return facts.spec.today(evidence.tuned)
    return facts.spec.today(facts.best.params) if facts.best else None


def shown(params: Params, name: str) -> str:
    return value(params[name]) if name in params else "inactive"


def question(facts: Facts, evidence: Evidence | None = None) -> Pairs:
    spec = facts.spec
    base = "none: there is nothing to compare with" if spec.baseline is None else setting(spec.baseline)
    limits = [c.text + _bound(facts, c) for c in spec.constraints]
    return [
        ("Goal", "; ".join(wish(g) for g in spec.goals)),
        ("Subject to", "; ".join(limits) or "no constraints"),
        ("Baseline", base),
        ("Rule of decision", rule(evidence)),
    ]


def rule(e: Evidence | None) -> str:
    """What makes a decision, with the minimum effect that was asked for."""
    least = f"{number(e.minimum_effect)}, the minimum effect" if e is not None and e.minimum_effect else "0"
    return (
        "proven when the two-sided 95 % interval of the gain (tuned against baseline, positive is better), on runs that the "
        f"search never saw, lies above {least}; worse when it lies below 0; else, or where tuned runs fail, not shown; "
        "infeasible when it would be proven, but a limit held in fewer than 95 % of the pairs"
    )


def _bound(facts: Facts, c: Any) -> str:
    return f" (here {number(c.bound(facts.reference))})" if c.relative else ""


def space_rows(facts: Facts) -> Rows:
    """Name, type, domain, scale, default, condition of every parameter."""
    return [[name, p.type, _domain(p), _scale(p), _default(p), _when(p)] for name, p in facts.spec.space.params.items()]


def _domain(p: Parameter) -> str:
    if isinstance(p, Choice):
        return ", ".join(value(v) for v in p.options) + (
            f"; retired: {', '.join(map(value, p.retired))}" if p.retired else ""
        )
    return f"{value(p.low)} to {value(p.high)}" + (f", step {value(p.step)}" if p.step is not None else "")


def _scale(p: Parameter) -> str:
    if isinstance(p, Choice):
        return "ordered" if p.ordered else "unordered"
    return "logarithmic" if p.log else "linear"


def _default(p: Parameter) -> str:
    return "–" if p.default is UNSET else value(p.default)


def _when(p: Parameter) -> str:
    return " and ".join(f"{parent} is {' or '.join(map(value, vs))}" for parent, vs in p.when.items()) or "always"


def protocol(facts: Facts, events: Sequence[Event]) -> Pairs:
    spec, study = facts.spec, facts.study
    used = Counter(f"{t.strategy} (version {t.version})" for t in facts.searched if t.strategy)
    replicates = "once" if spec.replicates == 1 else f"up to {spec.replicates} times"
    return [
        ("Strategy", spec.strategy + (f" with {setting(spec.settings)}" if spec.settings else "")),
        *learnt(spec),
        ("Proposed by", ", ".join(f"{name}: {plural(n, 'trial')}" for name, n in used.items()) or "nothing yet"),
        ("Seed", str(spec.seed)),
        ("Budget", budget_text(spec.budget)),
        *training(spec),
        ("Finished", f"{plural(sum(t.counts for t in facts.trials), 'search trial')} (done, stopped or failed)"),
        ("Spent by the search", _cost(study.spent)),
        ("Workers", _workers(events)),
        (
            "Each setting is run",
            replicates + ("; the objective is declared deterministic" if spec.deterministic else ""),
        ),
        ("Looks at the hold-out", str(sum(e.look for e in events))),
        ("Study created", moment(study.created)),
        ("First and last result", _period(facts.trials)),
    ]


def learnt(spec: StudySpec) -> Pairs:
    """The earlier studies whose results the search began with."""
    return [("Learnt from", f"study {s.study} ({s.uid[:12]}): {plural(len(s.params), 'result')}") for s in spec.sources]


def training(spec: StudySpec) -> Pairs:
    """How far a trial is trained, and what ends one early."""
    said, f = [], spec.fidelity
    if f is not None:
        rungs = ", ".join(f"{r:g}" for r in f.rungs)
        said.append(("Full training", f"{f.name} = {f.high:g}; trials are compared at {rungs}"))
    rules = [{k: v for k, v in r.items() if v is not None} for r in spec.stopping]
    texts = [f"{r.pop('rule')} ({setting(r)})" if len(r) > 1 else str(r["rule"]) for r in rules]
    return [*said, ("Stopping rule", ", ".join(texts) or "none: nobody is stopped early")]


def _workers(events: Sequence[Event]) -> str:
    """How many workers the calls of run and evidence had."""
    had = Counter(e.body["workers"] for e in events if e.kind == "run" and e.body["workers"])
    calls = (f"{plural(w, 'worker')} in {'each of ' if n > 1 else ''}{plural(n, 'call')}" for w, n in had.items())
    return ", ".join(calls) or "asked and told by hand"


def budget_text(b: Budget) -> str:
    said = [] if b.trials is None else [plural(b.trials, "trial")]
    said += [duration(b.time)] if isinstance(b.time, float) else []
    measures = ((b.cpu_hours, "CPU hours"), (b.gpu_hours, "GPU hours"), (b.cost, "of cost"), (b.kwh, "kWh"))
    return ", ".join([*said, *(f"{number(v)} {unit}" for v, unit in measures if v is not None)]) or "no limit"


def _cost(c: Cost) -> str:
    said = [f"{duration(c.wall)} of trial time", f"{duration(c.cpu)} CPU"]
    said += [f"{duration(c.gpu)} GPU"] if c.gpu else []
    said += [f"peak memory {size(c.memory)}"] if c.memory else []
    said += [f"{number(c.energy)} kWh"] if c.energy else []
    return ", ".join(said + ([f"cost {number(c.money)}"] if c.money else []))


def _period(trials: Sequence[Trial]) -> str:
    ends = [t.ended for t in trials if t.ended is not None]
    return f"{moment(min(ends))} to {moment(max(ends))}" if ends else "none"


def count_rows(facts: Facts) -> Rows:
    """Trials by purpose (down) and state (across), with sums."""
    counts = Counter((t.purpose, t.state) for t in facts.trials)
    table = {p.value: [counts[p, s] for s in State] for p in Purpose}
    lines = {name: line for name, line in table.items() if any(line) or name == Purpose.SEARCH}
    lines["all"] = [sum(column) for column in zip(*lines.values(), strict=True)]
    return [[name, *map(str, line), str(sum(line))] for name, line in lines.items()]


def reconciliation(facts: Facts) -> str:
    """The sums, written out, and whether they fit the study's own row."""
    search = Counter(t.state for t in facts.trials if t.purpose is Purpose.SEARCH)
    others = Counter(t.purpose.value for t in facts.trials if t.purpose is not Purpose.SEARCH)
    parts = " + ".join(f"{search[s]} {s}" for s in State if search[s] or s in COUNTED)
    rest = "".join(f" + {n} {p}" for p, n in others.items())
    said = f"Search: {parts} = {sum(search.values())}. All: {sum(search.values())} search{rest} = {len(facts.trials)}. "
    if len(facts.trials) == facts.study.count:
        return said + f"The study's row says {facts.study.count}: it fits."
    return said + f"The study's row says {facts.study.count}: it does NOT fit."


def trial_rows(facts: Facts, most: int | None = None) -> Rows:
    """Every trial, or the first `most`."""
    metrics = facts.spec.metrics
    return [
        [
            str(t.number),
            t.purpose.value,
            _ended(t),
            *(number(t.metrics.get(m)) if m in t.metrics else "" for m in metrics),
            duration(t.cost.wall) if t.ended is not None else "",
            setting(t.params),
        ]
        for t in facts.trials[:most]
    ]


def _ended(t: Trial) -> str:
    """Its state, with the reason of a failure, or how far it was trained."""
    if t.reason:
        return f"{t.state} ({t.reason})"
    return str(t.state) if t.reached is None else f"{t.state} at {t.reached:g}"


def failure_rows(facts: Facts) -> Rows:
    """Reason, count, an example's number, and the first line of its error."""
    groups: dict[str, list[Trial]] = {}
    for t in facts.trials:
        if t.state is State.FAILED:
            groups.setdefault(str(t.reason), []).append(t)
    ranked = sorted(groups.items(), key=lambda item: -len(item[1]))
    return [[reason, str(len(g)), f"trial {g[0].number}", first_line(g[0].error)] for reason, g in ranked]


def first_line(text: str) -> str:
    lines = text.strip().splitlines()
    return "no message" if not lines else lines[0] if len(lines[0]) <= 200 else lines[0][:199] + "…"


def evidence_pairs(e: Evidence) -> Pairs:
    baseline, after = (number(v) for v in e.means)
    difference, low, high = estimate(e.difference, e.interval)
    said = [
        ("Decision", e.decision),
        ("Metric", wish(Goal(e.metric, e.maximize))),
        ("Means", f"{baseline} baseline, {after} tuned (trial {e.tuned_trial})"),
        ("Difference", f"{difference}, 95 % interval {low} to {high}; positive is better"),
        ("Test", e.test),
        ("P(better)", percent(e.p_better)),
        ("P(practically equivalent)", _equivalent(e)),
        ("P(worse)", percent(e.p_worse)),
        ("Pairs", f"{len(e.pairs)} complete, {e.failed_pairs} left out because a run failed"),
    ]
    if not math.isnan(e.optimism):
        text = f"{number(e.worth.searched)} in the search, {after} in fresh runs; optimism {signed(e.optimism)}"
        said.append(("Search against fresh runs", text))
    return [*said, *((_BESIDE[label], text) for label, text in e.beside if label in _BESIDE)]


_BESIDE = {
    "minimum": "Minimum effect",
    "goal": "Another goal",
    "power": "Power",
    "finalists": "Measured again before the choice",
    "random": "Against random search",
}
"""What the certificate says besides, by its own labels; optimism is told above, the cost with the search's."""


def _equivalent(e: Evidence) -> str:
    if not e.equivalence:
        return "not asked: no zone of practical equivalence was set"
    return f"{percent(e.p_equivalent)} (within ±{number(e.equivalence)})"


ANSWERS = ("Event", "When", "On", "Trial", "Metric", "Decision", "Gain, with its interval")
"""Of `answer_rows`."""


def answer_rows(events: Sequence[Event]) -> Rows:
    """Every certificate and every look at the hold-out; none where the last certificate is all that was asked."""
    said = [(e, Evidence.from_json(found)) for e in events if (found := e.body.get("evidence"))]
    return [] if [e.kind for e, _ in said] in ([], ["evidence"]) else [_answer(e, found) for e, found in said]


def _answer(at: Event, e: Evidence) -> list[str]:
    runs = "the hold-out" if e.protocol == HOLDOUT else f"{plural(len(e.pairs), 'pair')} of fresh {e.protocol}"
    difference, low, high = estimate(e.difference, e.interval)
    return [
        str(at.position),
        moment(at.at),
        runs,
        str(e.tuned_trial),
        e.metric,
        e.decision,
        f"{difference} ({low} to {high})",
    ]


def pair_rows(e: Evidence) -> Rows:
    sign = 1 if e.maximize else -1
    return [[str(i + 1), number(b), number(t), signed(sign * (t - b))] for i, (b, t) in enumerate(e.pairs)]


def check_rows(e: Evidence) -> Rows:
    return [[c.text, number(c.mean), c.said] for c in e.constraints]


def integrity(study: StudyRecord, events: Sequence[Event], findings: Sequence[str]) -> Pairs:
    kinds = ", ".join(f"{n} {kind}" for kind, n in Counter(e.kind for e in events).items())
    checked = "nothing found: the record is intact" if not findings else plural(len(findings), "finding")
    return [
        ("Chain", plural(len(events), "event") + (f": {kinds}" if kinds else "")),
        ("Head", study.head),
        ("Study", study.uid),
        ("Checked for this document", checked),
        ("Check again", command("verify", study)),
    ]


def command(verb: str, study: StudyRecord) -> str:
    """A line for a terminal."""
    return f"trimtab {verb} {shlex.quote(study.name)}"


def revisions(events: Sequence[Event]) -> Rows:
    """What was changed by hand after the study was created."""
    kinds = {"spec", "pause", "resume", "archive", "requeue", "import", "holdout"}
    spec, rows = dict[str, Any](), []
    for e in events:
        before, spec = spec, e.body.get("spec", spec)
        if e.kind in kinds or (e.kind == "cancel" and e.number is None):
            rows.append([str(e.position), moment(e.at), e.kind, "; ".join(_changes("", before, spec))])
    return rows


def _changes(name: str, before: Any, after: Any) -> list[str]:
    """What differs between two JSON values, each with its name; of what would take too long to tell the name alone."""
    if before == after:
        return []
    a, b = _by_name(before), _by_name(after)
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return [text for k in {**a, **b} for text in _changes(f"{name} {k}".strip(), a.get(k), b.get(k))]
    text = f"{name}: {dumps(before)} → {dumps(after)}"
    return [text if len(text) <= MOST_SIGNS else name]


def _by_name(value: Any) -> Any:
    """A list of mappings that have names, such as parameters, as a mapping."""
    named = isinstance(value, list) and value and all(isinstance(v, Mapping) and "name" in v for v in value)
    return {v["name"]: v for v in value} if named else value


def machine(environment: Mapping[str, Any]) -> Pairs:
    """What a study ran on, in words; the list of every package is left out."""
    made = []
    for name, v in environment.items():
        if name == "memory":
            text = size(float(v))
        elif isinstance(v, Mapping):
            text = setting(v) or "none"
        else:
            text = (", ".join(map(str, v)) or "none") if isinstance(v, list) else value(v)
        if name != "installed":
            made.append((_MACHINE.get(name, name.capitalize()), text))
    return made


_MACHINE = {
    "cpus": "Processor cores",
    "gpus": "Graphics cards",
    "blas": "BLAS",
    "numerics": "Numeric fingerprint",
    "packages": "Packages that shape results",
    "threads": "Limits of threads",
}


def flat(data: Mapping[str, Any]) -> Pairs:
    """A mapping as label and text; nested mappings in one line."""
    return [(str(k).replace("_", " "), setting(v) if isinstance(v, Mapping) else value(v)) for k, v in data.items()]
