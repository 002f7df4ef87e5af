"""What a strategy cannot honour is said before the first trial: an error where impossible, a notice where ignored."""

import pytest

import trimtab as tt
from trimtab.cli import console
from trimtab.errors import SpecError
from trimtab.running.worker import Worker
from trimtab.stopping.threshold import Threshold
from trimtab.strategies import Problem, names, strategy
from trimtab.strategies.honours import NEEDS, honoured, notices

SPACE = tt.Space(x=tt.Float(0, 1), y=tt.Int(1, 9))


@pytest.mark.parametrize("name", ["random", "sobol"])
def test_a_blind_strategy_says_what_it_does_not_see_and_who_does(name, capsys):
    study = tt.Study("s", SPACE, minimize=["a", "b"], subject_to=["c <= 1"], strategy=name, seed=1)
    assert study.notices == [
        f"strategy {name!r} does not look at constraints; strategy='gp' does",
        f"strategy {name!r} does not look for a front of several goals; strategy='gp' does",
    ]
    assert study.trials == []
    study.run(lambda trial: {"a": 1.0, "b": 2.0, "c": 0.0}, trials=1)
    assert f"s: {study.notices[0]}" in capsys.readouterr().err
    study.run(lambda trial: {"a": 1.0, "b": 2.0, "c": 0.0}, trials=2, quiet=True)
    assert capsys.readouterr().err == ""


def test_more_goals_than_can_be_modelled_have_a_nearest_strategy_that_sees_constraints_too():
    (notice,) = notices(strategy("gp"), Problem(SPACE, goals=5, constraints=1))
    assert "makes one goal" in notice
    assert notice.endswith("strategy='nsga3' does")


def test_a_space_that_cannot_be_searched_is_an_error_and_leaves_no_study(tmp_path):
    store = f"sqlite:///{tmp_path}/s.db"
    with pytest.raises(SpecError, match=r"continuous: x; .*strategy='sobol'"):
        tt.Study("s", SPACE, minimize="a", strategy="grid", storage=store)
    tt.Study("s", SPACE, minimize="a", strategy="sobol", storage=store)


def test_nothing_is_said_where_all_is_honoured():
    for name in names():
        assert notices(strategy(name), Problem(tt.Space(y=tt.Int(1, 9)))) == []
    assert notices(strategy("gp"), Problem(SPACE, goals=2, constraints=2)) == []


def test_strategies_name_only_needs_that_exist_and_plug_ins_are_taken_at_their_word():
    assert all(honoured(strategy(name)) <= set(NEEDS) for name in names())

    class Plain:
        name, version = "plain", "1"

    assert honoured(Plain()) == set(NEEDS)


def silent(trial):
    return trial.params["x"]


def mistyped(trial):
    for epoch in (1, 3, 9):
        trial.report(epoch, los=trial.params["x"])
    return trial.params["x"]


def deaf(trial):
    for epoch in (1, 3, 9):
        trial.report(epoch, loss=trial.params["x"])
    return trial.params["x"]


def heeding(trial):
    for epoch in (1, 3, 9):
        trial.report(epoch, loss=trial.params["x"])
        if trial.should_stop():
            break
    return trial.params["x"]


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        (silent, "median can stop nobody: trials report nothing; call trial.report(step, loss=...)"),
        (mistyped, "median can stop nobody: trials report only los; call trial.report(step, loss=...)"),
        (deaf, "to stop, and none did: return when trial.should_stop() says so"),
        (heeding, None),
    ],
)
def test_rules_that_can_stop_nobody_are_told(objective, said, capsys):
    space = tt.Space(x=tt.Float(0, 1, default=0.5))
    study = tt.Study("deaf", space, minimize="loss", stopping="median", strategy="random", seed=1)
    study.run(objective, trials=2)
    assert not any("stop" in n for n in study.notices)  # too early to say
    study.run(objective, trials=20)
    told = [n for n in study.notices if "stop" in n]
    assert [said in n for n in told] == ([True] if said else [])
    assert all(f"deaf: {n}" in capsys.readouterr().err for n in told)


@pytest.mark.parametrize("others", [[], ["median"], [Threshold("loss", above=0.9)]])
def test_a_limit_on_a_metric_that_nobody_reports_is_told_beside_rules_that_stop(others):
    rules = [*others, Threshold("los", above=0.5)]
    study = tt.Study("limit", tt.Space(x=tt.Float(0, 1)), minimize="loss", stopping=rules, strategy="random", seed=1)
    study.run(heeding, trials=20, quiet=True)
    assert bool(study.counts["stopped"]) == bool(others)
    assert [n for n in study.notices if "nobody" in n] == [
        "threshold can stop nobody: trials report only loss; call trial.report(step, los=...)"
    ]


