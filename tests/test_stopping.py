"""Stopping rules: what each promises of any order of reports, and what a study makes of their verdicts."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, wilcoxon

import trimtab as tt
from trimtab import stopping
from trimtab.errors import SpecError
from trimtab.goals import Goal, constraint
from trimtab.records import StudySpec
from trimtab.stopping.folds import Wilcoxon, signed_rank
from trimtab.stopping.halving import Asha, Hyperband
from trimtab.stopping.percentile import Median, Percentile
from trimtab.stopping.plateau import Plateau
from trimtab.stopping.rules import StoppingRules, verdicts
from trimtab.stopping.rungs import Rung
from trimtab.stopping.threshold import Threshold

EPOCHS = tt.Fidelity("epochs", 1, 27)
LOSS = (Goal("loss", False),)
X = tt.Space(x=tt.Float(0, 1))
some = settings(max_examples=40, deadline=None, derandomize=True)


def rules(*rules, goals=LOSS, constraints=(), exempt=None, fidelity=EPOCHS):
    return StoppingRules([stopping.to_json(r) for r in rules], fidelity, goals, constraints, exempt)


def told(made, curves):
    """{number: step at which it is stopped}: each trial reports its whole curve, one trial after the other."""
    stops, written = {}, itertools.count(1)
    for number, curve in curves.items():
        for step, loss in curve:
            verdict = made.update(number, step, loss if isinstance(loss, dict) else {"loss": loss}, next(written))
            if verdict is not None:
                stops[number] = step
                break
    return stops


def flat(losses, steps=range(1, 28)):
    return {n: [(s, loss) for s in steps] for n, loss in enumerate(losses)}


# ------------------------------------------------------------------------------------------------------------ fidelity


@pytest.mark.parametrize(
    ("low", "high", "factor", "rungs"),
    [
        (1, 81, 3, (1, 3, 9, 27, 81)),
        (1, 52, 3, (1, 3, 9, 27, 52)),
        (1, 30, 3, (1, 3, 9, 30)),
        (0.1, 1.0, 3, (0.1, 0.3, 1.0)),
        (1, 1.5, 3, (1.5,)),
    ],
)
def test_rungs_rise_by_the_factor_and_end_at_the_top(low, high, factor, rungs):
    assert tt.Fidelity("x", low, high, factor).rungs == pytest.approx(rungs)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"low": 0}, "low=0 must be a positive number"),
        ({"low": 5}, "low=5 is not below high=5"),
        ({"high": float("inf")}, "high=inf must be .* finite"),
        ({"factor": 1}, "factor=1 must be above 1"),
        ({"name": " "}, "name ' ' must be a text"),
        ({"low": True}, "low=True must be a positive number"),
    ],
)
def test_a_fidelity_that_makes_no_sense_is_refused(how, said):
    with pytest.raises(SpecError, match=said):
        tt.Fidelity(**{"name": "epochs", "low": 1, "high": 5, **how})


# --------------------------------------------------------------------------------------------------------------- rules


def test_asha_keeps_the_best_third_of_each_rung_and_stops_nobody_on_a_thin_one():
    stops = told(rules(Asha(trust=0)), flat([0.5, 0.9, 0.6, 0.4, 0.7, 0.1]))
    assert stops == {2: 1, 4: 1}  # 0.9 came second, when the rung was thin; 0.4 is the best of four


def test_asha_stops_nobody_at_an_early_rung_that_says_nothing_of_the_next_one():
    rng = np.random.default_rng(0)
    ends = rng.random(40)
    told_apart = told(rules(Asha()), {n: [(1, e), (3, e), (9, e), (27, e)] for n, e in enumerate(ends)})
    reversed_ = told(rules(Asha()), {n: [(1, 1 - e), (3, e), (9, e), (27, e)] for n, e in enumerate(ends)})
    assert 1 in told_apart.values()
    assert (
        min(n for n, step in told_apart.items() if step == 1) >= 8
    )  # so many have to go on before the rung is trusted
    assert set(reversed_.values()) == {3, 9}
    best = int(ends.argmin())
    assert best not in reversed_


def test_hyperband_judges_within_brackets_and_deals_trials_to_all_of_them():
    made = Hyperband().begin(EPOCHS)
    brackets = [made.bracket(n) for n in range(200)]
    assert sorted(set(brackets)) == [0, 1, 2, 3]
    assert brackets.count(0) > brackets.count(1) > brackets.count(2) > brackets.count(3) > 5
    rng = np.random.default_rng(0)
    stops = told(rules(Hyperband()), flat(rng.random(200)))
    first = [min((s for n, s in stops.items() if brackets[n] == b), default=None) for b in range(4)]
    assert first == [1, 3, 9, None]


def test_median_compares_the_best_so_far_with_the_others_at_that_step():
    curves = flat([0.1, 0.2, 0.3, 0.25, 0.05], range(1, 6))
    worse_later = [(1, 0.01), *((step, 0.9) for step in range(2, 6))]
    assert told(rules(Median(least=3, after=2)), curves | {5: worse_later}) == {3: 3}


def test_a_percentile_stops_whom_more_than_its_share_of_the_others_beat():
    half = rules(Percentile(share=0.5, least=2))
    assert told(half, flat([0.1, 0.3, 0.2], [1])) == {}
    assert told(half, {3: [(1, 0.25)]}) == {3: 1}
    assert told(half, flat([0.1, 0.2, 0.3], [27])) == {}  # trained in full: nothing is left to stop


@pytest.mark.parametrize("name", ["medien", None, ["median"]])
def test_a_rule_of_an_unknown_name_is_refused(name):
    with pytest.raises(SpecError, match=r"stopping=.* is not known"):
        stopping.rule({"rule": name})


def test_plateau_and_threshold_look_at_one_curve():
    curve = [(s, max(0.5, 1 - 0.1 * s)) for s in range(1, 20)]
    assert told(rules(Plateau(patience=4)), {0: curve}) == {0: 9}
    assert told(rules(Threshold("loss", above=2.0, after=3)), {0: [(1, 9.0), (2, 9.0), (3, 9.0)], 1: [(5, 1.0)]}) == {
        0: 3
    }


def test_a_plateau_ends_with_any_less_violation_whatever_delta():
    """Delta is in the metric's unit, a violation is not."""
    made = rules(Plateau(patience=4, delta=1.0), constraints=(constraint("size <= 5"),))
    assert told(made, {0: [(s, {"loss": 1.0, "size": 11 - s}) for s in range(1, 20)]}) == {0: 10}


