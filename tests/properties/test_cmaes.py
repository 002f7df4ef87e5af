"""CMA-ES against independent oracles: the tutorial's update written as loops, sampling frequencies, exact margins."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import inv, sqrtm
from scipy.stats import norm

from trimtab.numerics import cmaes
from trimtab.space import Choice, Float, Int, Space
from trimtab.strategies import Problem, Rows, strategy
from trimtab.strategies.cma import ranked
from trimtab.strategies.coordinates import Coordinates

seeds = st.integers(0, 2**32 - 1)
some = settings(max_examples=25, deadline=None, derandomize=True)
NO_CATEGORY = np.empty(0, dtype=np.intp)
EVERYWHERE = (-np.inf, np.inf)


def reals(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.full_like(v, -np.inf), np.full_like(v, np.inf)


def steps(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ten cells in [0, 1]."""
    i = np.clip(np.floor(v * 10), 0, 9)
    return np.where(i > 0, i / 10, -np.inf), np.where(i < 9, (i + 1) / 10, np.inf)


def random_distribution(rng: np.random.Generator, n: int, options: np.ndarray = NO_CATEGORY) -> cmaes.Distribution:
    A = rng.standard_normal((n, n))
    return cmaes.start(rng.random(n), (A @ A.T / n + 0.1 * np.eye(n)) * 0.1, options)


@some
@given(seed=seeds, n=st.integers(1, 6), lam=st.integers(4, 20))
def test_two_updates_follow_the_tutorial(seed, n, lam):
    """Equations 38 to 58 of Hansen (2016), member by member, with matrix functions instead of an eigenbasis."""
    rng = np.random.default_rng(seed)
    dist = random_distribution(rng, n)
    m, sigma, C, ps, pc = dist.mean, dist.sigma, dist.C, np.zeros(n), np.zeros(n)

    raw = [math.log((lam + 1) / 2) - math.log(i) for i in range(1, lam + 1)]
    mu = lam // 2
    mueff = sum(raw[:mu]) ** 2 / sum(w * w for w in raw[:mu])
    mueff_minus = sum(raw[mu:]) ** 2 / sum(w * w for w in raw[mu:])
    c1 = 2 / ((n + 1.3) ** 2 + mueff)
    cmu = min(1 - c1 - 1e-8, 2 * (mueff - 2 + 1 / mueff) / ((n + 2) ** 2 + 2 * mueff / 2))
    bound = min(1 + c1 / cmu, 1 + 2 * mueff_minus / (mueff + 2), (1 - c1 - cmu) / (n * cmu))
    plus, minus = sum(w for w in raw if w > 0), -sum(w for w in raw if w < 0)
    weights = [w / plus if w >= 0 else bound * w / minus for w in raw]
    cs = (mueff + 2) / (n + mueff + 5)
    ds = 1 + 2 * max(0, math.sqrt((mueff - 1) / (n + 1)) - 1) + cs
    cc = (4 + mueff / n) / (n + 4 + 2 * mueff / n)
    chi = math.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n))

    for g in range(2):
        V = m + sigma * rng.multivariate_normal(np.zeros(n), C, lam)
        dist = cmaes.update(dist, V, np.empty((lam, 0)), np.zeros(lam, dtype=bool), reals, 0.1, EVERYWHERE)
        ys = [(v - m) / sigma for v in V]
        root = inv(np.real(sqrtm(C)))
        yw = sum(w * y for w, y in zip(weights[:mu], ys[:mu], strict=True))
        m = m + sigma * yw
        ps = (1 - cs) * ps + math.sqrt(cs * (2 - cs) * mueff) * root @ yw
        h = np.linalg.norm(ps) / math.sqrt(1 - (1 - cs) ** (2 * (g + 1))) < (1.4 + 2 / (n + 1)) * chi
        sigma = sigma * math.exp(min(1, cs / ds * (np.linalg.norm(ps) / chi - 1)))
        pc = (1 - cc) * pc + h * math.sqrt(cc * (2 - cc) * mueff) * yw
        total = (1 + c1 * (1 - h) * cc * (2 - cc) - c1 - cmu * sum(weights)) * C + c1 * np.outer(pc, pc)
        for w, y in zip(weights, ys, strict=True):
            total = total + cmu * (w if w >= 0 else w * n / np.linalg.norm(root @ y) ** 2) * np.outer(y, y)
        C = total
        assert dist.mean == pytest.approx(m, rel=1e-7)
        assert dist.sigma == pytest.approx(sigma, rel=1e-7)
        assert dist.path_sigma == pytest.approx(ps, rel=1e-6, abs=1e-9)
        assert np.allclose(dist.C, C, rtol=1e-6, atol=1e-9)


