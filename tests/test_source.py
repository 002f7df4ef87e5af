"""Which code an objective is: what its fingerprint sees, and what it must not see."""

import functools
import os
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass

import numpy as np
import pytest
from objectives import Model, scaled

import trimtab as tt
from trimtab.objective.source import text_of

FOLDER = tempfile.gettempdir()


@dataclass(frozen=True)
class Config:
    depth: int
    data: list


def lone(trial):
    return 1.0


def reading(value):
    """Objectives that read a value from elsewhere, by the way in which they do."""

    def closure(trial):
        return value

    def default(trial, value=value):
        return value

    def keyword(trial, *, value=value):
        return value

    def helped(trial):
        return closure(trial)

    def counted(trial):
        counted.calls += 1
        return value

    def wrapped(f):
        return functools.wraps(f)(lambda trial: f(trial) * value)

    @functools.cache
    def cached():
        return value

    there = {"VALUE": value}
    exec("def objective(trial): return [VALUE for _ in range(2)]", there)
    return {
        "closure": closure,
        "default": default,
        "keyword": keyword,
        "helper": helped,
        "counter": counted,
        "global": there["objective"],
        "partial": functools.partial(scaled, factor=value),
        "method": Model(value).method,
        "object": Model(value),
        "partial of an object": functools.partial(Model(value)),
        "wrapper": wrapped(lone),
        "cached": lambda trial: cached(),
    }


@pytest.mark.parametrize("way", reading(0))
def test_a_value_that_an_objective_reads_is_part_of_its_fingerprint(way):
    values = [
        1,
        1.0,
        True,
        None,
        "1",
        b"1",
        (1, (2, 3)),
        frozenset("abc"),
        Config(3, []),
        np.float64(2),
        min,
        max,
        Config,
    ]
    texts = [text_of(reading(v)[way]) for v in values]
    assert len(set(texts)) == len(values)
    assert texts == [text_of(reading(v)[way]) for v in values]


def test_what_may_change_by_itself_is_no_part_of_a_fingerprint():
    seen, cache, calls = [], {}, 0

    def remember(trial):
        nonlocal calls
        calls += 1

    def objective(trial, folder=FOLDER):
        seen.append(trial)
        cache[trial] = Config(3, seen)
        remember(trial)
        return calls

    class Counting:
        calls = 0

        def __init__(self):
            self.fitted = None

        def __call__(self, trial):
            Counting.calls += 1
            self.fitted = 0.5

    for each in (objective, Counting()):
        before = text_of(each)
        each("trial")
        assert text_of(each) == before
    assert text_of(functools.partial(scaled, factor=FOLDER)) == text_of(functools.partial(scaled, factor="/elsewhere"))


def test_functions_of_the_same_module_count_by_their_code_and_others_by_their_name():
    def notebook(helper, metric="max"):
        space = {"__name__": "__main__"}
        cell = f"""
            from builtins import {metric} as metric
            class Base:
                @staticmethod
                def shift(): return {helper}
            class Inner(Base):
                def value(self): return self.shift()
            def helper(x): return Inner().value() * x
            def objective(trial): return metric(helper(1.0), 0.0)"""
        exec(textwrap.dedent(cell), space)
        return text_of(space["objective"])

    assert notebook(1) == notebook(1) != notebook(2)
    assert notebook(1) != notebook(1, metric="min")


def test_a_study_is_told_that_a_value_in_a_closure_has_changed():
    study = tt.Study("s", tt.Space(lr=tt.Float(0, 1)), minimize="loss", strategy="random", seed=1)
    for value, trials in ((1.0, 2), (1.0, 3), (2.0, 4)):
        study.run(reading(value)["closure"], trials=trials, quiet=True)
        changed = [e.body["changed"] for e in study.storage.events(study.record.id) if e.kind == "inputs"]
        assert changed == ([{"code": "the objective's own text, or a value that it reads"}] if value == 2.0 else [])


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_text_is_the_same_in_every_process(seed):
    script = """
        from dataclasses import dataclass
        from functools import partial
        from trimtab.objective.source import text_of
        TAGS, LIMITS = frozenset(["a", "b", "c", "d"]), (0.5, object)
        @dataclass(frozen=True)
        class Config:
            depth: int = 3
            anything: object = object()
        class Model:
            def __init__(self): self.config, self.anything = Config(), object()
            def __call__(self, trial, f=lambda x: x in TAGS): return f(trial), LIMITS
        print(text_of(partial(Model(), f=lambda x: 1.0)))"""

    def printed(seed):
        command = [sys.executable, "-c", textwrap.dedent(script)]
        env = {**os.environ, "PYTHONHASHSEED": seed}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout

    text = printed("0")
    assert text == printed(seed)
    assert "depth" in text
    assert "frozenset" in text
    assert " at 0x" not in text
