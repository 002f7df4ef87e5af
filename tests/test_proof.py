"""The certificate of a study, end to end: two stages, what is fixed beforehand, looking again, asking more than once."""

import math
import random
import threading
import time
from collections import Counter
from functools import partial

import numpy as np
import pytest
from threads import at_once

import trimtab as tt
from trimtab.errors import SpecError, StudyMismatch
from trimtab.proof import worth

SPACE = tt.Space(x=tt.Float(0, 1, default=0.9), y=tt.Float(0, 1, default=0.1))


def truth(p):
    return (p["x"] - 0.3) ** 2 + (p["y"] - 0.6) ** 2


def noisy(trial, sd=0.1):
    return truth(trial.params) + random.Random(f"{trial.seed}/{trial.number}").gauss(0, sd)


@pytest.fixture(scope="module")
def made():
    study = tt.Study("proof", SPACE, minimize="loss", seed=4, strategy="random")
    study.run(noisy, trials=50, quiet=True)
    return study, study.evidence(noisy, replicates=6, quiet=True)


def of(study, purpose):
    return [t for t in study.trials if t.purpose == purpose]


def recorded(study):
    """How many answers are on record."""
    return len(list(study.storage.events(study.record.id, kinds={"evidence"})))


def test_finalists_run_on_the_same_fresh_seeds_and_one_of_them_is_certified(made):
    study, found = made
    select, certified = of(study, "select"), of(study, "certify")
    assert sorted({t.parent for t in select}) == sorted(f.trial for f in found.finalists)
    assert {f.trial: f.runs for f in found.finalists} == Counter(t.parent for t in select)
    assert 2 * len(found.finalists) <= len(select) <= 20
    assert len(found.finalists) > 1
    seeds = {t.replicate: t.seed for t in select}
    assert all(t.seed == seeds[t.replicate] for t in select)
    assert not set(seeds.values()) & ({t.seed for t in certified} | {t.seed for t in of(study, "search")})
    assert found.tuned_trial == found.finalists[0].trial
    assert len(certified) == 12
    assert [study.explain().why(runs[0]).split(", ")[0].split(": ")[1] for runs in (select, certified)] == [
        "a select run of the evidence",
        "a certify run of the evidence",
    ]


def test_nothing_runs_twice_and_the_answer_is_the_same(made):
    study, found = made
    count, answers = len(study.trials), recorded(study)
    again = study.evidence(noisy, replicates=6, quiet=True)
    assert (len(study.trials), again.pairs, recorded(study)) == (count, found.pairs, answers)
    assert study.verify() == []


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_means_of_the_finalists_are_those_of_their_runs(direction):
    study = tt.Study("means", SPACE, **{direction: "value"}, seed=4, strategy="random")
    study.run(lambda t: 5 + noisy(t, 0.3), trials=20, quiet=True)
    found = study.evidence(lambda t: 5 + noisy(t, 0.3), replicates=2, quiet=True)
    for f in found.finalists:
        assert f.mean == pytest.approx(
            np.mean([t.metrics["value"] for t in of(study, "select") if t.parent == f.trial])
        )


@pytest.mark.parametrize("limits", [{}, {"subject_to": ["size <= 1"], "deterministic": True}])
def test_where_no_noise_shows_nothing_is_measured_again(limits):
    study = tt.Study("exact", SPACE, minimize="loss", seed=4, strategy="random", **limits)

    def exact(trial):
        return {"loss": truth(trial.params), "size": trial.params["x"]}

    study.run(exact, trials=30, quiet=True)
    assert study.evidence(exact, replicates=2, quiet=True).finalists == ()


@pytest.mark.parametrize("how", [{"finalists": 1}, {"tuned": 3}])
def test_who_is_named_or_alone_is_not_measured_again_whatever_its_limits(how):
    study = tt.Study("one", SPACE, minimize="loss", subject_to=["size <= 1"], seed=4, strategy="random")
    study.run(larger, trials=8, quiet=True)
    found = study.evidence(larger, replicates=2, quiet=True, **how)
    assert (found.tuned_trial, found.finalists) == (how.get("tuned", study.best.number), ())
    assert of(study, "select") == []