@some
@given(seed=seeds)
def test_the_covariance_stays_positive_definite(seed):
    rng = np.random.default_rng(seed)
    dist = random_distribution(rng, 4)
    for _ in range(30):
        V = cmaes.sample(dist, 8, rng)[0]
        V = V[rng.permutation(8)]
        dist = cmaes.update(dist, V, np.empty((8, 0)), rng.random(8) < 0.2, reals, 0.1, EVERYWHERE)
        assert np.linalg.eigvalsh(dist.C).min() > 0


@some
@given(seed=seeds, n=st.integers(1, 5))
def test_integers_keep_their_margin(seed, n):
    """Hamano et al. (2022): at least alpha/2 beyond each edge of an inner cell, alpha at the end of a range."""
    rng = np.random.default_rng(seed)
    dist, lam = cmaes.start(rng.random(n), np.eye(n) * 1e-8, NO_CATEGORY), 8
    for _ in range(5):
        V = cmaes.sample(dist, lam, rng)[0]
        dist = cmaes.update(dist, V, np.empty((lam, 0)), np.zeros(lam, dtype=bool), steps, 0.1, EVERYWHERE)
        low, up = steps(dist.mean)
        below, above = norm.cdf((low - dist.mean) / dist.sd), norm.sf((up - dist.mean) / dist.sd)
        inner, alpha = np.isfinite(low) & np.isfinite(up), 1 / (n * lam)
        assert (np.minimum(below, above)[inner] >= alpha / 2 - 1e-7).all()
        assert ((below + above)[~inner] >= alpha - 1e-7).all()


def test_a_distribution_that_has_its_margin_is_left_alone():
    rng = np.random.default_rng(0)
    dist, V = cmaes.start(np.full(3, 0.52), np.eye(3) * 0.04, NO_CATEGORY), rng.normal(0.52, 0.2, (8, 3))
    none, members = np.zeros(8, dtype=bool), np.empty((8, 0))
    free, kept = (cmaes.update(dist, V, members, none, edges, 0.1, EVERYWHERE) for edges in (reals, steps))
    assert kept.mean == pytest.approx(free.mean)
    assert kept.sd == pytest.approx(free.sd)


@some
@given(seed=seeds)
def test_categories_stay_probabilities_above_their_floor(seed):
    rng = np.random.default_rng(seed)
    options = rng.integers(2, 6, rng.integers(1, 5))
    dist, alpha = cmaes.start(np.empty(0), np.empty((0, 0)), options), cmaes.margin(0, len(options))
    for _ in range(40):
        V, Z = cmaes.sample(dist, 6, rng)
        assert (options - Z).min() > 0
        dist = cmaes.update(
            dist, V, Z[np.argsort(Z.sum(1), kind="stable")], np.zeros(6, dtype=bool), reals, alpha, EVERYWHERE
        )
        assert dist.q.sum(1) == pytest.approx(np.ones(len(options)))
        for q, k in zip(dist.q, options, strict=True):
            assert q[:k].min() >= alpha / (k - 1) * (1 - 1e-9)
            assert (q[k:] == 0).all()
    assert (dist.q.argmax(1) == 0).mean() >= 0.5  # the sum of the options was minimised


def test_one_categorical_step_is_the_natural_gradient_of_length_one():
    """q + g / |F^(1/2) g|, with the Fisher norm of q in its full form: sum g^2 / q."""
    dist = cmaes.start(np.empty(0), np.empty((0, 0)), np.array([3, 3]))
    Z = np.array([[0, 1], [0, 0], [1, 1], [2, 2]])
    slope = sum(w * (np.eye(3)[z] - 1 / 3) for w, z in zip(cmaes.rates(1, 4).weights[:2], Z[:2], strict=True))
    target = dist.q + slope / math.sqrt((slope**2 / dist.q).sum())
    found = cmaes.update(dist, np.empty((4, 0)), Z, np.zeros(4, dtype=bool), reals, 1e-9, EVERYWHERE).q
    target = np.maximum(target, 1e-9)
    assert found == pytest.approx(target / target.sum(1, keepdims=True), abs=1e-6)


