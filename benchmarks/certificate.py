"""Does the certificate keep its word? How often its 95 % interval holds the true gain, and how often "proven" is wrong.

    python benchmarks/certificate.py [--studies 1000] [--real 360] [--only simulated|real]     # real: needs scikit-learn

Simulated: studies of 40 random trials on the problems of benchmarks/noisy.py, with noise of 0.3, 1 and 2 times the
spread of the true loss; the finalists are measured again, and the chosen one is certified on 20 fresh pairs. The naive
bound takes the search's own values instead: the best single result less the baseline's and 1.96 standard errors, with the
noise known (for real data: the plain difference). "No
gain": the baseline is the best of a thousand settings, so that nothing in the study is really better; "flat": all
settings are equally good, the hardest case, in which 2.5 % is what the test promises to the digit.

Real: studies on data that comes with scikit-learn and with Trimtab. Rows are dealt to three parts: one on which eight
settings are compared by 3-fold cross-validation, one on which the best is certified against the default by 10-fold
cross-validation, and a reserve of at least ten times as many rows as a model trains on. The truth is the mean difference
of the very models of the folds on the reserve ("these models"), and, more severely, that of models trained on other rows,
drawn from the reserve ("other rows"). "Same rows" certifies on the rows that the search had seen, which one should not.

Width is the mean width over that of the plain paired t interval on the same pairs. The functions are those of
`Study.evidence`, without the record. Prints tables and writes benchmarks/results/certificate.csv.
"""

import one_thread  # noqa: F401

# isort: split
import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from figures import write
from noisy import Problem, problems, told
from scipy.stats import norm

import trimtab as tt
from trimtab.evidence import Contest, Design, Evidence, certify
from trimtab.evidence.certificate import gains
from trimtab.evidence.intervals import student
from trimtab.evidence.race import ENOUGH, Entrants, race
from trimtab.goals import Goal
from trimtab.records import StudySpec
from trimtab.standing import standings

PAIRS, TRIALS, FINALISTS, FOLDS = 20, 40, 5, 10
LOSS = Goal("loss", False)
HEAD = ["studies", "n", "covers", "se", "width", "proven", "wrong", "plain t covers", "naive holds"]


@dataclass(frozen=True)
class Row:
    """One study: the true gain, the evidence, the plain t interval and the naive lower bound."""

    truth: float
    evidence: Any
    plain: tuple[float, float]
    naive: float


def summary(name: str, rows: list[Row]) -> list[Any]:
    inside = [r.evidence.interval[0] <= r.truth <= r.evidence.interval[1] for r in rows]
    proven = [r.evidence.decision == "proven" for r in rows]
    wrong = [p and r.truth <= 0 for p, r in zip(proven, rows, strict=True)]
    widths = [(np.ptp(r.evidence.interval), np.ptp(r.plain)) for r in rows if math.isfinite(r.evidence.interval[0])]
    own, plain = np.mean(widths, axis=0)
    share = float(np.mean(inside))
    se, plainly = (
        math.sqrt(share * (1 - share) / len(rows)),
        np.mean([r.plain[0] <= r.truth <= r.plain[1] for r in rows]),
    )
    naive = np.mean([r.naive <= r.truth for r in rows])
    return [name, len(rows), share, se, own / plain, np.mean(proven), np.mean(wrong), plainly, naive]


def plain(found: Evidence) -> tuple[float, float]:
    """The textbook's paired t interval at 95 % on the same pairs."""
    return student(gains(found.pairs, found.maximize), 0.0, 0.0, 0.05).interval


def show(rows: list[list[Any]]) -> None:
    print(" | ".join(f"{h:>14}" if i else f"{h:<30}" for i, h in enumerate(HEAD)))
    for name, n, *figures in rows:
        cells = [f"{v:.2f}" if h == "width" else f"{100 * v:.1f} %" for h, v in zip(HEAD[2:], figures, strict=True)]
        print(" | ".join([f"{name:<30}", f"{n:>14}", *(f"{c:>14}" for c in cells)]), flush=True)


# ------------------------------------------------------------------------------------------------------- simulated


