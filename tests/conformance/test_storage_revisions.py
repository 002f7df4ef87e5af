"""What every store guarantees: changes that somebody makes, and what readers get (the rest is in test_storage)."""

import itertools
from dataclasses import replace

import pytest
from stores import DONE, SPEC, kinds, proposal, put, row, running, verify

from trimtab.errors import LeaseLost, Stale, StudyNotFound
from trimtab.records import (
    OPEN,
    TOLD,
    Budget,
    Change,
    Cost,
    Outcome,
    Proposal,
    Purpose,
    Reason,
    State,
)
from trimtab.records.columns import End, Results
from trimtab.space import Choice, Float, Space
from trimtab.storage.statements import SqlTransaction

# -------------------------------------------------------------------------------------------------------------- revise


def test_pause_resume_cancel_archive_follow_their_table(store, study):
    legal = {
        "open": {"pause": "paused", "cancel": "cancelled", "archive": "archived"},
        "paused": {"resume": "open", "cancel": "cancelled", "archive": "archived"},
        "cancelled": {"archive": "archived"},
        "archived": {},
    }
    for start, moves in legal.items():
        for kind in ("pause", "resume", "cancel", "archive"):
            record = store.create(replace(SPEC, name=f"{start} {kind}"))
            for step in {"open": [], "paused": ["pause"], "cancelled": ["cancel"], "archived": ["archive"]}[start]:
                record = store.revise(record.id, Change(step))
            if kind in moves:
                after = store.revise(record.id, Change(kind, body={"why": "test"}))
                assert (after.state, after.position) == (moves[kind], record.position + 1)
                event = store.events(record.id)[-1]
                assert (event.kind, event.number, event.body["why"], "actor" in event.body) == (
                    kind,
                    None,
                    "test",
                    True,
                )
            else:
                with pytest.raises(Stale, match=start):
                    store.revise(record.id, Change(kind))
            assert verify(store, record.id) == []


def test_cancelling_a_study_reads_the_reports_of_those_that_ran_only(store, study, monkeypatch):
    """Thousands may be queued, on a server that is far away."""
    put(store, study, 5)
    again = running(store, study)
    store.report(again, [], 15.0, since=None)
    store.revise(study, Change("requeue", number=again.number, attempt=1))
    read, known = [], SqlTransaction.reports
    monkeypatch.setattr(SqlTransaction, "reports", lambda self, *which: read.append(which) or known(self, *which))
    store.revise(study, Change("cancel"))
    assert {t.state for t in store.trials(study).trials} == {"cancelled"}
    assert set(read) <= {(study, again.number)}
    assert verify(store, study) == []


def test_cancelling_a_study_cancels_its_queue_and_lets_running_trials_end(store, study, clock):
    put(store, study, 5)
    ends, silent, released = (store.claim(study, "w", 15.0) for _ in range(3))
    store.revise(study, Change("cancel"))
    assert kinds(store, study, since=2) == [("cancel", None), ("cancel", 3), ("cancel", 4)]
    assert store.finish(ends, DONE).state == "done"
    store.revise(study, Change("requeue", number=released.number, attempt=1))
    assert row(store, study, released.number).state == "cancelled"
    clock.now += 15
    assert store.claim(study, "w", 15.0) is None
    assert [t.state for t in store.trials(study).trials] == ["done", *["cancelled"] * 4]
    assert row(store, study, silent.number).private["worker"][1] == "w"
    assert store.trials(study).study.reserved == 1
    assert verify(store, study) == []


def test_one_open_trial_can_be_cancelled_and_its_holder_learns_it(store, study):
    put(store, study, 2)
    held = store.claim(study, "w", 15.0)
    for number in (0, 1):
        store.revise(study, Change("cancel", number=number, actor="ada"))
        t = row(store, study, number)
        assert (t.state, t.ended, t.told, t.revision, t.worker) == ("cancelled", 1000.0, 3 + number, 3 + number, None)
    with pytest.raises(LeaseLost):
        store.report(held, [], 15.0)
    for number, why in ((0, "is cancelled"), (7, "does not exist")):
        with pytest.raises(Stale, match=why):
            store.revise(study, Change("cancel", number=number))
    assert verify(store, study) == []


