"""Proposals are a function of the record."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trimtab as tt
from trimtab.live import LiveStudy
from trimtab.storage.memory import Memory

MIXED = tt.Space(
    kind=tt.Choice("linear", "tree", default="linear"),
    rate=tt.Float(1e-4, 1.0, log=True, default=0.1),
    depth=tt.Int(1, 12, default=6, when={"kind": "tree"}),
).require("depth <= 10 or rate < 0.5")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ask", "tell", "tell", "fail", "nan", "cancel", "wish", "add"]), st.integers(0, 99)
    ),
    max_size=25,
)


def value(params):
    return {"loss": math.log(params["rate"]) ** 2 + params.get("depth", 3), "size": params["rate"]}


def carry_out(steps, users, held):
    """Each step by another user of the same store; those who tell one of the `held` need not be those who asked."""
    for n, (what, i) in enumerate(steps):
        user = users[(i + n) % len(users)]
        if what == "ask":
            held.append(user.ask())
        elif what == "wish":
            user.enqueue({"kind": "linear", "rate": (i + 1) / 200})
        elif what == "add":
            user.add({"kind": "linear", "rate": (i + 1) / 300}, {"loss": i / 10, "size": 0.1})
        elif held:
            trial = held.pop(i % len(held))
            if what == "cancel":
                user.cancel(trial.number)
            elif what == "fail":
                user.tell(trial.number, failed="no luck")
            else:
                user.tell(trial.number, math.nan if what == "nan" else value(trial.params))


def opened(store, name):
    how = {"minimize": "loss", "subject_to": "size <= 2 * baseline", "seed": 7, "strategy": name, "replicates": 2}
    return tt.Study("s", MIXED, **how, storage=store)


@pytest.mark.parametrize("name", ["random", "sobol", "gp"])
@settings(max_examples=15, deadline=None)
@given(steps=STEPS)
def test_whatever_the_interleaving_the_record_gives_its_proposals_again(name, steps):
    store = Memory()
    users = [opened(store, name) for _ in range(3)]
    carry_out(steps, users, [])
    last = users[0]
    assert last.replay().holds
    assert last.verify() == []


@pytest.mark.parametrize("name", ["random", "sobol", "gp"])
@settings(max_examples=15, deadline=None)
@given(steps=STEPS, reads=st.sets(st.integers(0, 25)), n=st.integers(1, 3))
def test_proposals_do_not_depend_on_when_the_record_was_read(name, steps, reads, n):
    store = Memory()
    user = opened(store, name)
    reader, held = LiveStudy(store, user.record.id), []
    for i, step in enumerate(steps):
        carry_out([step], [user], held)
        if i in reads:
            reader.refresh()
            reader.propose(1)  # so that its fold is of that moment
    reader.refresh()
    assert (
        reader.propose(n) == LiveStudy(store, user.record.id).propose(n) == LiveStudy(store, user.record.id).propose(n)
    )


def test_a_revised_space_and_strategy_begin_a_new_fold():
    store = Memory()
    user = opened(store, "sobol")
    carry_out([("ask", 0), ("tell", 0)] * 4, [user], [])
    reader = LiveStudy(store, user.record.id)
    reader.propose(1)
    wider = tt.Space(
        kind=tt.Choice("linear", "tree", default="linear"),
        rate=tt.Float(1e-5, 1.0, log=True, default=0.1),
        depth=tt.Int(1, 12, default=6, when={"kind": "tree"}),
        deep=tt.Choice(False, True, default=False),
    ).require("depth <= 10 or rate < 0.5")
    user.revise(space=wider, assume={"deep": False}, strategy="random")
    reader.refresh()
    (made,) = reader.propose(1)
    assert made.strategy == "random"
    assert "deep" in made.params
    assert [made] == LiveStudy(store, user.record.id).propose(1)
    assert user.baseline.number == 0
