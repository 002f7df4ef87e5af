"""Forty and more kinds of bad input: each gives an error that names the value, the rule and the repair, and changes nothing."""

import math
import threading
from decimal import Decimal
from functools import partial
from inspect import signature
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier

import trimtab as tt
from trimtab.calls import checked_call
from trimtab.errors import SpecError, UserError
from trimtab.executors.slurm import Slurm
from trimtab.objective import Command
from trimtab.outlook import Enough
from trimtab.schedule import Schedule
from trimtab.stopping.percentile import Percentile
from trimtab.stopping.plateau import Plateau
from trimtab.stopping.promotion import Promotion
from trimtab.strategies.cma import CMA
from trimtab.strategies.evolution import Evolution
from trimtab.strategies.gp import GP
from trimtab.strategies.nsga2 import NSGA2
from trimtab.strategies.nsga3 import NSGA3
from trimtab.strategies.pb2 import PB2
from trimtab.strategies.pbt import PBT

X = tt.Space(x=tt.Float(0, 1, default=0.5), kind=tt.Choice("a", "b", default="a"))
NO_DEFAULT = tt.Space(x=tt.Float(0, 1))


def new(**words):
    return tt.Study("s", words.pop("space", X), **{"minimize": "loss", **words})


def run(objective=lambda trial: 1.0, **words):
    return new().run(objective, **{"trials": 2, "quiet": True, **words})


def trained(strategy):
    return new(strategy=strategy, fidelity=tt.Fidelity("epochs", 1, 81))


def done(**words):
    study = new(**words)
    study.run(lambda trial: 1.0, trials=2, quiet=True)
    return study


def locked(lock, trial):
    return float(lock.locked())


