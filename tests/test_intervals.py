"""Intervals: coverage by simulation for every protocol, what looking often does, power, and limits."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

from trimtab.errors import SpecError
from trimtab.evidence import Contest, Design, Evidence, HeldOut, across, certify, held_out, intervals
from trimtab.goals import Goal, constraint

several = st.lists(st.floats(-1e6, 1e6).map(lambda v: round(v, 6)), min_size=2, max_size=40).map(np.array)


def covers(interval, truth):
    return interval[0] <= truth <= interval[1]


def test_an_always_valid_interval_holds_at_every_look_where_the_plain_one_does_not():
    rng = np.random.default_rng(3)
    looks, sims, missed = range(4, 61, 4), 200, np.zeros(2)
    for d in rng.normal(1.0, 2.0, (sims, 60)):
        missed[0] += any(not covers(intervals.always_valid(d[:J], 0.0, 0.05), 1.0) for J in looks)
        missed[1] += any(not covers(intervals.student(d[:J], 0.0, 0.0, 0.05).interval, 1.0) for J in looks)
    assert missed[0] / sims <= 0.05
    assert missed[1] / sims > 0.15


@pytest.mark.parametrize("J", [8, 20, 100])
def test_an_always_valid_interval_ends_where_the_likelihood_ratio_is_one_in_alpha(J):
    """That of the t-statistic, for effects (in standard deviations) from a normal law with variance g = 0.5."""
    low, high = intervals.always_valid(standard(J, np.random.default_rng(J)), 0.0, 0.05)
    t = high * math.sqrt(J)
    assert low == pytest.approx(-high)
    mixed, _ = integrate.quad(
        lambda effect: stats.nct.pdf(t, J - 1, effect * math.sqrt(J)) * stats.norm.pdf(effect, scale=math.sqrt(0.5)),
        -1, 6,
    )  # fmt: skip
    assert mixed / stats.t.pdf(t, J - 1) == pytest.approx(1 / 0.05, rel=1e-3)


@given(several, st.floats(0, 1))
def test_an_always_valid_interval_holds_that_of_a_single_look(d, ratio):
    low, high = intervals.always_valid(d, ratio, 0.05)
    plain = intervals.student(d, ratio, 0.0, 0.05).interval
    slack = 1e-9 * max(1.0, float(np.abs(d).max()))
    assert low - slack <= plain[0]
    assert plain[1] <= high + slack


@pytest.mark.parametrize("ratio", [0.0, 0.01])
def test_as_many_pairs_as_said_show_it_four_times_in_five(ratio):
    rng = np.random.default_rng(8)
    seen = rng.normal(0.5, 1.0, 30)
    J = intervals.pairs_needed(seen, ratio, 0.0, 0.05)
    mean, sd = seen.mean(), seen.std(ddof=1)
    common = sd * math.sqrt(ratio) * rng.standard_normal((2000, 1))  # the part of the variance that pairs share
    again = mean + common + sd * rng.standard_normal((2000, J))
    shown = np.mean([intervals.student(d, ratio, 0.0, 0.05).interval[0] > 0 for d in again])
    assert 0.76 <= shown <= 0.88


def test_power_is_unknown_where_nothing_can_settle_it():
    d = np.array([1.0, -1.0, 0.5, -0.4])
    assert intervals.pairs_needed(d, 0.25, 0.0, 0.05) is None  # the folds' variance stays above it
    assert intervals.pairs_needed(-np.abs(d), 0.0, 0.0, 0.05) is None  # a loss shows no gain
    assert intervals.pairs_needed(np.array([1.0]), 0.0, 0.0, 0.05) is None
    assert math.isnan(intervals.detectable(np.array([1.0, 1.0]), 0.0, 0.0, 0.05))


@pytest.mark.parametrize("J", [2, 25])
def test_what_is_detectable_is_what_the_pairs_at_hand_would_need(J):
    d = standard(J, np.random.default_rng(1))
    least = intervals.detectable(d, 0.0, 0.0, 0.05)
    assert intervals.pairs_needed(d + 1.001 * least, 0.0, 0.0, 0.05) == J
    assert intervals.pairs_needed(d + 0.999 * least, 0.0, 0.0, 0.05) == J + 1


def test_the_bootstrap_of_a_hold_out_covers():
    rng, inside = np.random.default_rng(5), 0
    for _ in range(25):
        rows = rng.exponential(1.0, 150)
        found = intervals.bootstrap(lambda i, rows=rows: float(rows[i].mean()), np.arange(150), 0.0, 0.05, rng)
        inside += covers(found.interval, 1.0)
        assert found.mean == pytest.approx(rows.mean())
        assert found.better + found.worse == pytest.approx(1.0, abs=1e-9)
        assert 0 < found.worse < 0.001  # what a thousand resamples don't show is not taken for impossible
    assert inside >= 21  # of 23.5 expected


@pytest.mark.parametrize("compared", [1, 2, 10, 50])
def test_the_bootstrap_of_few_rows_is_as_wide_as_students_interval(compared):
    rng, ratios, alpha = np.random.default_rng(7), [], 0.05 / compared
    for _ in range(40):
        rows = rng.standard_normal(10)
        found = intervals.bootstrap(lambda i, rows=rows: float(rows[i].mean()), np.arange(10), 0.0, alpha, rng)
        low, high = stats.t.interval(1 - alpha, 9, loc=rows.mean(), scale=stats.sem(rows))
        ratios.append((found.interval[1] - found.interval[0]) / (high - low))
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.06)  # percentiles alone: 0.81; at 50 comparisons, 0.62


def test_rows_of_a_group_are_drawn_together():
    """Rows of 20 groups that are alike, and no gain: taken one by one, they would show one in a fifth of the studies."""
    rng, wrong = np.random.default_rng(6), 0
    for _ in range(100):
        groups = rng.permutation(np.repeat(np.arange(20), 10))
        rows = rng.standard_normal(20)[groups] + rng.standard_normal(200)
        found = intervals.bootstrap(lambda i, rows=rows: float(rows[i].mean()), groups, 0.0, 0.05, rng)
        wrong += found.interval[0] > 0
        assert found.mean == pytest.approx(rows.mean())
    assert wrong <= 8  # 6; one by one: 21


def test_one_group_shows_nothing():
    found = intervals.bootstrap(lambda i: 1.0, np.zeros(30, dtype=np.intp), 0.0, 0.05, np.random.default_rng(0))
    assert (found.mean, found.interval) == (1.0, (-math.inf, math.inf))


def test_a_metric_that_is_undefined_on_resamples_shows_nothing():
    found = intervals.bootstrap(lambda i: math.nan, np.arange(10), 0.0, 0.05, np.random.default_rng(0))
    assert found.interval == (-math.inf, math.inf)


@pytest.mark.parametrize(("maximize", "gain", "decision"), [
    (True, 1.0, "proven"), (True, -1.0, "worse"), (False, -1.0, "proven"), (False, 1.0, "worse"), (True, 0.0, "not shown"),
])  # fmt: skip
@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("compared", [1, 4])
def test_a_look_at_the_hold_out_says_which_model_is_better(maximize, gain, decision, same, compared):
    before = 9 * standard(40, np.random.default_rng(4)) + 5  # what both models have in common
    rows = gain + standard(40, np.random.default_rng(3))
    found = held_out(
        Goal("m", maximize),
        Contest({"a": 1}, {"a": 1 if same else 2}, 1),
        HeldOut({"m": lambda i: before[i].mean()}, {"m": lambda i: (before + rows)[i].mean()}, np.arange(40)),
        0.0,
        np.random.default_rng(0),
        look=1,
        compared=compared,
        constraints=[],
    )
    assert (found.pairs, found.failed_pairs) == (((pytest.approx(5), pytest.approx(5 + gain)),), 0)
    assert found.difference == pytest.approx(gain if maximize else -gain)
    assert found.decision == ("not shown" if same else decision)  # the baseline itself is never a gain
    gains = rows if maximize else -rows
    rng, alpha = np.random.default_rng(0), 0.05 / compared
    expected = intervals.bootstrap(lambda i: gains[i].mean(), np.arange(40), 0.0, alpha, rng)
    assert found.interval == pytest.approx(expected.interval)


@pytest.mark.parametrize(
    ("text", "decision", "least", "most"),
    [
        ("size <= 6", "proven", 1, 1),
        ("size <= 4", "infeasible", 0, 0),
        ("size <= 5.1", "infeasible", 0.6, 0.9),  # of the mean of 40 rows with sd 1: half a standard error above it
        ("size <= 1.2 * baseline", "infeasible", 0, 0),
        ("size <= baseline + 1.01", "proven", 1, 1),  # on each resample the difference is 1
        ("latency <= 4", "infeasible", None, None),  # undefined, whatever the rows
    ],
)
def test_a_limit_has_to_hold_in_95_percent_of_the_resamples_of_a_hold_out(text, decision, least, most):
    size = standard(40, np.random.default_rng(3))
    size += 5 - size.mean()
    found = held_out(
        Goal("m", True),
        Contest({"a": 1}, {"a": 2}, 1),
        HeldOut(
            {"m": lambda i: 0.0, "size": lambda i: size[i].mean() - 1},
            {"m": lambda i: 1.0, "size": lambda i: size[i].mean(), "latency": lambda i: math.nan},
            np.arange(40),
        ),
        0.0,
        np.random.default_rng(0),
        look=1,
        compared=1,
        constraints=[constraint(text)],
    )
    (check,) = found.constraints
    assert found.decision == decision
    assert math.isnan(check.held) if least is None else least <= check.held <= most
    assert math.isnan(check.mean) if least is None else check.mean == pytest.approx(5)
    assert (decision == "proven") == (list(found.notices) == HeldOut({}, {}, np.arange(40)).said)
    assert ("1,000 resamples of the rows, value 5" in found.text()) == (least is not None)
    assert Evidence.from_json(found.to_json()) == found


@pytest.mark.parametrize("maximize", [False, True])
def test_a_sum_in_another_order_is_no_gain(maximize):
    """Nor is it a small probability of one: both models have the same value on every resample."""
    values = np.random.default_rng(1).random(40)
    found = held_out(
        Goal("m", maximize),
        Contest({"a": 1}, {"a": 2}, 1),
        HeldOut({"m": lambda i: math.fsum(values[i])}, {"m": lambda i: float(np.cumsum(values[i])[-1])}, np.arange(40)),
        0.0,
        np.random.default_rng(0),
        look=1,
        compared=1,
        constraints=[],
    )
    assert (found.difference, found.interval, found.gains) == (0.0, (0.0, 0.0), (0.0,))
    assert found.p_equivalent > 0.99


def test_a_metric_that_is_undefined_on_all_rows_proves_nothing():
    """Whatever it is on resamples, most of which leave some rows out."""

    def undefined(rows):
        return math.nan if len(set(rows)) == 10 else 0.0

    found = held_out(
        Goal("auc", True),
        Contest({"a": 1}, {"a": 2}, 1),
        HeldOut({"auc": undefined}, {"auc": lambda rows: 1.0}, np.arange(10)),
        0.0,
        np.random.default_rng(0),
        look=1,
        compared=1,
        constraints=[],
    )
    assert (found.pairs, found.failed_pairs, found.decision) == ((), 1, "not shown")


@pytest.mark.parametrize(
    ("G", "rows", "in_time", "unit"),
    [
        (10, 2, True, "blocks"),
        (9, 2, True, "blocks"),
        (9, 2, False, "groups"),
        (9, 1, False, "rows"),
        (9, 1, True, "rows"),
    ],
)
def test_fewer_than_ten_of_what_is_drawn_as_a_whole_are_too_few(G, rows, in_time, unit):
    said = " ".join(HeldOut({}, {}, np.repeat(np.arange(G), rows), in_time).said)
    assert (f"{G * rows} hold-out rows in {G} {unit}, which are drawn as wholes" in said) == (rows > 1)
    assert ("drawn as wholes" in said) == (rows > 1)
    assert (f"only {G} {unit}: too few" in said) == (G < 10)
    assert ("longer than a block" in said) == in_time


def test_the_mean_over_data_sets_covers_when_they_differ():
    rng, inside, sims = np.random.default_rng(9), 0, 400
    for _ in range(sims):
        errors = rng.uniform(0.1, 0.6, 8)
        gains = 0.3 + 0.4 * rng.standard_normal(8) + errors * rng.standard_normal(8)
        found, _ = intervals.random_effects(gains, errors, 0.0, 0.05)
        inside += covers(found.interval, 0.3)
    assert 0.93 <= inside / sims <= 0.985


@pytest.mark.parametrize("spread", [0.1, 3.0])
def test_the_mean_over_data_sets_is_weighted_so_that_they_vary_as_expected(spread):
    """Paule and Mandel: by a variance between data sets (0 if they agree) at which the weighted squares sum to k - 1."""
    rng = np.random.default_rng(4)
    errors = rng.uniform(0.5, 1.5, 6)
    gains = 0.3 + spread * errors * rng.standard_normal(6)

    def fit(variance):
        w = 1 / (errors**2 + variance)
        mean = np.average(gains, weights=w)
        return mean, w.sum(), w @ (gains - mean) ** 2

    variance = optimize.brentq(lambda v: fit(v)[2] - 5, 0.0, 100.0) if spread > 1 else 0.0
    mean, weight, _ = fit(variance)
    law = stats.t(5, loc=mean, scale=weight**-0.5)
    found, between = intervals.random_effects(gains, errors, 0.2, 0.05)
    assert between == pytest.approx(math.sqrt(variance))
    assert (found.mean, found.better, found.worse) == pytest.approx((mean, law.sf(0.2), law.cdf(-0.2)))
    assert found.interval == pytest.approx(law.interval(0.95))


def test_the_mean_over_data_sets_without_noise_has_students_interval():
    gains = np.array([0.2, 0.5, 0.1, 0.9])
    found, between = intervals.random_effects(gains, np.zeros(4), 0.0, 0.05)
    low, high = stats.ttest_1samp(gains, 0.0).confidence_interval(0.95)
    assert (*found.interval, between) == pytest.approx((low, high, gains.std(ddof=1)), rel=1e-4)


def test_data_sets_that_agree_do_not_vary():
    found, between = intervals.random_effects([1.0, 1.0, 1.0], [0.1, 0.2, 0.4], 0.0, 0.05)
    assert (found.mean, between) == (pytest.approx(1.0), 0.0)
    exact, between = intervals.random_effects([1.0, 1.0], [0.0, 0.0], 0.5, 0.05)
    assert (exact.interval, exact.better, between) == ((1.0, 1.0), 1.0, 0.0)
    one, _ = intervals.random_effects([1.0], [0.1], 0.0, 0.05)
    assert one.interval == (-math.inf, math.inf)


def _evidence(gains, metric="auc"):
    pairs = [({metric: 0.0}, {metric: g}) for g in gains]
    return certify(Goal(metric, True), Contest({"a": 1}, {"a": 2}, 1), pairs)


def test_evidence_of_several_data_sets_is_put_together():
    rng = np.random.default_rng(2)
    found = across([_evidence(rng.normal(mu, 0.1, 12)) for mu in (0.5, 0.6, 0.4, 0.55)], equivalence=0.1)
    assert found.decision == "proven"
    assert found.p_better + found.p_equivalent + found.p_worse == pytest.approx(1)
    assert found.interval[0] < 0.5 < found.interval[1]
    assert "4 data sets" in found.text()
    assert "(within ±0.1)" in found.text()


def test_a_limit_that_is_broken_on_one_data_set_is_broken():
    pairs = [({"auc": 0.0}, {"auc": 1 + i / 10, "size": 9}) for i in range(6)]
    kept, broken = (
        certify(Goal("auc", True), Contest({"a": 1}, {"a": 2}, 1), pairs, constraints=[constraint(f"size <= {limit}")])
        for limit in (9, 8)
    )
    assert across([kept, kept]).decision == "proven"
    assert "equivalent" not in across([kept, kept]).text()
    assert across([kept, broken]).decision == "infeasible"


def test_over_several_data_sets_looks_and_comparisons_are_corrected_for_or_told():
    ended = [({"auc": 0.0, "f1": 1.0}, {"auc": 1 + i / 10, "f1": 1.0 + i % 2}) for i in range(6)]
    plain, goals, chosen, grown = (
        certify(Goal("auc", True), Contest({"a": 1}, {"a": 2}, 1), ended, **how)
        for how in ({}, {"others": [Goal("f1", True)]}, {"compared": 3}, {"design": Design(sequential=True)})
    )
    once = across([plain, plain])
    assert (once.compared, once.notices) == (1, ())
    for other, compared, said in (
        (goals, 2, []),
        (chosen, 3, ["several comparisons were made on data set 1:"]),
        (grown, 1, ["the pairs of data set 1 were looked at while they grew:"]),
    ):
        found = across([plain, other])
        assert (found.compared, [n[: len(s)] for n, s in zip(found.notices, said, strict=True)]) == (compared, said)
        assert all(n in found.text() for n in found.notices)
        assert (found.interval[0] < once.interval[0]) == (compared > 1)


def test_a_gain_that_is_no_proof_on_one_data_set_is_none_over_several():
    """On folds by which the search chose, or where the tuned setting's runs fail."""
    ended = [({"auc": 0.0}, {"auc": 1 + i / 10}) for i in range(6)]
    sound, seen, failing = (
        certify(Goal("auc", True), Contest({"a": 1}, {"a": 2}, 1), pairs, seen=seen)
        for pairs, seen in ((ended, False), (ended, True), ([*ended, ({"auc": 0.0}, None)], False))
    )
    assert across([sound, sound]).decision == "proven"
    for doubtful in (seen, failing):
        assert Evidence.from_json(json.loads(json.dumps(doubtful.to_json()))).doubtful
        assert across([sound, doubtful]).decision == "not shown"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([], "got 0 on none"),
        ([_evidence([1, 2])], "two or more studies on one metric, and got 1"),
        ([_evidence([1, 2]), _evidence([1, 2], "f1")], "on one metric, and got 2 on auc, f1"),
        ([_evidence([1, 2]), _evidence([1])], "evidence 1 has fewer than two complete pairs"),
        ([_evidence([1, 2]), _evidence([1, 1, 1])], "evidence 1 has identical replicates"),  # it ignores its seed
    ],
)
def test_evidence_that_does_not_go_together_is_refused(wrong, said):
    with pytest.raises(SpecError, match=said):
        across(wrong)


