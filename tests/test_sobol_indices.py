"""Sobol' indices, curves and surfaces: those of known functions, also where it is easy to weigh a value wrongly."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_functions import MIXED, UNIT, WEIGHTS, learned, mixed, weighted

import trimtab as tt
from trimtab.errors import SpecError
from trimtab.evidence import effects
from trimtab.evidence.base_points import positions
from trimtab.evidence.belief import Belief
from trimtab.evidence.effects import dependence, indices
from trimtab.evidence.interactions import interactions, surface, totals
from trimtab.space.scales import LogIntegers, centres, widths

SHALLOW = tt.Space(n=tt.Int(1, 3, log=True), x=tt.Float(0, 1))


def test_first_order_indices_are_those_of_the_function():
    belief = learned(UNIT, weighted)
    found = indices(belief)
    for (name, index), known in zip(found.items(), WEIGHTS**2 / (WEIGHTS @ WEIGHTS), strict=True):
        assert index.value == pytest.approx(known, abs=0.02), name
        assert index.low <= index.value <= index.high


def test_the_indices_of_ishigamis_function_are_known():
    space = tt.Space({f"x{i}": tt.Float(-math.pi, math.pi) for i in range(3)})

    def loss(p):
        return math.sin(p["x0"]) + 7 * math.sin(p["x1"]) ** 2 + 0.1 * p["x2"] ** 4 * math.sin(p["x0"])

    belief = learned(space, loss, 300)
    assert [i.value for i in indices(belief).values()] == pytest.approx([0.314, 0.442, 0.0], abs=0.06)
    found = interactions(belief)
    assert next(iter(found)) == ("x0", "x2")
    known = {("x0", "x2"): 0.244, ("x0", "x1"): 0.0, ("x1", "x2"): 0.0}
    assert {pair: i.value for pair, i in found.items()} == pytest.approx(known, abs=0.05)
    assert [i.value for i in totals(belief).values()] == pytest.approx([0.558, 0.442, 0.244], abs=0.03)


def test_noise_widens_the_intervals():
    clear, noisy = (indices(learned(UNIT, weighted, 60, sd))["x3"] for sd in (0.0, 1.5))
    assert noisy.high - noisy.low > clear.high - clear.low


def test_a_conditional_parameter_has_an_index_of_its_own():
    found = indices(learned(MIXED, mixed, 200))
    assert found["rate"].value > found["depth"].value > found["slope"].value
    assert all(0 <= i.value <= 1.05 for i in found.values())


def test_dependence_has_the_shape_of_the_function_and_the_direction_of_the_goal():
    belief = learned(MIXED, mixed, 200)
    down, up = dependence(belief, "depth"), dependence(belief, "depth", maximize=True)
    assert down.values[int(np.argmin(down.mean))] in (2, 3, 4)
    assert up.mean == pytest.approx([-v for v in down.mean])
    assert all(low <= mid <= high for low, mid, high in zip(up.low, up.mean, up.high, strict=True))
    assert dependence(belief, "model").values == ("tree", "line")


def test_second_order_indices_are_those_of_the_g_function():
    a = np.array([0.0, 0.5, 2.0, 8.0])
    parts = 1 / 3 / (1 + a) ** 2
    total = np.prod(1 + parts) - 1

    def loss(p):
        return float(np.prod((np.abs(4 * np.array(list(p.values())) - 2) + a) / (1 + a)))

    belief = learned(UNIT, loss, 400)
    for (i, j), index in interactions(belief).items():
        known = parts[int(i[1])] * parts[int(j[1])] / total
        assert index.value == pytest.approx(known, abs=0.03), (i, j)
        assert index.low <= index.value <= index.high
    for name, index in totals(belief).items():
        j = int(name[1])
        known = parts[j] * np.prod(1 + np.delete(parts, j)) / total
        assert index.value == pytest.approx(known, abs=0.05), name


@given(st.lists(st.floats(-2, 2), min_size=4, max_size=4), st.floats(0.5, 2))
@settings(max_examples=6, deadline=None, derandomize=True)
def test_only_the_pair_that_acts_together_interacts(weights, together):
    """A sum of main effects and one product (x0 - 1/2) (x1 - 1/2): its variances are known."""

    def loss(p):
        x = np.array(list(p.values()))
        return float(np.array(weights) @ x + 4 * together * (x[0] - 0.5) * (x[1] - 0.5))

    found = interactions(learned(UNIT, loss, 120))
    known = 16 * together**2 / 144 / (16 * together**2 / 144 + np.sum(np.square(weights)) / 12)
    assert found["x0", "x1"].value == pytest.approx(known, abs=0.06)
    assert all(i.value < 0.05 for pair, i in found.items() if pair != ("x0", "x1"))


def test_a_total_is_at_least_what_a_parameter_does_by_itself():
    belief = learned(MIXED, mixed, 200)
    alone, everything = indices(belief), totals(belief)
    assert everything.keys() == alone.keys()
    assert all(everything[n].value >= alone[n].value - 0.02 for n in alone)


@pytest.mark.parametrize("d", [1, 2, 4])
def test_parts_of_a_sum_have_no_part_in_more_than_all_of_the_variance(d):
    space = tt.Space({f"x{i}": tt.Float(0, 1) for i in range(d)})
    found = totals(learned(space, lambda p: float(WEIGHTS[:d] @ list(p.values())), 60))
    known = WEIGHTS[:d] ** 2 / (WEIGHTS[:d] @ WEIGHTS[:d])
    assert [i.value for i in found.values()] == pytest.approx(known.tolist(), abs=0.005)


def test_a_parameter_and_the_one_it_depends_on_are_no_pair():
    found = interactions(learned(MIXED, mixed, 200))
    assert set(found) == {("model", "rate"), ("depth", "rate"), ("slope", "rate")}


def test_a_surface_has_the_shape_and_the_direction_of_the_goal():
    belief = learned(MIXED, mixed, 200)
    down, up = surface(belief, "depth", "rate"), surface(belief, "depth", "rate", maximize=True)
    assert np.array(up.mean) == pytest.approx(-np.array(down.mean))
    i, j = np.unravel_index(np.argmin(down.mean), np.shape(down.mean))
    assert down.first[i] in (2, 3, 4)
    assert 0.003 < down.second[j] < 0.03
    assert surface(belief, "model", "depth") is None
    assert surface(belief, "rate", "model").second == ("tree", "line")


def test_cells_of_integers_on_the_log_scale_fill_the_column():
    scale, i = LogIntegers(1, 9), np.arange(9)
    assert widths(scale, i).sum() == pytest.approx(1)
    assert centres(scale, i)[1:] - centres(scale, i)[:-1] == pytest.approx(
        np.log(np.arange(2, 10) / np.arange(1, 9)) / np.log(19)
    )


@pytest.mark.parametrize(
    "p", [tt.Int(1, 3, log=True), tt.Int(1, 5000, log=True), tt.Choice("a", "b", retired=["c"]), tt.Float(1, 9)]
)
def test_the_values_of_a_column_are_weighed_with_the_share_of_random_settings_that_have_them(p):
    space = tt.Space(p=p)
    at, weight = positions(space, 0, 8)
    assert weight.sum() == pytest.approx(1)
    assert np.all(np.diff(at) > 0)
    x = space.sample(20_000, np.random.default_rng(0))[:, 0]
    assert weight @ at == pytest.approx(x.mean(), abs=0.03)
    assert weight @ at**2 == pytest.approx((x**2).mean(), abs=0.03)


def test_a_few_integers_on_the_log_scale_are_each_one_value():
    """n = 2 is the only value that matters; it has the share log(2.5 / 1.5) / log 7 of the space."""
    belief = learned(SHALLOW, lambda p: 0.3 * (p["n"] == 2) + 0.1 * p["x"], 200)
    share = math.log(2.5 / 1.5) / math.log(7)
    known = 0.09 * share * (1 - share)
    assert indices(belief)["n"].value == pytest.approx(known / (known + 0.01 / 12), abs=0.03)
    curve = dependence(belief, "n")
    assert curve.values == (1, 2, 3)
    assert np.argmax(curve.mean) == 1
    assert surface(belief, "n", "x").first == (1, 2, 3)


def test_a_pair_of_integers_on_the_log_scale_is_weighed_like_random_settings():
    space = tt.Space(n=tt.Int(1, 3, log=True), m=tt.Int(1, 3, log=True))
    belief = learned(space, lambda p: float((p["n"] == 2) != (p["m"] == 2)), 200)
    w = math.log(2.5 / 1.5) / math.log(7)
    total = 2 * w * (1 - w) * (1 - 2 * w * (1 - w))
    assert interactions(belief)["n", "m"].value == pytest.approx(4 * (w * (1 - w)) ** 2 / total, abs=0.05)


def test_a_parameter_that_is_seldom_active_is_explained_where_it_is():
    names = [str(i) for i in range(40)]
    space = tt.Space(
        first=tt.Choice(*names),
        second=tt.Choice(*names, when={"first": "0"}),
        deep=tt.Float(0, 1, when={"second": "0"}),
    )
    belief = learned(space, lambda p: len(p) + p.get("deep", 0.0), 200)
    assert len(dependence(belief, "deep").values) > 10  # active in one of 1,600 settings
    third = {"third": tt.Choice(*names, when={"second": "0"}), "fourth": tt.Choice(*names, when={"third": "0"})}
    deeper = tt.Space({**space.params, **third, "never": tt.Float(0, 1, when={"fourth": "0"})})
    study = tt.Study("seldom", deeper, minimize="loss", strategy="random", seed=1)
    study.run(lambda trial: float(trial.params["first"]), trials=20, quiet=True)
    assert study.explain().totals()["never"].value == study.explain().sobol()["never"].value == 0
    with pytest.raises(SpecError, match="active in next to no settings"):
        study.explain().dependence("never")


def test_what_a_parameter_causes_that_is_not_always_active_counts_by_its_share():
    """Active in one of four settings: its variance counts by that share."""
    space = tt.Space(kind=tt.Choice(*"abcd"), deep=tt.Float(0, 1, when={"kind": "a"}), x=tt.Float(0, 1))
    belief = learned(space, lambda p: 2 * (p.get("deep", 0.5) - 0.5) + p["x"], 400)
    known = 0.5
    for found in (indices(belief), totals(belief)):
        assert found["deep"].value == pytest.approx(known, abs=0.08)
        assert found["x"].value == pytest.approx(1 - known, abs=0.08)


def test_a_narrow_valley_counts():
    space = tt.Space(x=tt.Float(0, 1), z=tt.Float(0, 1))
    found = indices(learned(space, lambda p: -math.exp(-(((p["x"] - 0.5) / 0.04) ** 2)), 300))
    assert found["x"].value == pytest.approx(1, abs=0.05)


def test_of_many_parameters_those_that_matter_are_explained_as_well_as_of_few(monkeypatch):
    space = tt.Space({f"x{i}": tt.Float(0, 1) for i in range(6)})
    weights = np.array([4.0, 0.2, 3.0, 0.1, 2.0, 0.0])
    belief = learned(space, lambda p: float(weights @ list(p.values())) + p["x0"] * p["x2"], 200)
    for explain in (indices, totals):
        monkeypatch.setattr(effects, "MANY", 6)
        every = explain(belief)
        monkeypatch.setattr(effects, "MANY", 3)
        found = explain(belief)
        assert [n for n in every if found[n] == every[n]] == ["x0", "x2", "x4"]
        assert [i.value for i in found.values()] == pytest.approx([i.value for i in every.values()], abs=0.01)


def test_pairs_of_a_noisy_sum_are_not_shown_to_act_together_and_a_product_is():
    """No index is negative, so that their intervals are above 0 by chance."""
    space = tt.Space({f"x{i}": tt.Float(0, 1) for i in range(4)})
    low, shown, product = [], [], []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X = space.sample(40, rng)
        y = 3 * (X[:, 0] - 0.4) ** 2 + X[:, 1] + 0.5 * np.sin(5 * X[:, 2])
        found = interactions(Belief.of(space, X, y + rng.normal(size=40))).values()
        low += [i.low >= 0.005 for i in found]
        shown += [i.shown for i in found]
        acting = Belief.of(space, X, y + 6 * (X[:, 0] - 0.5) * (X[:, 1] - 0.5) + 0.3 * rng.normal(size=40))
        product.append(interactions(acting)["x0", "x1"].shown)
    assert sum(low) >= 6
    assert sum(shown) <= 2
    assert sum(product) >= 5


def test_the_ring_of_a_surface_lies_on_the_best_value():
    """Also where values are not evenly spread, as integers on the log scale, or where options have been retired."""
    space = tt.Space(n=tt.Int(1, 3, log=True), kind=tt.Choice("a", "b", "c"), x=tt.Float(0, 1))
    study = tt.Study("ring", space, minimize="loss", strategy="random", seed=1)
    study.run(lambda t: abs(t.params["n"] - 2) + (t.params["kind"] != "b"), trials=40, quiet=True)
    study.revise(space=tt.Space({**space.params, "kind": tt.Choice("a", "b")}))
    rings = [trace for trace in study.plot.surface("n", "kind").data if trace.name == "best"]
    assert [(ring.x, ring.y) for ring in rings] == [((1.0,), (1.0,))]
