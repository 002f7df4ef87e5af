"""A training that saves its state after each epoch and goes on from what it or its parent has saved; its text, for files."""

import json
from pathlib import Path


def train(trial):
    state = trial.checkpoint / "state.json"
    w, done = json.loads(state.read_text()) if state.exists() else (4.0, 0)
    if trial.attempt == 1:
        assert (done > 0) == (trial.parent is not None), "the parent's checkpoint is not there"
    for epoch in range(done + 1, int(trial.fidelity) + 1):
        w -= trial.params["rate"] * (w - 1 / epoch) + 1e-4 * (trial.seed % 7) * (trial.params["kind"] == "a")
        half = state.with_suffix(".half")  # a kill may come at any moment
        half.write_text(json.dumps([w, epoch]))
        half.replace(state)
        trial.report(epoch, loss=w * w)
    return w * w


TEXT = Path(__file__).read_text()
