"""How much simulated training time until a result as good as the best of 200 random full trainings?

    pip install onnxruntime optuna          # smac, dehb: in environments of their own; what is missing is left out
    python benchmarks/multifidelity.py --yahpo DIR/lcbench [--sets 12] [--skip 0] [--seeds 10] [--first 0] [--workers 4,16]
                                       [--methods "a;b"]
    python benchmarks/multifidelity.py --table          # of what has been measured

Learning curves of LCBench (see curves.py), even-numbered data sets, reports at epochs 1, 3, 9, 27 and 52. Each method
runs with the same simulated workers until it has *finished a full training* whose loss reaches the target: the median over
seeds of the best of 200 random full trainings. The figure is that time over the time which 200 random full trainings
take on as many workers; a run that has not reached it by half of that counts as 0.5. Going on from one epoch to a later
one costs the added epochs only, for every method. Writes benchmarks/results/multifidelity.csv; finished runs are not repeated.
"""

import one_thread  # noqa: F401

# isort: split
import argparse
import heapq
import importlib.util
import itertools
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from curves import RUNGS, Curves, instances
from figures import FOLDER, Runs, finished
from multifidelity_peers import by_budgets, dehb, optuna, smac, syne

FULL = 200  # random full trainings that set the target
LIMIT = 0.5  # of the time that they take: where a run is broken off
NAMES, FIGURES = ["method", "set", "workers", "seed"], ["share", "trials", "cpu"]


class Task:
    """A data set with its target, and the clock of one run."""

    def __init__(self, curves: Curves, workers: int, seed: int, target: float) -> None:
        self.curves, self.workers, self.seed, self.target = curves, workers, seed, target
        self.pool = curves.random(FULL, np.random.default_rng([seed, 7]))
        self.losses, self.seconds = curves.at_rungs(self.pool)
        self.whole = spread(self.seconds[:, -1], workers)
        self.limit = LIMIT * self.whole

    def reached(self, loss: float) -> bool:
        return loss <= self.target


def spread(durations: np.ndarray, workers: int) -> float:
    """When the last of these trainings ends, each begun by the first worker that is free."""
    free = [0.0] * workers
    for d in durations:
        heapq.heappush(free, heapq.heappop(free) + d)
    return max(free)


def target(curves: Curves) -> float:
    """The median, over seeds, of the best of FULL random full trainings."""
    return float(
        np.median(
            [curves.at_rungs(curves.random(FULL, np.random.default_rng([s, 99])))[0][:, -1].min() for s in range(11)]
        )
    )


# ------------------------------------------------------------------------------------------------------ the baselines


def random_full(task: Task) -> tuple[float, int]:
    """Random search, every training to its end."""
    free = [0.0] * task.workers
    ends = []
    for loss, duration in zip(task.losses[:, -1], task.seconds[:, -1], strict=True):
        end = heapq.heappop(free) + duration
        heapq.heappush(free, end)
        ends.append((end, loss))
    return next(((t, len(ends)) for t, loss in sorted(ends) if task.reached(loss)), (task.limit, len(ends)))


def one_epoch_then_top(task: Task) -> tuple[float, int]:
    """All of them for one epoch, then on to the end from the best one down: k is as large as it has to be."""
    start = spread(task.seconds[:, 0], task.workers)
    free, ends = [start] * task.workers, []
    for i in np.argsort(task.losses[:, 0], kind="stable"):
        end = heapq.heappop(free) + task.seconds[i, -1] - task.seconds[i, 0]
        heapq.heappush(free, end)
        ends.append((end, task.losses[i, -1]))
    return next(((t, len(ends)) for t, loss in sorted(ends) if task.reached(loss)), (task.limit, len(ends)))


# ------------------------------------------------------------------------------------------------------------ Trimtab


