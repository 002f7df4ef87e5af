"""Where figures are kept: benchmarks/results/NAME.csv."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

FOLDER = Path(__file__).parent / "results"


def write(name: str, rows: Iterable[Sequence[object]]) -> Path:
    """Write rows, of which the first one is the head; returns the file."""
    target = FOLDER / f"{name}.csv"
    target.parent.mkdir(exist_ok=True)
    with target.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return target
