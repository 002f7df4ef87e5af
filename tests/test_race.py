"""The race of the finalists: the better one wins, runs go where they decide, limits bind, and nothing is asked twice."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from trimtab.evidence.race import ENOUGH, FIRST, SAFE, Entrants, race
from trimtab.evidence.selection import keeps, posterior

NAN = np.nan


def measured(losses, excess=None):
    """A `Measure` that deals out the columns of a table (k, r), and of limits (k, r, c)."""
    excess = np.empty((*losses.shape, 0)) if excess is None else excess

    def measure(runs):
        made = np.arange(losses.shape[1]) < np.array(runs)[:, None]
        return np.where(made, losses, NAN), np.where(made[:, :, None], excess, NAN)

    return measure


def entrants(prior, sd=0.1, searched=None, noise=0.1):
    prior = np.array(prior, dtype=float)
    searched = np.empty((len(prior), 0)) if searched is None else np.array(searched, dtype=float)[:, None]
    return Entrants(prior, sd**2 * np.eye(len(prior)), searched, noise)


# ------------------------------------------------------------------------------------------------------- posterior


@pytest.mark.parametrize("noise", [0.5, NAN])
def test_the_posterior_is_that_of_a_linear_model_with_unknown_seeds_and_level(noise):
    rng = np.random.default_rng(1)
    prior, covariance = np.array([0.0, 0.3, 0.1]), np.array([[0.04, 0.01, 0.0], [0.01, 0.01, 0.02], [0.0, 0.02, 0.16]])
    y = rng.normal(size=(3, 4))
    y[1, 2:] = y[2, 3] = NAN
    i, j = np.nonzero(~np.isnan(y))
    design = np.zeros((len(i), 8))  # a (3), the level of the prior, seeds (4)
    design[np.arange(len(i)), i] = design[np.arange(len(i)), 4 + j] = 1
    residual = y[i, j] - design @ np.linalg.lstsq(design, y[i, j], rcond=None)[0]
    free = len(i) - 6
    s2 = residual @ residual / free if np.isnan(noise) else (residual @ residual + 2 * noise**2) / (free + 2)
    belief = np.zeros((3, 8))
    belief[:, :3], belief[:, 3] = np.eye(3), -1
    P = design.T @ design / s2 + belief.T @ np.linalg.inv(covariance) @ belief
    wanted = np.linalg.pinv(P) @ (design.T @ y[i, j] / s2 + belief.T @ np.linalg.inv(covariance) @ prior)
    found = posterior(prior, covariance, y, noise)
    assert np.diff(found.mean) == pytest.approx(np.diff(wanted[:3]), rel=1e-3)
    spread = np.linalg.pinv(P)[:3, :3]
    contrast = np.array([1.0, -1.0, 0.0])
    sd = np.sqrt(contrast @ spread @ contrast)
    assert found.sd_of_difference(1)[0] == pytest.approx(sd, rel=1e-4)
    assert found.ahead(1)[0] == pytest.approx(stats.norm.cdf((wanted[1] - wanted[0]) / sd), rel=1e-3)


def test_two_runs_that_agree_by_luck_settle_nothing_while_the_noise_is_unknown():
    """Their one degree of freedom would say that there is none."""
    fresh = np.array([[0.0, 1.0], [-0.05, 0.95]])
    assert posterior(np.zeros(2), 0.01 * np.eye(2), fresh, NAN).ahead(0)[1] < 0.8


@given(st.integers(2, 5), st.integers(0, 2**16))
def test_what_all_share_in_a_seed_changes_nothing(k, seed):
    rng = np.random.default_rng(seed)
    prior, y = rng.normal(size=k), rng.normal(size=(k, 4))
    y[rng.random((k, 4)) < 0.3] = NAN
    moved = y + rng.normal(size=4) * 10
    one, other = (posterior(prior, 0.25 * np.eye(k), t, 1.0) for t in (y, moved))
    assert np.diff(one.mean) == pytest.approx(np.diff(other.mean), abs=1e-6)
    ahead = one.ahead(0)
    assert ahead == pytest.approx(other.ahead(0), abs=1e-5)
    assert ahead[0] == 0.5


# ------------------------------------------------------------------------------------------------------ the winner


def test_fresh_runs_outweigh_what_the_search_supports_when_there_are_enough():
    level = np.array([0.5, -0.5, 0.2, 0.0, 0.3, -0.4])  # of the seeds: the same for both
    fresh = level + np.array([[0.3], [0.0]]) + 0.01 * np.random.default_rng(0).normal(size=(2, 6))
    assert race(entrants([0.0, 0.1], noise=0.01), 2, 12, measured(fresh))[0] == 1


def test_who_fails_each_time_does_not_win_and_without_a_run_the_search_decides():
    assert race(entrants([0.0, 0.1]), 2, 8, measured(np.full((2, 4), NAN)))[0] == 0
    assert race(entrants([0.0, 0.1]), 2, 8, measured(np.array([[NAN] * 4, [9.0] * 4])))[0] == 1


@pytest.mark.parametrize(("beyond", "winner", "all_run"), [(-0.1, 0, False), (1.0, 2, True)])
def test_only_the_first_begin_unless_the_limits_leave_none_of_them(beyond, winner, all_run):
    prior, searched = [0.0, 0.1, 0.2, 0.3], [-0.1, -0.1, -3.0, -3.0]
    losses = np.array(prior)[:, None] + 0.01 * np.random.default_rng(0).normal(size=(4, 12))
    excess = np.array([beyond, beyond, -2.0, -2.0])[:, None, None] * np.ones((4, 12, 1))
    won, runs = race(entrants(prior, searched=searched), 2, 12, measured(losses, excess))
    assert won == winner
    assert min(runs[:2]) >= FIRST
    assert [n >= FIRST for n in runs[2:]] == [all_run, all_run]
    assert all_run or runs[2:] == [0, 0]


def test_runs_go_to_those_who_may_still_win():
    rng = np.random.default_rng(2)
    level = np.array([0.0, 0.02, 1.0, 1.0, 1.0])[:, None]
    winner, runs = race(entrants([0.0] * 5, sd=1.0), 5, 20, measured(level + 0.1 * rng.normal(size=(5, 20))))
    assert winner in (0, 1)
    assert runs[2:] == [2, 2, 2]
    assert runs[0] > 2
    assert sum(runs) <= 20


def test_a_race_that_stays_open_spends_its_runs():
    alike = measured(np.zeros((5, 20)))
    assert race(entrants([0.0] * 5, noise=1.0), 5, 20, alike) == (0, [4] * 5)


def test_who_comes_back_catches_up_before_the_others_run_on():
    """The third seems beaten until it shows how much the runs of the others vary."""
    fresh, asked = 0.05 * np.random.default_rng(0).normal(size=(3, 20)), []
    fresh[2] += 0.6
    fresh[:2, 2:] += np.tile([[0.0, 1.5], [1.5, 0.0]], 9)

    def measure(runs):
        asked.append(list(runs))
        return measured(fresh)(runs)

    race(entrants([0.0] * 3, sd=1.0, noise=0.1), 3, 15, measure)
    assert asked == [[2, 2, 2], [3, 3, 2], [4, 4, 2], [4, 4, 3], [4, 4, 4], [5, 5, 5]]


@settings(max_examples=50)
@given(st.integers(2, 6), st.integers(0, 2**16), st.integers(12, 40), st.booleans())
def test_a_race_stays_in_its_budget_and_runs_again_alike(k, seed, most, limited):
    rng = np.random.default_rng(seed)
    y, excess = rng.normal(size=(k, 2 * most)), rng.normal(rng.normal(), size=(k, 2 * most, int(limited)))
    who = entrants(rng.normal(size=k), searched=rng.normal(size=k) if limited else None)
    asked = []

    def measure(runs):
        asked.append(list(runs))
        return measured(y, excess)(runs)

    winner, runs = race(who, min(k, 5), most, measure)
    assert sum(runs) <= (2 * most if limited else most)
    assert runs[winner] >= 2
    assert asked[-1] == runs
    assert all(a <= b for one, other in pairwise(asked) for a, b in zip(one, other, strict=True))
    assert race(who, min(k, 5), most, measured(y, excess)) == (winner, runs)


def test_a_race_is_as_good_as_equal_runs_for_all_and_takes_fewer():
    rng, lost, spent = np.random.default_rng(4), [], []
    for _ in range(200):
        true = np.sort(rng.normal(0.0, 1.0, 5))
        y = true[:, None] + rng.normal(0.0, 0.5, (5, 20))
        seen = true + rng.normal(0.0, 0.5, 5)
        winner, runs = race(entrants(seen, sd=0.5, noise=0.5), 5, 20, measured(y))
        lost.append(true[winner] - true[np.argmin(y[:, :4].mean(1))])
        spent.append(sum(runs))
    assert np.mean(lost) < 0.02
    assert np.mean(spent) < 17


def test_the_best_of_the_search_stays_unless_another_is_better_beyond_doubt():
    fresh = np.array([[0.0, 0.1], [-0.01, 0.09]])  # hardly better, with runs that vary by 1
    assert race(entrants([0.0, 0.0], sd=1.0, noise=1.0), 2, 4, measured(fresh))[0] == 0
    assert race(entrants([0.0, 0.0], sd=1.0, noise=1.0), 2, 4, measured(fresh - [[0.0], [3.0]]))[0] == 1


# ---------------------------------------------------------------------------------------------------------- limits


def test_a_setting_that_breaks_its_limit_loses_to_the_next_in_order():
    rng = np.random.default_rng(5)
    true, over = np.array([0.0, 0.1, 0.2, 0.3, 0.4]), np.array([5.0, 5.0, 4.0, -30.0, -60.0])
    excess = over[:, None, None] + rng.normal(size=(5, 12, 1))
    who = entrants(true, searched=over - 8)  # the search, at another level, saw nothing wrong
    winner, runs = race(who, 2, 24, measured(np.tile(true[:, None], (1, 12)), excess))
    assert winner == 3
    assert runs[:3] == [2, 2, 0]  # at the level of the runs the third breaks it, too


def test_who_is_beyond_its_limit_on_average_runs_twice():
    excess = np.array([0.1, 0.1, -9.0])[:, None, None] + np.tile([-1.0, 1.0], 10)[:, None]
    who = entrants([0.0, 0.1, 0.2], searched=[0.1, 0.1, -9.0])
    winner, runs = race(who, 2, 20, measured(np.zeros((3, 20)), excess))
    assert (winner, runs[:2]) == (2, [2, 2])


def test_where_nobody_is_trusted_the_next_in_order_run_until_twice_the_runs_are_spent():
    excess = np.full((30, 12, 1), -0.5) + np.tile([-1.0, 1.0], 6)[:, None]
    who = entrants(np.arange(30), searched=[-0.5] * 30)
    _, runs = race(who, 3, 12, measured(np.zeros((30, 12)), excess))
    assert runs == [ENOUGH] * 5 + [FIRST] * 2 + [0] * 23


def test_a_setting_that_is_close_to_its_limit_is_not_trusted():
    rng = np.random.default_rng(6)
    excess = np.array([-0.5, -9.0])[:, None, None] + np.tile([-1.0, 1.0], 10)[:, None]
    losses = np.array([[0.0], [0.1]]) + 0.01 * rng.normal(size=(2, 20))
    winner, runs = race(entrants([0.0, 0.1], searched=[-1.0, -9.5]), 1, 20, measured(losses, excess))
    assert winner == 1
    assert runs[0] >= ENOUGH


@pytest.mark.parametrize("over", [-1.0, 1.0])
def test_a_single_entrant_wins_whatever_its_limits_say(over):
    excess = np.full((1, 20, 1), over)
    assert race(entrants([0.3], searched=[-1.0]), 1, 20, measured(np.zeros((1, 20)), excess)) == (0, [2])


def test_where_all_break_the_limit_the_one_that_is_nearest_to_it_is_named():
    excess = np.array([3.0, 1.0, 2.0])[:, None, None] + 0.1 * np.random.default_rng(7).normal(size=(3, 20, 1))
    winner, _ = race(entrants([0.0, 0.0, 0.0], searched=[-1, -1, -1]), 3, 20, measured(np.zeros((3, 20)), excess))
    assert winner == 1


def test_limits_that_do_not_vary_are_known_after_two_runs():
    excess = np.array([1.0, 0.0, -1.0])[:, None, None] * np.ones((3, 2, 1))
    assert keeps(np.array([[1.0], [0.0], [-1.0]]), excess).tolist() == [0.0, 1.0, 1.0]


def test_a_limit_of_which_nothing_is_known_does_not_exclude():
    nothing = np.full((3, 3, 1), NAN)
    assert keeps(np.full((3, 1), NAN), nothing).tolist() == [1.0, 1.0, 1.0]
    assert keeps(np.array([[-1.0], [0.0], [1.0]]), nothing).tolist() == [0.5, 0.5, 0.0]


def test_a_limit_that_the_search_did_not_measure_is_judged_by_the_runs():
    runs = np.array([-9.0, 9.0])[:, None, None] + np.array([-1.0, 0.0, 1.0])[:, None]
    safe, broken = keeps(np.full((2, 1), NAN), runs)
    assert (safe > SAFE, broken < 0.01) == (True, True)


@pytest.mark.parametrize("spread", [0.0, 2.0])
@pytest.mark.parametrize("n", [[4, 4, 4, 4, 4, 4], [9, 2, 2, 4, 2, 7]])
def test_the_chance_to_keep_a_limit_is_the_prediction_of_a_normal_model(spread, n):
    """Levels vary about what the search expects as they are seen to, but at least as much as means of runs do."""
    rng, n = np.random.default_rng(10), np.array(n)
    x = rng.normal(size=7)
    y = (x + 0.5 + spread * rng.normal(size=7))[:, None] + rng.normal(size=(7, 9))
    x[0] = NAN  # one is unknown to the search, one has not run again
    for i, runs in enumerate([*n, 0]):
        y[i, runs:] = NAN
    m = np.nanmean(y[:6], axis=1)
    s2 = np.nansum((y[:6] - m[:, None]) ** 2) / (n.sum() - 6)
    noise = np.mean(s2 / n)
    moved = m[1:] - x[1:6]
    between = max(moved.var(ddof=1) - noise, noise)
    assert (between > noise) == (spread > 0)
    expected = np.where(np.isnan(x), m.mean(), x + moved.mean())
    precision = 1 / between + n / s2
    level = (expected[:6] / between + m / (s2 / n)) / precision
    ran = stats.t(n.sum() - 6, loc=level, scale=np.sqrt(s2 + 1 / precision)).cdf(0)
    other = stats.t(n.sum() - 6, loc=expected[6], scale=np.sqrt(s2 + between + noise)).cdf(0)
    assert keeps(x[:, None], y[:, :, None]) == pytest.approx([*ran, other])


def test_the_chance_to_keep_a_limit_is_what_further_runs_show():
    """Of settings that are trusted with their limit, hardly any run breaks it."""
    rng, chances, broke = np.random.default_rng(8), [], []
    for _ in range(400):
        centre = rng.normal(-2.0, 1.0, 5)
        runs = centre[:, None] + rng.normal(size=(5, 4))
        chances += keeps((centre + rng.normal(size=5))[:, None], runs[:, :, None]).tolist()
        broke += (centre + rng.normal(size=5) > 0).tolist()
    chances, broke = np.array(chances), np.array(broke)
    assert broke[chances >= SAFE].mean() <= 1 - SAFE + 0.01
    middle = (chances > 0.6) & (chances < 0.95)
    assert broke[middle].mean() == pytest.approx(1 - chances[middle].mean(), abs=0.05)


def test_the_chance_is_right_where_runs_lie_elsewhere_than_the_search_and_for_settings_that_have_not_run():
    rng, chances, kept = np.random.default_rng(9), [], []
    for _ in range(1000):
        searched = rng.normal(size=5)
        level = searched + 0.5 + 0.3 * rng.normal(size=5)
        excess = level[:, None] + 0.4 * rng.normal(size=(5, 4))
        for i, runs in enumerate((4, 3, 2, 2, 0)):
            excess[i, runs:] = NAN
        chances.append(keeps(searched[:, None], excess[:, :, None]))
        kept.append(level + 0.4 * rng.normal(size=5) <= 0)
    for which in (slice(4), slice(4, 5)):
        said, seen = np.array(chances)[:, which], np.array(kept)[:, which]
        for low, high in ((0.0, 0.2), (0.2, 0.8), (0.8, 1.0)):
            band = (said >= low) & (said <= high)
            assert seen[band].mean() == pytest.approx(said[band].mean(), abs=0.05)


@pytest.mark.parametrize(("scale", "sd"), [(1e-300, 0.0), (1e170, 0.0), (1e300, 0.0), (1e-140, 0.2), (1e140, 0.2)])
def test_huge_and_tiny_losses_are_compared_like_ordinary_ones(scale, sd):
    """`sd`, of what the search says, is 0 where its square is no number."""
    prior, losses = np.array([0.1, 0.2, 0.9]), np.array([[0.1, 0.2, 0.3], [0.2, 0.25, 0.4], [0.9, 0.8, NAN]])
    chances, kept = [], []
    for f in (1.0, scale):
        covariance = (f * sd) ** 2 * np.eye(3)
        chances += [posterior(f * prior, covariance, f * losses, noise).ahead(0) for noise in (NAN, 0.1 * f)]
        kept.append(keeps(f * prior[:, None], f * (losses - 0.25)[:, :, None]))
    assert chances[2:] == [pytest.approx(v) for v in chances[:2]]
    assert kept[1] == pytest.approx(kept[0])
