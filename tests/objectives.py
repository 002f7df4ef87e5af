"""Objectives of several kinds, and one evaluated as a worker's process would: its study, its task, who listens, and files
for it."""

import math
import textwrap

import trimtab as tt
from trimtab.goals import goals
from trimtab.objective import as_program
from trimtab.records import StudySpec

SPACE = tt.Space(
    {
        "lr": tt.Float(0, 1, default=0.5),
        "batch_size": tt.Int(1, 64, default=8),
        "kind": tt.Choice("linear", "tree", default="tree"),
        "depth": tt.Int(1, 9, default=3, when={"kind": "tree"}),
    }
)
SPEC = StudySpec("s", SPACE, goals("loss", None))


class Model:
    def __init__(self, factor):
        self.factor = factor

    def method(self, trial):
        return self.factor * trial.params["lr"]

    def __call__(self, trial):
        return self.method(trial)


def scaled(trial, factor):
    return factor * trial.params["lr"]


def task(metrics=("loss",), **changes):
    known = {"params": {"lr": 0.25, "batch_size": 8}, "seed": 11, "number": 4, "purpose": "search"}
    return {**known, "replicate": None, "attempt": 1, "metrics": list(metrics), **changes}


class Listener:
    """Hears messages; tells the objective to stop from the report `stop_at` on."""

    def __init__(self, stop_at=math.inf):
        self.messages, self.stop_at = [], stop_at

    def __call__(self, message):
        self.messages.append(message)
        return {"stop": True, "rule": "median"} if len(self.messages) >= self.stop_at else {"stop": False}


def run(objective, metrics=("loss",), listener=None, **changes):
    return as_program(objective, SPEC).load_inline()(task(metrics, **changes), listener or Listener())


def write(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(textwrap.dedent(text))
