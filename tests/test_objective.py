"""What may be an objective, and what it may return."""

import asyncio
import functools
import json
import math
import pickle
import re
import sys
import threading
import traceback
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from objectives import SPEC, Listener, Model, run, scaled, task, write

import trimtab as tt
from trimtab.errors import ObjectiveError
from trimtab.goals import goals
from trimtab.objective import as_program, evaluate
from trimtab.objective.metrics import TrialFailed, measured
from trimtab.records import StudySpec

names = st.text(st.characters(codec="ascii", categories=["Ll"]), min_size=1, max_size=8)
finite = st.floats(allow_nan=False, allow_infinity=False)


# ----------------------------------------------------------------------------------------------- what it may return


@given(st.dictionaries(names, finite | st.integers(-(10**9), 10**9), min_size=1))
def test_any_mapping_of_finite_numbers_is_a_result(returned):
    found = measured(returned, list(returned))
    assert found == {k: float(v) for k, v in returned.items()}
    assert all(type(v) is float for v in found.values())


@given(st.dictionaries(names, finite, min_size=1), names)
def test_a_metric_that_is_missing_is_named(returned, name):
    needed = [*returned, name]
    if name in returned:
        assert set(measured(returned, needed)) == set(returned)
    else:
        with pytest.raises(TrialFailed, match=f"missing metric '{name}'"):
            measured(returned, needed)


@pytest.mark.parametrize(
    "value",
    [3, 0.5, np.float32(0.5), np.int64(7), np.array(2.5), Fraction(1, 2), -0.0],
    ids=lambda v: f"{type(v).__name__}",
)
def test_one_number_will_do_where_one_metric_is_needed(value):
    assert run(lambda trial: value) == {"state": "done", "metrics": {"loss": float(value)}}
    assert run(lambda trial: {"loss": value, "extra": 1})["metrics"] == {"loss": float(value), "extra": 1.0}


async def coroutine(trial):
    await asyncio.sleep(0)


def generator(trial):
    yield 1.0


BAD = {
    "None": (lambda t: None, "missing metric 'loss': the objective returned None"),
    "text": (lambda t: "0.5", "'0.5' (str)"),
    "NaN": (lambda t: math.nan, "loss=nan; a metric must be finite"),
    "masked": (lambda t: np.ma.masked, "loss=nan"),
    "masked array": (lambda t: np.ma.array(3.0, mask=True), "loss=nan"),
    "infinity": (lambda t: {"loss": -math.inf}, "loss=-inf"),
    "huge": (lambda t: 10**400, "loss=inf"),
    "bool": (lambda t: True, "True (bool)"),
    "numpy bool": (lambda t: np.bool_(True), "bool"),
    "tuple": (lambda t: (0.5, 0.1), "(0.5, 0.1) (tuple)"),
    "complex": (lambda t: 1j, "1j (complex)"),
    "decimal": (lambda t: {"loss": Decimal("0.5")}, "Decimal"),
    "array": (lambda t: np.zeros(3), "ndarray"),
    "array of one": (lambda t: np.zeros((1, 1)), "(ndarray); return {'loss': ...} (an array of one element"),
    "array of one in a mapping": (lambda t: {"loss": np.zeros(1)}, "take its .item()"),
    "empty mapping": (lambda t: {}, "missing metric 'loss'"),
    "misspelt": (lambda t: {"los": 1.0}, "did you mean 'los'?"),
    "name that is no text": (lambda t: {"loss": 1.0, 3: 1.0}, "named 3"),
    "bad extra": (lambda t: {"loss": 1.0, "model": "tree"}, "model='tree'"),
    "generator": (generator, "yield"),
    "coroutine": (coroutine, "async"),
    "report of NaN": (lambda t: t.report(1, loss=math.nan), "report(1) loss=nan"),
    "report of text": (lambda t: t.report(1, loss="low"), "loss='low'"),
    "report of nothing": (lambda t: t.report(1), "names no metric"),
    "report as in Optuna": (lambda t: t.report(0.3, step=1), "report(0.3, step=1): the step comes first"),
    "report without a step": (lambda t: t.report(None, loss=1.0), "step=None"),
}


@pytest.mark.parametrize("way", BAD)
def test_everything_else_is_a_bad_result_that_names_value_and_rule(way):
    objective, text = BAD[way]
    message = run(objective)
    assert (message["state"], message["reason"]) == ("failed", "bad result")
    assert text in message["error"]


