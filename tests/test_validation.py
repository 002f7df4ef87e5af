"""Cross-validation as an objective: which rows each purpose sees, what leaks, and how studies use it."""

import json
import math
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.datasets import load_breast_cancer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

import trimtab as tt
from trimtab.cli import cli
from trimtab.errors import ObjectiveError, SpecError, UserError

X, y = load_breast_cancer(return_X_y=True)
SPACE = tt.Space(n_neighbors=tt.Int(1, 60, log=True, default=50))


def trial(purpose="search", seed=1, replicate=None, fidelity=None):
    return SimpleNamespace(purpose=purpose, seed=seed, replicate=replicate, fidelity=fidelity, params={})


def made(**how):
    return tt.CrossValidation(KNeighborsClassifier(), X, y, **how)


def hits(model, X, y):
    """Accuracy, without the checks that a scorer of scikit-learn makes each time."""
    return float((model.predict(X) == y).mean())


def rows_of(splits):
    return [(a.tolist(), b.tolist()) for a, b in splits]


def test_it_says_that_it_needs_scikit_learn_whatever_the_estimator(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(UserError, match="needs scikit-learn; run: pip install scikit-learn"):
        tt.CrossValidation(lambda params: None, X, y)


def test_each_trial_has_splits_of_its_own_unless_they_are_shared():
    free, shared = made(), made(splits="shared")
    assert rows_of(free.folds_of(trial(seed=1))) != rows_of(free.folds_of(trial(seed=2)))
    assert rows_of(free.folds_of(trial(seed=1))) == rows_of(free.folds_of(trial(seed=1)))
    assert rows_of(shared.folds_of(trial(seed=1))) == rows_of(shared.folds_of(trial(seed=2)))
    assert rows_of(shared.folds_of(trial("select", seed=1))) != rows_of(shared.folds_of(trial(seed=1)))


def test_a_certificate_walks_through_the_folds_of_fresh_repetitions():
    cv = made(folds=4, holdout=0.2)
    runs = [cv.folds_of(trial("certify", seed=i, replicate=i)) for i in range(8)]
    assert all(len(r) == 1 for r in runs)
    for first in (0, 4):
        tests = np.concatenate([r[0][1] for r in runs[first : first + 4]])
        assert len(tests) == len(set(tests.tolist())) == round(0.8 * len(y))
    assert rows_of(runs[0]) != rows_of(runs[4])
    assert (cv.test_train_ratio, cv.replicates) == (pytest.approx(1 / 3), 8)


@pytest.mark.parametrize("how", [{}, {"groups": np.arange(len(y)) // 7}, {"time": np.arange(len(y)), "gap": 5}])
def test_held_out_rows_are_in_no_fold(how):
    cv = made(holdout=0.25, **how)
    seen = {r for p in ("search", "select") for a, b in cv.folds_of(trial(p)) for r in (*a.tolist(), *b.tolist())}
    seen |= {
        r for i in range(5) for a, b in cv.folds_of(trial("certify", replicate=i)) for r in (*a.tolist(), *b.tolist())
    }
    score, groups = cv.on_holdout({"n_neighbors": 5}, 0, ["accuracy"])
    n = len(groups)
    size = 7 if "groups" in how else math.ceil(n ** (1 / 3)) if "time" in how else 1
    assert len(set(groups.tolist())) == math.ceil(n / size)
    assert n + len(seen) <= len(y)
    assert 0.2 < n / len(y) < 0.3
    assert 0.8 < score["accuracy"](np.arange(n)) <= 1


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 6), st.integers(0, 1000), st.integers(6, 40))
def test_a_group_is_never_on_both_sides(folds, seed, groups):
    labels = np.random.default_rng(seed).integers(groups, size=120)
    if len(set(labels.tolist())) < folds:
        return
    cv = tt.CrossValidation(
        Ridge(), np.arange(240.0).reshape(120, 2), np.arange(120) / 7, folds=folds, groups=labels, metric="r2"
    )
    for a, b in cv.folds_of(trial(seed=seed)):
        assert not set(labels[a]) & set(labels[b])
    tests = np.concatenate([b for _, b in cv.folds_of(trial(seed=seed))])
    assert sorted(tests) == list(range(120))


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 6), st.integers(0, 1000), st.integers(0, 5))
def test_training_ends_a_gap_before_testing_begins(folds, seed, gap):
    times = np.random.default_rng(seed).permutation(90)
    cv = tt.CrossValidation(Ridge(), np.ones((90, 1)), times / 7, folds=folds, time=times, gap=gap, metric="r2")
    for a, b in cv.folds_of(trial(seed=seed)):
        assert times[a].max() + gap < times[b].min()


