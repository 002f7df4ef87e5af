"""A study may be warm-started from earlier ones: what they know is in its record, helps it, and does not bind it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trimtab as tt
from trimtab.errors import SpecError
from trimtab.records import Change, Outcome, Proposal, Purpose, State, StudySpec
from trimtab.records.sources import MOST, Source
from trimtab.strategies import Problem, Rows, strategy, transfer
from trimtab.strategies import Source as Lesson

SPACE = tt.Space(x=tt.Float(0, 1), y=tt.Float(1e-3, 1.0, log=True), kind=tt.Choice("a", "b"))


def loss(params, shift=0.0):
    return (params["x"] - 0.3 - shift) ** 2 + (np.log10(params["y"]) + 1) ** 2 + (params["kind"] == "b")


def earlier(store=None, name="earlier", trials=25, **words):
    study = tt.Study(name, SPACE, minimize="loss", storage=store, seed=1, **words)
    study.run(lambda trial: loss(trial.params), trials=trials, quiet=True)
    return study


def test_a_warm_start_begins_with_what_was_good_and_replays_after_its_source_is_gone(tmp_path):
    store = f"sqlite:///{tmp_path}/s.db"
    source = earlier(store)
    words = {"minimize": "loss", "storage": store, "warm_start": "earlier", "seed": 2}
    study = tt.Study("later", SPACE, **words)
    study.run(lambda trial: loss(trial.params, 0.05), trials=6, quiet=True)
    assert study.trials[0].why["design"] == "warm start"
    good = sorted(source.trials, key=lambda t: t.metrics["loss"])[:5]
    assert study.trials[0].params in [t.params for t in good]
    source.delete()
    again = tt.Study("later", SPACE, **words)  # the record has what was learnt: the source is not asked again
    again.run(lambda trial: loss(trial.params, 0.05), trials=12, quiet=True)
    assert again.verify() == []
    assert again.replay().holds
    assert again.spec.sources[0].study == "earlier"
    assert again.best.metrics["loss"] < 0.05


def test_the_source_may_be_an_object_or_several_and_its_maximised_goal_is_a_loss(tmp_path):
    made = [earlier(name=name, trials=3) for name in ("one", "two")]
    study = tt.Study("s", SPACE, minimize="loss", warm_start=made, seed=1)
    assert [s.study for s in study.spec.sources] == ["one", "two"]
    best = tt.Study("up", SPACE, maximize="loss", warm_start=made[0], seed=1).spec.sources[0]
    assert [-v for (v,) in best.losses] == [t.metrics["loss"] for t in made[0].trials]


@pytest.mark.parametrize(
    ("warm_start", "space", "goal", "said"),
    [
        ("erlier", SPACE, "loss", "holds no such study.*'earlier'"),
        (3, SPACE, "loss", "3 is no study"),
        ("earlier", tt.Space(z=tt.Float(0, 1)), "loss", "no parameter of its space"),
        ("earlier", SPACE, "auc", "none of its 2 finished trials has auc"),
        (
            "earlier",
            tt.Space(x=tt.Float(2, 3)),
            "loss",
            "none of its 2 results has a place in the new space, such as kind=",
        ),
        ("earlier", tt.Space(x=tt.Choice("low", "high")), "loss", "has a place in the new space"),
    ],
)
def test_a_source_that_teaches_nothing_is_an_error_before_the_study_exists(tmp_path, warm_start, space, goal, said):
    store = f"sqlite:///{tmp_path}/s.db"
    earlier(store, trials=2)
    with pytest.raises(SpecError, match=said):
        tt.Study("s", space, minimize=goal, storage=store, warm_start=warm_start)
    assert [r.name for r in tt.Study("earlier", storage=store).storage.studies()] == ["earlier"]


@pytest.mark.parametrize("levels", [[1, 1, 3, 9, 1, 9], [9, 9], [1, 3]])
def test_a_study_with_a_fidelity_teaches_what_was_trained_to_the_top(levels):
    fidelity = tt.Fidelity("epochs", 1, 9)
    source = tt.Study("earlier", SPACE, minimize="loss", fidelity=fidelity, stopping=None, seed=1)
    proposals = [
        Proposal({"x": i / 10, "y": 0.1, "kind": "a"}, i, Purpose.IMPORT, fidelity=float(level))
        for i, level in enumerate(levels)
    ]
    rows = [(p, Outcome(State.DONE, {"loss": float(i)})) for i, p in enumerate(proposals)]
    source.storage.revise(source.record.id, Change("import", trials=rows))
    full = [(float(i),) for i, level in enumerate(levels) if level == 9]
    assert len(source.candidates()) == len(full)
    if not full:
        with pytest.raises(SpecError, match=f"none of its {len(levels)} finished trials was trained to epochs=9"):
            tt.Study("later", SPACE, minimize="loss", warm_start=source)
        return
    assert list(tt.Study("later", SPACE, minimize="loss", warm_start=source).spec.sources[0].losses) == full


def test_a_trial_of_before_a_revision_teaches_the_value_that_was_assumed_for_it():
    source = tt.Study("earlier", SPACE, minimize="loss", seed=1)
    source.run(lambda trial: loss(trial.params), trials=3, quiet=True)
    wider = tt.Space({**SPACE.params, "opt": tt.Choice("sgd", "adam", default="adam")})
    source.revise(space=wider, assume={"opt": "sgd"})
    study = tt.Study("later", wider, minimize="loss", warm_start=source)
    X, _ = study.spec.sources[0].rows(wider)
    assert [p["opt"] for p in wider.decode(X)] == ["sgd"] * 3


def test_results_find_their_place_in_another_space_or_are_left_out():
    source = Source.of("s", "uid", "head", [({"x": 0.5, "old": 1}, (1.0,)), ({"x": 3.0, "old": 1}, (2.0,))])
    space = tt.Space(
        x=tt.Float(0, 1), n=tt.Int(1, 9, default=2), k=tt.Choice("p", "q"), w=tt.Float(0, 4, when={"k": "p"})
    )
    X, Y = source.rows(space)
    assert space.decode(X) == [{"x": 0.5, "n": 2, "k": "q"}]  # 3.0 is out of range; "old" is no parameter any more
    assert Y.tolist() == [[1.0]]
    assert Source.of("s", "u", "h", []).rows(space)[0].shape == (0, 4)


def test_a_single_result_teaches_nothing_and_is_an_error():
    with pytest.raises(SpecError, match=r"a single result has a place in the new space.*enqueue its setting"):
        tt.Study("s", SPACE, minimize="loss", warm_start=[earlier(), earlier(name="one", trials=1)])


def test_a_revision_of_the_goals_keeps_what_the_sources_teach_of_them():
    source = tt.Study("source", {"x": tt.Float(0, 1)}, minimize="loss", maximize="gain", seed=1)
    source.run(lambda t: {"loss": t.params["x"], "gain": 1 - t.params["x"]}, trials=4, quiet=True)
    study = tt.Study("s", {"x": tt.Float(0, 1)}, minimize="loss", maximize="gain", warm_start=source, seed=1)
    study.revise(maximize="gain")
    assert study.spec.sources[0].losses == tuple((-t.metrics["gain"],) for t in source.trials)
    study.revise(maximize="gain", minimize="seconds")  # nobody knows what it was
    assert study.spec.sources == ()
    study.run(lambda t: {"seconds": 1.0, "gain": 1 - t.params["x"]}, trials=3, quiet=True)
    assert study.trials[0].why["design"] != "warm start"
    assert study.replay().holds


def test_a_long_source_keeps_its_best_results_and_survives_json():
    results = [({"x": i / 1000}, (float((i * 7919) % 1000),)) for i in range(1000)]
    source = Source.of("s", "uid", "head", results)
    assert len(source.params) == MOST
    assert sorted(losses[0] for losses in source.losses)[:100] == list(range(100))
    assert Source.from_json(source.to_json()) == source
    spec = tt.Study("s", SPACE, minimize="loss", seed=1).spec
    assert "sources" not in spec.to_json()  # records of before stay as they are
    assert StudySpec.from_json(spec.to_json()) == spec


def lesson(n, sign, seed=0):
    X = SPACE.sample(n, np.random.default_rng(seed))
    return Lesson("s", X, sign * np.array([[loss(p)] for p in SPACE.decode(X)]))


def test_a_source_that_agrees_is_kept_and_one_that_contradicts_is_dropped():
    good, bad = lesson(40, 1.0), lesson(40, -1.0)
    rows = lesson(8, 1.0, seed=5)
    z = (rows.Y[:, 0] - rows.Y.mean()) / rows.Y.std()
    problem = Problem(SPACE, sources=(good, bad))
    known = transfer.teachers(problem)
    F = transfer.Features.of(SPACE).encode(rows.X)
    kept = transfer.lessons_of(known, F, z)
    assert [teacher is known[0] for _, _, teacher in kept] == [True]
    assert kept[0][0] > 0.2
    assert transfer.lessons_of(known[1:], F, z) == ()
    many = np.tile(F, (2, 1))
    assert transfer.lessons_of(known, many, np.tile(z, 2)) == ()  # 16 results of its own: nothing more to learn


def test_the_starts_have_a_good_setting_for_each_source_whatever_its_units():
    X = SPACE.sample(60, np.random.default_rng(0))
    near = [((X[:, :2] - spot) ** 2).sum(1, keepdims=True) for spot in (0.2, 0.8)]
    problem = Problem(SPACE, budget=50, sources=(Lesson("a", X, near[0]), Lesson("b", X, 1e6 * near[1] + 7)))
    found = transfer.starts(problem)
    assert len(found) == 5
    for spot in (0.2, 0.8):
        assert ((found[:3, :2] - spot) ** 2).sum(1).min() < np.quantile(near[0], 0.1)


def gp_after(n, sources):
    """The strategy, and its state after n results: of the law that `lesson` has with sign 1."""
    rows, made = lesson(n, 1.0, seed=5), strategy("gp")
    return made, made.tell(made.init(Problem(SPACE, budget=50, seed=1, sources=sources)), Rows(rows.X, rows.Y))


@pytest.mark.parametrize(
    ("n", "sign", "earlier"), [(5, 1.0, True), (11, 1.0, True), (6, 1.0, False), (13, 1.0, False), (9, -1.0, False)]
)
def test_every_second_proposal_is_a_best_setting_of_a_source_that_is_believed(n, sign, earlier):
    source = lesson(40, sign)
    made, state = gp_after(n, (source,))
    none = np.empty((0, 3))
    (proposal,) = made.ask(state, none, 1, np.random.default_rng(7))
    best = source.X[np.argsort(source.Y[:, 0])[:20]]
    assert (proposal.why["acquisition"] == "mean of earlier best") is earlier
    assert (proposal.x.tolist() in best.tolist()) is earlier
    assert made.shortfall(state, none, proposal.x, np.random.default_rng(7)) == 0
    if earlier:
        assert proposal.why["value"] == pytest.approx(proposal.why["mean"])
        (other,) = made.ask(state, best, 1, np.random.default_rng(7))  # all of them are pending
        assert other.x.tolist() not in best.tolist()


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None, derandomize=True)
def test_proposals_stay_legal_new_and_reproducible_whatever_the_source(seed):
    rng = np.random.default_rng(seed)
    space = tt.Space(a=tt.Int(1, 40), b=tt.Choice("x", "y"), c=tt.Float(0, 1, when={"b": "y"})).require(
        "a > 3 or b == 'y'"
    )
    X = space.sample(int(rng.integers(0, 30)), rng)
    sources = (Lesson("s", X, rng.choice([1.0, 1e300, 1e-300]) * rng.standard_normal((len(X), 1))),)
    told = space.sample(int(rng.integers(0, 14)), rng)
    Y = rng.standard_normal((len(told), 1))
    Y[rng.random(len(told)) < 0.3] = np.nan
    rows = Rows(told, Y)
    made = strategy("gp")
    state = made.tell(made.init(Problem(space, budget=30, seed=1, sources=sources)), rows)
    first, again = (
        made.ask(state, space.sample(2, np.random.default_rng(3)), 3, np.random.default_rng(7)) for _ in "ab"
    )
    assert [p.x.tobytes() for p in first] == [p.x.tobytes() for p in again]
    keys = space.keys(np.concatenate([told, np.stack([p.x for p in first])]))
    assert space.allowed(np.stack([p.x for p in first])).all()
    assert len(set(keys[len(told) :])) == 3
    assert not set(keys[len(told) :]) & set(keys[: len(told)])
