"""The densities of the Parzen estimator against scipy's, written down kernel by kernel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import kstest, norm, truncnorm

from trimtab.numerics.kde import LEAST, Columns, Mixture, bandwidths

some = settings(max_examples=40, deadline=None, derandomize=True)
seeds = st.integers(0, 2**32 - 1)
SMOOTH = Columns.of(np.array([np.inf]), np.array([False]))
MIXED = Columns.of(np.array([np.inf, 5.0, 100.0, 3.0, np.inf]), np.array([False, False, False, True, False]))


def rows(n: int, rng: np.random.Generator, inactive: float = 0.3) -> np.ndarray:
    """Rows of the mixed columns, many at the edges of the cube, coarse columns at cell centres."""
    X = rng.choice([0.0, 1.0, 0.5, 1e-9, np.nan], (n, 5))
    X = np.where(np.isnan(X), rng.random((n, 5)), X)
    for j, k in ((1, 5), (2, 100), (3, 3)):
        X[:, j] = (np.minimum(np.floor(X[:, j] * k), k - 1) + 0.5) / k
    return np.where(rng.random((n, 5)) < inactive, np.nan, X)


def widths(x: np.ndarray) -> np.ndarray:
    """Bandwidths of a column without NaN."""
    return bandwidths(x[None])[0]


def log_density_of_one(mixture: Mixture, i: int, x: np.ndarray) -> float:
    """Kernel i at the point x, by scipy."""
    total, smooth = 0.0, mixture.columns.smooth.tolist()
    for j in smooth:
        mu, sd = mixture.centres[j, i], mixture.widths[smooth.index(j), i]
        if not np.isnan(mu) and not np.isnan(x[j]):
            total += truncnorm.logpdf(x[j], -mu / sd, (1 - mu) / sd, mu, sd)
    for (j, k, ordered), table in zip(mixture.columns.coarse, mixture.tables, strict=True):
        mu = mixture.centres[j, i]
        if np.isnan(mu) or np.isnan(x[j]):
            continue
        here, there = int(mu * k), int(x[j] * k)
        if ordered:
            seen = np.unique(mixture.centres[j][~np.isnan(mixture.centres[j])])
            sd = widths(seen)[np.argmin(np.abs(seen - mu))]
            edges = norm.cdf(np.arange(k + 1) / k, mu, sd)
            share = np.diff(edges)[there] / (edges[-1] - edges[0])
        else:
            share = 0.9 if here == there else 0.1 / (k - 1)
        total += np.log(max(k * share, 1e-300))
        assert table.shape == (k, k + 1)
        assert not table[:, k].any()  # uniform where inactive
    return total


@some
@given(seed=seeds, n=st.integers(0, 12))
def test_log_density_is_that_of_the_kernels_one_by_one(seed, n):
    rng = np.random.default_rng(seed)
    weights = rng.random(n) + 0.01
    mixture = Mixture.fit(MIXED, rows(n, rng), weights)
    X = rows(6, rng)
    one_by_one = [[log_density_of_one(mixture, i, x) for i in range(n + 1)] for x in X]
    expected = np.logaddexp.reduce(np.array(one_by_one) + np.log(mixture.weights), axis=1)
    assert np.allclose(mixture.log_density(X), expected, rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("centre", [0.0, 1e-12, 0.03, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("company", [0, 3, 400])
def test_one_kernel_is_a_truncated_normal_up_to_the_edges(centre, company):
    X = np.append(centre, np.linspace(0, 1, company))[:, None]
    weights = np.append(1.0, np.zeros(company))
    mixture = Mixture.fit(SMOOTH, X, weights)
    sd = mixture.widths[0, 0]
    x = np.array([0.0, 1e-12, 0.25, centre, 1 - 1e-12, 1.0])
    kernel = truncnorm.pdf(x, -centre / sd, (1 - centre) / sd, centre, sd)
    prior = mixture.weights[-1]
    assert np.allclose(mixture.log_density(x[:, None]), np.log((1 - prior) * kernel + prior), rtol=1e-9, atol=1e-9)


@some
@given(seed=seeds, n=st.integers(1, 8))
def test_densities_integrate_to_one(seed, n):
    rng = np.random.default_rng(seed)
    mixture = Mixture.fit(SMOOTH, rng.random((n, 1)))
    mass = quad(lambda x: float(np.exp(mixture.log_density(np.array([[x]]))[0])), 0, 1, limit=200)[0]
    assert mass == pytest.approx(1.0, abs=1e-6)
    coarse = Columns.of(np.array([5.0, 3.0]), np.array([False, True]))
    cells = np.stack(np.meshgrid((np.arange(5) + 0.5) / 5, (np.arange(3) + 0.5) / 3), axis=-1).reshape(-1, 2)
    mixture = Mixture.fit(coarse, cells[rng.integers(0, 15, n)])
    assert np.exp(mixture.log_density(cells)).mean() == pytest.approx(1.0, abs=1e-12)


def test_no_rows_leave_the_uniform_prior():
    mixture = Mixture.fit(MIXED, np.empty((0, 5)))
    assert np.array_equal(mixture.log_density(rows(20, np.random.default_rng(0))), np.zeros(20))
    assert mixture.sample(50, np.random.default_rng(1)).min() >= 0


@some
@given(seed=seeds, n=st.integers(1, 30))
def test_bandwidths_follow_the_neighbours(seed, n):
    rng = np.random.default_rng(seed)
    M = np.where(rng.random((3, n)) < 0.3, np.nan, rng.choice([rng.random(), 0.0, 1.0, rng.random()], (3, n)))
    M[0] = rng.random(n)
    found = bandwidths(M)
    least = [max(LEAST, (1.0 + (~np.isnan(line)).sum()) ** -2) for line in M]
    for line, sd, lowest in zip(M, found, least, strict=True):
        active = np.flatnonzero(~np.isnan(line))
        for i in active:
            others = np.delete(line[active], np.flatnonzero(active == i))
            below, above = others[others <= line[i]], others[others > line[i]]
            if len(others) == 0:
                assert sd[i] == pytest.approx(np.clip(max(line[i], 1 - line[i]), lowest, 1))
            elif (others == line[i]).any():
                assert lowest <= sd[i] <= 1
            else:
                gaps = [
                    *(line[i] - below.max(initial=-9) for _ in below[:1]),
                    *(above.min() - line[i] for _ in above[:1]),
                ]
                assert sd[i] == pytest.approx(np.clip(max(gaps), lowest, 1))


def test_samples_have_the_density():
    rng = np.random.default_rng(3)
    centres = np.array([[0.0], [0.02], [0.6], [1.0]])
    mixture = Mixture.fit(SMOOTH, centres, np.array([1.0, 2.0, 1.0, 0.5]))
    drawn = mixture.sample(4000, rng)[:, 0]
    grid = np.linspace(0, 1, 20_001)
    density = np.exp(mixture.log_density(grid[:, None]))
    mass = np.append(0, np.cumsum((density[1:] + density[:-1]) / 2)) / 20_000
    assert kstest(drawn, lambda x: np.interp(x, grid, mass)).pvalue > 0.01
    cells = (np.arange(4) + 0.5) / 4
    for unordered in (False, True):
        coarse = Columns.of(np.array([4.0]), np.array([unordered]))
        mixture = Mixture.fit(coarse, cells[[0, 0, 3], None])
        drawn = mixture.sample(20_000, rng)[:, 0]
        share = [np.isclose(drawn, c).mean() for c in cells]
        assert np.allclose(share, np.exp(mixture.log_density(cells[:, None])) / 4, atol=0.015)


@some
@given(seed=seeds)
def test_inactive_columns_say_nothing(seed):
    rng = np.random.default_rng(seed)
    X, at = rows(7, rng, inactive=0.0), rows(4, rng, inactive=0.0)
    blank = X.copy()
    blank[:, [0, 3]] = np.nan
    elsewhere = at.copy()
    elsewhere[:, [0, 3]] = np.nan
    of_all, of_some = Mixture.fit(MIXED, X), Mixture.fit(MIXED, blank)
    assert np.allclose(of_all.log_density(elsewhere), of_some.log_density(elsewhere), atol=1e-10)
    assert np.allclose(of_some.log_density(at), of_some.log_density(elsewhere), atol=1e-10)


def test_many_kernels_far_away_stay_finite():
    X = np.full((3000, 40), 1e-9)
    columns = Columns.of(np.full(40, np.inf), np.full(40, False))
    mixture = Mixture.fit(columns, X)
    prior = np.log(mixture.weights[-1])
    assert mixture.log_density(np.ones((1, 40)))[0] == pytest.approx(prior)
    assert np.isfinite(mixture.log_density(np.zeros((1, 40)))).all()
