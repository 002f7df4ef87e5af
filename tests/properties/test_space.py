"""A space is one map between params and the unit cube: there and back, for any space."""

import itertools
import json
import math
import pickle
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_spaces import configs, random_rows, spaces

from trimtab.errors import SpaceError
from trimtab.space import Choice, Float, Int, Space
from trimtab.space.scales import grouped
from trimtab.testing import random_space

seeds = st.integers(0, 2**32 - 1)
properties = settings(max_examples=60, deadline=None, derandomize=True)


def typed(config):
    """As JSON text, 1, 1.0 and True differ."""
    return json.dumps(config)


def tolerance(space):
    """Of each column: 1e-12, or what floats can tell apart where a range is narrow and far from zero."""
    return [
        max(1e-12, 8.0 * math.ulp(max(abs(p.low), abs(p.high))) / (p.high - p.low))
        if isinstance(p, Float) and p.low < p.high
        else 1e-12
        for p in space.params.values()
    ]


def check_round_trip(space, rng):
    S = space.snap(random_rows(space, 4, rng))
    configs = space.decode(S)
    back = space.encode(configs)
    finite = np.isfinite(space.cells)
    assert np.array_equal(back[:, finite], S[:, finite], equal_nan=True)
    assert np.array_equal(np.isnan(back), np.isnan(S))
    assert (np.nan_to_num(np.abs(back - S)) <= tolerance(space)).all()
    assert np.array_equal(space.snap(S), S, equal_nan=True)
    assert [typed(c) for c in space.decode(back)] == [typed(c) for c in configs]
    assert space.keys(S) == space.keys(back)


def test_thousands_of_random_spaces_round_trip():
    rng = np.random.default_rng(0)
    conditional = restricted = 0
    for seed in range(3_000):
        space = random_space(Random(seed), requirements=seed % 10 == 0)
        check_round_trip(space, rng)
        conditional += any(p.when for p in space.params.values())
        restricted += bool(space.requirements)
    assert conditional > 600
    assert restricted > 30


@properties
@given(spaces(), seeds)
def test_samples_are_allowed_valid_and_canonical(space, seed):
    X = space.sample(20, np.random.default_rng(seed))
    assert X.shape == (20, len(space))
    assert space.allowed(X).all()
    assert np.array_equal(space.snap(X), X, equal_nan=True)
    assert np.array_equal(space.active(X), ~np.isnan(X))
    for config in space.decode(X):
        assert typed(space.validate(config)) == typed(config)
    assert np.array_equal(X, space.sample(20, np.random.default_rng(seed)), equal_nan=True)


@properties
@given(st.data())
def test_configs_encode_and_decode_to_themselves(data):
    space = data.draw(spaces())
    config = data.draw(configs(space))
    assert [typed(c) for c in space.decode(space.encode([config]))] == [typed(config)]
    assert list(config) == [name for name in space.names if name in config]


@properties
@given(spaces(), seeds)
def test_active_follows_the_conditions(space, seed):
    for config in space.decode(random_rows(space, 10, np.random.default_rng(seed))):
        for name, p in space.params.items():
            listed = [[(type(v), v) for v in values] for values in p.when.values()]
            given = [(type(config.get(q)), config[q]) if q in config else None for q in p.when]
            assert (name in config) == all(v in values for v, values in zip(given, listed, strict=True))


@properties
@given(spaces(most=3, finite=True))
def test_listing_counting_and_allowing_agree(space):
    if space.cardinality() > 5000:
        listed = list(itertools.islice(space, 100))
    else:
        listed = list(space)
        assert len(listed) == space.cardinality()
    assert len({typed(c) for c in listed}) == len(listed)
    X = space.encode(listed)
    assert space.allowed(X).all()
    assert len({space.key(x) for x in X}) == len(listed)
    assert all(space.validate(c) == c for c in listed)


@properties
@given(spaces(most=3, finite=True), seeds)
def test_listing_contains_every_allowed_sample(space, seed):
    X = space.sample(10, np.random.default_rng(seed))
    if space.cardinality() <= 2000:
        assert {typed(c) for c in space.decode(X)} <= {typed(c) for c in space}
    else:
        assert next(iter(space)) == space.validate(next(iter(space)))


@properties
@given(spaces())
def test_json_and_pickle_keep_everything(space):
    again = Space.from_json(json.loads(json.dumps(space.to_json())))
    assert again == space
    assert again.hash == space.hash
    assert hash(again) == hash(space)
    assert repr(again) == repr(space)
    assert typed(again.to_json()) == typed(space.to_json())
    assert pickle.loads(pickle.dumps(space)) == space


@properties
@given(spaces())
def test_defaults_are_valid_params_of_the_active_parameters(space):
    defaults = space.defaults()
    if defaults is not None:
        assert typed(Space(space.params).validate(defaults)) == typed(defaults)  # which need not satisfy `require`
    else:
        assert any("default" not in entry for entry in space.to_json()["params"])


