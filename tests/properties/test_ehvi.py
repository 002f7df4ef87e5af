"""Log expected hypervolume improvement against brute force, quadrature and values of BoTorch 0.18.1, also far out."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import ndtr

from trimtab.numerics import gp
from trimtab.numerics.acquisition import total, total_with_slope
from trimtab.numerics.ehvi import Boxes, Joint, boxes, log_ehvi
from trimtab.numerics.pareto import nondominated
from trimtab.testing.hypervolume import hypervolume

seeds = st.integers(0, 2**32 - 1)
some = settings(max_examples=40, deadline=None, derandomize=True)


def front(seed: int, grid: bool = False) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """Up to 15 rows of 2 or 3 goals, on a coarse grid (ties, equal rows) if wanted; a reference point; the generator."""
    rng = np.random.default_rng(seed)
    m, n = int(rng.integers(2, 4)), int(rng.integers(0, 16))
    Y = rng.integers(0, 5, (n, m)) / 4 if grid else rng.random((n, m))
    return Y, rng.choice([0.5, 1.0, 1.1], m), rng


def corners(region: Boxes) -> tuple[np.ndarray, np.ndarray]:
    """Low and high corners (K, m)."""
    levels = np.concatenate([np.full((len(region.levels), 1), -np.inf), region.levels], axis=1)
    return tuple(np.take_along_axis(levels, place, 1).T for place in (region.low, region.high))


def improvement(region: Boxes, y: np.ndarray) -> float:
    low, high = corners(region)
    return float(np.maximum(high - np.maximum(low, y), 0).prod(1).sum())


@some
@given(seed=seeds, grid=st.booleans())
def test_boxes_fill_what_the_front_leaves(seed, grid):
    Y, reference, rng = front(seed, grid)
    region = boxes(Y, reference)
    before = hypervolume(Y, reference)
    for y in rng.uniform(-0.2, 1.1, (10, len(reference))):
        assert improvement(region, y) == pytest.approx(hypervolume(np.vstack([Y, y]), reference) - before, abs=1e-12)


@some
@given(seed=seeds)
def test_boxes_are_disjoint_and_few(seed):
    Y, reference, _ = front(seed, grid=True)
    low, high = corners(boxes(Y, reference))
    assert (low < high).all()
    for i in range(len(low)):
        shared = (np.maximum(low, low[i]) < np.minimum(high, high[i])).all(1)
        assert np.flatnonzero(shared).tolist() == [i]
    inside = np.unique(Y[(reference > Y).all(1)], axis=0)
    assert len(low) <= 2 * nondominated(inside).sum() + 1


@some
@given(seed=seeds)
def test_the_expectation_is_the_mean_over_many_draws(seed):
    Y, reference, rng = front(seed)
    m = len(reference)
    mean, sd = rng.uniform(-0.3, 1, (m, 1)), rng.uniform(0.01, 0.5, (m, 1))
    region = boxes(Y, reference)
    draws = mean[:, 0] + sd[:, 0] * rng.standard_normal((4000, m))
    low, high = corners(region)
    found = np.maximum(high - np.maximum(low, draws[:, None]), 0).prod(2).sum(1)
    error = found.std() / math.sqrt(len(found))
    assert math.exp(log_ehvi(mean, sd**2, region).value[0]) == pytest.approx(found.mean(), abs=5 * error + 1e-4)


BOTORCH = [  # goals, points, seed of the front; mean, sd; log of ExpectedHypervolumeImprovement with reference 1
    (2, 8, 1, [0.13, 0.4], [0.11, 0.14], -2.1696898064747407),
    (2, 8, 1, [-0.87, -0.6], [0.11, 0.14], 0.8766347421957),
    (3, 8, 2, [0.32, 0.92, 0.47], [0.36, 0.06, 0.06], -5.758455555488331),
    (3, 8, 2, [-0.68, -0.08, -0.53], [0.36, 0.06, 0.06], 0.784969640956571),
    (2, 20, 3, [0.83, 0.66], [0.35, 0.42], -5.307943621550514),
    (3, 20, 4, [0.5, 0.96, 0.9], [0.21, 0.16, 0.41], -7.214048736676081),
    (3, 20, 4, [-0.5, -0.04, -0.1], [0.21, 0.16, 0.41], 0.32686534836065023),
]
FAR = [  # the same with 60 digits by mpmath, where double precision cancels (BoTorch has -80.67 for the second)
    (2, 8, 1, [0.96, 1.32], [0.11, 0.14], -33.415000073986605),
    (3, 8, 2, [1.9, 1.6, 1.15], [0.36, 0.06, 0.06], -85.30773958170712),
    (2, 20, 3, [2.38, 2.42], [0.35, 0.42], -33.330355886747159),
    (3, 20, 4, [1.63, 1.94, 2.63], [0.21, 0.16, 0.41], -54.697258237953568),
    (3, 20, 4, [3, 1.94, 2.63], [0.021, 0.16, 0.41], -4596.7634599903397),
    (2, 20, 4, [3, 1.94], [0.003, 0.016], -229013.55195394982),
    (2, 20, 4, [3, 0.1], [0.001, 0.0016], -2000113.5804339716),
]


@pytest.mark.parametrize("case", BOTORCH + FAR, ids=str)
def test_values_of_botorch_and_of_many_digits(case):
    m, n, seed, mean, sd, expected = case
    Y = np.random.default_rng(seed).random((n, m)).round(2)
    found = log_ehvi(np.array(mean)[:, None], np.array(sd)[:, None] ** 2, boxes(Y, np.ones(m)))
    assert found.value[0] == pytest.approx(expected, rel=1e-11)


def log_improvement(z: float) -> float:
    """log h(z), z < -20, by Gauss-Laguerre quadrature of t exp(z t - t^2 / 2)."""
    u, w = np.polynomial.laguerre.laggauss(40)
    return -z * z / 2 - math.log(2 * math.pi) / 2 + math.log((w * u * np.exp(-((u / z) ** 2) / 2)).sum() / z**2)


@pytest.mark.parametrize("z", [30.0, 300.0, 1e4, 1e8])
@pytest.mark.parametrize("m", [2, 3])
def test_far_out_the_logarithm_is_still_exact(m, z):
    """Without a front there is one box, whose sides are independent."""
    value = log_ehvi(np.full((m, 1), z), np.ones((m, 1)), boxes(np.empty((0, m)), np.zeros(m))).value[0]
    assert value == pytest.approx(m * log_improvement(-z), rel=1e-9)


@pytest.mark.parametrize("sd", [1e-9, 1e-5, 1e-2])
def test_a_certain_point_has_its_own_improvement(sd):
    Y, reference = np.array([[0.2, 0.6, 0.4], [0.5, 0.3, 0.5], [0.6, 0.6, 0.1]]), np.ones(3)
    better, worse = np.array([[0.3], [0.31], [0.3]]), np.array([[0.7], [0.7], [0.7]])
    region, var = boxes(Y, reference), np.full((3, 1), sd * sd)
    gain = hypervolume(np.vstack([Y, better.T]), reference) - hypervolume(Y, reference)
    assert math.exp(log_ehvi(better, var, region).value[0]) == pytest.approx(gain, abs=2 * sd)
    found = log_ehvi(worse, var, region)
    assert found.value[0] == pytest.approx(
        -0.5 * (0.1**2 + 0.2**2) / sd**2, rel=0.2
    )  # the nearest way out of the front
    assert all(np.isfinite(part).all() for part in found)


def test_quadrature_of_the_region():
    """EHVI is the integral of P(y_1 <= s) P(y_2 <= t) over the region: by nested adaptive quadrature."""
    Y, mean, sd = np.array([[0.2, 0.7], [0.5, 0.4], [0.8, 0.1]]), [0.6, 0.5], [0.2, 0.1]

    def P(j: int, t: float) -> float:
        return float(ndtr((t - mean[j]) / sd[j]))

    strips = [(-2.0, 0.2, 1.0), (0.2, 0.5, 0.7), (0.5, 0.8, 0.4), (0.8, 1.0, 0.1)]
    exact = sum(quad(lambda s: P(0, s), a, b)[0] * quad(lambda t: P(1, t), -2, top)[0] for a, b, top in strips)
    found = log_ehvi(np.array(mean)[:, None], np.array(sd)[:, None] ** 2, boxes(Y, np.ones(2))).value[0]
    assert found == pytest.approx(math.log(exact), rel=1e-9)


@some
@given(seed=seeds)
def test_derivatives_match_differences(seed):
    Y, reference, rng = front(seed)
    m, region = len(reference), boxes(Y, reference)
    mean, var = rng.uniform(-0.3, 1.3, (m, 1)), rng.uniform(0.05, 0.6, (m, 1)) ** 2
    _, by_mean, by_var = log_ehvi(mean, var, region)
    for j in range(m):
        step = 1e-6 * (np.arange(m) == j)[:, None]
        up, down = (log_ehvi(mean + h, var, region).value[0] for h in (step, -step))
        assert by_mean[j, 0] == pytest.approx((up - down) / 2e-6, rel=1e-4, abs=1e-5)
        up, down = (log_ehvi(mean, var + h * 0.1, region).value[0] for h in (step, -step))
        assert by_var[j, 0] == pytest.approx((up - down) / 2e-7, rel=1e-3, abs=1e-4)


@some
@given(seed=seeds)
def test_nothing_is_ever_infinite_or_nan(seed):
    Y, reference, rng = front(seed, grid=True)
    m = len(reference)
    mean = rng.standard_normal((m, 50)) * 10 ** rng.uniform(-3, 9, (m, 50))
    var = 10 ** rng.uniform(-12, 12, (m, 50))
    found = log_ehvi(mean, var, boxes(Y, reference))
    assert all(np.isfinite(part).all() for part in found)
    assert (found.by_mean <= 1e-9 * np.abs(found.by_mean).max()).all()  # a better mean is never worse


@some
@given(seed=seeds)
def test_the_slope_of_a_joint_term_matches_differences(seed):
    rng = np.random.default_rng(seed)
    X, groups = rng.random((15, 3)), np.array([0, 1, 1])
    parts = tuple(
        gp.condition(gp.Data(X, rng.standard_normal(15), np.ones(15), groups), rng.uniform(-1, 0.7, 5))
        for _ in range(2)
    )
    region = boxes(rng.standard_normal((6, 2)), np.ones(2))
    terms = [(Joint(parts), lambda mean, var: log_ehvi(mean, var, region))]
    x = rng.random((1, 3))
    value, slope = total_with_slope(terms, x)
    assert value == total(terms, x)
    for j in range(3):
        h = 1e-6 * (np.arange(3) == j)
        expected = (total(terms, x + h) - total(terms, x - h))[0] / 2e-6
        assert slope[0, j] == pytest.approx(expected, rel=1e-4, abs=1e-4)
    single = total([(Joint(parts).single(), terms[0][1])], x)
    assert single == pytest.approx(value, abs=0.1 * max(1, abs(value[0])))