@settings(max_examples=25, deadline=None)
@given(folds=st.integers(2, 5), gap=st.integers(0, 3), share=st.floats(0.01, 0.3), seed=st.integers(0, 2**20))
def test_rows_of_one_time_stay_together_and_a_gap_is_a_number_of_times(folds, gap, share, seed):
    rng = np.random.default_rng(seed)
    quarters = rng.permutation(np.concatenate([np.arange(30), rng.integers(0, 30, 200)]))  # of several series
    cv = tt.CrossValidation(Ridge(), np.ones((230, 1)), quarters / 7, folds=folds, time=quarters, gap=gap, metric="r2")
    search, held = cv.plan.search_and_holdout(230, share, seed)
    assert len(held) >= round(share * 230)
    for a, b in [*cv.folds_of(trial()), (search, held)]:
        assert quarters[a].max() + gap < quarters[b].min()
        assert len(a) == (quarters <= quarters[a].max()).sum()  # all rows of these times
        assert len(b) == ((quarters >= quarters[b].min()) & (quarters <= quarters[b].max())).sum()


def test_classes_keep_their_shares():
    for _, b in made(folds=5).folds_of(trial()):
        assert y[b].mean() == pytest.approx(y.mean(), abs=0.01)


def test_whole_numbers_are_amounts_to_a_regressor_and_to_a_function_that_says_so():
    amounts, table = np.arange(40) // 2, np.arange(80.0).reshape(40, 2)
    assert tt.CrossValidation(Ridge(), table, amounts, metric="r2").protocol["respects"] == "nothing"
    assert made().protocol["respects"] == "classes"
    assert made(stratify=False).protocol["respects"] == "nothing"
    with pytest.raises(SpecError, match=r"class 0 has 2 rows, .*; use fewer folds, or stratify=False"):
        tt.CrossValidation(lambda params: Ridge(**params), table, amounts, metric="r2")
    said = tt.CrossValidation(lambda params: Ridge(**params), table, amounts, metric="r2", stratify=False)
    assert said.protocol["respects"] == "nothing"
    with pytest.raises(SpecError, match=r"accuracy' cannot score this y: continuous .*; write metric='r2'"):
        tt.CrossValidation(Ridge(), table, amounts / 7)


def test_a_cross_validation_says_what_it_does():
    said = "<CrossValidation by accuracy: 4 folds of 455 rows (respecting classes), 114 held out>"
    assert repr(made(folds=4, holdout=0.2)) == said
    doubled = tt.CrossValidation(KNeighborsClassifier(), np.concatenate([X, X]), np.concatenate([y, y]))
    assert repr(doubled).endswith("(respecting classes), 1 doubt in checks>")