CASES = {
    # space
    "reversed bounds": (lambda: tt.Space(rate=tt.Float(0.1, 0.01)), r"low=0\.1 is above high=0\.01; swap"),
    "log from zero": (lambda: tt.Space(rate=tt.Float(0, 1, log=True)), "log"),
    "NaN bound": (lambda: tt.Space(rate=tt.Float(math.nan, 1)), "nan"),
    "infinite bound": (lambda: tt.Space(rate=tt.Float(0, math.inf)), "inf"),
    "log with step": (lambda: tt.Space(rate=tt.Int(1, 9, log=True, step=2)), "step"),
    "step of zero": (lambda: tt.Space(rate=tt.Float(0, 1, step=0)), "step"),
    "default outside": (lambda: tt.Space(rate=tt.Int(1, 9, default=10)), "10"),
    "fractional int": (lambda: tt.Space(rate=tt.Int(1.5, 9)), r"1\.5"),
    "choice without options": (lambda: tt.Space(rate=tt.Choice()), "option"),
    "option twice": (lambda: tt.Space(rate=tt.Choice("a", "a")), "'a'"),
    "option that is no scalar": (lambda: tt.Space(rate=tt.Choice([1, 2], "a")), r"\[1, 2\]"),
    "no parameters": (lambda: tt.Space(), "parameter"),
    "not a parameter": (lambda: tt.Space(x=3), "x"),
    "duplicate name": (lambda: tt.Space({"x": tt.Int(1, 2)}, x=tt.Int(1, 2)), "'?x'?"),
    "unknown parent": (lambda: tt.Space(a=tt.Choice(1, 2), b=tt.Int(1, 2, when={"aa": 1})), r"aa.*did you mean 'a'"),
    "impossible parent value": (lambda: tt.Space(a=tt.Choice(1, 2), b=tt.Int(1, 2, when={"a": 3})), "3"),
    "cycle of conditions": (
        lambda: tt.Space(a=tt.Choice(1, 2, when={"b": 1}), b=tt.Choice(1, 2, when={"a": 1})),
        "cycle",
    ),
    "unknown name in require": (lambda: X.require("xx < 1"), "did you mean 'x'"),
    "wrong type in require": (lambda: X.require("kind < 1"), "kind"),
    "code in require": (lambda: X.require("__import__('os').system('true')"), "__import__"),
    "no expression": (lambda: X.require("x <"), "x <"),
    "unsatisfiable require": (lambda: X.require("x < 0.9", "x > 2"), r"x > 2"),
    # goals, constraints, budget
    "no goal": (lambda: tt.Study("s", X), "minimize="),
    "goal twice": (lambda: new(maximize="loss"), "twice"),
    "goal that is no name": (lambda: new(minimize=[3]), "3"),
    "constraint without comparison": (lambda: new(subject_to="latency"), "exactly one comparison"),
    "constraint on a metric with a hyphen": (lambda: new(subject_to="val-loss <= 3"), "(val_loss, not val-loss)"),
    "constraint with equality": (lambda: new(subject_to="latency == 3"), "<= or >="),
    "constraint on two metrics": (lambda: new(subject_to="latency <= size"), "size"),
    "constraint that is no expression": (lambda: new(subject_to="latency <="), "no expression"),
    "baseline that is no setting": (lambda: new(baseline=0.5), r"baseline=0\.5"),
    "text for a truth value": (lambda: new(deterministic="no"), "deterministic='no' must be True or False"),
    "fresh that is no truth value": (lambda: new(fresh="no"), "fresh='no' must be True or False"),
    "store that is a path": (lambda: new(storage=Path("trimtab.db")), "write 'sqlite:///trimtab.db'"),
    "explain of no goal": (lambda: done().explain("auc"), "goal='auc' is none of the study's goals: loss"),
    "verify of no document": (lambda: new().verify("nowhere.html"), "nowhere.html.*No such file"),
    "constraints that are no list": (lambda: new(subject_to=5), "subject_to=5"),
    "constraint on a parameter": (
        lambda: new(subject_to="x <= 0.5"),
        r"'x' is a parameter.*space.require\('x <= 0.5'\)",
    ),
    "constraint revised to a parameter": (lambda: new().revise(subject_to="x <= 0.5"), "'x' is a parameter"),
    "constraint that a new parameter takes": (
        lambda: new(subject_to="y <= 0.5").revise(space={**X.params, "y": tt.Int(1, 2)}, assume={"y": 1}),
        "'y' is a parameter",
    ),
    "constraint with infinities": (lambda: new(subject_to="latency <= 1e999 - 1e999"), "must be finite"),
    "constraint that no float can hold": (lambda: new(subject_to="latency <= 1" + "0" * 400), "too large"),
    "constraint without end": (lambda: new(subject_to="latency <= " + "-" * 5000 + "1"), "latency"),
    "goals that are no list": (lambda: new(minimize=5), "minimize=5"),
    "half a character": (lambda: new(space=tt.Space(kind=tt.Choice("a\ud800", "b"))), "lone surrogate"),
    "constraint that is no text": (lambda: new(subject_to=[3]), "no text"),
    "relative constraint without baseline": (
        lambda: new(space=NO_DEFAULT, subject_to="latency <= 1.1 * baseline"),
        "there is none; give baseline=",
    ),
    "baseline outside the space": (lambda: new(baseline={"x": 2.0, "kind": "a"}), "baseline"),
    "baseline with unknown name": (lambda: new(baseline={"xx": 0.2, "kind": "a"}), "xx"),
    "budget of zero": (lambda: tt.Budget(trials=0), "at least 1"),
    "negative time": (lambda: tt.Budget(time=-3), "no positive amount"),
    "unknown unit": (lambda: tt.Budget(time="3 fortnights"), "30m"),
    "unknown budget": (lambda: new(budget={"trails": 3}), "did you mean 'trials'"),
    "budget that is a number": (lambda: new(budget=3), "tt.Budget"),
    "GPU-hours without GPUs": (
        lambda: done(budget=tt.Budget(gpu_hours=3)),
        r"gpu_hours needs gpus.*Resources\(gpus=1\)",
    ),
    "cost without a price": (lambda: done(budget=tt.Budget(cost=3)), "price"),
    # study
    "study without a name": (lambda: tt.Study("", X, minimize="loss"), "name"),
    "study without a space": (lambda: tt.Study("s", minimize="loss"), "needs its space"),
    "unknown strategy": (lambda: new(strategy="gpp"), "did you mean 'gp'"),
    "object that is no strategy": (lambda: new(strategy=3), "init, tell and ask"),
    "class of a strategy": (lambda: new(strategy=CMA), r"make one: strategy=CMA\(\)"),
    "setting of a strategy for its name": (lambda: new(strategy=CMA(20)), "name=20 is no text; settings are given by"),
    "strategy with a version that is no text": (lambda: new(strategy=CMA(version=3)), "version=3 is no text"),
    "setting that no record can hold": (lambda: trained(PBT(fixed={"x"})), r"fixed=\{'x'\} is no .* list"),
    "fixed that is one name": (lambda: trained(PBT(fixed="x")), "fixed='x' is no list of parameters' names"),
    "frequencies that are one number": (lambda: trained(PB2(frequencies=3)), r"frequencies=3 .* such as \(1, 3\)"),
    "frequency that is no number": (
        lambda: trained(PB2(frequencies=(1, True))),
        r"frequencies=True .* such as \(1, 3\)",
    ),
    "no frequencies": (lambda: trained(PBT(frequencies=())), r"frequencies=\[\] is empty; write \(1,\)"),
    "grid over a continuous space": (lambda: done(strategy="grid"), "x"),
    "negative seed": (lambda: new(seed=-1), "seed=-1"),
    "zero replicates": (lambda: new(replicates=0), "replicates=0"),
    "half a retry": (lambda: new(retries=0.5), "retries=0.5"),
    "zero max_failures": (lambda: new(max_failures=0), "max_failures=0"),
    # run, ask and tell
    "negative workers": (lambda: run(workers=-1), "workers=-1"),
    "zero trials": (lambda: run(trials=0), "trials=0"),
    "nothing says when to stop": (lambda: new().run(lambda t: 1.0, quiet=True), "give trials= or time="),
    "unknown resource": (lambda: run(resources={"tme": "5m"}), "did you mean 'time'"),
    "resources that are a number": (lambda: run(resources=3), "tt.Resources"),
    "memory without a unit": (
        lambda: tt.Resources(memory=4),
        "memory=4 is 4 bytes, too few for any program; write '2GiB'",
    ),
    "memory of nothing": (lambda: tt.Resources(memory="0GiB"), "2GiB"),
    "parts of several GPUs": (
        lambda: tt.Resources(gpus=1.5),
        r"gpus=1\.5: ask for a whole number of GPUs, or for a part of one",
    ),
    "cpus of nothing": (lambda: tt.Resources(cpus=0), "cpus=0"),
    "tell both": (lambda: new().tell(0, 1.0, failed="why"), "one of the two"),
    "tell a trial that is not there": (lambda: new().tell(7, 1.0), "trial 7 does not exist"),
    "add without a metric": (
        lambda: new().add({"x": 0.5, "kind": "a"}, {"los": 1.0}),
        "missing metric 'loss' in what add was given; did you mean 'los'\\?; give {'loss': ...}",
    ),
    "a row of a table": (
        lambda: new().enqueue(pd.Series({"x": 0.5, "kind": "a"})),
        r"x +0\.5 kind +a .* is not a mapping .*row\.to_dict\(\)",
    ),
    "a table of results": (
        lambda: new().add(pd.DataFrame({"x": [0.5], "kind": ["a"]}), [1.0]),
        r"no list of settings; write params\.to_dict\('records'\)",
    ),
    "add an unknown parameter": (lambda: new().add({"y": 1}, 1.0), "y"),
    "enqueue outside the space": (lambda: new().enqueue({"x": 3, "kind": "a"}), "3"),
    "best of nothing": (lambda: new().best, "no best trial yet"),
    "cancel a trial that has ended": (lambda: done().cancel(0), "cancel"),
    "resume what is not paused": (lambda: done().resume(), "resume"),
    # objectives
    "objective file that is not there": (lambda: run("nowhere.py:f"), "nowhere.py"),
    "objective without a colon": (lambda: run("train.py"), ":"),
    "objective that is not there": (lambda: run("trimtab.units:second"), "did you mean 'seconds'"),
    "objective that cannot be called": (lambda: run(3), "3"),
    "program that is not there": (lambda: run(Command("no-such-program {x}")), "no-such-program"),
    "unknown placeholder": (lambda: run(Command("echo {xx}")), "did you mean 'x'"),
    "objective that cannot be sent": (
        lambda: run(partial(locked, threading.Lock()), workers=2),
        "lock",
    ),
    "a program as an objective": (
        lambda: run("python train.py --x {x}"),
        r"a program is Command\('python train.py --x {x}'\)",
    ),
    # the study
    "a space without a name": (
        lambda: tt.Study(X, minimize="loss"),
        r"study name Space\(.*write tt\.Study\('a-name', space",
    ),
    "a study that is only named": (lambda: tt.Study("s"), r"to create one: tt\.Study\('s', space, minimize="),
    "a goal without a name": (
        lambda: tt.Study("s", X, minimize=True),
        "minimize=True is no list of metrics; write minimize='loss'",
    ),
    "a fidelity that is a number": (lambda: new(fidelity=81), r"fidelity=81 is not understood; write tt\.Fidelity\("),
    "a fidelity without a name": (
        lambda: new(fidelity={"low": 1, "high": 81}),
        r"is not understood; write tt\.Fidelity\(",
    ),
    "no targets": (lambda: tt.CrossValidation(DummyClassifier(), [[0]] * 8, None), "y=None has no rows; give a table"),
    "kind of a parameter that is no name": (
        lambda: tt.Space.from_json({"params": [{"name": "x", "type": ["float"]}]}),
        r"x: type=\['float'\] is not known",
    ),
    "fewer targets than rows": (
        lambda: tt.CrossValidation(DummyClassifier(), [[0]] * 8, [0, 1] * 3),
        "X has 8 rows and y has 6; give one target for each row",
    ),
    "an evidence record by a template that is misspelt": (
        lambda: done().report("r.json", template="us-sr-26-2-2062"),
        "template='us-sr-26-2-2062' is not known; did you mean 'us-sr-26-2-2026'",
    ),
    "a program whose name no file can have": (lambda: run(Command("x" * 300)), "no program 'xxx"),
    "an objective whose name no file can have": (lambda: run("x" * 300 + ".py:f"), r"xxx\.py does not exist"),
    "data whose name no file can have": (lambda: new(data={"train": "x" * 300}), "xxx does not exist"),
    "a template whose name no file can have": (
        lambda: done().report("r.json", template="x" * 300 + ".yaml"),
        r"xxx\.yaml' is not known",
    ),
    "a schedule that is a path": (lambda: Schedule.from_yaml(Path("s.yaml")), "is no text; give what"),
    "a command with a NUL": (lambda: run(Command("echo loss 1 \x00")), "holds NUL, or a byte that is no UTF-8"),
    "a command that is no UTF-8": (lambda: run(Command("echo loss 1 \udce9")), "holds NUL, or a byte that is no UTF-8"),
    "an objective that is no UTF-8": (lambda: run("tr\udce9.py:f"), "a byte that is no UTF-8; rename the file"),
    "data without a path": (lambda: new(data={"train": ""}), "data 'train': an empty path does not exist"),
    # evidence
    "replicates without end": (lambda: done().evidence(lambda t: 1.0, replicates=10**9, quiet=True), "at most 10000"),
    "finalists without end": (lambda: done().evidence(lambda t: 1.0, finalists=10**9, quiet=True), "at most 10000"),
    "a sample that fills the memory": (lambda: new(strategy=Evolution(sample=10**9)), "at most 10000"),
    "a population without end": (lambda: new(strategy=PBT(10**9), fidelity=tt.Fidelity("e", 1, 9)), "at most 10000"),
    "one replicate": (lambda: done().evidence(lambda t: 1.0, replicates=1, quiet=True), "at least 2"),
    "evidence on another metric": (
        lambda: done().evidence(lambda t: 1.0, metric="los", quiet=True),
        "did you mean 'loss'",
    ),
    "evidence for a trial that is not there": (
        lambda: done().evidence(lambda t: 1.0, tuned=99),
        "trial 99 does not exist",
    ),
    # arguments
    "British spelling": (lambda: tt.Study("s", X, maximise="auc"), r"^Study\(maximise='auc'\): .*'maximize'\?$"),
    "a direction": (lambda: tt.Study("s", X, direction="minimize"), "did you mean 'minimize' or 'maximize'"),
    "a goal by position": (lambda: tt.Study("s", X, "loss"), r"too many positional arguments; it takes .*\*, minimize"),
    "constraints of Optuna": (
        lambda: new(subject_to=lambda trial: trial.user_attrs["c"]),
        "is no text; write it like .latency_ms <= 20",
    ),
    "trials of Optuna": (lambda: run(n_trials=5), r"^run\(n_trials=5\): .* did you mean 'trials'\?$"),
    "trials of a study": (lambda: new(n_trials=5), r"n_trials.*'budget'"),
    "jobs": (lambda: run(n_jobs=2), "did you mean 'workers'"),
    "a timeout": (lambda: tt.Budget(timeout=60), r"^Budget\(timeout=60\): .* did you mean 'time'\?$"),
    "default of ConfigSpace": (lambda: tt.Float(0, 1, default_value=0.5), r"^Float\(default_value=0.5\).*'default'\?$"),
    "no high end": (
        lambda: tt.Int(1),
        r"^Int\(1\): missing a required argument: 'high'; it takes \(low, high, \*, log",
    ),
    "folds of scikit-learn": (lambda: tt.CrossValidation(1, X, None, cv=5), "no argument 'cv'; did you mean 'folds'"),
    "tell by another name": (lambda: new().tell(0, value=1.0), "no argument 'value'; did you mean 'metrics'"),
    "a metric without a name": (lambda: new().ask().report(0.3, 1), r"report\(0.3, 1\).*takes \(step, /, \*\*metrics"),
    # stores
    "unknown store": (lambda: new(storage="mongodb://x"), "mongodb"),
    "store in no folder": (lambda: new(storage="sqlite:////no/such/folder/x.db"), "folder"),
}


