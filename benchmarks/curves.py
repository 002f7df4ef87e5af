"""Recorded learning curves for benchmarks: LCBench through YAHPO Gym's surrogate, epochs 1 to 52 (numpy and onnxruntime).

The surrogate gives validation accuracy and training time of a configuration at any epoch (Zimmer et al. 2021; Pfisterer
et al. 2022). `folder` is the directory `lcbench` of yahpo_data: model.onnx, encoding.json, config_space.json.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

RUNGS = (1, 3, 9, 27, 52)
_COLUMNS = (
    "epoch", "batch_size", "learning_rate", "momentum", "weight_decay", "num_layers", "max_units", "max_dropout",
)  # fmt: skip


class Curves:
    """One data set. `space`: {name: (kind, low, high, log)}."""

    def __init__(self, folder: Path, instance: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = options.intra_op_num_threads = 1
        self.name = instance
        self._session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
        self._code = json.loads((folder / "encoding.json").read_text())["OpenML_task_id"][instance]
        described = json.loads((folder / "config_space.json").read_text())["hyperparameters"]
        self.space = {
            p["name"]: ("int" if p["type"] == "uniform_int" else "float", p["lower"], p["upper"], bool(p["log"]))
            for p in described
            if p["name"] in _COLUMNS and p["name"] != "epoch"
        }

    def random(self, n: int, rng: np.random.Generator) -> list[dict[str, Any]]:
        """n configurations, uniform on each parameter's scale."""
        made = []
        for u in rng.random((n, len(self.space))):
            config: dict[str, Any] = {}
            for x, (name, (kind, low, high, log)) in zip(u, self.space.items(), strict=True):
                value = low * (high / low) ** x if log else low + (high - low) * x
                config[name] = min(high, max(low, round(value))) if kind == "int" else float(value)
            made.append(config)
        return made

    def at_rungs(self, configs: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
        """(losses, seconds since the beginning) of each configuration at RUNGS: (n, 5) each."""
        rows = [[c.get(k, 0) if k != "epoch" else e for k in _COLUMNS] for c in configs for e in RUNGS]
        names = [i.name for i in self._session.get_inputs()]
        codes = np.full((len(rows), 1), self._code, dtype=np.int32)
        out = self._session.run(None, {names[0]: codes, names[1]: np.array(rows, dtype=np.float32)})[0]
        out = np.asarray(out, dtype=float).reshape(len(configs), len(RUNGS), -1)
        losses, total = 1 - out[:, :, 1] / 100, np.maximum(out[:, :, 0], 1e-3)
        return losses, np.maximum.accumulate(total, axis=1)


def instances(folder: Path) -> list[str]:
    """The even-numbered data sets; the odd ones are kept for judging."""
    described = json.loads((folder / "config_space.json").read_text())["hyperparameters"]
    every = sorted(next(p for p in described if p["name"] == "OpenML_task_id")["choices"], key=int)
    return every[::2]