@pytest.mark.parametrize("goals", [["loss"], ["loss", "size"]])
def test_random_search_is_bound_by_the_limits_and_no_comparison_for_one_of_several_goals(goals):
    """The best that keeps the limit lies at 0.5: without it random search would find twice as good a loss."""
    study = tt.Study("s", {"x": tt.Float(0, 1, default=0.9)}, minimize=goals, subject_to="size >= 0.5", seed=1)

    def objective(trial):
        return {"loss": trial.params["x"], "size": trial.params["x"] + 0.0001 * (trial.seed % 3)}

    study.run(objective, trials=20, quiet=True)
    found = study.evidence(objective, replicates=2, quiet=True)
    assert (found.worth.over_random > -0.02) if goals == ["loss"] else math.isnan(found.worth.over_random)
    assert ("random search" in found.text()) == (goals == ["loss"])


@pytest.fixture
def asked(monkeypatch):
    """How many settings random search would have had, each time that this is asked."""
    found, known = [], worth.equal_trials
    monkeypatch.setattr(worth, "equal_trials", lambda *given: found.append(known(*given)) or found[-1])
    return found


@pytest.mark.parametrize("rule", ["asha", "promotion", None])
def test_no_comparison_with_random_search_by_a_model_of_those_that_went_on(asked, rule):
    """They are the better ones, so that it would expect too much of random settings."""
    fidelity = None if rule is None else tt.Fidelity("epochs", 1, 9)
    study = tt.Study("f", {"x": tt.Float(0, 1, default=0.9)}, minimize="loss", seed=1, stopping=rule, fidelity=fidelity)

    def objective(trial):
        for epoch in range(1, int(trial.fidelity or 9) + 1):
            trial.report(epoch, loss=trial.params["x"])
            if trial.should_stop():
                break
        return trial.params["x"]

    study.run(objective, trials=24, quiet=True)
    found = study.evidence(objective, replicates=2, quiet=True)
    assert math.isnan(found.worth.over_random) == (rule is not None)
    assert asked == ([] if rule else [24])


def test_what_a_failed_trial_cost_is_not_taken_for_the_price_of_a_result(asked):
    """Half of these trials fail at once: for the same cost, random search has hardly more results than there are."""
    study = tt.Study("f", {"x": tt.Float(0, 1, default=0.9)}, minimize="loss", strategy="random", seed=1)

    def objective(trial):
        if trial.purpose == "search" and trial.number % 2:
            raise ValueError("no result")
        time.sleep(0.02)
        return trial.params["x"]

    study.run(objective, trials=24, quiet=True)
    study.evidence(objective, replicates=2, quiet=True)
    costs = [(t.cost.wall, t.state) for t in study.trials if t.purpose == "search"]
    price = np.mean([c for c, state in costs[1:] if state == "done"])  # of random settings, which the baseline is not
    assert asked == [round(sum(c for c, _ in costs) / price)]
    assert asked[0] < 24


def test_the_answer_says_what_the_search_was_worth(made):
    study, found = made
    assert found.optimism == pytest.approx(found.means[1] - found.worth.searched)
    assert found.worth.hours == pytest.approx(sum(t.cost.wall for t in of(study, "search")) / 3600)
    assert abs(found.worth.over_random) < 0.05  # it was a random search itself
    for word in ("finalists", "optimism", "random"):
        assert word in found.text()
    assert tt.Evidence.from_json(found.to_json()).text() == found.text()


def test_looking_again_with_more_pairs_widens_the_interval():
    study = tt.Study("again", SPACE, minimize="loss", seed=5)
    study.run(noisy, trials=5, quiet=True)
    first = study.evidence(noisy, replicates=5, tuned=3, quiet=True)
    second = study.evidence(noisy, replicates=10, tuned=3, quiet=True)
    assert (first.sequential, second.sequential) == (False, True)
    assert second.pairs[:5] == first.pairs
    assert any("however often one looks" in n for n in second.notices)


