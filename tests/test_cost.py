"""A study that pays in time or money rather than in trials spends it where the improvement is worth its cost."""

import numpy as np
import pytest

import trimtab as tt
from trimtab.engine import problem
from trimtab.engine.matrix import cost_budget, rows
from trimtab.goals import Goal
from trimtab.records import Budget, Cost, Purpose, State, StudySpec, Trial
from trimtab.strategies import Problem, Rows, strategy
from trimtab.strategies.surrogate import logged

SPACE = tt.Space(x=tt.Float(0, 1), size=tt.Float(0, 1))


def spec(**budget):
    return StudySpec("s", SPACE, (Goal("loss", False),), budget=Budget(**budget))


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ({}, ("wall", None)),
        ({"time": "1m"}, ("wall", 60.0)),
        ({"cpu_hours": 0.5}, ("cpu", 1800.0)),
        ({"gpu_hours": 2}, ("gpu", 7200.0)),
        ({"cost": 12.5, "time": 60}, ("money", 12.5)),
        ({"cost": 12.5, "trials": 10}, ("money", None)),  # trials are what it plans with
        ({"kwh": 2.0}, ("energy", 2.0)),
    ],
)
def test_what_a_study_pays_in(budget, expected):
    made = spec(**budget)
    assert cost_budget(made) == expected
    assert problem(made).cost_budget == expected[1]


def test_rows_carry_the_cost_in_the_unit_of_the_budget():
    cost = Cost(wall=3.0, cpu=2.0, gpu=1.0, money=0.5, energy=0.25)
    how = {"purpose": Purpose.SEARCH, "params": {"x": 0.5, "size": 0.5}, "seed": 1, "metrics": {"loss": 1.0}}
    trial = Trial(1, 0, State.DONE, cost=cost, **how)
    budgets = ({}, {"time": 9}, {"cpu_hours": 9}, {"gpu_hours": 9}, {"cost": 9}, {"kwh": 9})
    assert [float(rows(spec(**b), [trial], None).cost[0]) for b in budgets] == [3.0, 3.0, 2.0, 1.0, 0.5, 0.25]


def search(cost_budget, trials):
    """Mean size and mean cost of the later settings: the loss says nothing of the size, which is all that costs."""
    made, given = strategy("gp"), Problem(SPACE, seed=1, cost_budget=cost_budget)
    state, sizes = made.init(given), []
    for k in range(trials):
        p = made.ask(state, SPACE.sample(0, np.random.default_rng(0)), 1, np.random.default_rng(k))[0]
        loss = (p.x[0] - 0.3) ** 2 + 0.3 * np.sin(20 * p.x[0]) + 0.3 * np.sin(15 * p.x[1])
        told = Rows(p.x[None], np.array([[loss]]), cost=np.exp(4 * p.x[1:2]))
        state = made.tell(state, told)
        sizes.append(p.x[1])
        assert "per cost" in p.why.get("acquisition", "per cost" if cost_budget else "") or cost_budget is None
    return float(np.mean(sizes[6:]))


def test_settings_that_cost_less_are_tried_more_while_the_budget_is_full():
    usual, thrifty = search(None, 30), search(1e6, 30)
    assert thrifty < usual - 0.05


def test_a_spent_budget_asks_for_no_thrift():
    made, none = strategy("gp"), SPACE.sample(0, np.random.default_rng(0))
    X = SPACE.sample(12, np.random.default_rng(1))
    told = Rows(X, np.sin(9 * X[:, :1]), cost=np.exp(4 * X[:, 1]))

    def value(cost_budget):
        state = made.tell(made.init(Problem(SPACE, seed=1, cost_budget=cost_budget)), told)
        return made.ask(state, none, 1, np.random.default_rng(0))[0]

    spent = float(told.cost.sum())
    assert np.array_equal(value(spent).x, value(spent / 2).x)  # spent twice over is spent
    assert value(None).why["acquisition"] in ("lcb", "log-ei")


@pytest.mark.parametrize(("waiting", "asked"), [(3, 1), (0, 4), (2, 2)])
def test_a_second_of_the_clock_pays_for_all_trials_that_run_at_once(waiting, asked):
    X = SPACE.sample(12 + waiting, np.random.default_rng(1))
    X, pending = X[:12], X[12:]
    cost = np.exp(4 * X[:, 1])

    def proposed(cost_is_time, share):
        told = Rows(X, np.sin(9 * X[:, :1]) - X[:, 1:], cost=share * cost)
        made, given = strategy("gp"), Problem(SPACE, seed=1, cost_budget=float(cost.sum()), cost_is_time=cost_is_time)
        proposals = made.ask(made.tell(made.init(given), told), pending, asked, np.random.default_rng(0))
        return np.stack([p.x for p in proposals])

    assert np.allclose(proposed(cost_is_time=True, share=1.0), proposed(cost_is_time=False, share=0.25), atol=1e-6)
    assert not np.allclose(proposed(cost_is_time=True, share=1.0), proposed(cost_is_time=False, share=1.0), atol=1e-6)


@pytest.mark.parametrize("cost", [np.zeros(0), np.zeros(5), np.ones(5), np.array([0.0, 1e-300, 1e300, 1.0])])
def test_odd_costs_stay_finite(cost):
    z, unit = logged(cost)
    assert np.isfinite(z).all()
    assert np.isfinite(unit)
    assert len(z) == len(cost)