def test_what_an_attempt_used_is_charged_when_it_is_cancelled_or_given_back(store, study):
    held = running(store, study)
    used = Cost(wall=3.0, cpu=2.0, memory=50, money=0.5)
    store.revise(study, Change("requeue", number=0, attempt=held.attempt, cost=used))
    assert store.trials(study).study.spent == used
    store.claim(study, "w", 15.0)
    store.revise(study, Change("cancel", number=0, cost=used))
    assert store.trials(study).study.spent == used.plus(used)
    assert row(store, study, 0).cost == used
    assert verify(store, study) == []


def test_requeue_gives_a_trial_back(store, study):
    held = running(store, study)
    with pytest.raises(Stale, match="attempt 1"):
        store.revise(study, Change("requeue", number=0, attempt=2))
    store.revise(study, Change("requeue", number=0, attempt=1))
    t = row(store, study, 0)
    assert (t.state, t.worker, t.lease_until, t.started, t.attempt, t.revision) == ("queued", None, None, None, 1, 3)
    with pytest.raises(Stale):
        store.revise(study, Change("requeue", number=0, attempt=1))
    with pytest.raises(LeaseLost):
        store.finish(held, DONE)
    assert store.claim(study, "v", 15.0).attempt == 2
    assert verify(store, study) == []


def test_imported_results_are_ended_trials(store, study):
    put(store, study)
    outcomes = [DONE, Outcome(State.FAILED, reason=Reason.TIMEOUT, error="slow", notes=("n",))]
    record = store.revise(study, Change("import", trials=[(proposal(i), o) for i, o in enumerate(outcomes)]))
    assert (record.count, record.reserved, record.spent, record.position) == (3, 1, Cost(), 6)
    a, b = store.trials(study, since=2).trials[1:]
    assert (a.purpose, a.state, a.metrics, a.at, a.seen, a.told, a.ended) == (
        "import",
        "done",
        {"loss": 0.5},
        1,
        2,
        4,
        1000.0,
    )
    assert (b.state, b.reason, b.error, b.notes, b.at, b.told) == ("failed", "timeout", "slow", ("n",), 2, 6)
    assert kinds(store, study, since=2) == [("enqueue", None), ("import", 1), ("enqueue", None), ("import", 2)]
    assert store.revise(study, Change("import")) == record
    assert verify(store, study) == []


def test_specs_and_statements_are_recorded(store, study):
    spec = replace(SPEC, budget=Budget(trials=9), space=Space(x=Float(-1.0, 1.0), kind=Choice("a", None, True)))
    assert store.revise(study, Change("spec", spec=spec)).spec == spec
    for kind in ("run", "evidence", "holdout", "report"):
        store.revise(study, Change(kind, body={"n": [1, 2.5, None]}))
    assert store.trials(study).study.spec == spec
    *_, last = store.events(study)
    assert ({k: v for k, v in last.body.items() if k != "actor"}, last.kind) == ({"n": [1, 2.5, None]}, "report")
    for wrong in (Change("spec"), Change("cancle"), Change("note", text="of nothing")):
        with pytest.raises(ValueError, match="kinds are"):
            store.revise(study, wrong)
    assert verify(store, study) == []


# ------------------------------------------------------------------------------------------------------------- reading


def test_a_trial_that_waits_is_not_made_again_for_each_reader(store, study, clock):
    """Thousands may wait while one after the other runs."""
    put(store, study, 3)
    position = store.study(study).position
    before = store.trials(study, since=position).trials
    held = store.claim(study, "w", 15.0)
    after = store.trials(study, since=position).trials
    assert after[0] == held != before[0]
    assert [a is b for a, b in zip(after[1:], before[1:], strict=True)] == [True, True]
    clock.now += 5.0
    store.report(held, [], 15.0)
    store.revise(study, Change("note", number=2, text="n"))
    last = store.trials(study, since=position).trials
    assert (last[0].lease_until, last[1] is before[1], last[2].notes) == (held.lease_until + 5.0, True, ("n",))


