"""Whose turn it is in `auto`: the model's, or that of a second opinion."""

from dataclasses import replace

import numpy as np
import pytest

from trimtab.space import Choice, Float, Int, Space
from trimtab.strategies import Problem, Rows, Source, strategy
from trimtab.strategies.auto import _TURN

SPACE = Space(x=Float(0, 1), y=Int(1, 50), kind=Choice("a", "b", "c"))
AUTO = strategy("auto")
NOBODY = np.empty((0, 3))


def told(problem: Problem, n: int) -> object:
    X = SPACE.sample(n, np.random.default_rng(0))
    Y = np.repeat(((X - 0.4) ** 2).sum(1, keepdims=True), problem.goals, axis=1)
    C = np.full((n, problem.constraints), -1.0)
    return AUTO.tell(AUTO.init(problem), Rows(X, Y, C, np.ones(n), np.zeros(n)))


def speakers(problem: Problem, results: int, n: int) -> list[str]:
    proposals = AUTO.ask(told(problem, results), NOBODY, n, np.random.default_rng(1))
    return [p.why["auto"].partition(":")[0] for p in proposals]


def test_second_opinions_take_turns_with_the_model_in_batches_too():
    expected = ["tpe" if i % _TURN == 0 else "gp" for i in range(21, 33)]
    assert speakers(Problem(SPACE), 21, 12) == expected
    assert [speakers(Problem(SPACE), i, 1)[0] for i in range(21, 21 + _TURN)] == expected[:_TURN]


def test_there_is_no_second_opinion_from_few_results():
    assert set(speakers(Problem(SPACE), 5, 8)) == {"gp"}


@pytest.mark.parametrize(
    "more",
    [
        {"goals": 2},
        {"constraints": 1},
        {"purse": 100.0},
        {"rungs": (1.0, 3.0)},
        {"sources": (Source("s", np.full((1, 3), 0.5), np.zeros((1, 1))),)},
        {"space": Space(x=Float(0, 1, prior=0.5), y=Int(1, 50), kind=Choice("a", "b", "c"))},
    ],
    ids=lambda more: next(iter(more)),
)
def test_nor_from_a_strategy_that_does_not_know_all_that_matters(more):
    assert set(speakers(replace(Problem(SPACE), **more), 20, 6)) == {"gp"}


@pytest.mark.parametrize("results", [2 * _TURN, 4 * _TURN, 4 * _TURN + 1])
def test_whoever_proposed_finds_its_proposal_as_good_as_can_be(results):
    state = told(Problem(SPACE), results)
    (mine,) = AUTO.ask(state, NOBODY, 1, np.random.default_rng(3))
    other = SPACE.sample(1, np.random.default_rng(9))[0]
    assert AUTO.shortfall(state, NOBODY, mine.x, np.random.default_rng(3)) == pytest.approx(0.0, abs=1e-9)
    assert AUTO.shortfall(state, NOBODY, other, np.random.default_rng(3)) > 0.01


def test_the_parzen_estimator_cannot_judge_before_it_has_a_model():
    tpe = strategy("tpe")
    assert tpe.shortfall(tpe.init(Problem(SPACE)), NOBODY, SPACE.sample(1, np.random.default_rng(0))[0], None) == np.inf
