"""The rows that were kept apart: what is wrong is told before they are looked at, and no look is lost, doubled or hidden."""

import json
import os
import subprocess
import sys
import threading
import time
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threads import at_once
from waiting import until

import trimtab as tt
from trimtab.errors import InputChanged, ObjectiveError, SpecError

X, y = load_iris(return_X_y=True)
SPACE = tt.Space(n_neighbors=tt.Int(1, 30, log=True, default=30))


def hits(model, X, y):
    return float((model.predict(X) == y).mean())


def made(metric=hits, estimator=None, **how):
    how = {"folds": 3, "holdout": 0.3, **how}
    return tt.CrossValidation(estimator or KNeighborsClassifier(), X, y, metric={"hits": metric}, **how)


def searched(cv, **how):
    study = tt.Study("s", SPACE, maximize="hits", strategy="sobol", seed=2, **how)
    study.run(cv, trials=4, quiet=True)
    return study


def events(study):
    return [e for e in study.storage.events(study.record.id) if e.kind == "holdout"]


class Unfit(KNeighborsClassifier):
    def fit(self, X, y):
        raise RuntimeError("no memory left")


@pytest.mark.parametrize(
    ("cv", "how", "error", "said"),
    [
        (made(), {"equivalence": -1.0}, SpecError, "equivalence=-1.0 must be"),
        (made(), {"tuned": 99}, SpecError, "trial 99 does not exist"),
        (made(), {"metric": "hit"}, SpecError, "did you mean 'hits'"),
        (tt.CrossValidation(KNeighborsClassifier(), X, y, folds=3, holdout=0.3), {}, ObjectiveError, "'hits' is not scored"),
        (made(estimator=Unfit()), {}, ObjectiveError, "nothing was looked at: RuntimeError: no memory left"),
        (made(seed=5), {}, SpecError, "not the rows that the search left alone: seed differ"),
        (made(holdout=0.4), {}, SpecError, "rows differ from the run at event 2"),
        (tt.CrossValidation(KNeighborsClassifier(), X[::-1], y[::-1], folds=3, holdout=0.3, metric={"hits": hits}), {},
         SpecError, "y differ"),
    ],
)  # fmt: skip
def test_a_wrong_call_spends_no_look(cv, how, error, said):
    study = searched(made())
    with pytest.raises(error, match=said):
        study.holdout(cv, **how)
    assert events(study) == []