def simulated(p: Problem, ratio: float, seed: int, kind: str) -> Row:
    """One study: search, select, certify."""
    rng = np.random.default_rng([seed, round(10 * ratio), *map(ord, p.name + kind)])
    spec = StudySpec("x", p.space, (LOSS,))
    settings = [_baseline(p, kind), *p.space.decode(p.space.sample(TRIALS, rng))]
    true = np.zeros(len(settings)) if kind == "flat" else np.array([p.loss(s) for s in settings])
    sd = ratio * p.signal
    seen = true + sd * rng.standard_normal(len(true))
    made = standings(spec, told(settings, seen, np.ones(len(seen), dtype=bool)))
    first = made.finalists(FINALISTS)
    few = [c.number for c in first]
    fresh = true[few][:, None] + sd * rng.standard_normal((len(few), ENOUGH * FINALISTS))
    losses = made.losses(first, p.space.encode([c.params for c in first]))
    entrants = Entrants(*losses, np.empty((len(few), 0)), made.noise)
    best = few[race(entrants, len(few), ENOUGH * FINALISTS, lambda runs: _run(fresh, runs))[0]] if few[1:] else few[0]
    noise = sd * rng.standard_normal((PAIRS, 2))
    pairs = [({"loss": true[0] + a}, {"loss": true[best] + b}) for a, b in noise]
    found = certify(LOSS, Contest(settings[0], settings[best], best), pairs)
    lucky = int(np.argmin(seen))
    naive = seen[0] - seen[lucky] - norm.ppf(0.975) * sd * math.sqrt(2) if lucky else 0.0
    gain = float(true[0] - true[best])
    naive += gain - (true[0] - true[lucky])  # it speaks of the luckiest setting, and is asked about that one
    return Row(gain, found, plain(found), float(naive))