def test_what_leaks_is_said():
    doubled = np.concatenate([X, X[:10]]), np.concatenate([y, y[:10]])
    assert any("20 rows occur more than once" in c for c in tt.CrossValidation(Ridge(), *doubled).checks)
    groups = np.concatenate([np.arange(len(y)), np.arange(10)])
    assert tt.CrossValidation(Ridge(), *doubled, groups=groups).checks == []
    assert any(
        "10 rows occur in several groups" in c
        for c in tt.CrossValidation(Ridge(), *doubled, groups=np.arange(len(y) + 10)).checks
    )
    crossing = tt.CrossValidation(Ridge(), *doubled, holdout=0.5, seed=3).checks
    assert any("of the hold-out also occur in the search rows" in c for c in crossing)
    told = tt.CrossValidation(Ridge(), np.column_stack([X, 3.0 * y]), y).checks
    assert any("column 30 gives the target away" in c for c in told)
    rare, columns = np.array([1] * 12 + [0] * 400), np.random.default_rng(0).normal(size=(412, 2))
    assert any("class 1 is rare" in c for c in tt.CrossValidation(LogisticRegression(), columns, rare).checks)
    assert tt.CrossValidation(Ridge(), columns, rare).checks == []  # amounts, not classes
    assert tt.CrossValidation(LogisticRegression(), columns, rare, metric="f1").checks == []  # which it does not hide
    renamed = tt.CrossValidation(LogisticRegression(), columns, rare, metric={"right": "accuracy"})
    assert any("class 1 is rare" in c for c in renamed.checks)
    thirty = np.tile(np.arange(30), 14)[:412]
    assert tt.CrossValidation(LogisticRegression(), columns, thirty).checks == []  # each has an equal share
    assert made().checks == []


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"folds": 1}, "folds=1"),
        ({"folds": 300}, "fewer than folds=300"),
        ({"stratify": "y"}, "stratify='y' must be True or False, or hold a label for each row"),
        ({"stratify": y[:9]}, "stratify has 9 values for 569 rows"),
        ({"stratify": X[:, 0]}, "stratify needs a label for each row, and what it holds is continuous"),
        ({"stratify": np.arange(len(y))}, "stratum 0 has 1 row, fewer than folds=5; .* coarser strata"),
        ({"splits": "mine"}, "splits='mine'"),
        ({"holdout": 1.0}, "holdout=1.0"),
        ({"metric": "acuracy"}, "acuracy"),
        ({"gap": 3}, "gap=3"),
        ({"groups": [1, 2]}, "groups has 2 values"),
        ({"groups": np.zeros((len(y), 2))}, "is no list of values; give one for each row"),
        ({"groups": [[1], *[[1, 2]] * (len(y) - 1)]}, "is no list of values; give one for each row"),
        ({"stratify": [[1], *[[1, 2]] * (len(y) - 1)]}, "is no list of values; give one for each row"),
        ({"time": X}, "is no list of values; give one for each row"),
        ({"groups": np.zeros(len(y))}, "there are 1"),
        ({"groups": np.arange(len(y)), "time": np.arange(len(y))}, "together"),
        ({"repeats": 2, "time": np.arange(len(y))}, "repeats=2"),
        ({"gap": -1, "time": np.arange(len(y))}, "gap=-1 must be a whole number"),  # it would train on test rows
        ({"gap": 900, "time": np.arange(len(y))}, "gap=900.*no such splits of 569 rows at 569 times"),
        ({"holdout": 0.9999}, "holdout=0.9999.*no such splits"),
        ({"time": np.arange(len(y)) // 200}, "folds=5 in time order needs 6 distinct times, and there are 3"),
        ({"time": [f"{i}.1.2024" for i in range(len(y))]}, "texts such as '0.1.2024', .*pandas.to_datetime"),
        ({"time": np.r_[np.full(len(y) - 1, 1.0), np.nan]}, "time is missing in 1 of 569 rows"),
        ({"groups": [None, "a", *["b"] * (len(y) - 2)]}, "groups is missing in 1 of 569 rows"),
        ({"time": [datetime.now(UTC), *[datetime.now()] * (len(y) - 1)]}, "put in order"),
        ({"seed": "a"}, "seed='a'"),
        ({"metric": {}}, "metric={}"),
        ({"metric": 3}, "metric=3"),
        ({"metric": hits}, "a function needs a name; write metric={'name': function}"),
        ({"metric": ["accuracy", hits]}, "a function needs a name"),
        ({"metric": {"right": "acuracy"}}, "did you mean 'accuracy'"),
    ],
)
def test_a_protocol_that_cannot_be_is_refused(how, said):
    with pytest.raises(SpecError, match=said):
        made(**how)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"maximize": "acuracy"}, "'acuracy' is not scored; did you mean 'accuracy'"),
        ({"subject_to": "seconds <= 3"}, "'seconds' is not scored"),
        ({"maximize": None, "minimize": "accuracy"}, "minimize='accuracy'.*better when greater; maximize it"),
        ({"space": {"n_neighbours": tt.Int(1, 9)}}, "has no 'n_neighbours'; did you mean 'n_neighbors'"),
    ],
)
def test_a_study_that_does_not_suit_is_refused_before_the_first_trial(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("cv.py").write_text(
        "import trimtab as tt\nfrom sklearn.datasets import load_iris\nfrom sklearn.neighbors import KNeighborsClassifier\n"
        "cv = tt.CrossValidation(KNeighborsClassifier(), *load_iris(return_X_y=True))\n"
    )
    study = tt.Study("s", **{"space": SPACE, "maximize": "accuracy", **words}, seed=1)
    for objective in (made(), "cv.py:cv"):
        with pytest.raises(ObjectiveError, match=said):
            study.run(objective, trials=3, quiet=True)
    assert study.trials == []


def test_a_parameter_of_a_step_is_named_with_its_path():
    pipeline = make_pipeline(StandardScaler(), KNeighborsClassifier())
    study = tt.Study("s", tt.Space(n_neighbors=tt.Int(1, 9)), maximize="accuracy", seed=1)
    with pytest.raises(
        ObjectiveError, match=r"it has no 'n_neighbors'; did you mean 'kneighborsclassifier__n_neighbors'\?$"
    ):
        study.run(tt.CrossValidation(pipeline, *load_breast_cancer(return_X_y=True)), trials=3, quiet=True)


class Picky(KNeighborsClassifier):
    """Does not take all combinations of its parameters."""

    def set_params(self, **params):
        if params.get("n_neighbors", 5) > 5 and params.get("p") == 1:
            raise ValueError("too many neighbours for p=1")
        return super().set_params(**params)


@pytest.mark.parametrize("wrong", [False, True])
def test_combinations_that_an_estimator_refuses_are_failed_trials_and_wrong_names_of_a_branch_an_error(wrong):
    space = {"n_neighbors": tt.Int(1, 9), "p": tt.Int(1, 2)}
    if wrong:
        space["leaf_sizes"] = tt.Int(10, 50, when={"p": 2})
    study = tt.Study("s", space, maximize="accuracy", strategy="grid" if not wrong else "random", seed=1)
    cv = tt.CrossValidation(Picky(), X[:90], y[:90], folds=2)
    if wrong:
        with pytest.raises(ObjectiveError, match="'leaf_sizes'"):
            study.run(cv, trials=1, quiet=True)
    else:
        study.run(cv, quiet=True)
        assert (study.counts["done"], study.counts["failed"]) == (14, 4)


@pytest.mark.parametrize(
    ("estimator", "targets", "said"),
    [
        (KNeighborsClassifier, y, r"is a class; give an object: KNeighborsClassifier\(\)"),
        ("knn", y, "neither an estimator nor a function"),
        (KNeighborsClassifier(), np.zeros(len(y)), "y is 0.0 in all 569 rows"),
        (KNeighborsClassifier(), np.r_[y[1:], np.nan], "y is missing in 1 of 569 rows"),
        (KNeighborsClassifier(), [None, *y[1:].tolist()], "y is missing in 1 of 569 rows"),
    ],
)
def test_what_cannot_be_learnt_is_refused(estimator, targets, said):
    with pytest.raises(SpecError, match=said):
        tt.CrossValidation(estimator, X, targets)


TEXTS = [f"the film was {'good' if i % 2 else 'bad'} number {i}" for i in range(40)]


def test_texts_in_a_list_take_their_own_room_not_that_of_the_longest():
    texts, labels = [*TEXTS, "very " * 100_000 + "good"], [i % 2 for i in range(41)]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression())
    cv = tt.CrossValidation(model, texts, labels, folds=2, metric="roc_auc", holdout=0.2)
    assert cv.X.dtype == object
    assert cv.checks == []
    assert cv.protocol["data"]["X"]["type"] == "text"
    assert math.isfinite(cv.score(cv.fit({}, 0, np.arange(30)), np.arange(30, 41))["roc_auc"])
    assert any("2 rows occur more than once" in c for c in tt.CrossValidation(model, [*TEXTS, TEXTS[3]], labels).checks)


