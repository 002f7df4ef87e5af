"""What every store guarantees, proven for each: the promises of the Storage protocol, one after the other.

Revisions and reading are in test_storage_revisions."""

from dataclasses import replace

import pytest
from stores import DONE, SPEC, kinds, proposal, put, row, running, verify

from trimtab.canonical import commitment, dumps
from trimtab.errors import BudgetSpent, LeaseLost, Stale, StudyMismatch, StudyNotFound
from trimtab.live import LiveStudy
from trimtab.records import (
    OPEN,
    Budget,
    Change,
    Cost,
    Outcome,
    Proposal,
    Purpose,
    Reason,
    Report,
    State,
    StudyState,
)
from trimtab.records.columns import Results
from trimtab.storage import MAX_ATTEMPTS, Claim, Ending

# ------------------------------------------------------------------------------------------------------------ studies


def test_create_makes_a_study_once(store, clock):
    made = store.create(SPEC)
    assert (made.name, made.spec, made.state, made.created) == ("s", SPEC, StudyState.OPEN, 1000.0)
    assert (made.count, made.reserved, made.spent, made.position) == (0, 0, Cost(), 1)
    clock.now += 5
    assert store.create(replace(SPEC, seed=9)) == made
    assert store.studies() == [store.study(made.id)] == [made]
    (event,) = store.events(made.id)
    assert (event.position, event.kind, event.number, event.at) == (1, "create", None, 1000.0)
    assert dumps(event.body) == dumps({"spec": SPEC.to_json()})
    assert event.hash == made.head
    assert verify(store, made.id) == []


def test_studies_come_in_the_order_of_creation_and_archiving_frees_the_name(store):
    first, second = store.create(SPEC), store.create(replace(SPEC, name="t"))
    put(store, first.id, 2)
    held = store.claim(first.id, "w", None)
    store.revise(first.id, Change("archive"))
    third = store.create(SPEC)
    assert third.uid != first.uid
    assert [(r.id, r.state) for r in store.studies()] == [
        (first.id, "archived"),
        (second.id, "open"),
        (third.id, "open"),
    ]
    assert [r.id for r in store.studies("s")] == [first.id, third.id]
    created = {r.id: store.events(r.id)[0] for r in store.studies()}
    assert store.first_events() == created
    assert [store.studies(name) for name in ("u", "", "s\0", "\ud800")] == [[]] * 4
    store.revise(second.id, Change("pause"))
    assert store.positions() == {second.id: 2, third.id: 1}
    store.revise(second.id, Change("cancel"))
    assert store.positions() == {third.id: 1}
    assert {t.state for t in store.trials(first.id).trials} == {State.CANCELLED}
    with pytest.raises(LeaseLost):
        store.finish(held, DONE)
    assert verify(store, first.id) == []


def test_a_study_names_those_that_were_archived_under_its_name(store):
    uids = []
    for _ in range(3):
        made = store.create(SPEC)
        assert store.events(made.id)[0].body.get("earlier", []) == uids
        assert verify(store, made.id) == []
        store.revise(made.id, Change("archive"))
        uids.append(made.uid)
    assert "earlier" not in store.events(store.create(replace(SPEC, name="t")).id)[0].body


def test_delete_leaves_nothing_and_never_gives_the_number_out_again(store):
    kept, gone = store.create(SPEC), store.create(replace(SPEC, name="gone"))
    held = running(store, gone.id)
    store.report(held, [Report(0, 1, 1, {"loss": 1.0}, 0.0)], 15.0)
    store.revise(gone.id, Change("note", number=0, text="secret"))
    store.delete(gone.id)
    assert store.studies() == [kept]
    assert (store.events(gone.id), store.reports(gone.id), dict(store.actors(gone.id))) == ([], [], {})
    assert store.create(replace(SPEC, name="gone")).id not in (kept.id, gone.id)
    for call in (
        lambda: store.delete(gone.id),
        lambda: store.study(gone.id),
        lambda: store.trials(gone.id),
        lambda: store.revise(gone.id, Change("pause")),
        lambda: store.enqueue(gone.id, [proposal()], at=0, seen=1),
    ):
        with pytest.raises(StudyNotFound, match=str(gone.id)):
            call()
    for call in (lambda: store.finish(held, DONE), lambda: store.report(held, [], 15.0)):
        with pytest.raises(LeaseLost):
            call()
    assert store.claim(gone.id, "w", 15.0) is None


