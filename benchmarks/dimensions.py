"""How well do searches of 20 to 48 parameters go, against Optuna's samplers on the same problems, seeds and budgets?

    pip install optuna cmaes torch    # what is not installed is left out
    python benchmarks/dimensions.py [--seeds 5] [--trials 100] [--problems NAME;...] [--tuners NAME;...]

Functions whose best setting lies anywhere in the space: numbers only (Rosenbrock's valley, Ackley's and Levy's many optima,
an ellipsoid, a ball), six of thirty that matter (Hartmann), and two mixed spaces of numbers on a logarithmic scale, integers
and unordered choices, of which few matter much. Each seed has another best setting. Figures are normalised regrets: 0 is
the best setting, 1 the median of 1,000 random ones; cpu is ask + tell per trial, in milliseconds, one thread.

Each finished run is a line of benchmarks/results/dimensions.csv and is not run again. Intervals: 95 %, from 2,000
bootstraps of the seeds of each problem.
"""

import one_thread  # noqa: F401

# isort: split
import importlib.util
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import quality
from figures import FOLDER, Runs, finished, head, interval, line, options
from quality import Problem, analytic
from tuners import Optuna, Params, Trimtab

import trimtab as tt

NAMES, FIGURES = ["problem", "tuner", "seed", "trials"], ["r(25)", "r(50)", "r(end)", "cpu ms"]
HARTMANN = -3.32237  # the lowest value of six-dimensional Hartmann
Array = np.ndarray
Draw = Callable[[int], tuple[Problem, float]]
"""Seed -> the problem and its lowest loss."""


# ------------------------------------------------------------------------------------------------------------ problems


def numbers(name: str, d: int, f: Callable[[Array], float]) -> tuple[str, Draw]:
    """A function of how far each of d numbers is from where it is best; f(0) is the lowest."""

    def make(seed: int) -> tuple[Problem, float]:
        at = np.random.default_rng([seed, d]).random(d)
        space = tt.Space({f"x{i}": tt.Float(0.0, 1.0) for i in range(d)})
        loss = lambda p: f(np.array(list(p.values())) - at)  # noqa: E731
        return Problem(f"{name}-{d}", space, loss), f(np.zeros(d))

    return f"{name}-{d}", make


def rosenbrock(z: Array) -> float:
    z = 4 * z + 1
    return float(np.log1p((100 * (z[1:] - z[:-1] ** 2) ** 2 + (1 - z[:-1]) ** 2).sum()))


def ackley(z: Array) -> float:
    z = 10 * z
    return float(20 + np.e - 20 * np.exp(-0.2 * np.sqrt((z * z).mean())) - np.exp(np.cos(2 * np.pi * z).mean()))


def ellipsoid(z: Array) -> float:
    return float(np.log10(1e-3 + (1000 ** np.linspace(0, 1, len(z)) * z * z).sum()))


def levy(z: Array) -> float:
    w = 1 + 5 * z
    bumps = ((w[:-1] - 1) ** 2 * (1 + 10 * np.sin(np.pi * w[:-1] + 1) ** 2)).sum()
    ends = np.sin(np.pi * w[0]) ** 2 + (w[-1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[-1]) ** 2)
    return float(bumps + ends)


def ball(z: Array) -> float:
    return float((z * z).sum())


def few(seed: int) -> tuple[Problem, float]:
    """Hartmann's function of six of thirty numbers."""
    hartmann = next(p for p in analytic() if p.name == "hartmann-6")
    chosen = np.random.default_rng(seed).choice(30, 6, replace=False)
    space = tt.Space({f"x{i}": tt.Float(0.0, 1.0) for i in range(30)})
    return Problem(
        "hartmann-6 of 30", space, lambda p: hartmann.loss({f"x{k}": p[f"x{i}"] for k, i in enumerate(chosen)})
    ), HARTMANN