def test_a_function_in_an_estimator_does_not_make_other_code_of_each_process():
    """Its address is in the repr of the estimator, which is part of the objective's fingerprint."""
    model = make_pipeline(FunctionTransformer(hits), KNeighborsClassifier())
    assert "FunctionTransformer(func=<function hits>)" in tt.CrossValidation(model, X, y).protocol["estimator"]


def test_rows_may_be_lists_of_several_lengths():
    words = [t.split() + ["indeed"] * (i % 3) for i, t in enumerate(TEXTS)]
    model = make_pipeline(TfidfVectorizer(analyzer=list), LogisticRegression())
    cv = tt.CrossValidation(model, words, [i % 2 for i in range(40)], folds=2)
    assert cv.score(cv.fit({}, 0, np.arange(30)), np.arange(30, 40))["accuracy"] == 1.0


def test_a_sparse_table_stays_sparse():
    rows = np.arange(80)
    wide = sparse.csr_array((rows + 1.0, (rows, 10**7 * rows)), shape=(80, 10**9))  # 640 GB if it were dense
    cv = tt.CrossValidation(KNeighborsClassifier(), wide, np.arange(80) % 2, holdout=0.2)
    assert cv.protocol["data"]["X"]["kind"] == "sparse"


@pytest.mark.parametrize("form", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array, sparse.lil_array])
def test_a_sparse_table_is_scored_as_the_dense_one_whatever_its_form(form):
    rows, targets = np.concatenate([X, X[:3]]), np.concatenate([y, y[:3]])
    cv = tt.CrossValidation(KNeighborsClassifier(), form(rows), targets, folds=2)
    assert [c for c in cv.checks if c.startswith("6 rows occur more than once")]
    dense = tt.CrossValidation(KNeighborsClassifier(), rows, targets, folds=2)
    scores = [c.score(c.fit({}, 0, np.arange(300)), np.arange(300, 500)) for c in (cv, dense)]
    assert scores[0] == scores[1]


