"""What explains the results: the model of them and whether it can be trusted, ablation, and what a study and a trial say."""

import math
from dataclasses import replace

import numpy as np
import pytest
from known_functions import MIXED, UNIT, learned, mixed, results, weighted
from scipy.stats import spearmanr

import trimtab as tt
from trimtab.errors import SpecError
from trimtab.evidence import belief as beliefs
from trimtab.evidence.ablation import path
from trimtab.evidence.belief import Belief
from trimtab.evidence.calibration import leave_one_out
from trimtab.evidence.effects import dependence, indices
from trimtab.evidence.interactions import interactions, totals
from trimtab.explanation import Explanation, why
from trimtab.numerics import gp
from trimtab.reports.document import drawings
from trimtab.reports.facts import Facts


def test_many_settings_are_predicted_as_each_by_itself(monkeypatch):
    found, (X, _) = learned(MIXED, mixed, 40), results(MIXED, mixed, 40)
    monkeypatch.setattr(beliefs, "_BLOCK", 7)
    mean, sd = found.predict(X)
    each = [found.predict(x[None]) for x in X]
    assert mean == pytest.approx([m.item() for m, _ in each])
    assert sd == pytest.approx([s.item() for _, s in each])
    assert [len(v) for v in found.predict(X[:0])] == [0, 0]


def test_an_ablation_path_leads_from_one_setting_to_the_other_and_its_gains_add_up():
    belief = learned(MIXED, mixed, 200)
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


def test_the_share_of_noise_is_that_of_single_results_also_where_several_are_averaged():
    rng = np.random.default_rng(0)
    space = tt.Space(x=tt.Float(0, 1))
    X = space.sample(60, rng)
    for slope in (0.0, 4.0):  # the variance of its part is slope^2 / 12, that of the noise of a single result 1
        y = slope * X[:, 0] + rng.normal(size=60) / math.sqrt(20)
        found = Belief.of(space, X, y, np.full(60, 20.0))
        assert found.share == pytest.approx(1 / (1 + slope**2 / 12), abs=0.3)


def test_leaving_one_out_is_what_a_fit_without_it_predicts():
    belief = learned(UNIT, weighted, 30, 0.3)
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
    ordinary, found = (learned(UNIT, lambda p, f=f: f * weighted(p), 60) for f in (1.0, scale))
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
    belief = learned(UNIT, lambda p: float(p["x0"] > 0.5), 30)
    found = leave_one_out(belief)
    y, predicted = np.array(found.results), np.array(found.predicted)
    others = np.array([np.delete(y, i).mean() for i in range(len(y))])
    assert found.r2 == pytest.approx(1 - np.sum((y - predicted) ** 2) / np.sum((y - others) ** 2))
    assert found.rank == pytest.approx(spearmanr(y, predicted).statistic)


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
    pairs = study.explain().interactions()
    assert [f"  {a} and {b}: " in study.explain().text() for a, b in pairs] == [i.shown for i in pairs.values()]
    assert {i.shown for i in pairs.values()} == {True, False}


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


def test_a_choice_of_too_many_options_to_be_paired_is_named():
    space = tt.Space(c=tt.Choice(*range(100)), x=tt.Float(0, 1), y=tt.Float(0, 1))
    study = tt.Study("s", space, minimize="loss", seed=1, strategy="random")
    study.run(lambda trial: trial.params["x"] * trial.params["y"] + (trial.params["c"] > 50), trials=30, quiet=True)
    told = study.explain()
    assert [*told.interactions()] == [("x", "y")]
    assert "in no pair, for more than 40 options: c" in told.text()
    drawn = {d.id: d for d in drawings(Facts(study.record, study.trials), None)}
    assert drawn["pairs"].caption.endswith("In no pair, for more than 40 options: c.")


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
    assert expected.startswith("expected: loss ")
    loss, gain = (float(part.split()[-3]) for part in expected.split(", "))
    assert {"loss": loss, "gain": gain} == pytest.approx(dict(several.trials[9].metrics), abs=0.02)
    assert told.text().startswith("of gain, one of 2 goals:")
    assert "measured elsewhere" in told.why(10)
    assert told.metric == "gain"


@pytest.mark.parametrize(
    ("noted", "says"),
    [
        ({"mean": "geometric", "sd": 1.0}, ["noted: mean geometric, sd 1"]),
        ({"mean": [0.5, 0.25], "sd": 0.1}, ["noted: mean 0.5, 0.25, sd 0.1"]),
        ({"mean": [0.5, None], "sd": [0.1, 0.1]}, ["expected: 0.5 ± 0.1, unknown ± 0.1"]),
        ({"acquisition": ["a", 2], "value": "large"}, ["chosen for: the largest a, 2, large"]),
        ({"mean": 0.5, "of": {"left": None}}, ["noted: mean 0.5, of left unknown"]),
    ],
)
def test_whatever_a_strategy_notes_is_told(study, noted, says):
    trial = replace(study.trials[5], why=noted)
    assert why(trial, study.explain().ledger, study.record.spec).splitlines()[2:] == says


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


@pytest.mark.parametrize("stopping", ["asha", None])
def test_a_model_of_the_few_trials_that_went_on_is_told(stopping):
    space = tt.Space(x=tt.Float(0, 1, default=0.9), y=tt.Float(0, 1, default=0.5))
    fidelity = tt.Fidelity("epochs", 1, 9)
    short = tt.Study("short", space, minimize="loss", fidelity=fidelity, stopping=stopping, strategy="random", seed=1)

    def train(trial):
        for epoch in range(1, 10):
            trial.report(epoch, loss=trial.params["x"] + 1 / epoch)
            if trial.should_stop():
                break
        return trial.reported

    short.run(train, trials=30, quiet=True)
    counts, said = short.counts, [f.text for f in short.explain().findings() if "ended early" in f.text]
    assert bool(said) == (stopping is not None)
    assert all(f"{counts['stopped']} trials ended early and {counts['done']} trials at the end" in s for s in said)
    assert all(s in short.explain().text() for s in said)


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