# ------------------------------------------------------------------------------------------------------------ enqueue


def test_a_batch_becomes_trials_with_what_their_proposer_knew(store, study, clock):
    clock.now = 1003.5
    wished = Proposal({"x": 0.5, "kind": True}, 2**62, Purpose.CERTIFY, "gp", "3", {"ei": [1, 2]}, 0, 4, -2)
    first, second = store.enqueue(study, [proposal(7), wished], at=0, seen=1)
    assert [first.number, second.number] == [0, 1]
    assert (second.params, second.seed, second.purpose, second.strategy, second.version, second.why) == (
        {"x": 0.5, "kind": True}, 2**62, "certify", "gp", "3", {"ei": [1, 2]}
    )  # fmt: skip
    assert (second.parent, second.replicate, second.priority) == (0, 4, -2)
    for t in (first, second):
        assert (t.study, t.state, t.created, t.seen, t.at, t.batch, t.revision) == (study, "queued", 1003.5, 1, 0, 2, 2)
        assert (t.attempt, t.worker, t.lease_until, t.started, t.ended, t.told) == (0, None, None, None, None, None)
    changes = store.trials(study)
    assert list(changes.trials) == [first, second]
    assert (changes.study.count, changes.study.reserved, changes.study.position) == (2, 1, 2)
    (event,) = store.events(study, since=1)
    assert (event.kind, event.number, {k: event.body[k] for k in ("at", "seen", "batch")}) == (
        "enqueue", None, {"at": 0, "seen": 1, "batch": 2}
    )  # fmt: skip
    assert [number for number, _ in event.body["trials"]] == [0, 1]
    assert verify(store, study) == []


def test_who_proposes_may_claim_in_the_same_transaction(store, study, clock):
    made = store.enqueue(study, [proposal(i) for i in range(3)], at=0, seen=1, claim=Claim("w", 15.0, 2))
    assert [str(t.state) for t in made] == ["running", "running", "queued"]
    assert [(t.attempt, t.worker, t.lease_until) for t in made[:2]] == [(1, "w", clock.now + 15.0)] * 2
    assert list(store.trials(study).trials) == made
    assert store.claim(study, "other", 15.0).number == 2
    store.finish(made[0], DONE)
    store.revise(study, Change("pause"))
    (waiting,) = store.enqueue(study, [proposal(3)], at=3, seen=2, claim=Claim("w", 15.0, 1))
    assert waiting.state == "queued"
    assert verify(store, study) == []


def test_only_who_knows_all_trials_may_enqueue(store, study):
    put(store, study, 2)
    for at in (0, 1, 3):
        with pytest.raises(Stale, match="has 2 trials"):
            store.enqueue(study, [proposal()], at=at, seen=1)
    assert store.enqueue(study, [], at=2, seen=1) == []
    assert store.trials(study).study.position == 2


def test_the_budget_of_trials_binds_search_alone_and_cancelling_frees_a_place(store):
    study = store.create(replace(SPEC, budget=Budget(trials=3))).id
    put(store, study, 2)
    with pytest.raises(BudgetSpent, match="2 of its 3 trials"):
        put(store, study, 2)
    assert store.trials(study).study.count == 2
    put(store, study, 5, purpose=Purpose.CERTIFY)
    put(store, study, 1)
    with pytest.raises(BudgetSpent):
        put(store, study, 1)
    store.revise(study, Change("cancel", number=0))
    assert store.trials(study).study.reserved == 2
    put(store, study, 1)
    with pytest.raises(BudgetSpent):
        put(store, study, 1)
    store.revise(study, Change("spec", spec=replace(SPEC, budget=Budget(trials=4))))
    put(store, study, 1)
    assert verify(store, study) == []