@pytest.mark.parametrize("kind", CASES)
def test_bad_input_gets_a_clear_error(kind):
    call, message = CASES[kind]
    with pytest.raises(UserError, match=f"(?s){message}") as caught:
        call()
    assert len(str(caught.value)) < 1500


def test_a_wrong_call_is_a_type_error_and_one_inside_a_right_call_stays_what_it_is():
    with pytest.raises(TypeError, match="no argument"):
        tt.Float(0, 1, lower=0)

    @checked_call
    def half(self, x):
        return x / 2

    assert half(None, 3) == 1.5
    with pytest.raises(TypeError, match="unsupported operand") as caught:
        half(None, "text")
    assert not isinstance(caught.value, UserError)


def test_signatures_are_as_they_are_written():
    assert (
        str(signature(tt.Study.ask))
        == "(self, lease: float | str | None = None) -> trimtab.objective.trial.ActiveTrial"
    )
    assert str(signature(tt.Fidelity)).startswith("(name: str, low: float, high: float")
    assert [*signature(tt.Budget).parameters] == ["trials", "time", "cpu_hours", "gpu_hours", "cost", "kwh"]


def test_a_refused_call_changes_nothing(url):
    study = tt.Study("s", X, minimize="loss", storage=url)
    study.run(lambda trial: 1.0, trials=2, quiet=True)
    before = (study.record, study.trials)
    for call, said in (
        (lambda: study.enqueue({"x": 3, "kind": "a"}), "x: 3 is outside"),
        (
            lambda: study.add([{"x": 0.1, "kind": "a"}, {"x": 7, "kind": "a"}], [1.0, 2.0]),
            r"params\[1\]: x: 7 is outside",
        ),
        (lambda: study.add([{"x": 0.1, "kind": "a"}] * 2, [1.0, "2"]), r"metrics\[1\]: .*'2'"),
        (lambda: study.revise(space=tt.Space(x=tt.Float(0.2, 1))), "old trials have it"),
        (lambda: study.tell(1, 2.0), "only a running trial can be told"),
    ):
        with pytest.raises(UserError, match=said):
            call()
    assert (study.record, study.trials) == before
    assert study.verify() == []