def mixed(d: int) -> tuple[str, Draw]:
    """A third each of numbers, integers and choices, whose weights range over one and a half decades; two numbers depend
    on each other."""
    name, k = f"mixed-{d}", d // 3

    def make(seed: int) -> tuple[Problem, float]:
        rng = np.random.default_rng([seed, d])
        at, best, worse = rng.random(k), rng.integers(0, 13, k), rng.random((k, 4))
        worse -= worse.min(1, keepdims=True)
        weights = 10 ** rng.uniform(-1.5, 0, (3, k))
        space = tt.Space(
            {f"x{i}": tt.Float(1e-4, 1.0, log=True) for i in range(k)}
            | {f"n{i}": tt.Int(0, 12) for i in range(k)}
            | {f"c{i}": tt.Choice(*"abcd") for i in range(k)}
        )

        def loss(p: Params) -> float:
            z = np.array([1 + np.log10(p[f"x{i}"]) / 4 for i in range(k)]) - at
            steps = (np.array([p[f"n{i}"] for i in range(k)]) - best) / 12
            options = np.array([worse[i, "abcd".index(p[f"c{i}"])] for i in range(k)])
            return float(8 * weights[0] @ z**2 + 4 * weights[1] @ steps**2 + weights[2] @ options + abs(z[0] - z[1]))

        return Problem(name, space, loss), 0.0

    return name, make


PROBLEMS: dict[str, Draw] = dict(
    [
        numbers("rosenbrock", 20, rosenbrock),
        numbers("ackley", 20, ackley),
        numbers("ellipsoid", 20, ellipsoid),
        numbers("levy", 30, levy),
        numbers("ball", 40, ball),
        ("hartmann-6 of 30", few),
        mixed(24),
        mixed(48),
    ]
)


# ---------------------------------------------------------------------------------------------------------------- runs


def tuners() -> dict[str, quality.Make]:
    made = quality.tuners() | {"trimtab cma": lambda space, seed, trials: Trimtab(space, seed, trials, "cma")}
    if "optuna TPE" in made and importlib.util.find_spec("cmaes"):
        made["optuna CMA-ES"] = lambda space, seed, _: Optuna(space, seed, "CmaEsSampler")
    return made


def measure(name: str, tuner: str, seed: int, trials: int) -> list[str]:
    """Normalised regrets after 25, 50 and all trials, and CPU milliseconds a trial."""
    problem, lowest = PROBLEMS[name](seed)
    usual = np.median(
        [problem.loss(p) for p in problem.space.decode(problem.space.sample(1000, np.random.default_rng(0)))]
    )
    losses, cpu = quality.run(problem, tuners()[tuner], seed, trials)
    best = np.minimum.accumulate(losses)[np.minimum([25, 50, trials], trials) - 1]
    return [f"{v:.6g}" for v in (*(best - lowest) / (usual - lowest), cpu)]


def table(runs: Runs, problems: Sequence[str], names: Sequence[str], seeds: int, trials: int) -> None:
    figures = {
        n: [np.array([runs[p, n, str(s), str(trials)] for s in range(seeds)], dtype=float) for p in problems]
        for n in names
    }
    head(["problem", "seeds", *names])
    for k, p in enumerate(problems):
        line([p, seeds, *(f"{figures[n][k][:, 2].mean():.3f}" for n in names)])
    for j, label in ((2, f"mean after {trials}"), (1, "mean after 50"), (0, "mean after 25")):
        line([label, "", *(interval([v[:, j] for v in figures[n]]) for n in names)])
    line(["cpu ms per trial", "", *(f"{np.mean([v[:, 3].mean() for v in figures[n]]):.1f}" for n in names)])


def main() -> None:
    chosen = options(__doc__, seeds=5, trials=100).parse_args()
    warnings.simplefilter("ignore")
    wanted, names = chosen.problems or list(PROBLEMS), chosen.tuners or list(tuners())
    keys = ((p, name, seed, chosen.trials) for seed in range(chosen.seeds) for p in wanted for name in names)
    runs = finished(FOLDER / "dimensions.csv", NAMES, FIGURES, keys, measure)
    table(runs, wanted, names, chosen.seeds, chosen.trials)


if __name__ == "__main__":
    main()
