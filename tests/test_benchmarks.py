"""Benchmarks can be found, and those that reach for what is private still find it."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_every_benchmark_stands_in_their_list():
    listed = (BENCHMARKS / "README.md").read_text()
    assert [script.name for script in BENCHMARKS.glob("*.py") if f"`{script.name}`" not in listed] == []


@pytest.mark.parametrize(
    ("script", "counted", "least"),
    [
        ("ablation", "sum(len(case.variants) for case in ablation.CASES.values())", 25),
        ("constraints", "len(constraints.VARIANTS)", 2),
    ],
)
def test_what_a_benchmark_undoes_is_there(script, counted, least):
    """It looks each name up as it is imported: in a process of its own, since it limits that one's threads."""
    code = f"import {script}; print({counted})"
    done = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= least


def test_what_the_ablation_puts_in_the_place_of_a_function_takes_what_that_one_takes():
    wrong = "import ablation; ablation.instead(ablation.gp, design_size=lambda: 8)"
    done = subprocess.run([sys.executable, "-c", wrong], cwd=BENCHMARKS, capture_output=True, text=True)
    assert "TypeError: too many positional arguments" in done.stderr


def test_what_was_made_for_another_variant_is_not_used_again(tmp_path):
    script = """
import ablation, pathlib, sys, types
from trimtab import Choice, Space
space = Space({f"c{i}": Choice(*range(9)) for i in range(3)})
ablation.FOLDER = pathlib.Path(sys.argv[1])
ablation.run = lambda *_: [len(ablation.features.Features.of(space).counts)]
names = ["shipped", "options that are not counted", "no trend"]
runs = ablation.measure("gp", {"p": types.SimpleNamespace(space=space)}, names, 1, 1)
print([runs[name, "p", "0", "1"] for name in names])
"""
    done = subprocess.run([sys.executable, "-c", script, tmp_path], cwd=BENCHMARKS, capture_output=True, text=True)
    assert done.stdout == "[['[1]'], ['[0]'], ['[1]']]\n", done.stderr


@pytest.mark.parametrize(
    ("script", "asked"),
    [("latency", "--only"), ("evolution", "--only"), ("priors", "--problems"), ("enough", "--problems")],
)
def test_a_name_that_is_not_known_is_said(script, asked):
    done = subprocess.run(
        [sys.executable, f"{script}.py", asked, "gpp"], cwd=BENCHMARKS, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("gpp: not known; there are ")


def test_an_interrupted_benchmark_goes_on(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from figures import finished

    file, ran = tmp_path / "results" / "x.csv", []

    def run(name, seed):
        if (name, seed) == ("b", 0) and not ran.count((name, seed)):
            ran.append((name, seed))
            raise KeyboardInterrupt
        ran.append((name, seed))
        return [f"{name}, {seed}", 0.1]

    wanted = [(name, seed) for seed in range(2) for name in "ab"]
    with pytest.raises(KeyboardInterrupt):
        finished(file, ["name", "seed"], ["text", "number"], wanted, run)
    found = finished(file, ["name", "seed"], ["text", "number"], wanted, run)
    assert ran == [("a", 0), ("b", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert found == {(name, str(seed)): [f"{name}, {seed}", "0.1"] for name, seed in wanted}
    assert finished(file, ["name", "seed"], ["text", "number"], [], run) == found
    with pytest.raises(SystemExit, match="move it away"):
        finished(file, ["name", "seed"], ["number"], wanted, run)


def test_a_standard_error_is_that_of_a_sample(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from figures import error

    assert error(np.array([1.0, 3.0])) == pytest.approx(1.0)  # the sample's standard deviation is sqrt(2)
    assert math.isnan(error(np.array([1.0])))