def test_equal_sparse_rows_may_store_their_values_in_another_order():
    places = [*(p for i in range(10) for p in (i, 10)), 10, 3]  # the last row is that of 3
    rows = sparse.csr_array((np.ones(22), places, np.arange(0, 23, 2)), shape=(11, 11))
    (said,) = tt.CrossValidation(KNeighborsClassifier(), rows, np.arange(11) % 2, folds=2).checks
    assert said.startswith("2 rows occur more than once")
    assert rows.indices.tolist() == places  # as it was


def test_doubts_are_said_by_run_and_noted_in_the_study(capsys):
    study = tt.Study("s", SPACE, maximize="accuracy", strategy="sobol", seed=1)
    doubled = tt.CrossValidation(KNeighborsClassifier(), np.concatenate([X, X[:1]]), np.append(y, y[0]), folds=2)
    study.run(doubled, trials=1)
    (said,) = study.notices
    assert said.startswith("the data are doubtful: 2 rows occur more than once: a copy may train while the other tests")
    assert f"s: {said}" in capsys.readouterr().err
    study.run(made(folds=2), trials=2)  # other data, in which nothing is doubtful
    assert "doubtful" not in " ".join(study.notices) + capsys.readouterr().err


@pytest.mark.parametrize(
    "form",
    [lambda rows: pd.DataFrame(rows).to_numpy(), list, pd.DataFrame],
    ids=["array of objects", "mappings", "table with lists"],
)
def test_equal_rows_are_found_in_what_is_kept_by_reference(form):
    rows = [{"size": i + 0.5, "tags": [f"tag {i}", "other"]} for i in [*range(20), 3]]
    (said,) = tt.CrossValidation(KNeighborsClassifier(), form(rows), np.arange(21) % 2, folds=2).checks
    assert said.startswith("2 rows occur more than once")


