"""Wrong declarations, expressions and params: each is refused with the value, the rule and the repair."""

import numpy as np
import pandas as pd
import pytest

from trimtab.errors import SpaceError
from trimtab.space import Choice, Float, Int, Space

nan, inf = float("nan"), float("inf")

DEFINITIONS = {
    "no parameters": (lambda: Space(), "has no parameters; give at least one"),
    "not a mapping": (lambda: Space([("a", Int(0, 1))]), "not a mapping"),
    "not a parameter": (lambda: Space(a=(0, 1)), "a: (0, 1) is not a Float, Int or Choice"),
    "given twice": (lambda: Space({"a": Int(0, 1)}, a=Int(0, 2)), "a: given twice, in the mapping and by keyword"),
    "name of no text": (lambda: Space({3: Int(0, 1)}), "3 is not a parameter's name"),
    "empty name": (lambda: Space({"": Int(0, 1)}), "'' is not a parameter's name"),
    "control character": (lambda: Space({"a\n": Int(0, 1)}), "'a\\n' contains a control character"),
    "reversed bounds": (lambda: Space(lr=Float(0.1, 0.01)), "lr: low=0.1 is above high=0.01; swap them"),
    "reversed ints": (lambda: Space(n=Int(9, 3)), "n: low=9 is above high=3; swap them"),
    "NaN bound": (lambda: Space(a=Float(nan, 1)), "a: low=nan is not a finite number"),
    "infinite bound": (lambda: Space(a=Float(0, inf)), "a: high=inf is not a finite number"),
    "bound that overflows": (lambda: Space(a=Float(0, 10**400)), "a: high=inf is not a finite number"),
    "text as bound": (lambda: Space(a=Float("0", 1)), "a: low='0' is not a finite number"),
    "bool as bound": (lambda: Space(a=Float(0, True)), "a: high=True is not a finite number"),
    "overflowing range": (lambda: Space(a=Float(-1e308, 1e308)), "a: high - low overflows"),
    "log of zero": (lambda: Space(a=Float(0, 1, log=True)), "a: log=True needs low > 0, and low=0.0"),
    "log and step": (lambda: Space(a=Float(1, 2, log=True, step=0.1)), "a: log=True and step=0.1 exclude each other"),
    "zero step": (lambda: Space(a=Float(0, 1, step=0)), "a: step=0.0 is not a positive number"),
    "tiny step": (lambda: Space(a=Float(0, 1, step=1e-15)), "a: step=1e-15 makes more than 2**48 values"),
    "float bound of int": (lambda: Space(a=Int(1.0, 3)), "a: low=1.0 is not an integer; write 1"),
    "fraction as int": (lambda: Space(a=Int(1, 3.5)), "a: high=3.5 is not an integer; give one, or use a Float"),
    "bool as int": (lambda: Space(a=Int(False, 3)), "a: low=False is not an integer"),
    "log int of zero": (lambda: Space(a=Int(0, 3, log=True)), "a: log=True needs low >= 1, and low=0"),
    "log int too high": (lambda: Space(a=Int(1, 2**41, log=True)), "a: log=True needs high <= 2**40"),
    "negative int step": (lambda: Space(a=Int(0, 3, step=-1)), "a: step=-1 is not positive"),
    "step of wrong type": (lambda: Space(a=Int(0, 3, step=0.5)), "a: step=0.5 is not an integer"),
    "log and int step": (lambda: Space(a=Int(1, 9, log=True, step=2)), "a: log=True and step=2 exclude each other"),
    "too many ints": (lambda: Space(a=Int(0, 2**48)), "has more than 2**48 values"),
    "int too large": (lambda: Space(a=Int(2**60, 2**60 + 1)), "is beyond 2**53"),
    "int too wide": (lambda: Space(a=Int(-(2**53), 2**53, step=129)), "spans more than 2**53"),
    "default outside": (
        lambda: Space(a=Int(0, 3, default=4)),
        "a: default: 4 is outside [0, 3]; the nearest value is 3",
    ),
    "default off the step": (
        lambda: Space(a=Float(0, 1, step=0.1, default=0.25)),
        "a: default: 0.25 is not on step=0.1",
    ),
    "NaN default": (lambda: Space(a=Float(0, 1, default=nan)), "a: default: nan is not a number"),
    "prior outside": (lambda: Space(a=Float(0, 1, prior=(2, "low"))), "a: prior: 2.0 is outside [0.0, 1.0]"),
    "odd confidence": (
        lambda: Space(a=Float(0, 1, prior=(1, "big"))),
        "prior confidence 'big' is not known; use 'low'",
    ),
    "no options": (lambda: Space(a=Choice()), "a: Choice() has no options"),
    "collections as options": (
        lambda: Space(a=Choice((1, 1), (1, 2))),
        "option (1, 1) is a collection; name it with a text",
    ),
    "options after a label": (lambda: Space(a=Choice("a", ["x", "y"])), "write Choice(*options), without a label"),
    "bounds as logarithms": (lambda: Space(a=Float(-7, 0, log=True)), "write Float(0.000912, 1, log=True)"),
    "options as list": (lambda: Space(a=Choice(["x", "y"])), "is a collection; write Choice(*options)"),
    "option twice": (lambda: Space(a=Choice("x", "y", "x")), "a: option 'x' is given twice; remove one"),
    "retired twice": (lambda: Space(a=Choice("x", retired=["x"])), "a: option 'x' is given twice"),
    "complex option": (lambda: Space(a=Choice("x", 1j)), "a: option 1j is not text, number, bool or None"),
    "object as option": (lambda: Space(a=Choice({}, "x")), "a: option {} is not text, number, bool or None"),
    "NaN option": (lambda: Space(a=Choice(1.0, nan)), "a: option nan is not finite; name it with a text"),
    "default no option": (
        lambda: Space(a=Choice("adam", "sgd", default="adm")),
        "'adm' is not an option; did you mean",
    ),
    "default retired": (lambda: Space(a=Choice("x", retired=["y"], default="y")), "a: default='y' is retired"),
    "bool is not 1": (lambda: Space(a=Choice(1, 2, default=True)), "a: default: True is not an option"),
    "when no mapping": (lambda: Space(a=Int(0, 1, when="b")), "a: when='b' is not a mapping"),
    "unknown parent": (
        lambda: Space(booster=Choice("x"), b=Int(0, 1, when={"boster": "x"})),
        "did you mean 'booster'?",
    ),
    "own parent": (lambda: Space(a=Int(0, 1, when={"a": 1})), "names the parameter itself"),
    "impossible value": (
        lambda: Space(a=Choice("x"), b=Int(0, 1, when={"a": "z"})),
        "b: when 'a': 'z' is not an option",
    ),
    "empty condition": (lambda: Space(a=Choice("x"), b=Int(0, 1, when={"a": []})), "b: when={'a': []} never holds"),
    "continuous parent": (lambda: Space(a=Float(0, 1), b=Int(0, 1, when={"a": 1})), "'a', which is continuous"),
    "cycle": (
        lambda: Space(a=Int(0, 1, when={"c": 1}), b=Int(0, 1, when={"a": 1}), c=Int(0, 1, when={"b": 1})),
        "the conditions form a cycle: a -> c -> b -> a; remove one",
    ),
}