def trimtab(
    strategy: Any, stopping: Any, prior: Callable[[Task], Mapping[str, Any]] | None = None
) -> Callable[[Task], tuple[float, int]]:
    """A study with this strategy and stopping rule (...: the default), and with priors of parameters."""

    def run(task: Task) -> tuple[float, int]:
        import trimtab as tt
        from trimtab.simulate import Simulation

        priors = prior(task) if prior else {}
        space = {
            name: (tt.Int if kind == "int" else tt.Float)(low, high, log=log, prior=priors.get(name))
            for name, (kind, low, high, log) in task.curves.space.items()
        }
        sim = Simulation()
        how = {} if stopping is ... else {"stopping": stopping}
        study = tt.Study(
            "s", space, minimize="loss", fidelity=tt.Fidelity("epochs", 1, 52), strategy=strategy,
            storage=sim.storage, seed=task.seed, **how,
        )  # fmt: skip
        found: list[float] = []
        trained: dict[int | None, tuple[int, float]] = {}  # trial -> rungs and seconds that it has behind it

        def training(trial: Any) -> Iterator[tuple[float, float, Mapping[str, float]]]:
            losses, seconds = (a[0] for a in task.curves.at_rungs([trial.params]))
            first, before = trained.get(trial.parent, (0, 0.0))
            last = RUNGS.index(int(trial.fidelity))
            for k in range(first, last + 1):
                yield seconds[k] - before, RUNGS[k], {"loss": losses[k]}
                before = seconds[k]
            trained[trial.number] = last + 1, before
            if last + 1 == len(RUNGS) and task.reached(losses[-1]):
                found.append(sim.clock.now())
                study.cancel()

        sim.run(study, training, workers=task.workers, time=task.limit)
        return min(found, default=task.limit), len(study.trials)

    return run


def centred(of: int, good: bool) -> Callable[[Task], dict[str, Any]]:
    """Priors of medium width around the best, or the worst, of so many random full trainings of another seed."""

    def prior(task: Task) -> dict[str, Any]:
        configs = task.curves.random(of, np.random.default_rng([task.seed, 5]))
        ends = task.curves.at_rungs(configs)[0][:, -1]
        return {name: (value, "medium") for name, value in configs[np.argmin(ends if good else -ends)].items()}

    return prior


def laddered(task: Task) -> tuple[float, int]:
    from trimtab.strategies.gp import GP

    return trimtab(GP(ladder=True), ...)(task)


GOOD, BAD = centred(25, True), centred(25, False)
METHODS: dict[str, tuple[str, Callable[[Task], tuple[float, int]]]] = {  # name -> (package, run)
    "random": ("numpy", random_full),
    "one epoch, then top k": ("numpy", one_epoch_then_top),
    "random, median rule": ("trimtab", trimtab("random", "median")),
    "random, ASHA": ("trimtab", trimtab("random", "asha")),
    "Trimtab": ("trimtab", trimtab("auto", ...)),
    "Trimtab, no stopping": ("trimtab", trimtab("auto", None)),
    "Trimtab, Hyperband": ("trimtab", trimtab("auto", "hyperband")),
    "Trimtab, median rule": ("trimtab", trimtab("auto", "median")),
    "Trimtab, promotion": ("trimtab", trimtab("auto", "promotion")),
    "Trimtab, freeze-thaw": ("trimtab", trimtab("auto", "freeze-thaw")),
    "Trimtab, rung as an input": ("trimtab", laddered),
    "Trimtab, good prior": ("trimtab", trimtab("auto", ..., GOOD)),
    "Trimtab, bad prior": ("trimtab", trimtab("auto", ..., BAD)),
    "PriorBand, ASHA": ("trimtab", trimtab("priorband", "asha")),
    "PriorBand, ASHA, good prior": ("trimtab", trimtab("priorband", "asha", GOOD)),
    "PriorBand, ASHA, bad prior": ("trimtab", trimtab("priorband", "asha", BAD)),
    "PriorBand, Hyperband": ("trimtab", trimtab("priorband", "hyperband")),
    "PriorBand, Hyperband, good prior": ("trimtab", trimtab("priorband", "hyperband", GOOD)),
    "PriorBand, Hyperband, bad prior": ("trimtab", trimtab("priorband", "hyperband", BAD)),
    "Optuna TPE, Hyperband": ("optuna", optuna("hyperband")),
    "Optuna TPE, SH": ("optuna", optuna("sh")),
    "Syne Tune ASHA": ("syne_tune", syne("ASHA")),
    "Syne Tune BOHB": ("syne_tune", syne("BOHB")),
    "Syne Tune ASHACQR": ("syne_tune", syne("ASHACQR")),
    "SMAC3": ("smac", by_budgets(smac)),
    "DEHB": ("dehb", by_budgets(dehb)),
}


