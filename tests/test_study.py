"""What a study promises: it continues, its budget binds, the same record gives the same proposals."""

import math
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import trimtab as tt
from trimtab.errors import (
    BudgetSpent,
    Exhausted,
    SpaceError,
    SpecError,
)
from trimtab.storage import rows
from trimtab.strategies import Proposal

PIECES = (7, 20, 33, 60)
FINITE = tt.Space(
    a=tt.Int(0, 9, default=3), b=tt.Choice("x", "y", "z", "w", default="x"), c=tt.Int(1, 100, log=True, default=10)
)


def stumbling(trial):
    """Fails now and then, in each of the ways that the objective of a real study may."""
    x = trial.params["a"] / 10 + len(trial.params["b"]) + math.log(trial.params["c"])
    if trial.number % 7 == 3:
        raise RuntimeError("out of luck")
    if trial.number % 11 == 5:
        return float("nan")
    return (x - 2) ** 2


def history(study):
    return [(t.number, dict(t.params), t.seed, str(t.state)) for t in study.trials]


@pytest.mark.parametrize("name", ["random", "sobol", "grid", "gp", "tpe", "cma", "evolution", "nsga2", "nsga3", "auto"])
def test_a_study_in_pieces_proposes_what_the_uninterrupted_one_does(name, tmp_path):
    whole = tt.Study("s", FINITE, minimize="loss", seed=11, strategy=name, storage=f"sqlite:///{tmp_path}/whole.db")
    whole.run(stumbling, trials=60, quiet=True)
    for upto in PIECES:
        pieces = tt.Study(
            "s", FINITE, minimize="loss", seed=11, strategy=name, storage=f"sqlite:///{tmp_path}/pieces.db"
        )
        pieces.run(stumbling, trials=upto, quiet=True)
        assert len(pieces.trials) == upto
    assert history(pieces) == history(whole)
    assert {str(t.state) for t in whole.trials} == {"done", "failed"}
    assert pieces.verify() == []


def test_what_ran_in_parallel_is_derived_again_from_its_record(space, objective, url):
    study = tt.Study("s", space, minimize="loss", seed=5, storage=url)
    study.run(objective, trials=24, workers=3, quiet=True)
    assert study.replay().holds
    assert study.verify() == []


def test_trials_are_of_the_study_not_of_the_call(space, objective, url):
    for _ in range(2):
        study = tt.Study("s", space, minimize="loss", storage=url, seed=1)
        study.run(objective, trials=6, quiet=True)
    assert study.counts["done"] == 6


def test_a_clock_that_is_set_back_does_not_lengthen_a_run(space, monkeypatch):
    real, started = time.time, time.monotonic()

    def sets_the_clock_back(trial):
        monkeypatch.setattr(time, "time", lambda: real() - 86_400)
        time.sleep(0.02)
        return 1.0

    study = tt.Study("s", space, minimize="loss", strategy="random", seed=1)
    study.run(sets_the_clock_back, trials=1000, time="1s", quiet=True)
    assert study.counts["done"] < 1000
    assert time.monotonic() - started >= 1.0


def test_the_baseline_is_trial_zero(space, objective):
    study = tt.Study("s", space, minimize="loss", seed=1)
    study.run(objective, trials=3, quiet=True)
    assert study.baseline.number == 0
    assert dict(study.baseline.params) == {"kind": "linear", "rate": 0.1}
    assert study.baseline.strategy == "baseline"


def test_enqueued_settings_come_first_after_the_baseline(space):
    study = tt.Study("s", space, minimize="loss", seed=1)
    wish = study.enqueue({"kind": "tree", "rate": 0.2, "depth": 3})
    assert wish.number == 1
    asked = study.ask()
    assert asked.params == {"kind": "tree", "rate": 0.2, "depth": 3}
    assert study.ask().number == 0