def test_samples_have_the_moments_of_the_distribution():
    rng = np.random.default_rng(3)
    dist = random_distribution(rng, 3, np.array([2, 4]))
    V, Z = cmaes.sample(dist, 40_000, rng)
    assert V.mean(0) == pytest.approx(dist.mean, abs=0.01)
    assert np.cov(V.T) == pytest.approx(dist.sigma**2 * dist.C, abs=0.01)
    assert np.bincount(Z[:, 1]) / len(Z) == pytest.approx(np.full(4, 0.25), abs=0.01)


def test_a_member_from_elsewhere_moves_the_mean_no_further_than_usual():
    dist = cmaes.start(np.full(2, 0.5), np.eye(2) * 1e-4, NO_CATEGORY)
    V = np.vstack([[[0.99, 0.99]], np.random.default_rng(0).normal(0.5, 0.01, (5, 2))])
    foreign = np.arange(6) == 0
    near, far = (
        cmaes.update(dist, V, np.empty((6, 0)), f, reals, 0.1, EVERYWHERE).mean for f in (foreign, foreign & False)
    )
    longest = dist.sigma * (math.sqrt(2) + 2 * 2 / 4)
    assert np.linalg.norm(near - 0.5) <= longest < np.linalg.norm(far - 0.5)


MIXED = Space(
    x=Float(-5, 5), n=Int(1, 10), k=Int(1, 10**6, log=True), c=Choice("a", "b", "c"), o=Choice(1, 2, 3, ordered=True)
)


@some
@given(seed=seeds)
def test_coordinates_hold_every_point_and_edges_enclose_its_cell(seed):
    coordinates, X = Coordinates.of(MIXED), MIXED.sample(20, np.random.default_rng(seed))
    V, Z = coordinates.parts(X, np.full(4, 0.5), np.zeros(1, dtype=np.intp))
    assert np.array_equal(MIXED.snap(coordinates.rows(V, Z)), X)
    for x, v, z in zip(X, V, Z, strict=True):
        low, up = coordinates.edges(v)
        assert (low < v).all()
        assert (v < up).all()
        inside = np.stack([np.where(np.isinf(e), v, e + side) for e, side in ((low, 1e-9), (up, -1e-9))])
        beyond = np.stack([np.where(np.isinf(e), v, e - side) for e, side in ((low, 1e-9), (up, -1e-9))])
        assert MIXED.keys(MIXED.snap(coordinates.rows(inside, np.stack([z, z])))) == [MIXED.key(x)] * 2
        moved = MIXED.snap(coordinates.rows(beyond, np.stack([z, z])))[:, coordinates.numbers] != v
        assert np.array_equal(moved, np.isfinite(np.stack([low, up])))


def search(problem: Problem, goal, n: int, before: Rows | None = None, waiting: int = 0) -> tuple[Rows, object]:
    """n results of CMA, `waiting` proposals always on their way; and the last state."""
    made, rng = strategy("cma"), np.random.default_rng(problem.seed)
    state = made.tell(made.init(problem), before) if before is not None else made.init(problem)
    rows = before if before is not None else Rows.empty(len(problem.space), 1, 0)
    pending = np.empty((0, len(problem.space)))
    for _ in range(n):
        asked = made.ask(state, pending, waiting + 1 - len(pending), rng)
        pending = np.concatenate([pending, np.stack([p.x for p in asked])])
        i = rng.integers(len(pending))
        new = told(pending[i : i + 1], goal)
        pending = np.delete(pending, i, axis=0)
        state, rows = made.tell(state, new), rows + new
    return rows, state


def told(X: np.ndarray, goal) -> Rows:
    return Rows(X, goal(np.nan_to_num(X, nan=0.5))[:, None])


REALS = Space({f"x{i}": Float(0, 1) for i in range(4)})


def bowl(X: np.ndarray) -> np.ndarray:
    return ((X - 0.37) ** 2).sum(1)