# ------------------------------------------------------------------------------------------ kinds of argument

LARGE = ([*range(2000)], dict.fromkeys(range(2000)), pd.DataFrame(np.eye(9)))  # data in the place of something else
NOTHING = (object(), len, [1], {"a": 1}, b"x", 1j, "a\ud800", np.array([1, 2]), *LARGE)  # what is of no kind
NO_FLAG = (*NOTHING, "yes", "", 0, 1, 1.0, math.nan, np.int64(1))
NO_NUMBER = (*NOTHING, True, np.True_, "many", -1, -0.5, math.nan, math.inf, np.float64("nan"), 10**400, 10**5000)
NO_WHOLE = (*NO_NUMBER, "3", 0.5, 3.0, np.float64(3.0), Decimal(3))
NO_TEXT = (object(), len, [1], {"a": 1}, 1j, b"x", np.array([1, 2]), True, 3, math.nan, *LARGE)


def proved(**words):
    study = new(seed=1)
    study.run(lambda t: t.params["x"], trials=4, quiet=True)
    return study.evidence(lambda t: t.params["x"] + t.seed % 7, **{"replicates": 2, "quiet": True, **words})


def validated(**words):
    return tt.CrossValidation(DummyClassifier(), [[0]] * 8, [0, 1] * 4, **{"folds": 2, **words})