@pytest.mark.parametrize(
    ("limit", "cost"), [("cpu_hours", "cpu"), ("gpu_hours", "gpu"), ("cost", "money"), ("kwh", "energy")]
)
def test_measured_budgets_bind_once_they_are_spent(store, limit, cost):
    study = store.create(replace(SPEC, budget=Budget(**{limit: 1.0}))).id
    full = 1.0 if cost in ("money", "energy") else 3600.0
    for used in (0.25 * full, 0.5 * full):
        store.finish(running(store, study), replace(DONE, cost=Cost(**{cost: used})))
    with pytest.raises(BudgetSpent, match=r"reserved at .*; raise the budget's .*, or wait"):
        put(store, study)  # an average trial has no room
    store.revise(study, Change("spec", spec=replace(SPEC, budget=Budget(**{limit: 1.5}))))
    held = running(store, study)
    with pytest.raises(BudgetSpent, match="1 open trials have the rest reserved"):
        put(store, study, 2)
    store.finish(held, replace(DONE, cost=Cost(**{cost: 0.75 * full})))
    with pytest.raises(BudgetSpent, match=limit):
        put(store, study)
    put(store, study, purpose=Purpose.CERTIFY)
    assert verify(store, study) == []


@pytest.mark.parametrize("kind", ["cancel", "archive"])
def test_a_closed_study_takes_no_trials(store, study, kind):
    store.revise(study, Change(kind))
    with pytest.raises(StudyMismatch, match=kind[:6]):
        store.enqueue(study, [proposal()], at=0, seen=1)


# ----------------------------------------------------------------------------------------------------- claim and lease


def test_trials_are_claimed_by_priority_then_number(store, study, clock):
    other = store.create(replace(SPEC, name="other")).id
    put(store, study, 2)
    put(store, study, 1, priority=5)
    put(store, other, 1, priority=9)
    order = []
    while (t := store.claim(study, "w", 10.0)) is not None:
        assert (t.study, t.state, t.attempt) == (study, "running", 1)
        assert (t.worker, t.started, t.lease_until) == ("w", 1000.0, 1010.0)
        assert row(store, study, t.number) == t
        order.append(t.number)
    assert order == [2, 0, 1]
    assert row(store, other, 0).state == "queued"
    assert store.claim(99, "w", 10.0) is None


def test_trials_of_the_evidence_are_claimed_by_number_only(store, study):
    put(store, study, 3)
    put(store, study, 1, purpose=Purpose.CERTIFY, priority=9)
    assert store.claim(study, "w", 10.0).number == 0
    assert store.claim(study, "w", 10.0, number=2).number == 2
    assert store.claim(study, "w", 10.0, number=2) is None
    assert store.claim(study, "w", 10.0, number=99) is None
    assert store.claim(study, "w", 10.0).number == 1
    assert store.claim(study, "w", 10.0) is None
    assert store.claim(study, "w", 10.0, number=3).number == 3


def test_claims_and_renewals_leave_the_study_and_its_chain_alone(store, study):
    put(store, study)
    before = store.trials(study).study
    held = store.claim(study, "w", 10.0)
    store.report(held, [], 10.0)
    assert store.trials(study).study == before
    assert held.revision == before.position


@pytest.mark.parametrize("kind", ["pause", "cancel", "archive"])
def test_a_study_that_is_not_open_gives_nothing_out(store, study, clock, kind):
    running(store, study)
    put(store, study)
    store.revise(study, Change(kind))
    assert store.claim(study, "w", 10.0) is None
    assert store.claim(study, "w", 10.0, number=1) is None
    clock.now += 100
    assert store.claim(study, "w", 10.0) is None
    states = [t.state for t in store.trials(study).trials]
    assert states == (["running", "queued"] if kind == "pause" else ["cancelled", "cancelled"])
    assert verify(store, study) == []
    if kind == "pause":
        store.revise(study, Change("resume"))
        assert store.claim(study, "w", 10.0).attempt == 2


