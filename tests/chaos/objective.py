"""What the workers run: it sleeps, reports, and now and then raises, exits or kills its own process."""

import os
import random
import signal
import time


def nap(trial):
    """A second of nothing."""
    time.sleep(1)
    return trial.params["x"]


def objective(trial):
    chance = random.Random(f"{trial.seed}/{trial.attempt}")
    for step in range(3):
        time.sleep(chance.uniform(0.1, 0.7))
        trial.report(step, loss=chance.random())
    if chance.random() < 0.03:
        raise RuntimeError("now and then")
    if chance.random() < 0.02:
        os.kill(os.getpid(), signal.SIGKILL)
    if chance.random() < 0.02:
        os._exit(3)
    return (trial.params["x"] - 0.3) ** 2 + trial.params["y"]
