"""What a document tells of how its study went: revisions, other goals, folds, early stopping, ends, and no result at all."""

from html import unescape

import numpy as np
import pytest
from document_checker import by_id, checked, texts, traced
from sklearn.datasets import load_breast_cancer
from sklearn.tree import DecisionTreeClassifier

import trimtab as tt
from trimtab.errors import SpecError
from trimtab.outlook import Enough


def reviewed(study):
    """The items of a document for a review, by id; it passes the checker."""
    return by_id(checked(study.report("review.html", template="us-sr-26-2-2026").read_text()))


def test_a_young_study_has_a_traced_report_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    young = tt.Study("young", {"x": tt.Float(0, 1)}, minimize="loss")
    traced(young.report("empty.html").read_text())
    young.run(lambda trial: trial.params["x"], trials=3, quiet=True)
    html = young.report("three.html").read_text()
    traced(html)
    assert "No model: too few results" in html


@pytest.mark.parametrize("proven", ["never", "before", "after"])
def test_a_revision_that_adds_a_parameter_leaves_the_document_about_the_same_setting(tmp_path, monkeypatch, proven):
    """Proven never, before the revision or after it: what is compared is told in today's space."""
    monkeypatch.chdir(tmp_path)
    x = tt.Float(0, 1, default=0.5)
    study = tt.Study("s", {"x": x}, minimize="loss", seed=1, deterministic=True)
    study.run(lambda trial: (trial.params["x"] - 0.3) ** 2, trials=12, quiet=True)

    def prove():
        study.evidence(lambda trial: (trial.params["x"] - 0.3) ** 2, replicates=2, finalists=1, quiet=True)

    if proven == "before":
        prove()
    study.revise(space=tt.Space(x=x, k=tt.Int(1, 9, default=2)), assume={"k": 2})
    if proven == "after":
        prove()
    best = study.best
    assert "k" not in best.params
    html = study.report("study.html").read_text()
    traced(html)
    assert "<td>k</td><td>2</td><td>2</td>" in html
    assert '"k": 2' in unescape(html)
    items = reviewed(study)
    chosen = {f["label"]: f["value"] for f in items["choice_reason"]["facts"]}
    assert chosen == {"Chosen setting": best.number, "x": best.params["x"], "k": 2}
    found = [f["text"] for f in items["limits"]["facts"]]
    assert any("ran once in the search" in text for text in found)
    assert not any("is now trial" in text for text in found)
    assert [f["text"] for f in items["overrides"]["facts"]] == ["none on record"]
    if (e := study.result()) is not None:
        values = [f["value"] for f in items["optimism"]["facts"]]
        assert values == [[e.worth.searched, e.means[1], e.optimism], [study.baseline.metrics["loss"], e.means[0]]]
        assert "Search against fresh runs" in [f["label"] for f in items["benefit"]["facts"]]


def test_what_the_pairs_show_of_another_goal_and_of_a_limit_stands_beside_the_answer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def objective(trial):
        luck = np.random.default_rng(trial.seed + trial.number).normal(0, 0.01)
        return {"a": trial.params["x"] + luck, "b": 1 - trial.params["x"] + luck}

    earlier = tt.Study("earlier", {"x": tt.Float(0, 1)}, maximize=["a", "b"], seed=1)
    earlier.run(objective, trials=4, quiet=True)
    study = tt.Study(
        "two goals", {"x": tt.Float(0, 1, default=0.5)}, maximize=["a", "b"], subject_to="b >= 0", seed=1, warm_start=earlier
    )  # fmt: skip
    study.run(objective, trials=12, quiet=True)
    study.add({"x": 0.25}, {"a": 0.25, "b": 0.75})
    found = study.evidence(objective, replicates=6, minimum_effect=0.125, quiet=True)
    assert (found.decision, found.goals[0].decision) == ("proven", "worse")
    assert "above 0.125, the minimum effect" in found.text()
    html = unescape(study.report("a.html").read_text())
    traced(html)
    assert "In b, another goal, it is worse" in html[: html.index('id="question"')]
    assert "What a model of all results makes of a;" in html
    assert "trimtab verify 'two goals' --storage URL, with the URL of the study's database" in html
    assert "trimtab report 'two goals' --storage URL --template us-sr-26-2-2026 --out FILE" in html
    items = reviewed(study)
    said = {id_: texts(item) for id_, item in items.items()}
    assert said["benefit"]["Another goal"].startswith("b worse: -")
    assert "above 0.125, the minimum effect" in said["protocol"]["Rule of decision"]
    assert said["strategy"]["Learnt from"] == f"study earlier ({earlier.record.uid[:12]}): 4 results"
    assert said["overrides"]["Result measured elsewhere"] == "trial 12: x=0.25"
    (limit,) = (row["cells"] for t in items["benefit"]["tables"] if "Constraints" in t["title"] for row in t["rows"])
    assert limit[2] == found.constraints[0].said == "held in 6 of 6 pairs (54.1 to 100 % of such runs)"


