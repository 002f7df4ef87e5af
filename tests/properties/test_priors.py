"""The density that prior= of parameters says, and what a search makes of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

import trimtab as tt
from trimtab.strategies.priors import Prior

SPACE = tt.Space(
    x=tt.Float(0, 1, prior=(0.2, "high")),
    n=tt.Int(1, 100, log=True, prior=(10, "low")),
    k=tt.Choice("a", "b", "c", prior=("c", "medium")),
    w=tt.Float(0, 1, when={"k": "a"}, prior=0.9),
    free=tt.Float(0, 1),
)


@pytest.mark.parametrize("word", ["low", "medium", "high"])
@pytest.mark.parametrize("centre", [0.0, 0.37, 1.0])
def test_the_density_of_a_column_integrates_to_one(word, centre):
    prior = Prior.of(tt.Space(x=tt.Float(0, 1, prior=(centre, word))))
    total, _ = quad(lambda u: float(np.exp(prior.log_density(np.array([[u]]))[0][0])), 0, 1, points=[centre])
    assert abs(total - 1) < 1e-6


def test_the_density_of_a_choice_sums_to_one_and_favours_its_centre():
    prior = Prior.of(tt.Space(k=tt.Choice("a", "b", "c", prior=("c", "high"))))
    density = np.exp(prior.log_density(np.array([[1 / 6], [0.5], [5 / 6]]))[0])
    assert abs(density.mean() - 1) < 1e-12
    assert density[2] > density[0] == density[1] > 0


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_slopes_are_differences_and_inactive_columns_say_nothing(seed):
    X = SPACE.sample(5, np.random.default_rng(seed))
    prior, h = Prior.of(SPACE), 1e-6
    value, slope = prior.log_density(X)
    assert np.isfinite(value).all()
    for j in (0, 3, 4):  # continuous columns; the integer's is the same function
        up, down = X.copy(), X.copy()
        up[:, j], down[:, j] = X[:, j] + h, X[:, j] - h
        difference = (prior.log_density(up)[0] - prior.log_density(down)[0]) / (2 * h)
        assert np.allclose(difference, slope[:, j], atol=1e-4, rtol=1e-4)
    off = np.isnan(X[:, 3])
    assert (slope[off, 3] == 0).all()


@given(seed=st.integers(0, 2**32 - 1), index=st.integers(0, 40))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_the_design_is_legal_and_begins_with_the_centre(seed, index):
    space = SPACE.require("x < 0.9 or n > 3")
    X = Prior.of(space).design(space, index, seed)
    assert space.allowed(X).all()
    assert np.array_equal(space.snap(X), X, equal_nan=True)
    first = space.decode(X[:1])[0]
    assert (first["x"], first["n"], first["k"]) == (0.2, 10, "c")


def test_a_right_prior_is_found_at_once_and_a_wrong_one_is_dropped():
    def search(centre):
        space = tt.Space(x=tt.Float(0, 1, prior=(centre, "high")), y=tt.Float(0, 1, prior=(centre, "high")))
        study = tt.Study("s", space, minimize="loss", seed=1)
        study.run(lambda t: (t.params["x"] - 0.3) ** 2 + (t.params["y"] - 0.3) ** 2, trials=20, quiet=True)
        return [t.metrics["loss"] for t in study.trials]

    assert min(search(0.3)[:3]) < 1e-3
    assert min(search(0.9)) < 1e-2
    prior = Prior.of(tt.Space(x=tt.Float(0, 1, prior=(0.9, "high"))))
    X = np.linspace(0, 1, 12)[:, None]
    assert prior.power(X, X[:, 0]) > 0
    assert prior.power(X, -X[:, 0]) == 0
    assert prior.power(X[:5], -X[:5, 0]) > 0  # too few to judge


def test_no_prior_is_no_density():
    assert Prior.of(tt.Space(x=tt.Float(0, 1))) is None
