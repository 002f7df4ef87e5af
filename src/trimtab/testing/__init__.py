"""Checks with which a plug-in tests its strategy in its own test suite.

    import pytest
    from trimtab.testing import STRATEGY_CHECKS

    @pytest.mark.parametrize("check", STRATEGY_CHECKS)
    def test_the_laws_of_a_strategy(check):
        check(MyStrategy())

A check tries a strategy on random problems that are the same each time. If the strategy breaks a law, it raises
`Violation`, an AssertionError that names the law and the case. Warnings count as errors. No test framework is needed:
`check_strategy(MyStrategy())` runs all checks. A strategy whose trials continue from one another has laws of its own:
CONTINUING_CHECKS.
"""

from .check import Violation
from .continuing import CONTINUING_CHECKS
from .laws import STRATEGY_CHECKS, check_strategy
from .spaces import random_space

__all__ = ["CONTINUING_CHECKS", "STRATEGY_CHECKS", "Violation", "check_strategy", "random_space"]
