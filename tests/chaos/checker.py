"""Whether a study's database keeps the promises: read with plain SQL, without the code that wrote it (but for `replay`).

python tests/chaos/checker.py URL [NAME]      prints what is wrong; exit status 1 if anything is
"""

import hashlib
import json
import sys
from collections import Counter

from sqlalchemy import create_engine, text

ENDS = {"finish", "cancel", "import"}
ENDED = {"done", "failed", "stopped", "cancelled"}


def check(url, name, *, budget=None):
    """What is wrong with the study called `name`, as texts. budget: of trials, that must be used up exactly."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as c:
        (study,) = c.execute(text("SELECT * FROM studies WHERE name = :name"), {"name": name}).mappings()
        of = {"study": study["id"]}
        trials = c.execute(text("SELECT * FROM trials WHERE study = :study ORDER BY number"), of).mappings().all()
        events = c.execute(text("SELECT * FROM events WHERE study = :study ORDER BY position"), of).mappings().all()
        reports = c.execute(text("SELECT * FROM reports WHERE study = :study"), of).mappings().all()
    engine.dispose()
    return [
        *_chain(study, events),
        *_trials(study, trials, events),
        *_ledger(study, trials, events, budget),
        *_reports(trials, reports),
    ]


def delivered(url, name, returns):
    """Values that the objective returned and the study does not have, as texts; `returns` is the file that objectives write.

    For runs in which no process was killed: who is killed after it has returned may not have handed its value over. A trial
    that was taken over meanwhile has the value as a late result.
    """
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as c:
        of = {"name": name}
        trials = text(
            "SELECT t.* FROM trials t JOIN studies s ON s.id = t.study WHERE s.name = :name AND t.state = 'done'"
        )
        late = text("SELECT e.* FROM events e JOIN studies s ON s.id = e.study WHERE s.name = :name AND kind = 'late'")
        have = {(t["number"], t["attempt"], t["metrics"]) for t in c.execute(trials, of).mappings()}
        bodies = [(e["number"], json.loads(e["body"])) for e in c.execute(late, of).mappings()]
    engine.dispose()
    have |= {(number, body["attempt"], json.dumps(body["metrics"])) for number, body in bodies}
    kept = {(number, attempt, json.loads(metrics).get("loss")) for number, attempt, metrics in have}
    lines = [line.split() for line in returns.read_text().splitlines()]
    return [
        f"trial {number}, attempt {attempt}: it returned {value}, and the study does not have it"
        for number, attempt, value in lines
        if (int(number), int(attempt), float(value)) not in kept
    ]


def _chain(study, events):
    """Positions without gaps, and each hash over the one before and the event's content."""
    head = study["uid"]
    for expected, e in enumerate(events, start=1):
        if e["position"] != expected:
            yield f"event {expected} is missing: the next one is {e['position']}"
            return
        content = {"previous": head, "position": e["position"], "kind": e["kind"], "number": e["number"], "at": e["at"],
                   "body": json.loads(e["body"])}  # fmt: skip
        said = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        head = hashlib.sha256(said.encode()).hexdigest()
        if head != e["hash"]:
            yield f"event {expected} ({e['kind']}): its hash does not fit"
            return
    if (study["position"], study["head"]) != (len(events), head):
        yield f"the study's row stands at event {study['position']}, its chain at {len(events)}"


def _trials(study, trials, events):
    """Numbers without gaps; every trial was enqueued once and ended at most once, as its row says; nobody holds any."""
    if [t["number"] for t in trials] != list(range(study["count"])):
        yield f"numbers have gaps: {study['count']} trials, {[t['number'] for t in trials][:20]}..."
    queued = Counter(n for e in events if e["kind"] == "enqueue" for n, _ in json.loads(e["body"])["trials"])
    ends = Counter(e["number"] for e in events if e["kind"] in ENDS)
    for t in trials:
        n = t["number"]
        if queued[n] != 1:
            yield f"trial {n} was enqueued {queued[n]} times"
        if ends[n] != (t["state"] in ENDED):
            yield f"trial {n} is {t['state']}, and {ends[n]} events end it"
        if t["state"] in ENDED and (t["worker"] is not None or t["lease_until"] is not None):
            yield f"trial {n} is {t['state']}, and still held by {t['worker']}"
        if t["state"] not in ENDED:
            yield f"trial {n} is still {t['state']} (attempt {t['attempt']})"
        if t["attempt"] > 3 + sum(e["kind"] == "requeue" and e["number"] == n for e in events):
            yield f"trial {n} was claimed {t['attempt']} times"


def _ledger(study, trials, events, budget):
    """The budget of trials is used up exactly; what was spent is what ended trials and late results have cost."""
    search = [t for t in trials if t["purpose"] == "search" and t["state"] != "cancelled"]
    if study["reserved"] != len(search):
        yield f"{study['reserved']} trials are reserved, {len(search)} exist"
    if budget is not None and len(search) != budget:
        yield f"the budget is {budget} trials, {len(search)} were run"
    costs = [json.loads(t["cost"]) for t in trials if t["purpose"] == "search"]
    searched = {t["number"] for t in trials if t["purpose"] == "search"}  # the evidence does not pay from the budget
    too_many_failures = [e for e in events if e["kind"] in ("late", "requeue") and e["number"] in searched]
    costs += [json.loads(e["body"]).get("cost", {}) for e in too_many_failures]
    spent = json.loads(study["spent"])
    for kind in ("wall", "cpu", "money"):
        total = sum(c.get(kind, 0.0) for c in costs)
        if abs(total - spent[kind]) > 1e-6 * max(1.0, total):
            yield f"spent {kind} is {spent[kind]}, the trials say {total}"


def _reports(trials, reports):
    """Reports belong to trials, and a step of an attempt is there once; their order of writing has no doubles."""
    known = {t["number"]: t["attempt"] for t in trials}
    for r in reports:
        if r["number"] not in known or r["attempt"] > known[r["number"]]:
            yield f"a report of trial {r['number']}, attempt {r['attempt']}, which did not happen"
    if len({r["written"] for r in reports}) != len(reports):
        yield "two reports have one place in the order of writing"


def derived(study):
    """What the study's own checks find: rows against the chain, and proposals that the record does not give again."""
    replay = study.replay()
    return [*study.verify(), *([] if replay.holds else [replay.text()])]


if __name__ == "__main__":
    wrong = check(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "chaos")
    print("\n".join(wrong) or "intact")
    sys.exit(bool(wrong))