def test_more_pairs_are_as_many_as_were_asked_for():
    """Also if the answer was clear before: more pairs were asked for to know the gain better."""
    study = tt.Study("clear", SPACE, minimize="loss", seed=7)
    study.run(lambda t: noisy(t, 0.02), trials=12, quiet=True)
    first = study.evidence(lambda t: noisy(t, 0.02), replicates=12, quiet=True)
    second = study.evidence(lambda t: noisy(t, 0.02), replicates=14, quiet=True)
    assert (first.decision, second.decision) == ("proven", "proven")
    assert second.pairs[:12] == first.pairs
    assert len(second.pairs) == 14
    until = study.evidence(lambda t: noisy(t, 0.02), replicates=60, sequential=True, quiet=True)
    assert until.pairs[:14] == second.pairs
    assert len(until.pairs) == 15


def test_later_settings_share_the_error_of_the_first_one_whose_answer_stays():
    study = tt.Study("more", SPACE, minimize="loss", seed=5)
    study.run(noisy, trials=5, quiet=True)
    first, second, third = (study.evidence(noisy, replicates=5, tuned=n, quiet=True) for n in (3, 4, 2))
    assert (first.compared, second.compared, third.compared) == (1, 3, 6)
    again = study.evidence(noisy, replicates=5, tuned=3, quiet=True)
    assert (again.interval, again.decision) == (first.interval, first.decision)
    assert study.evidence(noisy, replicates=5, tuned=3, quiet=True) == again
    assert recorded(study) == 4
    assert len(of(study, "certify")) == 20  # the baseline's runs serve all


def test_runs_of_different_code_are_no_pair():
    """The baseline's runs serve all settings, but not after the objective was changed."""
    study = tt.Study("changed", SPACE, minimize="loss", seed=5)
    study.run(noisy, trials=5, quiet=True)
    study.evidence(noisy, replicates=5, tuned=3, quiet=True)

    def better(trial):
        return noisy(trial) - 10.0

    none = study.evidence(better, replicates=5, tuned=4, quiet=True)
    assert (none.decision, none.pairs, none.failed_pairs) == ("not shown", (), 5)
    assert any("5 pairs left out: the objective or its data changed" in n for n in none.notices)
    assert not {"difference", "probability", "test"} & {line.split()[0] for line in none.text().splitlines()}
    more = study.evidence(better, replicates=12, tuned=4, quiet=True)
    assert (len(more.pairs), more.failed_pairs) == (7, 5)
    assert all(b < -5 and t < -5 for b, t in more.pairs)


def test_a_choice_among_finalists_that_ran_different_code_is_told():
    study = tt.Study("raced", SPACE, minimize="loss", seed=5)
    study.run(lambda t: noisy(t, 0.3), trials=20, quiet=True)
    first = study.evidence(lambda t: noisy(t, 0.3), replicates=5, finalists=2, quiet=True)
    study.evidence(lambda t: noisy(t, 0.3) + 1.0, replicates=5, finalists=2, quiet=True)  # nothing runs
    wider = study.evidence(lambda t: noisy(t, 0.3) + 1.0, replicates=5, finalists=4, quiet=True)
    told = "changed among the runs by which the finalists were compared"
    assert [any(told in n for n in e.notices) for e in (first, wider)] == [False, True]
    assert max(f.mean for f in wider.finalists[2:]) > 0.5 + max(f.mean for f in wider.finalists[:2])


def test_runs_on_different_data_are_no_pair():
    table = np.zeros(3)
    study = tt.Study("data", SPACE, minimize="loss", seed=5, data={"table": table})

    def objective(trial):
        return noisy(trial) + table.sum()

    study.run(objective, trials=5, quiet=True)
    first = study.evidence(objective, replicates=5, tuned=3, quiet=True)
    table += 1.0
    assert study.evidence(objective, replicates=5, tuned=4, quiet=True).pairs == ()
    assert study.evidence(objective, replicates=5, tuned=3, quiet=True).pairs == first.pairs


def test_data_that_is_named_later_is_not_known_to_have_changed():
    study = tt.Study("data", SPACE, minimize="loss", seed=5)
    study.run(noisy, trials=5, quiet=True)
    study.evidence(noisy, replicates=5, tuned=3, quiet=True)
    watched = tt.Study("data", storage=study.storage, data={"table": np.zeros(3)})
    assert len(watched.evidence(noisy, replicates=5, tuned=4, quiet=True).pairs) == 5


