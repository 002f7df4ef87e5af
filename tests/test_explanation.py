"""What explains the results: known Sobol' indices, ablation, safe ranges, findings, calibration, and why a trial was tried."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

import trimtab as tt
from trimtab.errors import SpecError
from trimtab.evidence import belief as beliefs
from trimtab.evidence.ablation import path
from trimtab.evidence.belief import Belief
from trimtab.evidence.calibration import leave_one_out
from trimtab.evidence.effects import dependence, indices
from trimtab.evidence.fanova import fanova
from trimtab.evidence.importance import by_branch
from trimtab.evidence.interactions import interactions, surface, totals
from trimtab.evidence.sensitivity import edge, findings, safe_ranges
from trimtab.explanation import Explanation
from trimtab.numerics import gp

UNIT = tt.Space({f"x{i}": tt.Float(0, 1, default=0.9) for i in range(4)})
WEIGHTS = np.array([1.0, 2.0, 3.0, 4.0])
MIXED = tt.Space(
    model=tt.Choice("tree", "line", default="tree"),
    depth=tt.Int(1, 9, default=8, when={"model": "tree"}),
    slope=tt.Float(0, 1, default=0.5, when={"model": "line"}),
    rate=tt.Float(1e-3, 1, log=True, default=0.9),
)


def learned(space, loss, n=120, noise=0.0):
    """The model of n random results, and the results."""
    rng = np.random.default_rng(4)
    X = space.sample(n, rng)
    y = np.array([loss(p) for p in space.decode(X)]) + noise * rng.standard_normal(n)
    return Belief.of(space, X, y), X, y


def weighted(p):
    return float(WEIGHTS @ list(p.values()))


def mixed(p):
    part = abs(p["depth"] - 3) / 4 if p["model"] == "tree" else 1.0 + 0.1 * p["slope"]
    return part + (math.log10(p["rate"]) + 2) ** 2


def test_first_order_indices_are_those_of_the_function():
    belief, _, _ = learned(UNIT, weighted)
    found = indices(belief)
    for (name, index), known in zip(found.items(), WEIGHTS**2 / (WEIGHTS @ WEIGHTS), strict=True):
        assert index.value == pytest.approx(known, abs=0.02), name
        assert index.low <= index.value <= index.high


def test_ishigamis_function_has_a_parameter_that_acts_only_with_another():
    space = tt.Space({f"x{i}": tt.Float(-math.pi, math.pi) for i in range(3)})

    def loss(p):
        return math.sin(p["x0"]) + 7 * math.sin(p["x1"]) ** 2 + 0.1 * p["x2"] ** 4 * math.sin(p["x0"])

    found = indices(learned(space, loss, 300)[0])
    assert [i.value for i in found.values()] == pytest.approx([0.314, 0.442, 0.0], abs=0.06)


def test_many_settings_are_predicted_as_each_by_itself(monkeypatch):
    found, X, _ = learned(MIXED, mixed, 40)
    monkeypatch.setattr(beliefs, "_BLOCK", 7)
    mean, sd = found.predict(X)
    each = [found.predict(x[None]) for x in X]
    assert mean == pytest.approx([m.item() for m, _ in each])
    assert sd == pytest.approx([s.item() for _, s in each])
    assert [len(v) for v in found.predict(X[:0])] == [0, 0]


def test_noise_widens_the_intervals():
    clear, noisy = (indices(learned(UNIT, weighted, 60, sd)[0])["x3"] for sd in (0.0, 1.5))
    assert noisy.high - noisy.low > clear.high - clear.low


def test_the_forest_agrees_with_the_function():
    _, X, y = learned(UNIT, weighted, 300)
    shares = fanova(X, y, UNIT)
    assert sorted(shares, key=shares.get) == ["x0", "x1", "x2", "x3"]
    assert 0.7 < sum(shares.values()) <= 1
    assert set(fanova(X, np.ones(len(y)), UNIT).values()) == {0.0}


def test_branches_are_judged_among_themselves():
    _, X, y = learned(MIXED, mixed, 200)
    found = by_branch(X, y, MIXED)
    assert set(found) == {"model=tree", "model=line"}
    assert set(found["model=tree"]) == {"depth", "rate"}
    assert found["model=line"]["rate"] > found["model=line"]["slope"]
    assert by_branch(X[:, 3:], y, tt.Space(rate=tt.Float(1e-3, 1, log=True))) == {}
    kernel = tt.Choice("rbf", "poly", when={"model": "svm"})
    chain = tt.Space(model=tt.Choice("svm", "tree"), kernel=kernel, degree=tt.Int(2, 5, when={"kernel": "poly"}))
    _, X, y = learned(chain, lambda p: p.get("degree", 0), 80)
    assert set(by_branch(X, y, chain)["kernel=poly"]) == {"degree"}  # the model is the same in all of them


def test_a_conditional_parameter_has_an_index_of_its_own():
    found = indices(learned(MIXED, mixed, 200)[0])
    assert found["rate"].value > found["depth"].value > found["slope"].value
    assert all(0 <= i.value <= 1.05 for i in found.values())


def test_dependence_has_the_shape_of_the_function_and_the_direction_of_the_goal():
    belief, _, _ = learned(MIXED, mixed, 200)
    down, up = dependence(belief, "depth"), dependence(belief, "depth", maximize=True)
    assert down.values[int(np.argmin(down.mean))] in (2, 3, 4)
    assert up.mean == pytest.approx([-v for v in down.mean])
    assert all(low <= mid <= high for low, mid, high in zip(up.low, up.mean, up.high, strict=True))
    assert dependence(belief, "model").values == ("tree", "line")


def test_an_ablation_path_leads_from_one_setting_to_the_other_and_its_gains_add_up():
    belief, _, _ = learned(MIXED, mixed, 200)
    before, after = MIXED.defaults(), {"model": "line", "slope": 0.2, "rate": 0.01}
    steps = path(belief, before, after)
    assert steps[-1].params == after
    assert {s.name for s in steps} <= set(MIXED.names)
    mean, _ = belief.predict(MIXED.encode([before, after]))
    assert sum(s.gain for s in steps) == pytest.approx(mean[0] - mean[1])
    assert steps[0].name == "rate"
    for s in steps:
        MIXED.validate(s.params)
    assert path(belief, before, before) == []


def test_safe_ranges_hold_the_best_and_are_narrow_where_it_matters():
    belief, _, _ = learned(UNIT, lambda p: (p["x0"] - 0.4) ** 2 + 0.001 * p["x1"], 150, 0.01)
    best = {"x0": 0.4, "x1": 0.5, "x2": 0.5, "x3": 0.5}
    found = {s.name: s for s in safe_ranges(belief, best)}
    assert found["x0"].low <= 0.4 <= found["x0"].high
    assert found["x0"].width < 0.5 < found["x2"].width
    options = {
        s.name: s for s in safe_ranges(learned(MIXED, mixed, 200)[0], {"model": "tree", "depth": 3, "rate": 0.01})
    }
    assert options["model"].options == ("tree",)
    assert "slope" not in options


@pytest.mark.parametrize("at", [3, 20, 63])
def test_safe_ranges_hold_the_best_of_a_narrow_valley_on_log_scales_too(at):
    space = tt.Space(n=tt.Int(3, 63, log=True), rate=tt.Float(0.01, 1, log=True))
    belief, _, _ = learned(space, lambda p: abs(math.log(p["n"] / at)) + 9 * abs(math.log(p["rate"] / 0.123)))
    for safe in safe_ranges(belief, {"n": at, "rate": 0.123}):
        assert safe.low <= safe.at <= safe.high


def test_findings_name_the_edge_the_noise_and_what_is_indifferent():
    belief, _, _ = learned(UNIT, lambda p: p["x0"], 120)
    best = {"x0": 0.0, "x1": 0.5, "x2": 0.5, "x3": 0.5}
    kinds = {
        (f.kind, *f.params) for f in findings(belief, best, None, leave_one_out(belief), safe_ranges(belief, best))
    }
    assert ("edge", "x0") in kinds
    assert ("indifferent", "x2") in kinds
    noisy, _, _ = learned(UNIT, lambda p: p["x0"], 120, 0.5)
    assert "noise" in {f.kind for f in findings(noisy, best, None, leave_one_out(noisy), safe_ranges(noisy, best))}


def test_the_share_of_noise_is_that_of_single_results_also_where_several_are_averaged():
    rng = np.random.default_rng(0)
    space = tt.Space(x=tt.Float(0, 1))
    X = space.sample(60, rng)
    for slope in (0.0, 4.0):  # the variance of its part is slope^2 / 12, that of the noise of a single result 1
        y = slope * X[:, 0] + rng.normal(size=60) / math.sqrt(20)
        found = Belief.of(space, X, y, np.full(60, 20.0))
        assert found.share == pytest.approx(1 / (1 + slope**2 / 12), abs=0.3)


@pytest.mark.parametrize(("low", "high"), [(1, 3), (1, 20), (3, 63)])
def test_the_ends_of_a_range_on_the_log_scale_are_edges(low, high):
    space = tt.Space(n=tt.Int(low, high, log=True))
    found = [edge(space, row, 0) for row in space.encode([{"n": n} for n in range(low, high + 1)])]
    assert (found[0], found[1], found[-1]) == ("low", "", "high")


@pytest.mark.parametrize("count", [3, 7, 49, 1000])
def test_only_the_ends_of_a_range_are_edges(count):
    space = tt.Space(n=tt.Int(1, count), two=tt.Int(0, 1), c=tt.Choice("a", "b", "c"))
    rows = space.encode([{"n": n, "two": 0, "c": "a"} for n in range(1, count + 1)])
    found = [edge(space, row, 0) for row in rows]
    close = max(1, round(0.02 * count))
    assert found == ["low"] * close + [""] * (count - 2 * close) + ["high"] * close
    assert edge(space, rows[0], 1) == edge(space, rows[0], 2) == ""


@pytest.mark.parametrize(("live", "edges"), [("abc", ["low", "", "high", "", ""]), ("ab", [""] * 4)])
def test_retired_options_are_not_part_of_a_range(live, edges):
    space = tt.Space(size=tt.Choice(*live, ordered=True, retired=("y", "z")))
    assert [edge(space, row, 0) for row in space.encode([{"size": v} for v in (*live, "y", "z")])] == edges


def test_retired_options_are_no_neighbours():
    size = tt.Choice(*range(24), ordered=True, default=0)
    live = tt.Choice(*range(12), ordered=True, default=0, retired=tuple(range(12, 24)))
    _, X, y = learned(tt.Space(size=size), lambda p: 10.0 if p["size"] > 11 else -p["size"] / 11)
    said = []
    for space in (tt.Space(size=size), tt.Space(size=live)):  # both have the same cells
        belief = Belief.of(space, X, y)
        found = findings(belief, {"size": 11}, {"size": 0}, leave_one_out(belief), [])
        said.append("unstable" in {f.kind for f in found})
    assert said == [True, False]


def test_a_needle_is_unstable_and_a_valley_is_not():
    space, best = tt.Space(x=tt.Float(0, 1, default=0.9)), {"x": 0.5}
    kinds = []
    for width in (0.02, 0.5):
        belief, _, _ = learned(space, lambda p, w=width: -math.exp(-(((p["x"] - 0.5) / w) ** 2)), 150)
        found = findings(belief, best, space.defaults(), leave_one_out(belief), safe_ranges(belief, best))
        kinds.append("unstable" in {f.kind for f in found})
    assert kinds == [True, False]


def test_leaving_one_out_is_what_a_fit_without_it_predicts():
    belief, _, _ = learned(UNIT, weighted, 30, 0.3)
    found = leave_one_out(belief)
    rest = np.arange(1, 30)
    without = gp.condition(belief.data.take(rest), belief.theta)
    mean, var = without.predict(belief.data.X[:1])
    total = math.sqrt(var[0] + gp.noise(belief.theta) + gp.FLOOR)
    level = 0.5 * (1 + math.erf((belief.data.y[0] - mean[0]) / total / math.sqrt(2)))
    assert found.levels[0] == pytest.approx(level, abs=1e-6)
    assert found.honest
    assert not replace(found, inside=0.5).honest
    y = np.array(found.results)
    assert y == pytest.approx(belief.centre + belief.unit * belief.data.y)
    inside = np.abs(y - found.predicted) <= 1.6448536269514722 * np.array(found.sd)
    assert inside.mean() == pytest.approx(found.inside)


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e140])
def test_tiny_and_large_losses_are_explained_like_ordinary_ones(scale):
    ordinary, found = (learned(UNIT, lambda p, f=f: f * weighted(p), 60)[0] for f in (1.0, scale))
    for explain in (indices, totals, interactions):
        known = explain(ordinary)
        assert {n: i.value for n, i in explain(found).items()} == pytest.approx(
            {n: i.value for n, i in known.items()}, abs=0.01
        )
    assert dependence(found, "x3").mean == pytest.approx(
        [scale * v for v in dependence(ordinary, "x3").mean], rel=1e-2, abs=0
    )
    assert leave_one_out(found).r2 == pytest.approx(leave_one_out(ordinary).r2, abs=0.01)


def test_a_model_is_compared_with_the_mean_of_the_others_and_equal_results_share_their_rank():
    belief, _, _ = learned(UNIT, lambda p: float(p["x0"] > 0.5), 30, 0.0)
    found = leave_one_out(belief)
    y, predicted = np.array(found.results), np.array(found.predicted)
    others = np.array([np.delete(y, i).mean() for i in range(len(y))])
    assert found.r2 == pytest.approx(1 - np.sum((y - predicted) ** 2) / np.sum((y - others) ** 2))
    assert found.rank == pytest.approx(spearmanr(y, predicted).statistic)


def test_a_model_that_predicts_nothing_is_a_finding():
    best = dict.fromkeys(UNIT.names, 0.5)
    for noise, expected in ((0.01, False), (100.0, True)):
        belief, _, _ = learned(UNIT, weighted, 100, noise)
        found = findings(belief, best, None, leave_one_out(belief), safe_ranges(belief, best))
        assert any(f.kind == "model" and "hardly better than the mean" in f.text for f in found) is expected


@pytest.fixture(scope="module")
def study():
    made = tt.Study("explained", MIXED, maximize="score", seed=3)
    made.run(lambda t: -mixed(t.params), trials=30, quiet=True)
    return made


def test_the_most_important_is_a_text(study):
    head, *rows = study.explain().text().split("\n\n")[0].splitlines()
    assert head.split("  ")[0] == "parameter"
    assert {row.split()[0] for row in rows} == set(MIXED.names)
    assert "from the baseline, by the model:\n  " in study.explain().text()


def test_a_study_explains_itself(study):
    told = study.explain()
    assert set(told.importance()) == set(told.importance("fanova")) == set(told.importance("sobol")) == set(MIXED.names)
    assert told.ablation()[-1].params == study.best.params
    assert told.branches()
    assert told.calibration().n == len(study.candidates())
    assert {f.kind for f in told.findings()} <= {"edge", "unstable", "noise", "model", "indifferent"}
    assert {s.name for s in told.safe_ranges()} == set(study.best.params)
    assert len(told.dependence("rate").mean) > 10
    assert set(told.totals()) == set(MIXED.names)
    assert ("depth", "rate") in told.interactions()
    assert len(told.surface("depth", "rate").mean) == 9
    again = Explanation.of(study.record, study.trials[::-1])
    assert (again.sobol(), again.interactions()) == (told.sobol(), told.interactions())


def test_every_trial_says_why(study):
    told = study.explain()
    assert "the baseline" in told.why(0)
    last = told.why(study.trials[-1].number)
    assert "proposed by" in last
    assert "expected" in last
    assert "with 29 results known and 29 trials made" in last
    assert "with 1 result known and 1 trial made" in told.why(1)


def test_a_trial_of_several_goals_says_what_was_expected_of_each():
    several = tt.Study("several", tt.Space(x=tt.Float(0, 1)), minimize="loss", maximize="gain", strategy="gp", seed=1)
    several.run(lambda t: {"loss": t.params["x"], "gain": t.params["x"] ** 2}, trials=10, quiet=True)
    several.add({"x": 0.25}, {"loss": 0.25, "gain": 0.0625})
    told = several.explain("gain")
    (expected,) = (line for line in told.why(9).splitlines() if line.startswith("expected"))
    assert expected.count("±") == 2
    assert expected.startswith("expected: loss ")
    assert ", gain 0" in expected
    assert "measured elsewhere" in told.why(10)
    assert told.metric == "gain"


def test_what_was_expected_is_told_in_the_direction_of_the_goal_at_that_time():
    study = tt.Study("auc", tt.Space(x=tt.Float(0, 1)), maximize="auc", strategy="gp", seed=1)
    study.run(lambda t: {"auc": 0.9 - t.params["x"] ** 2 / 10, "loss": 0.5}, trials=16, quiet=True)

    def expected():
        lines = [line for n in (14, 15) for line in study.explain().why(n).splitlines()]
        return [float(line.split()[2]) for line in lines if line.startswith("expected: auc ")]

    told = expected()
    assert told == pytest.approx([0.9, 0.9], abs=0.05)
    assert {t.why["acquisition"] for t in study.trials[14:]} == {"lcb", "log-ei"}
    assert not any("lcb, -0.9" in study.explain().why(n) for n in (14, 15))
    study.revise(minimize="loss")
    assert expected() == told


@pytest.mark.parametrize("maximize", [False, True])
def test_a_baseline_that_the_model_takes_for_a_better_one_is_told(maximize):
    """Far results on the bad side are pulled in, so that one diverged trial does not flatten everything else."""
    sign = -1 if maximize else 1
    far = tt.Study(
        "far", {"x": tt.Float(0, 1, default=0.9)}, **{"maximize" if maximize else "minimize": "score"}, seed=1
    )
    far.tell(far.ask(), sign * 0.4)
    far.add([{"x": i / 20} for i in range(11)], [sign * (i / 20 - 0.3) ** 2 for i in range(11)])
    told = far.explain()
    said = [f.text for f in told.findings() if "takes it for" in f.text]
    assert len(said) == 1
    assert f"score of {sign * 0.4:g}" in said[0]
    assert sum(step.gain for step in told.ablation()) < 0.3  # 0.4 were gained
    far.revise(baseline={"x": 0.25})
    assert not [f for f in far.explain().findings() if "takes it for" in f.text]


def test_what_cannot_be_explained_is_an_error(study):
    told = study.explain()
    with pytest.raises(SpecError, match="not known"):
        told.importance("magic")
    with pytest.raises(SpecError, match="not a parameter"):
        told.dependence("dept")
    with pytest.raises(SpecError, match="not a parameter"):
        told.surface("rate", "dept")
    for pair in (("rate", "rate"), ("model", "depth")):
        with pytest.raises(SpecError, match="do not vary together"):
            told.surface(*pair)
    with pytest.raises(SpecError, match="does not exist"):
        told.why(99)
    with pytest.raises(SpecError, match="goals: score, numbered from 0"):
        study.explain(1)
    with pytest.raises(SpecError, match="numbered from 0"):
        study.explain(True)
    young = tt.Study("young", MIXED, minimize="loss")
    with pytest.raises(SpecError, match="too few"):
        young.explain().sobol()


def test_second_order_indices_are_those_of_ishigamis_function():
    space = tt.Space({f"x{i}": tt.Float(-math.pi, math.pi) for i in range(3)})

    def loss(p):
        return math.sin(p["x0"]) + 7 * math.sin(p["x1"]) ** 2 + 0.1 * p["x2"] ** 4 * math.sin(p["x0"])

    belief = learned(space, loss, 300)[0]
    found = interactions(belief)
    assert next(iter(found)) == ("x0", "x2")
    known = {("x0", "x2"): 0.244, ("x0", "x1"): 0.0, ("x1", "x2"): 0.0}
    assert {pair: i.value for pair, i in found.items()} == pytest.approx(known, abs=0.05)
    assert [i.value for i in totals(belief).values()] == pytest.approx([0.558, 0.442, 0.244], abs=0.03)


def test_second_order_indices_are_those_of_the_g_function():
    a = np.array([0.0, 0.5, 2.0, 8.0])
    parts = 1 / 3 / (1 + a) ** 2
    total = np.prod(1 + parts) - 1

    def loss(p):
        return float(np.prod((np.abs(4 * np.array(list(p.values())) - 2) + a) / (1 + a)))

    belief = learned(UNIT, loss, 400)[0]
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

    found = interactions(learned(UNIT, loss, 120)[0])
    known = 16 * together**2 / 144 / (16 * together**2 / 144 + np.sum(np.square(weights)) / 12)
    assert found["x0", "x1"].value == pytest.approx(known, abs=0.06)
    assert all(i.value < 0.05 for pair, i in found.items() if pair != ("x0", "x1"))


def test_a_total_is_at_least_what_a_parameter_does_by_itself():
    belief = learned(MIXED, mixed, 200)[0]
    alone, everything = indices(belief), totals(belief)
    assert everything.keys() == alone.keys()
    assert all(everything[n].value >= alone[n].value - 0.02 for n in alone)


@pytest.mark.parametrize("d", [1, 2, 4])
def test_parts_of_a_sum_have_no_part_in_more_than_all_of_the_variance(d):
    space = tt.Space({f"x{i}": tt.Float(0, 1) for i in range(d)})
    found = totals(learned(space, lambda p: float(WEIGHTS[:d] @ list(p.values())), 60)[0])
    known = WEIGHTS[:d] ** 2 / (WEIGHTS[:d] @ WEIGHTS[:d])
    assert [i.value for i in found.values()] == pytest.approx(known.tolist(), abs=0.005)


def test_a_parameter_and_the_one_it_depends_on_are_no_pair():
    found = interactions(learned(MIXED, mixed, 200)[0])
    assert set(found) == {("model", "rate"), ("depth", "rate"), ("slope", "rate")}


def test_a_surface_has_the_shape_and_the_direction_of_the_goal():
    belief, _, _ = learned(MIXED, mixed, 200)
    down, up = surface(belief, "depth", "rate"), surface(belief, "depth", "rate", maximize=True)
    assert np.array(up.mean) == pytest.approx(-np.array(down.mean))
    i, j = np.unravel_index(np.argmin(down.mean), np.shape(down.mean))
    assert down.first[i] in (2, 3, 4)
    assert 0.003 < down.second[j] < 0.03
    assert surface(belief, "model", "depth") is None
    assert surface(belief, "rate", "model").second == ("tree", "line")
