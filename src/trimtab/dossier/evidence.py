"""Items 18 to 33: the data, and what the trials say. Each function gives the parts of one item."""

import math

import numpy as np

from ..canonical import same_setting
from ..evidence.intervals import moments
from ..explanation import Explanation
from ..formatting import number, plural, setting
from ..records import Purpose
from ..reports import limits as automatic
from ..reports import sections
from ..reports.origins import of_event
from ..reports.sections.table import Table
from ..reports.snapshot import Snapshot, extent
from .items import Fact, Missing, Part

NO_DATA = Missing('The study names no data; open it with data={"train": "train.csv"}.')
NO_EVIDENCE = Missing("No evidence on runs that the search never saw: study.evidence(objective).")


def data_identity(s: Snapshot) -> list[Part]:
    said: list[Part] = [
        Fact(label, text, (*s.origins.now, "data")) for label, text in sections.history.flat(s.data or {})
    ]
    rows = [([n, f["kind"], f.get("path", "in memory"), extent(f)], at) for n, (at, f) in s.inputs.items()]
    if rows:
        said.append(Table(["Name", "Kind", "Path", "Extent"], rows))
    return said or [NO_DATA]


def data_fingerprint(s: Snapshot) -> list[Part]:
    rows = [([n, f["sha256"]], at) for n, (at, f) in s.inputs.items()]
    columns = [
        ([f"{n}: {c}", said["sha256"]], at)
        for n, (at, f) in s.inputs.items()
        for c, said in (f.get("columns") or {}).items()
    ]
    changed = [
        Fact("Changed under the study", f"{name}: {what}", of_event(e))
        for e in s.of("inputs")
        for name, what in e.body["changed"].items()
        if name != "code"
    ]
    return [Table(["Data", "SHA-256 of its content"], [*rows, *columns]), *changed] if rows else [NO_DATA]


def lineage(s: Snapshot) -> list[Part]:
    known = [(n, tool, f[tool], at) for n, (at, f) in s.inputs.items() for tool in ("git", "dvc") if tool in f]
    rows = [
        ([n, tool, str(version.get("commit") or version.get("md5")), _SINCE[version.get("dirty")]], at)
        for n, tool, version, at in known
    ]
    if not rows:
        return [Missing("No version of the data is known: neither git nor DVC tracks it.")]
    return [Table(["Data", "Tracked by", "Version", "Since then"], rows)]


_SINCE = {True: "changed", False: "unchanged", None: "unknown"}
"""Whether data differs from the version that git or DVC has; unknown for a folder of DVC."""


def leakage(s: Snapshot) -> list[Part]:
    if s.protocol is None:
        return []
    at, said = s.protocol
    found = [Fact("Found", text, at) for text in said["checks"]]
    return [
        Fact("Looked for before the first trial", sections.measurement.CHECKED, at),
        *(found or [Fact("Found", "nothing", at)]),
    ]


def profile(s: Snapshot) -> list[Part]:
    at, said = s.protocol or ((), {"classes": {}})
    classes: list[Part] = [Fact("Rows of each class", text, at)] if (text := sections.measurement.classes(said)) else []
    rows = [
        ([n, c, said["type"]], at) for n, (at, f) in s.inputs.items() for c, said in (f.get("columns") or {}).items()
    ]
    columns = Table(["Data", "Column", "Type"], rows)
    return [*classes, columns if rows else Missing("No table is on record whose columns could be told.")]


def classification(s: Snapshot) -> list[Part]:
    runs = [e for e in s.of("run") if e.body.get("data") or e.body.get("protocol", {}).get("data")]
    if not runs:
        return [NO_DATA]
    text = f"{plural(len(runs), 'call')} of run or evidence read the data named above; who made them is kept beside the chain"
    return [Fact("Read by", text, tuple(f"event:{e.position}" for e in runs), len(runs))]


def trials(s: Snapshot) -> list[Part]:
    last = s.origins.now
    made: list[Part] = [
        sections.trials.count_table(s.facts, last),
        Fact("Reconciliation", sections.trials.reconciliation(s.facts), last, len(s.trials)),
    ]
    if any(t.purpose in (Purpose.SELECT, Purpose.CERTIFY) for t in s.trials):
        made.append(Fact("Select, certify", sections.trials.PURPOSES, last))
    failures = sections.trials.failure_table(s.facts, s.origins)
    return [*made, *([failures] if failures.rows else []), sections.trials.trial_table(s.facts, s.origins)]


def baseline(s: Snapshot) -> list[Part]:
    spec, trial = s.study.spec, s.facts.baseline
    if spec.baseline is None:
        return [Missing("The study has no baseline: nothing says how good the best is.")]
    source = s.origins.spec
    made: list[Part] = [Fact("Setting", setting(spec.baseline), source, dict(spec.baseline))]
    if trial is None or not trial.metrics:
        return [*made, Missing("The baseline has no result.")]
    of = s.origins.trial(trial.number)
    return [*made, *(Fact(f"{m} in the search", number(v), of, v) for m, v in trial.metrics.items())]


