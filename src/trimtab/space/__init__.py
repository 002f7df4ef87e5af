"""The search space: parameters, conditions, requirements, and the only map between params and the unit cube."""

from .parameters import UNSET, Choice, Float, Int, Parameter, Params, Value
from .space import Space

__all__ = ["UNSET", "Choice", "Float", "Int", "Parameter", "Params", "Space", "Value"]