def test_what_workers_elsewhere_run_has_its_rows_on_record(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(
        "from test_holdout import made\ncv, other = made(), made(seed=5)\n", encoding="utf-8"
    )
    study = tt.Study("s", SPACE, maximize="hits", budget={"trials": 4}, storage=f"sqlite:///{tmp_path}/s.db")
    study.submit("model.py:cv")
    study.add({"n_neighbors": 5}, 0.9)
    with pytest.raises(SpecError, match="not the rows that the search left alone: seed differ"):
        study.holdout("model.py:other")
    assert study.holdout("model.py:cv").tuned_trial == study.best.number


def test_who_was_certified_is_looked_at_or_else_the_best():
    study = searched(made())
    assert study.holdout(made()).tuned_trial == study.best.number
    other = next(n for n in range(1, 4) if n != study.best.number)
    study.evidence(made(), tuned=other, replicates=2, quiet=True)
    assert study.holdout(made()).tuned_trial == other


def test_a_search_by_a_function_has_held_out_no_other_rows():
    study = searched(lambda trial: 0.5 + trial.params["n_neighbors"] / 100)
    assert study.holdout(made(), tuned=1).protocol == "hold-out"


@pytest.mark.parametrize(
    ("limit", "decision", "kept"),
    [
        ("errors <= 0.2", "proven", "held in 100 % of 1,000 resamples"),
        ("errors >= 0.05", "infeasible", "held in 0 % of 1,000 resamples"),
    ],
)
def test_a_validator_sees_whether_limits_are_kept_on_the_hold_out(limit, decision, kept, tmp_path):
    study = tt.Study("s", tt.Space(n_neighbors=tt.Int(1, 100, default=100)), maximize="hits", subject_to=limit, seed=2)
    study.run(lambda trial: {"hits": trial.params["n_neighbors"], "errors": 0.0}, trials=1, quiet=True)
    study.add({"n_neighbors": 5}, {"hits": 0.9, "errors": 0.0})
    scored = {"hits": hits, "errors": lambda *given: 1 - hits(*given)}
    cv = tt.CrossValidation(KNeighborsClassifier(), X, y, metric=scored, folds=3, holdout=0.3)
    found = study.holdout(cv, tuned=1)
    assert found.decision == decision
    assert kept in found.text()
    assert any(limit in notice for notice in found.notices) == (decision == "infeasible")
    study.report(tmp_path / "report.json")
    (table,) = _tables(json.loads((tmp_path / "report.json").read_text(encoding="utf-8")), "every look at the hold-out")
    assert table["head"][-1] == "Limits"
    assert [row["cells"][-1] for row in table["rows"]] == [f"{limit}: {found.constraints[0].said}"]


def _tables(made, title):
    """The tables of a document whose title contains this."""
    inside = made.values() if isinstance(made, dict) else made if isinstance(made, list) else ()
    own = [made] if isinstance(made, dict) and title in str(made.get("title", "")) and "head" in made else []
    return own + [t for part in inside for t in _tables(part, title)]


def test_an_archived_study_is_not_looked_at():
    study = searched(made())
    study.archive()
    with pytest.raises(SpecError, match="archived and read-only"):
        study.holdout(made(estimator=Unfit()))


def test_data_that_changed_is_refused_before_it_is_looked_at():
    table = np.arange(3)
    study = searched(made(), data={"raw": table}, on_change="refuse")
    table[0] = 4
    with pytest.raises(InputChanged, match="data raw"):
        study.holdout(made())
    assert events(study) == []


class Counted(KNeighborsClassifier):
    """Counts how often it is asked for distances, and knows two outputs."""

    asked = 0

    def kneighbors_mean(self, X):
        type(self).asked += 1
        return self.kneighbors(X)[0].mean(axis=1)

    def columns(self, X):
        return list(self.predict_proba(X).T)


def by_a_column(model, X, y):
    return float((model.predict(X) == y)[X["c2"] > 2].mean())


def by_another_method(model, X, y):
    return -float(model.kneighbors_mean(X).mean())


def by_its_score(model, X, y):
    return model.score(X, y)


def by_lists(model, X, y):
    return float((np.argmax(model.columns(X), axis=0) == y).mean())


def by_other_rows(model, X, y):
    return float((model.predict(X[::-1])[::-1] == y).mean())


def by_a_step(model, X, y):
    return float((model[-1].predict(model[:-1].transform(X)) == y.to_numpy()).mean())


@pytest.mark.parametrize("metric", [by_a_column, by_another_method, by_its_score, by_lists, by_other_rows, by_a_step])
def test_a_metric_may_read_the_rows_and_ask_the_model_whatever_it_likes(metric):
    """On chosen rows of the hold-out it says what it says of the model itself on these rows."""
    table, target = pd.DataFrame(X, columns=[f"c{i}" for i in range(4)]), pd.Series(y)
    model = make_pipeline(StandardScaler(), Counted()) if metric is by_a_step else Counted()
    cv = tt.CrossValidation(model, table, target, metric={"m": metric}, holdout=0.3, folds=3)
    search, held = cv.plan.search_and_holdout(len(y), 0.3, 0)
    score, _ = cv.on_holdout({}, 0, ["m"])
    for chosen in (np.arange(len(held)), np.random.default_rng(1).integers(0, len(held), 60)):
        rows = held[chosen]
        assert score["m"](chosen) == metric(cv.fit({}, 0, search), table.iloc[rows], target.iloc[rows])


def test_a_model_predicts_once_for_a_thousand_resamples():
    Counted.asked = 0
    searched(made(by_another_method, Counted())).holdout(made(by_another_method, Counted()), tuned=1)
    looked = Counted.asked - 4 * 3  # less those of the search's folds
    assert looked == 2


def test_a_metric_that_cannot_judge_the_hold_out_at_all_says_why():
    def picky(model, X, y):
        raise ValueError("needs a column of amounts")

    study = searched(made())
    with pytest.raises(ObjectiveError, match=r"look 1 is on record without a result.*needs a column of amounts"):
        study.holdout(made(picky))


def test_a_metric_that_raises_is_the_same_look_when_it_is_mended():
    def broken(model, X, y):
        raise RuntimeError("no such column")

    study = searched(made())
    with pytest.raises(ObjectiveError, match=r"look 1 is on record without a result.*no such column"):
        study.holdout(made(broken), tuned=1)
    other = study.holdout(made(), tuned=2)
    assert any("look 2" in n for n in other.notices)
    found = study.holdout(made(), tuned=1)
    assert not any("look " in n for n in found.notices)
    again = study.holdout(made(), tuned=1)  # its result is known
    assert any("look 3" in n for n in again.notices)
    assert again.pairs == found.pairs
    assert len([e for e in events(study) if "look" in e.body]) == 3
    assert study.verify() == []


def test_another_baseline_is_another_comparison():
    """It shares the 95 %, and does not complete a look at the first one."""

    def broken(model, X, y):
        raise RuntimeError("no such column")

    study = searched(made())
    first = study.holdout(made(), tuned=1)
    with pytest.raises(ObjectiveError, match="look 2 is on record without a result"):
        study.holdout(made(broken), tuned=1)
    study.revise(baseline={"n_neighbors": 29})
    second = study.holdout(made(), tuned=1)
    assert (first.compared, second.compared) == (1, 3)
    assert any("look 3" in n for n in second.notices)
    study.revise(baseline={"n_neighbors": 30})
    assert any("look 2" in n for n in study.holdout(made(), tuned=1).notices)  # which had no result


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_a_metric_without_a_value_shows_nothing_and_is_on_record(value):
    study = searched(made())
    found = study.holdout(made(lambda model, X, y: value))
    assert (found.decision, found.pairs, found.failed_pairs) == ("not shown", (), 1)
    assert any(f"not finite on these rows (baseline {value}, tuned {value})" in n for n in found.notices)
    assert "result_of" in events(study)[-1].body
    assert study.verify() == []


def test_two_who_look_at_once_are_counted_both():
    both = threading.Barrier(2)

    def trained(params):
        both.wait(60)
        return KNeighborsClassifier(**params)

    study = searched(made())
    found = {}

    def look(tuned):
        found[tuned] = study.holdout(made(estimator=trained), tuned=tuned)

    assert at_once(partial(look, 1), partial(look, 2)) == []
    assert sorted(any("look 2" in n for n in e.notices) for e in found.values()) == [False, True]
    assert sorted(e.body["result_of"] for e in events(study) if "result_of" in e.body) == [1, 2]


def patient(model, X, y):
    """`hits`, once there is no file HOLD any more."""
    while os.path.exists(os.environ.get("HOLD", "")):
        time.sleep(0.01)
    return hits(model, X, y)


def test_kill_9_in_a_look_and_the_same_call_ends_it_with_the_same_figures(tmp_path, database_url):
    study, undisturbed = searched(made(patient), storage=database_url), searched(made(patient))
    hold = tmp_path / "hold"
    hold.touch()
    look = "import sys, test_holdout as t; t.tt.Study('s', storage=sys.argv[1]).holdout(t.made(t.patient))"
    paths = os.pathsep.join([os.path.dirname(__file__), os.path.dirname(os.path.dirname(tt.__file__))])
    environment = {**os.environ, "PYTHONPATH": paths, "HOLD": str(hold)}
    looking = subprocess.Popen([sys.executable, "-c", look, database_url], env=environment)
    try:
        until(lambda: events(study), 100)
    finally:
        looking.kill()
        looking.wait()
    assert study.holdout(made(patient)) == undisturbed.holdout(made(patient))
    assert [sorted(e.body.keys() & {"look", "result_of"}) for e in events(study)] == [["look"], ["result_of"]]
    assert study.verify() == []