def test_a_lease_that_ran_out_makes_the_trial_claimable_again(store, study, clock):
    held = running(store, study, lease=10.0)
    clock.now += 9
    assert store.claim(study, "v", 10.0) is None
    store.report(held, [], 10.0)
    clock.now += 9.5
    assert store.claim(study, "v", 10.0) is None
    clock.now += 0.5
    again = store.claim(study, "v", 10.0)
    assert (again.number, again.attempt, again.worker) == (0, 2, "v")
    assert (kinds(store, study)[-1], row(store, study, 0)) == (("takeover", 0), again)
    assert dict(store.events(study)[-1].body) == {"attempt": 1, "held": [1000.0, 1019.0]}
    assert store.finish(again, DONE).state == "done"
    assert verify(store, study) == []


@pytest.mark.parametrize("jump", [7200, -7200])
def test_a_clock_that_jumps_does_not_count_as_time_in_which_a_trial_ran(store, study, clock, jump):
    held, quick = running(store, study), running(store, study)
    clock.now += 5
    store.report(held, [], 15.0)
    clock.now += jump
    store.report(held, [], 15.0)
    ran = clock.now - row(store, study, 0).started
    assert ran == (20.0 if jump > 0 else 5.0 + jump)  # up to a whole lease may count
    clock.now += 10
    ended = [store.finish(t, replace(DONE, cost=Cost(wall=15.0))) for t in (held, quick)]
    assert [t.ended - t.started for t in ended] == ([30.0, 15.0] if jump > 0 else [15.0, 15.0])
    assert [t.ended for t in ended] == [clock.now] * 2
    assert verify(store, study) == []


def test_who_could_not_renew_for_long_has_run_as_long_as_was_measured(store, study, clock):
    held = running(store, study)
    clock.now += 600
    store.report(held, [], 15.0)
    assert clock.now - row(store, study, 0).started == 15.0
    clock.now += 10
    ended = store.finish(held, replace(DONE, cost=Cost(wall=609.0)))
    assert ended.ended - ended.started == 609.0
    assert verify(store, study) == []


@pytest.mark.parametrize("jump", [0, 7200, -7200])
def test_the_time_that_loading_took_counts_even_if_it_took_longer_than_a_minute(store, study, clock, jump):
    done, dropped = running(store, study, lease=1000.0), running(store, study, lease=1000.0)
    clock.now += 100 + jump
    used = Cost(wall=10.0, loading=90.0)
    store.finish(done, replace(DONE, cost=used))
    store.revise(study, Change("cancel", number=dropped.number, cost=used))
    ended = [row(store, study, t.number) for t in (done, dropped)]
    assert [t.ended - t.started for t in ended] == [100.0, 100.0]
    assert [t.cost.loading for t in ended] == [90.0, 90.0]
    assert verify(store, study) == []


def test_a_hold_without_a_lease_never_runs_out(store, study, clock):
    held = running(store, study, lease=None)
    assert held.lease_until is None
    clock.now += 1e9
    assert store.claim(study, "v", 10.0) is None
    store.report(held, [], None)
    assert store.finish(held, DONE).state == "done"


def test_after_the_last_attempt_a_silent_trial_is_lost(store, study, clock):
    put(store, study, 2)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert (store.claim(study, f"w{attempt}", 10.0).number, attempt) == (0, attempt)
        clock.now += 10
    assert store.claim(study, "w", 10.0).number == 1
    lost = row(store, study, 0)
    assert (lost.state, lost.reason, lost.attempt, lost.worker) == ("failed", Reason.LOST, MAX_ATTEMPTS, None)
    assert "silent" in lost.error
    assert lost.private["worker"][1] == f"w{MAX_ATTEMPTS}"
    assert kinds(store, study, since=2) == [("takeover", 0)] * (MAX_ATTEMPTS - 1) + [("finish", 0)]
    assert verify(store, study) == []


def test_attempts_of_which_each_goes_further_than_the_last_are_not_lost(store, study, clock):
    put(store, study)
    held = [store.claim(study, "w", 10.0)]
    for step in [1, 2, 2, 3, 4, 5, 5, 5]:  # at which the attempt begins: from a checkpoint, if that is later
        store.report(held[-1], [Report(0, 0, at, {"loss": 1.0}, 0.0) for at in (step, step + 1)], 10.0)
        clock.now += 10
        held.append(store.claim(study, "w", 10.0))
    assert [t and t.attempt for t in held] == [*range(1, 9), None]
    assert row(store, study, 0).reason == Reason.LOST
    assert verify(store, study) == []


