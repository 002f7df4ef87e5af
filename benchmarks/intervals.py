"""Do the intervals of a certificate hold when one looks again, when differences are not normal, and over data sets?

    python benchmarks/intervals.py [--studies 2000]

Looks: pairs are added five at a time up to 60; an interval holds a study if it covers the true difference at *every*
look. More pairs: a first look with the interval for a single one (seeds: with the reserve that `certify` keeps; folds:
corrected for n_test/n_train = 0.25, and correlated like that), then always-valid ones; all of them hold, or one is
above 0 (40 times as many studies). Other settings: 20 pairs of each, against the same runs of the baseline and with the
same intervals, asked for one after the other: a gain of one is shown, where the k-th counts as 1 + 2 + .. + k
comparisons, as one of k, or as the only one (10 times as many studies). Single: one look at so many pairs, with the
reserve. Shapes of the differences: normal, skewed (exponential), rare losses (the negative of a lognormal), heavy tails
(t with 3 degrees of freedom), two lumps. Data sets: the random-effects mean of `across` over so many data sets whose
true gains vary by 0, 1 or 3 standard errors. Hold-out: one look at so many rows or groups without a gain; a group
counts as the mean of its rows. Prints tables and writes benchmarks/results/intervals.csv.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from figures import write

import trimtab as tt
from trimtab.evidence.intervals import Interval, always_valid, bootstrap, random_effects, student
from trimtab.evidence.judgement import RESERVE
from trimtab.proof.looks import counted

Draw = Callable[[np.random.Generator, int], np.ndarray]
SHAPES: dict[str, Draw] = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "skewed": lambda rng, n: rng.exponential(1.0, n) - 1.0,
    "rare losses": lambda rng, n: np.exp(0.5) - rng.lognormal(0.0, 1.0, n),
    "heavy tails": lambda rng, n: rng.standard_t(3, n),
    "two lumps": lambda rng, n: rng.choice([-1.0, 1.0], n) + 0.2 * rng.standard_normal(n),
}
ALPHA = 0.05


def covers(interval: Interval) -> bool:
    return interval[0] <= 0.0 <= interval[1]


def looked(studies: int) -> list[list[object]]:
    looks, table = range(5, 61, 5), []
    for name, draw in SHAPES.items():
        rng, held = np.random.default_rng(1), np.zeros(3)
        for _ in range(studies):
            d = draw(rng, 60)
            held[0] += all(covers(always_valid(d[:J], 0.0, ALPHA)) for J in looks)
            held[1] += all(covers(student(d[:J], 0.0, 0.0, ALPHA * (1 - RESERVE)).interval) for J in looks)
            held[2] += all(covers(student(d[:J], 0.0, 0.0, ALPHA).interval) for J in looks)
        table.append([name, *(held / studies)])
    return table


def continued(studies: int) -> list[list[object]]:
    table = []
    for name, ratio, alpha in (("seeds", 0.0, ALPHA * (1 - RESERVE)), ("folds", 0.25, ALPHA)):
        for first in (5, 10, 20):
            rng, studied = np.random.default_rng(first), 40 * studies
            d = rng.standard_normal((studied, 60)) + np.sqrt(ratio) * rng.standard_normal((studied, 1))
            held, wrong = np.ones(studied, dtype=bool), np.zeros(studied, dtype=bool)
            for J in range(first, 61, 5):
                unit = np.linspace(-1.0, 1.0, J)
                unit /= unit.std(ddof=1)  # the interval of any J differences is m + s times that of these
                low, high = (
                    student(unit, ratio, 0.0, alpha).interval if first == J else always_valid(unit, ratio, ALPHA)
                )
                m, s = d[:, :J].mean(axis=1), d[:, :J].std(axis=1, ddof=1)
                held &= (m + low * s <= 0) & (m + high * s >= 0)
                wrong |= m + low * s > 0
            table.append([f"{name}, first at {first}", held.mean(), wrong.mean()])
    return table


def others(studies: int) -> list[list[object]]:
    table, studied, unit = [], 10 * studies, np.linspace(-1.0, 1.0, 20)
    unit /= unit.std(ddof=1)
    for name, ratio, alpha in (("seeds", 0.0, ALPHA * (1 - RESERVE)), ("folds", 0.25, ALPHA)):
        rng = np.random.default_rng(20)
        runs = rng.standard_normal((21, studied, 20)) + np.sqrt(ratio) * rng.standard_normal((21, studied, 1))
        gains = runs[1:] - runs[0]  # of 20 settings over the baseline
        seen = gains.mean(axis=2) / gains.std(axis=2, ddof=1)
        k = np.arange(1, 21)
        shown = [
            seen > np.array([[-student(unit, ratio, 0.0, alpha / c).interval[0]] for c in counts])
            for counts in ([counted([[c] for c in range(n)], [n]) for n in range(20)], k, k**0)
        ]
        table += [[f"{name}, {n} settings", *(s[:n].any(axis=0).mean() for s in shown)] for n in (2, 5, 10, 20)]
    return table


def single(studies: int) -> list[list[object]]:
    table = []
    for name, draw in SHAPES.items():
        for J in (5, 10, 20, 60):
            rng = np.random.default_rng(J)
            every = [draw(rng, J) for _ in range(studies)]
            kept, plain = (
                [student(d, 0.0, 0.0, alpha).interval for d in every] for alpha in (ALPHA * (1 - RESERVE), ALPHA)
            )
            covered = (np.mean([covers(interval) for interval in intervals]) for intervals in (kept, plain))
            table.append([f"{name}, {J} pairs", *covered, np.mean([low > 0 for low, _ in kept])])
    return table


def data_sets(studies: int) -> list[list[object]]:
    table = []
    for k in (3, 5, 8, 20):
        for spread in (0.0, 1.0, 3.0):
            rng, inside = np.random.default_rng(k), 0
            for _ in range(studies):
                errors = rng.uniform(0.5, 1.5, k)
                gains = spread * rng.standard_normal(k) + errors * rng.standard_normal(k)
                inside += covers(random_effects(gains.tolist(), errors.tolist(), 0.0, ALPHA)[0].interval)
            table.append([f"{k} data sets, spread {spread:g}", inside / studies])
    return table


def mean_of(d: np.ndarray, rows: np.ndarray) -> float:
    return float(d[rows].mean())


def held_out(studies: int) -> list[list[object]]:
    table = []
    for name, draw in SHAPES.items():
        for n in (5, 10, 20, 100):
            rng, inside, wrong = np.random.default_rng(n), 0, 0
            for _ in range(studies):
                d = draw(rng, n)
                found = bootstrap(partial(mean_of, d), np.arange(n), 0.0, ALPHA, rng).interval
                inside, wrong = inside + covers(found), wrong + (found[0] > 0)
            table.append([f"{name}, {n} rows", inside / studies, wrong / studies])
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000)
    asked = parser.parse_args()
    began = time.process_time()
    written: list[Sequence[object]] = []
    for head, make in (
        (["at every look", "always-valid", "with reserve", "plain t"], looked),
        (["more pairs", "all hold", "wrong"], continued),
        (["other settings", "1 + .. + k", "one of k", "alone"], others),
        (["single look", "with reserve", "plain t", "wrong"], single),
        (["mean over", "covers"], data_sets),
        (["hold-out", "covers", "wrong"], held_out),
    ):
        rows = make(asked.studies)
        written += [head, *rows]
        print(" | ".join(f"{h:>14}" if i else f"{h:<24}" for i, h in enumerate(head)))
        for name, *shares in rows:
            print(" | ".join([f"{name:<24}", *(f"{100 * float(str(v)):>12.1f} %" for v in shares)]), flush=True)
    target = write("intervals", written)
    print(f"Trimtab {tt.__version__}, {time.process_time() - began:.0f} s of CPU; {target}")


if __name__ == "__main__":
    main()
