"""The demo's problem: which of a bank's card holders will not pay next month, with a model that fits a small machine.

Data: 30,000 card holders of a bank in Taiwan, 2005, 22.12 % of whom defaulted (data/LICENSE). Columns of X, in order: 0
LIMIT_BAL (credit limit), 1-4 SEX EDUCATION MARRIAGE AGE, 5-10 PAY_0..PAY_6 (months in arrears, latest month first),
11-16 BILL_AMT1..6 (monthly bills), 17-22 PAY_AMT1..6 (monthly payments); y (n,) is 1 for a default.

Protocol. 10,000 rows are for tuning, by cross-validation. The other 20,000 are the reserve, which tuning never sees: a
`certify` trial trains on 19 of its 20 folds and tests on fold `trial.replicate`, twice; a `select` trial rehearses that
on the tuning rows. A pair is thus about models trained on 19,000 rows. More rows compensate for some of what poor
settings do, so the gain of the final model, fitted to all 30,000 rows, can be smaller. On more rows early stopping ends
later and models grow larger: the limit is on the size that a setting can reach, with all its iterations.
"""

import hashlib
import lzma
import pickle
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..space import Choice, Float, Int, Params, Space

if TYPE_CHECKING:
    from ..objective import ActiveTrial

Labels = NDArray[np.int32]
Split = tuple[NDArray[np.int64], NDArray[np.int64]]  # row numbers: training, test

SEED = 350
TUNING = 10_000  # rows
CV = 5  # folds of the tuning rows
FOLDS = 20  # of the reserve: also the number of pairs; and of the tuning rows when finalists run again
REPEATS = 2  # trainings on a fold, each with a seed of its own: the mean says more of the setting
RATIO = 1 / (FOLDS - 1)  # test rows over training rows of a pair
LIMIT = "size_kib <= 192"
_LIMIT_BAL, _PAY, _BILL, _PAID = 0, slice(5, 11), slice(11, 17), slice(17, 23)


def space() -> Space:
    """What is tuned: the preprocessing and scikit-learn's HistGradientBoostingClassifier, whose defaults these are.

    `early_stopping` is "auto" in scikit-learn, which is true for training sets of more than 10,000 rows.
    """
    return Space(
        features=Choice("raw", "ratios", "ratios and history", default="raw"),
        learning_rate=Float(0.01, 0.5, log=True, default=0.1),
        max_iter=Int(20, 500, log=True, default=100),
        growth=Choice("by leaves", "by depth", default="by leaves"),
        max_leaf_nodes=Int(4, 64, log=True, default=31, when={"growth": "by leaves"}),
        max_depth=Int(2, 8, default=5, when={"growth": "by depth"}),
        min_samples_leaf=Int(5, 500, log=True, default=20),
        l2_regularization=Float(0.0, 20.0, default=0.0),
        max_features=Float(0.1, 1.0, default=1.0),
        early_stopping=Choice(True, False, default=True),
    )


def objective(trial: "ActiveTrial") -> dict[str, float]:
    """AUC and size of the full-grown model: the mean over the folds of the search, or over trainings on one finer fold."""
    fold, seeds = int(trial.replicate or 0) % FOLDS, range(trial.seed, trial.seed + REPEATS)
    match trial.purpose:
        case "certify":
            runs = [(reserve()[fold], seed) for seed in seeds]
        case "select":
            runs = [(rehearsal()[fold], seed) for seed in seeds]
        case _:
            runs = [(split, trial.seed) for split in tuning()]
    fitted = [model(trial.params, seed).fit(*rows(train)) for (train, _), seed in runs]
    auc = np.mean([score(m, test) for m, ((_, test), _) in zip(fitted, runs, strict=True)])
    return {"auc": float(auc), "size_kib": full_grown_kib(fitted[0], trial.params, trial.seed, runs[0][0][0])}


def score(fitted: Any, test: NDArray[np.int64]) -> float:
    """AUC on these rows."""
    from sklearn.metrics import roc_auc_score

    X, y = rows(test)
    return float(roc_auc_score(y, fitted.predict_proba(X)[:, 1]))


