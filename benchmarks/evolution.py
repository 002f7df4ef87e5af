"""How does `cma` compare with the package cmaes over a thousand evaluations, inside the space and at its edges?

    pip install cmaes
    python benchmarks/evolution.py [--seeds 5] [--evaluations 1000] [--only NAME,...]

Functions of ten parameters in [0, 1]; those called mixed have four reals, three integers of 21 values and three choices of
four options. The optimum is 0. cmaes runs with the same initial distribution, CMA with its bounds on the continuous
functions, CatCMAwM on all. Printed: the median of the best value, over seeds, and CPU milliseconds per evaluation.
"""

import one_thread  # noqa: F401

# isort: split
import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from figures import named

import trimtab as tt
from trimtab.space import Parameter
from trimtab.strategies import Problem, Rows, cma, strategy

D, REALS, INTEGERS, CHOICES, STEPS, OPTIONS = 10, 4, 3, 3, 21, 4
Loss = Callable[[np.ndarray], float]
SCALES = np.logspace(0, 3, D)
TURN, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((D, D)))
HALF = np.where(np.arange(D) < D // 2, 0.0, 0.55)


def rosenbrock(x: np.ndarray) -> float:
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())


FUNCTIONS: dict[str, Loss] = {
    "sphere, inside": lambda x: float(((x - 0.3) ** 2).sum()),
    "ellipsoid, inside": lambda x: float(SCALES @ (x - 0.3) ** 2),
    "Rosenbrock, inside": lambda x: rosenbrock(4 * x - 2),
    "Rosenbrock, corner": lambda x: rosenbrock(2 * x - 1),
    "linear, corner": lambda x: float(x.sum()),
    "ellipsoid, corner": lambda x: float(SCALES @ x**2),
    "ellipsoid beyond a corner": lambda x: float(SCALES @ ((x + 0.2) ** 2 - 0.04)),
    "sphere, half on edges": lambda x: float(((x - HALF) ** 2).sum()),
    "turned ellipsoid, half on edges": lambda x: float(SCALES @ (TURN @ (x - HALF)) ** 2),
    "mixed sphere, inside": lambda x: mixed(x, 0.4),
    "mixed sphere, corner": lambda x: mixed(x, 0.0),
}


def mixed(x: np.ndarray, at: float) -> float:
    """Reals and integers in [0, 1], then options counted from 0."""
    numbers, options = x[: REALS + INTEGERS], x[REALS + INTEGERS :]
    return float(((numbers - at) ** 2).sum() + 0.1 * (options != 0).sum())


def ours(name: str, seed: int) -> Iterator[tuple[list[np.ndarray], Callable[[list[float]], None]]]:
    """Generations of `cma`: the points, and where their losses go."""
    params: dict[str, Parameter]
    if name.startswith("mixed"):
        params = {f"x{i}": tt.Float(0, 1) for i in range(REALS)}
        params |= {f"z{i}": tt.Int(0, STEPS - 1) for i in range(INTEGERS)}
        params |= {f"c{i}": tt.Choice(*map(str, range(OPTIONS))) for i in range(CHOICES)}
    else:
        params = {f"x{i}": tt.Float(0, 1) for i in range(D)}
    space, made = tt.Space(params), strategy("cma")
    state = made.init(Problem(space, seed=seed))
    while True:
        X = np.stack(
            [p.x for p in made.ask(state, space.sample(0, np.random.default_rng(0)), 10, np.random.default_rng(seed))]
        )
        losses: list[float] = []
        yield [point(p) for p in space.decode(X)], losses.extend
        state = made.tell(state, Rows(X, np.array(losses)[:, None]))


def point(params: Mapping[str, Any]) -> np.ndarray:
    """A setting of `ours` as the functions take it."""
    return np.array([v / (STEPS - 1) if k[0] == "z" else float(v) for k, v in params.items()])


def deviation(numbers: int) -> float:
    """The standard deviation with which `cma` begins, of each of so many numeric parameters."""
    return float(cma._wide(numbers)[0, 0] ** 0.5)


def bounded(_: str, seed: int) -> Iterator[tuple[list[np.ndarray], Callable[[list[float]], None]]]:
    """Generations of cmaes.CMA with bounds."""
    from cmaes import CMA

    bounds = np.tile([0.0, 1.0], (D, 1))
    optimizer = CMA(mean=np.full(D, 0.5), sigma=deviation(D), bounds=bounds, seed=seed, population_size=10)
    while True:
        points = [optimizer.ask() for _ in range(10)]
        losses: list[float] = []
        yield points, losses.extend
        optimizer.tell(list(zip(points, losses, strict=True)))


def margin(name: str, seed: int) -> Iterator[tuple[list[np.ndarray], Callable[[list[float]], None]]]:
    """Generations of cmaes.CatCMAwM."""
    from cmaes import CatCMAwM

    reals = REALS if name.startswith("mixed") else D
    spaces: dict[str, list[list[float]] | list[int]] = {"x_space": [[0.0, 1.0]] * reals}
    if reals < D:
        spaces |= {"z_space": [list(np.linspace(0, 1, STEPS))] * INTEGERS, "c_space": [OPTIONS] * CHOICES}
    centre = np.full(reals + (INTEGERS if reals < D else 0), 0.5)
    optimizer = CatCMAwM(**spaces, mean=centre, sigma=deviation(len(centre)), seed=seed, population_size=10)
    while True:
        asked = [optimizer.ask() for _ in range(10)]
        points = [np.concatenate([s.x, *([s.z, s.c.argmax(axis=1)] if reals < D else [])]).astype(float) for s in asked]
        losses: list[float] = []
        yield points, losses.extend
        optimizer.tell(list(zip(asked, losses, strict=True)))


TUNERS = {"trimtab cma": ours, "cmaes CMA": bounded, "cmaes CatCMAwM": margin}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--evaluations", type=int, default=1000)
    parser.add_argument("--only", help="names, divided by commas")
    chosen = parser.parse_args()
    names = named(chosen.only, TUNERS)
    spent = dict.fromkeys(names, 0.0)
    print(f"| | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for function, loss in FUNCTIONS.items():
        line = []
        for name in names:
            if name == "cmaes CMA" and function.startswith("mixed"):
                line.append("")
                continue
            best = []
            start = time.process_time()
            for seed in range(chosen.seeds):
                found = np.inf
                for done, (points, told) in enumerate(TUNERS[name](function, seed), start=1):
                    losses = [loss(x) for x in points]
                    found = min(found, *losses)
                    if done * 10 >= chosen.evaluations:
                        break
                    told(losses)
                best.append(found)
            spent[name] += time.process_time() - start
            line.append(f"{np.median(best):.1e}")
        print(f"| {function} | {' | '.join(line)} |", flush=True)
    runs = {name: (len(FUNCTIONS) - 2 * (name == "cmaes CMA")) * chosen.seeds * chosen.evaluations for name in names}
    print(f"| CPU ms per evaluation | {' | '.join(f'{1e3 * spent[name] / runs[name]:.2f}' for name in names)} |")


if __name__ == "__main__":
    main()