@pytest.mark.parametrize("targets", [y == 1, pd.Series(y).astype("boolean"), y.astype(str)])
def test_targets_of_any_kind_are_looked_for_in_the_columns(targets):
    assert tt.CrossValidation(KNeighborsClassifier(), X, targets).checks == []
    (told,) = tt.CrossValidation(KNeighborsClassifier(), np.column_stack([X, 3.0 - y]), targets).checks
    assert told.startswith("column 30 gives the target away")


def test_rows_that_go_together_by_place_but_not_by_index_are_said():
    table, targets = pd.DataFrame(X), pd.Series(y)
    assert tt.CrossValidation(Ridge(), table, targets).checks == []
    shuffled = tt.CrossValidation(Ridge(), table.sample(frac=1, random_state=0), targets).checks
    assert any("the index of y is not that of X" in c for c in shuffled)


def test_nothing_kept_apart_is_nothing_to_look_at():
    with pytest.raises(SpecError, match=r"holdout=0\.2"):
        made().on_holdout({"n_neighbors": 5}, 0, ["accuracy"])


def test_more_pairs_than_there_are_folds_in_time_are_refused_before_any_runs():
    cv = made(folds=3, time=np.arange(len(y)), metric={"hits": hits})
    study = tt.Study("cv", SPACE, maximize="hits", strategy="sobol", seed=2)
    study.run(cv, trials=2, quiet=True)
    before = study.record
    with pytest.raises(SpecError, match="replicates=6: the objective has folds for 3 pairs only"):
        study.evidence(cv, finalists=1, replicates=6, test_train_ratio=0.5, quiet=True)
    assert study.record == before
    assert len(study.evidence(cv, finalists=1, quiet=True).pairs) == 3


def test_a_certificate_on_the_folds_of_the_search_says_so_proves_nothing_and_tells_no_optimism():
    in_time, shuffled = (
        made(folds=3, time=np.arange(len(y)), metric={"hits": hits}),
        made(folds=3, metric={"hits": hits}),
    )
    found = []
    for cv in (in_time, shuffled):
        study = tt.Study("cv", SPACE, maximize="hits", strategy="sobol", seed=2)
        study.run(cv, trials=4, quiet=True)
        found.append(study.evidence(cv, finalists=1, quiet=True))
    assert [any("folds that the search chose by" in n for n in e.notices) for e in found] == [True, False]
    assert [e.decision for e in found] == ["not shown", "proven"]
    assert [math.isnan(e.optimism) for e in found] == [True, False]


def test_a_study_searches_certifies_and_looks_at_the_hold_out():
    cv = made(folds=3, metric={"hits": hits}, holdout=0.3)
    study = tt.Study("cv", SPACE, maximize="hits", strategy="sobol", seed=2)
    study.run(cv, trials=6, quiet=True)
    found = study.evidence(cv, finalists=1, quiet=True)
    assert found.test_train_ratio == 0.5
    assert len(found.pairs) == 6
    assert 0.9 < found.means[1] <= 1
    first, second = study.holdout(cv), study.holdout(cv, metric="hits")
    assert first.protocol == "hold-out"
    assert first.tuned_trial == found.tuned_trial
    assert first.interval[0] <= first.difference <= first.interval[1]
    assert "bootstrap" in first.text()
    assert any("look 2" in n for n in second.notices)
    assert study.result() == found
    events = list(study.storage.events(study.record.id))
    assert [e.body.get("look") for e in events if e.kind == "holdout"] == [True, None, True, None]
    ran = next(e for e in events if e.kind == "run").body["protocol"]
    assert ran["rows"] == {"search": 398, "holdout": 171}
    assert len(ran["data"]["X"]["sha256"]) == 64
    assert study.verify() == []
    with pytest.raises(SpecError, match="keeps no rows apart"):
        study.holdout(lambda t: 0.0)


