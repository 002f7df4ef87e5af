"""What every strategy must do, whatever its algorithm: legal, new, reproducible proposals from any history.

The checks know only the protocol, so that they fit strategies from elsewhere too.
"""

import json
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import random_space

from trimtab.errors import SpecError
from trimtab.space import Choice, Float, Int, Space
from trimtab.strategies import Problem, Proposal, Rows, Strategy, names, strategy

OURS = [name for name in names() if type(strategy(name)).__module__.startswith("trimtab.")]
COUNTABLE = 20_000
seeds = st.integers(0, 2**32 - 1)
some = settings(max_examples=25, deadline=None, derandomize=True)


def accepts(made: Strategy, space: Space) -> bool:
    """Whether the strategy can search the space at all."""
    try:
        made.init(Problem(space))
    except SpecError:
        return False
    return True


def random_problem(name: str, random: Random) -> Problem:
    """A problem that the strategy accepts."""
    space = random_space(random, finite=not accepts(strategy(name), Space(x=Float(0, 1))))
    return Problem(
        space,
        goals=random.choice([1, 1, 1, 2, 3]),
        constraints=random.choice([0, 0, 1, 2]),
        budget=random.choice([None, 10, 40, 200]),
        deterministic=random.random() < 0.3,
        replicates=random.choice([1, 1, 1, 2, 3]),
        seed=random.randrange(2**32),
    )


def random_history(problem: Problem, n: int, rng: np.random.Generator) -> Rows:
    """n finished rows: smooth goals with noise, failures, unknown constraints, some points more than once."""
    X = problem.space.sample(max(n, 1), rng)[rng.integers(0, max(n, 1), n)]
    F = np.nan_to_num(X, nan=0.3)
    Y = ((F[:, :, None] - rng.random((X.shape[1], problem.goals))) ** 2).sum(1) + 0.01 * rng.standard_normal((n, 1))
    C = F @ rng.standard_normal((X.shape[1], problem.constraints)) + rng.normal()
    C[rng.random(C.shape) < 0.2] = np.nan
    failed = rng.random(n) < rng.choice([0, 0.1, 0.6])
    Y[failed], C[failed] = np.nan, np.nan
    return Rows(X, Y, C, rng.random(n), np.arange(n, dtype=float))


def propose(made: Strategy, problem: Problem, rows: Rows, pending: np.ndarray, n: int, seed: int = 0) -> list[Proposal]:
    state = made.tell(made.init(problem), rows)
    return made.ask(state, pending, n, np.random.default_rng(seed))


def free(problem: Problem, rows: Rows, pending: np.ndarray) -> float:
    """How many proposals the problem still has room for."""
    if problem.space.cardinality() > COUNTABLE:
        return np.inf
    taken = problem.space.keys(np.concatenate([rows.X, pending]))
    every = problem.space.keys(problem.space.encode(list(problem.space)))
    return sum(max(problem.replicates - taken.count(key), 0) for key in every)


def check_proposals(problem: Problem, rows: Rows, pending: np.ndarray, n: int, proposals: list[Proposal]) -> None:
    """Every rule that a list of proposals has to keep."""
    space = problem.space
    assert len(proposals) == min(n, free(problem, rows, pending))
    taken = space.keys(np.concatenate([rows.X, pending]))
    for p in proposals:
        assert p.x.shape == (len(space),)
        assert np.array_equal(space.snap(p.x[None])[0], p.x, equal_nan=True)
        assert space.allowed(p.x[None]).all()
        space.validate(space.decode(p.x[None])[0])
        taken.append(space.key(p.x))
        assert taken.count(taken[-1]) <= problem.replicates
        assert p.parent is None or isinstance(p.parent, int)
        json.dumps(dict(p.why), allow_nan=False)


def points(proposals: list[Proposal]) -> list[list[str]]:
    return [[value.hex() for value in p.x.tolist()] for p in proposals]


