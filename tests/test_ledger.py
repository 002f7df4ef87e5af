"""What a ledger keeps of trials that have ended: a few numbers each; whole ones come back from the store."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from stores import Clock

import trimtab as tt
from trimtab.engine import incumbents, ledger, matrix
from trimtab.engine.ledger import Ledger
from trimtab.live import LiveStudy, StoredTrials
from trimtab.records import Change, Outcome, Proposal, Purpose, Reason, State
from trimtab.storage.memory import Memory
from trimtab.storage.sql import Sql

SPACE = tt.Space(x=tt.Float(0, 1), kind=tt.Choice("a", "b"), depth=tt.Int(1, 9))
FAILED = Outcome(State.FAILED, reason=Reason.ERROR)


def results(*losses, purpose=Purpose.IMPORT):
    """Imported results; None is a failed trial."""
    return [
        (
            Proposal({"x": i / 100, "kind": "a", "depth": 1 + i % 9}, i, purpose),
            FAILED if loss is None else Outcome(State.DONE, {"loss": loss}),
        )
        for i, loss in enumerate(losses)
    ]


@given(st.lists(st.none() | st.floats(0, 1), max_size=30), st.integers(1, 4), st.integers(1, 6), st.data())
def test_a_small_ledger_says_what_one_with_all_trials_says(losses, page, kept, data):
    """Whatever is at hand, whenever it was opened, and in whatever order trials are looked at."""
    store = Memory()
    study = tt.Study("s", SPACE, minimize="loss", storage=store, max_failures=None, seed=1)
    number = study.record.id
    cut = data.draw(st.integers(0, len(losses)))
    store.revise(number, Change("import", trials=results(*losses[:cut])))
    before = ledger.KEPT, ledger.PAGE
    ledger.KEPT, ledger.PAGE = kept, page
    try:
        small = Ledger.of(store.outline(number), StoredTrials(store, number))
        store.revise(number, Change("import", trials=results(*losses[cut:])))
        study.ask()
        small.absorb(store.trials(number, since=small.study.position))
        whole = Ledger(store.outline(number).study)
        whole.absorb(store.trials(number))
        assert list(small.told) == list(whole.told)
        assert (small.counts, small.open) == (whole.counts, whole.open)
        assert dict(small.trials) == dict(whole.trials)
        assert len(small.trials) == len(losses) + 1
        for n in data.draw(st.lists(st.integers(-2, len(losses) + 2), max_size=8)):
            assert small.trials.get(n) == whole.trials.get(n)
        first = data.draw(st.integers(0, len(losses)))
        a, b = (matrix.rows(study.spec, made.told[first:], None) for made in (small, whole))
        for column in ("X", "Y", "C", "cost", "lineage"):
            np.testing.assert_array_equal(getattr(a, column), getattr(b, column))
    finally:
        ledger.KEPT, ledger.PAGE = before


def test_a_study_that_was_opened_again_goes_on_as_one_that_stayed_open(tmp_path):
    """Its strategy is told columns from the store, those of the other came one by one."""
    url, said = f"sqlite:///{tmp_path}/t.db", {"minimize": "loss", "seed": 3, "strategy": "random"}
    stayed = tt.Study("s", SPACE, storage=url, **said)
    for i in range(20):
        stayed.tell(stayed.ask(), float(i % 7))
    store = Sql(url)
    live = LiveStudy(store, stayed.record.id)
    assert live.propose(3) == stayed._live.propose(3)
    assert [t.number for t in live.ledger.told] == list(range(20))
    store.close()


def test_only_so_many_ended_trials_are_cached(tmp_path):
    store = Sql(f"sqlite:///{tmp_path}/t.db")
    study = tt.Study("s", SPACE, minimize="loss", storage=store, seed=1)
    study.tell(study.ask(), 0.5)
    store.revise(study.record.id, Change("import", trials=results(*[1.0] * (ledger.KEPT + 100))))
    made = LiveStudy(store, study.record.id).ledger
    assert not made.trials.cached_suffix([0])
    assert len([t for t in made.told if t.metrics["loss"] == 1.0]) == ledger.KEPT + 100
    cached = [n for n in made.trials if made.trials.cached_suffix([n])]
    assert len(cached) == ledger.KEPT
    assert cached[0] == 0  # the baseline stays
    assert incumbents.best(study.spec, incumbents.candidates(study.spec, made.told, None)).metrics == {"loss": 0.5}
    store.close()


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)), max_size=12), st.data())
def test_the_length_of_a_union_is_that_of_what_it_covers(spans, data):
    """Whole seconds, counted one by one; in any order, as when the clock is set."""
    spans = [(a, a + n) for a, n in spans]
    others = data.draw(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9)).map(lambda s: (s[0], s[0] + s[1]))))
    union = ledger.BusyTime()
    for start, end in spans:
        union.add(float(start), float(end))
    seconds = {s for a, b in [*spans, *others] for s in range(a, b)}
    assert union.length([(float(a), float(b)) for a, b in others]) == len(seconds)


def test_a_clock_that_is_set_back_spends_no_budget_of_time():
    clock = Clock()
    how = {"minimize": "loss", "strategy": "random", "budget": {"time": "1h"}}
    study = tt.Study("s", SPACE, storage=Memory(clock=clock), **how)
    for set_to in (0.0, -86_400.0, 0.0):  # in the middle of the second trial
        trial = study.ask()
        clock.now += 60 + set_to
        study.tell(trial, 0.5)
        clock.now += 60
    assert study.spent["time"][0] == 120
    study.tell(study.ask(), 0.5)