def test_later_looks_leave_the_first_answer_as_it_was():
    cv = made(folds=3, metric={"hits": hits}, holdout=0.3)
    study = tt.Study("looks", SPACE, maximize="hits", strategy="sobol", seed=2)
    study.run(cv, trials=4, quiet=True)
    best, other = sorted(range(1, 4), key=lambda n: study.trials[n].params["n_neighbors"])[
        :2
    ]  # far from the default of 50
    first, second, again = (study.holdout(cv, tuned=n) for n in (best, other, best))
    assert (first.compared, second.compared, again.compared) == (1, 3, 1)
    assert (again.difference, again.interval) == (first.difference, first.interval)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"groups": np.arange(len(y)) // 20}, r"in 9 groups, which are drawn as wholes.*only 9 groups: too few"),
        ({"time": np.arange(len(y))}, r"^171 hold-out rows in 29 blocks, which.*follow one another in time"),
        ({"groups": np.arange(len(y))}, r"^1\d\d hold-out rows; two trained models: .* may differ$"),
    ],
)
def test_a_look_says_how_its_rows_hang_together(how, said):
    cv = made(folds=3, metric={"hits": hits}, holdout=0.3, **how)
    study = tt.Study("look", SPACE, maximize="hits", strategy="sobol", seed=2)
    study.run(cv, trials=2, quiet=True)
    assert re.search(said, " ".join(study.holdout(cv, tuned=1).notices))


def test_looks_at_the_holdout_from_the_command_line_are_counted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "model.py").write_text(
        "import trimtab as tt\nfrom sklearn.datasets import load_iris\nfrom sklearn.neighbors import KNeighborsClassifier\n"
        "cv = tt.CrossValidation(KNeighborsClassifier(), *load_iris(return_X_y=True), folds=3, holdout=0.3)\n"
    )
    (tmp_path / "study.yaml").write_text(
        "study: s\nobjective: model.py:cv\nspace: {n_neighbors: {int: [1, 30], default: 30}}\n"
        "maximize: accuracy\nbudget: {trials: 3}\n"
    )

    def call(*words):
        done = CliRunner().invoke(cli, words)
        assert done.exit_code == 0, done.output
        return done.output

    call("run", "study.yaml", "--quiet")
    assert "looked at" not in call("show", "s")
    assert json.loads(call("holdout", "s", "--json"))["protocol"] == "hold-out"
    assert "look 2" in call("holdout", "s", "--trial", "1")
    assert "looked at 2 times" in call("show", "s")
    assert json.loads(call("show", "s", "--json"))["holdout_looks"] == 2


def test_folds_are_steps_at_which_a_rule_may_stop():
    cv = made(folds=6, splits="shared")
    how = {"fidelity": tt.Fidelity("folds", 1, 6), "stopping": "forgiving", "strategy": "random", "seed": 1}
    study = tt.Study("stopped", tt.Space(n_neighbors=tt.Int(1, 300, log=True, default=5)), maximize="accuracy", **how)
    study.run(cv, trials=12, quiet=True)
    assert study.counts["stopped"] > 0
    assert max(t.reached for t in study.trials) == 6


def test_a_fidelity_that_is_more_than_there_are_folds_is_an_error_before_the_first_trial():
    space = tt.Space(n_neighbors=tt.Int(1, 300, log=True, default=5))
    for folds, repeats, high, fits in [(6, 1, 50, False), (6, 1, 6, True), (3, 2, 6, True), (6, 1, 4, True)]:
        fidelity = tt.Fidelity("epochs", 1, high)
        study = tt.Study("s", space, maximize="accuracy", fidelity=fidelity, stopping=None, seed=1)
        if fits:
            study.run(made(folds=folds, repeats=repeats), trials=1, quiet=True)
            assert study.best.reached == high
        else:
            with pytest.raises(ObjectiveError, match=r"high=50, but a trial has 6 folds; write .*\('folds', 1, 6\)"):
                study.run(made(folds=folds, repeats=repeats), trials=1, quiet=True)