def test_what_was_fixed_beforehand_stays_on_record():
    study = tt.Study("fixed", SPACE, minimize="loss", seed=6)
    study.run(noisy, trials=4, quiet=True)
    found = study.evidence(noisy, replicates=5, tuned=2, minimum_effect=9.0, quiet=True)
    assert found.decision != "proven"
    assert all(t.why["minimum_effect"] == 9.0 for t in of(study, "certify"))
    loosened = study.evidence(noisy, replicates=5, tuned=2, quiet=True)
    assert any("was fixed as 9 before the runs and is 0 now" in n for n in loosened.notices)


def test_a_sequential_certificate_stops_when_it_is_clear():
    study = tt.Study("until", SPACE, minimize="loss", seed=7)
    study.run(lambda t: noisy(t, 0.02), trials=12, quiet=True)
    found = study.evidence(lambda t: noisy(t, 0.02), replicates=60, sequential=True, quiet=True)
    assert found.decision == "proven"
    assert len(found.pairs) < 60
    assert "always-valid" in found.text()


def test_every_goal_is_judged_and_corrected_for():
    study = tt.Study("goals", SPACE, minimize=["loss", "size"], seed=8, strategy="random")

    def both(trial):
        return {
            "loss": noisy(trial),
            "size": trial.params["x"] + random.Random(trial.seed + trial.number).random() / 10,
        }

    study.run(both, trials=8, quiet=True)
    alone = study.evidence(both, replicates=6, tuned=5, metric="loss", quiet=True)
    found = study.evidence(both, replicates=6, tuned=5, quiet=True)
    assert (alone.compared, found.compared) == (1, 3)
    size = study.evidence(both, replicates=6, tuned=5, metric="size", quiet=True)
    assert size.compared == 3  # it was looked at
    assert [g.metric for g in found.goals] == [size.metric] == ["size"]
    assert (alone.difference, size.difference) == (found.difference, found.goals[0].difference)
    assert found.interval[1] - found.interval[0] > alone.interval[1] - alone.interval[0]


@pytest.mark.parametrize(("name", "bad"), [("finalists", 0), ("replicates", 1), ("minimum_effect", -1.0)])
def test_a_wrong_question_is_refused_before_anything_runs(made, name, bad):
    study, _ = made
    count = len(study.trials)
    with pytest.raises(SpecError, match=name):
        study.evidence(noisy, quiet=True, **{name: bad})
    assert len(study.trials) == count


def larger(trial):
    """What is good is large, and outside the search it is larger: the best of the search breaks a limit that it kept."""
    size = 1 - abs(trial.params["x"] - 0.3) + (0.05 if trial.purpose == "search" else 0.1)
    return {"loss": noisy(trial, 0.02), "size": size + random.Random(trial.seed * 7 + trial.number).gauss(0, 0.01)}


@pytest.mark.parametrize("trials", [12, 40])  # without and with a model of the results
def test_a_setting_that_breaks_its_limit_afterwards_is_not_chosen(trials):
    study = tt.Study("limit", SPACE, minimize="loss", subject_to=["size <= 0.83"], seed=9, strategy="random")
    study.run(larger, trials=trials, quiet=True)
    found = study.evidence(larger, replicates=10, quiet=True)
    assert found.finalists[1].trial == study.best.number
    assert found.finalists[1].broke == found.finalists[1].runs
    assert found.constraints[0].held == 1
    assert found.decision == "proven"
    count = len(study.trials)
    assert study.evidence(larger, replicates=10, quiet=True) == found
    assert len(study.trials) == count
    assert study.verify() == []


def test_a_gain_beyond_the_limit_is_infeasible_where_no_other_setting_was_tried():
    study = tt.Study("none", SPACE, minimize="loss", subject_to=["size <= 0.95"], seed=9)
    for x in (0.2, 0.25):
        study.add({"x": x, "y": 0.6}, {"loss": 0.0, "size": 0.9})
    study.enqueue({"x": 0.22, "y": 0.6})
    study.run(lambda t: {"loss": noisy(t, 0.02), "size": 0.9 if t.purpose == "search" else 1.0}, trials=4, quiet=True)
    found = study.evidence(lambda t: {"loss": noisy(t, 0.02), "size": 1.0}, replicates=6, quiet=True)
    assert found.decision == "infeasible"
    assert found.finalists[0].broke == found.finalists[0].runs > 0
    assert "broke a limit" in found.text() or len(found.finalists) == 1


