"""The unit interval and the numbers on it: how one column of the cube is divided.

Notation: x in [0, 1] is a position, v a number (for a choice: the index of the option), k the number of cells. All
functions take and return float arrays of any shape; positions are clipped to [0, 1], NaN is not expected.

A finite scale maps every number to the centre of its cell, and `position(numbers(x))` is the same array, bit for bit,
if x is such a centre. A continuous scale rounds its numbers to some thirteen decimal digits, if the range has room for
them: finer than anything that matters, coarser than the error of the map, so that `numbers(position(v))` is exactly v
for every number that came out of it, and 0.1 comes back as 0.1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np

from ..arrays import Array, within

_POWERS = np.array([float(f"1e{p}") for p in range(301)])  # correctly rounded, which 10.0**p need not be
_EXACT = 2.0**53  # integers below are exact as floats


class Scale(Protocol):
    """A map between positions and numbers."""

    @property
    def cells(self) -> float:
        """The number of numbers; inf if continuous."""
        ...

    def numbers(self, x: Array) -> Array:
        """The number that each position stands for."""
        ...

    def position(self, v: Array) -> Array:
        """The position of each number: the centre of its cell, if the scale is finite."""
        ...


@dataclass(frozen=True)
class Linear:
    """All numbers of [low, high], low < high; or several such scales side by side, one for each column of (n, c) arrays:
    one call of numpy for all of them."""

    low: Array | float  # (c,) if there are several
    high: Array | float
    decimals: Array | float | None  # to which its numbers are rounded; None if the range is too narrow for that
    cells: float = math.inf

    @staticmethod
    def of(low: float, high: float) -> "Linear":
        decimals = 13.0 - math.floor(math.log10(high - low))
        most = min(14 - math.ceil(math.log10(max(abs(low), abs(high)))), 300)
        return Linear(low, high, decimals if decimals <= most else None)

    @staticmethod
    def together(scales: Sequence["Linear"]) -> "Linear":
        """Those scales side by side; each rounds to decimals."""
        parts = zip(*((s.low, s.high, s.decimals) for s in scales), strict=True)
        low, high, decimals = (np.array(part, dtype=float) for part in parts)
        return Linear(low, high, decimals)

    def numbers(self, x: Array) -> Array:
        v = self.low + within(x, 0.0, 1.0) * (self.high - self.low)
        if self.decimals is not None:
            v = _rounded(v, np.broadcast_to(self.decimals, v.shape))
        else:  # a range so narrow that decimals would cost more than they give
            unit = 8.0 * np.spacing(np.maximum(np.abs(self.low), np.abs(self.high)))
            v = np.rint(v / unit) * unit
        return within(v, self.low, self.high)

    def position(self, v: Array) -> Array:
        return within((v - self.low) / (self.high - self.low), 0.0, 1.0)


def grouped(scales: Sequence[Scale]) -> list[tuple[int | list[int], Scale]]:
    """Columns with their scales: linear ones grouped together, the others one by one."""
    alike = {j: s for j, s in enumerate(scales) if isinstance(s, Linear) and s.decimals is not None}
    apart: list[tuple[int | list[int], Scale]] = [(j, s) for j, s in enumerate(scales) if j not in alike]
    return [([*alike], Linear.together([*alike.values()])), *apart] if alike else apart


@dataclass(frozen=True)
class Log:
    """All numbers of [low, high], 0 < low < high, spread evenly by their logarithm."""

    low: float
    high: float
    cells: float = math.inf

    def numbers(self, x: Array) -> Array:
        a, b = math.log(self.low), math.log(self.high)
        v = np.exp(a + within(x, 0.0, 1.0) * (b - a))
        largest = max(abs(a), abs(b))
        if b - a >= 0.5 and largest <= 100.0:
            v = _rounded(v, 12.0 - np.floor(np.log10(v)))
        else:  # a narrow range, or one so far from 1 that exp and log lose digits
            mantissa, exponent = np.frexp(v)
            unit = 2.0 ** (math.frexp(1.0 + largest)[1] - 50)
            v = np.ldexp(np.rint(mantissa / unit) * unit, exponent)
        return within(v, self.low, self.high)

    def position(self, v: Array) -> Array:
        a, b = math.log(self.low), math.log(self.high)
        return within((np.log(v) - a) / (b - a), 0.0, 1.0)


@dataclass(frozen=True)
class Grid:
    """The k numbers (origin + i * step) / unit in cells of equal width: i has the cell [i/k, (i+1)/k).

    With integer origin, step and unit below 2**53, every number is the float nearest to its decimal value: 0.1 + 2 *
    0.1 is 0.3.
    """

    cells: float
    origin: float = 0.0
    step: float = 1.0
    unit: float = 1.0

    def numbers(self, x: Array) -> Array:
        i = np.floor(within(x, 0.0, 1.0) * self.cells)
        return (self.origin + np.minimum(i, self.cells - 1.0) * self.step) / self.unit

    def position(self, v: Array) -> Array:
        i = np.rint((v * self.unit - self.origin) / self.step)
        return (within(i, 0.0, self.cells - 1.0) + 0.5) / self.cells

    @staticmethod
    def decimal(low: float, high: float, step: float) -> "Grid":
        """low, low + step, ... up to high, computed as decimal fractions where floats can hold them."""
        start, width = Fraction(repr(low)), Fraction(repr(step))
        cells = int((Fraction(repr(high)) - start) // width) + 1
        unit = math.lcm(start.denominator, width.denominator)
        origin, stride = int(start * unit), int(width * unit)
        if max(unit, stride, abs(origin), abs(origin + stride * (cells - 1))) < _EXACT:
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
        return within(np.rint(np.exp(a + within(x, 0.0, 1.0) * (b - a))), self.low, self.high)

    def position(self, v: Array) -> Array:
        a, b = self._ends
        # A contiguous copy: numpy may take another routine, with another last bit, for strided arrays.
        return (np.log(np.ascontiguousarray(v)) - a) / (b - a)

    @property
    def _ends(self) -> tuple[float, float]:
        return math.log(self.low - 0.5), math.log(self.high + 0.5)


def centres(scale: Scale, i: Array) -> Array:
    """The centres of cells i (m,) of a finite scale."""
    return scale.position(scale.low + i) if isinstance(scale, LogIntegers) else (i + 0.5) / scale.cells


def widths(scale: Scale, i: Array) -> Array:
    """The widths of cells i (m,) of a finite scale."""
    if isinstance(scale, LogIntegers):
        return scale.position(scale.low + i + 0.5) - scale.position(scale.low + i - 0.5)
    return np.full(len(i), 1 / scale.cells)


def _rounded(v: Array, decimals: Array) -> Array:
    """v to that many decimals (negative: tens, hundreds, ...), the float nearest to the decimal value."""
    up = _POWERS[np.maximum(decimals, 0.0).astype(np.int64)]
    down = _POWERS[np.maximum(-decimals, 0.0).astype(np.int64)]
    return np.asarray(np.rint(v * up / down) / up * down)