@pytest.mark.parametrize("value", [math.nan, -math.inf, np.float32("inf"), np.ma.masked])
def test_a_metric_that_is_not_needed_and_not_finite_is_left_out_with_a_note(value):
    heard = Listener()
    said = {"loss": 0.5, "extra\x00": value, "size": 3}
    assert run(lambda trial: said, listener=heard) == {"state": "done", "metrics": {"loss": 0.5, "size": 3.0}}
    assert [m["kind"] for m in heard.messages] == ["note"]
    assert re.fullmatch("extra\ufffd=(nan|-?inf) was left out: it is not finite", heard.messages[0]["text"])
    assert "loss=nan" in run(lambda trial: {"loss": math.nan, "extra": math.nan})["error"]


def test_one_number_for_two_metrics_is_a_bad_result():
    message = run(lambda trial: 0.5, metrics=("auc", "latency"))
    assert message["reason"] == "bad result"
    assert "return {'auc': ..., 'latency': ...}" in message["error"]


# ------------------------------------------------------------------------------------------------- how it may raise


class Rude(Exception):
    def __str__(self):
        raise ValueError("no text")


class OutOfMemoryError(RuntimeError):
    """As PyTorch's, when a GPU has no room."""


def raises(error):
    def objective(trial):
        raise error

    return objective


@pytest.mark.parametrize(
    ("error", "reason", "text"),
    [
        (KeyError("age"), "error", "KeyError: 'age'"),
        (SystemExit(0), "error", "sys.exit(0)"),
        (MemoryError(), "memory", "MemoryError"),
        (OutOfMemoryError("CUDA out of memory"), "memory", "OutOfMemoryError: CUDA out of memory"),
        (Rude(), "error", "Rude"),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), "error", "UnicodeEncodeError"),
        (ValueError("lone \ud800 and nul \x00"), "error", "lone ? and nul"),
        (ValueError("x" * 10**6), "error", "ValueError: xxx"),
        (ExceptionGroup("several", [ValueError("inner")]), "error", "several"),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, BaseException) else None,
)
def test_an_exception_is_told_in_its_first_line(error, reason, text):
    message = run(raises(error))
    assert (message["state"], message["reason"]) == ("failed", reason)
    assert text in message["error"].splitlines()[0]
    assert len(message["error"]) < 25_000
    assert json.loads(json.dumps(message)) == message
    message["error"].encode()


def test_the_line_that_says_what_happened_is_told_of_an_error_that_quotes_a_traceback():
    quoted = 'Traceback (most recent call last):\n  File "a.py", line 4, in after\nValueError: no such column: age\n'
    for before, text in (
        ("a.cpp:58: ", "RuntimeError: a.cpp:58:"),
        ("In process 0.\nOriginal ", "RuntimeError: In process 0."),
    ):

        def objective(trial, before=before):
            raise RuntimeError(before + quoted)

        assert run(objective)["error"].splitlines()[0] == f"{text} ValueError: no such column: age"


def test_a_refused_report_is_a_bad_result_even_if_a_library_makes_another_error_of_it():
    def objective(trial):
        try:
            trial.report(2, loss=math.nan)
        except Exception:
            told = traceback.format_exc()
        raise RuntimeError(told)

    refused = "report(2) loss=nan; a metric must be finite"
    assert run(objective) == {"state": "failed", "reason": "bad result", "error": refused}

    def goes_on(trial):
        with suppress(TrialFailed):
            trial.report(2, loss=math.nan)
        raise ValueError("no such column: age")

    assert run(goes_on)["reason"] == "error"


def test_who_looks_for_a_value_elsewhere_is_told_where_it_is():
    said = "a trial has no 'suggest_float'; its setting is the mapping trial.params, with lr, batch_size"
    assert said in run(lambda trial: trial.suggest_float("lr", 0, 1))["error"]


def test_the_traceback_begins_in_the_objective():
    message = run(raises(KeyError("age")))
    frames = [line for line in message["error"].splitlines() if line.startswith("  File")]
    assert len(frames) == 1
    assert "in objective" in frames[0]