def test_a_document_says_how_a_cross_validation_measured(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X, y = load_breast_cancer(return_X_y=True)
    twice = np.vstack([X, X[:1]]), np.append(y, y[0])
    cv = tt.CrossValidation(DecisionTreeClassifier(max_features=5), *twice, folds=3, holdout=0.2)
    study = tt.Study("cv", {"max_depth": tt.Int(1, 5, default=2)}, maximize="accuracy", seed=1)
    study.run(cv, trials=2, quiet=True)
    html = study.report("a.html").read_text()
    traced(html)
    assert "3 folds; they respect classes; drawn anew for every trial" in html
    made = checked(study.report("b.html", template="us-sr-26-2-2026").read_text())
    items = by_id(made)
    said = {id_: texts(item) for id_, item in items.items()}
    assert said["protocol"]["Rows"] == "456 for search and certificate; 114 kept apart as a hold-out"
    assert "splits" not in items["protocol"]["empty"]
    assert "DecisionTreeClassifier(max_features=5)" in said["fixed"].values()
    assert said["leakage"]["Found"].startswith("2 rows occur more than once")
    assert any(f["text"].startswith("The data are doubtful: 2 rows occur") for f in items["limits"]["facts"])
    assert said["profile"]["Rows of each class"] == "0: 213, 1: 357"
    prints = {row["cells"][0]: row["cells"][1] for row in items["data_fingerprint"]["tables"][0]["rows"]}
    assert prints == {name: said["sha256"] for name, said in cv.protocol["data"].items()}
    assert said["classification"]["Read by"].startswith("1 call of run or evidence read the data named above")
    assert {items[i]["status"] for i in ("fixed", "leakage", "profile")} == {"partial"}


def test_every_answer_on_record_is_told_not_the_last_alone(tmp_path, monkeypatch):
    """Certificates of other settings and goals, and looks at the hold-out, which are evidence where there is no certificate."""
    monkeypatch.chdir(tmp_path)
    X, y = load_breast_cancer(return_X_y=True)
    cv = tt.CrossValidation(DecisionTreeClassifier(random_state=0), X, y, folds=3, holdout=0.3, metric="accuracy")
    study = tt.Study("s", {"max_depth": tt.Int(1, 8, default=1)}, maximize="accuracy", strategy="sobol", seed=2)
    study.run(cv, trials=4, quiet=True)

    def answers():
        html = study.report("a.html").read_text()
        traced(html)
        items = reviewed(study)
        rows = [
            row["cells"] for t in items["benefit"]["tables"] if "Every certificate" in t["title"] for row in t["rows"]
        ]
        assert all(f"<td>{cell}</td>" in html or f'<td class="n">{cell}</td>' in html for row in rows for cell in row)
        return items["benefit"]["status"], [(row[2], row[3], row[5]) for row in rows]

    assert answers() == ("missing", [])
    look = study.holdout(cv)
    tuned = str(look.tuned_trial)
    assert f"a look at trial {tuned}: accuracy" in study.report("a.html").read_text()
    assert answers() == ("partial", [("the hold-out", tuned, look.decision)])
    study.evidence(cv, tuned=next(n for n in (1, 2) if n != look.tuned_trial), replicates=2, quiet=True)
    found = study.evidence(cv, tuned=look.tuned_trial, replicates=2, quiet=True)
    status, rows = answers()
    assert (status, len(rows)) == ("filled", 3)
    assert rows[-1] == ("2 pairs of fresh folds", tuned, found.decision)


def test_what_was_revised_after_the_evidence_is_told(tmp_path, monkeypatch):
    """The certified setting has an option that is retired since, the limit is new, and so is the baseline."""
    monkeypatch.chdir(tmp_path)
    x, cost = tt.Float(0, 1, default=0.9), {"a": 0.0, "b": 0.2, "c": 0.5}

    def objective(trial):
        return {"loss": (trial.params["x"] - 0.3) ** 2 + cost[trial.params["k"]], "size": 1.0}

    study = tt.Study(
        "s", {"x": x, "k": tt.Choice("a", "b", "c", default="c")}, minimize="loss", seed=1, budget={"trials": 14}
    )
    study.run(objective, quiet=True)
    found = study.evidence(objective, replicates=3, quiet=True)
    assert found.tuned["k"] == "a"
    study.revise(
        space=tt.Space(x=x, k=tt.Choice("b", "c", default="c")), subject_to="size <= 2", baseline={"x": 0.5, "k": "b"}
    )
    html = unescape(study.report("a.html").read_text())
    traced(html)
    items = reviewed(study)
    said = [f["text"] for f in items["limits"]["facts"]]
    assert "The chosen setting is one that a revision of the space has ruled out." in said
    assert "The evidence compares with an earlier baseline (k=c, x=0.9), not with today's." in said
    assert "The evidence does not judge whether size <= 2 holds." in said
    assert all(text in html for text in said)
    (row,) = (row["cells"] for t in items["space_history"]["tables"] for row in t["rows"])
    assert 'subject_to: [] → ["size <= 2"]' in row[3]
    assert "baseline x: 0.9 → 0.5" in row[3]
    told = study.explain()
    assert {s.name: s.at for s in told.safe_ranges()} == dict(found.tuned)
    assert all(s.low <= s.at <= s.high for s in told.safe_ranges() if not s.options)


def test_the_goal_that_was_certified_is_the_one_that_is_explained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def objective(trial):
        return {"cost": trial.params["x"], "gain": trial.params["y"] ** 2}

    space = {"x": tt.Float(0, 1, default=0.5), "y": tt.Float(0, 1, default=0.5)}
    study = tt.Study("s", space, minimize="cost", maximize="gain", seed=1)
    study.run(objective, trials=20, quiet=True)
    tuned = max(study.pareto, key=lambda t: t.metrics["gain"]).number

    def explained():
        html = study.report("a.html").read_text()
        traced(html)
        items = reviewed(study)
        rows = [row["cells"] for t in items["sensitivity"]["tables"] if "Parameters" in t["title"] for row in t["rows"]]
        (metric,) = (metric for metric in ("cost", "gain") if f"makes of {metric};" in html)
        return metric, rows[0][0]  # what is explained, and what matters most

    assert explained() == ("cost", "x")
    study.evidence(objective, metric="gain", tuned=tuned, replicates=2, quiet=True)
    assert explained() == ("gain", "y")


def test_how_far_trials_were_trained_and_what_stopped_them_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def objective(trial):
        for epoch in range(1, 10):
            trial.report(epoch, loss=trial.params["x"] + 1 / epoch)
            if trial.should_stop():
                break
        return trial.params["x"] + 1 / epoch

    study = tt.Study("early", {"x": tt.Float(0, 1)}, minimize="loss", fidelity=tt.Fidelity("epochs", 1, 9), seed=1)
    study.run(objective, trials=12, quiet=True)
    study.revise(stopping="median")
    items = reviewed(study)
    said = texts(items["budget"])
    assert said["Full training"] == "epochs = 9; trials are compared at 1, 3, 9"
    assert said["Stopping rule"].startswith("asha")
    assert said["Stopping rule now"].startswith("median")
    listed = {row["cells"][2] for t in items["trials"]["tables"] if t["title"] == "Every trial" for row in t["rows"]}
    assert listed == {f"{t.state} at {t.reached:g}" for t in study.trials} > {"done at 9"}
    assert study.frame()["reached"].tolist() == [t.reached for t in study.trials]
    assert "state" in tt.Study("none", {"x": tt.Float(0, 1)}, minimize="loss").frame().columns


def test_without_a_result_nothing_is_compared_and_the_baseline_is_no_gain(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = tt.Study("first", {"x": tt.Float(0, 1, default=0.5)}, minimize="loss")
    assert "<td>x</td><td>0.5</td><td>–</td>" in study.report("none.html").read_text()
    study.run(lambda trial: trial.params["x"], trials=1, quiet=True)
    assert "it is the baseline itself" in study.report("one.html").read_text()
    study.revise(subject_to="loss <= 1")
    found = study.evidence(lambda trial: trial.params["x"], replicates=2, quiet=True)
    assert found.constraints[0].said == "judged in no pair"
    assert (
        "was not compared with the baseline: the tuned setting is the baseline itself"
        in study.report("two.html").read_text()
    )


@pytest.mark.parametrize(
    ("budget", "enough", "said"),
    [
        ({"trials": 12}, None, "the budget of trials is spent"),
        ({"cpu_hours": 1e-9}, None, "the budget of cpu_hours is spent"),
        ({"trials": 90}, None, "no limit was reached"),
        ({"trials": 90}, Enough(tolerance=10.0), "no limit was reached"),
    ],
)
def test_what_ended_the_search_is_told(tmp_path, monkeypatch, budget, enough, said):
    monkeypatch.chdir(tmp_path)
    study = tt.Study("s", {"x": tt.Float(0, 1)}, minimize="loss", seed=1, budget=budget)

    def work(trial):
        return sum(trial.params["x"] for _ in range(100_000)) / 1e5

    study.run(work, trials=30 if enough else 12, enough=enough or False, quiet=True)
    items = reviewed(study)
    told = texts(items["budget"])
    assert told["Whether it is used up"] == said
    assert ("Ended by its outlook" in told) == bool(enough)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"subject_to": "loss <= -1"}, "meets the constraints"),
        ({"fidelity": tt.Fidelity("epochs", 1, 9), "stopping": "promotion"}, "was trained to epochs=9"),
        ({}, "has seconds"),
    ],
)
def test_why_there_is_no_best_is_told(tmp_path, monkeypatch, how, said):
    monkeypatch.chdir(tmp_path)
    study = tt.Study("s", {"x": tt.Float(0, 1)}, minimize="loss", seed=1, **how)
    study.run(lambda trial: trial.params["x"], trials=2, quiet=True)
    if not how:
        study.revise(minimize="seconds")
    with pytest.raises(SpecError, match=f"of 2 finished trials, none {said}$"):
        assert study.best
    assert f"There is nothing to show: no finished trial {said}." in study.report("s.html").read_text()