@pytest.mark.parametrize("name", OURS)
@some
@given(seed=seeds)
def test_proposals_are_legal_new_and_as_many_as_asked(name, seed):
    random, rng = Random(seed), np.random.default_rng(seed)
    problem = random_problem(name, random)
    rows = random_history(problem, random.choice([0, 1, 5, 12, 25, 60]), rng)
    pending = problem.space.sample(random.choice([0, 0, 1, 4]), rng)
    n = random.randint(1, 8)
    check_proposals(problem, rows, pending, n, propose(strategy(name), problem, rows, pending, n, seed))


@pytest.mark.parametrize("name", OURS)
@some
@given(seed=seeds)
def test_equal_inputs_give_equal_proposals_and_are_left_alone(name, seed):
    random, rng = Random(seed), np.random.default_rng(seed)
    problem = random_problem(name, random)
    rows = random_history(problem, random.choice([3, 15, 31]), rng)
    pending = problem.space.sample(2, rng)
    arrays = [rows.X, rows.Y, rows.C, rows.cost, rows.seed, pending]
    before = [a.copy() for a in arrays]
    first = propose(strategy(name), problem, rows, pending, 2, seed)
    for array in arrays:
        array.setflags(write=False)
    assert points(propose(strategy(name), problem, rows, pending, 2, seed)) == points(first)
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(arrays, before, strict=True))


@pytest.mark.parametrize("name", OURS)
@some
@given(seed=seeds, cut=st.integers(0, 24))
def test_telling_in_pieces_is_telling_at_once(name, seed, cut):
    random, rng = Random(seed), np.random.default_rng(seed)
    problem, made = random_problem(name, random), strategy(name)
    rows, none = random_history(problem, 24, rng), problem.space.sample(0, rng)

    def part(a: int, b: int) -> Rows:
        return Rows(rows.X[a:b], rows.Y[a:b], rows.C[a:b], rows.cost[a:b], rows.seed[a:b])

    in_two = made.tell(made.tell(made.init(problem), part(0, cut)), part(cut, 24))
    one_by_one = made.init(problem)
    for i in range(24):
        one_by_one = made.tell(one_by_one, part(i, i + 1))
        if i in (11, 20):  # asking on the way changes nothing
            made.ask(one_by_one, none, 1, np.random.default_rng(i))
    expected = points(propose(made, problem, rows, none, 2, seed))
    for state in (in_two, one_by_one):
        assert points(made.ask(state, none, 2, np.random.default_rng(seed))) == expected


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("replicates", [1, 2])
def test_a_finite_space_is_exhausted_exactly(name, replicates):
    space = Space(
        a=Choice("x", "y", "z"), b=Int(1, 3, when={"a": ["x", "y"]}), c=Choice(True, False, ordered=True)
    ).require("b != 2 or c == True")
    problem, made = Problem(space, budget=8, replicates=replicates), strategy(name)
    state, pending, total = made.init(problem), space.sample(0, np.random.default_rng(0)), 0
    rows = Rows.empty(3, 1, 0)
    for turn in range(50):
        proposals = made.ask(state, pending, 3, np.random.default_rng(turn))
        check_proposals(problem, rows, pending, 3, proposals)
        if not proposals:
            break
        X = np.stack([p.x for p in proposals])
        new = Rows(X, np.nan_to_num(X).sum(1, keepdims=True), np.empty((len(X), 0)), np.zeros(len(X)), np.zeros(len(X)))
        state, rows, total = made.tell(state, new), rows + new, total + len(proposals)
    assert total == space.cardinality() * replicates


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize(
    "space",
    [
        Space(x=Int(0, 40)),
        Space(x=Choice("only")),
        Space(x=Float(2, 2), y=Choice(1, 2)),
        Space(x=Int(1, 10**9, log=True)),
    ],
    ids=["one column", "one point", "a fixed column", "a long column"],
)
def test_small_and_odd_spaces(name, space):
    problem = Problem(space, budget=100)
    for n in (0, 1, 15):
        rng = np.random.default_rng(n)
        rows = random_history(problem, n, rng)
        check_proposals(problem, rows, rows.X[:0], 4, propose(strategy(name), problem, rows, rows.X[:0], 4))