@pytest.mark.parametrize(
    ("limit", "reported", "told"),
    [("size >= 0.5", False, True), ("size >= 0.5", True, False), ("size >= 0", False, False)],
)
def test_rules_that_do_not_know_of_a_limit_that_trials_break_are_told(limit, reported, told):
    """They stop the trials that keep it, where breaking it pays."""

    def objective(trial):
        size = trial.params["x"]
        for epoch in (1, 3, 9):
            trial.report(epoch, loss=size, **({"size": size} if reported else {}))
            if trial.should_stop():
                break
        return {"loss": size, "size": size}

    space, epochs = tt.Space(x=tt.Float(0, 1, default=0.4)), tt.Fidelity("epochs", 1, 9)
    study = tt.Study("unlimited", space, minimize="loss", subject_to=limit, fidelity=epochs, strategy="random", seed=1)
    study.run(objective, trials=30, quiet=True)
    assert study.counts["stopped"]
    said = "asha may stop the trials that keep 'size >= 0.5': size is not reported; call trial.report(step, loss=..., size=...)"
    assert [n for n in study.notices if "not reported" in n] == ([said] if told else [])


def test_a_limit_that_is_no_number_is_an_error():
    for limit in (float("nan"), "0.5"):
        with pytest.raises(SpecError, match=r"stopping 'threshold': above=.* must be a number"):
            Threshold("loss", above=limit)
    with pytest.raises(SpecError, match=r"stopping 'threshold': after=None must be a number"):
        Threshold("loss", above=1.0, after=None)
    with pytest.raises(SpecError, match="'threshold' needs a metric and a limit"):
        Threshold(5, above=1.0)


@pytest.mark.parametrize(
    ("rule", "first", "said"),
    [
        ("wilcoxon", 0, "up to step 8, and folds=9 is needed"),
        ("wilcoxon", 1, None),
        ("asha", 0, None),  # it judges at the rungs below
        ("asha", -9, "up to step -1, and folds=1 is needed"),
        (["asha", "forgiving"], 0, None),
    ],
)
def test_steps_that_reach_no_rung_are_told(rule, first, said):
    """A rule for folds compares with who has all of them, which nobody has who counts them from 0."""

    def objective(trial):
        for fold in range(first, first + 9):
            trial.report(fold, loss=trial.params["x"])
            if trial.should_stop():
                break
        return trial.params["x"]

    space, folds = tt.Space(x=tt.Float(0, 1, default=0.5)), tt.Fidelity("folds", 1, 9)
    study = tt.Study("folds", space, minimize="loss", fidelity=folds, stopping=rule, strategy="random", seed=1)
    study.run(objective, trials=12, quiet=True)
    told = [n for n in study.notices if "can stop nobody" in n]
    assert [said in n for n in told] == ([True] if said else [])
    assert (study.counts["stopped"] == 0) == bool(told)


def test_a_best_that_a_revision_has_ruled_out_is_told():
    space = tt.Space(x=tt.Float(0, 1, default=0.9))
    study = tt.Study("s", space, minimize="loss", seed=1)
    study.add([{"x": 0.1}, {"x": 0.7}], [0.1, 0.7])
    assert study.notices == []
    study.revise(space=space.require("x >= 0.5"))
    assert study.notices == ["trial 1, the best, has a setting that a revision of the space has ruled out"]
    study.add({"x": 0.6}, 0.05)
    assert study.notices == []


def failing(trial):
    """Raises in every third trial, and gives NaN in the one after it."""
    if trial.number % 3 == 1:
        raise KeyError("age")
    return trial.params["x"] if trial.number % 3 == 0 else float("nan")


def test_what_is_known_of_a_study_is_shown_while_nothing_is_the_best():
    study = tt.Study("s", tt.Space(x=tt.Float(0, 1, default=0.5)), minimize="a", subject_to="c <= 1", strategy="sobol")
    study.run(lambda trial: {"a": trial.params["x"] + trial.seed % 3, "c": 0.0}, trials=4, quiet=True)
    study.evidence(lambda trial: {"a": trial.params["x"] + trial.seed % 3, "c": 0.0}, replicates=3, tuned=1, quiet=True)
    study.revise(subject_to="c <= -1")
    shown = console.answers(study)
    assert shown["best"] == "none yet meets the constraints"
    assert shown["evidence"].startswith(study.result().decision)
    assert "strategy 'sobol' does not look at constraints" in shown["note"]


