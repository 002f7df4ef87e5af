"""What a user writes who checks types: `make lint` runs mypy --strict on it, and the tests run it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import trimtab as tt
from trimtab.strategies import History, Problem, Proposal, Rows, Strategy


@dataclass(frozen=True)
class Anywhere:
    """A strategy of one's own."""

    name: str = "anywhere"
    version: str = "1"

    def init(self, problem: Problem) -> History:
        return History.start(problem)

    def tell(self, state: History, rows: Rows) -> History:
        return state.with_rows(rows)

    def ask(self, state: History, pending: NDArray[np.float64], n: int, rng: np.random.Generator) -> list[Proposal]:
        return [Proposal(x) for x in state.problem.space.sample(n, rng)]


def objective(trial: tt.ActiveTrial) -> Mapping[str, float]:
    rate: float = trial.params["rate"]
    for epoch in range(1, 4):
        trial.report(epoch, loss=rate / epoch)
        if trial.should_stop():
            break
    trial.note("three epochs")
    return {"loss": rate, "size": 1.0 + trial.number}


strategy: Strategy[History] = Anywhere()
space = tt.Space(
    rate=tt.Float(1e-4, 1.0, log=True, default=0.1),
    depth=tt.Int(1, 9, default=3, when={"kind": "tree"}),
    kind=tt.Choice("tree", "linear", default="tree"),
).require("depth <= 8 or rate < 0.5")
study = tt.Study(
    "typed",
    space,
    minimize="loss",
    subject_to=["size <= 100"],
    budget=tt.Budget(trials=6, time="30m"),
    strategy=strategy,
    seed=1,
)
study.run(objective, resources=tt.Resources(cpus=1), quiet=True)
best: tt.Trial = study.best
rates: list[float] = [trial.metrics["loss"] for trial in study.trials if trial.state is tt.State.DONE]
evidence: tt.Evidence = study.evidence(objective, replicates=3, finalists=1, quiet=True)
low, high = evidence.interval
try:
    study.ask()
except tt.TrimtabError as error:
    print(f"{min(rates):.2f} {best.params} {evidence.decision} {low <= high} {study.verify()} {error}")


def documents(folder: Path) -> list[str]:
    study.plot.history().write_html(folder / "history.html")
    study.report(folder / "report.html")
    return [str(name) for name in study.frame().columns]