def told(**words):
    study = new()
    return study.tell(study.ask(), **words)


WHOLE = {
    "Budget(trials=)": lambda v: tt.Budget(trials=v),
    "Resources(cpus=)": lambda v: tt.Resources(cpus=v),
    "seed": lambda v: new(seed=v),
    "replicates": lambda v: new(replicates=v),
    "retries": lambda v: new(retries=v),
    "max_failures": lambda v: new(max_failures=v),
    "run(trials=)": lambda v: run(trials=v),
    "run(workers=)": lambda v: run(workers=v),
    "evidence(replicates=)": lambda v: proved(replicates=v),
    "evidence(finalists=)": lambda v: proved(finalists=v),
    "evidence(tuned=)": lambda v: proved(tuned=v),
    "CrossValidation(folds=)": lambda v: validated(folds=v),
    "CrossValidation(gap=)": lambda v: validated(gap=v, time=range(8)),
    "Enough(every=)": lambda v: Enough(every=v),
    "report(at=)": lambda v: done().report("r.json", at=v),
    "Int(default=)": lambda v: tt.Space(n=tt.Int(1, 9, default=v)),
    "Int(step=)": lambda v: tt.Space(n=tt.Int(1, 9, step=v)),
    "Evolution(population=)": lambda v: new(strategy=Evolution(population=v)),
    "Evolution(sample=)": lambda v: new(strategy=Evolution(sample=v)),
    "NSGA2(population=)": lambda v: new(strategy=NSGA2(population=v)),
    "NSGA3(population=)": lambda v: new(strategy=NSGA3(population=v)),
    "PBT(intervals=)": lambda v: trained(PBT(intervals=v)),
}