@pytest.mark.parametrize("waiting", [0, 3, 7])
def test_it_converges_whatever_the_order_of_results(waiting):
    rows, state = search(Problem(REALS, seed=2), bowl, 400, waiting=waiting)
    assert rows.Y.min() < 1e-4
    assert state.now.dist.sigma < 0.05


def test_rows_from_elsewhere_warm_start_it_and_do_not_stop_it():
    problem = Problem(REALS, seed=1)
    X = np.clip(np.random.default_rng(0).normal(0.37, 0.02, (200, 4)), 0, 1)
    rows, state = search(problem, bowl, 24, told(X, bowl))
    assert state.now.origin >= 184  # begun after all but the last incomplete part of them
    assert bowl(rows.X[200:]).mean() < bowl(REALS.sample(200, np.random.default_rng(0))).mean() / 4
    guest = told(np.full((1, 4), 0.37), bowl)
    assert strategy("cma").tell(state, guest).now.guest == len(rows)


def test_a_generation_whose_trials_all_fail_leaves_the_distribution_alone():
    rows, state = search(Problem(REALS), lambda X: np.full(len(X), np.nan), 40)
    assert np.array_equal(state.now.dist.mean, np.full(4, 0.5))
    assert state.now.number == 40 // state.now.lam
    assert len(set(REALS.keys(rows.X))) == 40


def test_a_converged_search_starts_again_with_twice_the_population():
    _, state = search(Problem(Space(x=Float(0, 1)), seed=4), bowl, 250)
    assert state.now.restarts >= 1
    assert state.now.lam == 4 * 2 ** min(state.now.restarts, 6)


def test_known_results_stand_for_trials_where_points_are_few():
    space = Space({f"c{i}": Choice(0, 1, 2) for i in range(4)})
    rows, state = search(Problem(space, seed=3), lambda X: (np.floor(X * 3) != 1).sum(1).astype(float), 60)
    assert rows.Y.min() == 0
    assert state.now.number > 60 // state.now.lam  # generations that needed fewer trials than they have members


def test_the_order_puts_feasible_rows_first_and_failed_ones_last():
    Y = np.array([[np.nan], [1.0], [5.0], [0.0], [3.0], [-9.0]])
    C = np.array([[np.nan], [2.0], [-1.0], [0.5], [0.0], [np.nan]])
    rows = Rows(np.zeros((6, 4)), Y, C)
    assert ranked(Problem(REALS, constraints=1), rows, range(6)).tolist() == [4, 2, 3, 1, 5, 0]


@some
@given(seed=seeds, n=st.integers(1, 5))
def test_the_mean_stays_in_the_box_and_steps_against_its_walls_are_no_progress(seed, n):
    rng = np.random.default_rng(seed)
    dist, none = random_distribution(rng, n), np.zeros(8, dtype=bool)
    box = (np.zeros(n), np.ones(n))
    for _ in range(5):
        V = cmaes.sample(dist, 8, rng)[0]
        V = V[np.argsort(V.sum(1), kind="stable")]
        dist = cmaes.update(dist, V, np.empty((8, 0)), none, reals, 0.1, box)
        assert (dist.mean >= 0).all()
        assert (dist.mean <= 1).all()
    still = replace(dist, mean=np.zeros(n), path_sigma=np.zeros(n), path_c=np.zeros(n))
    down = still.mean - still.sd * rng.random((8, n))
    after = cmaes.update(still, down, np.empty((8, 0)), none, reals, 0.1, box)
    assert not after.mean.any()
    assert not after.path_sigma.any()
    assert after.sigma < still.sigma


@pytest.mark.parametrize("corner", [0.0, 1.0])
def test_an_optimum_in_a_corner_is_met_exactly(corner):
    space = Space({f"x{i}": Float(0, 1) for i in range(6)})
    made = strategy("cma")
    state = made.init(Problem(space, seed=3))
    for turn in range(60):
        X = np.stack([p.x for p in made.ask(state, np.empty((0, 6)), 10, np.random.default_rng(turn))])
        loss = ((X - corner) ** 2 @ np.arange(1.0, 7.0))[:, None]
        if not loss.min():
            break
        state = made.tell(state, Rows(X, loss))
    assert loss.min() == 0