@pytest.mark.parametrize("case", DEFINITIONS)
def test_a_wrong_definition_is_refused_with_its_reason(case):
    define, message = DEFINITIONS[case]
    with pytest.raises(SpaceError) as error:
        define()
    assert message in str(error.value)


EXPRESSIONS = {
    "": "not an expression",
    "n <=": "invalid syntax",
    "m < 3": "'m' is not a parameter",
    "dpth < 3": "'dpth' is not a parameter; did you mean 'depth'?",
    "depth == null": "'null' is not a parameter; for the value, write None",
    "learning-rate < 1": "names that are no identifiers, such as 'learning-rate', can't be used",
    "1 < 2": "names no parameter",
    "depth + n": "'depth + n' is not a condition; compare it",
    "depth and n < 2": "'depth' is not a condition",
    "optimizer": "'optimizer' is not a condition",
    "depth == 'x'": "can't be compared: they are of different types",
    "optimizer + 1 > 2": "'optimizer' is not a number, so it can't be calculated with",
    "optimizer > 'sgd'": "have no order; compare them with ==, != or in",
    "optimizer == 'adm'": "'optimizer' is never 'adm'; did you mean 'adam'?",
    "optimizer in ['adam', 3]": "'optimizer' is never 3",
    "optimizer == depth": "can't be compared",
    "depth in optimizer": "'optimizer' is not a list; write it as in depth in [1, 2]",
    "depth in []": "list at least one value",
    "depth is 3": "'is' is not allowed; compare with ==",
    "depth.real < 3": "'depth.real' is not allowed; use and, or, not",
    "__import__('os').system('x') == 0": "is not allowed",
    "open('x') == depth": "\"open('x')\" is not allowed",
    "(lambda: depth)() < 3": "is not allowed",
    "[depth for depth in [1]] == 1": "is not allowed",
    "depth if n else n": "is not allowed",
    "depth[0] < 1": "is not allowed",
    "f'{depth}' == 'a'": "is not allowed",
    "(depth := 3) < 4": "is not allowed",
    "depth < 1j": "1j is neither a number nor text",
    "~depth < 3": "is not allowed",
    "log(depth, 2) < 3": "'log(depth, 2)' has 2 arguments; log takes 1",
    "min(depth) < 3": "has 1 arguments; min takes 2+",
    "depth < 1" + "0" * 400: "is too large; write a smaller number",
    "not" * 5000 + " depth": "too many; split it",
    "-" * 5000 + "depth < 3": "simplify it",
    "depth > 10": "no setting satisfies it; loosen it",
    "log(depth) > 5": "no setting satisfies it; loosen it",
}


