"""The language of `require`: conditions over parameters, read with `ast`, never evaluated as Python.

    max_depth <= 10 or learning_rate < 0.05
    optimizer in ["adam", "sgd"] and log(width) * layers < 20

An expression becomes a tree of closures over columns of codes (the numbers on each parameter's scale), so it judges
thousands of rows at once. Numbers are floats; a comparison with NaN, as from log(-1), is false. A choice whose options
are all numbers counts as a number, one of True and False as a condition; other choices are compared by value.
"""

import ast
import functools
import keyword
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from ..arrays import Array, Mask
from ..checks import is_number, shown
from ..errors import SpaceError, nearest
from .parameters import Choice, Parameter, Value

Env: TypeAlias = Mapping[str, Array]
Run: TypeAlias = Callable[[Env], Any]

_LONGEST = 10_000  # characters

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.true_divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.mod,
    ast.Pow: np.power,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: lambda a, b: (a < b) | (a > b),  # false for NaN, which np.not_equal isn't
}
_FUNCTIONS: dict[str, tuple[Callable[..., Any], int, float]] = {  # with the least and most number of arguments
    "abs": (np.abs, 1, 1),
    "exp": (np.exp, 1, 1),
    "log": (np.log, 1, 1),
    "sqrt": (np.sqrt, 1, 1),
    "min": (lambda *values: functools.reduce(np.minimum, values), 2, np.inf),
    "max": (lambda *values: functools.reduce(np.maximum, values), 2, np.inf),
}
_YAML = {"null": "None", "true": "True", "false": "False"}  # how a study file writes values, and how an expression does


@dataclass(frozen=True)
class Expression:
    """A checked expression: its source, the parameters that it names, and its judgement."""

    source: str
    names: tuple[str, ...]
    constants: tuple[float, ...]  # the numbers that it names: places where a bounded search should look
    run: Run

    def holds(self, env: Env) -> Mask:
        """Whether it holds, for each row of the columns of codes in `env` (finite floats)."""
        with np.errstate(all="ignore"):
            return np.asarray(self.run(env), dtype=bool)


@dataclass(frozen=True)
class _Term:
    """A piece of an expression with its type; `options` are a choice's, or the one value of a literal."""

    kind: Literal["number", "condition", "choice", "literal"]
    run: Run
    text: str
    options: tuple[Value, ...] = ()


def parse(source: str, params: Mapping[str, Parameter]) -> Expression:
    """The expression in `source`. SpaceError: syntax, unknown names, mixed types, or not a condition."""
    if not isinstance(source, str) or not source.strip():
        raise SpaceError(f"require({shown(source)}): not an expression; write a condition such as 'depth <= 10'")
    if len(source) > _LONGEST:
        raise SpaceError(f"require({source[:40]!r}...): {len(source)} characters are too many; split it")
    reader = _Reader(source, params)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source.strip(), mode="eval")
        run = reader.condition(tree.body)
    except SyntaxError as wrong:
        raise reader.error(f"{wrong.msg}; write a condition such as 'depth <= 10'{reader.odd_names()}") from None
    except (RecursionError, MemoryError, ValueError) as wrong:
        raise reader.error(f"cannot be read ({wrong}); simplify it") from None
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called]
    if not found:
        raise reader.error("names no parameter; name at least one")
    constants = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return Expression(
        source,
        tuple(dict.fromkeys(reader.known[name] for name in found)),
        tuple(float(c) for c in constants if is_number(c)),
        run,
    )


