"""Models that are really trained: scikit-learn's own data sets and generators, small models, three fixed folds.

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

    match name:
        case "friedman1":
            X, y = datasets.make_friedman1(300, noise=1.0, random_state=0)
        case "friedman3":
            X, y = datasets.make_friedman3(300, noise=0.1, random_state=1)
        case "moons":
            X, y = datasets.make_moons(300, noise=0.25, random_state=0)
        case "clusters":
            X, y = datasets.make_classification(
                400, n_informative=6, n_redundant=4, n_classes=3, flip_y=0.05, random_state=0
            )
        case "digits":
            X, y = (part[:500] for part in datasets.load_digits(return_X_y=True))
            X = X / 16.0
        case _:
            X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return X, y


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


def _scaled(scaler: str, *steps: Any) -> Any:
    from sklearn import preprocessing
    from sklearn.pipeline import make_pipeline

    return make_pipeline(getattr(preprocessing, scaler)(), *steps)


def _svm(p: Params) -> Any:
    from sklearn.svm import SVC

    return SVC(**p)


def _scaled_svm(p: Params) -> Any:
    return _scaled(p["scaler"], _svm({k: p[k] for k in ("C", "gamma", "kernel")}))


def _tree(p: Params) -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(random_state=0, **p)


def _logistic(p: Params) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import PolynomialFeatures

    expanded = PolynomialFeatures(2 if p["squares"] else 1)
    model = LogisticRegression(C=p["C"], class_weight=p["class_weight"], max_iter=60)
    return _scaled(p["scaler"], PCA(10, random_state=0), expanded, model)


def _neighbours(p: Params) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline

    model = KNeighborsClassifier(p["neighbours"], p=p["power"], weights=p["weights"])
    return make_pipeline(PCA(p["components"], whiten=p["whiten"], random_state=0), model)


def _kernel_ridge(p: Params) -> Any:
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.preprocessing import StandardScaler

    return TransformedTargetRegressor(_scaled("StandardScaler", KernelRidge(**p)), transformer=StandardScaler())


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

    own = {k: v for k, v in p.items() if k not in ("width", "layers")}
    model = MLPClassifier((p["width"],) * p["layers"], max_iter=8, random_state=0, **own)
    return _scaled("StandardScaler", model)


def _regression_svm(p: Params) -> Any:
    from sklearn.svm import SVR

    own = {k: v for k, v in p.items() if k != "scaler"}
    return _scaled(p["scaler"], SVR(max_iter=3000, **own))


def _staged_boosting(p: Params) -> Any:
    from sklearn.ensemble import GradientBoostingRegressor

    return GradientBoostingRegressor(random_state=0, **p)


def _weighted_trees(p: Params) -> Any:
    from sklearn.ensemble import AdaBoostClassifier

    own = {k: v for k, v in p.items() if k not in ("n_estimators", "learning_rate")}
    return AdaBoostClassifier(
        _tree(own), n_estimators=p["n_estimators"], learning_rate=p["learning_rate"], random_state=0
    )


def _regression_network(p: Params) -> Any:
    from sklearn.neural_network import MLPRegressor

    own = {k: v for k, v in p.items() if k != "width"}
    return _scaled("StandardScaler", MLPRegressor(hidden_layer_sizes=(p["width"],), random_state=0, **own))


def _kernel_approximation(p: Params) -> Any:
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import LogisticRegression

    own = {k: v for k, v in p.items() if k not in ("C", "class_weight")}
    model = LogisticRegression(C=p["C"], class_weight=p["class_weight"], max_iter=60)
    return _scaled("StandardScaler", Nystroem(random_state=0, **own), model)


def _selected_neighbours(p: Params) -> Any:
    from sklearn.feature_selection import SelectKBest
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(p["neighbours"], metric=p["metric"], weights=p["weights"])
    return _scaled(p["scaler"], SelectKBest(k=p["columns"]), model)


def _splines(p: Params) -> Any:
    from sklearn.feature_selection import SelectKBest, f_regression
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import SplineTransformer

    own = {k: v for k, v in p.items() if k not in ("columns", "alpha")}
    return make_pipeline(SelectKBest(f_regression, k=p["columns"]), SplineTransformer(**own), Ridge(p["alpha"]))


def _discriminant(p: Params) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
    from sklearn.naive_bayes import GaussianNB

    match p["kind"]:
        case "linear":
            model = LinearDiscriminantAnalysis(solver=p["solver"], shrinkage=p["shrinkage"])
        case "quadratic":
            model = QuadraticDiscriminantAnalysis(reg_param=p["reg_param"])
        case _:
            model = GaussianNB(var_smoothing=p["var_smoothing"])
    return _scaled(p["scaler"], PCA(p["components"], whiten=p["whiten"]), model)


def _regression_tree(p: Params) -> Any:
    from sklearn.tree import DecisionTreeRegressor

    return DecisionTreeRegressor(random_state=0, **p)


def _linear(p: Params) -> Any:
    from sklearn import linear_model
    from sklearn.feature_selection import SelectKBest, f_regression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    own = {k: v for k, v in p.items() if k in ("alpha", "epsilon")}
    expanded = PolynomialFeatures(p["degree"], interaction_only=p["products_only"], include_bias=False)
    kept = SelectKBest(f_regression, k=min(p["columns"], 10 if p["degree"] == 1 else 55))
    model = getattr(linear_model, p["model"])(max_iter=100, **own)
    return make_pipeline(StandardScaler(), expanded, kept, StandardScaler(), model)


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
    "svm-friedman1": (_regression_svm, "friedman1", "squared error", {
        "kernel": Choice("rbf", "poly", "linear", "sigmoid"), "C": Float(0.01, 1e3, log=True),
        "gamma": Float(1e-4, 10.0, log=True), "epsilon": Float(1e-3, 2.0, log=True), "scaler": Choice(*SCALERS),
    }),
    "boosting-friedman1": (_staged_boosting, "friedman1", "squared error", {
        "learning_rate": Float(0.01, 1.0, log=True), "n_estimators": Int(10, 60, log=True), "max_depth": Int(1, 8),
        "subsample": Float(0.3, 1.0), "max_features": Float(0.1, 1.0), "min_samples_leaf": Int(1, 40, log=True),
        "loss": Choice("squared_error", "absolute_error", "huber"),
    }),
    "adaboost-moons": (_weighted_trees, "moons", "error", {
        "n_estimators": Int(5, 80, log=True), "learning_rate": Float(0.01, 5.0, log=True), "max_depth": Int(1, 8),
        "min_samples_leaf": Int(1, 40, log=True), "criterion": Choice("gini", "entropy"),
        "splitter": Choice("best", "random"),
    }),
    "network-friedman1": (_regression_network, "friedman1", "squared error", {
        "width": Int(4, 128, log=True), "activation": Choice("relu", "tanh", "logistic", "identity"),
        "alpha": Float(1e-6, 10.0, log=True), "learning_rate_init": Float(1e-4, 0.1, log=True),
        "batch_size": Int(8, 128, log=True), "beta_1": Float(0.5, 0.99), "max_iter": Int(5, 40, log=True),
    }),
    "nystroem-clusters": (_kernel_approximation, "clusters", "log loss", {
        "kernel": Choice("rbf", "laplacian", "polynomial", "sigmoid"), "gamma": Float(1e-4, 10.0, log=True),
        "degree": Int(2, 4, when={"kernel": "polynomial"}), "n_components": Int(5, 150, log=True),
        "C": Float(1e-4, 1e3, log=True), "class_weight": Choice(None, "balanced"),
    }),
    "neighbours-clusters": (_selected_neighbours, "clusters", "error", {
        "columns": Int(1, 20), "neighbours": Int(1, 60, log=True),
        "metric": Choice("euclidean", "manhattan", "chebyshev", "cosine"), "weights": Choice("uniform", "distance"),
        "scaler": Choice(*SCALERS),
    }),
    "boosting-clusters": (_boosting, "clusters", "log loss", {
        "learning_rate": Float(0.01, 1.0, log=True), "max_iter": Int(5, 50, log=True),
        "max_leaf_nodes": Int(2, 64, log=True), "max_depth": Int(1, 10), "max_bins": Int(8, 255, log=True),
        "l2_regularization": Float(1e-6, 100.0, log=True), "min_samples_leaf": Int(1, 80, log=True),
        "max_features": Float(0.1, 1.0),
    }),
    "splines-friedman1": (_splines, "friedman1", "squared error", {
        "columns": Int(3, 10), "n_knots": Int(2, 12), "degree": Int(1, 4), "knots": Choice("uniform", "quantile"),
        "extrapolation": Choice("constant", "linear"), "alpha": Float(1e-4, 1e3, log=True),
    }),
    "discriminant-iris": (_discriminant, "iris", "log loss", {
        "scaler": Choice(*SCALERS), "components": Int(1, 4), "whiten": Choice(False, True),
        "kind": Choice("linear", "quadratic", "naive"),
        "solver": Choice("lsqr", "eigen", when={"kind": "linear"}),
        "shrinkage": Float(1e-4, 1.0, log=True, when={"kind": "linear"}),
        "reg_param": Float(1e-4, 1.0, log=True, when={"kind": "quadratic"}),
        "var_smoothing": Float(1e-10, 1.0, log=True, when={"kind": "naive"}),
    }),
    "tree-friedman3": (_regression_tree, "friedman3", "squared error", {
        "max_depth": Int(1, 30), "min_samples_split": Int(2, 60, log=True), "min_samples_leaf": Int(1, 60, log=True),
        "ccp_alpha": Float(1e-6, 0.1, log=True), "max_features": Float(0.2, 1.0),
        "criterion": Choice("squared_error", "absolute_error", "friedman_mse"),
    }),
    "network-digits": (_network, "digits", "log loss", {
        "width": Int(8, 64, log=True), "layers": Int(1, 2), "activation": Choice("relu", "tanh", "logistic"),
        "solver": Choice("sgd", "adam"), "learning_rate_init": Float(1e-4, 1.0, log=True),
        "momentum": Float(0.0, 0.99, when={"solver": "sgd"}), "alpha": Float(1e-6, 10.0, log=True),
        "batch_size": Int(16, 128, log=True),
    }),
    "linear-diabetes": (_linear, "diabetes", "squared error", {
        "model": Choice("HuberRegressor", "Ridge", "Lasso", "BayesianRidge"),
        "epsilon": Float(1.0, 5.0, when={"model": "HuberRegressor"}),
        "alpha": Float(1e-5, 100.0, log=True, when={"model": ["HuberRegressor", "Ridge", "Lasso"]}),
        "degree": Int(1, 2), "products_only": Choice(False, True), "columns": Int(1, 60),
    }),
}  # fmt: skip


def models() -> list[Problem]:
    """One problem for each model."""

    def problem(name: str) -> Problem:
        model, dataset, metric, space = MODELS[name]
        return Problem(name, "models", Space(space), lambda p: loss(model(p), dataset, metric), usual=USUAL)

    return [problem(name) for name in MODELS]