# ------------------------------------------------------------------------------------------------------------- reports


def test_reports_are_kept_replaced_and_handed_out_in_the_order_of_writing(store, study):
    put(store, study, 2)
    a, b = store.claim(study, "w", 10.0), store.claim(study, "w", 10.0)
    made = [
        Report(0, 1, 2.0, {"loss": 2.0}, 1.0),
        Report(1, 1, 1.0, {"loss": 1.0}, 2.0),
        Report(0, 1, 1.0, {"loss": 3.0}, 3.0),
    ]
    assert store.report(a, made[:1], 10.0) == made[:1]
    assert store.report(b, made[1:2], 10.0, since=1) == made[1:2]
    assert store.report(a, made[2:], 10.0, since=1) == made[1:]
    assert store.report(a, [], 10.0, since=3) == []
    assert store.reports_since(study, 0, 2) == made[:2]
    assert store.reports_since(study, 2, 9) == made[2:]
    assert store.reports_since(study, 3, 9) == []
    assert store.reports(study) == [made[2], made[0], made[1]]
    assert store.reports(study, 0) == [made[2], made[0]]
    newer = replace(made[0], metrics={"auc": 0.5}, at=9.0)
    assert store.report(a, [replace(newer, at=8.0), newer], 10.0, since=3) == [newer]
    assert store.reports(study) == [made[2], newer, made[1]]
    for held in (a, b):
        store.finish(held, DONE)
    assert verify(store, study) == []


@pytest.mark.parametrize("step", [-0.0, 3])
def test_a_report_at_a_step_that_is_stored_in_another_form_fits_the_digest_of_its_trial(store, study, step):
    store.finish(running(store, study), DONE, [Report(0, 1, step, {"loss": 1.0}, 0.0)])
    assert [repr(r.step) for r in store.reports(study)] == [repr(float(step) + 0.0)]
    assert verify(store, study) == []


def test_a_superseded_or_ended_holder_reports_nothing(store, study, clock):
    old = running(store, study)
    store.report(old, [Report(0, 1, 1.0, {"loss": 1.0}, 0.0)], 15.0)
    clock.now += 15
    new = store.claim(study, "v", 15.0)
    mine = Report(0, 1, 2.0, {"loss": 2.0}, 0.0)
    with pytest.raises(LeaseLost, match="trial 0, attempt 1"):
        store.report(old, [mine], 15.0)
    store.report(new, [replace(mine, attempt=2)], 15.0)
    store.finish(new, DONE)
    with pytest.raises(LeaseLost):
        store.report(new, [], 15.0)
    assert [(r.attempt, r.step) for r in store.reports(study)] == [(1, 1.0), (2, 2.0)]
    assert verify(store, study) == []


# -------------------------------------------------------------------------------------------------------------- finish


def test_finish_records_the_outcome_and_adds_its_cost(store, study, clock):
    held = running(store, study)
    clock.now += 7
    failed = Outcome(State.FAILED, {}, Reason.ERROR, "boom", "printed", ("one", "two"), DONE.cost)
    ended = store.finish(held, failed)
    assert (ended.state, ended.reason, ended.error, ended.output, ended.notes) == (
        "failed", "error", "boom", "printed", ("one", "two")
    )  # fmt: skip
    assert (ended.worker, ended.lease_until, ended.ended, ended.told, ended.revision) == (None, None, 1007.0, 3, 3)
    assert (ended.started, ended.attempt, ended.cost, ended.private["worker"][1]) == (1000.0, 1, DONE.cost, "worker")
    assert row(store, study, 0) == ended
    store.finish(running(store, study), DONE)
    store.finish(running(store, study, purpose=Purpose.CERTIFY), DONE)
    assert store.trials(study).study.spent == Cost(4.0, 3.0, 0.5, 100, 0.2)
    event = store.events(study)[2]
    assert (event.kind, event.number, event.body["state"], event.body["reason"]) == ("finish", 0, "failed", "error")
    assert set(event.body) == {"state", "reason", "metrics", "digest", "private"}
    assert event.body["private"]["error"] == commitment(*ended.private["error"])
    assert verify(store, study) == []