def test_ctrl_c_passes_through_here_and_is_contained_in_a_worker_process():
    made = as_program(raises(KeyboardInterrupt()), SPEC)
    with pytest.raises(KeyboardInterrupt):
        made.load_inline()(task(), Listener())
    assert made.load()(task(), Listener())["reason"] == "error"


# ---------------------------------------------------------------------------------------------- the running trial


def test_a_trial_that_heeds_a_rule_is_stopped_and_its_reports_fill_in():
    def objective(trial):
        for step in range(10):
            trial.report(step, loss=1 / (step + 1), accuracy=step)
            if trial.should_stop():
                return None
        return {"loss": 0.0}

    heard = Listener(stop_at=3)
    assert run(objective, listener=heard) == {"state": "stopped", "metrics": {"loss": 1 / 3, "accuracy": 2.0}}
    assert heard.messages[1] == {"kind": "report", "step": 1.0, "metrics": {"loss": 0.5, "accuracy": 1.0}}
    assert run(objective) == {"state": "done", "metrics": {"loss": 0.0}}


def test_a_trial_says_what_it_is_and_touches_nothing_global():
    before = np.random.get_state()[1].copy()

    def objective(trial):
        trial.note("a\x00b")
        return {"loss": trial.seed + trial.number + trial.params.pop("lr"), "attempt": trial.attempt}

    given, heard = task(attempt=2), Listener()
    assert evaluate(objective, given, heard)["metrics"] == {"loss": 15.25, "attempt": 2.0}
    assert given == task(attempt=2)
    assert heard.messages == [{"kind": "note", "text": "a\ufffdb"}]
    assert (np.random.get_state()[1] == before).all()


# -------------------------------------------------------------------------------------------------- functions


@pytest.mark.parametrize(
    "objective",
    [
        lambda trial: 2 * trial.params["lr"],
        functools.partial(scaled, factor=2),
        Model(2).method,
        Model(2),
        functools.partial(Model(2)),
    ],
    ids=["lambda", "partial", "method", "object", "partial of an object"],
)
def test_any_callable_reaches_another_process(objective):
    made = as_program(objective, SPEC)
    there = pickle.loads(pickle.dumps(made))
    assert made.kind == there.kind == "function"
    assert len(made.fingerprint) == 64
    assert there == pickle.loads(pickle.dumps(there))
    for each in (made, there):
        assert each.load()(task(), Listener()) == {"state": "done", "metrics": {"loss": 0.5}}


def test_the_fingerprint_follows_the_code():
    def compiled(text):
        space = {}
        exec(text, space)
        return as_program(space["f"], SPEC).fingerprint

    assert as_program(scaled_by(2), SPEC).fingerprint == as_program(scaled_by(2), SPEC).fingerprint
    assert as_program(scaled_by(2), SPEC).fingerprint != as_program(scaled_by(3), SPEC).fingerprint
    assert compiled("def f(t): return 1.0") == compiled("def f(t): return 1.0")
    assert compiled("def f(t): return 1.0") != compiled("def f(t): return 2.0")


def scaled_by(factor):
    return functools.partial(scaled, factor=factor)


def test_what_cannot_be_sent_is_named():
    lock, harmless = threading.Lock(), [1, 2]

    def objective(trial):
        return float(lock.locked()) + len(harmless)

    made = as_program(objective, SPEC)
    assert made.load_inline()(task(), Listener())["metrics"] == {"loss": 2.0}
    with pytest.raises(ObjectiveError, match=r"captures lock \(lock\).*one worker") as caught:
        pickle.dumps(made)
    assert "harmless" not in str(caught.value)
    with pytest.raises(ObjectiveError, match=r"captures factor \(lock\)"):
        pickle.dumps(as_program(Model(lock), SPEC))
    with pytest.raises(ObjectiveError, match=r"captures factor \(lock\)"):
        pickle.dumps(as_program(functools.partial(scaled, factor=lock), SPEC))

    def late(trial, held=lock):
        total = 1.0
        return total + float(held.locked())

    with pytest.raises(ObjectiveError, match=r"captures held \(lock\)"):
        pickle.dumps(as_program(late, SPEC))


