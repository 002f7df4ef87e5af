"""Any value in any place of a space's JSON, or of a study file, gives a space or a study, or an error for its user."""

import copy
import json
from contextlib import suppress

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

import trimtab as tt
from trimtab import studyfile
from trimtab.cli import cli
from trimtab.errors import SpaceError, SpecError, UserError

SPACE = {
    "params": [
        {"name": "x", "type": "float", "low": 0.1, "high": 1.0, "log": True, "default": 0.5, "prior": [0.2, "high"]},
        {"name": "n", "type": "int", "low": 1, "high": 9, "step": 2, "default": 3},
        {"name": "c", "type": "choice", "options": ["a", 1, True, None], "ordered": True, "retired": ["z"]},
        {"name": "d", "type": "float", "low": 0, "high": 1, "step": 0.25, "when": {"c": ["a", 1], "n": [3, 5]}},
    ],
    "require": ["x < n", "d <= 0.5"],
}
STUDY = yaml.safe_load("""
study: credit-risk
objective: train.py:objective
space:
  booster: {choice: [gbtree, dart, gblinear], default: gbtree}
  rate:    {float: [0.01, 0.3], log: true, default: 0.1, prior: [0.05, high]}
  depth:   {int: [2, 12], default: 6, step: 2, when: {booster: [gbtree, dart]}}
  bins:    {choice: [8, 16], ordered: true, default: 16}
require: ["depth <= 10 or rate < 0.05"]
maximize: auc
minimize: [loss, size]
subject_to: ["latency_ms <= 20", "auc >= 0.9 * baseline"]
budget: {trials: 100, time: 30m, cpu_hours: 3, cost: 5}
baseline: {booster: gblinear, rate: 0.2, bins: 8}
strategy: random
seed: 7
workers: 2
replicates: 2
max_failures: 5
deterministic: true
data: {train: a.csv}
on_change: record
fidelity: {name: epochs, low: 1, high: 81, factor: 3}
stopping: [asha, {rule: median, least: 2}]
resources: {cpus: 1, memory: 2GiB, time: 5m, gpus: 1, prices: {cpu_hour: 1}, custom: {tpu: 1}}
slurm: {time: 1h, partition: short, arguments: [--x]}
evidence: {replicates: 10, test_train_ratio: 0.25, metric: auc}
""")

NUMBERS = st.sampled_from([0, -1, 2**53 + 1, 10**400, 0.5, 1e308, -1e308, float("inf"), float("nan")]) | st.integers()
TEXTS = (
    st.sampled_from(["", " ", "a", "x", "5m", "x < 1", "log(x) < n", "auc >= baseline", "\x00", "\ud800"]) | st.text()
)
SINGLE = st.none() | st.booleans() | NUMBERS | TEXTS
ANY = st.recursive(SINGLE, lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXTS, v, max_size=2), max_leaves=5)


def places(value, at=()):
    """The paths to everything in a JSON value."""
    yield at
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield from places(part, (*at, key))


def changed(value, at, new, as_key):
    """The value with something else at a place, or with another key there."""
    if not at:
        return new
    made = copy.deepcopy(value)
    inside = made
    for key in at[:-1]:
        inside = inside[key]
    if as_key and isinstance(inside, dict):
        inside[str(new)] = inside.pop(at[-1])
    else:
        inside[at[-1]] = new
    return made


def with_any(value):
    """JSON values that differ from this one in one place."""
    return st.builds(changed, st.just(value), st.sampled_from([*places(value)]), ANY, st.booleans())


@settings(max_examples=400)
@given(with_any(SPACE))
@example({**SPACE, "require": {"x < 1": 2}})
@example({**SPACE, "require": [3]})
@example({**SPACE, "require": 0})
def test_any_json_is_a_space_or_a_clear_error(data):
    try:
        space = tt.Space.from_json(data)
    except SpaceError:
        return
    again = tt.Space.from_json(json.loads(json.dumps(space.to_json())))
    assert (again, again.hash) == (space, space.hash)
    for setting in space.decode(space.sample(3, np.random.default_rng(0))):
        assert space.validate(setting) == setting


@settings(max_examples=250)
@given(with_any(STUDY))
@example(changed(STUDY, ("fidelity", "factor"), 1e308, False))
@example(changed(STUDY, ("subject_to", 0), "latency_ms <= " + "-" * 100_000 + "1", False))
def test_any_yaml_is_a_study_or_a_clear_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "study.yaml"
    with suppress(UnicodeEncodeError):
        path.write_text(yaml.safe_dump(data), encoding="utf-8")
    with suppress(UserError):
        file = studyfile.read(path)
        words = {key: value for key, value in file.study.items() if key not in ("data", "warm_start")}
        assert tt.Study(file.name, **words).spec.space == file.study["space"]


@pytest.mark.parametrize("path", [None, 3, "", "\x00", "\ud800", ["study.yaml"]])
def test_what_names_no_file_is_refused(path):
    with pytest.raises(SpecError, match="names no file; write its path"):
        studyfile.read(path)


@pytest.mark.parametrize("required", [None, True, 3, [3], [["x < 1"]], {"x < 1": True}])
def test_what_is_no_list_of_requirements_is_refused_where_it_stands(folder, required):
    with pytest.raises(SpaceError, match="require"):
        tt.Space.from_json({"params": SPACE["params"], "require": required})
    (folder / "study.yaml").write_text(yaml.safe_dump({**STUDY, "require": required}))
    done = CliRunner().invoke(cli, ["run", "study.yaml"])
    assert (done.exit_code, "study.yaml: require" in done.stderr) == (2, True), done.stderr