def mebi(v):
    """Two and the like as so many MiB: less memory is refused whatever its type."""
    return v * 2**20 if isinstance(v, float | np.number | int) and v == 2 else v


NUMBERS = {
    "Budget(time=)": lambda v: tt.Budget(time=v),
    "Budget(cost=)": lambda v: tt.Budget(cost=v),
    "Resources(gpus=)": lambda v: tt.Resources(gpus=v),
    "Resources(memory=)": lambda v: tt.Resources(memory=mebi(v)),
    "Resources(watts=)": lambda v: tt.Resources(watts={"cpu": v}),
    "Fidelity(low)": lambda v: tt.Fidelity("epochs", v, 9),
    "Fidelity(factor=)": lambda v: tt.Fidelity("epochs", 1, 9, v),
    "run(time=)": lambda v: run(time=v),
    "ask(lease=)": lambda v: new().ask(lease=v),
    "evidence(test_train_ratio=)": lambda v: proved(test_train_ratio=v),
    "evidence(minimum_effect=)": lambda v: proved(minimum_effect=v),
    "Enough(worth=)": lambda v: Enough(worth=v),
    "Float(step=)": lambda v: tt.Space(x=tt.Float(0, 9, step=v)),
    "Plateau(patience=)": lambda v: new(stopping=Plateau(patience=v)),
    "Percentile(least=)": lambda v: new(stopping=Percentile(least=v)),
    "params": lambda v: tt.Space(x=tt.Float(0, 9)).validate({"x": v}),
}
FLAGS = {
    "deterministic": lambda v: new(deterministic=v),
    "fresh": lambda v: new(fresh=v),
    "run(supervised=)": lambda v: run(supervised=v),
    "run(quiet=)": lambda v: run(quiet=v),
    "evidence(sequential=)": lambda v: proved(sequential=v),
    "evidence(quiet=)": lambda v: proved(quiet=v),
    "Float(log=)": lambda v: tt.Space(x=tt.Float(1, 9, log=v)),
    "Int(log=)": lambda v: tt.Space(x=tt.Int(1, 9, log=v)),
    "Choice(ordered=)": lambda v: tt.Space(x=tt.Choice("a", "b", ordered=v)),
    "GP(ladder=)": lambda v: new(strategy=GP(ladder=v)),
    "Promotion(growing=)": lambda v: Promotion(growing=v),
}
TEXTS = {
    "name": lambda v: tt.Study(v, X, minimize="loss"),
    "minimize": lambda v: new(minimize=v),
    "subject_to": lambda v: new(subject_to=v),
    "strategy": lambda v: new(strategy=v),
    "storage": lambda v: new(storage=v),
    "on_change": lambda v: new(on_change=v),
    "Fidelity(name)": lambda v: tt.Fidelity(v, 1, 9),
    "executor": lambda v: run(executor=v),
    "evidence(metric=)": lambda v: proved(metric=v),
    "evidence(executor=)": lambda v: proved(executor=v),
    "report(path)": lambda v: done().report(v),
    "report(template=)": lambda v: done().report("r.html", template=v),
    "report(previous=)": lambda v: done().report("r.html", previous=v),
    "verify(report)": lambda v: done().verify(v),
    "sign(timestamp=)": lambda v: done().sign(v),
    "note": lambda v: done().note(0, v),
    "failed": lambda v: told(failed=v),
    "require": lambda v: X.require(v),
    "CrossValidation(splits=)": lambda v: validated(splits=v),
    "CrossValidation(metric=)": lambda v: validated(metric=v),
    "CrossValidation(groups=)": lambda v: validated(groups=v),
    "Slurm(arguments=)": lambda v: Slurm(arguments=v),
    "PBT(step=)": lambda v: trained(PBT(step=v)),
    "PB2(fixed=)": lambda v: trained(PB2(fixed=v)),
}
OTHERS = {
    "Space": tt.Space,
    "Space(x=)": lambda v: tt.Space(x=v),
    "Space.from_json": tt.Space.from_json,
    "Float(low)": lambda v: tt.Space(x=tt.Float(v, 1)),
    "Float(prior=)": lambda v: tt.Space(x=tt.Float(0, 1, prior=v)),
    "Choice": lambda v: tt.Space(kind=tt.Choice(v)),
    "Choice(default=)": lambda v: tt.Space(kind=tt.Choice("a", "b", default=v)),
    "when": lambda v: tt.Space(kind=tt.Choice("a", "b"), x=tt.Int(1, 9, when=v)),
    "subject_to": lambda v: new(subject_to=[v]),
    "stopping": lambda v: new(stopping=v),
    "warm_start": lambda v: new(warm_start=v),
    "data": lambda v: new(data=v),
    "objective": run,
    "Command": lambda v: run(Command(v)),
    "enqueue": lambda v: new().enqueue({"x": 0.5, "kind": v}),
    "explain().importance(method=)": lambda v: done().explain().importance(method=v),
    "CrossValidation(estimator)": lambda v: tt.CrossValidation(v, [[0]] * 8, [0, 1] * 4),
    "report(card=)": lambda v: done().report("r.json", card=v),
}
TWO = np.int64(2)


