"""How much simulated training time until a result as good as the best of 200 random full trainings?

    pip install onnxruntime optuna          # smac, dehb: in environments of their own; what is missing is left out
    python benchmarks/multifidelity.py --yahpo DIR/lcbench [--sets 12] [--seeds 10] [--workers 4,16] [--methods a,b]
    python benchmarks/multifidelity.py --table          # of what has been measured

Learning curves of LCBench (see curves.py), even-numbered data sets, reports at epochs 1, 3, 9, 27 and 52. Each method
runs with the same simulated workers until it has *finished a full training* whose loss reaches the target: the median over
seeds of the best of 200 random full trainings. The figure is that time over the time which 200 random full trainings
take on as many workers; a run that needs longer counts as 1. Going on from one epoch to a later one costs the added epochs
only, for every method. Writes benchmarks/results/multifidelity.csv; finished runs are not repeated.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse
import csv
import heapq
import importlib.util
import itertools
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

FULL = 200  # random full trainings that set the target
RESULTS = Path(__file__).parent / "results" / "multifidelity.csv"
FIELDS = ("method", "set", "workers", "seed", "share", "trials", "cpu")
RUNGS = (1, 3, 9, 27, 52)  # as in curves.py, which needs onnxruntime


class Task:
    """A data set with its target, and the clock of one run."""

    def __init__(self, curves: Any, workers: int, seed: int, target: float) -> None:
        self.curves, self.workers, self.seed, self.target = curves, workers, seed, target
        self.pool = curves.random(FULL, np.random.default_rng([seed, 7]))
        self.losses, self.seconds = curves.at_rungs(self.pool)
        self.limit = spread(self.seconds[:, -1], workers)

    def reached(self, loss: float) -> bool:
        return loss <= self.target


def spread(durations: np.ndarray, workers: int) -> float:
    """When the last of these trainings ends, each begun by the first worker that is free."""
    free = [0.0] * workers
    for d in durations:
        heapq.heappush(free, heapq.heappop(free) + d)
    return max(free)


def target(curves: Any) -> float:
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


def trimtab(strategy: str, stopping: Any) -> Callable[[Task], tuple[float, int]]:
    def run(task: Task) -> tuple[float, int]:
        import trimtab as tt
        from trimtab.simulate import Simulation

        space = {
            name: (tt.Int if kind == "int" else tt.Float)(low, high, log=log)
            for name, (kind, low, high, log) in task.curves.space.items()
        }
        sim = Simulation()
        how = {} if stopping is ... else {"stopping": stopping}
        study = tt.Study(
            "s", space, minimize="loss", fidelity=tt.Fidelity("epochs", 1, 52), strategy=strategy,
            storage=sim.storage, seed=task.seed, **how,
        )  # fmt: skip
        found: list[float] = []

        def training(trial: Any) -> Iterator[tuple[float, float, Mapping[str, float]]]:
            losses, seconds = (a[0] for a in task.curves.at_rungs([trial.params]))
            before = 0.0
            for epoch, loss, at in zip(RUNGS, losses, seconds, strict=True):
                yield at - before, epoch, {"loss": loss}
                before = at
            if task.reached(loss):
                found.append(sim.clock.now())
                study.cancel()

        sim.run(study, training, workers=task.workers, time=task.limit)
        return min(found, default=task.limit), len(study.trials)

    return run


# -------------------------------------------------------------------------------------------------------------- peers


def optuna(pruner: str) -> Callable[[Task], tuple[float, int]]:
    """TPE with a pruner, both as documented; trials report at the rungs."""

    def run(task: Task) -> tuple[float, int]:
        import optuna as op

        op.logging.set_verbosity(op.logging.ERROR)
        pruners: dict[str, Callable[[], Any]] = {
            "hyperband": lambda: op.pruners.HyperbandPruner(min_resource=1, max_resource=RUNGS[-1], reduction_factor=3),
            "sh": lambda: op.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
        }
        sampler = op.samplers.TPESampler(seed=task.seed)
        study = op.create_study(sampler=sampler, pruner=pruners[pruner]())
        order = itertools.count()
        queue: list[tuple[float, int, Any]] = []

        def ask(now: float) -> None:
            trial = study.ask()
            config = {
                name: (trial.suggest_int if kind == "int" else trial.suggest_float)(name, low, high, log=log)
                for name, (kind, low, high, log) in task.curves.space.items()
            }
            losses, seconds = (a[0] for a in task.curves.at_rungs([config]))
            heapq.heappush(queue, (now + seconds[0], next(order), (trial, losses, seconds, 0)))

        for _ in range(task.workers):
            ask(0.0)
        while queue:
            now, _, (trial, losses, seconds, k) = heapq.heappop(queue)
            if now >= task.limit:
                break
            trial.report(losses[k], RUNGS[k])
            if k + 1 == len(RUNGS):
                study.tell(trial, losses[k])
                if task.reached(losses[k]):
                    return now, len(study.trials)
                ask(now)
            elif trial.should_prune():
                study.tell(trial, state=op.trial.TrialState.PRUNED)
                ask(now)
            else:
                heapq.heappush(queue, (now + seconds[k + 1] - seconds[k], next(order), (trial, losses, seconds, k + 1)))
        return task.limit, len(study.trials)

    return run


def by_budgets(peer: Callable[[Task], tuple[Callable[[], Any], Callable[[Any, float, float], None]]]) -> Any:
    """A peer that asks for (key, config, budget), and is told its loss there and its seconds."""

    def run(task: Task) -> tuple[float, int]:
        ask, tell = peer(task)
        order, queue = itertools.count(), list[tuple[float, int, Any]]()
        trained: dict[str, float] = {}  # seconds that a configuration has had
        now, free = 0.0, task.workers
        while now < task.limit:
            while free and (job := ask()) is not None:
                handle, config, budget = job
                k = int(np.argmin([abs(budget - r) for r in RUNGS]))
                losses, seconds = (a[0] for a in task.curves.at_rungs([config]))
                key = repr(sorted(config.items()))
                added = max(seconds[k] - trained.get(key, 0.0), 1e-6)
                trained[key] = max(seconds[k], trained.get(key, 0.0))
                heapq.heappush(queue, (now + added, next(order), (handle, losses[k], added, k)))
                free -= 1
            if not queue:
                break
            now, _, (handle, loss, added, k) = heapq.heappop(queue)
            free += 1
            if k + 1 == len(RUNGS) and task.reached(loss) and now < task.limit:
                return now, len(trained)
            tell(handle, loss, added)
        return task.limit, len(trained)

    return run


def smac(task: Task) -> tuple[Callable[[], Any], Callable[[Any, float, float], None]]:
    import tempfile

    from ConfigSpace import ConfigurationSpace, Float, Integer
    from smac import MultiFidelityFacade, Scenario
    from smac.runhistory.dataclasses import TrialValue

    space = ConfigurationSpace(seed=task.seed)
    for name, (kind, low, high, log) in task.curves.space.items():
        space.add((Integer if kind == "int" else Float)(name, (low, high), log=log))
    scenario = Scenario(
        space, deterministic=True, min_budget=1, max_budget=RUNGS[-1], n_trials=10_000, seed=task.seed,
        output_directory=Path(tempfile.mkdtemp()),
    )  # fmt: skip

    def never(config: Any, seed: int = 0, budget: float = 0) -> float:
        raise AssertionError(f"asked and told, never run: {config} {seed} {budget}")

    facade = MultiFidelityFacade(scenario, never, overwrite=True, logging_level=50)

    def ask() -> Any:
        info = facade.ask()
        return info, {k: info.config[k] for k in task.curves.space}, info.budget

    return ask, lambda info, loss, added: facade.tell(info, TrialValue(cost=loss, time=added))


def dehb(task: Task) -> tuple[Callable[[], Any], Callable[[Any, float, float], None]]:
    import tempfile

    from ConfigSpace import ConfigurationSpace, Float, Integer
    from dehb import DEHB
    from loguru import logger

    logger.remove()
    space = ConfigurationSpace(seed=task.seed)
    for name, (kind, low, high, log) in task.curves.space.items():
        space.add((Integer if kind == "int" else Float)(name, (low, high), log=log))
    made = DEHB(
        cs=space, min_fidelity=1, max_fidelity=RUNGS[-1], n_workers=1, seed=task.seed, output_path=tempfile.mkdtemp(),
        save_freq="end",
    )  # fmt: skip

    def ask() -> Any:
        info = made.ask()
        return info, {k: info["config"][k] for k in task.curves.space}, info["fidelity"]

    return ask, lambda info, loss, added: made.tell(info, {"fitness": float(loss), "cost": float(added)})


METHODS: dict[str, tuple[str, Callable[[Task], tuple[float, int]]]] = {  # name -> (package, run)
    "random": ("numpy", random_full),
    "one epoch, then top k": ("numpy", one_epoch_then_top),
    "random, median rule": ("trimtab", trimtab("random", "median")),
    "random, ASHA": ("trimtab", trimtab("random", "asha")),
    "Trimtab": ("trimtab", trimtab("auto", ...)),
    "Trimtab, no stopping": ("trimtab", trimtab("auto", None)),
    "Trimtab, Hyperband": ("trimtab", trimtab("auto", "hyperband")),
    "Optuna TPE, Hyperband": ("optuna", optuna("hyperband")),
    "Optuna TPE, SH": ("optuna", optuna("sh")),
    "SMAC3": ("smac", by_budgets(smac)),
    "DEHB": ("dehb", by_budgets(dehb)),
}


def done() -> dict[tuple[str, str, int, int], float]:
    """The shares that have been measured, by (method, set, workers, seed)."""
    if not RESULTS.exists():
        return {}
    with RESULTS.open() as file:
        return {
            (r["method"], r["set"], int(r["workers"]), int(r["seed"])): float(r["share"]) for r in csv.DictReader(file)
        }


def measure(names: list[str], folder: Path, sets: int, seeds: int, workers: list[int]) -> None:
    from curves import Curves, instances

    RESULTS.parent.mkdir(exist_ok=True)
    had = done()
    for seed, name in itertools.product(range(seeds), instances(folder)[:sets]):
        wanted = [(m, w) for m in names for w in workers if (m, name, w, seed) not in had]
        if not wanted:
            continue
        curves = Curves(folder, name)
        goal = target(curves)
        for method, w in wanted:
            task, cpu = Task(curves, w, 1000 * seed + int(name) % 1000, goal), time.process_time()
            at, trials = METHODS[method][1](task)
            row = (
                method,
                name,
                w,
                seed,
                f"{min(at / task.limit, 1.0):.5f}",
                trials,
                f"{time.process_time() - cpu:.2f}",
            )
            new = not RESULTS.exists()
            with RESULTS.open("a", newline="") as file:
                csv.writer(file).writerows([FIELDS, row] if new else [row])


def table() -> None:
    """Means with 95 % bootstrap intervals over data sets, per number of workers; geometric, for shares are ratios."""
    had, rng = done(), np.random.default_rng(0)
    for w in sorted({k[2] for k in had}):
        print(f"\n{w} workers{'':26}mean share   95 % interval    geometric   not reached   sets x seeds")
        for method in METHODS:
            mine = {k[1:]: v for k, v in had.items() if k[0] == method and k[2] == w}
            if not mine:
                continue
            sets = sorted({k[0] for k in mine})
            per_set = [[v for k, v in mine.items() if k[0] == s] for s in sets]
            means = np.array([np.mean(v) for v in per_set])
            draws = means[rng.integers(0, len(means), (2000, len(means)))].mean(axis=1)
            low, high = np.quantile(draws, [0.025, 0.975])
            every = np.array(list(mine.values()))
            print(
                f"{method:34}{means.mean():10.3f}   {low:.3f} to {high:.3f}   {np.exp(np.log(every).mean()):10.3f}"
                f"   {np.mean(every >= 1):10.0%}   {len(sets):6} x {len(every) / len(sets):.1f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--yahpo", type=Path, help="the folder lcbench of yahpo_data")
    parser.add_argument("--sets", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", default="4,16")
    parser.add_argument("--methods", help="names, separated by ';'")
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    if not given.table:
        if given.yahpo is None:
            parser.error("--yahpo is needed: the folder lcbench of yahpo_data")
        known = [m for m, (package, _) in METHODS.items() if importlib.util.find_spec(package)]
        names = given.methods.split(";") if given.methods else known
        measure(names, given.yahpo, given.sets, given.seeds, [int(w) for w in given.workers.split(",")])
    table()


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    sys.exit(main())