def test_a_rule_that_compares_folds_needs_the_same_folds_for_all():
    space = tt.Space(n_neighbors=tt.Int(1, 300, log=True, default=5))
    how = {"fidelity": tt.Fidelity("folds", 1, 5), "stopping": ["forgiving", "wilcoxon"], "seed": 1}
    study = tt.Study("s", space, maximize="accuracy", **how)
    with pytest.raises(ObjectiveError, match=r"wilcoxon.* fold by fold; .*splits='shared'"):
        study.run(made(), trials=1, quiet=True)
    for shared in (made(splits="shared"), made(time=np.arange(len(y)))):
        shared.suits(study.spec)


def test_an_estimator_may_be_a_pipeline_or_a_function_and_its_randomness_is_the_trials():
    pipe = tt.CrossValidation(make_pipeline(StandardScaler(), LogisticRegression()), X, y)
    assert pipe.fit({"logisticregression__C": 0.1}, 1, np.arange(200))[-1].C == 0.1
    tree = tt.CrossValidation(lambda p: DecisionTreeClassifier(**p), X, y)
    assert tree.fit({"max_depth": 2}, 7, np.arange(200)).random_state == 7
    fixed = tt.CrossValidation(DecisionTreeClassifier(random_state=3), X, y)
    assert fixed.fit({"max_depth": 2}, 7, np.arange(200)).random_state == 3


def test_a_score_beside_the_goal_that_a_fold_does_not_have_costs_no_trial():
    folds = iter([0.5, math.nan, 0.25] * 2)
    data = tt.CrossValidation(
        KNeighborsClassifier(), X, y, metric={"hits": hits, "odd": lambda *_: next(folds)}, folds=3
    )
    study = tt.Study("s", SPACE, maximize="hits", seed=1, strategy="random")
    study.run(data, trials=1, quiet=True)
    assert (study.trials[0].state, list(study.trials[0].metrics)) == ("done", ["hits"])
    assert study.trials[0].notes == ("odd=nan was left out: it is not finite",)


def test_tables_keep_their_columns_and_change_the_fingerprint():

    frame, target = pd.DataFrame(X, columns=[f"c{i}" for i in range(30)]), pd.Series(y)
    cv = tt.CrossValidation(KNeighborsClassifier(), frame, target, holdout=0.2)
    assert list(cv.fit({"n_neighbors": 3}, 0, np.arange(100)).feature_names_in_) == list(frame.columns)
    score, groups = cv.on_holdout({"n_neighbors": 3}, 0, ["accuracy"])
    assert math.isfinite(score["accuracy"](np.arange(len(groups))))
    before = cv.protocol["data"]["X"]["sha256"]
    changed = frame.copy()
    changed.iloc[5, 5] += 1
    assert tt.CrossValidation(KNeighborsClassifier(), changed, target).protocol["data"]["X"]["sha256"] != before


def test_an_import_path_says_the_same_of_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "protocol.py").write_text(
        "import trimtab as tt\nfrom sklearn.datasets import load_iris\nfrom sklearn.neighbors import KNeighborsClassifier\n"
        "cv = tt.CrossValidation(KNeighborsClassifier(), *load_iris(return_X_y=True), folds=3)\n"
    )
    study = tt.Study("path", SPACE, maximize="accuracy", strategy="sobol", seed=2)
    study.run("protocol.py:cv", trials=3, quiet=True)
    found = study.evidence("protocol.py:cv", tuned=1, quiet=True)
    assert (found.test_train_ratio, len(found.pairs)) == (0.5, 6)


def test_it_reaches_worker_processes():
    study = tt.Study("workers", SPACE, maximize="accuracy", strategy="sobol", seed=2)
    study.run(made(folds=2), trials=3, workers=2, quiet=True)
    assert study.counts["done"] == 3
