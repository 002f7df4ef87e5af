"""How far each parameter may move from the best, which values lie at an edge, and what a reader is warned of."""

import math

import pytest
from known_functions import MIXED, UNIT, learned, mixed, results, weighted

import trimtab as tt
from trimtab.dossier.text_figures import sketches
from trimtab.evidence.belief import Belief
from trimtab.evidence.calibration import leave_one_out
from trimtab.evidence.effects import indices
from trimtab.evidence.interactions import totals
from trimtab.evidence.sensitivity import edge, findings, safe_ranges
from trimtab.reports.facts import Facts
from trimtab.reports.sections.explained import curve_table


def test_safe_ranges_hold_the_best_and_are_narrow_where_it_matters():
    belief = learned(UNIT, lambda p: (p["x0"] - 0.4) ** 2 + 0.001 * p["x1"], 150, 0.01)
    best = {"x0": 0.4, "x1": 0.5, "x2": 0.5, "x3": 0.5}
    found = {s.name: s for s in safe_ranges(belief, best)}
    assert found["x0"].low <= 0.4 <= found["x0"].high
    assert found["x0"].width < 0.5 < found["x2"].width
    options = {s.name: s for s in safe_ranges(learned(MIXED, mixed, 200), {"model": "tree", "depth": 3, "rate": 0.01})}
    assert options["model"].options == ("tree",)
    assert "slope" not in options


@pytest.mark.parametrize("at", [3, 20, 63])
def test_safe_ranges_hold_the_best_of_a_narrow_valley_on_log_scales_too(at):
    space = tt.Space(n=tt.Int(3, 63, log=True), rate=tt.Float(0.01, 1, log=True))
    belief = learned(space, lambda p: abs(math.log(p["n"] / at)) + 9 * abs(math.log(p["rate"] / 0.123)))
    for safe in safe_ranges(belief, {"n": at, "rate": 0.123}):
        assert safe.low <= safe.at <= safe.high


def test_findings_name_the_edge_the_noise_and_what_is_indifferent():
    belief = learned(UNIT, lambda p: p["x0"], 120)
    best = {"x0": 0.0, "x1": 0.5, "x2": 0.5, "x3": 0.5}
    kinds = {
        (f.kind, *f.params) for f in findings(belief, best, None, leave_one_out(belief), safe_ranges(belief, best))
    }
    assert ("edge", "x0") in kinds
    assert ("indifferent", "x2") in kinds
    noisy = learned(UNIT, lambda p: p["x0"], 120, 0.5)
    assert "noise" in {f.kind for f in findings(noisy, best, None, leave_one_out(noisy), safe_ranges(noisy, best))}


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
    X, y = results(tt.Space(size=size), lambda p: 10.0 if p["size"] > 11 else -p["size"] / 11)
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
        belief = learned(space, lambda p, w=width: -math.exp(-(((p["x"] - 0.5) / w) ** 2)), 150)
        found = findings(belief, best, space.defaults(), leave_one_out(belief), safe_ranges(belief, best))
        kinds.append("unstable" in {f.kind for f in found})
    assert kinds == [True, False]


def test_a_model_that_predicts_nothing_is_a_finding():
    best = dict.fromkeys(UNIT.names, 0.5)
    for noise, expected in ((0.01, False), (100.0, True)):
        belief = learned(UNIT, weighted, 100, noise)
        found = findings(belief, best, None, leave_one_out(belief), safe_ranges(belief, best))
        assert any(f.kind == "model" and "hardly better than the mean" in f.text for f in found) is expected


def test_a_parameter_with_one_value_is_no_finding():
    space = tt.Space(fixed=tt.Int(3, 3), one=tt.Choice("only"), x=tt.Float(0, 1), z=tt.Float(0, 1))
    belief = learned(space, lambda p: p["x"], 200)
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
    kinds = [row[0] for row, _ in curve_table(study.explain().dependence("kind"), ()).rows]
    assert kinds == ["1", "True"]


def test_what_fails_or_breaks_a_constraint_does_not_do_as_well():
    space = tt.Space(flag=tt.Choice(None, "-fast", "-wrong"), size=tt.Int(1, 20), x=tt.Float(0, 1))

    def measured(trial):
        if trial.params["flag"] == "-wrong":
            raise ValueError("no such flag")
        return {"ms": trial.params["x"], "mib": float(trial.params["size"])}

    study = tt.Study("flags", space, minimize="ms", subject_to="mib <= 8", strategy="random", seed=1, max_failures=None)
    study.run(measured, trials=60, quiet=True)
    safe = {s.name: s for s in study.explain().safe_ranges()}
    assert safe["flag"].options == (None, "-fast")
    assert 7 <= safe["size"].high <= 9
    assert not {"flag", "size"} & {name for f in study.explain().findings() for name in f.params}