class _Reader:
    """Turns syntax into typed closures for one expression."""

    def __init__(self, source: str, params: Mapping[str, Parameter]) -> None:
        self.source = source
        self.params = params
        self.known = {unicodedata.normalize("NFKC", name): name for name in params}  # as `ast` spells identifiers

    def error(self, text: str) -> SpaceError:
        return SpaceError(f"require({self.source!r}): {text}")

    def odd_names(self) -> str:
        odd = [name for name in self.params if not name.isidentifier() or keyword.iskeyword(name)]
        return f"; names that are no identifiers, such as {odd[0]!r}, can't be used in expressions" if odd else ""

    def condition(self, node: ast.expr) -> Run:
        term = self.term(node)
        if term.kind == "condition":
            return term.run
        if term.kind == "choice" and all(isinstance(option, bool) for option in term.options):
            return self.equal(term, _literal(True, "True"))
        raise self.error(f"{term.text!r} is not a condition; compare it with something, as in {term.text!r} == ...")

    def number(self, node: ast.expr) -> Run:
        term = self.term(node)
        if term.kind != "number":
            switch = term.kind == "choice" and all(isinstance(option, bool) for option in term.options)
            repair = "; to count switches, declare them as Int(0, 1)" if switch else ""
            raise self.error(f"{term.text!r} is not a number, so it can't be calculated with{repair}")
        return term.run

    def term(self, node: ast.expr) -> _Term:
        text = ast.unparse(node)
        match node:
            case ast.Constant(value=value):
                return self.constant(value, text)
            case ast.Name(id=name):
                return self.name(name)
            case ast.BoolOp(op=op, values=parts):
                junction = np.logical_and if isinstance(op, ast.And) else np.logical_or
                return _Term("condition", _chain(junction, [self.condition(part) for part in parts]), text)
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                return _Term("condition", _apply(np.logical_not, [self.condition(inner)]), text)
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return _Term("number", _apply(np.negative, [self.number(inner)]), text)
            case ast.UnaryOp(op=ast.UAdd(), operand=inner):
                return _Term("number", self.number(inner), text)
            case ast.BinOp(left=left, op=binary, right=right) if type(binary) in _ARITHMETIC:
                return _Term("number", _apply(_ARITHMETIC[type(binary)], [self.number(left), self.number(right)]), text)
            case ast.Compare(left=left, ops=ops, comparators=others):
                pairs = zip([left, *others[:-1]], ops, others, strict=True)
                return _Term("condition", _chain(np.logical_and, [self.compare(*pair) for pair in pairs]), text)
            case ast.Call(func=ast.Name(id=called), args=args, keywords=[]) if called in _FUNCTIONS:
                function, least, most = _FUNCTIONS[called]
                if not least <= len(args) <= most:
                    raise self.error(f"{text!r} has {len(args)} arguments; {called} takes {least}{'+' * (most > 1)}")
                return _Term("number", _apply(function, [self.number(arg) for arg in args]), text)
            case _:
                raise self.error(
                    f"{text!r} is not allowed; use and, or, not, comparisons, in [...], + - * / // % ** "
                    f"and {', '.join(_FUNCTIONS)}"
                )

    def constant(self, value: object, text: str) -> _Term:
        if value is None or isinstance(value, bool | str):
            return _literal(value, text)
        if not isinstance(value, int | float):
            raise self.error(f"{text} is neither a number nor text; write one")
        try:
            number = np.float64(value)
        except OverflowError:
            raise self.error(f"{text[:20]}... is too large; write a smaller number") from None
        return _Term("number", lambda _: number, text, (value,))

    def name(self, spelled: str) -> _Term:
        if spelled not in self.known:
            if spelled in _YAML:
                raise self.error(f"{spelled!r} is not a parameter; for the value, write {_YAML[spelled]}")
            raise self.error(f"{spelled!r} is not a parameter{nearest(spelled, self.params)}{self.odd_names()}")
        name = self.known[spelled]
        p = self.params[name]
        if not isinstance(p, Choice):
            return _Term("number", lambda env: env[name], name)
        if all(map(is_number, p.values)):
            numbers = np.array(p.values, dtype=float)
            return _Term("number", lambda env: numbers[env[name].astype(np.int64)], name)
        return _Term("choice", lambda env: env[name], name, p.values)

    def compare(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Run:
        if isinstance(op, ast.In | ast.NotIn):
            if not isinstance(right, ast.List | ast.Tuple | ast.Set):
                raise self.error(f"{ast.unparse(right)!r} is not a list; write it as in {ast.unparse(left)} in [1, 2]")
            if not right.elts:
                raise self.error("in [] never holds; list at least one value")
            if isinstance(op, ast.In):
                return _chain(np.logical_or, [self.compare(left, ast.Eq(), element) for element in right.elts])
            return _chain(np.logical_and, [self.compare(left, ast.NotEq(), element) for element in right.elts])
        if type(op) not in _COMPARISONS:
            raise self.error("'is' is not allowed; compare with ==")
        a, b = self.term(left), self.term(right)
        if a.kind == b.kind == "number":
            return _apply(_COMPARISONS[type(op)], [a.run, b.run])
        if not isinstance(op, ast.Eq | ast.NotEq):
            raise self.error(f"{a.text!r} and {b.text!r} have no order; compare them with ==, != or in")
        equal = self.equal(a, b) if a.kind == "choice" else self.equal(b, a)
        return equal if isinstance(op, ast.Eq) else _apply(np.logical_not, [equal])

    def equal(self, choice: _Term, other: _Term) -> Run:
        """Whether `choice` has the value of `other`, a literal or another choice."""
        if choice.kind != "choice" or other.kind == "condition" or not other.options:
            raise self.error(f"{choice.text!r} and {other.text!r} can't be compared: they are of different types")
        if other.kind == "choice":
            same = np.array([[_same(a, b) for b in other.options] for a in choice.options])
            return lambda env: same[choice.run(env).astype(np.int64), other.run(env).astype(np.int64)]
        value = other.options[0]
        codes = [float(i) for i, option in enumerate(choice.options) if _same(option, value)]
        if not codes:
            raise self.error(f"{choice.text!r} is never {value!r}{nearest(str(value), map(str, choice.options))}")
        return lambda env: functools.reduce(np.logical_or, [choice.run(env) == code for code in codes])


def _literal(value: Value, text: str) -> _Term:
    return _Term("literal", lambda _: np.bool_(value), text, (value,))


def _same(a: Value, b: Value) -> bool:
    """Equal in value and type, except that 1 and 1.0 are both numbers."""
    numbers = is_number(a) and is_number(b)
    return a == b and (numbers or type(a) is type(b))


def _apply(function: Callable[..., Any], arguments: Iterable[Run]) -> Run:
    runs = tuple(arguments)
    return lambda env: function(*(run(env) for run in runs))


def _chain(function: Callable[[Any, Any], Any], arguments: Iterable[Run]) -> Run:
    runs = tuple(arguments)
    return lambda env: functools.reduce(function, (run(env) for run in runs))