@lru_cache(1)
def loaded(folder: Path, name: str) -> tuple[Curves, float]:
    """A data set and its target."""
    curves = Curves(folder, name)
    return curves, target(curves)


def run(folder: Path, method: str, name: str, workers: int, seed: int) -> tuple[str, int, str]:
    curves, goal = loaded(folder, name)
    task, cpu = Task(curves, workers, 1000 * seed + int(name) % 1000, goal), time.process_time()
    at, trials = METHODS[method][1](task)
    return f"{min(at / task.whole, LIMIT):.5f}", trials, f"{time.process_time() - cpu:.2f}"


def table(runs: Runs) -> None:
    """Means with 95 % bootstrap intervals over data sets, per number of workers; Trimtab's share of them on the same runs."""
    had = {(m, name, int(w), int(seed)): float(share) for (m, name, w, seed), (share, *_) in runs.items()}
    for w in sorted({k[2] for k in had}):
        print(
            f"\n{w} workers{'':23}mean share   95 % interval   not reached   sets x seeds   Trimtab's share of it   worst set"
        )
        shares = {m: {(s, seed): v for (o, s, n, seed), v in had.items() if (o, n) == (m, w)} for m in METHODS}
        ours = shares["Trimtab"]
        for method, theirs in shares.items():
            if not theirs:
                continue
            means = by_set(theirs, theirs)
            low, high = interval(lambda a: a.mean(axis=1), means)
            missed, sets = np.mean([v >= LIMIT for v in theirs.values()]), len(means)
            seeds = len(theirs) / sets
            row = (
                f"{method:32}{means.mean():10.3f}   {low:.3f} to {high:.3f}   {missed:11.0%}   {sets:4} x {seeds:<4.1f}"
            )
            both = sorted(set(ours) & set(theirs))
            if both and method != "Trimtab":
                mine, other = by_set(ours, both), by_set(theirs, both)
                low, high = interval(lambda a, b: a.mean(axis=1) / b.mean(axis=1), mine, other)
                row += f"   {mine.mean() / other.mean():8.2f} ({low:.2f} to {high:.2f})   {(mine / other).max():12.2f}"
            print(row)


def by_set(shares: Mapping[tuple[str, int], float], runs: Iterable[tuple[str, int]]) -> np.ndarray:
    """The mean share of these runs, (set, seed), on each data set (sets,)."""
    runs = list(runs)
    return np.array([np.mean([shares[r] for r in runs if r[0] == name]) for name in sorted({r[0] for r in runs})])


def interval(statistic: Callable[..., np.ndarray], *values: np.ndarray) -> tuple[float, float]:
    """The 95 % bootstrap interval of a statistic of values on n data sets; of each it is given draws (draws, n)."""
    n = len(values[0])
    drawn = np.random.default_rng(0).integers(0, n, (2000, n))
    low, high = np.quantile(statistic(*(v[drawn] for v in values)), [0.025, 0.975])
    return float(low), float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--yahpo", type=Path, help="the folder lcbench of yahpo_data")
    parser.add_argument("--sets", type=int, default=12)
    parser.add_argument(
        "--skip", type=int, default=0, help="data sets to leave out: 12 for those that choose between methods"
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--workers", default="4,16")
    parser.add_argument("--methods", help="names, separated by ';'")
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    wanted: Iterable[tuple[str, str, int, int]] = ()
    if not given.table:
        if given.yahpo is None:
            parser.error("--yahpo is needed: the folder lcbench of yahpo_data")
        known = [m for m, (package, _) in METHODS.items() if importlib.util.find_spec(package)]
        methods, workers = given.methods.split(";") if given.methods else known, map(int, given.workers.split(","))
        sets = instances(given.yahpo)[given.skip : given.skip + given.sets]
        keys = itertools.product(range(given.first, given.first + given.seeds), sets, methods, workers)
        wanted = ((method, name, w, seed) for seed, name, method, w in keys)
    table(finished(FOLDER / "multifidelity.csv", NAMES, FIGURES, wanted, partial(run, given.yahpo)))


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main()