def test_a_limit_relative_to_the_baseline_is_measured_beside_it():
    """Outside the search, what is good is larger, and the baseline is not."""
    study = tt.Study("beside", SPACE, minimize="loss", subject_to=["size <= 1.3 * baseline"], seed=9, strategy="random")

    def growing(trial):
        more = max(0.0, 1 - 2 * abs(trial.params["x"] - 0.3)) * (0.2 if trial.purpose == "search" else 0.4)
        return {"loss": noisy(trial, 0.02), "size": 1 + more + random.Random(trial.seed).gauss(0, 0.001)}

    study.run(growing, trials=20, quiet=True)
    found = study.evidence(growing, replicates=6, quiet=True)
    runs = {t.parent for t in of(study, "select")}
    assert 0 in runs
    assert len(runs) > 1
    assert any(f.broke == f.runs > 0 for f in found.finalists[1:])
    assert found.constraints[0].held == 1


def test_a_limit_is_not_broken_where_the_baseline_beside_it_failed():
    study = tt.Study("beside", SPACE, minimize="loss", subject_to=["size <= 2.2 * baseline"], seed=9, strategy="random")

    def fails(trial):
        if (trial.purpose, trial.parent) == ("select", 0):
            raise ValueError("no baseline")
        return larger(trial)

    study.run(fails, trials=8, quiet=True)
    found = study.evidence(fails, replicates=2, quiet=True)
    assert {f.broke for f in found.finalists if f.runs} == {0}


def test_options_that_python_takes_for_equal_are_told_apart():
    space = tt.Space(leaf=tt.Choice(1, 1.0, default=1))  # scikit-learn: one of something, or all of it
    study = tt.Study("types", space, maximize="acc", seed=9)

    def accuracy(trial):
        return (0.9 if isinstance(trial.params["leaf"], float) else 0.5) + random.Random(trial.seed).random() / 100

    study.run(accuracy, trials=2, quiet=True)
    found = study.evidence(accuracy, replicates=6, quiet=True)
    assert (repr(found.baseline["leaf"]), repr(found.tuned["leaf"])) == ("1", "1.0")
    assert (found.decision, len(found.pairs)) == ("proven", 6)
    assert study.evidence(accuracy, replicates=6, quiet=True) == found


def test_what_the_search_said_is_found_across_a_revision():
    study = tt.Study("revised", tt.Space(x=tt.Float(0, 1, default=0.9)), minimize="loss", seed=2)
    study.add({"x": 0.3}, 0.5)
    study.revise(space=tt.Space(x=tt.Float(0, 1, default=0.9), k=tt.Int(1, 3, default=2)), assume={"k": 2})
    study.add({"x": 0.3, "k": 2}, 0.7)
    (again,) = [t.number for t in study.trials if t.params.get("k")]
    found = study.evidence(lambda trial: trial.params["x"], tuned=again, replicates=2, quiet=True)
    assert found.worth.searched == 0.6  # the mean of the two results of one setting


@pytest.fixture
def seen():
    """A study of which 20 pairs have been looked at."""
    study = tt.Study("seen", SPACE, minimize="loss", seed=5)
    study.run(noisy, trials=5, quiet=True)
    return study, study.evidence(noisy, tuned=3, quiet=True)


def test_pairs_that_ran_cannot_be_left_out(seen):
    study, found = seen
    fewer = study.evidence(noisy, replicates=7, tuned=3, quiet=True)
    assert (fewer.pairs, fewer.interval) == (found.pairs, found.interval)
    assert any("20 pairs had run already" in n for n in fewer.notices)


def test_a_look_at_the_pairs_of_another_setting_is_no_look_at_these(seen):
    study, _ = seen
    other = study.evidence(noisy, replicates=22, tuned=4, quiet=True)
    assert (other.sequential, other.compared, other.notices) == (False, 3, ())


def test_what_stopped_when_it_was_clear_is_no_single_look():
    study = tt.Study("stopped", SPACE, minimize="loss", seed=5)
    study.run(noisy, trials=5, quiet=True)
    first = study.evidence(noisy, replicates=60, tuned=3, sequential=True, quiet=True)
    plain = study.evidence(noisy, replicates=len(first.pairs), tuned=3, quiet=True)
    assert plain.sequential
    assert plain.interval == first.interval