def test_a_late_result_is_kept_and_charged_but_never_told(store, study, clock):
    old = running(store, study)
    clock.now += 15
    new = store.claim(study, "v", 15.0)
    with pytest.raises(LeaseLost, match="attempt 1"):
        store.finish(old, DONE)
    still = row(store, study, 0)
    assert (still.state, still.attempt, still.metrics, still.told) == ("running", 2, {}, None)
    ended = store.finish(new, replace(DONE, metrics={"loss": 0.75}))
    with pytest.raises(LeaseLost):
        store.finish(new, DONE)
    assert kinds(store, study, since=2) == [("takeover", 0), ("late", 0), ("finish", 0), ("late", 0)]
    late = store.events(study)[3]
    assert (late.body["metrics"], late.body["attempt"], late.body["state"]) == ({"loss": 0.5}, 1, "done")
    assert row(store, study, 0) == replace(ended, revision=6)
    assert store.trials(study).study.spent.wall == 6.0
    store.finish(spare := running(store, study, purpose=Purpose.CERTIFY), DONE)
    with pytest.raises(LeaseLost):
        store.finish(spare, DONE)
    assert store.trials(study).study.spent.wall == 6.0
    assert verify(store, study) == []


def test_settle_finishes_and_enqueues_what_follows(store, study, clock):
    held = [running(store, study), running(store, study)]
    since, seen = store.trials(study).study.position, []

    def then(changes):
        seen.append(changes)
        return [[proposal(7), proposal(8)]], Claim("worker", 15.0, 1)

    reports = [Report(0, 1, 1.0, {"loss": 0.7}, 1000.5)]
    clock.now += 2
    settled = store.settle(study, [Ending(held[0], DONE, reports), Ending(held[1], DONE)], since, then)
    assert settled.error is None
    after = store.trials(study)
    assert list(settled.ended) == list(after.trials[:2])
    assert [t.state for t in after.trials] == [State.DONE, State.DONE, State.RUNNING, State.QUEUED]
    assert list(settled.made) == list(after.trials[2:])
    assert [(t.at, t.seen) for t in settled.made] == [(2, since + 2)] * 2
    assert kinds(store, study, since) == [("finish", 0), ("finish", 1), ("enqueue", None)]
    assert [r.metrics for r in store.reports(study)] == [{"loss": 0.7}]
    (changes,) = seen
    assert (changes.study.position, changes.study.spent) == (since + 2, Cost(4.0, 3.0, 0.5, 100, 0.2))
    assert list(changes.trials) == list(after.trials[:2])
    assert verify(store, study) == []


def test_settle_enqueues_batch_by_batch_and_claims_what_waits_first(store, study, clock):
    held = running(store, study)
    put(store, study, n=3)
    store.revise(study, Change("cancel", number=2))
    since = store.trials(study).study.position
    batches = [[proposal(7)], [proposal(8), proposal(9)], [proposal(10)]]
    settled = store.settle(study, [Ending(held, DONE)], since, lambda _: (batches, Claim("worker", 15.0, 4)))
    assert [t.number for t in settled.claimed] == [1, 3, 4, 5]
    assert [t.number for t in settled.made] == [4, 5, 6, 7]
    after = {t.number: t for t in store.trials(study).trials}
    assert [after[n].state for n in (1, 3, 4, 5, 6, 7)] == [State.RUNNING] * 4 + [State.QUEUED] * 2
    assert [after[t.number] for t in settled.claimed] == list(settled.claimed)
    assert {t.worker for t in settled.claimed} == {"worker"}
    assert [(t.at, t.seen, t.batch) for t in settled.made] == [
        (4, since + 1, 1), (5, since + 2, 2), (5, since + 2, 2), (7, since + 3, 1),
    ]  # fmt: skip
    assert verify(store, study) == []


def test_settle_reserves_for_what_it_has_just_enqueued(store):
    study = store.create(replace(SPEC, budget=Budget(cpu_hours=5.0))).id
    store.finish(running(store, study), replace(DONE, cost=Cost(cpu=3600.0)))
    settled = store.settle(study, [], 0, lambda _: ([[proposal(i)] for i in range(9)], None))
    assert [t.number for t in settled.made] == [1, 2, 3, 4]
    assert isinstance(settled.error, BudgetSpent)
    assert verify(store, study) == []