def test_the_first_failure_by_each_reason_is_told_in_every_run(capsys):
    study = tt.Study("fails", tt.Space(x=tt.Float(0, 1)), minimize="loss", strategy="random", seed=1)
    for trials in (7, 13):
        before = {t.number for t in study.trials if t.ended is not None}
        study.run(failing, trials=trials)
        told = [line for line in capsys.readouterr().err.splitlines() if "failed (" in line]
        ended = sorted((t for t in study.trials if t.told is not None and t.number not in before), key=lambda t: t.told)
        error = next(t.number for t in ended if t.reason == "error")
        bad = next(t.number for t in ended if t.reason == "bad result")
        assert set(told) == {
            f"fails: trial {error} failed (error): KeyError: 'age'",
            f"fails: trial {bad} failed (bad result): the objective returned loss=nan; a metric must be finite",
        }
        assert len(told) == 2
    study.run(failing, trials=20, quiet=True)
    assert capsys.readouterr().err == ""


def test_a_metric_that_is_left_out_is_told_once_in_every_run(capsys):
    study = tt.Study("extra", tt.Space(x=tt.Float(0, 1)), minimize="loss", strategy="random", seed=1)
    for trials in (3, 6):
        study.run(lambda trial: {"loss": 1.0, "time": float("inf")}, trials=trials)
        told = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
        assert told == [f"extra: trial {trials - 3}: time=inf was left out: it is not finite"]


def test_a_worker_tells_the_first_failure(tmp_path, monkeypatch):
    (tmp_path / "train.py").write_text("def objective(trial):\n    raise KeyError('age')\n")
    monkeypatch.chdir(tmp_path)
    study = tt.Study(
        "fails",
        tt.Space(x=tt.Float(0, 1)),
        minimize="loss",
        budget=tt.Budget(trials=3),
        storage="sqlite:///s.db",
        seed=1,
    )
    study.submit("train.py:objective")
    heard: list[str] = []
    Worker(study.storage, ["train.py"], say=heard.append).run(idle=0.5)
    assert [text for text in heard if "failed" in text] == ["study 'fails': trial 0 failed (error): KeyError: 'age'"]


def test_a_run_that_ends_because_nothing_is_left_to_propose_says_so(capsys):
    study = tt.Study("small", tt.Space(n=tt.Int(1, 3)), minimize="loss", seed=1)
    study.run(lambda trial: trial.params["n"], trials=3)
    assert "every point" not in capsys.readouterr().err
    study.run(lambda trial: trial.params["n"], trials=50)
    assert "small: every point of its space has been proposed\n" in capsys.readouterr().err
    assert study.counts["done"] == 3


def test_a_run_says_which_asked_trials_it_left_out(capsys):
    study = tt.Study("held", tt.Space(x=tt.Float(0, 1)), minimize="loss", seed=1)
    first, _ = study.ask(), study.ask()
    study.run(lambda trial: trial.params["x"], trials=3)
    said = capsys.readouterr().err
    assert f"held: asked for and not told yet: trial {first.number} and 1 other; each takes" in said
    assert study.counts["done"] == 1


def test_a_run_that_had_nothing_to_do_says_so(capsys):
    study = tt.Study("again", tt.Space(x=tt.Float(0, 1)), minimize="loss", seed=1)
    said = "again: nothing was run: the study has its 3 trials already; ask for more to go on\n"
    for trials, quiet, idle in ((3, False, False), (3, False, True), (3, True, False), (4, False, False)):
        study.run(lambda trial: trial.params["x"], trials=trials, quiet=quiet)
        assert (said in capsys.readouterr().err) == idle


def test_only_what_is_relative_to_a_failed_baseline_is_said_to_be_unknown():
    space = tt.Space(x=tt.Float(0, 1, default=0.5))
    study = tt.Study("s", space, minimize="ms", subject_to=["wrong <= 0", "size <= 2 * baseline"], seed=1)
    study.tell(study.ask(), failed="ld returned 1 exit status")
    study.tell(study.ask(), {"ms": 1.0, "wrong": 0.0, "size": 1.0})
    assert console.answers(study)["feasible"] == "unknown: size <= 2 * baseline"