def test_a_threshold_on_another_metric_needs_no_goal_in_the_report():
    """It stopped nobody, and nothing said so."""
    made = rules(Threshold("norm", above=10.0), Median(least=1))
    assert told(made, {0: [(1, {"norm": 1.0}), (2, {"norm": 99.0}), (3, {"norm": 1.0})]}) == {0: 2}


FOLDS = tt.Fidelity("fold", 1, 10)


def test_a_test_of_one_metric_is_no_rule_for_several_goals():
    """It stopped nobody, and nothing said so."""
    words = {"minimize": ["loss", "size"], "fidelity": tt.Fidelity("folds", 1, 10)}
    with pytest.raises(SpecError, match="'wilcoxon' tests one metric; with several goals take 'forgiving'"):
        tt.Study("s", {"x": tt.Float(0, 1)}, stopping=["asha", "wilcoxon"], **words)
    assert tt.Study("s", {"x": tt.Float(0, 1)}, stopping="forgiving", **words).spec.stopping


@pytest.mark.parametrize("name", ["forgiving", "wilcoxon"])
def test_folds_that_diverged_are_judged_like_any_other(name):
    """Their sum is no number; it ended the trial."""
    huge = [(i, 1e308 * i / 10) for i in range(1, 11)]
    stops = told(rules(stopping.rule(name), fidelity=FOLDS), {0: [(i, 0.1) for i, _ in huge], 1: huge, 2: huge})
    assert set(stops) == {1, 2}