def test_pairs_that_were_planned_and_given_up_are_no_single_look():
    study = tt.Study("given up", SPACE, minimize="loss", seed=5)
    study.run(noisy, trials=5, quiet=True)

    def interrupted(trial):
        if trial.purpose == "certify" and trial.replicate == 8:
            raise KeyboardInterrupt
        return noisy(trial)

    with pytest.raises(KeyboardInterrupt):
        study.evidence(interrupted, replicates=9, tuned=3, quiet=True)
    found = study.evidence(noisy, replicates=8, tuned=3, quiet=True)
    assert found.sequential
    assert any("more were planned" in n for n in found.notices)


def test_the_same_setting_from_another_trial_is_another_comparison(seen):
    study, _ = seen
    again = study.enqueue(study.trials[3].params)
    study.run(noisy, trials=6, quiet=True)
    found = study.evidence(noisy, replicates=7, tuned=again.number, quiet=True)
    assert (found.compared, len(found.pairs), found.sequential) == (3, 7, False)
    assert Counter(t.parent for t in of(study, "certify")) == {0: 20, 3: 20, again.number: 7}


def test_who_asks_about_the_baseline_itself_has_fixed_nothing_and_seen_nothing():
    study = tt.Study("itself", SPACE, minimize="loss", seed=5)
    study.run(noisy, trials=5, quiet=True)
    asked = [study.evidence(noisy, tuned=0, minimum_effect=effect, quiet=True) for effect in (0.0, 0.1)]
    assert [(len(e.notices), e.sequential) for e in asked] == [(2, False)] * 2
    assert study.evidence(noisy, replicates=5, tuned=3, quiet=True).compared == 1


def test_a_smaller_ratio_than_before_is_told(seen):
    study, _ = seen
    study.evidence(noisy, tuned=3, test_train_ratio=0.25, quiet=True)
    found = study.evidence(noisy, tuned=3, quiet=True)
    assert "test_train_ratio was said to be 0.25, and is 0 here" in found.notices


def test_a_smaller_ratio_than_the_objectives_own_is_told():
    def folded(trial):
        return noisy(trial)

    folded.test_train_ratio = 0.25
    study = tt.Study("own", SPACE, minimize="loss", seed=5)
    study.run(folded, trials=4, quiet=True)
    found = study.evidence(folded, replicates=5, test_train_ratio=0, quiet=True)
    assert "test_train_ratio was said to be 0.25, and is 0 here" in found.notices
    assert study.evidence(folded, replicates=5, quiet=True).notices == ()


def test_another_baseline_than_the_searchs_is_told_and_counts(seen):
    study, _ = seen
    study.revise(baseline={"x": 1.0, "y": 0.0})
    found = study.evidence(noisy, tuned=3, quiet=True)
    assert found.compared == 3
    assert any("the baseline was changed" in n for n in found.notices)
    ran = [t.metrics["loss"] for t in of(study, "certify") if dict(t.params) == {"x": 1.0, "y": 0.0}]
    assert [baseline for baseline, _ in found.pairs] == ran


def test_a_baseline_that_is_named_after_a_search_without_one_was_not_changed():
    study = tt.Study("none", tt.Space(x=tt.Float(0, 1), y=tt.Float(0, 1)), minimize="loss", seed=5)
    study.run(noisy, trials=4, quiet=True)
    study.revise(baseline={"x": 1.0, "y": 0.0})
    assert not any("baseline was changed" in n for n in study.evidence(noisy, quiet=True).notices)


def test_other_code_than_the_searchs_is_told(seen):
    study, found = seen
    assert not any("other code" in n for n in found.notices)
    flattering = study.evidence(lambda t: truth(t.params) - (t.parent == 4), tuned=4, quiet=True)
    assert any("other code" in n for n in flattering.notices)


def test_results_that_were_added_ran_no_other_code():
    study = tt.Study("added", SPACE, minimize="loss", seed=5)
    study.add({"x": 0.3, "y": 0.6}, 0.0)
    assert not any("other code" in n for n in study.evidence(noisy, replicates=5, quiet=True).notices)