def full_grown_kib(fitted: Any, params: Params, seed: int, train: NDArray[np.int64]) -> float:
    """The size in KiB without early stopping: beyond one iteration it grows in proportion."""
    size, grown, whole = size_kib(fitted), int(fitted[-1].n_iter_), int(fitted[-1].max_iter)
    if grown == whole:
        return size
    least = size_kib(model({**params, "max_iter": 1}, seed).fit(*rows(train)))
    return least + (size - least) * (whole - 1) / max(1, grown - 1)


def model(params: Params, seed: int) -> Any:
    """The pipeline for a setting, not yet fitted."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    by_leaves = params["growth"] == "by leaves"
    booster = HistGradientBoostingClassifier(
        learning_rate=params["learning_rate"],
        max_iter=params["max_iter"],
        max_leaf_nodes=params["max_leaf_nodes"] if by_leaves else None,
        max_depth=None if by_leaves else params["max_depth"],
        min_samples_leaf=params["min_samples_leaf"],
        l2_regularization=params["l2_regularization"],
        max_features=params["max_features"],
        early_stopping=params["early_stopping"],
        random_state=seed % 2**32,
    )
    return make_pipeline(FunctionTransformer(enrich, kw_args={"features": params["features"]}), booster)


def enrich(X: Array, features: str) -> Array:
    """X (n, 23) followed by the columns that `features` asks for."""
    limit, bill, paid, arrears = X[:, [_LIMIT_BAL]], X[:, _BILL], X[:, _PAID], X[:, _PAY]
    ratios = [bill / limit, bill.mean(1, keepdims=True) / limit, paid.sum(1, keepdims=True) / limit]
    ratios.append(paid.sum(1, keepdims=True) / np.maximum(bill.sum(1, keepdims=True), 1.0))
    history = [(bill[:, :-1] - bill[:, 1:]) / limit]  # from month to month
    history += [arrears.max(1, keepdims=True), arrears.mean(1, keepdims=True), (arrears > 0).sum(1, keepdims=True)]
    added = {"raw": [], "ratios": ratios, "ratios and history": ratios + history}[features]
    return np.hstack([X, *added])


def size_kib(fitted: Any) -> float:
    """The size of a fitted model as it is saved. Unlike a time, it is the same on each run."""
    return len(pickle.dumps(fitted)) / 1024


# ---------------------------------------------------------------------------------------------------------------- data

FILE = Path(__file__).parent / "data" / "credit.csv.xz"


def _text() -> bytes:
    return lzma.decompress(FILE.read_bytes())


@cache
def table() -> tuple[Array, Labels]:
    """X (30000, 23) and y (30000,)."""
    rows = np.loadtxt(_text().decode().splitlines(), delimiter=",", skiprows=1, dtype=np.int32)
    return rows[:, :-1].astype(np.float64), rows[:, -1]


def rows(which: NDArray[np.int64]) -> tuple[Array, Labels]:
    """These rows of X and y."""
    X, y = table()
    return X[which], y[which]


@cache
def fingerprint() -> str:
    """SHA-256 of the data's text."""
    return hashlib.sha256(_text()).hexdigest()


def _parts() -> Split:
    """Row numbers for tuning, and of the reserve."""
    order = np.random.default_rng(SEED).permutation(len(table()[1]))
    return order[:TUNING], order[TUNING:]


def _folds(rows: NDArray[np.int64], k: int) -> list[Split]:
    """k stratified folds of `rows`, as row numbers."""
    from sklearn.model_selection import StratifiedKFold

    folds = StratifiedKFold(k, shuffle=True, random_state=SEED).split(rows, table()[1][rows])
    return [(rows[train], rows[test]) for train, test in folds]


@cache
def tuning() -> list[Split]:
    """The folds for the search."""
    return _folds(_parts()[0], CV)


@cache
def rehearsal() -> list[Split]:
    """The folds on which the finalists are measured again: like those of the reserve, but on the rows of the search."""
    return _folds(_parts()[0], FOLDS)


@cache
def reserve() -> list[Split]:
    """The folds on which tuned and baseline are compared."""
    return _folds(_parts()[1], FOLDS)
