"""The laws of every strategy, whatever its algorithm: legal, new, reproducible proposals from any history.

The checks know only the protocol of `strategies`.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np

from ..arrays import Array
from ..strategies import Continuing, Problem, Proposal, Rows, Strategy, learns
from .check import Check, require, require_legal, strict
from .continuing import CONTINUING_CHECKS
from .problems import FINITE, HARD, LINES, ODD, SAFE, WIDE, random_history, random_problem

_SEEDS = range(25)
_COUNTABLE = 20_000  # points of a space that are counted


@strict
def proposals_are_legal_new_and_as_many_as_asked(strategy: Strategy[Any]) -> None:
    for seed in _SEEDS:
        random, rng = Random(seed), np.random.default_rng(seed)
        problem = random_problem(strategy, random)
        rows = random_history(problem, random.choice([0, 1, 5, 12, 25, 60]), rng)
        pending = problem.space.sample(random.choice([0, 0, 1, 4]), rng)
        _judge(strategy, problem, rows, pending, random.randint(1, 8), f"seed {seed}, {problem}")


@strict
def equal_inputs_give_equal_proposals_and_are_left_alone(strategy: Strategy[Any]) -> None:
    for seed in _SEEDS:
        random, rng = Random(seed), np.random.default_rng(seed)
        problem = random_problem(strategy, random)
        rows = random_history(problem, random.choice([3, 15, 31]), rng)
        pending = problem.space.sample(2, rng)
        arrays = [rows.X, rows.Y, rows.C, rows.cost, pending]
        before = [a.copy() for a in arrays]
        first = _propose(strategy, problem, rows, pending, 2, seed)
        for array in arrays:
            array.setflags(write=False)
        again = _propose(strategy, problem, rows, pending, 2, seed)
        require(_points(again) == _points(first), "equal inputs must give equal proposals", f"seed {seed}")
        same = all(np.array_equal(a, b, equal_nan=True) for a, b in zip(arrays, before, strict=True))
        require(same, "rows and pending must not be changed", f"seed {seed}")


@strict
def telling_in_pieces_is_telling_at_once(strategy: Strategy[Any]) -> None:
    for seed in _SEEDS:
        rng = np.random.default_rng(seed)
        problem, cut = random_problem(strategy, Random(seed)), seed % 25
        rows, none = random_history(problem, 24, rng), problem.space.sample(0, rng)
        in_two = strategy.tell(strategy.tell(strategy.init(problem), rows[:cut]), rows[cut:])
        one_by_one = strategy.init(problem)
        for i in range(24):
            one_by_one = strategy.tell(one_by_one, rows[i : i + 1])
            if i in (11, 20):  # asking on the way changes nothing
                strategy.ask(one_by_one, none, 1, np.random.default_rng(i))
        expected = _points(_propose(strategy, problem, rows, none, 2, seed))
        for state in (in_two, one_by_one):
            found = _points(strategy.ask(state, none, 2, np.random.default_rng(seed)))
            require(found == expected, "tell(tell(s, A), B) must equal tell(s, A + B)", f"seed {seed}, cut {cut}")


@strict
def a_finite_space_is_exhausted_exactly(strategy: Strategy[Any]) -> None:
    for replicates in (1, 2):
        problem = Problem(FINITE, budget=8, replicates=replicates)
        state, pending, total = strategy.init(problem), FINITE.sample(0, np.random.default_rng(0)), 0
        rows = Rows.empty(3, 1, 0)
        for turn in range(50):
            proposals = strategy.ask(state, pending, 3, np.random.default_rng(turn))
            _check(problem, rows, pending, 3, proposals, f"{FINITE}, turn {turn}")
            if not proposals:
                break
            X = np.stack([p.x for p in proposals])
            new = Rows(X, np.nan_to_num(X).sum(1, keepdims=True))
            state, rows, total = strategy.tell(state, new), rows + new, total + len(proposals)
        every = FINITE.cardinality() * replicates
        require(total == every, f"all {every} points of a finite space must be proposed, not {total}", FINITE)


@strict
def small_and_odd_spaces_are_searched(strategy: Strategy[Any]) -> None:
    for case, space in ODD.items():
        problem = Problem(space, budget=100)
        for n in (0, 1, 15):
            rows = random_history(problem, n, np.random.default_rng(n))
            _judge(strategy, problem, rows, rows.X[:0], 4, f"{case}, {n} results")


@strict
def a_hundred_parameters_are_searched(strategy: Strategy[Any]) -> None:
    problem = Problem(WIDE, budget=200)
    for n in (0, 5, 60):
        rows = random_history(problem, n, np.random.default_rng(n))
        _judge(strategy, problem, rows, rows.X[:0], 2, f"100 parameters, {n} results")


@strict
def hard_numbers_still_give_valid_proposals(strategy: Strategy[Any]) -> None:
    X = SAFE.sample(LINES, np.random.default_rng(1))
    for case, values in HARD.items():
        Y, C = values["Y"], values.get("C", np.empty((LINES, 0)))
        usual, equal = (Rows(x, Y, C) for x in (X, X[[3] * LINES]))
        for rows, budget in ((usual, 50), (equal, 50), (usual[:6], 8)):
            problem = Problem(SAFE, budget=budget, constraints=C.shape[1])
            _judge(strategy, problem, rows, X[:2], 3, case)
            twice = replace(rows, Y=np.hstack([rows.Y, rows.Y[::-1]]))
            _judge(strategy, replace(problem, goals=2), twice, X[:2], 2, f"{case}, two goals")


@strict
def long_histories_are_searched(strategy: Strategy[Any]) -> None:
    problem = Problem(SAFE, budget=5000)
    for n in (300, 1000, 2100):
        rows = random_history(problem, n, np.random.default_rng(n))
        proposals = _judge(strategy, problem, rows, rows.X[:0], 2, f"{n} results")
        in_two = strategy.tell(strategy.tell(strategy.init(problem), rows[: n - 150]), rows[n - 150 :])
        found = strategy.ask(in_two, rows.X[:0], 2, np.random.default_rng(0))
        require(_points(found) == _points(proposals), "tell(tell(s, A), B) must equal tell(s, A + B)", f"{n} results")


@strict
def without_learning_results_do_not_matter(strategy: Strategy[Any]) -> None:
    if learns(strategy):
        return
    for seed in _SEEDS:
        rng = np.random.default_rng(seed)
        problem, cut = random_problem(strategy, Random(seed)), seed % 13
        rows = random_history(problem, 12, rng)
        unknown = [np.full_like(a, np.nan) for a in (rows.Y, rows.C, rows.cost)]
        expected = _points(_propose(strategy, problem, rows, rows.X[:0], 1, seed))
        found = _points(_propose(strategy, problem, rows[:cut], rows.X[cut:], 1, seed))
        require(found == expected, "with learns=False a pending point must count as a told one", f"seed {seed}")
        found = _points(_propose(strategy, problem, Rows(rows.X, *unknown), rows.X[:0], 1, seed))
        require(found == expected, "with learns=False results must not matter", f"seed {seed}")


STRATEGY_CHECKS: Sequence[Check] = (
    proposals_are_legal_new_and_as_many_as_asked,
    equal_inputs_give_equal_proposals_and_are_left_alone,
    telling_in_pieces_is_telling_at_once,
    a_finite_space_is_exhausted_exactly,
    small_and_odd_spaces_are_searched,
    a_hundred_parameters_are_searched,
    hard_numbers_still_give_valid_proposals,
    long_histories_are_searched,
    without_learning_results_do_not_matter,
)


def checks(strategy: Strategy[Any]) -> Sequence[Check]:
    """The laws for a strategy of its kind: one whose trials continue from one another has laws of its own."""
    return CONTINUING_CHECKS if isinstance(strategy, Continuing) else STRATEGY_CHECKS


def check_strategy(strategy: Strategy[Any]) -> None:
    """All checks. Raises Violation at the first law that is broken."""
    for check in checks(strategy):
        check(strategy)


# ---------------------------------------------------------------------------------------------------- one proposal


def _propose(
    strategy: Strategy[Any], problem: Problem, rows: Rows, pending: Array, n: int, seed: int = 0
) -> list[Proposal]:
    return strategy.ask(strategy.tell(strategy.init(problem), rows), pending, n, np.random.default_rng(seed))


def _judge(strategy: Strategy[Any], problem: Problem, rows: Rows, pending: Array, n: int, case: str) -> list[Proposal]:
    """Proposals that keep every rule."""
    proposals = _propose(strategy, problem, rows, pending, n)
    _check(problem, rows, pending, n, proposals, case)
    return proposals


def _check(problem: Problem, rows: Rows, pending: Array, n: int, proposals: list[Proposal], case: str) -> None:
    space, due = problem.space, min(n, _free(problem, rows, pending))
    require(len(proposals) == due, f"{due} proposals are due, not {len(proposals)}", case)
    taken = space.keys(np.concatenate([rows.X, pending]))
    for p in proposals:
        require_legal(p, space, case)
        taken.append(space.key(p.x))
        new = taken.count(taken[-1]) <= problem.replicates
        require(new, f"a point may be proposed {problem.replicates} times; {p.x} was taken so often before", case)


def _free(problem: Problem, rows: Rows, pending: Array) -> float:
    """How many proposals the problem still has room for."""
    if problem.space.cardinality() > _COUNTABLE:
        return np.inf
    taken = problem.space.keys(np.concatenate([rows.X, pending]))
    every = problem.space.keys(problem.space.encode(list(problem.space)))
    return sum(max(problem.replicates - taken.count(key), 0) for key in every)


def _points(proposals: list[Proposal]) -> list[list[str]]:
    return [[value.hex() for value in p.x.tolist()] for p in proposals]