@pytest.mark.parametrize("url", ["memory://", "sqlite:///s.db"])
@pytest.mark.parametrize("budget", [{"trials": 99}, {"cpu_hours": 9}])
def test_to_enqueue_a_setting_no_trial_that_waits_is_read(space, url, budget, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = tt.Study("s", space, minimize="loss", seed=1, storage=url, budget=budget)
    setting = {"kind": "linear", "rate": 0.2}
    study.enqueue(setting)  # after the baseline
    with monkeypatch.context() as patch:
        patch.setattr(rows, "trial_of", None)
        assert [study.enqueue(setting).number for _ in range(3)] == [2, 3, 4]
    assert study.counts["queued"] == 5
    other = tt.Study("s", storage=study.storage)
    assert [s.enqueue(setting).number for s in (study, other, study)] == [5, 6, 7]
    assert study.verify() == []


def test_ask_and_tell_by_trial_or_number(space):
    study = tt.Study("s", space, maximize="auc", seed=1)
    first, second, third = study.ask(), study.ask(), study.ask()
    study.tell(first, {"auc": 0.5, "extra": 1})
    study.tell(second.number, 0.9)
    study.tell(third, failed="out of memory")
    assert study.best.number == second.number
    assert study.trials[2].state == tt.State.FAILED
    assert "out of memory" in study.trials[2].error
    with pytest.raises(SpecError, match="is done; only a running trial"):
        study.tell(first, 0.7)


def test_a_metric_that_is_not_needed_and_not_finite_is_left_out_with_a_note(space, url):
    study = tt.Study("s", space, maximize="auc", seed=1, storage=url)
    asked = study.ask()
    assert asked.metrics == ("auc",)
    study.tell(asked, {"auc": 0.5, "extra": math.nan})
    study.add({"kind": "linear", "rate": 0.2}, {"auc": 0.6, "extra": math.inf})
    study.run(lambda trial: {"auc": 0.7, "extra": math.nan, "size": 1}, trials=2, quiet=True)
    study.run(lambda trial: {"auc": 0.7, "extra": math.nan, "size": 1}, trials=3, workers=2, quiet=True)
    told = [(t.state, dict(t.metrics), t.notes) for t in study.trials]
    notes = {value: (f"extra={value} was left out: it is not finite",) for value in ("nan", "inf")}
    assert told[:2] == [("done", {"auc": 0.5}, notes["nan"]), ("done", {"auc": 0.6}, notes["inf"])]
    assert told[2:] == [("done", {"auc": 0.7, "size": 1.0}, notes["nan"])] * 2
    assert study.verify() == []
    assert study.reproduce(lambda trial: {"auc": 0.7, "extra": math.nan, "size": 1}, [2, 3]).holds
    with pytest.raises(SpecError, match="model='tree'"):
        study.tell(study.ask(), {"auc": 0.5, "extra": math.nan, "model": "tree"})


@pytest.mark.parametrize("value", ["0.5", {"loss": "x"}, {"los": 1.0}, [1.0], 1j, {}])
def test_a_result_that_is_told_wrongly_can_be_told_again(space, value):
    study = tt.Study("s", space, minimize="loss", seed=1)
    trial = study.ask()
    with pytest.raises(SpecError, match="tell"):
        study.tell(trial, value)
    assert study.counts["running"] == 1
    assert study.tell(trial, {"loss": 0.5}).state == "done"
    diverged = study.tell(study.ask(), math.nan)
    assert (diverged.state, diverged.error) == ("failed", "tell was given loss=nan; a metric must be finite")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "0.5", {"loss": "x"}, {"los": 1.0}, [1.0], 1j])
def test_a_bad_result_is_a_failed_trial_with_a_reason(space, value):
    study = tt.Study("s", space, minimize="loss", seed=1)
    study.run(lambda trial: 1.0 if trial.number else value, trials=2, quiet=True)
    bad, good = study.trials
    assert (bad.state, bad.reason) == ("failed", "bad result")
    assert good.state == "done"
    assert study.best.number == 1


def test_results_from_elsewhere_are_told_but_not_counted(space):
    study = tt.Study("s", space, minimize="loss", seed=1, budget=tt.Budget(trials=2))
    study.add({"kind": "linear", "rate": 0.5}, 0.25)
    study.add([{"kind": "linear", "rate": 0.6}, {"kind": "linear", "rate": 0.7}], [0.35, {"loss": 0.45}])
    assert [str(t.purpose) for t in study.trials] == ["search", "import", "import", "import"]
    assert study.baseline.number == 0
    assert study.best.metrics == {"loss": 0.25}
    study.run(lambda trial: 1.0, quiet=True)
    assert study.counts["done"] == 2