def test_settle_tells_what_it_has_just_ended_after_what_has_to_be_read(store, study):
    store.revise(study, Change("import", trials=[(proposal(i), DONE) for i in range(3)]))
    held = running(store, study)
    live, told = LiveStudy(store, study), []  # of the imported ones it has nothing at hand

    def then():
        told.extend(live.ledger.told.results().number)
        return [], None

    assert live.settle([Ending(held, DONE)], then).error is None
    assert told == [0, 1, 2, 3]
    assert live.ledger.told[2:].results() == Results.of(list(live.ledger.told[2:]))


def test_settle_ends_a_trial_twice_only_as_late(store, study):
    held = running(store, study)
    settled = store.settle(study, [Ending(held, DONE), Ending(held, DONE)], 0, lambda _: ([], None))
    assert [t and t.state for t in settled.ended] == [State.DONE, None]
    assert [kind for kind, _ in kinds(store, study)][-2:] == ["finish", "late"]
    assert row(store, study, 0).revision == store.trials(study).study.position
    assert verify(store, study) == []


def test_settle_keeps_the_ends_whatever_follows(store):
    study = store.create(replace(SPEC, budget=Budget(trials=2))).id
    first, second = running(store, study), running(store, study)
    full = store.settle(study, [Ending(first, DONE)], 0, lambda _: ([[proposal(1)]], None))
    assert isinstance(full.error, BudgetSpent)

    def broken(_):
        raise RuntimeError("a strategy's mistake")

    failed = store.settle(study, [Ending(second, DONE), Ending(first, DONE)], 0, broken)
    assert isinstance(failed.error, RuntimeError)
    assert [t and t.state for t in failed.ended] == [State.DONE, None]  # the second one was late
    assert [t.state for t in store.trials(study).trials] == [State.DONE, State.DONE]
    assert [kind for kind, _ in kinds(store, study)][-3:] == ["finish", "finish", "late"]
    nothing = store.settle(study, [], 0, lambda _: ([], None))
    assert (list(nothing.ended), list(nothing.made), nothing.error) == ([], [], None)
    assert verify(store, study) == []


@pytest.mark.parametrize("state", sorted(OPEN))
def test_an_outcome_must_be_an_end(store, study, state):
    held = running(store, study)
    with pytest.raises(Stale, match=f"cannot become {state}"):
        store.finish(held, Outcome(state))
    assert row(store, study, 0) == held


def test_what_cannot_be_told_as_json_changes_nothing(store, study):
    held = running(store, study)
    before = store.trials(study)
    with pytest.raises(ValueError, match="JSON"):
        store.finish(held, replace(DONE, metrics={"loss": float("nan")}))
    with pytest.raises(ValueError, match="JSON"):
        put(store, study, why={"ei": float("inf")})
    assert store.trials(study) == before
    assert verify(store, study) == []


def test_private_texts_of_any_kind_survive_and_stay_out_of_the_events(store, study):
    odd = "naïve \x00 \x1b[1m 𝕏 secret"
    put(store, study)
    held = store.claim(study, "secret host", 15.0)
    store.revise(study, Change("note", number=0, text=odd + " early", actor="secret actor"))
    store.finish(held, replace(DONE, output=odd + "\udc80", notes=(odd,), error="secret"))
    store.revise(study, Change("note", number=0, text=odd + " late", actor="secret actor"))
    t = row(store, study, 0)
    assert t.notes == (odd + " early", odd, odd + " late")
    assert t.output == odd + "?"
    assert not any("secret" in dumps(e.body) for e in store.events(study))
    actors, events = store.actors(study), {e.position: e for e in store.events(study)}
    assert sorted(actors) == [3, 5]
    for position, (salt, name) in actors.items():
        assert (name, events[position].body["actor"]) == ("secret actor", commitment(salt, name))
    salts = [salt for salt, _ in actors.values()] + [p[0] for p in t.private["notes"]] + [t.private["worker"][0]]
    assert len(set(salts)) == 6
    assert verify(store, study) == []
