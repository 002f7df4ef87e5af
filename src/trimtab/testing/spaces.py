"""Random spaces, for checks that must hold in any space: `random_space(random.Random(seed))`."""

import math
import string
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

from ..errors import SpaceError
from ..space import Choice, Float, Int, Parameter, Space, Value

_When = dict[str, list[Value]] | None
_Kind = Callable[[Random, _When], Parameter]

OPTIONS: list[Value] = ["a", "b", "gbtree", "", "1", "é", 0, 1, 7, 0.0, 0.5, 1.0, -2.5, True, False, None]
ODD_NAMES = ["learning-rate", "two words", "größe", "class", "params", "self", "log"]


def random_space(random: Random, *, most: int = 5, finite: bool = False, requirements: bool = True) -> Space:
    """A space of 1 to `most` parameters, with conditions, defaults, priors, retired options and requirements."""
    names = random.sample([*string.ascii_lowercase, *ODD_NAMES], random.randint(1, most))
    params: dict[str, Parameter] = {}
    for name in names:
        params[name] = _parameter(random, finite, _when(random, params))
    random.shuffle(names)  # children may be declared before their parents
    space = Space({name: params[name] for name in names})
    return _restricted(random, space) if requirements and random.random() < 0.4 else space


def _parameter(random: Random, finite: bool, when: _When) -> Parameter:
    kinds: list[_Kind] = [_choice, _int, _grid] if finite else [_choice, _int, _grid, _float, _float]
    p = random.choice(kinds)(random, when)
    low, high = p.scale.numbers(np.array([0.0, 1.0]))
    centre = p.value(random.choice([low, high]))
    if isinstance(p, Choice):
        centre = random.choice(p.options)
    if random.random() < 0.5:
        return p
    arguments: dict[str, Any] = {
        "default": centre,
        "prior": (centre, random.choice(["low", "medium", "high"])),
        "when": when,
    }
    if isinstance(p, Choice):
        return Choice(*p.options, ordered=p.ordered, retired=p.retired, **arguments)
    if isinstance(p, Int):
        return Int(p.low, p.high, log=p.log, step=p.step, **arguments)
    return Float(p.low, p.high, log=p.log, step=p.step, **arguments)


def _choice(random: Random, when: _When) -> Choice:
    options = random.sample(OPTIONS, random.randint(1, 5))
    live = random.randint(1, len(options)) if random.random() < 0.3 else len(options)
    return Choice(*options[:live], retired=options[live:], ordered=random.random() < 0.3, when=when)


def _int(random: Random, when: _When) -> Int:
    log = random.random() < 0.4
    low = random.choice([1, 2, 10, 100]) if log else random.choice([0, -7, 3, 1000, -(10**9)])
    high = low + random.choice([0, 1, 5, 30, 1000])
    return Int(low, high, log=log, step=None if log else random.choice([None, 1, 2, 7]), when=when)


def _grid(random: Random, when: _When) -> Float:
    low = random.choice([0.0, 0.1, -1.0, 3.3, 1e-3])
    step = random.choice([0.1, 0.25, 1e-3, 0.3, 2.0])
    return Float(low, low + step * random.choice([0, 1, 3.5, 10, 40]), step=step, when=when)


def _float(random: Random, when: _When) -> Float:
    log = random.random() < 0.5
    low = random.choice([1e-8, 1e-4, 0.01, 1.0, 20.0]) if log else random.choice([0.0, -1.0, 0.1, -1e6, 250.0])
    high = low * random.choice([2.0, 10.0, 1e5]) if log else low + random.choice([1.0, 0.3, 1e3, 1e7])
    return Float(low, high, log=log, when=when)


def _when(random: Random, params: dict[str, Parameter]) -> _When:
    """A condition on some of the finite parameters so far."""
    parents = [name for name, p in params.items() if p.scale.cells < math.inf]
    if not parents or random.random() < 0.5:
        return None
    when = {}
    for parent in random.sample(parents, random.randint(1, min(2, len(parents)))):
        p = params[parent]
        positions = np.array([random.random() for _ in range(random.randint(1, 3))])
        when[parent] = list(dict.fromkeys(p.value(float(code)) for code in p.scale.numbers(positions)))
    return when


def _restricted(random: Random, space: Space) -> Space:
    """The space with one or two requirements, if names allow it and something satisfies them."""
    pieces = []
    for name, p in space.params.items():
        if not name.isidentifier() or name in ("class", "self"):
            continue
        middle = p.value(float(p.scale.numbers(np.array([random.random()]))[0]))
        operator = random.choice(["==", "!="]) if isinstance(p, Choice) else random.choice(["<=", ">=", "!="])
        pieces.append(f"{name} {operator} {middle!r}")
    try:
        return space.require(*random.sample(pieces, min(len(pieces), random.randint(1, 2))))
    except SpaceError:
        return space
