"""Recorded proposals of every strategy: where one differs, the algorithm has changed and its version must rise.

`python tests/conformance/test_golden.py` records them anew in tests/golden/proposals.json.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from trimtab.space import Choice, Float, Int, Space
from trimtab.strategies import Problem, Rows, strategy
from trimtab.testing.continuing import campaign

FILE = Path(__file__).parents[1] / "golden" / "proposals.json"
FINITE = {"depth": Int(1, 12), "leaves": Int(2, 512, log=True), "kind": Choice("linear", "tree", "forest")}
MIXED = {**FINITE, "rate": Float(1e-4, 1.0, log=True), "share": Float(0, 1, when={"kind": ["tree", "forest"]})}
SPACES = {
    "finite": Space(FINITE),
    "mixed": Space(MIXED).require("depth <= 8 or leaves >= 16"),
    "alike": Space({f"edge{i}": Choice("none", "skip", "conv", "pool") for i in range(6)}),
    "priors": Space(
        depth=Int(1, 12, prior=3), kind=Choice("linear", "tree", prior=("tree", "low")), rate=Float(1e-4, 1.0, log=True)
    ),
}
CASES = [
    (name, space, constraints, seed)
    for name in ("random", "sobol", "grid", "gp", "tpe", "cma", "evolution", "forest", "nsga2", "nsga3", "auto")
    for space in ("finite", "mixed")
    for constraints in (0, 1)
    for seed in (1, 2)
    if (name, space) != ("grid", "mixed")
] + [("gp", space, constraints, 1) for space in ("mixed, 2 goals", "mixed, 3 goals") for constraints in (0, 1)]
CASES += [("gp", "alike", constraints, 1) for constraints in (0, 1)]
CASES += [("priorband", space, constraints, 1) for space in ("finite", "mixed", "priors") for constraints in (0, 1)]
CASES += [(name, "population", 0, seed) for name in ("pbt", "pb2") for seed in (1, 5)]


def history(space: Space, n: int, constraints: int, goals: int) -> Rows:
    """n rows that depend on nothing but the space: smooth goals, one failure in nine, a constraint that binds."""
    X = space.sample(n, np.random.default_rng(7))
    F = np.nan_to_num(X, nan=0.4)
    Y = np.stack([((F - best) ** 2).sum(1) for best in (0.3, 0.5, 0.7)[:goals]], axis=1)
    Y[::9] = np.nan
    return Rows(X, Y, (F.mean(1, keepdims=True) - 0.5)[:, :constraints])


def proposals(name: str, which: str, constraints: int, seed: int) -> list[list[float | None]]:
    """Two proposals after 0, 14 and 40 results, one point pending: rows, None where inactive."""
    if which == "population":
        return population(name, seed)
    place, _, many = which.partition(", ")
    space, made, goals = SPACES[place], strategy(name), int(many[:1] or 1)
    rows = history(space, 40, constraints, goals)
    found = []
    with threadpool_limits(1):
        for n in (0, 14, 40):
            told = rows[:n]
            state = made.tell(made.init(Problem(space, goals, constraints, budget=60, seed=seed)), told)
            found += made.ask(state, rows.X[-1:], 2, np.random.default_rng(seed))
    return [[None if np.isnan(v) else round(v, 9) for v in p.x.tolist()] for p in found]


def record() -> None:
    lines = [
        json.dumps({"case": case, "version": strategy(case[0]).version, "rows": proposals(*case)}) for case in CASES
    ]
    FILE.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def population(name: str, seed: int) -> list[list[float | None]]:
    """Three intervals of a population, 20 and 45 results into a study: rows, and with them parent and fidelity."""
    pbt, made, found = strategy("pbt"), strategy(name), []
    with threadpool_limits(1):
        run = campaign(pbt, seed, trouble=0.2)
        for turn, _ in enumerate(run.turns()):
            if turn in (20, 45):
                run.made = made
                found += run.ask(3)
                run.made = pbt
    rows = [[*p.x.tolist(), p.parent, p.fidelity] for p in found]
    return [[None if v is None or np.isnan(v) else round(float(v), 9) for v in row] for row in rows]


GOLDEN = {tuple(g["case"]): g for g in json.loads(FILE.read_text())} if FILE.exists() else {}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_proposals_are_those_recorded(case):
    golden = GOLDEN[case]
    assert golden["version"] == strategy(case[0]).version, "record the proposals of the new version"
    expected, found = (np.array(rows, dtype=float) for rows in (golden["rows"], proposals(*case)))
    assert np.allclose(found, expected, atol=1e-4, rtol=0, equal_nan=True), "changed: raise the strategy's version"


def test_nothing_else_is_recorded():
    assert set(GOLDEN) == set(CASES)


if __name__ == "__main__":
    record()