def test_readers_get_what_later_events_touched_and_all_that_is_open(store, study):
    put(store, study, 4)
    for _ in range(2):
        store.finish(store.claim(study, "w", 15.0), DONE)
    store.revise(study, Change("note", number=0, text="x"))
    numbers = {since: [t.number for t in store.trials(study, since).trials] for since in range(6)}
    assert numbers == {0: [0, 1, 2, 3], 1: [0, 1, 2, 3], 2: [0, 1, 2, 3], 3: [0, 1, 2, 3], 4: [0, 2, 3], 5: [2, 3]}
    assert [e.position for e in store.events(study, since=3)] == [4, 5]
    assert store.events(study, since=5) == []


def columns_of(trials):
    """What outline and results say, made from whole trials."""
    ended = sorted((t for t in trials if t.told is not None), key=lambda t: t.told)
    told = [t for t in ended if t.purpose in TOLD and t.state is not State.CANCELLED]
    return [t for t in trials if t.state in OPEN], [End.of(t) for t in ended], told


def test_outline_results_and_pages_are_the_trials_in_columns(store, study):
    put(store, study, 4)
    put(store, study, 1, purpose=Purpose.CERTIFY)
    put(store, study, 1, why={"member": 3, "note": 'a "member"'}, parent=0)
    for outcome in (DONE, Outcome(State.FAILED, reason=Reason.ERROR), DONE):
        store.finish(store.claim(study, "w", None), outcome)
    store.finish(store.claim(study, "w", None, number=4), DONE)
    store.revise(study, Change("cancel", number=3))
    store.finish(store.claim(study, "w", None, number=5), DONE)
    store.revise(study, Change("import", trials=[(proposal(9), DONE), (proposal(8), Outcome(State.FAILED))]))
    store.revise(study, Change("note", number=0, text="seen again"))
    put(store, study, 2)
    store.claim(study, "w", 15.0)
    whole, outline = store.trials(study), store.outline(study)
    opened, ends, told = columns_of(whole.trials)
    assert (outline.study, outline.open, outline.ends) == (whole.study, opened, ends)
    assert len(told) == 6
    cuts = [0, *(t.told for t in told), whole.study.position]
    for after, upto in itertools.combinations_with_replacement(cuts, 2):
        expected = [t for t in told if after < t.told <= upto]
        assert store.results(study, after, upto) == Results.of(expected)
    assert store.page(study, 0, 100) == list(whole.trials)
    assert store.page(study, 2, 5) == [t for t in whole.trials if 2 <= t.number < 5]
    with pytest.raises(StudyNotFound):
        store.outline(study + 1)


def test_records_handed_out_never_change_what_is_kept(store, study):
    params, why, metrics = {"x": 0.25, "kind": "a"}, {"deep": [1]}, {"loss": 1.0}
    (given,) = store.enqueue(study, [Proposal(params, 1, why=why)], at=0, seen=1)
    held = store.claim(study, "w", 15.0)
    params["x"] = given.params["x"] = 9.0
    why["deep"].append(2)
    given.why["deep"].append(3)
    ended = store.finish(held, Outcome(State.DONE, metrics, notes=("n",)))
    metrics["loss"] = ended.metrics["loss"] = 9.0
    ended.private["notes"].clear()
    store.events(study)[0].body.clear()
    kept = row(store, study, 0)
    assert (kept.params, kept.why, kept.metrics, kept.notes) == (
        {"x": 0.25, "kind": "a"},
        {"deep": [1]},
        {"loss": 1.0},
        ("n",),
    )
    assert verify(store, study) == []
