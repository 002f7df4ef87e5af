"""The record, folded: sums, who is told, which trial is the baseline, whatever the reading."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trials import NOW, ended, ledger, queued, running, spec, study

from trimtab.engine.ledger import BusyTime, Ledger
from trimtab.records import Changes, Purpose, State

INTERVALS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 10)).map(lambda p: (p[0], p[0] + p[1])), max_size=8)


@given(INTERVALS, INTERVALS, st.lists(st.none() | st.integers(0, 45), min_size=8, max_size=8), st.integers(1, 5))
def test_wall_time_is_that_of_the_union_of_what_ran(finished, open_, leases, batch):
    """Whole seconds, counted one by one; snapshots of `batch` trials."""
    now = 45
    finished = sorted(finished, key=lambda i: i[1])
    told = [ended(n, started=float(a), stopped=float(b)) for n, (a, b) in enumerate(finished)]
    held = [
        running(100 + n, lease_until=None if lease is None else float(lease), started=float(a))
        for n, ((a, _), lease) in enumerate(zip(open_, leases, strict=False))
    ]
    made = Ledger(study(spec()))
    for i in range(0, len(told), batch):
        made.absorb(Changes(study(spec()), [*told[i : i + batch], *held]))
    made.absorb(Changes(study(spec()), held))
    ran = [*finished]
    ran += [(int(t.started), now if t.lease_until is None else min(now, int(t.lease_until))) for t in held]
    seconds = {s for a, b in ran for s in range(a, b)}
    assert made.wall(float(now)) == len(seconds)


@given(INTERVALS, INTERVALS, INTERVALS)
def test_busy_time_includes_intervals_of_any_time(added, earlier, others):
    made = BusyTime()
    for start, end in sorted(added, key=lambda i: i[1]):
        made.add(start, end)
    made.include(earlier)
    assert made.length() == len({s for a, b in [*added, *earlier] for s in range(a, b)})
    assert made.length(others) == len({s for a, b in [*added, *earlier, *others] for s in range(a, b)})


@given(st.data())
def test_the_ledger_does_not_depend_on_when_it_was_read(data):
    """Each trial ends at one event; a reader sees the record in snapshots of any size, open trials in each of them."""
    order = data.draw(st.permutations(range(6)))
    states = data.draw(st.lists(st.sampled_from(sorted(State)), min_size=6, max_size=6))
    final = [
        queued(n)
        if s is State.QUEUED
        else running(n)
        if s is State.RUNNING
        else ended(n, s, told=told + 1, started=float(told), stopped=told + 1.5)
        for n, (s, told) in enumerate(zip(states, order, strict=True))
    ]
    whole, pieces = Ledger(study(spec())), Ledger(study(spec()))
    whole.absorb(Changes(study(spec(), position=6), final))
    cuts = [*sorted(data.draw(st.sets(st.integers(1, 6)))), 6]
    for since, upto in itertools.pairwise([0, *cuts]):
        seen = [
            t if t.told is not None and t.told <= upto else t if t.told is None else running(t.number) for t in final
        ]
        changed = [t for t in seen if t.told is None or t.told > since]
        pieces.absorb(Changes(study(spec(), position=upto), changed))
    pieces.absorb(Changes(study(spec(), position=6), [t for t in final if t.told is None]))
    assert (list(pieces.told), pieces.counts, pieces.open) == (list(whole.told), whole.counts, whole.open)
    assert pieces.trials == whole.trials
    assert pieces.wall(NOW) == whole.wall(NOW)


def test_imports_are_told_and_not_counted_and_evidence_is_neither():
    made = ledger(spec(), ended(0, purpose=Purpose.IMPORT), ended(1, purpose=Purpose.CERTIFY), ended(2))
    assert [t.number for t in made.told] == [0, 2]
    assert made.counted == 1


@pytest.mark.parametrize(
    ("first", "is_baseline"),
    [
        (ended(0, strategy="baseline", params={"x": 0.5}), True),
        (ended(0, strategy="user", purpose=Purpose.IMPORT, params={"x": 0.5}), False),
        (ended(0, strategy="gp", params={"x": 0.5}), False),
        (ended(0, strategy="baseline", params={"x": 0.25}), False),  # of a baseline that was revised
    ],
)
def test_trial_zero_is_the_baseline_only_if_it_ran_the_baseline(first, is_baseline):
    assert (ledger(spec(baseline={"x": 0.5}), first).baseline is not None) == is_baseline
    assert ledger(spec(), first).baseline is None