def _run(fresh: np.ndarray, runs: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """What a race sees once each finalist had so many runs; there are no limits."""
    made = np.arange(fresh.shape[1]) < np.array(runs)[:, None]
    return np.where(made, fresh, np.nan), np.empty((*fresh.shape, 0))


def _baseline(p: Problem, kind: str) -> Any:
    settings, losses = p.sample
    return settings[int(np.argmin(losses))] if kind == "no gain" else p.baseline


def simulations(studies: int) -> list[list[Any]]:
    table = []
    for kind in ("gain", "no gain", "flat"):
        every = []
        for ratio in (0.3, 1.0, 2.0):
            rows = [simulated(p, ratio, s, kind) for s in range(studies // 4) for p in problems()]
            table.append(summary(f"{kind}, noise {ratio:g} x signal", rows))
            every += rows
        table.append(summary(f"{kind}, all", every))
    return table


# ------------------------------------------------------------------------------------------------------------ real


@dataclass(frozen=True)
class Task:
    """Data (X, y), how many rows certify (and as many search), a model of one setting, its settings and its default."""

    name: str
    data: tuple[np.ndarray, np.ndarray]
    rows: int
    model: Callable[[Any], Any]
    default: Any
    draw: Callable[[np.random.Generator], Any]
    classes: bool


def tasks() -> list[Task]:
    from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    from trimtab.demo import credit

    def scaled(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda v: make_pipeline(StandardScaler(), make(v))

    def power(low: float, high: float) -> Callable[[np.random.Generator], float]:
        return lambda rng: float(10 ** rng.uniform(low, high))

    def whole(low: int, high: int) -> Callable[[np.random.Generator], int]:
        return lambda rng: int(rng.integers(low, high + 1))

    logistic = scaled(lambda v: LogisticRegression(C=v, max_iter=200))
    near = scaled(lambda v: KNeighborsClassifier(v, weights="distance"))
    tree = lambda v: DecisionTreeClassifier(min_samples_leaf=v, random_state=0)  # noqa: E731
    digits, cancer, sugar = (f(return_X_y=True) for f in (load_digits, load_breast_cancer, load_diabetes))
    cards = credit.table()
    return [
        Task("digits, logistic", digits, 140, logistic, 1.0, power(-4, 2), True),
        Task("digits, neighbours", digits, 140, near, 5, whole(1, 30), True),
        Task("cancer, logistic", cancer, 46, logistic, 1.0, power(-4, 3), True),
        Task("cancer, tree", cancer, 46, tree, 1, whole(1, 15), True),
        Task("diabetes, ridge", sugar, 36, scaled(Ridge), 1.0, power(-2, 4), False),
        Task("diabetes, neighbours", sugar, 36, scaled(KNeighborsRegressor), 5, whole(1, 20), False),
        Task(
            "diabetes, tree",
            sugar,
            36,
            lambda v: DecisionTreeRegressor(min_samples_leaf=v, random_state=0),
            1,
            whole(1, 15),
            False,
        ),
        Task("credit, logistic", cards, 250, logistic, 1.0, power(-4, 3), True),
        Task("credit, tree", cards, 250, tree, 1, whole(1, 80), True),
    ]


def losses(task: Task, setting: Any, train: np.ndarray, tests: list[np.ndarray]) -> list[float]:
    """Brier score or mean squared error of one setting, trained once, on several sets of rows."""
    X, y = task.data
    model = task.model(setting).fit(X[train], y[train])
    if not task.classes:
        return [float(np.mean((model.predict(X[t]) - y[t]) ** 2)) for t in tests]
    known = model.classes_

    def brier(rows: np.ndarray) -> float:
        wanted = y[rows][:, None] == known
        return float(np.mean(((model.predict_proba(X[rows]) - wanted) ** 2).sum(1)))

    return [brier(t) for t in tests]


def folds(rows: np.ndarray, k: int, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """(training, test) rows of a k-fold cross-validation."""
    parts = np.array_split(rng.permutation(rows), k)
    return [(np.concatenate([p for j, p in enumerate(parts) if j != i]), parts[i]) for i in range(k)]


def real(task: Task, seed: int) -> tuple[Row, Row, Row]:
    """One study, judged by the models of its folds, by models of other rows, and certified on the rows of the search."""
    rng = np.random.default_rng([seed, *map(ord, task.name)])
    order = rng.permutation(len(task.data[0]))[:8000]
    search, own, reserve = order[: task.rows], order[task.rows : 2 * task.rows], order[2 * task.rows :]
    assert len(reserve) >= 10 * task.rows * (FOLDS - 1) / FOLDS
    settings = [task.default, *(task.draw(rng) for _ in range(7))]
    split = folds(search, 3, rng)
    values = [np.mean([losses(task, s, a, [b])[0] for a, b in split]) for s in settings]
    tuned = settings[int(np.argmin(values))]
    if tuned == task.default:
        tuned = settings[1 + int(np.argmin(values[1:]))]
    row, there = _certified(task, tuned, folds(own, FOLDS, rng), reserve)
    size, fresh = round(task.rows * (FOLDS - 1) / FOLDS), []
    for _ in range(10):
        mixed = rng.permutation(reserve)
        fresh.append([losses(task, s, mixed[:size], [mixed[size:]])[0] for s in (task.default, tuned)])
    gain = float(np.mean([b - t for b, t in fresh]))
    same, _ = _certified(task, tuned, folds(search, FOLDS, rng), reserve)
    naive = float(values[0] - min(values[1:]))
    judged = [replace(row, truth=there), replace(row, truth=gain), replace(same, truth=gain)]
    a, b, c = (replace(r, naive=naive) for r in judged)
    return a, b, c


def _certified(task: Task, tuned: Any, split: Any, reserve: np.ndarray) -> tuple[Row, float]:
    """The evidence of a cross-validation, and the mean gain of the same models on the reserve."""
    both = [[losses(task, s, a, [b, reserve]) for s in (task.default, tuned)] for a, b in split]
    pairs = [({"loss": d[0]}, {"loss": t[0]}) for d, t in both]
    found = certify(LOSS, Contest({"s": task.default}, {"s": tuned}, 1), pairs, Design(1 / (FOLDS - 1)))
    return Row(0.0, found, plain(found), 0.0), float(np.mean([d[1] - t[1] for d, t in both]))


def reality(studies: int) -> list[list[Any]]:
    every = tasks()
    rows = [real(t, s) for s in range(studies // len(every)) for t in every]
    names = ("real, these models", "real, other rows", "real, same rows as search")
    return [summary(name, [r[i] for r in rows]) for i, name in enumerate(names)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000, help="simulated studies of each kind and noise")
    parser.add_argument("--real", type=int, default=360, help="real studies")
    parser.add_argument("--only", choices=["simulated", "real"])
    asked = parser.parse_args()
    began, table = time.process_time(), []
    if asked.only != "real":
        table += simulations(asked.studies)
    if asked.only != "simulated":
        table += reality(asked.real)
    show(table)
    target = write("certificate", [HEAD, *table])
    print(f"Trimtab {tt.__version__}, {time.process_time() - began:.0f} s of CPU; {target}")


if __name__ == "__main__":
    main()
