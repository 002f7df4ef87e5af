"""The unit interval and the numbers on it: how one column of the cube is cut.

Notation: x in [0, 1] is a position, v a number (for a choice: the index of the option), k the number of cells.
All functions take and return float arrays of any shape; positions are clipped to [0, 1], NaN is not expected.

A finite scale maps every number to the centre of its cell, and `position(numbers(x))` is the same array, bit for bit,
wherever x is such a centre. A continuous scale rounds its numbers to some thirteen digits: below the resolution that
matters, above the error of the map, so that `numbers(position(v))` is exactly v for every number that came out of it.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_POWERS = np.array([float(f"1e{p}") for p in range(301)])  # correctly rounded, which 10.0**p need not be
_EXACT = 2.0**53  # integers below are exact as floats


class Scale(Protocol):
    """A map between positions and numbers."""

    @property
    def cells(self) -> float:
        """How many numbers there are; inf when continuous."""
        ...

    def numbers(self, x: Array) -> Array: ...

    def position(self, v: Array) -> Array: ...


@dataclass(frozen=True)
class Linear:
    """All numbers of [low, high], low < high."""

    low: float
    high: float
    cells: float = math.inf

    def numbers(self, x: Array) -> Array:
        v = self.low + np.clip(x, 0.0, 1.0) * (self.high - self.low)
        return np.clip(self._rounded(v), self.low, self.high)

    def position(self, v: Array) -> Array:
        return np.clip((v - self.low) / (self.high - self.low), 0.0, 1.0)

    def _rounded(self, v: Array) -> Array:
        decimals = 13 - math.floor(math.log10(self.high - self.low))
        largest = max(abs(self.low), abs(self.high))
        if decimals > 14 - math.ceil(math.log10(largest)):
            return v  # the range is so narrow that rounding would cost more than the map does
        return _rounded(v, np.full_like(v, decimals))


@dataclass(frozen=True)
class Log:
    """All numbers of [low, high], 0 < low < high, spread evenly by their logarithm."""

    low: float
    high: float
    cells: float = math.inf

    def numbers(self, x: Array) -> Array:
        a, b = math.log(self.low), math.log(self.high)
        v = np.exp(a + np.clip(x, 0.0, 1.0) * (b - a))
        if b - a >= 0.5 and max(abs(a), abs(b)) <= 100.0:  # else rounding would cost more than the map does
            v = _rounded(v, 12.0 - np.floor(np.log10(v)))
        return np.clip(v, self.low, self.high)

    def position(self, v: Array) -> Array:
        a, b = math.log(self.low), math.log(self.high)
        return np.clip((np.log(v) - a) / (b - a), 0.0, 1.0)


@dataclass(frozen=True)
class Grid:
    """The k numbers (origin + i * step) / unit in cells of equal width: i has the cell [i/k, (i+1)/k).

    With integer origin, step and unit below 2**53 every number is the float nearest to its decimal value:
    0.1 + 2 * 0.1 is 0.3.
    """

    cells: float
    origin: float = 0.0
    step: float = 1.0
    unit: float = 1.0

    def numbers(self, x: Array) -> Array:
        i = np.floor(np.clip(x, 0.0, 1.0) * self.cells)
        return (self.origin + np.minimum(i, self.cells - 1.0) * self.step) / self.unit

    def position(self, v: Array) -> Array:
        i = np.rint((v * self.unit - self.origin) / self.step)
        return (np.clip(i, 0.0, self.cells - 1.0) + 0.5) / self.cells

    @staticmethod
    def decimal(low: float, high: float, step: float) -> "Grid":
        """low, low + step, ... up to high, computed as decimal fractions where floats can hold them."""
        start, width = Fraction(repr(low)), Fraction(repr(step))
        cells = int((Fraction(repr(high)) - start) // width) + 1
        unit = math.lcm(start.denominator, width.denominator)
        origin, stride = int(start * unit), int(width * unit)
        if max(unit, abs(origin), abs(origin + stride * (cells - 1))) < _EXACT:
            return Grid(float(cells), float(origin), float(stride), float(unit))
        return Grid(float(cells), low, step)


@dataclass(frozen=True)
class LogIntegers:
    """The integers low..high by their logarithm, from log(low - 1/2) to log(high + 1/2); high at most 2**40."""

    low: int
    high: int

    @property
    def cells(self) -> float:
        return float(self.high - self.low + 1)

    def numbers(self, x: Array) -> Array:
        a, b = self._ends
        return np.clip(np.rint(np.exp(a + np.clip(x, 0.0, 1.0) * (b - a))), self.low, self.high)

    def position(self, v: Array) -> Array:
        a, b = self._ends
        # A contiguous copy: numpy may take another routine, with another last bit, for strided arrays.
        return (np.log(np.ascontiguousarray(v)) - a) / (b - a)

    @property
    def _ends(self) -> tuple[float, float]:
        return math.log(self.low - 0.5), math.log(self.high + 0.5)


def _rounded(v: Array, decimals: Array) -> Array:
    """v to that many decimals (negative: tens, hundreds, ...), the nearest float to the decimal value."""
    power = np.abs(decimals)
    scale = _POWERS[np.minimum(power, 300.0).astype(np.int64)]
    rounded = np.where(decimals >= 0.0, np.rint(v * scale) / scale, np.rint(v / scale) * scale)
    return np.where(power <= 300.0, rounded, v)
