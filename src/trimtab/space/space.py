"""A search space: named parameters, conditions and requirements, and the only map between params and the unit cube.

Notation: d parameters, n rows; X (n, d) holds one column of [0, 1] per parameter, NaN if inactive. A finite parameter
cuts its column into cells; canonical rows lie on their centres. S (n, d) is a canonical matrix whose inactive entries
are filled with some position, so that no computation meets NaN.
"""

import keyword
import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from ..arrays import Array, Mask
from ..canonical import digest, dumps
from ..checks import no_setting, shown
from ..errors import SpaceError, nearest
from . import conditions, enumeration, foreign, revision, search
from .cube import Cube
from .expression import Expression, parse
from .from_json import parameters, requirements
from .normalise import is_empty
from .parameters import UNSET, Choice, Float, Int, Parameter, Params, Value, accept, codes, is_live
from .scales import Scale

_FEW = 100_000  # settings up to which a space is searched exhaustively
_POINTS = 20_000  # random points at which requirements are tried in a larger space
_WITNESSES = 4_096  # allowed rows that are kept
_BLOCK = 4_096  # rows that are drawn at once
_ROUNDS = 20  # of rejection sampling


class Space:
    """An immutable search space.

    `Space(lr=Float(1e-4, 1, log=True), depth=Int(2, 12))`, or `Space({"learning-rate": ...})` for names that are not
    identifiers. Columns are in declared order. SpaceError: a wrong declaration, with the parameter's name.
    """

    def __init__(self, params: Mapping[str, Parameter] | None = None, /, **named: Parameter) -> None:
        if params is not None and not isinstance(params, Mapping):
            raise SpaceError(f"Space({shown(params)}): not a mapping; write Space({{'name': Float(0, 1)}})")
        given = dict(params or {})
        for name in named:
            if name in given:
                raise SpaceError(f"{name}: given twice, in the mapping and by keyword; remove one")
        self._params: dict[str, Parameter] = {**given, **named}
        if not self._params:
            raise SpaceError("Space() has no parameters; give at least one, such as Space(lr=Float(0, 1))")
        for name, p in self._params.items():
            _check_name(name)
            if not isinstance(p, Float | Int | Choice):
                raise SpaceError(f"{name}: {shown(p)} is not a Float, Int or Choice; {foreign.repair(p)}")
            p.check(name)
        self._cube = Cube(self._params)
        self._expressions: tuple[Expression, ...] = ()
        self._witnesses: Array = np.empty((0, len(self)))

    # -- what it consists of

    @property
    def params(self) -> Mapping[str, Parameter]:
        """The parameters by name, read-only, in the order of their columns."""
        return MappingProxyType(self._params)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters, in the order of their columns."""
        return tuple(self._params)

    @property
    def requirements(self) -> tuple[str, ...]:
        """The expressions that every allowed setting satisfies, as they were given to `require`."""
        return tuple(e.source for e in self._expressions)

    @property
    def cells(self) -> Array:
        """The number of cells of each column (d,), retired options included; inf if continuous."""
        return self._cube.cells.copy()

    @property
    def live_share(self) -> Array:
        """The share of each column (d,) that new settings use: retired options have the last cells."""
        return self._cube.share.copy()

    @property
    def unordered(self) -> Mask:
        """Which columns (d,) are choices without an order."""
        return np.array([isinstance(p, Choice) and not p.ordered for p in self._params.values()])

    def __len__(self) -> int:
        return len(self._params)

    def require(self, *expressions: str) -> "Space":
        """The space restricted to what also satisfies `expressions`.

        An expression counts as satisfied if a parameter that it names is inactive. SpaceError: an expression that is
        wrong, that names parameters which are never active together, or that nothing satisfies, alone or together with
        the others, as far as a bounded search can tell.
        """
        for e in (parse(e, self._params) for e in expressions):
            for name in e.names:
                if self._never_together([name]):
                    raise SpaceError(
                        f"require({e.source!r}): {name} is never active, so it would always hold; its conditions, and those "
                        "of its parents, contradict each other: change one of them"
                    )
            if self._never_together(e.names):
                raise SpaceError(
                    f"require({e.source!r}): {', '.join(e.names)} are never active together, so it would always hold; "
                    "write one for each case"
                )
        return self._restricted(expressions)

    def _never_together(self, names: Sequence[str]) -> bool:
        """Whether these parameters are never all active."""
        return conditions.never_together([self.names.index(name) for name in names], self._cube.gates)

    def _restricted(self, expressions: Sequence[str]) -> "Space":
        """`require` for expressions that are already on record: without the check that their names can all be active."""
        if not expressions:
            return self
        added = tuple(parse(e, self._params) for e in expressions)
        restricted = Space(self._params)
        restricted._expressions = self._expressions + added
        restricted._witnesses = restricted._search()
        return restricted

    # -- params

    def validate(self, params: Mapping[str, Value]) -> Params:
        """`params` as plain Python values: exactly the active parameters, in declared order.

        They may be a row of a table: 3.0 is the integer 3, and an inactive parameter may be empty (None or NaN).

        SpaceError: a name that is unknown, missing or inactive; a value of the wrong type, out of bounds, off the step
        or retired; or a requirement that does not hold.
        """
        if not isinstance(params, Mapping):
            raise SpaceError(no_setting(params, "{'name': value}"))
        for name in params:
            if name not in self._params:
                raise SpaceError(f"{name!r} is not a parameter{nearest(str(name), self._params)}")
        codes: dict[int, float] = {}  # of the active columns
        cleaned: Params = {}
        names = self.names
        for j in self._cube.order:
            name, p = names[j], self._params[names[j]]
            shut = [gate for gate in self._cube.gates[j] if codes.get(gate.parent) not in gate.codes]
            if shut and not is_empty(params.get(name)):
                parent = names[shut[0].parent]
                raise SpaceError(
                    f"{name}: {params[name]!r} is given but {name} is inactive: it needs {parent} in "
                    f"{list(p.when[parent])!r}, and {parent} is {cleaned.get(parent, 'inactive')!r}; leave it out"
                )
            if shut:
                continue
            if name not in params:
                raise SpaceError(f"{name}: missing; give a value of {p!r}")
            cleaned[name] = accept(name, p, params[name])
            codes[j] = p.code(cleaned[name])
            if isinstance(p, Choice) and not is_live(p, codes[j]):
                raise SpaceError(f"{name}: {cleaned[name]!r} is retired; choose one of {list(p.options)!r}")
        self._check_required({names[j]: np.array([code]) for j, code in codes.items()})
        return {name: cleaned[name] for name in names if name in cleaned}

    def _check_required(self, codes: Mapping[str, Array]) -> None:
        for expression in self._expressions:
            if all(name in codes for name in expression.names) and not expression.holds(codes).all():
                values = ", ".join(f"{n}={self._params[n].value(float(codes[n][0]))!r}" for n in expression.names)
                raise SpaceError(f"{values} violates require({expression.source!r}); change one of them")

    def defaults(self) -> Params | None:
        """The defaults of all parameters that are active under the defaults; None if one of them has no default."""
        codes: dict[int, float] = {}  # of the active columns
        chosen: Params = {}
        names = self.names
        for j in self._cube.order:
            p = self._params[names[j]]
            if not all(codes.get(gate.parent) in gate.codes for gate in self._cube.gates[j]):
                continue
            if p.default is UNSET:
                return None
            chosen[names[j]] = p.clean(names[j], p.default)
            codes[j] = p.code(chosen[names[j]])
        return {name: chosen[name] for name in names if name in chosen}

    # -- the unit cube

    def encode(self, configs: Sequence[Mapping[str, Value]]) -> Array:
        """Rows X (n, d) of params: NaN if inactive (values given for inactive parameters are dropped).

        Accepts retired options. SpaceError: an active parameter is missing, or a value is not in its domain.
        """
        if not isinstance(configs, Sequence) or not all(isinstance(config, Mapping) for config in configs):
            raise SpaceError(f"{shown(configs)} is no list of settings; write [{{'name': value}}, ...]")
        X = np.full((len(configs), len(self)), np.nan)
        if not len(configs):
            return X
        for j, (name, p) in enumerate(self._params.items()):
            rows = [i for i, config in enumerate(configs) if name in config]
            if rows:
                X[rows, j] = self._cube.scales[j].position(codes(name, p, [configs[i][name] for i in rows]))
        active = self._cube.active(np.where(np.isnan(X), 0.5, X))
        missing = np.argwhere(active & np.isnan(X))
        if len(missing):
            i, j = missing[0]
            raise SpaceError(f"{self.names[j]}: missing in {dict(configs[i])!r}; give a value")
        return np.where(active, X, np.nan)

    def decode(self, X: Array) -> list[Params]:
        """The params of rows X (n, d): plain Python values of the active parameters, in declared order."""
        S = self._cube.filled(X)
        active = self._cube.active(S)
        configs: list[Params] = [{} for _ in S]
        V = self._cube.numbers(S)
        for j, (name, p) in enumerate(self._params.items()):
            for i in np.flatnonzero(active[:, j]):
                configs[i][name] = p.value(float(V[i, j]))
        return configs

    def snap(self, X: Array) -> Array:
        """Canonical rows: active finite columns at cell centres, continuous ones clipped to [0, 1], inactive ones NaN.

        NaN in an active column counts as 0.5. Idempotent, and `encode(decode(snap(X)))` is `snap(X)`: exactly in finite
        columns, to 1e-12 in continuous ones (or floating-point resolution, if that is coarser).
        """
        S = self._cube.filled(X)
        return np.where(self._cube.active(S), S, np.nan)

    def active(self, X: Array) -> Mask:
        """Which parameters are active (n, d)."""
        return self._cube.active(self._cube.filled(X))

    def allowed(self, X: Array) -> Mask:
        """Which rows (n,) satisfy all requirements and use no retired option."""
        if not self._expressions and self._cube.whole:
            return np.ones(len(self._cube.fitting(X)), dtype=bool)
        S = self._cube.filled(X)
        active = self._cube.active(S)
        live = ~(active & (self._cube.share < 1.0) & (self._cube.share <= S)).any(axis=1)
        return np.asarray(live & self._judged(S, active).all(axis=1))

    def key(self, x: Array) -> bytes:
        """The identity of a row x (d,): equal for rows that mean the same setting (floats to 1e-9)."""
        return self.keys(np.asarray(x)[None, :])[0]

    def keys(self, X: Array) -> list[bytes]:
        """The identities of rows X (n, d)."""
        return self._cube.keys(X)

    def _judged(self, S: Array, active: Mask) -> Mask:
        """Which requirements (columns) each row of S satisfies."""
        index = {name: j for j, name in enumerate(self._params)}
        used = dict.fromkeys(name for e in self._expressions for name in e.names)
        codes = {name: self._cube.scales[index[name]].numbers(S[:, index[name]]) for name in used}
        judged = np.ones((len(S), len(self._expressions)), dtype=bool)
        for i, e in enumerate(self._expressions):
            judged[:, i] = e.holds(codes) | ~active[:, [index[name] for name in e.names]].all(axis=1)
        return judged

    # -- sampling and counting

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """n allowed rows (n, d), uniform in the cube, snapped.

        If rejection finds too few, walks from the allowed rows known since definition supply the rest.
        """
        if not self._expressions:
            return self.snap(self._draw(n, rng))
        found = np.empty((0, len(self)))
        tried = 0
        for _ in range(_ROUNDS):
            missing = n - len(found)
            if missing <= 0:
                return self.snap(found[:n])
            rate = (len(found) + 1.0) / (tried + 1.0)
            rows = self._draw(int(min(max(missing / rate, 64), _BLOCK)), rng)
            found = np.concatenate([found, rows[self.allowed(rows)]])
            tried += len(rows)
        starts = self._witnesses[rng.integers(len(self._witnesses), size=max(n - len(found), 0))]
        return self.snap(np.concatenate([found, search.walk(starts, self.allowed, self.unordered, rng)])[:n])

    def _draw(self, n: int, rng: np.random.Generator) -> Array:
        """Rows (n, d) uniform in the live part of the cube."""
        return np.asarray(rng.random((n, len(self))) * self._cube.share)

    def cardinality(self) -> int | float:
        """The number of distinct settings, or inf; retired options don't count.

        Requirements are taken into account if there are at most 100,000 settings without them; otherwise the
        number is an upper bound.
        """
        if not self._expressions or self._total > _FEW:
            return self._total
        return sum(int(self.allowed(rows).sum()) for rows in enumeration.rows(self._cube))

    @cached_property
    def _total(self) -> int | float:
        """The number of settings, ignoring requirements."""
        return enumeration.count(self._cube)

    def __iter__(self) -> Iterator[Params]:
        """All allowed settings, lazily. SpaceError: there are infinitely many."""
        if self._total == math.inf:
            continuous = [name for name, k in zip(self._params, self._cube.cells, strict=True) if k == math.inf]
            raise SpaceError(f"{', '.join(continuous)}: continuous, so the space can't be listed; give them a step")
        return (params for rows in enumeration.rows(self._cube) for params in self.decode(rows[self.allowed(rows)]))

    def _search(self) -> Array:
        """Some rows (m, d) that satisfy all requirements. SpaceError: none was found, naming the culprit."""
        few = self._total <= _FEW
        rows = np.concatenate(list(enumeration.rows(self._cube))) if few else self._points(np.random.default_rng(0))
        judged = self._judge(rows)
        finding = "no setting satisfies" if few else f"none of {len(rows):,} points that were tried satisfies"
        for i, e in enumerate(self._expressions):
            if not judged[:, i].any():
                raise SpaceError(f"require({e.source!r}): {finding} it; loosen it")
        witnesses = rows[self.allowed(rows)]
        if not len(witnesses):
            sources = ", ".join(repr(e.source) for e in self._expressions)
            raise SpaceError(f"require({sources}): {finding} all of them together, though each alone; loosen one")
        return witnesses[:: math.ceil(len(witnesses) / _WITNESSES)]

    def _points(self, rng: np.random.Generator) -> Array:
        """Rows at which to try the requirements: defaults, middle, corners, random ones, and what a search adds."""
        defaults = self.defaults()
        known = self.encode([defaults] if defaults else [])
        corners = np.outer([0.5, 0.0, 1.0], np.ones(len(self)))
        random = self._draw(_POINTS, rng) ** 10.0 ** rng.uniform(-1.0, 1.0, (_POINTS, 1))  # many of them near a corner
        rows = np.concatenate([known, corners, random])
        named = [name for e in self._expressions for name in e.names]
        constants = np.array([c for e in self._expressions for c in e.constants])
        positions = {
            j: search.places(scale.cells, self._positions(scale, constants), rng)
            for j, (name, scale) in enumerate(zip(self._params, self._cube.scales, strict=True))
            if name in named
        }
        return search.along_columns(rows, self._judge, positions, rng)

    def _judge(self, X: Array) -> Mask:
        """Which requirements (columns) each row of X satisfies."""
        S = self._cube.filled(X)
        return self._judged(S, self._cube.active(S))

    @staticmethod
    def _positions(scale: Scale, constants: Array) -> Array:
        """The positions in a column of the numbers that requirements name."""
        low, high = scale.numbers(np.array([0.0, 1.0]))
        return scale.position(constants[(constants >= low) & (constants <= high)])

    # -- JSON, identity and revision

    def to_json(self) -> dict[str, Any]:
        """The space as JSON, without default values."""
        entries = [{"name": name, **p.to_json()} for name, p in self._params.items()]
        return {"params": entries, **({"require": list(self.requirements)} if self._expressions else {})}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Space":
        """The space whose `to_json()` is `data`. SpaceError: it isn't one."""
        known = ("params", "require")
        if not isinstance(data, Mapping):
            raise SpaceError(f"{shown(data)} is not a space; write {{'params': [...]}}")
        for key in data:
            if key not in known:
                raise SpaceError(f"{key!r} is not known of a space{nearest(str(key), known)}")
        space = Space(parameters(data.get("params", [])))
        return space._restricted(requirements(data.get("require", [])))

    @cached_property
    def _canonical(self) -> str:
        return dumps(self.to_json())

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) of the canonical JSON."""
        return digest(self.to_json())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and self._canonical == other._canonical

    def __hash__(self) -> int:
        return hash(self._canonical)

    def __reduce__(self) -> tuple[Any, ...]:
        return Space.from_json, (self.to_json(),)

    def __repr__(self) -> str:
        if all(name.isidentifier() and not keyword.iskeyword(name) for name in self.names):
            columns = "".join(f"    {name}={p!r},\n" for name, p in self._params.items())
        else:
            columns = "".join(["{\n", *(f"    {name!r}: {p!r},\n" for name, p in self._params.items()), "}"])
        required = f".require({', '.join(map(repr, self.requirements))})" if self._expressions else ""
        opening = "" if columns.startswith("{") else "\n"
        return f"Space({opening}{columns}){required}"

    def revise(self, new: "Space", assumed: Mapping[str, Value]) -> "Space":
        """`new`, merged with what trials of this space need to stay valid: options that it lacks become retired.

        `assumed` gives the value that old trials had for each new parameter; encode old trials with `{**assumed,
        **params}`. SpaceError: an old parameter is missing, or has another kind, scale or condition or a narrower
        range; or `assumed` lacks a value.
        """
        merged = Space(revision.merge(self._params, new._params, assumed))
        return merged._restricted(new.requirements)


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise SpaceError(f"{name!r} is not a parameter's name; use a text that is not empty")
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
        raise SpaceError(f"{name!r} contains a control character, or half a character (a lone surrogate); remove it")
