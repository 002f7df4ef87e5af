"""Where curves end: forecasts of any values are finite, and of curves of the families right."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal as normal

from trimtab.numerics.extrapolation import forecast, shapes
from trimtab.strategies.freeze_thaw import standardised, worth

LEVELS = np.array([1.0, 3.0, 9.0, 27.0, 81.0])


@st.composite
def curves(draw):
    """Levels, and curves cut off at any of them: falling, rising, constant, wild, with gaps, with one point or none."""
    R = draw(st.integers(2, 6))
    levels = np.cumsum(np.exp(draw(st.lists(st.floats(-3, 6), min_size=R, max_size=R))))
    values = draw(
        st.lists(
            st.lists(st.sampled_from([0.0, 1.0, -1.0, 0.5, 1e-9, 1e9, -1e9, 1e308, -1e308, np.nan]) | st.floats(-3, 3),
                     min_size=R, max_size=R),
            min_size=1, max_size=12,
        )
    )  # fmt: skip
    V = np.array(values)
    order = draw(st.sampled_from(["as drawn", "falling", "rising", "constant"]))
    if order in ("falling", "rising"):
        V = np.sort(V, axis=1)[:, :: -1 if order == "falling" else 1]
    elif order == "constant":
        V = np.repeat(V[:, :1], R, axis=1)
    for row, cut in zip(V, draw(st.lists(st.integers(1, R), min_size=len(V), max_size=len(V))), strict=True):
        row[cut:] = np.nan
    return levels, V


@settings(max_examples=300, deadline=None)
@given(curves())
def test_whatever_was_reported_there_is_a_forecast(case):
    levels, V = case
    if np.isnan(V).all():
        return
    Z = standardised(V)
    assert np.array_equal(np.isnan(Z), np.isnan(V))
    for column, before in zip(Z.T, V.T, strict=True):  # the order stays
        known = np.flatnonzero(~np.isnan(before))
        assert (np.diff(column[known][np.argsort(before[known], kind="stable")]) >= 0).all()
    mean, sd = forecast(Z, levels)
    assert np.isfinite(mean).all()
    assert np.isfinite(sd).all()
    assert (sd > 0).all()
    gain = worth(mean, sd, float(mean.min()), np.ones(1), np.ones(1))
    assert np.isfinite(gain).all()
    assert (gain >= 0).all()


def dense(V, levels):
    """The forecast with matrices: one normal distribution of each curve's values under each shape."""
    before, spread = np.array([0.0, 0.5]), np.diag([1.0, 0.5])
    ends, variances, evidence = np.zeros((3, len(V), len(shapes(levels))))
    for s, g in enumerate(shapes(levels)):
        m, S, v = before, spread, 0.01
        for _ in range(12):
            M, K, residue = np.zeros((len(V), 2)), np.zeros((2, 2)), 0.0
            for i, y in enumerate(V):
                k = np.flatnonzero(np.isfinite(y))
                X = np.column_stack([np.ones(len(k)), g[k]])
                cov = X @ S @ X.T + v * np.eye(len(k))
                gain = S @ X.T @ np.linalg.inv(cov)
                M[i], left = m + gain @ (y[k] - X @ m), S - gain @ X @ S
                evidence[i, s] = normal.logpdf(y[k], X @ m, cov)
                ends[i, s], variances[i, s] = M[i, 0], left[0, 0]
                residue += ((y[k] - X @ M[i]) ** 2).sum() + np.trace(X @ left @ X.T)
                K += left
            v = max((residue + 3 * 0.01) / (np.isfinite(V).sum() + 3), 1e-6)
            m = (M.sum(0) + 3 * before) / (len(V) + 3)
            S = (K + (M - m).T @ (M - m) + 3 * (spread + np.outer(before - m, before - m))) / (len(V) + 3)
    likelihood = np.exp(evidence - evidence.max(1, keepdims=True))
    weights = np.full_like(likelihood, 1 / likelihood.shape[1])
    for _ in range(4):
        weights = likelihood * (weights.sum(0) + 1) / (len(V) + likelihood.shape[1])
        weights /= weights.sum(1, keepdims=True)
    mean = (weights * ends).sum(1)
    return mean, np.sqrt((weights * (variances + (ends - mean[:, None]) ** 2)).sum(1))


@pytest.mark.parametrize("R", [2, 3, 5])
def test_the_forecast_is_that_of_dense_algebra(R):
    rng = np.random.default_rng(R)
    V = rng.standard_normal((6, R))
    V[np.arange(R) >= rng.integers(1, R + 1, 6)[:, None]] = np.nan
    for found, expected in zip(forecast(V, LEVELS[:R]), dense(V, LEVELS[:R]), strict=True):
        assert found == pytest.approx(expected, rel=1e-9)


def test_shapes_fall_from_one_to_nothing():
    g = shapes(LEVELS)
    assert len(g) == 16
    assert np.allclose(g[:, [0, -1]], [1, 0])
    assert (np.diff(g, axis=1) <= 0).all()


@pytest.mark.parametrize(
    "family",
    [lambda t, q: t ** -(0.2 + q), lambda t, q: np.exp(-t / (3 + 20 * q)), lambda t, q: np.exp(-((t / (5 + 30 * q)) ** 2))],
)  # fmt: skip
def test_curves_of_each_family_are_foreseen(family):
    """Forty curves, of which ten are known to their end: what the other thirty come to, from their first three rungs."""
    rng = np.random.default_rng(1)
    a, b, q = rng.standard_normal(40), rng.uniform(0.5, 2, 40), 0.3 + 0.05 * rng.random(40)
    V = a[:, None] + b[:, None] * family(LEVELS, q[:, None]) + 0.02 * rng.standard_normal((40, 5))
    ends = a + b * family(LEVELS[-1], q)
    V[10:, 3:] = np.nan
    mean, sd = forecast(V, LEVELS)
    error = mean[10:] - ends[10:]
    assert np.sqrt((error**2).mean()) < 0.4 * np.sqrt(((V[10:, 2] - ends[10:]) ** 2).mean()) + 0.05
    assert (np.abs(error) < 2 * sd[10:]).mean() > 0.75


def test_one_point_is_enough_and_more_of_them_make_it_surer():
    rng = np.random.default_rng(2)
    ends = rng.standard_normal(20)
    V = ends[:, None] + 1.5 / LEVELS
    V[5:, 1:] = np.nan
    mean, sd = forecast(V, LEVELS)
    assert np.corrcoef(mean[5:], ends[5:])[0, 1] > 0.95
    assert sd[:5].max() < sd[5:].min()


def test_worth_is_improvement_over_what_it_is_expected_to_cost():
    draws = np.random.default_rng(0).normal(0.3, 0.7, 200_000)
    gain, chance = np.maximum(0.1 - draws, 0).mean(), (draws < 0.1).mean()
    found = worth(np.array([0.3]), np.array([0.7]), 0.1, np.array([2.0]), np.array([24.0]))
    assert found[0] == pytest.approx(gain / (2 + chance * 24), rel=0.02)
