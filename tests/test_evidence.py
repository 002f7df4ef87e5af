"""The certificate: golden numbers against scipy, coverage by simulation, signs, and what it says of poor data."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from trimtab.errors import SpecError
from trimtab.evidence import Contest, Design, Evidence, Finalist, Worth, certify
from trimtab.formatting import percent
from trimtab.goals import Goal, constraint
from trimtab.proof.looks import counted
from trimtab.reports.sections.certificates import evidence_pairs

BASE, TUNED = {"rate": 0.1}, {"rate": 0.02}
AUC, CONTEST = Goal("auc", True), Contest(BASE, TUNED, 7)


def evidence(baseline, tuned, maximize=True, compared=1, constraints=(), deterministic=False, **design):
    """Evidence on the metric `auc` from two sequences of values; None for a run that failed."""
    pairs = [tuple(None if v is None else {"auc": v} for v in pair) for pair in zip(baseline, tuned, strict=True)]
    return certify(
        Goal("auc", maximize),
        CONTEST,
        pairs,
        Design(**design),
        compared=compared,
        constraints=constraints,
        deterministic=deterministic,
    )


values = st.floats(-1e6, 1e6).map(lambda v: round(v, 6))
several = st.lists(st.tuples(values, values), min_size=2, max_size=30)


@pytest.mark.parametrize("ratio", [0.0, 0.25])
@pytest.mark.parametrize("zone", [0.0, 0.01])
def test_numbers_agree_with_an_independent_computation(ratio, zone):
    rng = np.random.default_rng(5)
    baseline = rng.normal(0.7, 0.02, 12)
    tuned = baseline + rng.normal(0.01, 0.015, 12)
    found = evidence(baseline, tuned, test_train_ratio=ratio, equivalence=zone)
    d = tuned - baseline
    posterior = stats.t(11, loc=d.mean(), scale=d.std(ddof=1) * math.sqrt(1 / 12 + ratio))
    assert found.difference == pytest.approx(d.mean(), rel=1e-12)
    level = 0.95 if ratio else 0.975  # independent pairs keep half of the error in reserve
    assert found.interval == pytest.approx(posterior.interval(level), rel=1e-9)
    assert found.p_better == pytest.approx(posterior.sf(zone), rel=1e-9)
    assert found.p_worse == pytest.approx(posterior.cdf(-zone), rel=1e-9)
    assert found.p_equivalent == pytest.approx(posterior.cdf(zone) - posterior.cdf(-zone), abs=1e-12)


@pytest.mark.parametrize(("compared", "level"), [(1, 0.975), (2, 0.9875)])
def test_an_interval_of_independent_pairs_is_a_paired_t_test_with_half_of_the_error_in_reserve(compared, level):
    baseline, tuned = [0.71, 0.69, 0.74, 0.70, 0.72], [0.73, 0.72, 0.74, 0.73, 0.74]
    theirs = stats.ttest_rel(tuned, baseline).confidence_interval(level)
    found = evidence(baseline, tuned, compared=compared)
    assert found.interval == pytest.approx((theirs.low, theirs.high), rel=1e-9)
    assert f"(the textbook interval at {100 * level:g} %)" in found.test


@pytest.mark.parametrize("sign", [1, -1])
def test_on_folds_that_the_search_chose_by_a_gain_is_never_proven_but_a_loss_is(sign):
    pairs = [
        ({"auc": 0.5 + 0.01 * i, "f1": 0.5 + 0.01 * i}, {"auc": 0.5 + sign * 0.1, "f1": 0.5 + sign * 0.1})
        for i in range(5)
    ]
    fresh, seen = (certify(AUC, CONTEST, pairs, others=[Goal("f1", True)], seen=seen) for seen in (False, True))
    expected = [("proven", 0), ("not shown", None)] if sign == 1 else [("worse", fresh.more), ("worse", None)]
    assert [(e.decision, e.more) for e in (fresh, seen)] == expected
    assert [e.goals[0].decision for e in (fresh, seen)] == [decision for decision, _ in expected]
    assert fresh.interval == seen.interval


def test_evidence_of_a_record_without_a_reserve_says_nothing_of_one():
    before = {k: v for k, v in evidence([0.7, 0.8, 0.7], [0.8, 0.8, 0.9]).to_json().items() if k != "reserve"}
    found = Evidence.from_json(before)
    assert found.reserve == 0
    assert "in reserve" not in found.text()


@pytest.mark.parametrize("more", [{"test_train_ratio": 0.25}, {"sequential": True}])
def test_intervals_that_are_wide_by_themselves_keep_no_reserve(more):
    assert evidence([0.7, 0.8, 0.7], [0.8, 0.8, 0.9], **more).reserve == 0


def ends(J, **how):
    """The interval of J differences whose mean is 0 and standard deviation 1: that of others is m + s times it."""
    unit = np.linspace(-1.0, 1.0, J)
    return evidence([0.0] * J, unit / unit.std(ddof=1), **how).interval


def coverage(J, rho, ratio, sims=20_000):
    """How often the interval of J equally correlated differences of mean 0 holds that mean."""
    rng = np.random.default_rng([J, round(100 * rho)])
    d = math.sqrt(rho) * rng.normal(size=(sims, 1)) + math.sqrt(1 - rho) * rng.normal(size=(sims, J))
    low, high = ends(J, test_train_ratio=ratio)
    m, s = d.mean(axis=1), d.std(axis=1, ddof=1)
    return np.mean((m + low * s <= 0) & (m + high * s >= 0))


@pytest.mark.parametrize("J", [2, 5, 10, 20])
def test_the_interval_of_independent_seeds_covers_with_a_reserve(J):
    assert coverage(J, 0.0, 0.0) == pytest.approx(0.975, abs=0.004)


@pytest.mark.parametrize("folds", [5, 10])
def test_the_interval_of_fold_scores_covers_only_when_corrected(folds):
    rho, ratio = 1 / folds, 1 / (folds - 1)  # of scores on folds, and n_test / n_train (Nadeau & Bengio)
    assert coverage(folds, rho, ratio) == pytest.approx(0.95, abs=0.005)
    assert coverage(folds, rho, 0.0) < 0.93  # although it keeps half of its error in reserve


def proven(d, **how):
    """Of which rows of differences (n, J) a gain is proven."""
    return d.mean(axis=1) + ends(d.shape[1], **how)[0] * d.std(axis=1, ddof=1) > 0


@pytest.mark.parametrize("first", [0, 5, 10, 20])
def test_who_adds_pairs_until_a_gain_is_proven_is_wrong_as_seldom_as_by_one_look(first):
    """One look as at independent pairs (none: `sequential` from the start), then always-valid ones."""
    d = np.random.default_rng(first).normal(size=(20_000, 60))
    looks = [(d[:, :J], first < J) for J in range(max(5, first), 61, 5)]
    assert np.any([proven(seen, sequential=again) for seen, again in looks], axis=0).mean() <= 0.025
    assert np.any([proven(seen) for seen, _ in looks], axis=0).mean() > 0.025  # single looks, one after the other


def test_of_several_settings_hardly_one_is_proven_without_a_gain():
    """Against the same runs of the baseline; asked for together, or one after the other."""
    rng = np.random.default_rng(1)
    baseline = rng.normal(size=(20_000, 20))
    settings = [rng.normal(size=baseline.shape) - baseline for _ in range(20)]
    assert np.any([proven(d, compared=5) for d in settings[:5]], axis=0).mean() <= 0.0125
    in_turn = [proven(d, compared=counted([[i] for i in range(k)], [k])) for k, d in enumerate(settings)]
    assert np.any(in_turn, axis=0).mean() <= 0.025
    assert np.any([proven(d) for d in settings], axis=0).mean() > 0.1


@given(st.lists(st.sets(st.integers(0, 30), min_size=1, max_size=5), min_size=1, max_size=20))
def test_however_many_questions_follow_they_add_no_more_error_than_the_first_ones_had(asked):
    shares = {}
    for i, question in enumerate(asked):
        for c in question - shares.keys():
            shares[c] = counted(asked[:i], question)
            assert counted(asked[: i + 1], [c]) <= shares[c]  # and an answer stays, whatever is asked later
    first = sum(1 / shares[c] for c in asked[0])
    assert first == pytest.approx(1)
    assert sum(1 / n for n in shares.values()) <= 2


@given(several, st.floats(0, 1), st.floats(0, 100))
def test_exchanging_the_roles_turns_the_signs(pairs, ratio, zone):
    one, other = zip(*pairs, strict=True)
    how = {"test_train_ratio": ratio, "equivalence": zone, "deterministic": True}
    there, back = evidence(one, other, **how), evidence(other, one, **how)
    assert back.difference == pytest.approx(-there.difference)
    assert back.interval == pytest.approx((-there.interval[1], -there.interval[0]))
    assert (back.p_better, back.p_worse) == pytest.approx((there.p_worse, there.p_better), abs=1e-9)
    assert {"proven": "worse", "worse": "proven"}.get(there.decision, "not shown") == back.decision


@given(several)
def test_positive_is_better_whatever_the_direction(pairs):
    one, other = zip(*pairs, strict=True)
    up = evidence(one, other, maximize=True)
    down = evidence([-v for v in one], [-v for v in other], maximize=False)
    assert (down.difference, down.interval, down.decision) == (up.difference, up.interval, up.decision)
    assert up.gains == down.gains == tuple(b - a for a, b in pairs)
    worth = Worth(searched=up.means[1] + 3)
    assert replace(up, worth=worth).optimism == pytest.approx(3)
    assert replace(down, worth=Worth(-worth.searched)).optimism == pytest.approx(3)


@given(several, st.floats(0, 1), st.floats(0, 100))
def test_probabilities_sum_to_one_and_the_decision_reads_the_interval(pairs, ratio, zone):
    found = evidence(*zip(*pairs, strict=True), test_train_ratio=ratio, equivalence=zone, deterministic=True)
    assert found.p_better + found.p_equivalent + found.p_worse == pytest.approx(1)
    assert min(found.p_better, found.p_equivalent, found.p_worse) >= 0
    low, high = found.interval
    assert low <= found.difference <= high
    assert found.decision == ("proven" if low > 0 else "worse" if high < 0 else "not shown")


@given(st.lists(st.tuples(st.none() | values, st.none() | values), max_size=8), st.floats(0, 1) | st.just(math.nan))
def test_json_is_valid_and_comes_back(pairs, known):
    told = [tuple(None if v is None else {"auc": v, "f1": -v} for v in pair) for pair in pairs]
    limits = [constraint("auc >= 0.9 * baseline"), constraint("size <= 3")]
    made = certify(AUC, CONTEST, told, others=[Goal("f1", True)], constraints=limits)
    finalists = (Finalist(7, 3, known, 1), Finalist(2, 2, 0.5))
    found = replace(made, worth=Worth(0.5, known, 0.25), finalists=finalists)
    text = json.dumps(found.to_json(), allow_nan=False)
    again = Evidence.from_json(json.loads(text))
    assert again == found
    assert (again.text(), again.pairs, again.interval) == (found.text(), found.pairs, found.interval)
    assert repr((again.worth, again.finalists, again.goals)) == repr((found.worth, found.finalists, found.goals))


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_pairs_show_nothing(n):
    found = evidence([0.7] * n, [0.9] * n)
    assert found.decision == "not shown"
    assert found.interval == (-math.inf, math.inf)
    assert math.isnan(found.p_better)
    assert ["at least 2" in notice for notice in found.notices] == [True]


def test_few_pairs_are_told():
    baseline, tuned = [1, 2, 3, 4, 5], [2, 3.5, 4, 5.5, 6]
    for J in (2, 4):
        assert any(f"only {J} pairs" in n for n in evidence(baseline[:J], tuned[:J]).notices)
    assert evidence(baseline, tuned).notices == ()


def test_identical_replicates_say_nothing_about_noise():
    found = evidence([0.7] * 6, [0.8] * 6, equivalence=0.01)
    assert found.difference == pytest.approx(0.1)
    assert found.interval == (-math.inf, math.inf)
    assert math.isnan(found.p_better)
    assert any("ignore trial.seed" in n and "trial.replicate" in n for n in found.notices)
    assert (found.decision, found.more) == ("not shown", None)
    assert evidence([0.8] * 6, [0.7] * 6).decision == "not shown"
    for n in (2, 6):
        exact = evidence([0.7] * n, [0.8] * n, equivalence=0.01, deterministic=True)
        assert exact.interval == pytest.approx((0.1, 0.1))
        assert (exact.p_better, exact.p_equivalent, exact.p_worse) == (1, 0, 0)
        assert exact.decision == "proven"
        assert exact.notices == ("the replicates are identical, as deterministic=True says",)


@pytest.mark.parametrize("maximize", [True, False])
def test_what_differs_by_rounding_alone_is_equal(maximize):
    """Such as the mean of the same scores in another order, of a setting that only changes how many threads add them."""
    before = np.random.default_rng(0).normal(0.9, 0.01, 20)
    found = evidence(before, np.nextafter(before, 2.0 if maximize else -2.0), maximize=maximize)
    assert (found.decision, found.interval, found.gains) == ("not shown", (0.0, 0.0), (0.0,) * 20)


def test_a_goal_that_varies_is_judged_beside_one_that_does_not():
    """The size of a model may depend on its setting alone, and be the first goal: the score varies with the seed."""
    pairs = [({"size": 9.0, "auc": 0.7 + i / 100}, {"size": 7.0, "auc": 0.8 + i**2 / 1000}) for i in range(6)]
    found = certify(Goal("size", False), CONTEST, pairs, others=[AUC, Goal("size", True)])
    alone = certify(AUC, CONTEST, pairs, compared=3)
    assert (found.decision, found.goals[1].decision) == ("not shown", "not shown")
    assert (found.goals[0].interval, found.goals[0].decision) == (alone.interval, "proven")


@pytest.mark.parametrize(("more", "least"), [({}, 6), ({"test_train_ratio": 0.25}, 6), ({"compared": 2}, 7)])
def test_few_identical_differences_may_be_luck(more, least):
    """Without a gain, differences of one step each have the same sign in 2 of 2^J sets of J pairs."""
    baseline = [0.5, 0.25, 0.75, 0.125, 0.5, 0.25, 0.0, 0.5]
    few, enough = (evidence(baseline[:J], [b + 0.25 for b in baseline[:J]], **more) for J in (least - 1, least))
    assert (few.decision, few.difference, few.interval) == ("not shown", 0.25, (-math.inf, math.inf))
    assert any("so few may agree by luck" in n for n in few.notices)
    assert (enough.decision, enough.interval) == ("proven", (0.25, 0.25))
    assert any("rests on their number alone" in n for n in enough.notices)
    pairs = [({"auc": b, "f1": 0.2}, {"auc": b + b**2, "f1": 0.3}) for b in baseline[:3]]
    beside = certify(AUC, CONTEST, pairs, others=[Goal("f1", True)])
    f1 = beside.goals[0]
    assert (f1.decision, f1.difference, f1.interval) == ("not shown", pytest.approx(0.1), (-math.inf, math.inf))
    assert any(n.startswith("f1: all differences are identical, and so few") for n in beside.notices)
    exact = evidence(baseline[:2], [b + 0.25 for b in baseline[:2]], deterministic=True, **more)
    assert exact.decision == "proven"
    assert any("rests on their number alone" in n for n in exact.notices)


def test_evidence_is_equal_where_the_same_is_unknown():
    assert math.isnan(evidence([0.7], [0.8]).p_better)
    assert evidence([0.7], [0.8]) == evidence([0.7], [0.8])
    assert evidence([0.7], [0.8]) != evidence([0.7], [0.9])


def test_a_failed_member_drops_its_pair_and_is_counted():
    found = evidence([0.7, None, 0.72, math.nan, 0.7], [0.8, 0.8, None, 0.8, 0.81])
    assert found.pairs == ((0.7, 0.8), (0.7, 0.81))
    assert found.failed_pairs == 3
    assert any("3 of 5 pairs left out" in n and "baseline 2, tuned 1" in n for n in found.notices)


@pytest.mark.parametrize(
    ("baseline", "tuned", "decision"),
    [(0, 1, "proven"), (0, 2, "not shown"), (2, 2, "proven"), (2, 3, "not shown"), (3, 2, "proven")],
)
def test_a_setting_that_fails_in_more_than_a_twentieth_of_its_runs_and_more_than_the_baseline_is_not_proven(
    baseline, tuned, decision
):
    scores = np.random.default_rng(4).normal(0.8, 0.01, 20)
    before = [None if i < baseline else 0.7 for i in range(20)]
    after = [None if i >= 20 - tuned else v for i, v in enumerate(scores)]
    assert evidence(before, after).decision == decision


def test_the_baseline_itself_is_never_a_gain():
    pairs = [({"auc": 0.7}, {"auc": 0.8 + i / 1000}) for i in range(6)]
    found = certify(AUC, Contest(BASE, dict(BASE), 0), pairs)
    assert found.decision == "not shown"
    assert any("the baseline itself" in n for n in found.notices)


def test_constraints_are_judged_in_the_same_pairs():
    sizes = [(10, 12), (10, 18), (20, 25), (10, 11)]
    pairs = [({"auc": 0.7, "size": b}, {"auc": 0.8, "size": t}) for b, t in sizes]
    relative = [constraint("size <= 1.5 * baseline"), constraint("auc >= 0.5"), constraint("speed <= 1")]
    found = certify(AUC, CONTEST, pairs, constraints=relative)
    shares = [c.held for c in found.constraints]
    assert shares[:2] == [0.75, 1.0]
    assert found.constraints[0].mean == 16.5
    assert any("broke 'size <= 1.5 * baseline' in 25 % of pairs" in n for n in found.notices)


@pytest.mark.parametrize(("broken", "said"), [(0, []), (1, []), (2, ["10 %"]), (20, ["100 %"])])
def test_a_baseline_that_breaks_a_limit_is_told(broken, said):
    """Else a setting that keeps it looks like a loss."""
    pairs = [({"auc": 0.9 + i / 1e3, "size": 9 + 2 * (i < broken)}, {"auc": 0.8, "size": 9}) for i in range(20)]
    limits = [constraint("size <= 10"), constraint("auc >= baseline + 0.01"), constraint("speed <= 1")]
    found = certify(AUC, CONTEST, pairs, constraints=limits)
    assert found.decision == "worse"
    told = [n for n in found.notices if n.startswith("the baseline broke")]
    assert told == [f"the baseline broke 'size <= 10' in {share} of pairs: it may not be used either" for share in said]


@pytest.mark.parametrize(("broken", "decision"), [(0, "proven"), (1, "proven"), (2, "infeasible"), (20, "infeasible")])
def test_nothing_is_proven_of_a_setting_that_breaks_a_limit(broken, decision):
    rng = np.random.default_rng(3)
    pairs = [({"auc": 0.7}, {"auc": 0.8 + rng.normal() / 100, "size": 9 + 2 * (i < broken)}) for i in range(20)]
    found = certify(AUC, CONTEST, pairs, constraints=[constraint("size <= 10")])
    check = found.constraints[0]
    assert found.decision == decision
    assert check.kept == (decision == "proven")
    exact = stats.binomtest(20 - broken, 20).proportion_ci(0.95, "exact")
    assert check.interval == pytest.approx((exact.low, exact.high))
    share = f"{100 * exact.low:.3g} to {100 * exact.high:.3g} % of such runs"
    assert f"size <= 10: held in {20 - broken} of 20 pairs ({share}), mean {9 + broken / 10:g}" in found.text()
    assert Evidence.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_a_loss_is_a_loss_whatever_the_limits_say():
    pairs = [({"auc": 0.8 + i / 1000}, {"auc": 0.7, "size": 11}) for i in range(6)]
    assert certify(AUC, CONTEST, pairs, constraints=[constraint("size <= 10")]).decision == "worse"


def test_a_constraint_without_its_metric_is_unknown_not_broken():
    pairs = [({"auc": 0.7 + i / 1000}, {"auc": 0.8}) for i in range(2)]
    found = certify(AUC, CONTEST, pairs, constraints=[constraint("speed <= 1")])
    assert found.decision == "infeasible"
    assert math.isnan(found.constraints[0].held)
    assert any("unknown" in n for n in found.notices)
    assert not any("broke" in n for n in found.notices)


@pytest.mark.parametrize("bad", [-0.1, math.inf, math.nan, True, "0.1"])
@pytest.mark.parametrize("name", ["test_train_ratio", "equivalence"])
def test_a_wrong_ratio_or_zone_is_refused(name, bad):
    with pytest.raises(SpecError, match=name):
        evidence([1, 2], [2, 3], **{name: bad})


def test_equivalence_is_spoken_of_only_where_a_zone_was_set():
    baseline, tuned = [0.70, 0.71, 0.69, 0.72], [0.70, 0.72, 0.71, 0.71]
    assert "equivalent" not in evidence(baseline, tuned).text()
    found = evidence(baseline, tuned, equivalence=0.005)
    assert f"equivalent {percent(found.p_equivalent)} (within ±0.005), worse" in found.text()
    assert "equivalent" not in evidence([0.7] * 4, [0.7] * 4, deterministic=True).text()


def test_what_is_equal_has_its_share_of_the_probability():
    same = [0.5, 0.25, 0.75, 0.125, 0.5, 0.25]
    found = evidence(same, same)
    assert "better 0 %, equal 100 %, worse 0 %" in found.text()
    assert "exactly equal 100 %" in dict(evidence_pairs(found))["Practically equivalent"]
    assert "equal" not in evidence(same, [0.5, 0.5, 0.5, 0.25, 0.25, 0.5]).text()


def test_the_text_is_aligned_and_complete():
    found = evidence([0.70, 0.71, 0.72, 0.70, 0.69], [0.72, 0.74, 0.73, 0.73, 0.71], test_train_ratio=0.25)
    lines = found.text().splitlines()
    assert lines[0].startswith("decision    proven: ")
    assert all(line[11] == " " and line[12] != " " for line in lines)
    assert "Nadeau & Bengio" in found.text()
    assert "0.704" in found.text()
    assert "0.726" in found.text()


def test_pairs_that_show_no_gain_are_not_said_to_need_more_pairs_for_it():
    rng = np.random.default_rng(1)
    found = certify(AUC, CONTEST, [({"auc": 0.5}, {"auc": 0.5 - v}) for v in rng.normal(0.01, 0.1, 10)])
    assert found.decision == "not shown"
    assert dict(found.beside)["power"].endswith("no number of pairs is likely to prove a gain")


def test_equal_results_show_no_optimism():
    found = replace(evidence([0.3, 0.3, 0.3], [0.7, 0.7, 0.7]), worth=Worth(searched=0.7))
    assert found.means[1] != 0.7  # in its last digit
    assert found.optimism == 0


def test_what_was_not_done_is_not_spoken_of():
    plain = evidence([0.7, 0.8, 0.7], [0.8, 0.95, 0.8], deterministic=True)
    assert plain.beside == []
    assert "corrected" not in plain.test
    raced = (Finalist(7, 3, 0.5, broke=1), Finalist(2, 2, 0.5))
    assert replace(plain, finalists=raced[:1]).beside == []
    said = dict(replace(plain, finalists=raced, minimum_effect=0.01, worth=Worth(0.95, over_random=0.25)).beside)
    assert said["finalists"] == "2 measured again, 5 runs in a race; 1 setting broke a limit"
    assert [*said] == ["minimum", "finalists", "optimism", "random"]


@pytest.mark.parametrize(
    ("hours", "cost"), [(0.05, "3 min of search"), (2.0, "2 h of search, +0.05 per hour"), (math.nan, None)]
)
def test_the_gain_per_hour_of_search_is_said_where_it_is_known(hours, cost):
    found, unknown = (replace(evidence([0.7] * n, [0.8] * n), worth=Worth(hours=hours)) for n in (3, 0))
    assert dict(found.beside).get("cost") == cost
    assert dict(unknown.beside).get("cost") == (cost and cost.split(",")[0])


def test_the_gain_that_would_be_shown_reckons_with_a_minimum_effect_and_with_many_looks():
    noise = np.random.default_rng(0).normal(size=20)
    tuned = 0.4 + noise - noise.mean()
    plain, least, looks = (
        evidence(np.zeros(20), tuned, **design) for design in ({}, {"minimum_effect": 0.5}, {"sequential": True})
    )
    assert least.detectable == pytest.approx(plain.detectable + 0.5)
    assert looks.detectable > 1.2 * plain.detectable
    assert looks.more > plain.more
    assert least.more is None


def test_pairs_too_few_for_many_looks_are_not_said_to_show_an_infinite_gain():
    few = evidence([0.0, 0.5, 0.2, 0.4, 0.1], [0.6, 0.7, 0.9, 0.8, 0.7], sequential=True)
    assert few.interval == (-math.inf, math.inf)
    assert dict(few.beside)["power"] == f"about {few.more} more pairs would settle a difference like the one seen"
    assert dict(few.beside) == dict(Evidence.from_json(few.to_json()).beside)
    assert "power" not in dict(evidence([0.6, 0.7, 0.9], [0.1, 0.2, 0.2], sequential=True).beside)