@pytest.mark.parametrize("source", EXPRESSIONS)
def test_a_wrong_requirement_is_refused_with_its_reason(source):
    space = Space({"optimizer": Choice("adam", "sgd"), "depth": Int(1, 10), "n": Int(0, 3), "learning-rate": Int(0, 1)})
    with pytest.raises(SpaceError) as error:
        space.require(source)
    assert EXPRESSIONS[source] in str(error.value)
    assert source[:20] in str(error.value)


def test_requirements_that_exclude_each_other_are_named_together():
    space = Space(a=Float(0, 1), n=Int(1, 1000))
    with pytest.raises(SpaceError, match=r"'a < 0.4', 'a > 0.6'.*all of them together, though each alone"):
        space.require("a < 0.4", "a > 0.6")
    with pytest.raises(SpaceError, match=r"require\('a < -1'\): none of .* points that were tried satisfies it"):
        space.require("n < 5", "a < -1")


BRANCHES = {
    "root": Choice("a", "b", "c"),
    "x": Float(0, 1, when={"root": ["a", "b"]}),
    "y": Float(0, 1, when={"root": "c"}),
    "n": Int(1, 3, when={"root": ["b", "c"]}),
    "z": Float(0, 1, when={"n": [1, 2]}),
    "w": Float(0, 1, when={"n": 3}),
}


@pytest.mark.parametrize(
    ("source", "apart"),
    [
        ("x < y", True), ("x < 0.5 or w > 0.5 or y < 0.5", True), ("z < w", True), ("y < 0.5 or root == 'c'", False),
        ("x < z", False), ("y < w", False), ("x + n < 3", False), ("root == 'a' or y > 0.1", False), ("w > 0.1", False),
    ],
)  # fmt: skip
def test_a_requirement_on_parameters_that_are_never_active_together_would_always_hold(source, apart):
    space = Space(BRANCHES)
    if apart:
        with pytest.raises(SpaceError, match=r"are never active together, so it would always hold; write one for each"):
            space.require(source)
    else:
        assert space.require(source).requirements == (source,)
    stored = Space.from_json({**space.to_json(), "require": [source]})
    assert stored.requirements == (source,)  # a record stays readable


def test_a_requirement_on_a_parameter_that_is_never_active_says_so():
    space = Space({**BRANCHES, "never": Float(0, 1, when={"root": "a", "n": 1})})
    for source in ("never < 0.5", "x < 1 or never < 0.5"):
        with pytest.raises(
            SpaceError, match=r"never is never active, so it would .* conditions, and those of its parents"
        ):
            space.require(source)


SOUND = {
    "1 <= a < 5 and b != 3": [True, False],
    "a ** 2 // 3 % 4 - -b / 2 + 1 >= 5": [True, False],
    "max(a, b, 4) == 4 and min(a, b) > abs(-1) and exp(log(b)) <= sqrt(16)": [True, False],
    "not (a == 3 or c == 'x')": [False, True],
    "c in ('y', None) and a not in {3, 4}": [False, True],
    "flag or c == 'x'": [True, False],
    "flag == False": [False, True],
    "size == 32": [True, False],
    "size / 2 > a + 20": [False, True],
    "c == d": [True, False],
    "c != d": [False, True],
    "log(a - 4) != 1": [False, True],
    "log(a - 4) not in [1, 2]": [False, True],
    "mixed == 1 or mixed == 'auto'": [True, False],
    "1/0 < a": [False, False],
    "log == 1": [True, False],
}


