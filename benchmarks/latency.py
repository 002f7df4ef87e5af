"""What a proposal costs: CPU milliseconds of one ask and tell when n results are known, one thread.

    pip install optuna torch      # what is not installed is left out
    python benchmarks/latency.py [--steps 10] [--only NAME,...]

The space has ten columns: five floats, two integers, an ordered and two unordered choices; the losses are random. Each
line is the median of some steps, their mean (`gp` fits anew at every tenth result) and the largest, after n random results
were told. Trimtab's figures are those of the strategies, without the record that a study keeps; Optuna's are those of ask,
suggest and tell with its storage in memory. Optuna's ordered choice is an integer index. The last lines are Optuna's median
over ours, and how much the process grew in 300 steps of `auto` after 10,000 results, whose own rows are 0.03 MiB. Prints
tables and writes benchmarks/results/latency.csv.
"""

import one_thread  # noqa: F401

# isort: split
import argparse
import importlib.util
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
from figures import named, write

import trimtab as tt
from trimtab.strategies import Problem, Rows, strategy

ORDERED = tt.Choice(8, 16, 32, 64, 128, ordered=True)
SPACE = tt.Space(
    **{f"f{i}": tt.Float(0.0, 1.0) for i in range(3)},
    **{f"l{i}": tt.Float(1e-5, 1.0, log=True) for i in range(2)},
    **{f"i{i}": tt.Int(1, 64) for i in range(2)},
    o0=ORDERED,
    **{f"c{i}": tt.Choice("a", "b", "c", "d") for i in range(2)},
)
Step = Callable[[], None]


def trimtab(name: str, n: int) -> Step:
    """A step of one of our strategies after n results."""
    rng = np.random.default_rng(n)
    made = strategy(name)
    state = made.tell(made.init(Problem(SPACE)), results(SPACE.sample(n, rng), rng))

    def step() -> None:
        nonlocal state
        (proposal,) = made.ask(state, np.empty((0, len(SPACE))), 1, rng)
        state = made.tell(state, results(proposal.x[None], rng))

    return step


def results(X: np.ndarray, rng: np.random.Generator) -> Rows:
    n = len(X)
    return Rows(X, rng.random((n, 1)))


def optuna(sampler: str, n: int) -> Step:
    """A step of one of Optuna's samplers after n results."""
    import optuna as op

    op.logging.set_verbosity(op.logging.ERROR)
    rng = np.random.default_rng(n)
    study = op.create_study(sampler=getattr(op.samplers, sampler)(seed=0))
    kinds = {name: distribution(op.distributions, p) for name, p in SPACE.params.items()}
    for config in SPACE.decode(SPACE.sample(n, rng)):
        params = {**config, "o0": ORDERED.options.index(config["o0"])}
        study.add_trial(op.create_trial(params=params, distributions=kinds, value=rng.random()))

    def step() -> None:
        trial = study.ask(kinds)
        study.tell(trial, rng.random())

    return step


def distribution(kinds: Any, p: Any) -> Any:
    if isinstance(p, tt.Choice):
        few = len(p.options)
        return kinds.IntDistribution(0, few - 1) if p.ordered else kinds.CategoricalDistribution(p.options)
    return (kinds.IntDistribution if isinstance(p, tt.Int) else kinds.FloatDistribution)(p.low, p.high, log=p.log)


def cases() -> list[tuple[str, int, Callable[[int], Step]]]:
    """Tuner, n, and what makes its step; a tuner beside its counterpart."""
    has = {name: importlib.util.find_spec(name) is not None for name in ("optuna", "torch")}
    made: list[tuple[str, int, Callable[[int], Step]]] = []
    for n in (100, 200, 500):
        made.append(("gp", n, lambda n: trimtab("gp", n)))
        if has["optuna"] and has["torch"]:
            made.append(("optuna GP", n, lambda n: optuna("GPSampler", n)))
    for n in (1_000, 10_000):
        made.append(("tpe", n, lambda n: trimtab("tpe", n)))
        if has["optuna"]:
            made.append(("optuna TPE", n, lambda n: optuna("TPESampler", n)))
    made.append(("auto", 10_000, lambda n: trimtab("auto", n)))
    return made


def milliseconds(step: Step, steps: int) -> list[float]:
    """CPU time of each step after one that warms up."""
    step()
    used = []
    for _ in range(steps):
        start = time.process_time()
        step()
        used.append(1e3 * (time.process_time() - start))
    return used


def growth(steps: int) -> float:
    """By how many MiB the process has grown after some steps of `auto`, after as many that warm up."""
    step, me = trimtab("auto", 10_000), psutil.Process()
    for _ in range(steps):
        step()
    before = me.memory_info().rss
    for _ in range(steps):
        step()
    return (me.memory_info().rss - before) / 2**20


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--steps", type=int, default=10)
    arguments.add_argument("--only", default="")
    chosen = arguments.parse_args()
    warnings.simplefilter("ignore")
    rows: list[tuple[str, int, float, float, float]] = []
    print(f"{'tuner':12} {'n':>7} {'median ms':>10} {'mean':>10} {'largest':>10}")
    wanted = named(chosen.only, (name for name, *_ in cases()))
    for name, n, make in cases():
        if name not in wanted:
            continue
        used = milliseconds(make(n), chosen.steps)
        figures = (statistics.median(used), statistics.mean(used), max(used))
        median, mean, largest = (round(v, 2) for v in figures)
        rows.append((name, n, median, mean, largest))
        print(f"{name:12} {n:7} {median:10.2f} {mean:10.2f} {largest:10.2f}")
    medians = {(name, n): median for name, n, median, *_ in rows}
    for ours, theirs in (("gp", "optuna GP"), ("tpe", "optuna TPE")):
        for (name, n), median in medians.items():
            if name == ours and (theirs, n) in medians:
                print(f"{theirs} / {ours} at {n}: {medians[theirs, n] / median:.1f}")
    if not chosen.only:
        print(f"auto at 10,000 results: {growth(300):+.1f} MiB in 300 steps")
    write("latency", [("tuner", "n", "median_ms", "mean_ms", "largest_ms"), *rows])


if __name__ == "__main__":
    main()