def check_refused(call, values):
    for value in values:
        with pytest.raises(UserError) as caught:
            call(value)
        assert 10 < len(str(caught.value)) < 1500
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("argument", WHOLE)
def test_what_is_no_whole_number_is_refused_and_those_of_numpy_are_taken(argument, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_refused(WHOLE[argument], NO_WHOLE)
    WHOLE[argument](TWO)


@pytest.mark.parametrize("argument", NUMBERS)
def test_what_is_no_number_is_refused_and_those_of_numpy_are_taken(argument):
    check_refused(NUMBERS[argument], NO_NUMBER)
    for value in (TWO, np.float32(2.0), np.float64(2.0), 2):
        NUMBERS[argument](value)


@pytest.mark.parametrize("argument", FLAGS)
def test_what_is_no_truth_value_is_refused_and_those_of_numpy_are_taken(argument):
    check_refused(FLAGS[argument], NO_FLAG)
    FLAGS[argument](np.True_)


@pytest.mark.parametrize("argument", TEXTS)
def test_what_is_no_text_is_refused(argument, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_refused(TEXTS[argument], NO_TEXT)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("argument", OTHERS)
def test_data_in_the_place_of_something_else_are_refused_in_a_line(argument, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_refused(OTHERS[argument], LARGE)
    assert not list(tmp_path.iterdir())


def test_numbers_of_numpy_are_kept_as_plain_ones(url):
    how = {"seed": np.int64(7), "retries": np.int8(1), "deterministic": np.True_}
    how["fidelity"] = tt.Fidelity("n", np.int64(1), np.int64(9))
    how["budget"] = tt.Budget(trials=np.int32(3), cost=np.float32(0.5))
    made = new(storage=url, **how)
    again = new(storage=url, seed=7, retries=1, deterministic=True, fidelity=tt.Fidelity("n", 1, 9))
    assert again.spec == made.spec
    assert made.enqueue({"x": np.float32(0.5), "kind": "a"}).number == 1
    trial = made.ask()
    assert made.tell(np.int64(trial.number), np.float32(0.25)).metrics == {"loss": 0.25}
    assert made.verify() == []


def test_a_trial_may_be_named_by_itself_where_its_number_is_asked_for():
    study = done(seed=1)
    first = study.trials[0]
    study.note(first, "kept")
    assert study.trials[0].notes == ("kept",)
    assert study.checkpoint(first) == study.checkpoint(0)
    assert study.feasible(first) is study.feasible(0) is True
    assert study.explain().why(first) == study.explain().why(0)
    assert study.plot.lineage(first) == study.plot.lineage(0)


NAMED = {
    "checkpoint": lambda study, n: study.checkpoint(n),
    "evidence": lambda study, n: study.evidence(abs, tuned=n),
    "feasible": lambda study, n: study.feasible(n),
    "reproduce": lambda study, n: study.reproduce(lambda trial: 0.5, [n]),
    "schedule": lambda study, n: study.schedule(n),
    "tell": lambda study, n: study.tell(n, 0.5),
    "why": lambda study, n: study.explain().why(n),
}


@pytest.mark.parametrize("method", NAMED)
def test_a_trial_that_does_not_exist_is_refused_and_those_that_do_are_said(method):
    study = new(seed=1, baseline={"x": 0.5, "kind": "a"})
    study.run(lambda trial: 1.0, trials=1, quiet=True)
    with pytest.raises(SpecError, match=r"^trial 77 does not exist; the study has 1 trial, numbered from 0$"):
        NAMED[method](study, 77)


@pytest.mark.parametrize(("high", "factor"), [(81, 1 + 1e-12), (1e300, 1.5)])
def test_rungs_that_are_too_many_are_refused_at_once(high, factor):
    with pytest.raises(SpecError, match=r"rungs, 1000 are allowed; factor=3 is usual"):
        tt.Fidelity("epochs", 1e-3, high, factor)