def benefit(s: Snapshot) -> list[Part]:
    e = s.evidence
    if e is None:
        return [NO_EVIDENCE, *_answers(s)]
    at = s.origins.evidence
    figures = {
        "Difference": [e.difference, *e.interval], "Means": list(e.means), "Probability better": e.p_better,
        "Practically equivalent": e.p_equivalent, "Probability worse": e.p_worse, "Pairs": [len(e.pairs), e.failed_pairs],
    }  # fmt: skip
    made: list[Part] = [
        Fact(label, text, at, figures.get(label)) for label, text in sections.certificates.evidence_pairs(e)
    ]
    made += [Fact("Notice", text, at) for text in e.notices]
    tables = [sections.certificates.pair_table(e, at), sections.certificates.check_table(e, at)]
    return [*made, *(t for t in tables if t.rows), *_answers(s)]


def _answers(s: Snapshot) -> list[Part]:
    answers = sections.certificates.answer_table(s.events, s.origins)
    return [answers] if answers.rows else []


def optimism(s: Snapshot) -> list[Part]:
    e = s.evidence
    if e is None:
        return [NO_EVIDENCE]
    if math.isnan(e.optimism):
        why = "the search has none of this setting, or chose by these very folds"
        return [Missing(f"No value of the search can be compared with these runs: {why}.")]
    searched, tuned, away = e.worth.searched, e.means[1], e.optimism
    verdict = f"the search flattered it by {number(away, 3)}" if away > 0 else "the search did not flatter it"
    text = f"{number(searched)} in the search, {number(tuned)} on fresh runs: {verdict}"
    made: list[Part] = [
        Fact(e.metric, text, (*s.origins.evidence, *s.origins.trial(e.tuned_trial)), [searched, tuned, away])
    ]
    first, spec = s.facts.baseline, s.facts.spec
    if first is None or e.metric not in first.metrics:
        return made
    if same_setting(spec.current(first.params), spec.current(e.baseline)):
        before, now = first.metrics[e.metric], e.means[0]
        text = f"{number(before)} in the search, {number(now)} on fresh runs"
        sources = (*s.origins.evidence, *s.origins.trial(first.number))
        made.append(Fact("The baseline, which was not selected", text, sources, [before, now]))
    return made


def stability(s: Snapshot) -> list[Part]:
    e = s.evidence
    if e is None or len(e.pairs) < 2:
        return [NO_EVIDENCE]
    spread = [moments(side)[1] for side in np.array(e.pairs).T]
    ahead = sum((t > b) == e.maximize and t != b for b, t in e.pairs)
    at = s.origins.evidence
    return [
        Fact("Standard deviation over runs", f"{number(spread[0])} baseline, {number(spread[1])} tuned", at, spread),
        Fact("Tuned ahead", f"in {ahead} of {plural(len(e.pairs), 'pair')}", at, [ahead, len(e.pairs)]),
    ]


def sensitivity(s: Snapshot) -> list[Part]:
    told, at = s.facts.explanation, s.origins.now
    if told is None:
        return [Missing("Too few results to tell which parameters matter.")]
    made = _explained(told, at)
    if any(f.kind == "edge" for f in told.findings()):
        return made
    edges = [text for text in automatic.limits(s.facts, s.evidence, s.events) if text.startswith("On the edge")]
    said = edges or ["no chosen value lies on the edge of its range"]
    return [*made, *(Fact("Edge of range", text, at) for text in said)]


def _explained(told: Explanation, at: tuple[str, ...]) -> list[Part]:
    """What matters, where the gain comes from, what acts together, how far each parameter may move, and how far
    the model can be trusted."""
    makers = (sections.explained.parameter_table, sections.explained.path_table, sections.explained.interaction_table)
    tables = [made for make in makers if (made := make(told, at)).rows]
    said = [
        Fact(label, text, at)
        for label, text in [*sections.explained.model_pairs(told), *sections.explained.MEANING.items()]
    ]
    return [*tables, *said, *(Fact("Finding", f.text, at) for f in told.findings())]


def limits(s: Snapshot) -> list[Part]:
    at = s.origins.now
    found: list[Part] = [Fact("Finding", text, at) for text in automatic.limits(s.facts, s.evidence, s.events)]
    return found or [Fact("Automatic checks", "none of them found a limit", at)]


def overrides(s: Snapshot) -> list[Part]:
    wished = [t for t in s.trials if t.strategy == "user" and t.purpose is Purpose.SEARCH]
    added = [t for t in s.trials if t.purpose is Purpose.IMPORT]
    made: list[Part] = [
        Fact(label, f"trial {t.number}: {setting(t.params)}", s.origins.trial(t.number))
        for label, those in (("Setting tried at somebody's request", wished), ("Result measured elsewhere", added))
        for t in those
    ]
    e, best, current = s.evidence, s.facts.best, s.facts.spec.current
    if e is not None and best is not None and not same_setting(current(best.params), current(e.tuned)):
        text = f"trial {e.tuned_trial} was certified; the best of the search is trial {best.number}"
        made.append(Fact("Not the best of the search", text, (*s.origins.evidence, *s.origins.trial(best.number))))
    return made or [Fact("Overrides", "none on record", s.origins.now)]