def test_a_setting_whose_runs_fail_is_not_proven():
    def fragile(trial):
        if trial.purpose == "certify" and trial.parent == 3 and trial.replicate % 2:
            raise ValueError("it diverged")
        return truth(trial.params) + random.Random(trial.seed).gauss(0, 0.001) * trial.params["x"]

    study = tt.Study("fragile", SPACE, minimize="loss", seed=5)
    study.run(fragile, trials=5, quiet=True)
    study.revise(baseline=study.trials[max(range(5), key=lambda n: study.trials[n].metrics["loss"])].params)
    found = study.evidence(fragile, tuned=3, quiet=True)
    assert found.interval[0] > 0
    assert (found.decision, found.failed_pairs) == ("not shown", 10)
    assert any("fails more often than the baseline" in n for n in found.notices)
    assert study.evidence(fragile, tuned=3, quiet=True) == found


@pytest.mark.parametrize(
    ("first", "second", "compared", "sequential"),
    [((1, 6), (2, 6), (1, 3), (False, False)), ((1, 4), (1, 8), (1, 1), (True, True))],
)
def test_who_asks_while_another_is_answered_is_corrected_as_if_asked_after(first, second, compared, sequential):
    began, answered = threading.Barrier(2), threading.Event()
    study = tt.Study("s", SPACE, minimize="loss", seed=4, strategy="random")
    study.run(noisy, trials=6, quiet=True)
    found, theirs = {}, [study.spec.baseline, study.trials[first[0]].params]

    def ask(name, tuned, replicates):
        once = []

        def objective(trial):
            if not once:
                once.append(began.wait(60))
            if trial.params not in theirs or trial.replicate >= first[1]:  # what only the second one runs
                assert answered.wait(60)
            return noisy(trial)

        own = tt.Study("s", storage=study.storage)
        found[name] = own.evidence(objective, tuned=tuned, replicates=replicates, quiet=True)
        if name == "first":
            answered.set()

    assert at_once(partial(ask, "first", *first), partial(ask, "second", *second)) == []
    assert (found["first"].compared, found["second"].compared) == compared
    assert (found["first"].sequential, found["second"].sequential) == sequential
    assert study.verify() == []


@pytest.mark.parametrize("how", ["cancel", "archive"])
def test_a_study_that_is_ended_while_it_is_certified_has_no_certificate(how):
    study = tt.Study("s", SPACE, minimize="loss", seed=4, strategy="random")
    study.run(noisy, trials=6, quiet=True)

    def objective(trial):
        if trial.replicate == 3:
            getattr(tt.Study("s", storage=study.storage), how)()
        return noisy(trial)

    with pytest.raises(StudyMismatch, match="it takes no more trials; begin anew: fresh=True"):
        study.evidence(objective, tuned=1, replicates=8, quiet=True)
    assert study.result() is None
    assert study.verify() == []


def test_a_run_that_was_cancelled_is_run_again_and_no_pair_is_left_out():
    study = tt.Study("s", SPACE, minimize="loss", seed=4, strategy="random")
    study.run(noisy, trials=6, quiet=True)
    cancelled = []

    def objective(trial):
        if trial.replicate == 3 and not cancelled:
            waiting = [t.number for t in study.trials if t.state == "queued"]
            cancelled.extend([waiting[0], waiting[-1], trial.number])
            for number in cancelled:
                study.cancel(number)
        return noisy(trial)

    found = study.evidence(objective, tuned=1, replicates=8, quiet=True)
    assert (len(found.pairs), found.failed_pairs) == (8, 0)
    certified = of(study, "certify")
    assert [t.number for t in certified if t.state == "cancelled"] == sorted(cancelled)
    assert len(certified) == 16 + len(cancelled)
    assert study.verify() == []


def test_a_machine_that_grows_slower_from_run_to_run_favours_neither_setting():
    runs = []

    def drifting(trial):
        runs.append(trial.number)
        return float(len(runs))

    study = tt.Study("drift", SPACE, minimize="loss", seed=1)
    study.run(drifting, trials=2, quiet=True)
    found = study.evidence(drifting, tuned=1, replicates=10, quiet=True)
    assert [b - t for b, t in found.pairs] == [-1.0, 1.0] * 5
    assert (found.decision, found.difference) == ("not shown", 0.0)
