"""Does importance agree with what is known, and with Optuna's evaluators on the same trials, and what does it cost?

    pip install optuna scikit-learn     # what is not installed is left out
    python benchmarks/importance.py

Functions whose Sobol' indices are known, at random settings with noise of 5 % of the spread. "truth": the largest
difference between an index and the known one (Sobol' indices of the Gaussian process, first order and of pairs), or the
rank correlation with it (the others). "Optuna": the rank correlation (Spearman) with Optuna's evaluator of the same name
on the same trials. The last lines give CPU seconds for 10,000 trials of 20 parameters. Prints a table, writes
benchmarks/results/importance.csv.
"""

import one_thread  # noqa: F401

# isort: split
import argparse
import importlib.util
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from figures import write
from scipy.stats import spearmanr

import trimtab as tt
from trimtab.evidence.belief import Belief
from trimtab.evidence.effects import indices
from trimtab.evidence.fanova import fanova
from trimtab.evidence.importance import importance
from trimtab.evidence.interactions import interactions

Params = Mapping[str, Any]


@dataclass(frozen=True)
class Function:
    name: str
    space: tt.Space
    loss: Callable[[Params], float]
    truth: Sequence[float]
    pairs: Sequence[float]  # second-order indices, in the order of itertools.combinations


def functions() -> list[Function]:
    """A weighted sum, and the g and Ishigami functions of Saltelli et al. (2008, Global Sensitivity Analysis)."""
    return [linear(8), g((0.0, 0.5, 1.0, 2.0, 4.0, 8.0)), ishigami()]


def linear(d: int) -> Function:
    space = tt.Space({f"x{i}": tt.Float(0.0, 1.0) for i in range(d)})
    weights = 1.5 ** np.arange(d)
    known = weights**2 / (weights @ weights)
    return Function(
        f"weighted sum, {d}",
        space,
        lambda p: float(weights @ list(p.values())),
        known.tolist(),
        [0.0] * (d * (d - 1) // 2),
    )


def g(a: Sequence[float]) -> Function:
    space = tt.Space({f"x{i}": tt.Float(0.0, 1.0) for i in range(len(a))})
    parts = np.array([1 / 3 / (1 + v) ** 2 for v in a])
    loss = lambda p: float(np.prod([(abs(4 * x - 2) + v) / (1 + v) for x, v in zip(p.values(), a, strict=True)]))  # noqa: E731
    total = np.prod(1 + parts) - 1
    return Function(
        f"Sobol' g, {len(a)}", space, loss, parts / total, [u * v / total for u, v in combinations(parts, 2)]
    )


def ishigami() -> Function:
    space = tt.Space({f"x{i}": tt.Float(-np.pi, np.pi) for i in range(3)})

    def loss(p: Params) -> float:
        x, y, z = p.values()
        return float(np.sin(x) + 7 * np.sin(y) ** 2 + 0.1 * z**4 * np.sin(x))

    first = 0.5 * (1 + 0.1 * np.pi**4 / 5) ** 2
    total = 7**2 / 8 + 0.1 * np.pi**4 / 5 + 0.1**2 * np.pi**8 / 18 + 0.5
    both = 0.1**2 * np.pi**8 * (1 / 18 - 1 / 50)
    return Function("Ishigami, 3", space, loss, [first / total, 7**2 / 8 / total, 0.0], [0.0, both / total, 0.0])


def trials(f: Function, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    X = f.space.sample(n, rng)
    y = np.array([f.loss(p) for p in f.space.decode(X)])
    return X, y + 0.05 * y.std() * rng.standard_normal(n)


def optunas(f: Function, X: np.ndarray, y: np.ndarray) -> dict[str, list[float]]:
    """What Optuna's evaluators make of the same trials, by our name of the method."""
    if importlib.util.find_spec("optuna") is None:
        return {}
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    floats = {n: p for n, p in f.space.params.items() if isinstance(p, tt.Float)}  # the functions have no others
    axes = {n: optuna.distributions.FloatDistribution(p.low, p.high) for n, p in floats.items()}
    study = optuna.create_study()
    study.add_trials(
        [
            optuna.trial.create_trial(params=p, distributions=axes, value=float(v))
            for p, v in zip(f.space.decode(X), y, strict=True)
        ]
    )
    made = {"ped-anova": optuna.importance.PedAnovaImportanceEvaluator}
    if importlib.util.find_spec("sklearn"):
        made["fanova"] = lambda: optuna.importance.FanovaImportanceEvaluator(seed=0)
    shares = {name: make().evaluate(study) for name, make in made.items()}
    return {name: [found[n] for n in f.space.names] for name, found in shares.items()}


def belief(f: Function, X: np.ndarray, y: np.ndarray) -> Belief:
    made = Belief.of(f.space, X, y)
    assert made is not None, "too few results for a model"
    return made


def ours(f: Function, X: np.ndarray, y: np.ndarray) -> dict[str, tuple[list[float], float]]:
    """Shares by each of our methods, and its CPU seconds."""
    made: dict[str, Callable[[], Mapping[str, float]]] = {
        "ped-anova": lambda: importance(X, y, f.space),
        "sobol": lambda: {n: i.value for n, i in indices(belief(f, X, y)).items()},
    }
    if importlib.util.find_spec("sklearn"):
        made["fanova"] = lambda: fanova(X, y, f.space)
    found = {}
    for name, make in made.items():
        began = time.process_time()
        shares = make()
        found[name] = ([shares[n] for n in f.space.names], time.process_time() - began)
    return found


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    warnings.simplefilter("ignore")
    table: list[list[object]] = [["function", "trials", "method", "truth", "Optuna", "s"]]
    for f in functions():
        n = 400
        X, y = trials(f, n)
        theirs = optunas(f, X, y)
        for method, (shares, seconds) in ours(f, X, y).items():
            rank = spearmanr(shares, f.truth).statistic
            truth = f"{max(np.abs(np.subtract(shares, f.truth))):.3f}" if method == "sobol" else f"rank {rank:.2f}"
            peer = f"{spearmanr(shares, theirs[method]).statistic:.2f}" if method in theirs else ""
            table.append([f.name, n, method, truth, peer, f"{seconds:.2f}"])
        began = time.process_time()
        found = interactions(belief(f, X, y))
        away = [abs(found[pair].value - v) for pair, v in zip(combinations(f.space.names, 2), f.pairs, strict=True)]
        table.append([f.name, n, "sobol, pairs", f"{max(away):.3f}", "", f"{time.process_time() - began:.2f}"])
    big = linear(20)
    X, y = trials(big, 10_000)
    table += [[big.name, 10_000, method, "", "", f"{seconds:.2f}"] for method, (_, seconds) in ours(big, X, y).items()]
    for row in table:
        print(" | ".join(f"{v!s:>16}" for v in row))
    target = write("importance", table)
    print(f"Trimtab {tt.__version__}; {target}")


if __name__ == "__main__":
    main()