@pytest.mark.parametrize("name", ["forgiving", "wilcoxon"])
def test_folds_are_stopped_against_the_incumbent_and_never_before_there_is_one(name):
    base = [0.10, 0.14, 0.12, 0.11, 0.13, 0.15, 0.12, 0.10, 0.11, 0.14]

    def shifted(by):
        return [(i + 1, v + by) for i, v in enumerate(base)]

    stops = told(rules(stopping.rule(name), fidelity=FOLDS), {0: shifted(0.0), 1: shifted(0.2), 2: shifted(-0.001)})
    assert stops == {1: 1 if name == "forgiving" else 4}


@pytest.mark.parametrize("least", [2, 3, 5])
def test_the_signed_rank_test_stops_at_its_least_number_of_folds(least):
    """At p = 0.3: two folds that are worse have 0.25."""
    curves = {0: [(fold, 0.1) for fold in range(1, 11)], 1: [(fold, 0.1 + fold) for fold in range(1, 11)]}
    assert told(rules(Wilcoxon(p=0.3, least=least), fidelity=FOLDS), curves) == {1: least}


@pytest.mark.parametrize("shift", [-0.05, 0.02, 0.08])
@pytest.mark.parametrize("digits", [1, 16])
def test_beyond_300_folds_the_signed_rank_p_value_is_that_of_the_normal_approximation(shift, digits):
    d = np.round(np.random.default_rng(2).normal(shift, 1, 2000), digits)  # with ties and zeros, and without
    expected = wilcoxon(d, alternative="greater", method="approx", correction=True).pvalue
    assert signed_rank(list(d)) == pytest.approx(expected, rel=1e-9)
    d = np.arange(1, 302) * np.where(np.random.default_rng(2).random(301) < 0.46, -1, 1)
    exact = wilcoxon(d, alternative="greater", method="exact").pvalue
    assert signed_rank([float(x) for x in d]) == pytest.approx(exact, rel=0.01)


def test_the_signed_rank_p_value_of_many_folds():
    """The chance of a sum of at least 1 + 2 + ... + n under n signs is 2^-n."""
    assert 0.0 <= signed_rank([float(i) for i in range(1, 1101)]) < 1e-100
    assert signed_rank([float(i) for i in range(1, 301)]) == 2.0**-300
    rng = np.random.default_rng(0)
    d = rng.normal(0.05, 1, 300)
    assert signed_rank(list(d)) == pytest.approx(wilcoxon(d, alternative="greater", method="exact").pvalue, rel=1e-9)


@some
@given(st.lists(st.integers(-8, 8), min_size=2, max_size=9).filter(any))
def test_the_signed_rank_p_value_is_the_share_of_all_signs(differences):
    """Zeros are left out, and ties have mean ranks."""
    d = np.array([x for x in differences if x])
    ranks = rankdata(np.abs(d))
    signs = np.array(list(itertools.product([0, 1], repeat=len(d))))
    expected = np.mean(signs @ ranks >= ranks[d > 0].sum())
    assert signed_rank(list(differences)) == pytest.approx(expected)
    if len(set(np.abs(d))) == len(differences):  # scipy's exact law knows no zeros and no ties
        assert expected == pytest.approx(wilcoxon(d, alternative="greater", method="exact").pvalue)


@some
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 5)), max_size=60))
def test_a_rung_counts_who_is_better(entries):
    rung, last = Rung(), {}
    for number, value in entries:
        rung.put(number, (0.0, float(value)))
        last[number] = value
        assert rung.better(number) == sum(v < value for v in last.values())
    assert len(rung) == len(last)


RULES = {
    "asha": [Asha(trust=0)],
    "asha with doubt": [Asha()],
    "hyperband": [Hyperband(eta=2)],
    "median": [Median(least=2)],
    "two rules": [Asha(), Plateau(patience=3)],
    "wilcoxon": [stopping.rule("wilcoxon")],
    "forgiving": [stopping.rule("forgiving")],
}


@st.composite
def arrivals(draw):
    """Reports of trials in any order: late, repeated, begun again by another attempt, never finished."""
    order = draw(st.lists(st.integers(0, 7), max_size=80))
    steps = dict.fromkeys(range(8), 0)
    made = []
    for written, number in enumerate(order, start=1):
        back = draw(st.integers(0, 9)) == 0
        steps[number] = 1 if back else min(27, steps[number] + draw(st.integers(1, 4)))
        made.append((number, float(steps[number]), {"loss": float(draw(st.integers(0, 9)))}, written))
    return made


