"""Losses that are shares of a few hundred rows: the error of small classifiers, cross-validated in fixed folds.

They come in steps and tie over wide regions, the more so as ranges are as wide as in many an example (a C between 1e-10
and 1e10). They are exact: the same setting has the same loss.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
from families import Problem
from tuners import Params

from trimtab import Choice, Float, Int, Space

USUAL = 200  # random settings that say what is usual


@cache
def data(name: str) -> tuple[np.ndarray, np.ndarray]:
    from sklearn import datasets

    match name:
        case "moons":
            X, y = datasets.make_moons(200, noise=0.3, random_state=1)
        case "clusters":
            X, y = datasets.make_classification(150, 15, n_informative=5, random_state=2)
        case "digits":
            X, y = (part[:250] for part in datasets.load_digits(return_X_y=True))
            X = X / 16
        case _:
            X, y = (part[:300] for part in getattr(datasets, f"load_{name}")(return_X_y=True))
    return X, y


def error(model: Any, dataset: str) -> float:
    """The mean over folds of the share of rows that an untrained model gets wrong."""
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    X, y = data(dataset)
    folds = StratifiedKFold(5 if len(X) < 200 else 3, shuffle=True, random_state=0)
    return float(1 - cross_val_score(model, X, y, cv=folds).mean())


def _scaled(p: Params, *steps: Any) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    scalers = {"standard": [StandardScaler()], "range": [MinMaxScaler()], "none": []}
    return make_pipeline(*scalers[p["scale"]], *steps)


def _svm(p: Params, **fixed: Any) -> Any:
    from sklearn.svm import SVC

    return SVC(**{k: v for k, v in p.items() if k != "kind"}, **fixed)


def _svm_or_forest(p: Params) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    if p["kind"] == "svm":
        return _svm(p, gamma="auto")
    return RandomForestClassifier(10, max_depth=p["max_depth"], random_state=0)


def _logistic(p: Params) -> Any:
    from sklearn.linear_model import LogisticRegression

    return _scaled(p, LogisticRegression(C=p["C"], class_weight=p["class_weight"], max_iter=50))


def _ridge(p: Params) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.linear_model import RidgeClassifier

    return _scaled(p, PCA(p["components"]), RidgeClassifier(alpha=p["alpha"]))


def _tree(p: Params) -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(random_state=0, **p)


def _trees(p: Params) -> Any:
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier(random_state=0, **p)


def _neighbours(p: Params) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(p["n_neighbors"], p=p["p"], weights=p["weights"])
    return _scaled(p, PCA(p["components"], whiten=p["whiten"], random_state=0), model)


def _bayes(p: Params) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.naive_bayes import GaussianNB

    reduced = PCA(p["components"], whiten=p["whiten"], random_state=0)
    return _scaled(p, reduced, GaussianNB(var_smoothing=p["var_smoothing"]))


def _descent(p: Params) -> Any:
    from sklearn.linear_model import SGDClassifier

    own = {k: v for k, v in p.items() if k != "scale"}
    return _scaled(p, SGDClassifier(max_iter=20, tol=None, random_state=0, **own))


WIDE = Float(1e-10, 1e10, log=True)
SCALE = Choice("standard", "none")
TREE = {
    "max_depth": Int(1, 30), "min_samples_split": Int(2, 60), "min_samples_leaf": Int(1, 40),
    "ccp_alpha": Float(1e-8, 1, log=True), "criterion": Choice("gini", "entropy"), "max_features": Float(0.1, 1),
}  # fmt: skip
NEIGHBOURS = {"n_neighbors": Int(1, 60), "p": Float(1, 5), "weights": Choice("uniform", "distance")}

SHARES: Mapping[str, tuple[Callable[[Params], Any], str, Mapping[str, Any]]] = {  # -> model, data set, space
    "svm-iris": (lambda p: _svm(p, gamma="auto"), "iris", {"C": WIDE, "degree": Int(1, 5)}),
    "svm-or-forest-iris": (_svm_or_forest, "iris", {
        "kind": Choice("svm", "forest"), "C": Float(1e-10, 1e10, log=True, when={"kind": "svm"}),
        "max_depth": Int(2, 32, log=True, when={"kind": "forest"}),
    }),
    "svm-wine": (_svm, "wine", {
        "C": Float(1e-6, 1e6, log=True), "gamma": Float(1e-8, 1e2, log=True), "kernel": Choice("rbf", "sigmoid"),
    }),
    "svm-cancer": (lambda p: _svm(p, max_iter=3000), "breast_cancer", {
        "C": Float(1e-6, 1e6, log=True), "gamma": Float(1e-10, 1e2, log=True), "shrinking": Choice(True, False),
    }),
    "svm-moons": (lambda p: _svm(p, max_iter=3000), "moons", {
        "C": Float(1e-4, 1e4, log=True), "gamma": Float(1e-4, 1e4, log=True),
        "kernel": Choice("rbf", "poly", "sigmoid"), "degree": Int(2, 5, when={"kernel": "poly"}),
    }),
    "logistic-wine": (_logistic, "wine", {
        "C": WIDE, "class_weight": Choice(None, "balanced"), "scale": Choice("standard", "range", "none"),
    }),
    "ridge-clusters": (_ridge, "clusters", {"alpha": WIDE, "components": Int(1, 15), "scale": SCALE}),
    "tree-iris": (_tree, "iris", TREE),
    "tree-clusters": (_tree, "clusters", TREE),
    "trees-iris": (_trees, "iris", {
        "n_estimators": Int(1, 20), "max_depth": Int(1, 20), "min_samples_leaf": Int(1, 30),
        "max_features": Float(0.1, 1), "criterion": Choice("gini", "entropy"),
    }),
    "neighbours-wine": (_neighbours, "wine", {
        **NEIGHBOURS, "scale": Choice("standard", "range", "none"), "components": Int(1, 13),
        "whiten": Choice(False, True),
    }),
    "neighbours-digits": (_neighbours, "digits", {
        **NEIGHBOURS, "scale": SCALE, "components": Int(1, 60), "whiten": Choice(False, True),
    }),
    "bayes-wine": (_bayes, "wine", {
        "var_smoothing": Float(1e-12, 1e6, log=True), "components": Int(1, 13), "whiten": Choice(True, False),
        "scale": SCALE,
    }),
    "descent-clusters": (_descent, "clusters", {
        "alpha": Float(1e-10, 1e2, log=True), "eta0": Float(1e-6, 1e2, log=True),
        "learning_rate": Choice("constant", "adaptive", "invscaling"), "penalty": Choice("l1", "l2"), "scale": SCALE,
    }),
}  # fmt: skip


def shares() -> list[Problem]:
    """One problem for each classifier."""

    def problem(name: str) -> Problem:
        model, dataset, space = SHARES[name]
        return Problem(name, "shares", Space(space), lambda p: error(model(p), dataset), usual=USUAL)

    return [problem(name) for name in SHARES]
