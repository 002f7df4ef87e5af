"""Populations against random search with equal compute, on a small network whose learning rate matters over time.

    python benchmarks/population.py [--seeds 10] [--members 16]

A network of one hidden layer is trained on the digits of scikit-learn by stochastic gradient descent, for few epochs and
with small batches: a large rate is needed first and a small one last. Every method trains as many epochs altogether as the
population does. Selected by the loss on validation rows; judged by the loss on test rows that no method sees. Prints
a table, writes benchmarks/results/population.csv.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from figures import error, write
from scipy.stats import t as student
from sklearn.datasets import load_digits

import trimtab as tt
from trimtab.strategies.pb2 import PB2
from trimtab.strategies.pbt import PBT

EPOCHS, INTERVALS, HIDDEN, BATCH, KEPT = 24, 8, 48, 8, 0.5
RATE, MOMENTUM, DECAY = tt.Float(1e-3, 1.0, log=True), tt.Float(0.0, 0.95), tt.Float(1e-6, 1e-2, log=True)
CONSTANT = tt.Space(rate=RATE, momentum=MOMENTUM, weight_decay=DECAY)
FADING = tt.Space(rate=RATE, momentum=MOMENTUM, weight_decay=DECAY, fading=tt.Float(1e-3, 1.0, log=True))


class Digits:
    """Rows to train on, to select by and to judge by: split anew for each seed."""

    def __init__(self, seed: int) -> None:
        X, y = load_digits(return_X_y=True)
        order = np.random.default_rng(seed).permutation(len(X))
        parts = np.split(order, [700, 1200])
        self.train, self.validation, self.test = [(X[i] / 16.0, y[i]) for i in parts]

    def objective(self, trial: Any) -> dict[str, float]:
        """Train up to trial.fidelity from the checkpoint; a parameter `fading` is what is left of the rate at the end."""
        saved = trial.checkpoint / "net.npz"
        if saved.exists():
            with np.load(saved) as net:
                weights, speed, done = (
                    [net[f"w{i}"] for i in range(4)],
                    [net[f"v{i}"] for i in range(4)],
                    int(net["epoch"]),
                )
        else:
            rng = np.random.default_rng(trial.seed)
            shapes, scale = [(64, HIDDEN), (HIDDEN,), (HIDDEN, 10), (10,)], [0.15, 0.0, 0.15, 0.0]
            weights = [s * rng.standard_normal(shape) for shape, s in zip(shapes, scale, strict=True)]
            speed, done = [np.zeros(shape) for shape in shapes], 0
        p = trial.params
        for epoch in range(done, int(trial.fidelity)):
            rate = p["rate"] * p.get("fading", 1.0) ** (epoch / (EPOCHS - 1))
            self._epoch(weights, speed, rate, p, np.random.default_rng([trial.seed, epoch]))
        np.savez(
            saved, epoch=int(trial.fidelity), **{f"w{i}": w for i, w in enumerate(weights)},
            **{f"v{i}": v for i, v in enumerate(speed)},
        )  # fmt: skip
        return {"loss": loss(weights, *self.validation), "test": loss(weights, *self.test)}

    def _epoch(self, weights: list[Any], speed: list[Any], rate: float, p: Any, rng: np.random.Generator) -> None:
        X, y = self.train
        for rows in np.array_split(rng.permutation(len(X)), len(X) // BATCH):
            kept = rng.random(X[rows].shape) < KEPT  # dropout of pixels
            X_ = X[rows] * kept / KEPT
            hidden, chances = forward(weights, X_)
            chances[np.arange(len(rows)), y[rows]] -= 1
            delta = chances / len(rows)
            back = (delta @ weights[2].T) * (hidden > 0)
            slopes = [X_.T @ back, back.sum(0), hidden.T @ delta, delta.sum(0)]
            for i, slope in enumerate(slopes):
                step = rate * (np.clip(slope, -1, 1) + p["weight_decay"] * weights[i])
                speed[i] = p["momentum"] * speed[i] - step
                weights[i] += speed[i]


def forward(weights: list[Any], X: Any) -> tuple[Any, Any]:
    """Hidden units and class probabilities."""
    hidden = np.maximum(X @ weights[0] + weights[1], 0.0)
    scores = np.clip(hidden @ weights[2] + weights[3], -1e6, 1e6)
    chances = np.exp(scores - scores.max(1, keepdims=True))
    return hidden, chances / chances.sum(1, keepdims=True)


def loss(weights: list[Any], X: Any, y: Any) -> float:
    chances = forward(weights, X)[1][np.arange(len(X)), y]
    return float(-np.log(np.maximum(np.nan_to_num(chances), 1e-12)).mean())


def study(seed: int, space: tt.Space, strategy: Any, trials: int) -> tuple[float, float, int]:
    """(validation loss of the selected network, its test loss, epochs trained)."""
    made = tt.Study(
        "population", space, minimize="loss", strategy=strategy, seed=seed, fidelity=tt.Fidelity("epochs", 1, EPOCHS),
        stopping=None, max_failures=None, budget=tt.Budget(trials=trials),
    )  # fmt: skip
    made.run(Digits(seed).objective, quiet=True)
    known = {t.number: t for t in made.trials}
    before = {t.number: known[t.parent].fidelity if t.parent is not None else 0 for t in made.trials}
    epochs = int(sum((t.fidelity or 0) - (before[t.number] or 0) for t in made.trials))
    top = min((t for t in made.trials if t.fidelity == EPOCHS and t.state == "done"), key=lambda t: t.metrics["loss"])
    return top.metrics["loss"], top.metrics["test"], epochs


def methods(members: int) -> dict[str, Callable[[int], tuple[float, float, int]]]:
    several = members * INTERVALS
    return {
        "random": lambda seed: study(seed, CONSTANT, "random", members),
        "random, fading as a parameter": lambda seed: study(seed, FADING, "random", members),
        "auto": lambda seed: study(seed, CONSTANT, "auto", members),
        "auto, fading as a parameter": lambda seed: study(seed, FADING, "auto", members),
        "pbt": lambda seed: study(seed, CONSTANT, PBT(members, INTERVALS), several),
        "pbt, frequencies 1 and 4": lambda seed: study(seed, CONSTANT, PBT(members, INTERVALS, (1, 4)), several),
        "pb2": lambda seed: study(seed, CONSTANT, PB2(members, INTERVALS), several),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--members", type=int, default=16, help="at least 8; as many full trainings of the others")
    given = parser.parse_args()
    rows = []
    for name, run in methods(given.members).items():
        for seed in range(given.seeds):
            began = time.process_time()
            rows.append((name, seed, *run(seed), time.process_time() - began))
    write("population", [("method", "seed", "validation", "test", "epochs", "cpu"), *rows])
    first = np.array([r[3] for r in rows if r[0] == "random"])
    print(f"{'':32}{'validation':>11}{'test':>9}{'  over random (95 %)':>24}{'better in':>11}{'epochs':>8}{'CPU s':>7}")
    for name in methods(given.members):
        own = [r for r in rows if r[0] == name]
        ratio = np.log(np.array([r[3] for r in own]) / first)
        half = student.ppf(0.975, len(own) - 1) * error(ratio)
        span = f"{np.exp(ratio.mean()):.3f} ({np.exp(ratio.mean() - half):.3f} to {np.exp(ratio.mean() + half):.3f})"
        means = [np.mean([r[k] for r in own]) for k in (2, 3, 4, 5)]
        wins = f"{int((ratio < 0).sum())} of {len(own)}"
        print(f"{name:32}{means[0]:11.4f}{means[1]:9.4f}{span:>24}{wins:>11}{means[2]:8.0f}{means[3]:7.1f}")


if __name__ == "__main__":
    main()
