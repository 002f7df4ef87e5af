"""Sobol' indices and what is drawn beside them, on scales and in spaces where it is easy to weigh a value wrongly."""

import math

import numpy as np
import pytest

import trimtab as tt
from trimtab.dossier.text_figures import sketches
from trimtab.errors import SpecError
from trimtab.evidence import effects
from trimtab.evidence.base_points import positions
from trimtab.evidence.belief import Belief
from trimtab.evidence.calibration import leave_one_out
from trimtab.evidence.effects import dependence, indices
from trimtab.evidence.interactions import interactions, surface, totals
from trimtab.evidence.sensitivity import findings, safe_ranges
from trimtab.reports.facts import Facts
from trimtab.reports.influence import curve_rows
from trimtab.space.scales import LogIntegers, centres, widths

SHALLOW = tt.Space(n=tt.Int(1, 3, log=True), x=tt.Float(0, 1))


def learned(space, loss, n=200):
    X = space.sample(n, np.random.default_rng(4))
    return Belief.of(space, X, np.array([loss(p) for p in space.decode(X)]))


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
    belief = learned(SHALLOW, lambda p: 0.3 * (p["n"] == 2) + 0.1 * p["x"])
    share = math.log(2.5 / 1.5) / math.log(7)
    known = 0.09 * share * (1 - share)
    assert indices(belief)["n"].value == pytest.approx(known / (known + 0.01 / 12), abs=0.03)
    curve = dependence(belief, "n")
    assert curve.values == (1, 2, 3)
    assert np.argmax(curve.mean) == 1
    assert surface(belief, "n", "x").first == (1, 2, 3)


def test_a_pair_of_integers_on_the_log_scale_is_weighed_like_random_settings():
    space = tt.Space(n=tt.Int(1, 3, log=True), m=tt.Int(1, 3, log=True))
    belief = learned(space, lambda p: float((p["n"] == 2) != (p["m"] == 2)))
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
    belief = learned(space, lambda p: len(p) + p.get("deep", 0.0))
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
    belief = learned(space, lambda p: float(weights @ list(p.values())) + p["x0"] * p["x2"])
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


def test_a_parameter_with_one_value_is_no_finding():
    space = tt.Space(fixed=tt.Int(3, 3), one=tt.Choice("only"), x=tt.Float(0, 1), z=tt.Float(0, 1))
    belief = learned(space, lambda p: p["x"])
    best = {"fixed": 3, "one": "only", "x": 0.5, "z": 0.5}
    assert [f.params for f in findings(belief, best, None, leave_one_out(belief), safe_ranges(belief, best))] == [
        ("z",)
    ]
    assert indices(belief)["fixed"].value == totals(belief)["one"].value == 0


def test_the_options_of_an_ordered_choice_that_do_as_well_are_drawn_as_such():
    space = tt.Space(size=tt.Choice("s", "m", "l", "xl", ordered=True), x=tt.Float(0, 1))
    study = tt.Study("sizes", space, minimize="loss", strategy="random", seed=1)
    study.run(lambda t: abs("s m l xl".split().index(t.params["size"]) - 2) + t.params["x"], trials=40, quiet=True)
    (safe,) = (s for s in study.explain().safe_ranges() if s.name == "size")
    assert (safe.low, safe.high) == ("l", "l")
    said = [text for trace in study.plot.safe_ranges().data if trace.name == "option" for text in trace.hovertext]
    assert sorted(said) == ["l", "m: worse", "s: worse", "xl: worse"]


def test_options_that_do_as_well_are_drawn_with_characters_too_and_true_is_not_1():
    space = tt.Space(size=tt.Choice("s", "m", "l", "xl", ordered=True), kind=tt.Choice(1, True), x=tt.Float(0, 1))
    study = tt.Study("drawn", space, minimize="loss", strategy="random", seed=1)
    wrong = {"s": 1.0, "m": 0.0, "l": 0.0, "xl": 1.0}
    study.run(lambda t: wrong[t.params["size"]] + t.params["x"] + (t.params["kind"] is True), trials=60, quiet=True)
    facts = Facts(study.record, study.trials)
    (figure,) = (f for f in sketches(facts, None) if f.title == "How far each parameter may move")
    drawn = {name: "".join(c for c in drawing if c in "○●◉") for name, drawing, _ in figure.rows}
    assert (drawn["size"] in ("○◉●○", "○●◉○"), drawn["kind"]) == (True, "◉○")
    kinds = [row[0] for row in curve_rows(study.explain().dependence("kind"))]
    assert kinds == ["1", "True"]


def test_the_ring_of_a_surface_lies_on_the_best_value():
    """Also where values are not evenly spread, as integers on the log scale, or where options have been retired."""
    space = tt.Space(n=tt.Int(1, 3, log=True), kind=tt.Choice("a", "b", "c"), x=tt.Float(0, 1))
    study = tt.Study("ring", space, minimize="loss", strategy="random", seed=1)
    study.run(lambda t: abs(t.params["n"] - 2) + (t.params["kind"] != "b"), trials=40, quiet=True)
    study.revise(space=tt.Space({**space.params, "kind": tt.Choice("a", "b")}))
    rings = [trace for trace in study.plot.surface("n", "kind").data if trace.name == "best"]
    assert [(ring.x, ring.y) for ring in rings] == [((1.0,), (1.0,))]
