"""How often does the demo prove its gain, and how large is it?

    python benchmarks/demo.py [--runs 10] [--first 350] [--workers 2]

Runs `trimtab demo` with the seeds 350, 351, ... of its study, each in a folder of its own; the rows of tuning and reserve stay
the same. Two workers take turns as they end, so that a seed gives other figures each time. A minute a run on 2 cores. Prints a
table; finished runs are kept in benchmarks/results/demo.csv.
"""

import argparse
import tempfile
from collections import deque
from pathlib import Path

from figures import FOLDER, finished, head, line

import trimtab as tt
from trimtab.demo import credit, run
from trimtab.formatting import signed

NAMES, FIGURES = ["seed", "workers"], ["decision", "gain", "low", "high"]


def demo(seed: int, workers: int) -> list[object]:
    """The figures of one run."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        deque(run(out, workers=workers, seed=seed), maxlen=0)  # its lines are of no use here
        found = tt.Study("credit-default", storage=f"sqlite:///{out / 'trimtab.db'}").result()
    assert found is not None
    return [found.decision, found.difference, *found.interval]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--first", type=int, default=credit.SEED, help="the first seed")
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + asked.runs)
    known = finished(FOLDER / "demo.csv", NAMES, FIGURES, [(s, asked.workers) for s in seeds], demo)
    runs = [known[str(s), str(asked.workers)] for s in seeds]
    head(["seed", *FIGURES])
    for seed, (decision, *figures) in zip(seeds, runs, strict=True):
        line([seed, decision, *(signed(float(v), 3) for v in figures)])
    gains = sorted(float(gain) for _, gain, *_ in runs)
    proven = sum(decision == "proven" for decision, *_ in runs)
    print(
        f"Trimtab {tt.__version__}: {proven} of {len(runs)} proven, gains {signed(gains[0], 3)} to {signed(gains[-1], 3)}"
    )


if __name__ == "__main__":
    main()