@pytest.mark.parametrize("zone", [-0.1, float("nan"), "wide"])
def test_a_zone_of_equivalence_that_is_none_is_refused(zone):
    with pytest.raises(SpecError, match=r"equivalence=.* must be a number of at least 0"):
        across([_evidence([1, 2]), _evidence([2, 1])], equivalence=zone)


@pytest.mark.parametrize(("effect", "sequential"), [(0.0, False), (0.5, False), (0.0, True), (0.5, True)])
def test_what_is_detectable_is_shown_four_times_in_five(effect, sequential):
    """Also above a minimum effect, and by the wider interval of many looks."""
    rng = np.random.default_rng(0)
    least = intervals.detectable(standard(20, rng), 0.0, effect, 0.05, sequential)
    bound = (
        intervals.always_valid if sequential else lambda *given: intervals.student(given[0], 0.0, 0.0, 0.05).interval
    )
    shown = [bound(least + standard(20, rng), 0.0, 0.05)[0] > effect for _ in range(20)]
    assert all(shown) or not any(shown)  # of equal variance, they are alike
    low = [bound(least + rng.normal(size=20), 0.0, 0.05)[0] for _ in range(1000)]
    assert np.mean(np.array(low) > effect) == pytest.approx(0.8, abs=0.05)
    needed = intervals.pairs_needed(standard(20, rng) + 1.001 * least, 0.0, effect, 0.05, sequential)
    assert 15 <= needed <= 20