@pytest.mark.parametrize("source", SOUND)
def test_a_sound_requirement_allows_what_it_says(source):
    space = Space(
        a=Int(1, 9),
        b=Int(1, 9),
        c=Choice("x", "y", None),
        d=Choice(None, "x", "z"),
        flag=Choice(False, True),
        size=Choice(32, 64),
        mixed=Choice("auto", 1, 1.5, True),
        log=Int(0, 1),
    )
    rows = [
        {"a": 3, "b": 4, "c": "x", "d": "x", "flag": True, "size": 32, "mixed": "auto", "log": 1},
        {"a": 5, "b": 5, "c": "y", "d": None, "flag": False, "size": 64, "mixed": True, "log": 0},
    ]
    expected = SOUND[source]
    if not any(expected):
        with pytest.raises(SpaceError, match="loosen it"):
            space.require(source)
        return
    restricted = space.require(source)
    assert restricted.allowed(space.encode(rows)).tolist() == expected
    assert restricted.validate(rows[expected.index(True)])
    with pytest.raises(SpaceError, match="violates require"):
        restricted.validate(rows[expected.index(False)])


PARAMS = {
    "not a mapping": ([1], "is not a mapping from names to values"),
    "unknown name": ({"deph": 3}, "'deph' is not a parameter; did you mean 'depth'?"),
    "missing": ({"kind": "tree"}, "depth: missing; give a value of Int(1, 10"),
    "inactive": (
        {"kind": "linear", "depth": 3, "rate": 0.5},
        "it needs kind in ['tree'], and kind is 'linear'; leave it",
    ),
    "out of bounds": (
        {"kind": "tree", "depth": 11, "rate": 0.5},
        "depth: 11 is outside [1, 10]; the nearest value is 10",
    ),
    "not on the step": ({"kind": "linear", "rate": 0.55}, "rate: 0.55 is not on step=0.1; the nearest value is"),
    "fraction for an int": ({"kind": "tree", "depth": 3.5, "rate": 0.5}, "depth: 3.5 is not an integer; give one, or"),
    "whole float out of bounds": ({"kind": "tree", "depth": 11.0, "rate": 0.5}, "depth: 11 is outside [1, 10]"),
    "bool for an int": ({"kind": "tree", "depth": True, "rate": 0.5}, "depth: True is not an integer"),
    "NaN for an int": ({"kind": "tree", "depth": nan, "rate": 0.5}, "depth: nan is not an integer"),
    "text for a number": ({"kind": "linear", "rate": "0.5"}, "rate: '0.5' is not a number"),
    "bool for a number": ({"kind": "linear", "rate": True}, "rate: True is not a number"),
    "NaN": ({"kind": "linear", "rate": nan}, "rate: nan is not a number"),
    "beyond all floats": ({"kind": "linear", "rate": 10**400}, "... is outside [0.0, 1.0]; the nearest value is 1.0"),
    "infinite": ({"kind": "linear", "rate": inf}, "rate: inf is outside [0.0, 1.0]"),
    "no option": ({"kind": "tre", "rate": 0.5}, "kind: 'tre' is not an option; did you mean 'tree'?"),
    "list as option": ({"kind": ["tree"], "rate": 0.5}, "kind: ['tree'] is not an option"),
    "retired": ({"kind": "dart", "rate": 0.5}, "kind: 'dart' is retired; choose one of ['tree', 'linear']"),
    "violates": ({"kind": "tree", "depth": 9, "rate": 0.9}, "depth=9, rate=0.9 violates require('depth * rate < 5')"),
}


@pytest.mark.parametrize("case", PARAMS)
def test_params_that_are_not_in_the_space_are_refused_with_the_reason(case):
    space = Space(
        kind=Choice("tree", "linear", retired=["dart"]),
        depth=Int(1, 10, when={"kind": "tree"}),
        rate=Float(0, 1, step=0.1),
    ).require("depth * rate < 5")
    params, message = PARAMS[case]
    with pytest.raises(SpaceError) as error:
        space.validate(params)
    assert message in str(error.value)


def test_numpy_scalars_become_plain_values():
    space = Space(a=Float(0, 1), b=Int(0, 9), c=Choice("x", "y"), d=Choice(True, False))
    cleaned = space.validate({"a": np.float32(0.5), "b": np.int64(3), "c": np.str_("x"), "d": np.bool_(True)})
    assert [type(v) for v in cleaned.values()] == [float, int, str, bool]


@pytest.mark.parametrize("empty", [None, nan, np.float64("nan"), pd.NA])
def test_a_row_of_a_table_is_a_setting(empty):
    space = Space(
        kind=Choice("tree", "linear"), depth=Int(1, 10, when={"kind": "tree"}), batch=Choice(16, 32, True), n=Int(0, 9)
    )
    found = space.validate({"kind": "linear", "depth": empty, "batch": 16.0, "n": np.float32(3.0)})
    assert [*found.items()] == [("kind", "linear"), ("batch", 16), ("n", 3)]
    assert [type(v) for v in found.values()] == [str, int, int]
    table = pd.DataFrame([{"kind": "tree", "depth": 4, "batch": 16, "n": 1}, found])
    settings = [space.validate(row) for row in table.to_dict("records")]
    assert settings == [{"kind": "tree", "depth": 4, "batch": 16, "n": 1}, found]