def test_the_budget_binds_asks(space):
    study = tt.Study("s", space, minimize="loss", budget=tt.Budget(trials=2))
    study.ask()
    study.ask()
    with pytest.raises(BudgetSpent):
        study.ask()


def test_an_exhausted_space_ends_the_study():
    study = tt.Study("s", tt.Space(a=tt.Int(1, 5), b=tt.Choice("x", "y")), minimize="loss", seed=1)
    study.run(lambda trial: float(trial.params["a"]), quiet=True)
    assert study.counts["done"] == 10
    assert len({tuple(sorted(t.params.items())) for t in study.trials}) == 10
    with pytest.raises(Exhausted):
        study.ask()


def test_constraints_relative_to_the_baseline_shape_best(space):
    def measured(trial):
        rate = trial.params["rate"]
        return {"loss": -rate, "latency": 10 * rate}

    study = tt.Study("s", space, minimize="loss", subject_to="latency <= 2 * baseline", seed=2)
    study.run(measured, trials=15, quiet=True)
    assert study.best.params["rate"] <= 0.2
    assert any(study.feasible(t) is False for t in study.trials)


def test_a_failed_baseline_leaves_relative_constraints_unknown(space):
    def measured(trial):
        if trial.number == 0:
            raise RuntimeError("no baseline")
        return {"loss": 1.0, "latency": 1.0}

    study = tt.Study("s", space, minimize="loss", subject_to="latency <= baseline", seed=2)
    study.run(measured, trials=3, quiet=True)
    assert study.feasible(study.trials[1]) is None
    assert "unknown" in study.notices[0]
    assert study.best.number == 1


def test_several_goals_have_a_front(space):
    def two(trial):
        return {"cost": trial.params["rate"], "error": 1 - trial.params["rate"], "third": 1.0}

    study = tt.Study("s", space, minimize=["cost", "error"], seed=3)
    study.run(two, trials=12, quiet=True)
    front = study.pareto
    assert len(front) >= 2
    assert all(t.state == "done" for t in front)


def test_replicates_are_averaged_in_best(space):
    study = tt.Study("s", space, minimize="loss", seed=1, replicates=2)
    for rate, value in ((0.5, 0.0), (0.5, 1.0), (0.6, 0.3)):
        study.add({"kind": "linear", "rate": rate}, value)
    assert study.best.params["rate"] == 0.6


def test_where_all_trials_failed_the_error_of_best_says_why(space):
    study = tt.Study("s", space, minimize="loss", seed=1)
    with pytest.raises(SpecError, match=r"no best trial yet: 0 trials are done; run some first$"):
        _ = study.best
    for text in ("first", "out of memory"):
        study.tell(study.ask(), failed=text)
    with pytest.raises(SpecError, match=r"are done, 2 failed; the last one, trial 1, by error: out of memory$"):
        _ = study.best


def test_what_is_handed_out_can_be_changed_without_changing_the_study(space, objective, url):
    study = tt.Study("s", space, minimize="loss", storage=url, seed=3, strategy="random")
    study.run(objective, trials=8, quiet=True)
    before, best = history(study), study.best
    for mapping in (
        study.best.params, study.best.metrics, study.trials[2].params, study.baseline.params, study.spec.baseline,
        study.spec.settings, study.candidates()[0].params, study.standings.order[0].candidate.params,
    ):  # fmt: skip
        mapping.clear()
    study.run(objective, trials=10, quiet=True)
    assert history(study)[:8] == before
    assert study.trials[best.number] == best
    assert study.verify() == []
    assert study.replay().holds


