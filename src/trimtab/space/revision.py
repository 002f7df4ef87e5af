"""Which changes of a space keep old trials valid: ranges may widen, options may be added, nothing may be lost or moved."""

from collections.abc import Mapping
from fractions import Fraction

from ..errors import SpaceError, nearest
from .from_json import parameter
from .parameters import Choice, Float, Int, Parameter, Value

Table = Mapping[str, Parameter]


def merge(old: Table, new: Table, assumed: Mapping[str, object]) -> dict[str, Parameter]:
    """The parameters of `new` with what old trials still need: retired options, and conditions on them.

    `assumed` gives the value that old trials had for each new parameter. SpaceError: an old value would be lost or
    change its meaning, or an assumed value is missing or wrong.
    """
    for name in old:
        if name not in new:
            raise SpaceError(f'{name}: old trials have it; keep it, pinned to one value by .require("{name} == ...")')
    _check_assumed(old, new, assumed)
    table = {name: _merged(name, old[name], p) if name in old else p for name, p in new.items()}
    return {name: _with_conditions(name, old, table) if name in old else p for name, p in table.items()}


def _check_assumed(old: Table, new: Table, assumed: Mapping[str, object]) -> None:
    added = [name for name in new if name not in old]
    for name in assumed:
        if name not in added:
            raise SpaceError(f"assumed: {name!r} is not a new parameter{nearest(str(name), added)}")
    for name in added:
        if name not in assumed:
            raise SpaceError(f"{name}: is new; say which value old trials had: assume={{{name!r}: ...}}")
        new[name].clean(f"{name}: assumed", assumed[name])


def _merged(name: str, old: Parameter, new: Parameter) -> Parameter:
    if isinstance(old, Choice) and isinstance(new, Choice):
        typed = {(type(v), v) for v in new.values}
        lost = [v for v in old.values if (type(v), v) not in typed]
        return _changed(name, new, retired=[*new.retired, *lost]) if lost else new
    if (isinstance(old, Float) and isinstance(new, Float)) or (isinstance(old, Int) and isinstance(new, Int)):
        _check_range(name, old, new)
        return new
    raise SpaceError(f"{name}: {old.type} can't become {new.type}; add a parameter of another name")


def _check_range(name: str, old: Float | Int, new: Float | Int) -> None:
    if old.log != new.log:
        raise SpaceError(f"{name}: log={old.log} can't become log={new.log}; add a parameter of another name")
    if new.low > old.low or new.high < old.high:
        limits = [f"{name} >= {new.low!r}"] * (new.low > old.low) + [f"{name} <= {new.high!r}"] * (new.high < old.high)
        raise SpaceError(
            f"{name}: [{old.low!r}, {old.high!r}] can't be narrowed to [{new.low!r}, {new.high!r}], as old trials may "
            f'lie outside; keep the range and add .require("{" and ".join(limits)}")'
        )
    if not _holds_grid(old, new):
        raise SpaceError(f"{name}: step={new.step!r} from {new.low!r} misses old values; use a divisor of the old step")


def _holds_grid(old: Float | Int, new: Float | Int) -> bool:
    """Whether every value of `old` is one of `new`, whose range is at least as wide."""
    if new.step is None:
        return True
    step = Fraction(repr(new.step))
    if (Fraction(repr(old.low)) - Fraction(repr(new.low))) % step:
        return False
    stride = old.step or (1 if isinstance(old, Int) else 0)
    return old.scale.cells == 1 or (stride != 0 and Fraction(repr(stride)) % step == 0)


def _with_conditions(name: str, old: Table, table: Table) -> Parameter:
    """The new parameter, if its condition gives the same answer as the old one for every old trial."""
    before, after = old[name].when, dict(table[name].when)
    if set(before) != set(after):
        raise SpaceError(
            f"{name}: when={dict(before)!r} can't become {after!r}, as it says which old trials have {name}; "
            "keep its parents"
        )
    for parent, values in before.items():
        now = table[parent]
        retired = now.retired if isinstance(now, Choice) else ()
        kept = {(type(v), v) for v in after[parent]}
        after[parent] += tuple(v for v in values if (type(v), v) not in kept and _among(v, retired))
        if _codes(old[parent], values) != _codes(old[parent], after[parent]):
            raise SpaceError(
                f"{name}: when {parent!r} can't go from {list(values)!r} to {list(after[parent])!r}, as it says which "
                f"old trials have {name}; only add values that are new to {parent!r}"
            )
    return table[name] if after == table[name].when else _changed(name, table[name], when=after)


def _among(value: Value, values: tuple[Value, ...]) -> bool:
    return any(type(v) is type(value) and v == value for v in values)


def _codes(p: Parameter, values: tuple[Value, ...]) -> set[float]:
    """The codes of those values that p can take."""
    codes = set()
    for value in values:
        try:
            codes.add(p.code(p.clean("", value)))
        except SpaceError:
            continue
    return codes


def _changed(name: str, p: Parameter, **changes: object) -> Parameter:
    return parameter(name, {**p.to_json(), **changes})
