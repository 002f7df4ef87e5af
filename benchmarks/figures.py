"""Which figures are wanted, where they are kept (benchmarks/results/NAME.csv), and how they are summed up."""

import argparse
import csv
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "results"
Runs = dict[tuple[str, ...], list[str]]


def options(doc: str, seeds: int, trials: int) -> argparse.ArgumentParser:
    """What a comparison of tuners can be asked for. Of problems and tuners, none named means all."""
    made = argparse.ArgumentParser(description=doc.splitlines()[0])
    made.add_argument("--seeds", type=int, default=seeds)
    made.add_argument("--trials", type=int, default=trials)
    for what in ("--problems", "--tuners"):
        made.add_argument(what, type=lambda text: text.split(";"), default=[], help="names, divided by semicolons")
    return made


def named(text: str | None, known: Iterable[str]) -> list[str]:
    """The names in a text, divided by commas; all that are known if it is empty. Ends the program if one is not known."""
    there = list(dict.fromkeys(known))
    names = text.split(",") if text else there
    if strange := [name for name in names if name not in there]:
        raise SystemExit(f"{', '.join(strange)}: not known; there are {', '.join(there)}")
    return names


def write(name: str, rows: Iterable[Sequence[object]]) -> Path:
    """Write rows, of which the first one is the head; returns the file."""
    target = FOLDER / f"{name}.csv"
    target.parent.mkdir(exist_ok=True)
    with target.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return target


def finished(
    file: Path,
    names: Sequence[str],
    figures: Sequence[str],
    wanted: Iterable[Sequence[object]],
    run: Callable[..., Iterable[object]],
) -> Runs:
    """The figures of all finished runs by their names, once those of `wanted` are among them.

    A run is a line of the file: its names, then its figures, which `run` makes from the names. What the file has is not run
    again, so that an interrupted benchmark goes on, other environments can add their tuners, and tables can be printed anew.
    """
    file.parent.mkdir(exist_ok=True)
    if not file.exists():
        _append(file, [*names, *figures])
    with file.open(newline="") as lines:
        head, *rows = csv.reader(lines)
    if head != [*names, *figures]:
        raise SystemExit(f"{file} has the columns {', '.join(head)}, not {', '.join([*names, *figures])}: move it away")
    known = {tuple(row[: len(names)]): row[len(names) :] for row in rows}
    for key in wanted:
        written = tuple(map(str, key))
        if written not in known:
            known[written] = [str(v) for v in run(*key)]
            _append(file, [*written, *known[written]])
            print(*written, file=sys.stderr, flush=True)
    return known


def _append(file: Path, row: Sequence[object]) -> None:
    with file.open("a", newline="") as lines:
        csv.writer(lines).writerow(row)


def bootstrap(samples: Sequence[np.ndarray]) -> tuple[float, float, float]:
    """The mean over problems of the means over runs, and its 95 % interval from 2,000 bootstraps of the runs of each."""
    rng = np.random.default_rng(0)
    draws = [np.mean([s[rng.integers(0, len(s), len(s))].mean() for s in samples]) for _ in range(2000)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(np.mean([s.mean() for s in samples])), float(low), float(high)


def error(sample: np.ndarray) -> float:
    """The standard error of the mean of one figure per run (n,); NaN for fewer than two."""
    return float(sample.std(ddof=1) / np.sqrt(len(sample))) if len(sample) > 1 else np.nan


def interval(samples: Sequence[np.ndarray], digits: int = 4) -> str:
    mean, low, high = (f"{v:.{digits}f}" for v in bootstrap(samples))
    return f"{mean} [{low}, {high}]"


def line(cells: Iterable[object]) -> None:
    """A row of a table."""
    print(f"| {' | '.join(map(str, cells))} |")


def head(cells: Sequence[str]) -> None:
    """The first row of a table, and the rule below it."""
    line(cells)
    line(["---"] * len(cells))
