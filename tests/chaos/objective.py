"""What the workers run: it sleeps, reports, and now and then raises, exits or kills its own process."""

import os
import random
import signal
import time


def nap(trial):
    """A second of nothing."""
    time.sleep(1)
    return kept(trial, trial.params["x"])


def kept(trial, value):
    """The value; a file outside of the study has it before the study does (`checker.delivered`)."""
    line = f"{trial.number} {trial.attempt} {value!r}\n".encode()
    file = os.open(os.environ["CHAOS_RETURNS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line)
    os.close(file)
    return value


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
    return kept(trial, (trial.params["x"] - 0.3) ** 2 + trial.params["y"])
