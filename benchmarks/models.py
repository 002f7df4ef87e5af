"""Models that are really trained: scikit-learn's own data sets, small models, cross-validation in three fixed folds.

Tables and surrogates are smooth, and the best settings of surrogates lie at the edges of wide ranges. These losses are
neither: they are rough, have plateaus and ties (a share of 500 digits), and their ranges are those that a practitioner
would write. They are exact: the same setting has the same loss. A setting that cannot be trained has the loss WORST.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
from families import Problem
from tuners import Params

from trimtab import Choice, Float, Int, Space

WORST = {"error": 1.0, "log loss": 5.0, "squared error": 1e5}
USUAL = 200  # random settings that say what is usual
SCALERS = ("StandardScaler", "MinMaxScaler", "RobustScaler")


@cache
def data(name: str) -> tuple[np.ndarray, np.ndarray]:
    from sklearn import datasets

    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return (X[:500] / 16.0, y[:500]) if name == "digits" else (X, y)


def loss(model: Any, dataset: str, metric: str) -> float:
    """The cross-validated loss of an untrained model."""
    from sklearn.metrics import log_loss, mean_squared_error
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict

    X, y = data(dataset)
    folds = (KFold if metric == "squared error" else StratifiedKFold)(3, shuffle=True, random_state=0)
    try:
        said = cross_val_predict(model, X, y, cv=folds, method="predict_proba" if metric == "log loss" else "predict")
    except ValueError:  # it diverged
        return WORST[metric]
    if metric == "error":
        return float(np.mean(said != y))
    found = log_loss(y, np.clip(said, 1e-6, 1)) if metric == "log loss" else mean_squared_error(y, said)
    return min(float(found), WORST[metric])


def _svm(p: Params) -> Any:
    from sklearn.svm import SVC

    return SVC(**p)


def _scaled_svm(p: Params) -> Any:
    from sklearn import preprocessing
    from sklearn.pipeline import make_pipeline

    return make_pipeline(getattr(preprocessing, p["scaler"])(), _svm({k: p[k] for k in ("C", "gamma", "kernel")}))


def _tree(p: Params) -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(random_state=0, **p)


def _logistic(p: Params) -> Any:
    from sklearn import preprocessing
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    expanded = preprocessing.PolynomialFeatures(2 if p["squares"] else 1)
    model = LogisticRegression(C=p["C"], class_weight=p["class_weight"], max_iter=60)
    return make_pipeline(getattr(preprocessing, p["scaler"])(), PCA(10, random_state=0), expanded, model)


def _neighbours(p: Params) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline

    model = KNeighborsClassifier(p["neighbours"], p=p["power"], weights=p["weights"])
    return make_pipeline(PCA(p["components"], whiten=p["whiten"], random_state=0), model)


def _kernel_ridge(p: Params) -> Any:
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scaled = make_pipeline(StandardScaler(), KernelRidge(**p))
    return TransformedTargetRegressor(scaled, transformer=StandardScaler())


def _forest(p: Params) -> Any:
    from sklearn.ensemble import RandomForestRegressor

    return RandomForestRegressor(random_state=0, **p)


def _sgd(p: Params) -> Any:
    from sklearn.linear_model import SGDClassifier

    return SGDClassifier(tol=None, random_state=0, **{"eta0": 0.01, **p})


def _boosting(p: Params) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(early_stopping=False, random_state=0, **p)


def _network(p: Params) -> Any:
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    own = {k: v for k, v in p.items() if k not in ("width", "layers")}
    model = MLPClassifier((p["width"],) * p["layers"], max_iter=8, random_state=0, **own)
    return make_pipeline(StandardScaler(), model)


_C, _GAMMA = Float(1e-3, 1e3, log=True), Float(1e-5, 10.0, log=True)
MODELS: Mapping[str, tuple[Callable[[Params], Any], str, str, Mapping[str, Any]]] = {  # model, data, metric, space
    "svm-digits": (_svm, "digits", "error", {
        "kernel": Choice("rbf", "poly", "sigmoid"), "C": _C, "gamma": _GAMMA,
        "degree": Int(2, 5, when={"kernel": "poly"}),
        "coef0": Float(0.0, 5.0, when={"kernel": ["poly", "sigmoid"]}),
    }),
    "svm-cancer": (_scaled_svm, "breast_cancer", "error", {
        "scaler": Choice(*SCALERS), "kernel": Choice("rbf", "poly", "sigmoid"), "C": _C, "gamma": _GAMMA,
    }),
    "tree-cancer": (_tree, "breast_cancer", "log loss", {
        "max_depth": Int(1, 30), "min_samples_split": Int(2, 50, log=True), "min_samples_leaf": Int(1, 50, log=True),
        "ccp_alpha": Float(1e-5, 0.1, log=True), "criterion": Choice("gini", "entropy"),
        "max_features": Float(0.1, 1.0),
    }),
    "logistic-cancer": (_logistic, "breast_cancer", "log loss", {
        "scaler": Choice(*SCALERS), "squares": Choice(False, True), "C": Float(1e-4, 1e4, log=True),
        "class_weight": Choice(None, "balanced"),
    }),
    "neighbours-digits": (_neighbours, "digits", "log loss", {
        "neighbours": Int(1, 40, log=True), "power": Float(1.0, 5.0), "weights": Choice("uniform", "distance"),
        "components": Int(2, 60), "whiten": Choice(False, True),
    }),
    "ridge-diabetes": (_kernel_ridge, "diabetes", "squared error", {
        "kernel": Choice("rbf", "laplacian", "poly"), "alpha": Float(1e-5, 1e3, log=True),
        "gamma": Float(1e-4, 1e2, log=True), "degree": Int(1, 5, when={"kernel": "poly"}),
        "coef0": Float(0.0, 10.0, when={"kernel": "poly"}),
    }),
    "forest-diabetes": (_forest, "diabetes", "squared error", {
        "n_estimators": Int(5, 40, log=True), "max_depth": Int(1, 20), "min_samples_leaf": Int(1, 40, log=True),
        "max_features": Float(0.1, 1.0), "bootstrap": Choice(True, False),
        "criterion": Choice("squared_error", "friedman_mse"),
    }),
    "sgd-digits": (_sgd, "digits", "log loss", {
        "loss": Choice("log_loss", "modified_huber"), "penalty": Choice("l2", "l1", "elasticnet"),
        "l1_ratio": Float(0.0, 1.0, when={"penalty": "elasticnet"}), "alpha": Float(1e-7, 0.1, log=True),
        "learning_rate": Choice("constant", "invscaling", "adaptive", "optimal"),
        "eta0": Float(1e-4, 10.0, log=True, when={"learning_rate": ["constant", "invscaling", "adaptive"]}),
        "power_t": Float(0.1, 1.0, when={"learning_rate": "invscaling"}), "max_iter": Int(3, 30, log=True),
    }),
    "boosting-wine": (_boosting, "wine", "log loss", {
        "learning_rate": Float(1e-3, 1.0, log=True), "max_iter": Int(5, 40, log=True),
        "max_leaf_nodes": Int(2, 31, log=True), "l2_regularization": Float(1e-6, 100.0, log=True),
        "min_samples_leaf": Int(1, 40, log=True), "max_features": Float(0.1, 1.0),
    }),
    "network-wine": (_network, "wine", "log loss", {
        "width": Int(4, 64, log=True), "layers": Int(1, 3), "activation": Choice("relu", "tanh", "logistic"),
        "solver": Choice("sgd", "adam"), "alpha": Float(1e-6, 10.0, log=True),
        "learning_rate_init": Float(1e-4, 1.0, log=True), "batch_size": Int(8, 64, log=True),
        "momentum": Float(0.0, 0.99, when={"solver": "sgd"}),
    }),
}  # fmt: skip


def models() -> list[Problem]:
    """One problem for each model."""

    def problem(name: str) -> Problem:
        model, dataset, metric, space = MODELS[name]
        return Problem(name, "models", Space(space), lambda p: loss(model(p), dataset, metric), usual=USUAL)

    return [problem(name) for name in MODELS]
