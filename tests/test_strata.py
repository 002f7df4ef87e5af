"""Which labels folds and hold-out share evenly: classes, or strata of one's own where targets are no classes."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier

import trimtab as tt
from trimtab.errors import SpecError

X, y = load_breast_cancer(return_X_y=True)
SEARCH = SimpleNamespace(purpose="search", seed=1, replicate=None, fidelity=None, params={})


def survival(n=60, seed=0):
    """Rows, and for each row whether and when it ended, as scikit-survival wants it."""
    rng = np.random.default_rng(seed)
    ended = np.arange(n) % 4 == 0
    return rng.normal(size=(n, 2)), np.array(list(zip(ended, rng.exponential(size=n), strict=True)), "?, f8")


def late(model, X, y):
    return float(y["f1"].mean())


def test_records_are_no_classes():
    """Neither by default, nor if the user says so: no two events and times are equal."""
    rows, ends = survival()
    how = {"folds": 3, "metric": {"late": late}, "holdout": 0.25}
    assert tt.CrossValidation(lambda params: Ridge(), rows, ends, **how).protocol["respects"] == "nothing"
    with pytest.raises(SpecError, match="y is records; leave it out, or give a label for each row"):
        tt.CrossValidation(lambda params: Ridge(), rows, ends, stratify=True, **how)


def test_folds_and_hold_out_have_the_same_share_of_each_label_of_ones_own():
    rows, ends = survival()
    cv = tt.CrossValidation(
        lambda params: Ridge(), rows, ends, folds=3, metric={"late": late}, holdout=0.2, stratify=ends["f0"]
    )
    _, held = cv.plan.search_and_holdout(60, 0.2, 0)
    assert ends["f0"][held].sum() == 3
    assert [ends["f0"][b].sum() for _, b in cv.folds_of(SEARCH)] == [4, 4, 4]
    assert (cv.protocol["respects"], cv.protocol["classes"]) == ("strata", {"False": 45, "True": 15})
    grouped = tt.CrossValidation(Ridge(), X, X[:, 0], metric="r2", groups=np.arange(len(y)) // 3, stratify=y)
    assert grouped.protocol["respects"] == "groups and strata"


def test_other_strata_may_hold_out_other_rows_and_are_refused():
    def by(labels):
        return tt.CrossValidation(KNeighborsClassifier(), X, y, folds=3, holdout=0.3, stratify=labels)

    study = tt.Study("strata", tt.Space(n_neighbors=tt.Int(1, 60, default=50)), maximize="accuracy", seed=2)
    study.run(by(y), trials=2, quiet=True)
    with pytest.raises(SpecError, match=r"not the rows that the search left alone: .*stratify differ"):
        study.holdout(by(np.arange(len(y)) % 2))