def standard(n, rng):
    """Normal numbers whose mean is 0 and whose variance is 1."""
    d = rng.normal(size=n)
    return (d - d.mean()) / d.std(ddof=1)


@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e170, 1e300])
def test_huge_and_tiny_differences_are_judged_like_ordinary_ones(scale):
    d = np.random.default_rng(0).normal(0.5, 1, 8)
    ordinary, found = (intervals.student(f * d, 0.25, 0.0, 0.05) for f in (1.0, scale))
    assert found.interval == pytest.approx([scale * v for v in ordinary.interval], rel=1e-9, abs=0)
    assert found.better == pytest.approx(ordinary.better)
    known = intervals.always_valid(d, 0.0, 0.05)
    assert intervals.always_valid(scale * d, 0.0, 0.05) == pytest.approx([scale * v for v in known], rel=1e-9, abs=0)
    assert intervals.detectable(scale * d, 0.0, 0.0, 0.05) / scale == pytest.approx(intervals.detectable(d, 0, 0, 0.05))
    assert intervals.pairs_needed(scale * d, 0.0, 0.0, 0.05) == intervals.pairs_needed(d, 0.0, 0.0, 0.05)
    (usual, tau), (mean, spread) = (intervals.random_effects(f * d, f * np.abs(d), 0.0, 0.05) for f in (1.0, scale))
    assert mean.interval == pytest.approx([scale * v for v in usual.interval], rel=1e-9, abs=0)
    assert (mean.better, spread / scale) == pytest.approx((usual.better, tau))
