"""What `import trimtab` and `trimtab --help` cost, as ratios against their floors, in CPU time.

    python benchmarks/imports.py        prints a table, writes benchmarks/results/imports.csv, exits 1 past a limit

Each command and its floor run in turn, so that a drifting machine hits both; the median of the pairwise ratios counts.
"""

import argparse
import resource
import statistics
import subprocess
import sys
from pathlib import Path

from figures import write

ROUNDS = 15
TRIMTAB = str(Path(sys.executable).with_name("trimtab"))
CASES = [  # what, command, floor, limit on the ratio
    ("import trimtab", [sys.executable, "-c", "import trimtab"], [sys.executable, "-c", "import numpy"], 0.5),
    ("trimtab --help", [TRIMTAB, "--help"], [sys.executable, "-c", "import click"], 2.5),
]


def cpu(command: list[str]) -> float:
    """CPU seconds of one run, children's user and system time."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)


def main() -> int:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    rows = []
    for what, command, floor, limit in CASES:
        pairs = [(cpu(command), cpu(floor)) for _ in range(ROUNDS + 2)][2:]
        ratio = statistics.median(a / b for a, b in pairs)
        rows.append(
            (what, statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs), ratio, limit)
        )
    write("imports", [("what", "cpu_s", "floor_cpu_s", "ratio", "limit"), *rows])
    for what, a, b, ratio, limit in rows:
        print(f"{what:16} {a * 1e3:7.1f} ms CPU   floor {b * 1e3:7.1f} ms   ratio {ratio:.2f}   limit {limit}")
    return int(any(ratio > limit for *_, ratio, limit in rows))


if __name__ == "__main__":
    sys.exit(main())