@pytest.mark.parametrize("case", RULES)
@some
@given(reports=arrivals(), cut=st.integers(0, 80))
def test_the_same_reports_give_the_same_verdicts(case, reports, cut):
    """Whoever reads them, at whatever pace; a trial is stopped once, for good, by what was known then."""
    live, stops = rules(*RULES[case], exempt=3), {}
    for report in reports:
        before = live.verdicts.get(report[0])
        verdict = live.update(*report)
        assert before is None or verdict == before
        if verdict is not None:
            stops.setdefault(report[0], verdict)
            assert verdict.seen <= report[3]
    assert verdicts(rules(*RULES[case], exempt=3), reports) == stops
    early = verdicts(rules(*RULES[case], exempt=3), [r for r in reports if r[3] <= cut])
    assert early == {n: v for n, v in stops.items() if v.seen <= cut}
    assert 3 not in stops


@some
@given(reports=arrivals())
def test_asha_stops_nobody_who_is_among_the_best_third_nor_on_a_thin_rung(reports):
    made, rungs, passed = rules(Asha(trust=0)), {}, {}
    for number, step, metrics, written in reports:
        new = [r for r in (1, 3, 9) if r <= step and r not in passed.setdefault(number, set())]
        for r in new:
            passed[number].add(r)
            rungs.setdefault(r, {})[number] = metrics["loss"]
        before = number in made.verdicts
        verdict = made.update(number, step, metrics, written)
        if verdict is not None and not before:
            rung = rungs[new[-1]]
            assert len(rung) >= 3
            assert sum(v < metrics["loss"] for v in rung.values()) >= max(1, len(rung) // 3)


def test_two_goals_and_a_constraint_rank_by_front_within_the_feasible():
    goals, limit = (Goal("loss", False), Goal("auc", True)), (constraint("size <= 5"),)
    points = [(0.1, 0.5, 1), (0.5, 0.9, 1), (0.3, 0.7, 1), (0.05, 0.99, 9), (0.6, 0.4, 1), (0.05, 0.95, 1)]
    curves = {n: [(1, {"loss": a, "auc": b, "size": s})] for n, (a, b, s) in enumerate(points)}
    assert told(rules(Asha(trust=0), goals=goals, constraints=limit), curves) == {3: 1, 4: 1}


@pytest.mark.parametrize(
    ("which", "fidelity", "said"),
    [
        ("asha", None, "stopping='asha' needs fidelity="),
        ("medean", EPOCHS, "'medean' is not known; did you mean 'median'"),
        ({"rule": "asha", "eta": 0.5}, EPOCHS, r"eta=0\.5 must be a number from 1\.1 to 100"),
        ({"rule": "asha", "x": 1}, EPOCHS, "unexpected keyword argument 'x'"),
        (7, None, "stopping=7 is no rule"),
    ],
)
def test_a_rule_that_does_not_fit_is_refused_before_the_first_trial(which, fidelity, said):
    with pytest.raises(SpecError, match=said):
        tt.Study("s", X, minimize="loss", fidelity=fidelity, stopping=which)


def test_the_spec_keeps_fidelity_and_rules_and_old_specs_keep_their_text():
    study = tt.Study("s", X, minimize="loss", fidelity=EPOCHS, stopping=[Asha(eta=4), "median"])
    again = StudySpec.from_json(study.spec.to_json())
    assert again == study.spec
    assert [r["rule"] for r in again.stopping] == ["asha", "median"]
    assert tt.Study("s", X, minimize="loss", fidelity=EPOCHS).spec.stopping[0]["rule"] == "asha"
    assert tt.Study("s", X, minimize="loss", fidelity=EPOCHS, stopping=None).spec.stopping == ()
    assert not {"fidelity", "stopping"} & tt.Study("s", X, minimize="loss").spec.to_json().keys()


# ------------------------------------------------------------------------------------------------------------- studies


def train(trial):
    """A curve that falls to x^2 + 0.1 / epochs; it heeds its rule."""
    for epoch in range(1, int(trial.fidelity) + 1):
        loss = trial.params["x"] ** 2 + 0.1 / epoch
        trial.report(epoch, loss=loss)
        if trial.should_stop():
            return None
    return loss


@pytest.fixture(params=["memory://", "sqlite"])
def url(request, tmp_path):
    return request.param if request.param != "sqlite" else f"sqlite:///{tmp_path}/s.db"


def test_a_study_stops_early_and_its_record_says_why(url):
    space = tt.Space(x=tt.Float(0, 1, default=0.9))
    study = tt.Study("s", space, minimize="loss", fidelity=EPOCHS, strategy="random", storage=url, seed=1)
    study.run(train, trials=20, quiet=True)
    stopped = [t for t in study.trials if t.state == tt.State.STOPPED]
    assert len(stopped) >= 8
    assert study.trials[0].state == tt.State.DONE  # the baseline is judged at the top
    assert study.best.reached == 27
    for t in study.trials:
        assert t.fidelity == 27
        assert sorted(t.curve) == [s for s in (1, 3, 9, 27) if s <= t.reached]
        assert dict(t.curve[t.reached]) == dict(t.metrics)
        assert t.metrics["loss"] == pytest.approx(t.params["x"] ** 2 + 0.1 / t.reached)
    for t in stopped:
        assert t.verdict["rule"] == "asha"
        assert t.verdict["step"] == t.reached < 27
    assert study.verify() == []
    replayed = study.replay()
    assert replayed.holds
    assert replayed.verdicts == len(stopped)
    assert f"{len(stopped)} of {len(stopped)} stops" in replayed.text()


def test_a_trial_that_returns_by_itself_counts_as_trained_to_the_end():
    """As when a library stops a training that no longer improves."""
    study = tt.Study("s", X, minimize="loss", fidelity=EPOCHS, strategy="random", seed=1)

    def objective(trial):
        for epoch in range(1, 11):
            trial.report(epoch, loss=trial.params["x"] + 1 / epoch)
            if trial.should_stop():
                return None
        return trial.params["x"]

    study.run(objective, trials=12, quiet=True)
    ends = {t.reached for t in study.trials if t.state == tt.State.DONE}
    assert ends == {27}
    assert study.counts["stopped"] >= 3
    assert study.best.params["x"] == min(t.params["x"] for t in study.trials if t.state == tt.State.DONE)


def test_an_asked_trial_is_judged_and_told_as_stopped(url):
    study = tt.Study("s", X, minimize="loss", fidelity=EPOCHS, strategy="random", storage=url, seed=1)
    states = []
    for _ in range(12):
        trial = study.ask()
        result = train(trial)
        states.append(study.tell(trial, result).state)
    assert tt.State.STOPPED in states
    assert tt.State.DONE in states
    assert study.replay().holds
    with pytest.raises(SpecError, match="one of the two"):
        study.tell(study.ask())


def test_evidence_and_trials_that_do_not_heed_are_left_alone():
    study = tt.Study("s", tt.Space(x=tt.Float(0, 1, default=0.9)), minimize="loss", fidelity=EPOCHS, seed=1)

    def deaf(trial):
        trial.report(1, loss=trial.params["x"])
        if trial.purpose == "certify":
            assert not trial.should_stop()
        return trial.params["x"]

    study.run(deaf, trials=8, quiet=True)
    assert study.counts["done"] == 8
    assert study.evidence(deaf, replicates=3, quiet=True).decision
    assert study.replay().verdicts == 0


def test_a_model_learns_from_stopped_trials_and_its_proposals_are_derived_again():
    space = tt.Space(x=tt.Float(0, 1, default=0.9), y=tt.Float(0, 1, default=0.9))

    def objective(trial):
        for epoch in range(1, 28):
            loss = (trial.params["x"] - 0.2) ** 2 + (trial.params["y"] - 0.6) ** 2 + 0.5 / epoch
            trial.report(epoch, loss=loss)
            if trial.should_stop():
                return None
        return loss

    study = tt.Study("s", space, minimize="loss", fidelity=EPOCHS, strategy="gp", seed=3)
    study.run(objective, trials=25, quiet=True)
    assert study.best.metrics["loss"] < 0.5 / 27 + 0.01
    assert study.counts["stopped"] >= 5
    replayed = study.replay()
    assert replayed.holds
    assert replayed.exact == 25


def test_two_goals_with_a_constraint_stop_early_in_one_study():
    space = tt.Space(x=tt.Float(0, 1), y=tt.Float(0, 1))

    def objective(trial):
        x, y = trial.params["x"], trial.params["y"]
        for epoch in range(1, 28):
            made = {"loss": (x - 0.3) ** 2 + y + 1 / epoch, "latency": 1 - 0.5 * y + x, "size": 10 * x}
            trial.report(epoch, **made)
            if trial.should_stop():
                break
        return made

    study = tt.Study(
        "s", space, minimize=["loss", "latency"], subject_to="size <= 5", fidelity=EPOCHS, strategy="random", seed=2
    )
    study.run(objective, trials=40, quiet=True)
    stopped = [t for t in study.trials if t.state == tt.State.STOPPED]
    assert len(stopped) >= 10
    assert sum(t.metrics["size"] > 5 for t in stopped) >= 8
    assert study.pareto
    assert all(t.reached == 27 and t.metrics["size"] <= 5 for t in study.pareto)
    assert study.replay().holds


def test_a_revised_rule_holds_for_what_is_reported_from_then_on():
    study = tt.Study("s", X, minimize="loss", fidelity=EPOCHS, stopping=None, strategy="random", seed=1)
    study.run(train, trials=6, quiet=True)
    assert study.counts["done"] == 6
    study.revise(stopping=Median(least=2))
    study.run(train, trials=14, quiet=True)
    assert study.counts["stopped"] >= 2
    assert study.replay().holds


@pytest.mark.parametrize("baseline", [None, {"x": 0.5}])
def test_trial_zero_is_stopped_like_any_other_unless_it_runs_the_baseline(url, baseline):
    """The study may have got its baseline later, by a revision."""
    study = tt.Study("s", X, minimize="loss", fidelity=EPOCHS, stopping="asha", strategy="random", storage=url, seed=1)
    study.enqueue({"x": 1.0})
    first = study.ask()
    for _ in range(9):
        trial = study.ask()
        study.tell(trial, train(trial))
    if baseline is not None:
        study.revise(baseline=baseline)
    assert study.baseline is None
    assert study.tell(first, train(first)).state == tt.State.STOPPED
    replayed = study.replay()
    assert replayed.verdicts == study.counts["stopped"]
    assert replayed.holds


@pytest.mark.parametrize("rule", ["asha", "hyperband", "median"])
def test_reports_between_rungs_are_written_together_and_judged_alike(rule, url, monkeypatch):
    def train(trial):
        for epoch in range(1, 28):
            trial.report(epoch, loss=(trial.params["x"] - 0.3) ** 2 + 1 / epoch)
            if trial.should_stop():
                break
        return trial.reported

    def ran(name):
        space, epochs = tt.Space(x=tt.Float(0, 1, default=0.9)), tt.Fidelity("epochs", 1, 27)
        study = tt.Study(
            name, space, minimize="loss", fidelity=epochs, stopping=rule, strategy="random", storage=url, seed=1
        )
        written, write = [], study.storage.report
        monkeypatch.setattr(study.storage, "report", lambda *a, **k: written.append(1) or write(*a, **k))
        study.run(train, trials=20, quiet=True)
        monkeypatch.undo()
        assert study.replay().holds
        reports = [(r.number, r.step, r.metrics["loss"]) for r in study.storage.reports(study.record.id)]
        ends = [(t.state, t.reached, t.curve, t.verdict and t.verdict["why"]) for t in study.trials]
        return len(written), reports, ends

    together, *found = ran("together")
    with monkeypatch.context() as each:
        each.setattr("trimtab.running.crew.QUICK", 0.0)
        alone, *expected = ran("alone")
    assert found == expected
    assert alone == len(found[0])
    assert together == alone if rule == "median" else together < alone / 2
