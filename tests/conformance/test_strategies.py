"""Every strategy that ships keeps the laws that `trimtab.testing` checks, and the checks find those that are broken."""

from dataclasses import dataclass

import numpy as np
import pytest

from trimtab.errors import SpecError
from trimtab.space import Float, Int, Space
from trimtab.strategies import Problem, Proposal, forest, names, strategy
from trimtab.testing import Violation, check_strategy
from trimtab.testing.laws import checks

OURS = [name for name in names() if type(strategy(name)).__module__.startswith("trimtab.")]


@pytest.mark.parametrize(
    ("name", "check"),
    [(name, check) for name in OURS for check in checks(strategy(name))],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_every_strategy_keeps_the_law(name, check, monkeypatch):
    monkeypatch.setattr(
        forest, "_TREES", 8
    )  # the laws hold of a forest of any size, and of 64 trees checks take minutes
    check(strategy(name))


def test_grid_names_the_continuous_parameters():
    with pytest.raises(SpecError, match=r"continuous: rate, scale; give each a step="):
        strategy("grid").init(Problem(Space(rate=Float(0, 1), n=Int(1, 3), scale=Float(1, 2))))


@dataclass(frozen=True)
class Broken:
    """A strategy that is right but for one fault."""

    fault: str
    name: str = "broken"
    version: str = "1"

    def init(self, problem):
        return strategy("random").init(problem)

    def tell(self, state, rows):
        if self.fault == "forgets":
            return self.init(state.problem)
        return strategy("random").tell(state, rows)

    def ask(self, state, pending, n, rng):
        if self.fault == "draws its own numbers":
            rng = np.random.default_rng()
        proposals = strategy("random").ask(state, pending, n, rng)
        if self.fault == "proposes too few":
            return proposals[1:]
        if self.fault == "does not snap":
            return [Proposal(np.nan_to_num(p.x, nan=0.5) * 0.999) for p in proposals]
        if self.fault == "repeats":
            return proposals[:1] * len(proposals)
        if self.fault == "explains itself by NaN":
            return [Proposal(p.x, why={"mean": np.nan}) for p in proposals]
        return proposals


def test_the_checks_pass_what_is_right():
    check_strategy(Broken("nothing"))


@pytest.mark.parametrize(
    ("fault", "law"),
    [
        ("forgets", r"tell\(s, A \+ B\)|are due|taken so often"),
        ("draws its own numbers", "equal inputs"),
        ("proposes too few", "proposals are due"),
        ("does not snap", "must be snapped"),
        ("repeats", "taken so often"),
        ("explains itself by NaN", "why must be JSON"),
    ],
)
def test_the_checks_find_what_is_wrong(fault, law):
    with pytest.raises(Violation, match=law):
        check_strategy(Broken(fault))