def test_a_changed_budget_is_an_audited_revision(space, objective, url):
    study = tt.Study("s", space, minimize="loss", storage=url, budget=tt.Budget(trials=3), seed=1)
    study.run(objective, quiet=True)
    again = tt.Study("s", space, minimize="loss", storage=url, budget=tt.Budget(trials=5), seed=1)
    again.run(objective, quiet=True)
    assert again.counts["done"] == 5
    assert [e.kind for e in again.storage.events(again.record.id)].count("spec") == 1
    assert again.verify() == []


def test_a_new_parameter_may_be_inactive_in_old_settings(url):
    kind = tt.Choice("a", "b", default="a")
    study = tt.Study("s", tt.Space(kind=kind), minimize="loss", storage=url, seed=1, replicates=3)
    study.add([{"kind": "a"}, {"kind": "b"}], [2.0, 3.0])
    wider = tt.Space(kind=kind, depth=tt.Int(1, 5, default=3, when={"kind": "b"}))
    study.revise(space=wider, assume={"depth": 4})
    assert study.spec.baseline == {"kind": "a"}
    study.add([{"kind": "a"}, {"kind": "b", "depth": 4}, {"kind": "b", "depth": 5}], [4.0, 5.0, 6.0])
    assert [(study.spec.current(c.params), c.metrics["loss"], c.n) for c in study.candidates()] == [
        ({"kind": "a"}, 3.0, 2),
        ({"kind": "b", "depth": 4}, 4.0, 2),
        ({"kind": "b", "depth": 5}, 6.0, 1),
    ]
    study.run(lambda trial: 1.0, trials=4, quiet=True)
    assert study.replay().holds


def test_a_space_revision_keeps_old_trials(objective, url):
    study = tt.Study("s", tt.Space(rate=tt.Float(0.1, 1.0, default=0.5)), minimize="loss", storage=url, seed=4)
    study.run(lambda trial: trial.params["rate"], trials=5, quiet=True)
    wider = tt.Space(rate=tt.Float(0.01, 1.0, default=0.5), kind=tt.Choice("a", "b", default="a"))
    with pytest.raises(SpaceError, match="kind"):
        study.revise(space=wider)
    study.revise(space=wider, assume={"kind": "a"})
    study.run(lambda trial: trial.params["rate"] - (trial.params["kind"] == "b"), trials=15, quiet=True)
    assert study.counts["done"] == 15
    assert study.best.params["kind"] == "b"
    assert study.verify() == []


def test_pause_resume_cancel(space, objective):
    study = tt.Study("s", space, minimize="loss", seed=1)
    study.pause()
    with pytest.raises(SpecError, match="paused"):
        study.run(objective, trials=2, quiet=True)
    study.resume()
    asked = study.ask()
    study.cancel(asked.number)
    study.run(objective, trials=2, quiet=True)
    assert (study.counts["done"], study.counts["cancelled"]) == (2, 1)
    study.cancel()
    with pytest.raises(SpecError, match="cancelled"):
        study.ask()


def test_evidence_is_paired_on_fresh_seeds_and_hidden_from_the_search(space, url):
    def noisy(trial):
        jitter = (trial.seed % 1000) / 1000
        return trial.params["rate"] + jitter / 10 + (0.01 if trial.params["kind"] == "tree" else 0)

    study = tt.Study("s", space, minimize="loss", storage=url, seed=9)
    study.run(noisy, trials=8, quiet=True)
    best = study.best.number
    found = study.evidence(noisy, replicates=6, quiet=True)
    assert found.decision == "proven"
    assert found.difference > 0
    assert found.interval[0] <= found.difference <= found.interval[1]
    certify = [t for t in study.trials if t.purpose == "certify"]
    assert len(certify) == 12
    seeds = {i: {t.seed for t in certify if t.replicate == i} for i in range(6)}
    assert all(len(s) == 1 for s in seeds.values())
    assert len(set.union(*seeds.values())) == 6
    assert not set.union(*seeds.values()) & {t.seed for t in study.trials if t.purpose == "search"}
    assert study.best.number == best
    assert study.counts["done"] == 8
    again = study.evidence(noisy, replicates=6, quiet=True)
    assert again == found == study.result()
    assert len(study.trials) == 20
    assert study.verify() == []


