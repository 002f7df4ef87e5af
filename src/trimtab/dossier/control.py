"""Items 34 to 46: reproduction, control and life cycle. Each function gives the parts of one item."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..chain.seals import stamped
from ..errors import UserError
from ..formatting import command, duration, moment, number, percent, plural, size
from ..records import Purpose
from ..reports import sections
from ..reports.origins import of_event
from ..reports.sections.table import Table
from ..reports.snapshot import Snapshot
from .items import Fact, Item, Missing, Part

NO_RUN = Missing("No run is on record: the trials were asked and told by hand.")


def code(s: Snapshot) -> list[Part]:
    runs = s.of("run")
    if not runs:
        return [NO_RUN]
    e = runs[-1]
    at, said = of_event(e), e.body.get("code") or {}
    made: list[Part] = [
        Fact("Objective", e.body["objective"], at),
        Fact("SHA-256 of its text", e.body["fingerprint"], at),
        *(Fact(f"SHA-256 of {name}", sha, at) for name, sha in (said.get("files") or {}).items()),
        *(
            Fact("Changed under the study", what, of_event(e))
            for e in s.of("inputs")
            if (what := e.body["changed"].get("code"))
        ),
    ]
    git = said.get("git")
    if git is None:
        return [*made, Missing("The code stands in no git repository: no commit is known.")]
    made.append(Fact("Commit", git["commit"], at))
    return [
        *made,
        Fact("SHA-256 of what was not committed", git.get("diff_sha256", "nothing: the files were as committed"), at),
    ]


def environment(s: Snapshot) -> list[Part]:
    runs = s.of("run")
    if not runs:
        return [NO_RUN]
    at = s.origins.run
    return [Fact(label, text, at) for label, text in sections.history.machine(s.environment)]


def seeds(s: Snapshot) -> list[Part]:
    spec = s.origins.spec
    made: list[Part] = [
        Fact("Seed of the study", str(s.study.spec.seed), spec, s.study.spec.seed),
        Fact(
            "Seeds of the trials",
            "each follows from the study's seed and the number of the trial or of its pair, and stands in its row",
            spec,
        ),
    ]
    replays = s.of("replay")
    if not replays:
        return [
            *made,
            Missing(f"The proposals were not derived again ({command('replay', s.study.name, ' --storage URL')})."),
        ]
    e = replays[-1]
    return [*made, *_replayed(e.body["replay"], of_event(e))]


def _replayed(r: Mapping[str, Any], at: tuple[str, ...]) -> list[Part]:
    """The outcome of deriving proposals, stops and ends of the search again; the last two are left out if there are
    none."""
    close, wrong = len(r["close"]), len(r["different"])
    near = f", {close} more within 1 % of the best acquisition (another numpy, BLAS or processor)" if close else ""
    text = f"{r['exact']} of {plural(r['proposals'], 'proposal')} derived again exactly{near}, {wrong} differ"
    if unjudged := len(r.get("other_versions", ())):
        text += f", {unjudged} not judged (by other versions of their strategies)"
    made: list[Part] = [Fact("Replay", text, at, [r["exact"], r["proposals"], wrong])]
    if any(beside := [r.get("by_hand", 0), r.get("imported", 0)]):
        text = f"{plural(beside[0], 'trial')} chosen by hand, {plural(beside[1], 'result')} from elsewhere"
        made.append(Fact("Told to the search besides", text, at, beside))
    for label, all_, unlike, others in (
        ("Replay of stops", "verdicts", "overturned", "other_rules"),
        ("Replay of ends of the search", "looks", "misjudged", "other_outlooks"),
    ):
        if n := r.get(all_, 0):
            wrong, unjudged = len(r.get(unlike, ())), len(r.get(others, ()))
            right = n - wrong - unjudged
            text = f"{right} of {n} derived again, {wrong} differ"
            text += f", {unjudged} not judged (by other versions)" if unjudged else ""
            made.append(Fact(label, text, at, [right, n, wrong]))
    return made


def reproduction(s: Snapshot) -> list[Part]:
    again, by_another = s.of("reproduce"), command("reproduce", s.study.name, " --storage URL --as VALIDATOR")
    if not again:
        return [Missing(f"No trial was run again ({by_another}).")]
    rows = [(_rerun(e.body["reproduction"], e.at), of_event(e)) for e in again]
    head = ["When", "Trials", "Same metrics", "Tolerance", "Same code", "By somebody else"]
    made: list[Part] = [Table(head, rows, (1, 2, 3))]
    if not any(e.body["reproduction"]["independent"] for e in again):
        made.append(Missing(f"None by somebody who did not run the study ({by_another})."))
    if unsaid := again[-1].body["reproduction"].get("left_out", ""):
        made.append(Missing(f"Of the last re-run: {unsaid}."))
    return made


def _rerun(r: Mapping[str, Any], at: float) -> list[str]:
    same = sum(not run["wrong"] for run in r["runs"])
    said = {True: "yes", False: "no", None: "unknown"}
    return [
        moment(at),
        str(len(r["runs"])),
        str(same),
        f"{r['tolerance']:g}",
        said[r["same_code"]],
        said[r["independent"]],
    ]


def cost(s: Snapshot) -> list[Part]:
    at, c = s.origins.now, s.study.spent
    evidence = [t.cost for t in s.trials if t.purpose in (Purpose.SELECT, Purpose.CERTIFY)]
    wall, cpu = sum(c.wall for c in evidence), sum(c.cpu for c in evidence)
    made = [
        Fact("Trial time of the search", duration(c.wall), at, c.wall),
        Fact("CPU time of the search", duration(c.cpu), at, c.cpu),
        Fact("GPU time of the search", duration(c.gpu), at, c.gpu),
        Fact("Peak memory", size(c.memory) if c.memory else "not measured", at, c.memory),
    ]
    if evidence:
        made.append(Fact("Trial time of the evidence, beside it", duration(wall), at, wall))
        made.append(Fact("CPU time of the evidence", duration(cpu), at, cpu))
    return [*made, *([Fact("Money", f"{c.money:,.2f}", at, c.money)] if c.money else [])]


def approvals(s: Snapshot) -> list[Part]:
    signed = s.of("checkpoint")
    if not signed:
        return [Missing(f"The record is not signed ({command('sign', s.study.name, ' --storage URL')}).")]
    rows = [([moment(e.at), str(e.body["position"]), e.body["key"], _token(e.body)], of_event(e)) for e in signed]
    return [Table(["Signed at", "Up to event", "Key (Ed25519)", "Time stamp of an authority"], rows, (1,))]


def _token(body: Mapping[str, Any]) -> str:
    try:
        return "–" if "timestamp" not in body else moment(stamped(body))
    except ValueError:
        return "cannot be read"
    except ImportError:
        raise UserError('a time stamp needs rfc3161-client to be read; run: pip install "trimtab[sign]"') from None


def integrity(s: Snapshot) -> list[Part]:
    at = s.origins.now
    facts = sections.history.integrity(s.study, s.events, s.findings)
    return [*(Fact(label, text, at) for label, text in facts), *(Fact("Finding", text, at) for text in s.findings)]


def monitoring(s: Snapshot) -> list[Part]:
    e = s.evidence
    if e is None or len(e.pairs) < 2:
        return [Missing("Nothing measured tells which changes would be unusual.")]
    values = [tuned for _, tuned in e.pairs]
    low, high = min(values), max(values)
    text = f"{e.metric} outside {number(low)} to {number(high)}, the range of {plural(len(values), 'run')} of the tuned setting"
    if low < high:  # of n + 1 runs that are alike, each is as likely as any other to be the smallest or the largest
        text += f"; by chance alone, {percent(2 / (len(values) + 1))} of further runs lie outside"
    return [Fact("Proposed trigger", text, s.origins.evidence, [low, high])]


def components(s: Snapshot) -> list[Part]:
    installed = s.environment.get("installed")
    if not installed:
        return [NO_RUN]
    text = ", ".join(package.replace("==", " ") for package in installed)
    return [Fact(plural(len(installed), "package"), text, s.origins.run, len(installed))]


def changes(s: Snapshot, items: Mapping[str, Item]) -> list[Part]:
    """What differs from the study that was approved before: its evidence record beside the current items."""
    if s.previous is None:
        return [Missing("No approved study was named for comparison (previous=, --previous FILE).")]
    before = {i["id"]: i for i in s.previous["items"]}
    study = s.previous["study"]
    rows = []
    for id_, item in items.items():
        if id_ in COMPARED and id_ in before:
            old, new = _texts(before[id_]), _texts(item.to_json())
            gone, come = [t for t in old if t not in new], [t for t in new if t not in old]
            cells = [_some(gone), _some(come)] if gone or come else ["unchanged", "unchanged"]
            rows.append(([item.title, *cells], ("previous", *item.sources)))
    text = f"study {study['name']} ({study['uid'][:12]}) as of event {study['position']}"
    return [Fact("Compared with", text, ("previous",)), Table(["Item", "Before", "Now"], rows)]


COMPARED = (
    "objectives",
    "space",
    "strategy",
    "data_fingerprint",
    "code",
    "environment",
    "components",
    "baseline",
    "choice_reason",
    "benefit",
)


def _texts(item: Mapping[str, Any]) -> list[str]:
    facts = [f"{f['label']}: {f['text']}" for f in item["facts"]]
    return facts + [", ".join(row["cells"]) for t in item["tables"] for row in t["rows"]]


def _some(texts: Sequence[str]) -> str:
    more = f"; and {len(texts) - 8} more" if len(texts) > 8 else ""
    return ("; ".join(texts[:8]) or "nothing") + more