def test_options_are_told_apart_by_type_where_both_exist():
    space = Space(a=Choice(1, 1.0, 2.0, True))
    assert [type(space.validate({"a": v})["a"]) for v in (1, 1.0, 2.0, True)] == [int, float, float, bool]
    for value in (2, 3.0):
        with pytest.raises(SpaceError, match="is not an option"):
            space.validate({"a": value})


OLD = {"a": Float(0, 1, step=0.5), "b": Choice("x", "y"), "c": Int(1, 9, when={"b": "x"})}
REVISIONS = {
    "gone": ({"c": None}, {}, 'c: old trials have it; keep it, pinned to one value by .require("c == ...")'),
    "other kind": ({"a": Int(0, 1)}, {}, "a: float can't become int"),
    "other scale": ({"c": Int(1, 9, log=True, when={"b": "x"})}, {}, "c: log=False can't become log=True"),
    "narrower": ({"c": Int(2, 9, when={"b": "x"})}, {}, 'keep the range and add .require("c >= 2")'),
    "other step": ({"a": Float(0, 1, step=0.2)}, {}, "a: step=0.2 from 0.0 misses old values"),
    "other parent": ({"c": Int(1, 9)}, {}, "c: when={'b': ('x',)} can't become {}"),
    "other condition": ({"c": Int(1, 9, when={"b": ["x", "y"]})}, {}, "only add values that are new to 'b'"),
    "not assumed": ({"d": Int(0, 1)}, {}, "d: is new; say which value old trials had: assume={'d': ...}"),
    "assumed wrongly": ({"d": Int(0, 1)}, {"d": 2}, "d: assumed: 2 is outside [0, 1]"),
    "assumed in vain": ({"d": Int(0, 1)}, {"d": 1, "b": "x"}, "assumed: 'b' is not a new parameter"),
}


@pytest.mark.parametrize("case", REVISIONS)
def test_a_revision_that_would_lose_old_trials_is_refused(case):
    changes, assumed, message = REVISIONS[case]
    new = Space({name: p for name, p in {**OLD, **changes}.items() if p is not None})
    with pytest.raises(SpaceError) as error:
        Space(OLD).revise(new, assumed)
    assert message in str(error.value)


ENTRY = {"name": "a", "type": "int", "low": 0, "high": 1}
JSON = {
    "unknown key": ({"params": [ENTRY], "requires": []}, "'requires' is not known of a space; did you mean 'require'?"),
    "unknown type": ({"params": [{**ENTRY, "type": "integer"}]}, "a: type='integer' is not known"),
    "unknown field": ({"params": [{**ENTRY, "hihg": 2}]}, "a: 'hihg' is not known of a int; did you mean 'high'?"),
    "missing field": ({"params": [{"name": "a", "type": "choice"}]}, "a: 'options' is missing"),
    "given twice": ({"params": [ENTRY, ENTRY]}, "a: given twice"),
    "not a space": ([ENTRY], "is not a space; write {'params': [...]}"),
    "no name": ({"params": [{"type": "int"}]}, "{'type': 'int'} is not a parameter"),
    "options of text": (
        {"params": [{"name": "a", "type": "choice", "options": "xy"}]},
        "a: options='xy' is not a list",
    ),
    "one requirement": ({"params": [ENTRY], "require": "a > 3"}, "require('a > 3'): no setting satisfies it"),
}


@pytest.mark.parametrize("case", JSON)
def test_json_that_is_no_space_is_refused_with_the_reason(case):
    data, message = JSON[case]
    with pytest.raises(SpaceError) as error:
        Space.from_json(data)
    assert message in str(error.value)


def test_rows_of_the_wrong_shape_and_lists_without_end():
    space = Space(a=Float(0, 1), b=Int(0, 1))
    for judge in (space.snap, space.allowed):
        with pytest.raises(SpaceError, match=r"rows of shape \(1, 3\) don't fit the space; give \(n, 2\)"):
            judge(np.zeros((1, 3)))
    with pytest.raises(SpaceError, match="a: continuous, so the space can't be listed"):
        iter(space)
    with pytest.raises(SpaceError, match="b: missing in"):
        space.encode([{"a": 0.5}])
