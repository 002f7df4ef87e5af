"""The three kinds of parameter: what a user writes, which values each takes, and its JSON form.

A parameter is a declaration. It doesn't know its own name, so it is checked by the `Space` that takes it:
`learning_rate: low=0.1 is above high=0.01; swap them`. `clean` turns a given value into the plain Python value that is
recorded; `code` and `value` map it to the number on the parameter's `scale` and back.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any, ClassVar, Literal, TypeAlias, get_args

import numpy as np

from ..arrays import Array
from ..calls import checked_call
from ..checks import is_number, shown
from ..errors import SpaceError, nearest
from . import foreign, normalise
from .normalise import COLLECTIONS, plain
from .scales import Grid, Linear, Log, LogIntegers, Scale

Value: TypeAlias = str | int | float | bool | None
Params: TypeAlias = dict[str, Value]
Confidence = Literal["low", "medium", "high"]
When: TypeAlias = Mapping[str, tuple[Value, ...]]


class Unset(Enum):
    """The type of UNSET: no default was given (None can be a default)."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset.UNSET

_MOST = 2**48  # values of a finite parameter: (i + 1/2) / k still names i exactly
_LARGEST = 2**53  # integers beyond are not exact as floats
_LARGEST_LOG = 2**40  # integers beyond are not exact after log and exp


@checked_call
@dataclass(frozen=True, init=False, repr=False)
class Float:
    """A real number in [low, high], both included.

    log: on a logarithmic scale, for low > 0. step: only low, low + step, ... up to high, instead of log.
    default: its value in the baseline. prior: where good values are expected, as a value, or a value and how sure you are
    ("low", "medium" or "high"). when: the values of other parameters with which it is active, {"parent": value or values}.
    """

    type: ClassVar[str] = "float"
    low: float
    high: float
    log: bool
    step: float | None
    default: float | Unset
    prior: tuple[float, Confidence] | None
    when: When = field(hash=False)

    def __init__(
        self,
        low: float,
        high: float,
        *,
        log: bool = False,
        step: float | None = None,
        default: float | Unset = UNSET,
        prior: float | tuple[float, str] | None = None,
        when: Mapping[str, Any] | None = None,
    ) -> None:
        centre = normalise.prior(prior)
        _assign(
            self,
            low=normalise.real(low),
            high=normalise.real(high),
            log=plain(log),
            step=normalise.real(step),
            default=normalise.real(default),
            prior=centre and (normalise.real(centre[0]), centre[1]),
            when=normalise.when(when),
        )

    def check(self, name: str) -> None:
        """Raise SpaceError unless this is a sound declaration."""
        for end, value in (("low", self.low), ("high", self.high)):
            if not isinstance(value, float) or not math.isfinite(value):
                raise SpaceError(f"{name}: {end}={shown(value)} is not a finite number; give one")
        _check_flag(name, "log", self.log)
        _check_range(name, self)
        if not math.isfinite(self.high - self.low):
            raise SpaceError(f"{name}: high - low overflows for {self.low!r}..{self.high!r}; narrow the range")
        if self.log and self.low <= 0.0:
            repair = foreign.without_logarithms(self.low, self.high) or "raise low or drop log"
            raise SpaceError(f"{name}: log=True needs low > 0, and low={self.low!r}; {repair}")
        if self.step is not None:
            self._check_step(name, self.step)
        _check_common(name, self)

    def _check_step(self, name: str, step: float) -> None:
        if not isinstance(step, float) or not (0.0 < step < math.inf):
            raise SpaceError(f"{name}: step={shown(step)} is not a positive number; give one or drop it")
        if max(abs(self.low), abs(self.high)) / step >= _MOST:
            raise SpaceError(f"{name}: step={step!r} makes more than 2**48 values; use a larger step or none")

    @cached_property
    def scale(self) -> Scale:
        if self.low == self.high:
            return Grid(1.0, self.low)
        if self.step is not None:
            return Grid.decimal(self.low, self.high, self.step)
        return Log(self.low, self.high) if self.log else Linear.of(self.low, self.high)

    def clean(self, name: str, value: object) -> Value:
        """`value` as a plain float of the domain. SpaceError: not a number, out of bounds, not on the step."""
        given = plain(value)
        if not is_number(given) or (isinstance(given, float) and math.isnan(given)):
            raise SpaceError(f"{name}: {shown(given)} is not a number; give one in [{self.low!r}, {self.high!r}]")
        if self.step is None:
            _check_bounds(name, given, self)
            return float(given) + 0.0
        clipped = min(max(given, self.low), self.high)
        on_grid = self.value(float(self.scale.numbers(self.scale.position(np.array([float(clipped)])))[0]))
        if abs(normalise.real(given) - on_grid) > 1e-9 * self.step:
            _check_bounds(name, given, self)
            raise SpaceError(f"{name}: {given!r} is not on step={self.step!r}; the nearest value is {on_grid!r}")
        return on_grid

    def code(self, value: Value) -> float:
        return float(value)  # type: ignore[arg-type]  # a clean value

    def value(self, code: float) -> float:
        return code

    def to_json(self) -> dict[str, Any]:
        return _json(self, {"low": self.low, "high": self.high}, log=False, step=None)

    def __repr__(self) -> str:
        return _text("Float", [self.low, self.high], self)


