"""Makes studies with every kind of event there is, as text for tests/golden: `python tests/kept.py` writes
kept-SCHEMA.sql, or kept-SCHEMA-2.sql, ... if there is one. Run it when what is stored has changed; an older one is never
changed again, since test_kept.py shows that it is still understood. `python tests/kept.py FILE` writes that file."""

import os
import socket
import sys
import tempfile
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import numpy as np
from dumps import rows_of

import trimtab as tt
from trimtab.errors import LeaseLost
from trimtab.storage.tables import SCHEMA

SPACE = tt.Space(
    rate=tt.Float(0.001, 1, log=True, default=0.9),
    kind=tt.Choice("linear", "tree", default="linear"),
    depth=tt.Int(1, 9, default=3, when={"kind": "tree"}),
).require("depth <= 7 or rate < 0.8")


def loss(trial):
    rate = trial.params["rate"]
    sys.stdout.write(f"rate {rate}\n")
    for epoch in (1, 3, 9):
        value = (rate - 0.3) ** 2 + 0.1 / epoch + (trial.seed % 7) / 1000
        trial.report(epoch, loss=value, size=10 * rate)
        if trial.should_stop():
            break
    return {"loss": value, "size": float("nan") if trial.number == 4 else 10 * rate}


def interrupted(_):
    raise KeyboardInterrupt


def kept(url):
    """A study with rungs, a warm start, a constraint, failures, revisions, evidence, audits and a signature."""
    how = {"minimize": "loss", "storage": url, "seed": 7, "strategy": "random"}
    tt.Study("first", SPACE, **how).run(loss, trials=3, quiet=True)
    study = tt.Study(
        "kept", SPACE, subject_to=["size <= 9.5"], budget={"trials": 40}, fidelity=tt.Fidelity("epochs", 1, 9),
        warm_start="first", data={"rows": np.arange(3)}, **how,
    )  # fmt: skip
    study.run(loss, trials=7, quiet=True)
    study.enqueue({"rate": 0.3, "kind": "linear"})
    study.add({"rate": 0.31, "kind": "tree", "depth": 2}, {"loss": 0.02, "size": 3.1})
    study.note(2, "the sensor was replaced – é")
    with suppress(KeyboardInterrupt):
        study.run(interrupted, quiet=True)
    taken_over(study)
    study.tell(study.ask(), failed="no such tree")
    study.cancel(study.enqueue({"rate": 0.2, "kind": "linear"}).number)
    study.pause()
    study.resume()
    study.revise(space=SPACE.require("rate < 0.99"), subject_to=["size <= 9.5", "size >= 0.001 * baseline"])
    study = tt.Study("kept", data={"rows": np.arange(4)}, storage=url)
    study.run(loss, trials=11, quiet=True, supervised=True)
    study.run(loss, trials=14, quiet=True, enough=tt.outlook.Enough(tolerance=9.0, least=3, every=1))
    study.evidence(loss, replicates=3, finalists=2, quiet=True)
    study.replay()
    study.reproduce(loss, trials=[0, 1])
    study.report("kept.json")
    study.sign()
    study.ask()


def taken_over(study):
    """A trial whose worker falls silent, is replaced, and comes back late."""
    slow = study.ask(lease=0.05)
    time.sleep(0.1)
    another = tt.Study("kept", storage=study.storage.url)
    another.tell(another.ask(), {"loss": 0.4, "size": 1.0})
    with suppress(LeaseLost):
        study.tell(slow, {"loss": 0.5, "size": 1.0})


def folds(url):
    """A cross-validation with a look at the hold-out, archived."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    X = rng.normal(size=(90, 2))
    y = (X[:, 0] + rng.normal(size=90) > 0).astype(int)
    objective = tt.CrossValidation(LogisticRegression(), X, y, folds=3, repeats=1, metric="roc_auc", holdout=0.3)
    study = tt.Study(
        "folds", tt.Space(C=tt.Float(1e-4, 1, log=True, default=1e-4)), maximize="roc_auc", storage=url, seed=1,
        strategy="sobol",
    )  # fmt: skip
    study.run(objective, trials=3, quiet=True)
    study.holdout(objective)
    study.archive()


def made(file):
    """Make the studies in a SQLite file, as on a machine without a name."""
    environment = import_module("trimtab.capture.environment")
    known = environment._fixed()
    environment._fixed = lambda: {**known, "installed": ["numpy==2.4.6"], "processor": "one", "system": "Linux"}
    socket.gethostname = lambda: "host"
    kept(f"sqlite:///{file}")
    folds(f"sqlite:///{file}")


def free(folder):
    """The first name that is free."""
    names = [f"kept-{SCHEMA}.sql", *(f"kept-{SCHEMA}-{n}.sql" for n in range(2, 100))]
    return next(p for name in names if not (p := folder / name).exists())


if __name__ == "__main__":
    target = Path(sys.argv[1]).resolve() if sys.argv[1:] else free(Path(__file__).parent.resolve() / "golden")
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"XDG_STATE_HOME": folder, "LOGNAME": "ada"}
        os.chdir(folder)
        made("t.db")
        target.write_text("".join(rows_of("t.db")))
