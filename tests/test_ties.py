"""A search whose best results tie looks for a whole step of improvement, instead of ever smaller ones where it stands."""

import random

import numpy as np
import pytest

import trimtab as tt
from trimtab.strategies import Problem, Rows, strategy

SPACE = tt.Space(C=tt.Float(1e-10, 1e10, log=True), degree=tt.Int(1, 5))
NONE = np.empty((0, 2))


def acquisition(y, pending=NONE):
    """What `gp` maximises after these results of random settings."""
    made, X = strategy("gp"), SPACE.sample(len(y), np.random.default_rng(0))
    state = made.tell(made.init(Problem(SPACE, seed=1)), Rows(X, np.array(y)[:, None]))
    return made.ask(state, pending, 1, np.random.default_rng(0))[0].why["acquisition"]


RESULTS = [0.3, 0.25, 0.4, 0.35, 0.5, 0.45, 0.3]


@pytest.mark.parametrize(
    ("best", "maximised"),
    [
        ([0.2, 0.1, 0.15], "lcb"),
        ([0.1, 0.2, 0.1], "lcb"),
        ([0.1, 0.1, 0.1], "log-ei"),
        ([0.1, 0.1 + 1e-15, 0.1 - 1e-15], "log-ei"),  # equal but for rounding, as means over folds are
        ([0.1, 0.1001, 0.1002], "lcb"),
    ],
)
def test_three_equal_best_results_are_a_tie(best, maximised):
    assert acquisition([*RESULTS[:-1], *best, RESULTS[-1]]) == maximised


def test_while_trials_are_pending_a_tie_leaves_one_bound_in_four():
    pending = SPACE.sample(8, np.random.default_rng(1))
    tied = [acquisition([*RESULTS, 0.1, 0.1, 0.1], pending[:n]) for n in range(1, 9)]
    assert tied == ["lcb" if (10 + n) % 4 == 3 else "log-ei" for n in range(1, 9)]
    assert acquisition([*RESULTS, 0.2, 0.1, 0.1], pending[:3]) == "lcb"


def test_results_that_are_all_equal_are_searched_as_any_others():
    assert acquisition([0.5] * 10) == "lcb"


def error(params):
    """Of a support-vector machine on few rows: two plateaus, and a narrow range between them where it is best."""
    at = np.log10(params["C"])
    return 0.067 if at < -1 else 0.02 if 0 < at < 1.2 else 0.04 if at < 2.5 else 0.06


def best_of(trials, seed, pending):
    """The least error that `gp` finds while so many trials run at once, of which any may end next."""
    study = tt.Study("svm", SPACE, minimize="error", seed=seed, strategy="gp", budget=tt.Budget(trials=trials))
    order, running, started, best = random.Random(seed), [], 0, np.inf
    for _ in range(trials):
        while len(running) < pending + 1 and started < trials:
            running.append(study.ask())
            started += 1
        trial = running.pop(order.randrange(len(running)))
        study.tell(trial, error(trial.params))
        best = min(best, error(trial.params))
    return best


@pytest.mark.parametrize("pending", [0, 3])
def test_a_plateau_of_equal_results_is_left(pending):
    """Without the step, 6 of these 16 searches do not leave it, and 4 while three others run."""
    assert sum(best_of(25, seed, pending) == 0.02 for seed in range(16)) >= 15
