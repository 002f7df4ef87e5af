"""Metrics of a cross-validation: scikit-learn's by name, and the user's own functions."""

import math
from functools import partial

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import Ridge
from sklearn.metrics import accuracy_score, balanced_accuracy_score, make_scorer
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer
from sklearn.tree import DecisionTreeClassifier

import trimtab as tt
from trimtab.errors import ObjectiveError, SpecError
from trimtab.objective.source import text_of
from trimtab.storage import open_storage

X, y = load_breast_cancer(return_X_y=True)
SPACE = tt.Space(n_neighbors=tt.Int(1, 60, log=True, default=50))


def made(**how):
    return tt.CrossValidation(KNeighborsClassifier(), X, y, **how)


def hits(model, X, y):
    """Accuracy, without the checks that a scorer of scikit-learn makes each time."""
    return float((model.predict(X) == y).mean())


def misses(model, X, y):
    return 1 - hits(model, X, y)


def test_a_scorer_of_another_name_is_told_with_the_nearest_one():
    with pytest.raises(SpecError, match="metric='auc': no scorer of scikit-learn; did you mean 'roc_auc'"):
        made(metric="auc")
    with pytest.raises(SpecError, match="no scorer of scikit-learn; give one of"):
        made(metric="zzz")


def test_scores_of_functions_and_params_of_functions_are_the_users_own_affair():
    cv = tt.CrossValidation(lambda params: KNeighborsClassifier(params["k"]), X, y, folds=2, metric={"misses": misses})
    study = tt.Study("s", {"k": tt.Int(1, 9)}, minimize="misses", seed=1)
    study.run(cv, trials=2, quiet=True)
    assert study.counts["done"] == 2


def test_names_and_functions_may_be_mixed_in_a_mapping():
    cv = made(folds=2, metric={"hits": hits, "right": "accuracy", "wrong": misses})
    scores = cv.score(cv.fit({}, 0, np.arange(300)), np.arange(300, 569))
    assert scores["hits"] == scores["right"] == 1 - scores["wrong"]
    tt.Study("s", SPACE, minimize="wrong", seed=1).run(cv, trials=1, quiet=True)
    with pytest.raises(ObjectiveError, match=r"minimize='right'.*better when greater"):
        tt.Study("s", SPACE, minimize="right", seed=1).run(cv, trials=1, quiet=True)


@pytest.mark.parametrize(
    ("metric", "targets", "said"),
    [
        ("average_precision", np.where(y == 1, "good", "bad"), r"pos_label=1 .*; write y as 0 and 1"),
        (["accuracy", "f1"], np.where(y == 1, "good", "bad"), "metric='f1' .*; write y as 0 and 1"),
        ("roc_auc", np.arange(len(y)) % 3, "metric='roc_auc' .*; choose a scorer for more than two classes"),
        ("average_precision", X[:, 0] / 7, "continuous.*; write metric='r2'"),
        ("f1_samples", y, "multilabel classification; choose another scorer"),
    ],
)
def test_a_scorer_that_cannot_score_these_targets_is_refused_before_anything_is_trained(metric, targets, said):
    with pytest.raises(SpecError, match=said):
        tt.CrossValidation(lambda params: KNeighborsClassifier(**params), X, targets, metric=metric)


@pytest.mark.parametrize("metric", ["precision", "precision_macro"])
def test_whether_a_scorer_can_score_is_found_out_without_a_warning(metric):
    """Such as that the constant prediction by which that is found out has no precision: here, warnings are errors."""
    assert tt.CrossValidation(KNeighborsClassifier(), X, 1 - y, metric=metric).protocol["metrics"] == [metric]


@pytest.mark.parametrize("metric", ["roc_auc", "neg_log_loss", "f1_macro", "balanced_accuracy"])
def test_text_labels_suit_the_scorers_that_look_for_no_single_class(metric):
    cv = tt.CrossValidation(KNeighborsClassifier(), X, np.where(y == 1, "good", "bad"), folds=2, metric=metric)
    assert math.isfinite(cv.score(cv.fit({}, 0, np.arange(300)), np.arange(300, 500))[metric])


def test_amounts_that_could_be_classes_may_be_scored_as_amounts_by_an_estimator_that_a_function_makes():
    counts = np.random.default_rng(0).poisson(2, len(y)) % 3
    for metric in ("neg_mean_poisson_deviance", "r2", "neg_mean_absolute_error"):
        cv = tt.CrossValidation(lambda params: Ridge(**params), X, counts, metric=metric)
        assert cv.protocol["metrics"] == [metric]


def tree_of_at_most(leaves, params):
    return DecisionTreeClassifier(max_leaf_nodes=leaves, **params)


def test_the_record_names_the_function_that_makes_the_estimator_also_one_with_bound_arguments():
    cv = tt.CrossValidation(partial(tree_of_at_most, 8), X, y)
    assert cv.protocol["estimator"] == f"{__name__}.tree_of_at_most"


def doubled(rows):
    return 2 * rows


def tripled(rows):
    return 3 * rows


tripled.__qualname__ = doubled.__qualname__  # as the same function after a change


@pytest.mark.parametrize(
    ("before", "after"), [(4, 7), (doubled, tripled), (np.log1p, np.expm1)], ids=["number", "function", "ufunc"]
)
def test_a_change_anywhere_in_a_long_pipeline_is_other_code(before, after):
    """Its repr leaves out the middle, and of functions the code."""

    def text(part):
        step = KBinsDiscretizer(part) if isinstance(part, int) else FunctionTransformer(part)
        columns = [[f"a_column_with_a_rather_long_name_{i}" for i in range(k, k + 20)] for k in (0, 20)]
        model = make_pipeline(ColumnTransformer([("n", "drop", columns[0]), ("b", step, columns[1])]), Ridge())
        return text_of(tt.CrossValidation(model, X, y, metric="r2"))

    assert text(before) == text(before) != text(after)


def test_another_metric_or_estimator_of_the_user_s_is_other_code():
    def studied(leaves, metric):
        cv = tt.CrossValidation(partial(tree_of_at_most, leaves), X, y, folds=2, metric={"right": metric})
        study = tt.Study("s", {"max_depth": tt.Int(1, 5)}, maximize="right", storage=store, seed=1)
        study.run(cv, trials=study.counts["done"] + 1, quiet=True)
        return sum(bool(e.changed) for e in store.events(study.record.id, kinds={"inputs"}))

    store = open_storage("memory://")
    adjusted = make_scorer(balanced_accuracy_score, adjusted=True)
    scorers = hits, hits, misses, make_scorer(accuracy_score), make_scorer(balanced_accuracy_score), adjusted
    assert [studied(8, s) for s in scorers] == [0, 0, 1, 2, 3, 4]
    assert studied(9, adjusted) == 5
