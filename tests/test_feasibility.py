"""Where nothing that keeps the limits is known, the search finds something that does."""

import numpy as np
import pytest

import trimtab as tt
from trimtab.strategies import Problem, Rows, strategy

SQUARE = tt.Space(x=tt.Float(0.0, 1.0), y=tt.Float(0.0, 1.0))
NONE = np.empty((0, 2))


def asked(X: np.ndarray, C: np.ndarray):
    """What `gp` proposes after the settings X (n, 2) with the constraints C (n, k)."""
    made, n = strategy("gp"), len(X)
    state = made.init(Problem(SQUARE, constraints=C.shape[1]))
    state = made.tell(state, Rows(X, X[:, 1:], C, np.ones(n)))
    return made.ask(state, NONE, 1, np.random.default_rng(0))[0]


@pytest.mark.parametrize(("n", "sought"), [(14, "feasibility"), (15, "violation")])
def test_feasibility_and_less_violation_are_sought_in_turn(n, sought):
    X = SQUARE.sample(n, np.random.default_rng(1))
    X[:, 0] = 0.2 + 0.8 * X[:, 0]
    proposal = asked(X, X[:, :1] - 0.1)
    assert proposal.why["acquisition"] == sought
    assert proposal.x[0] < X[:, 0].min()


def test_of_several_limits_those_that_are_broken_are_sought_and_the_others_kept():
    X = SQUARE.sample(15, np.random.default_rng(1))
    X[:, 0] = 0.2 + 0.8 * X[:, 0]
    C = np.stack([X[:, 0] - 0.1, X[:, 1] - 0.5], axis=1)
    proposal = asked(X, C)
    assert proposal.why["acquisition"] == "violation"
    assert proposal.x[0] < X[:, 0].min()
    assert proposal.x[1] < 0.6


@pytest.mark.parametrize("seed", range(6))
def test_a_small_island_is_found(seed):
    """Two islands of a fiftieth of the square together, away from its edges, where a model is least sure."""
    study = tt.Study("islands", SQUARE, minimize="y", subject_to=["sea <= 0"], seed=seed, budget=tt.Budget(trials=40))

    def objective(trial):
        x, y = 6 * trial.params["x"], 6 * trial.params["y"]
        return {"y": y, "sea": np.sin(x) * np.sin(y) + 0.95}

    study.run(objective, quiet=True)
    assert study.feasible(study.best)


@pytest.mark.parametrize("strategy", ["gp", "tpe", "cma", "forest"])
def test_a_limit_that_no_baseline_sets_does_not_keep_the_search_from_its_goal(strategy):
    """The baseline fails: what is relative to it is never known, while the other limit is."""
    limits = ["size <= 0.9", "loss <= 2 * baseline"]
    start = {"x": 1.0, "y": 1.0}
    study = tt.Study("s", SQUARE, minimize="loss", subject_to=limits, baseline=start, strategy=strategy, seed=1)

    def objective(trial):
        if trial.number == 0:
            raise RuntimeError("no baseline")
        return {"size": trial.params["x"], "loss": trial.params["y"]}

    study.run(objective, trials=41, quiet=True)
    losses = [t.metrics["loss"] for t in study.trials[1:]]
    assert np.mean(losses[20:]) < 0.8 * np.mean(losses[:10])
    assert not {t.why.get("acquisition") for t in study.trials} & {"feasibility", "violation"}


@pytest.mark.parametrize("name", ["gp", "tpe", "cma", "evolution", "forest", "nsga2"])
def test_the_unit_in_which_a_limit_is_measured_does_not_matter(name):
    """Milliseconds or seconds, bytes or gigabytes: what breaks several limits is judged in their own units."""
    X = SQUARE.sample(40, np.random.default_rng(1))
    C = np.stack([0.9 - X[:, 0], 0.8 - X[:, 1], X.sum(1) - 0.5], axis=1)
    found = []
    for units in ([1.0, 1.0, 1.0], [2.0**30, 1.0, 2.0**-20]):
        made = strategy(name)
        state = made.init(Problem(SQUARE, constraints=3, seed=1))
        state = made.tell(state, Rows(X, X[:, 1:], C * units, np.ones(40)))
        found.append([p.x.tolist() for p in made.ask(state, NONE, 2, np.random.default_rng(0))])
    assert found[0] == found[1]
