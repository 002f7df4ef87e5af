"""Is the setting that `study.best` names truly better than that of the best single result?

    python benchmarks/best.py [--studies 204] [--trials 100] [--search random|auto]

Studies on the problems of benchmarks/noisy.py, with noise of 0.3, 1 and 2 times the spread of the true loss over random
settings. The figure is the true loss of the named setting above that of the truly best one that the study tried, in units
of that spread; smaller is better. `random`: random settings, given to the function behind `study.best`; seconds. `auto`:
studies of the default strategy; minutes. Prints a table and writes benchmarks/results/best.csv.
"""

import one_thread  # noqa: F401

# isort: split
import argparse
import random
import time
from collections.abc import Sequence

import numpy as np
from figures import error, write
from noisy import Problem, problems, told

import trimtab as tt
from trimtab.goals import Goal
from trimtab.objective import ActiveTrial
from trimtab.records import StudySpec
from trimtab.space import Params
from trimtab.standing import standings

Tried = list[tuple[Params, float]]
HEAD = ["noise / signal", "studies", "best single", "study.best", "difference", "se"]


def study(p: Problem, ratio: float, seed: int, trials: int, search: str) -> tuple[float, float]:
    """Regrets of the best single result and of study.best."""
    tried, best = (by_record if search == "auto" else at_random)(p, ratio * p.signal, seed, trials)
    least = min(p.loss(s) for s, _ in tried)
    single, _ = min(tried, key=lambda t: t[1])
    return (p.loss(single) - least) / p.signal, (p.loss(best) - least) / p.signal


def at_random(p: Problem, sd: float, seed: int, trials: int) -> tuple[Tried, Params]:
    """Random settings with their noisy losses, and what the data supports of them."""
    rng = np.random.default_rng([seed, *map(ord, p.name)])
    settings = p.space.decode(p.space.sample(trials, rng))
    losses = np.array([p.loss(s) for s in settings]) + sd * rng.standard_normal(trials)
    spec = StudySpec("best", p.space, (Goal("loss", False),))
    found = standings(spec, told(settings, losses, np.ones(trials, dtype=bool)))
    return list(zip(settings, losses.tolist(), strict=True)), found.order[0].candidate.params


def by_record(p: Problem, sd: float, seed: int, trials: int) -> tuple[Tried, Params]:
    """The same of a study of the default strategy."""

    def objective(trial: ActiveTrial) -> float:
        return p.loss(trial.params) + random.Random(f"{trial.seed}/{trial.number}").gauss(0, sd)

    made = tt.Study("best", p.space, minimize="loss", baseline=p.baseline, seed=seed)
    made.run(objective, trials=trials, quiet=True)
    return [(t.params, t.metrics["loss"]) for t in made.trials], made.best.params


def line(name: str, rows: Sequence[tuple[float, float]]) -> list[object]:
    single, best = np.mean(rows, axis=0)
    d = np.array([b - s for s, b in rows])
    return [name, len(rows), single, best, d.mean(), error(d)]


def arguments(description: str | None) -> argparse.Namespace:
    """What a benchmark of noisy studies is asked for."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=204, help="a third of them at each noise")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--search", choices=["random", "auto"], default="random")
    return parser.parse_args()


def main() -> None:
    asked = arguments(__doc__)
    began, every = time.process_time(), problems()
    rows = {
        ratio: [
            study(p, ratio, s, asked.trials, asked.search)
            for s in range(max(1, asked.studies // (3 * len(every))))
            for p in every
        ]
        for ratio in (0.3, 1.0, 2.0)
    }
    table = [line(f"{ratio:g}", found) for ratio, found in rows.items()]
    table.append(line("all", [r for found in rows.values() for r in found]))
    print(" | ".join(f"{h:>14}" for h in HEAD))
    for name, n, *figures in table:
        print(" | ".join([f"{name:>14}", f"{n:>14}", *(f"{v:>14.3f}" for v in figures)]))
    target = write("best", [HEAD, *table])
    print(f"Trimtab {tt.__version__}, {time.process_time() - began:.0f} s of CPU; {target}")


if __name__ == "__main__":
    main()