def test_a_function_that_is_not_importable_there_fails_each_trial(tmp_path, monkeypatch):
    (tmp_path / "fleeting.py").write_text("def objective(trial): return 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    import fleeting

    packed = pickle.dumps(as_program(fleeting.objective, SPEC))
    monkeypatch.delitem(sys.modules, "fleeting")
    (tmp_path / "fleeting.py").unlink()
    message = pickle.loads(packed).load()(task(), Listener())
    assert message["reason"] == "error"
    assert "could not be loaded in its worker process" in message["error"]


# ------------------------------------------------------------------------------------------------------- paths


def test_a_file_and_a_module_are_objectives(folder):
    write(folder / "neighbour.py", "FACTOR = 2\n")
    write(
        folder / "train.py",
        """
        from neighbour import FACTOR
        class Trainer:
            @staticmethod
            def objective(trial): return FACTOR * trial.params["lr"]
        objective = Trainer.objective
        """,
    )
    write(folder / "package" / "__init__.py", "")
    write(folder / "package" / "deep.py", "def objective(trial): return 0.5\n")
    for path in ("train.py:objective", "./train.py:Trainer.objective", "package.deep:objective"):
        made = as_program(path, SPEC)
        assert (made.kind, made.text) == ("path", path)
        for each in (made, pickle.loads(pickle.dumps(made))):
            assert each.load()(task(), Listener())["metrics"] == {"loss": 0.5}
    before = as_program("train.py:objective", SPEC)
    write(folder / "train.py", "def objective(trial): return 3.0\n")
    after = as_program("train.py:objective", SPEC)
    assert before.fingerprint != after.fingerprint
    assert after.load_inline()(task(), Listener())["metrics"] == {"loss": 3.0}


def test_a_file_may_have_the_name_of_a_module(folder):
    write(folder / "json.py", "def objective(trial): return 7.0\n")
    assert run("json.py:objective")["metrics"] == {"loss": 7.0}
    assert json.loads("1") == 1


WRONG = {
    "no colon": ("train.py", "needs a ':'"),
    "no function": ("train.py:", "needs a ':'"),
    "no such file": ("trian.py:objective", "trian.py does not exist.*did you mean 'train.py'"),
    "no such folder": ("nowhere/train.py:objective", "does not exist"),
    "a folder": ("folder.py:objective", "is a folder"),
    "no such function": ("train.py:objectiv", "no 'objectiv'; did you mean 'objective'"),
    "no such attribute": ("train.py:objective.x", "no 'x'"),
    "not callable": ("train.py:value", "3, which cannot be called"),
    "no such module": ("no_such_package.train:f", "ModuleNotFoundError"),
    "an import that is missing": ("lacking.py:f", r"line 2.*ModuleNotFoundError: No module named 'no_such_thing'"),
    "a syntax error": ("broken.py:f", "SyntaxError"),
    "not text": ("binary.py:f", "importing binary.py failed"),
    "exits on import": ("exits.py:f", r"sys.exit\(2\).*__name__ == '__main__'"),
    "two arguments": ("train.py:two", "must take one argument, the trial"),
    "no arguments": ("train.py:none", "must take one argument"),
    "a number": (3, "3 cannot be called"),
    "nothing": (None, "None cannot be called"),
}


@pytest.mark.parametrize("way", WRONG)
def test_a_wrong_objective_is_told_before_the_first_trial(way, folder):
    text = "value = 3\ndef objective(trial): ...\ndef two(a, b): ...\ndef none(): ...\n"
    write(folder / "train.py", text)
    write(folder / "lacking.py", "import os\nimport no_such_thing\n")
    write(folder / "broken.py", "def f(:\n")
    write(folder / "exits.py", "import sys\nsys.exit(2)\n")
    (folder / "binary.py").write_bytes(b"\xff\x00\xfe")
    (folder / "folder.py").mkdir()
    objective, pattern = WRONG[way]
    with pytest.raises(ObjectiveError, match=pattern):
        as_program(objective, SPEC)


@pytest.mark.parametrize("text", ["no Python (at all\n", "'''open\n", "  a\n b\n"])
def test_a_function_whose_file_is_no_longer_python_is_known_by_its_code(tmp_path, text):
    file = tmp_path / "page.md"
    names = {}
    exec(compile("def made(trial):\n    return 1.5\n", str(file), "exec"), names)
    file.write_text(text)
    assert as_program(names["made"], StudySpec("s", tt.Space(x=tt.Float(0, 1)), goals("loss", None))).fingerprint