@checked_call
@dataclass(frozen=True, init=False, repr=False)
class Int:
    """An integer in low..high, both included.

    log: on a logarithmic scale, for low >= 1. step: only low, low + step, ... up to high, instead of log.
    default: its value in the baseline. prior: where good values are expected, as a value, or a value and how sure you are
    ("low", "medium" or "high"). when: the values of other parameters with which it is active, {"parent": value or values}.
    """

    type: ClassVar[str] = "int"
    low: int
    high: int
    log: bool
    step: int | None
    default: int | Unset
    prior: tuple[int, Confidence] | None
    when: When = field(hash=False)

    def __init__(
        self,
        low: int,
        high: int,
        *,
        log: bool = False,
        step: int | None = None,
        default: int | Unset = UNSET,
        prior: int | tuple[int, str] | None = None,
        when: Mapping[str, Any] | None = None,
    ) -> None:
        stride = plain(step)
        _assign(
            self,
            low=plain(low),
            high=plain(high),
            log=plain(log),
            step=None if type(stride) is int and stride == 1 else stride,
            default=plain(default),
            prior=normalise.prior(prior),
            when=normalise.when(when),
        )

    def check(self, name: str) -> None:
        """Raise SpaceError unless this is a sound declaration."""
        for end, value in (("low", self.low), ("high", self.high)):
            _check_integer(name, value, f"{end}=")
            if abs(value) > _LARGEST:
                raise SpaceError(f"{name}: {end}={value!r} is beyond 2**53; use smaller numbers or a Float")
        _check_flag(name, "log", self.log)
        _check_range(name, self)
        if self.log and self.low < 1:
            raise SpaceError(f"{name}: log=True needs low >= 1, and low={self.low!r}; raise low or drop log")
        if self.log and self.high > _LARGEST_LOG:
            raise SpaceError(f"{name}: log=True needs high <= 2**40, and high={self.high!r}; use Float(log=True)")
        if self.step is not None:
            _check_integer(name, self.step, "step=")
            if not 1 <= self.step <= _LARGEST:
                raise SpaceError(
                    f"{name}: step={shown(self.step)} is not positive, or beyond 2**53; give a smaller one"
                )
        if (self.high - self.low) // (self.step or 1) >= _MOST:
            raise SpaceError(f"{name}: {self.low!r}..{self.high!r} has more than 2**48 values; use a step or a Float")
        if self.high - self.low > _LARGEST:  # steps from low would not be exact
            raise SpaceError(f"{name}: {self.low!r}..{self.high!r} spans more than 2**53; narrow it or use a Float")
        _check_common(name, self)

    @cached_property
    def scale(self) -> Scale:
        if self.log:
            return LogIntegers(self.low, self.high)
        step = self.step or 1
        return Grid(float((self.high - self.low) // step + 1), float(self.low), float(step))

    def clean(self, name: str, value: object) -> Value:
        """`value` as a plain int of the domain. SpaceError: not an integer, out of bounds, not on the step."""
        given = _check_integer(name, plain(value))
        _check_bounds(name, given, self)
        above = (given - self.low) % (self.step or 1)
        if above:
            raise SpaceError(f"{name}: {given!r} is not on step={self.step!r}; the next below is {given - above!r}")
        return given

    def code(self, value: Value) -> float:
        return float(value)  # type: ignore[arg-type]  # a clean value

    def value(self, code: float) -> int:
        return int(code)

    def to_json(self) -> dict[str, Any]:
        return _json(self, {"low": self.low, "high": self.high}, log=False, step=None)

    def __repr__(self) -> str:
        return _text("Int", [self.low, self.high], self)


@checked_call
@dataclass(frozen=True, init=False, repr=False)
class Choice:
    """One of several options (text, number, bool or None), distinguished by type: True is not 1.

    ordered: neighbours are similar. retired: options of old trials, which can be encoded, but are no longer proposed or
    accepted.
    default: its value in the baseline. prior: where good values are expected, as a value, or a value and how sure you are
    ("low", "medium" or "high"). when: the values of other parameters with which it is active, {"parent": value or values}.
    """

    type: ClassVar[str] = "choice"
    options: tuple[Value, ...]
    ordered: bool
    default: Value | Unset
    prior: tuple[Value, Confidence] | None
    when: When = field(hash=False)
    retired: tuple[Value, ...]

    def __init__(
        self,
        *options: Value,
        ordered: bool = False,
        default: Value | Unset = UNSET,
        prior: Value | tuple[Value, str] = None,
        when: Mapping[str, Any] | None = None,
        retired: Sequence[Value] = (),
    ) -> None:
        _assign(
            self,
            options=tuple(plain(o) for o in options),
            ordered=plain(ordered),
            default=plain(default),
            prior=normalise.prior(prior),
            when=normalise.when(when),
            retired=tuple(plain(o) for o in retired) if isinstance(retired, COLLECTIONS) else retired,
        )

    def check(self, name: str) -> None:
        """Raise SpaceError unless this is a sound declaration."""
        _check_flag(name, "ordered", self.ordered)
        if not isinstance(self.retired, tuple):
            raise SpaceError(f"{name}: retired={shown(self.retired)} is no list of options; write retired=['a']")
        if not self.options:
            raise SpaceError(f"{name}: Choice() has no options; give at least one")
        seen = set()
        for option in (*self.options, *self.retired):
            if isinstance(option, COLLECTIONS):
                raise SpaceError(f"{name}: option {shown(option)} is a collection; {foreign.flat(self.options)}")
            if not (option is None or isinstance(option, str | int | float)):
                raise SpaceError(
                    f"{name}: option {shown(option)} is not text, number, bool or None; name it with a text"
                )
            if isinstance(option, float) and not math.isfinite(option):
                raise SpaceError(f"{name}: option {option!r} is not finite; name it with a text")
            if isinstance(option, str) and option.encode("utf-8", "ignore").decode() != option:
                raise SpaceError(
                    f"{name}: option {option!r} holds half a character (a lone surrogate); name it otherwise"
                )
            if (type(option), option) in seen:
                raise SpaceError(f"{name}: option {option!r} is given twice; remove one")
            seen.add((type(option), option))
        _check_common(name, self)

    @property
    def values(self) -> tuple[Value, ...]:
        """Everything that can be encoded: the live options, then the retired ones."""
        return self.options + self.retired

    @cached_property
    def scale(self) -> Scale:
        return Grid(float(len(self.values)))

    @cached_property
    def _codes(self) -> dict[tuple[object, Value], float]:
        return {(type(v), v): float(i) for i, v in enumerate(self.values)}

    def clean(self, name: str, value: object) -> Value:
        """`value` as one of the options, live or retired. SpaceError: it is not one of them."""
        given = plain(value)
        if isinstance(given, str | int | float | None) and (type(given), given) in self._codes:
            return given
        raise SpaceError(f"{name}: {shown(given)} is not an option{nearest(str(given), map(str, self.options))}")

    def only_as_integer(self, value: int) -> bool:
        """Whether this integer is an option, and the same number as a float is none."""
        return (int, value) in self._codes and (float, float(value)) not in self._codes

    def code(self, value: Value) -> float:
        return self._codes[(type(value), value)]

    def value(self, code: float) -> Value:
        return self.values[int(code)]

    def to_json(self) -> dict[str, Any]:
        known = {"options": list(self.options)}
        retired = {"retired": list(self.retired)} if self.retired else {}
        return {**_json(self, known, ordered=False), **retired}

    def __repr__(self) -> str:
        return _text("Choice", list(self.options), self)


Parameter: TypeAlias = Float | Int | Choice


def is_live(p: Parameter, code: float) -> bool:
    """Whether the value of this code can be proposed: it is no retired option."""
    return not isinstance(p, Choice) or code < len(p.options)


def live_cells(p: Parameter) -> float:
    """How many values of p can be proposed; inf if continuous."""
    return float(len(p.options)) if isinstance(p, Choice) else p.scale.cells


def codes(name: str, p: Parameter, values: Sequence[object]) -> Array:
    """The codes of many values. Plain numbers in range are checked together; others one by one. SpaceError as `clean`."""
    kind = {Float: float, Int: int}.get(type(p))
    if isinstance(p, Float | Int) and p.step is None and all(type(v) is kind for v in values):
        found = np.array(values, dtype=float) + 0.0
        if ((p.low <= found) & (found <= p.high)).all():
            return found
    return np.array([p.code(p.clean(name, v)) for v in values])


def _assign(target: object, **values: Any) -> None:
    for key, value in values.items():
        object.__setattr__(target, key, value)


def _check_range(name: str, p: Float | Int) -> None:
    if p.low > p.high:
        raise SpaceError(f"{name}: low={p.low!r} is above high={p.high!r}; swap them")
    if p.log and p.step is not None:
        raise SpaceError(f"{name}: log=True and step={p.step!r} exclude each other; drop one")


def _check_flag(name: str, label: str, value: object) -> None:
    if not isinstance(value, bool):
        raise SpaceError(f"{name}: {label}={shown(value)} must be True or False")


def accept(name: str, p: Parameter, value: object) -> Value:
    """A value that a user gives for a setting, as `clean` makes it. A whole float may stand for an integer, since tables
    and other languages write integers as floats."""
    found = plain(value)
    if isinstance(found, float) and found.is_integer():
        meant = int(found)
        if isinstance(p, Int) or (isinstance(p, Choice) and p.only_as_integer(meant)):
            return p.clean(name, meant)
    return p.clean(name, value)


def _check_integer(name: str, value: object, label: str = "") -> int:
    if type(value) is int:
        return value
    repair = f"write {int(value)}" if isinstance(value, float) and value.is_integer() else "give one, or use a Float"
    raise SpaceError(f"{name}: {label}{shown(value)} is not an integer; {repair}")


def _check_bounds(name: str, value: float, p: Float | Int) -> None:
    if not p.low <= value <= p.high:
        near = p.low if value < p.low else p.high
        raise SpaceError(f"{name}: {shown(value)} is outside [{p.low!r}, {p.high!r}]; the nearest value is {near!r}")


def _check_common(name: str, p: Parameter) -> None:
    """What all kinds of parameter have: default, prior, and the shape of `when`."""
    if not isinstance(p.when, Mapping):
        raise SpaceError(f"{name}: when={shown(p.when)} is not a mapping; write when={{'parent': value}}")
    for label, value in (("default", p.default), ("prior", p.prior[0] if p.prior else UNSET)):
        if value is UNSET:
            continue
        cleaned = p.clean(f"{name}: {label}", value)
        if not is_live(p, p.code(cleaned)):
            raise SpaceError(f"{name}: {label}={value!r} is retired; choose a live option")
    if p.prior and p.prior[1] not in get_args(Confidence):
        raise SpaceError(f"{name}: prior confidence {shown(p.prior[1])} is not known; use 'low', 'medium' or 'high'")


def _json(p: Parameter, known: dict[str, Any], **defaults: Any) -> dict[str, Any]:
    """The declaration without default values."""
    entry = {"type": p.type, **known}
    entry.update({key: getattr(p, key) for key, usual in defaults.items() if getattr(p, key) != usual})
    if p.default is not UNSET:
        entry["default"] = p.default
    if p.prior:
        entry["prior"] = list(p.prior)
    if p.when:
        entry["when"] = {parent: list(values) for parent, values in p.when.items()}
    return entry


def _text(kind: str, positional: list[Any], p: Parameter) -> str:
    keywords = {k: v for k, v in p.to_json().items() if k not in ("type", "low", "high", "options")}
    if p.prior:
        keywords["prior"] = p.prior
    return f"{kind}({', '.join([*map(repr, positional), *(f'{k}={v!r}' for k, v in keywords.items())])})"
