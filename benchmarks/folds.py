"""How many fold fits does early stopping save in a cross-validation, and does it find as good a setting?

    python benchmarks/folds.py [--seeds 10] [--trials 40]

Ten folds of real data (breast cancer, scikit-learn): random search over a support-vector machine, with all folds and with
the forgiving rule, the Wilcoxon rule and both, on the same splits and settings. `score` is the mean accuracy over all ten
folds of the setting that the study names best; `fits` are folds that were trained. Prints a table, writes
benchmarks/results/folds.csv.
"""

import argparse
from functools import cache
from typing import Any

import numpy as np
from figures import write
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import trimtab as tt

FOLDS = 10
SPACE = tt.Space(
    C=tt.Float(1e-3, 1e3, log=True),
    gamma=tt.Float(1e-5, 10.0, log=True),
    kernel=tt.Choice("rbf", "sigmoid", "linear"),
)


@cache
def data(seed: int) -> tuple[np.ndarray, np.ndarray, list[Any]]:
    """X, y and the splits that all trials of a seed share."""
    X, y = load_breast_cancer(return_X_y=True)
    return X, y, list(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(X, y))


@cache
def fold(seed: int, i: int, C: float, gamma: float, kernel: str) -> float:
    """A fold's accuracy; that of a setting which another rule has met is known."""
    X, y, splits = data(seed)
    train, test = splits[i]
    model = make_pipeline(StandardScaler(), SVC(C=C, gamma=gamma, kernel=kernel)).fit(X[train], y[train])
    return float(model.score(X[test], y[test]))


def study(seed: int, stopping: str | list[str] | None, trials: int) -> tuple[float, float]:
    """(mean accuracy of the best over all folds, fold fits)."""
    fits = 0

    def objective(trial: Any) -> float:
        nonlocal fits
        scores: list[float] = []
        for i in range(FOLDS):
            scores.append(fold(seed, i, **trial.params))
            fits += 1
            trial.report(i + 1, accuracy=scores[-1])
            if trial.should_stop():
                break
        return float(np.mean(scores))

    made = tt.Study(
        "folds", SPACE, maximize="accuracy", fidelity=tt.Fidelity("folds", 1, FOLDS), stopping=stopping,
        strategy="random", deterministic=True, seed=seed,
    )  # fmt: skip
    made.run(objective, trials=trials, quiet=True)
    return made.best.metrics["accuracy"], fits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=40)
    given = parser.parse_args()
    rows: list[tuple[Any, ...]] = [("rule", "seed", "score", "fits")]
    for rule in (None, "forgiving", "wilcoxon", ["forgiving", "wilcoxon"]):
        name = " and ".join(rule) if isinstance(rule, list) else str(rule)
        mine = [(name, seed, *study(seed, rule, given.trials)) for seed in range(given.seeds)]
        rows += mine
        score, fits = np.mean([m[2] for m in mine]), np.mean([m[3] for m in mine])
        print(
            f"{name:22} score {score:.4f}   fits {fits:6.1f}   {FOLDS * given.trials / fits:.2f} times fewer",
            flush=True,
        )
    write("folds", rows)


if __name__ == "__main__":
    main()