SAFE = Space(x=Int(0, 1000), y=Int(1, 1000, log=True), c=Choice("a", "b", "c"))
N = 14


def goals(**values: object) -> dict[str, np.ndarray]:
    return {k: np.broadcast_to(np.asarray(v, dtype=float), N)[:, None].copy() for k, v in values.items()}


SPIKE = np.where(np.arange(N) == 5, 1.0, 0.0)
HARD = {
    "constant": goals(Y=3.0),
    "all zero": goals(Y=0.0),
    "one huge": goals(Y=SPIKE * 1e300),
    "one very good": goals(Y=-SPIKE * 1e300),
    "both ends": goals(Y=SPIKE * 1e300 - np.roll(SPIKE, 2) * 1e300),
    "infinite": goals(Y=np.where(SPIKE > 0, np.inf, np.arange(N))),
    "minus infinity": goals(Y=np.where(SPIKE > 0, -np.inf, np.arange(N))),
    "only infinities": goals(Y=np.where(SPIKE > 0, -np.inf, np.inf)),
    "tiny": goals(Y=np.arange(N) * 1e-300),
    "subnormal": goals(Y=np.arange(N) * 5e-324),
    "close together": goals(Y=1e15 + np.arange(N)),
    "all failed": goals(Y=np.nan),
    "one success": goals(Y=np.where(SPIKE > 0, 1.0, np.nan)),
    "one feasible": goals(Y=np.arange(N), C=1 - 2 * SPIKE),
    "none feasible": goals(Y=np.arange(N), C=np.arange(N) + 1.0),
    "all feasible": goals(Y=np.arange(N), C=-1e300),
    "on the edge": goals(Y=np.arange(N), C=0.0),
    "unknown constraint": goals(Y=np.arange(N), C=np.nan),
    "infinite constraint": goals(Y=np.arange(N), C=np.where(SPIKE > 0, -np.inf, np.inf)),
}


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("case", HARD)
def test_hard_numbers_still_give_valid_proposals(name, case):
    Y, C = HARD[case]["Y"], HARD[case].get("C", np.empty((N, 0)))
    X = SAFE.sample(N, np.random.default_rng(1))
    usual, equal = (Rows(x, Y, C, np.ones(N), np.ones(N)) for x in (X, X[[3] * N]))
    few = Rows(X[:6], Y[:6], C[:6], np.ones(6), np.ones(6))
    for rows, budget in ((usual, 50), (equal, 50), (few, 8)):
        problem = Problem(SAFE, budget=budget, constraints=C.shape[1])
        check_proposals(problem, rows, X[:2], 3, propose(strategy(name), problem, rows, X[:2], 3))
        two = replace(problem, goals=2)
        twice = replace(rows, Y=np.hstack([rows.Y, rows.Y[::-1]]))
        check_proposals(two, twice, X[:2], 2, propose(strategy(name), two, twice, X[:2], 2))


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("n", [300, 700, 2100])
def test_long_histories(name, n):
    problem, made = Problem(SAFE, budget=5000), strategy(name)
    rows = random_history(problem, n, np.random.default_rng(n))
    proposals = propose(made, problem, rows, rows.X[:0], 2)
    check_proposals(problem, rows, rows.X[:0], 2, proposals)
    first, last = (
        Rows(rows.X[s], rows.Y[s], rows.C[s], rows.cost[s], rows.seed[s]) for s in np.split(np.arange(n), [n - 150])
    )
    in_two = made.tell(made.tell(made.init(problem), first), last)
    assert points(made.ask(in_two, rows.X[:0], 2, np.random.default_rng(0))) == points(proposals)


def test_grid_names_the_continuous_parameters():
    with pytest.raises(SpecError, match=r"continuous: rate, scale; give each a step="):
        strategy("grid").init(Problem(Space(rate=Float(0, 1), n=Int(1, 3), scale=Float(1, 2))))