def test_evidence_without_a_baseline_is_an_error():
    study = tt.Study("s", tt.Space(a=tt.Float(0, 1)), minimize="loss")
    study.run(lambda trial: trial.params["a"], trials=3, quiet=True)
    with pytest.raises(SpecError, match="baseline"):
        study.evidence(lambda trial: 1.0)


def test_a_script_without_a_main_guard_runs_in_workers(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        import trimtab as tt
        def objective(trial):
            return trial.params["x"] ** 2
        study = tt.Study("s", tt.Space(x=tt.Float(-1, 1)), minimize="loss", seed=3)
        study.run(objective, trials=6, workers=2, quiet=True)
        print(study.counts["done"], len(study.trials))
        """)
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=600)
    assert done.stdout.split() == ["6", "6"], done.stderr


@pytest.mark.parametrize("objective", ["objective", "Model()", "Model().fit", "functools.partial(objective)"])
def test_what_a_script_defines_can_be_pickled_in_its_workers(tmp_path, objective):
    """As a training does that saves an object of the script's own class as its checkpoint."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(f"""
        import functools, pickle
        import trimtab as tt

        def helper():
            return 1.0

        class Model:
            def __call__(self, trial):
                return self.fit(trial)

            def fit(self, trial):
                assert pickle.loads(pickle.dumps(helper)) is helper
                assert type(pickle.loads(pickle.dumps(self))) is Model
                return helper()

        def objective(trial):
            return Model().fit(trial)

        study = tt.Study("s", tt.Space(x=tt.Float(-1, 1)), minimize="loss", seed=3)
        study.run({objective}, trials=2, workers=2, quiet=True)
        print(study.counts["done"], study.trials[0].error)
        """)
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=600)
    assert done.stdout.split() == ["2"], (done.stdout, done.stderr)


def test_giving_a_trial_back_costs_it_nothing(space, url):
    study = tt.Study("s", space, minimize="loss", storage=url)

    def impatient(trial):
        raise KeyboardInterrupt

    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            study.run(impatient, trials=1, quiet=True)
    study.run(lambda trial: 1.0, trials=1, quiet=True)
    assert (study.trials[0].state, study.trials[0].attempt) == ("done", 5)


def test_a_changed_goal_makes_old_results_unknown(space):
    study = tt.Study("s", space, minimize="loss", seed=1)
    study.add(
        [{"kind": "linear", "rate": 0.1}, {"kind": "linear", "rate": 0.2}], [{"loss": 1.0}, {"loss": 2.0, "gain": 3.0}]
    )
    study.revise(maximize="gain")
    assert study.best.params["rate"] == 0.2
    assert len(study.pareto) == 1


@pytest.mark.parametrize(
    ("point", "fault"),
    [
        (Proposal(np.array([0.3, 2.0, 0.5])), "is no row of the space"),
        (Proposal(np.array([0.3])), "is no row of the space"),
        (Proposal(np.array([0.3, 0.5, 0.5]), why="by luck"), "says why='by luck'; give a dictionary"),
    ],
)
def test_a_plug_in_that_leaves_the_space_or_gives_no_dictionary_is_told_so(space, point, fault):
    class Wild:
        name, version = "wild", "1"

        def init(self, problem):
            return problem

        def tell(self, state, rows):
            return state

        def ask(self, state, pending, n, rng):
            return [point]

    study = tt.Study("s", space, minimize="loss", strategy=Wild(), baseline={"kind": "linear", "rate": 0.2})
    study.ask()
    with pytest.raises(SpecError, match=f"strategy 'wild': its proposal .*{fault}"):
        study.ask()


def test_what_changes_nothing_is_no_revision(space):
    study = tt.Study("s", space, minimize="loss", budget={"trials": 5}, subject_to="size <= 3", seed=1)
    for words, repair in (
        ({"budget": None}, "budget={}"),
        ({"subject_to": None}, r"subject_to=\[\]"),
        ({"seed": None}, "leave it out"),
    ):
        with pytest.raises(SpecError, match=f"None changes nothing.*{repair}"):
            study.revise(**words)
    study.revise(budget={"trials": 5}, subject_to=["size <= 3"])
    study.revise()
    assert [e.kind for e in study.storage.events(study.record.id)] == ["create"]
    study.revise(budget={}, max_failures=None, subject_to=[])
    assert (study.spec.budget.unlimited, study.spec.max_failures, study.spec.constraints) == (True, None, ())
    assert [e.kind for e in study.storage.events(study.record.id)] == ["create", "spec"]


def test_a_space_that_old_trials_may_contradict_is_refused_and_without_trials_the_study_can_begin_anew(url):
    study = tt.Study("s", {"x": tt.Float(0, 2)}, minimize="loss", storage=url)
    narrower = {"x": tt.Float(0, 1)}
    with pytest.raises(SpaceError, match=r"can't be narrowed.*no trials yet: fresh=True, or trimtab run FILE --fresh"):
        study.revise(space=narrower)
    study.add({"x": 1.5}, 3.0)
    with pytest.raises(SpaceError, match="can't be narrowed") as caught:
        study.revise(space=narrower)
    assert "anew" not in str(caught.value)
    assert study.spec.space.params["x"].high == 2


def test_revise_knows_its_words(space):
    with pytest.raises(SpecError, match="did you mean 'budget'"):
        tt.Study("s", space, minimize="loss").revise(budgte=3)


def test_evidence_for_the_baseline_itself_runs_nothing(space):
    study = tt.Study("s", space, minimize="loss", seed=1)
    study.run(lambda trial: float(trial.number), trials=3, quiet=True)
    found = study.evidence(lambda trial: 1.0, replicates=3, quiet=True)
    assert (found.decision, found.failed_pairs, len(study.trials)) == ("not shown", 0, 3)


class Clumsy:
    """A strategy that makes a mistake when it knows three results."""

    name, version = "clumsy", "1"

    def init(self, problem):
        return problem, 0

    def tell(self, state, rows):
        return state[0], state[1] + len(rows)

    def ask(self, state, pending, n, rng):
        if state[1] == 3:
            raise RuntimeError("three is too many")
        return [Proposal(x) for x in state[0].space.sample(n, rng)]


def test_a_result_is_kept_when_the_strategy_fails_after_it(url):
    study = tt.Study("s", FINITE, minimize="loss", strategy=Clumsy(), seed=1, storage=url)
    with pytest.raises(RuntimeError, match="three is too many"):
        study.run(lambda trial: float(trial.number), trials=9, quiet=True)
    assert [(t.state, t.metrics) for t in study.trials] == [("done", {"loss": float(i)}) for i in range(3)]
    assert study.verify() == []


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_a_study_that_is_cancelled_while_a_trial_runs_ends_its_run_with_that_trial(tmp_path, store):
    url = None if store == "memory" else f"sqlite:///{tmp_path}/t.db"
    study = tt.Study("s", tt.Space(x=tt.Float(0, 1)), minimize="loss", strategy="random", storage=url, seed=1)

    def objective(trial):
        if trial.number == 3:
            study.cancel()
        return trial.params["x"]

    study.run(objective, trials=10, quiet=True)
    assert study.counts["done"] == 4
    assert study.counts["queued"] == study.counts["running"] == 0
    assert study.verify() == []


@pytest.mark.parametrize(
    "late",
    [
        lambda study, held: study.evidence(lambda t: t.params["x"], replicates=2, minimum_effect=0.1, quiet=True),
        lambda study, held: study.add({"x": 0.1}, 1.0),
        lambda study, held: study.revise(budget={"trials": 9}),
        lambda study, held: study.note(0, "too late"),
        lambda study, held: held.note("too late"),
    ],
)
def test_who_is_late_for_an_archived_study_is_told_so(late):
    study = tt.Study("s", tt.Space(x=tt.Float(0, 1, default=0.5)), minimize="loss", seed=1)
    study.run(lambda t: t.params["x"], trials=3, quiet=True)
    study.evidence(lambda t: t.params["x"], replicates=2, quiet=True)
    held = study.ask()
    study.archive()
    before = study.record
    with pytest.raises(SpecError, match="study 's' is archived: it is read-only"):
        late(study, held)
    assert study.record == before