@properties
@given(spaces(requirements=False), seeds)
def test_a_revision_keeps_old_configs(space, seed):
    old = space.sample(10, np.random.default_rng(seed))
    before = space.decode(old)
    wider = {}
    for name, p in space.params.items():
        entry = {"name": name, **p.to_json()}
        if isinstance(p, Choice):
            entry["options"] = ["added", *entry["options"]]
        elif p.low < p.high:
            entry["high"] = p.high + (p.step or 1)
        wider[name] = entry
    wider["new one"] = {"name": "new one", "type": "choice", "options": ["x", "y"]}
    after = space.revise(Space.from_json({"params": list(wider.values())}), {"new one": "y"})
    rows = after.encode([{"new one": "y", **config} for config in before])
    for config, decoded in zip(before, after.decode(rows), strict=True):
        assert decoded.keys() == {*config, "new one"}
        for name, value in config.items():
            p = after.params[name]
            near = abs(decoded[name] - value) <= 1e-12 * (p.high - p.low) if isinstance(p, Float) else False
            assert near or typed(decoded[name]) == typed(value)


def test_a_revision_retires_options_that_are_gone():
    old = Space(
        booster=Choice("tree", "dart", "linear"),
        rate=Float(0, 1, when={"booster": ["tree", "dart"]}),
    )
    new = Space(booster=Choice("forest", "tree", "linear"), rate=Float(0, 2, when={"booster": "tree"}))
    merged = old.revise(new, {})
    config = {"booster": "dart", "rate": 0.25}
    assert merged.params["booster"].retired == ("dart",)
    assert merged.decode(merged.encode([config])) == [config]
    assert not merged.allowed(merged.encode([config])).any()
    assert {c["booster"] for c in merged.decode(merged.sample(200, np.random.default_rng(0)))} == {
        "forest",
        "tree",
        "linear",
    }
    with pytest.raises(SpaceError, match="retired"):
        merged.validate(config)
    again = merged.revise(new.require("rate <= 1"), {})
    assert again.requirements == ("rate <= 1",)
    assert again.params["booster"].retired == ("dart",)


@pytest.mark.parametrize(("low", "high"), [(1, 1000), (7, 7), (1, 2), (3, 100_000), (2**40 - 50, 2**40)])
def test_a_log_int_reaches_every_value(low, high):
    space = Space(n=Int(low, high, log=True))
    assert space.cells.tolist() == [high - low + 1]
    expected = range(low, high + 1)
    X = space.encode([{"n": n} for n in expected])
    assert [c["n"] for c in space.decode(X)] == list(expected)
    assert np.array_equal(space.snap(X), X)
    assert (np.diff(X[:, 0]) > 0).all()


def test_a_log_int_is_uniform_on_the_log_scale():
    space = Space(n=Int(1, 1000, log=True))
    n = np.array([c["n"] for c in space.decode(space.sample(20_000, np.random.default_rng(0)))])
    edges = np.log([0.5, 1.5, 10.5, 100.5, 1000.5])
    share = np.diff(edges) / (edges[-1] - edges[0])
    assert np.allclose(np.histogram(np.log(n), edges)[0] / 20_000, share, atol=0.02)


def test_the_largest_finite_parameters_are_exact():
    space = Space(a=Int(-(2**47), 2**47 - 1), b=Int(0, 10 * 2**47, step=10), c=Float(0, 2.0**20, step=2.0**-20))
    X = space.sample(200, np.random.default_rng(0))
    assert np.array_equal(space.encode(space.decode(X)), X)
    assert all(c["b"] % 10 == 0 for c in space.decode(X))


def test_values_of_a_step_are_the_decimals_that_a_human_writes():
    space = Space(x=Float(0.0, 1.0, step=0.1), y=Float(0.1, 0.75, step=0.2))
    assert sorted({c["x"] for c in space}) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert sorted({c["y"] for c in space}) == [0.1, 0.3, 0.5, 0.7]
    assert space.validate({"x": 0.1 + 0.2, "y": 0.3}) == {"x": 0.3, "y": 0.3}


@pytest.mark.parametrize("value", [1e-4, 0.1, 0.05, 3e-3, 0.123456789, 1.0])
def test_floats_that_a_human_writes_come_back_exactly(value):
    space = Space(a=Float(1e-4, 1.0, log=True), b=Float(-1.0, 1.0))
    config = {"a": value, "b": value}
    assert space.decode(space.encode([config])) == [config]


