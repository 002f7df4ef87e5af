"""What a study cannot say, found by rules; every document lists it."""

import math
from collections.abc import Sequence

from ..canonical import same_setting
from ..engine.incumbents import of_trial
from ..evidence import Evidence
from ..evidence.certificate import FEW
from ..evidence.sensitivity import edge
from ..formatting import number, percent, plural, setting, value
from ..records import COUNTED, OPEN, Event, State
from ..records.history import doubts
from ..space import Choice, Params
from .facts import Facts
from .sections.answer import tuned


def limits(facts: Facts, evidence: Evidence | None, events: Sequence[Event]) -> list[str]:
    """What this study cannot say, by rules."""
    return [
        *_of_earlier(events),
        *(f"{text[0].upper()}{text[1:]}." for text in doubts(events)),
        *_of_audits(events),
        *_of_evidence(facts, evidence),
        *_of_search(facts),
        *_of_best(facts, evidence),
    ]


def _of_earlier(events: Sequence[Event]) -> list[str]:
    """That the study was begun anew: whoever starts over until the answer suits could choose it."""
    uids = events[0].body.get("earlier", ()) if events else ()
    if not uids:
        return []
    return [
        f"Begun anew {plural(len(uids), 'time')}: what the archived studies of this name found "
        f"({', '.join(uid[:12] for uid in uids)}) is not counted here."
    ]


def _of_audits(events: Sequence[Event]) -> list[str]:
    """What did not come out again: trials when they were last run again, and proposals at the last replay."""
    said, wrong = list[str](), dict[int, str]()
    for e in events:
        if e.kind == "reproduce":
            wrong |= {run["number"]: run["wrong"] for run in e.body["reproduction"]["runs"]}
    if differ := [str(number) for number in sorted(wrong) if wrong[number]]:
        who = f"{'trial' if len(differ) == 1 else 'trials'} {', '.join(differ)}"
        said.append(f"Not reproduced: run again, {who} gave other results than the record holds.")
    replays = [e.body["replay"] for e in events if e.kind == "replay"]
    last = replays[-1] if replays else {}
    if unlike := sum(len(last.get(kind, ())) for kind in ("different", "overturned", "misjudged")):
        said.append(f"Not replayed: {plural(unlike, 'decision')} of the search did not come out again from the record.")
    if unjudged := sum(len(last.get(kind, ())) for kind in ("other_versions", "other_rules", "other_outlooks")):
        said.append(
            f"Not replayed: the last replay could not judge {plural(unjudged, 'decision')} of the search, which other "
            "versions of strategies or rules made."
        )
    return said


def _of_evidence(facts: Facts, e: Evidence | None) -> list[str]:
    said = []
    if e is None:
        said.append("No evidence: the gain over the baseline was not tested on runs that the search never saw.")
        said += [f"{w[0].upper()}{w[1:]}." for w in (facts.standings.warning,) if w]
    elif len(e.pairs) < 2 * FEW:
        said.append(f"Few pairs: the interval rests on {plural(len(e.pairs), 'pair')}.")
    if e is not None:
        said += [*_of_the_tuned(facts, e), *_of_revisions(facts, e)]
        if len(facts.spec.goals) > 1 and not e.goals:
            said.append(f"Several goals: the evidence speaks of {e.metric} alone.")
    if facts.spec.baseline is None:
        said.append("No baseline: nothing says how good the best is.")
    elif facts.reference is None:
        said.append("The baseline has no result: comparisons and limits relative to it are unknown.")
    elif broken := [c for c in facts.spec.constraints if c.excess(facts.reference, facts.reference) > 0]:
        texts = ", ".join(f"{c.text} (it has {number(facts.reference[c.metric])})" for c in broken)
        said.append(f"The baseline itself breaks a limit: {texts}.")
    return said


def _of_the_tuned(facts: Facts, e: Evidence) -> list[str]:
    """That the search has since found another best, which was not measured again."""
    best, measured = facts.best, [e.tuned_trial, *(f.trial for f in e.finalists)]
    if (
        best is None
        or best.number in measured
        or same_setting(facts.spec.current(best.params), facts.spec.current(e.tuned))
    ):
        return []
    return [f"The evidence speaks of trial {e.tuned_trial}; the best of the search is now trial {best.number}."]


def _of_revisions(facts: Facts, e: Evidence) -> list[str]:
    """What the study wants now but the evidence was not asked."""
    spec, said = facts.spec, []
    if e.metric not in [g.metric for g in spec.goals]:
        said.append(f"The evidence speaks of {e.metric}, which is no goal of the study any more.")
    if spec.baseline is not None and not same_setting(facts.spec.current(e.baseline), spec.baseline):
        said.append(f"The evidence compares with an earlier baseline ({setting(e.baseline)}), not with today's.")
    if unjudged := [c.text for c in spec.constraints if c.text not in [check.text for check in e.constraints]]:
        said.append(f"The evidence does not judge whether {', '.join(unjudged)} holds.")
    return said


def _of_search(facts: Facts) -> list[str]:
    said = []
    finished = [t for t in facts.searched if t.state in COUNTED]
    failed = sum(t.state is State.FAILED for t in finished)
    d = len(facts.spec.space)
    if len(finished) < 10 * d:
        said.append(
            f"Small budget: {plural(len(finished), 'finished trial')} for {plural(d, 'parameter')}, under 10 for each."
        )
    if failed > 0.1 * len(finished):
        share = percent(failed / len(finished))
        said.append(f"Failures: {failed} of {plural(len(finished), 'finished trial')} failed ({share}).")
    still = sum(t.state in OPEN for t in facts.trials)
    if still:
        said.append(f"Not finished: {plural(still, 'trial')} queued or running when this was written.")
    return said


def _of_best(facts: Facts, evidence: Evidence | None) -> list[str]:
    params, said = tuned(facts, evidence), list[str]()
    if params is None:
        return []
    if not facts.spec.space.allowed(facts.spec.space.encode([params]))[0]:
        said.append("The chosen setting is one that a revision of the space has ruled out.")
    if edges := _on_edge(facts, params):
        said.append(f"On the edge of its range: {', '.join(edges)}. A wider range may hold something better.")
    found = facts.best
    if evidence is not None:
        chosen = next(t for t in facts.trials if t.number == evidence.tuned_trial)
        found = of_trial(facts.spec, facts.candidates, chosen)
    if found is None:
        return said
    if found.n == 1:
        said.append(
            "The chosen setting ran once in the search: that result is a single draw, and a search prefers lucky ones."
        )
    for c in facts.spec.constraints:
        excess, bound = c.excess(found.metrics, facts.reference), c.bound(facts.reference)
        if math.isnan(excess):
            said.append(f"Whether {c.text!r} holds is unknown.")
        elif -0.05 * abs(bound) <= excess <= 0:
            near = f"{c.metric} is {number(found.metrics[c.metric])}, {number(bound)} is allowed"
            said.append(f"Close to a limit ({c.text}): {near}.")
    return said


def _on_edge(facts: Facts, params: Params) -> list[str]:
    """Numeric parameters whose value lies at an end of the range."""
    space = facts.spec.space
    row = space.encode([params])[0]
    return [
        f"{name} = {value(params[name])} (from {value(p.low)} to {value(p.high)})"
        for j, (name, p) in enumerate(space.params.items())
        if not isinstance(p, Choice) and edge(space, row, j)
    ]