@properties
@given(st.floats(-300, 299), st.floats(-9, 9), st.booleans(), st.booleans(), seeds)
def test_what_a_continuous_range_decodes_to_is_fixed(size, width, negative, log, seed):
    low = 10.0**size
    high = low * (1.0 + 10.0**width)
    p = Float(low, high, log=True) if log else Float(-low, high - low) if negative else Float(low, high)
    space = Space(x=p)
    decoded = space.decode(np.append(np.random.default_rng(seed).random(30), [0.0, 1.0])[:, None])
    assert space.decode(space.encode(decoded)) == decoded
    assert all(p.low <= config["x"] <= p.high for config in decoded)
    for bound in (p.low, p.high):
        assert space.decode(space.encode([{"x": bound}]))[0]["x"] == pytest.approx(bound, rel=1e-12, abs=1e-12 * high)


def test_sampling_is_uniform_over_the_allowed_part():
    space = Space(a=Float(0, 1), b=Float(0, 1), c=Choice("x", "y", retired=["z"])).require("a + b <= 1")
    X = space.sample(4000, np.random.default_rng(0))
    assert abs(np.mean(X[:, 0]) - 1 / 3) < 0.02
    assert abs(np.mean([c["c"] == "x" for c in space.decode(X)]) - 0.5) < 0.03


def test_a_tiny_allowed_region_can_be_sampled():
    space = Space(a=Float(0, 1), b=Float(0, 1), c=Int(1, 1000), d=Int(1, 1000))
    tiny = space.require("abs(a - 0.7) < 1e-4", "b > 0.9999", "c + d == 777")
    X = tiny.sample(50, np.random.default_rng(0))
    assert tiny.allowed(X).all()
    assert len({tiny.key(x) for x in X}) > 25
    pinned = space.require("a == 0.3", "c == 12")
    assert {c["a"] for c in pinned.decode(pinned.sample(5, np.random.default_rng(0)))} == {0.3}


def test_counting_respects_conditions_that_share_parents():
    gates = {f"g{i}": Choice(True, False) for i in range(40)}
    children = {f"c{i}": Int(1, 3, when={f"g{i}": True}) for i in range(40)}
    assert Space({**gates, **children}).cardinality() == 4**40
    diamond = Space(
        a=Int(0, 9),
        b=Choice("u", "v", when={"a": [1, 2]}),
        c=Choice("w", "x", when={"a": [2, 3]}),
        d=Int(1, 5, when={"b": "u", "c": "x"}),
    )
    assert diamond.cardinality() == len(list(diamond)) == 7 + 2 + 2 + (3 + 5)
    assert Space(a=Choice(1, 2), x=Float(0, 1, when={"a": 2})).cardinality() == math.inf


def test_listing_a_huge_space_is_lazy():
    space = Space(a=Choice("x", "y"), n=Int(0, 2**48 - 1, when={"a": "y"}), b=Int(0, 2**40))
    assert space.cardinality() == (1 + 2**48) * (2**40 + 1)
    assert list(itertools.islice(space, 2)) == [{"a": "x", "b": 0}, {"a": "x", "b": 1}]


def test_keys_tell_configurations_apart():
    space = Space(a=Float(0, 1), b=Choice("u", "v"), c=Int(0, 3, when={"b": "v"}))
    rows = np.array([[0.5, 0.1, 0.9], [0.5, 0.2, np.nan], [0.5 + 1e-11, 0.49, 0.0], [-0.0, 0.1, 0.0], [0.0, 0.1, 0.0]])
    first, second, third, minus, plus = (space.key(x) for x in rows)
    assert first == second == third
    assert minus == plus != first
    assert space.keys(rows) == [first, second, third, minus, plus]


def test_inactive_parameters_hold_a_requirement():
    space = Space(a=Choice("x", "y"), b=Int(1, 9, when={"a": "x"})).require("b >= 8")
    assert space.cardinality() == 3
    assert space.validate({"a": "y"}) == {"a": "y"}


def test_the_middle_stands_for_nan_where_active():
    space = Space(a=Float(0, 1), b=Int(1, 3))
    assert space.snap(np.full((1, 2), np.nan)).tolist() == [[0.5, 0.5]]
    assert space.sample(0, np.random.default_rng(0)).shape == (0, 2)
    assert space.encode([]).shape == (0, 2)


@given(spaces(requirements=False), seeds)
def test_columns_together_are_what_each_is_alone(space, seed):
    """Decoding and keys take linear columns together: not one bit differs."""
    S = space.snap(space.sample(8, np.random.default_rng(seed)))
    scales = [p.scale for p in space.params.values()]
    for columns, scale in grouped(scales):
        for j, column in enumerate(np.atleast_1d(columns)):
            X = np.nan_to_num(S, nan=0.5)
            V = scale.numbers(X[:, columns]).reshape(len(X), -1)
            np.testing.assert_array_equal(V[:, j], scales[column].numbers(X[:, column]))
            together = scale.position(scale.numbers(X[:, columns])).reshape(len(X), -1)
            alone = scales[column].position(scales[column].numbers(X[:, column]))
            np.testing.assert_array_equal(together[:, j], alone)
