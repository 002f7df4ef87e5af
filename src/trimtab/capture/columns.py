"""Fingerprints of columns by their values alone, so that a table has one fingerprint as a DataFrame, in Arrow and in Parquet.

The form: a type name; which values are there (packed bits); the values, little-endian, 0 where missing. NaN is a missing
value, -0.0 is 0.0. Texts are UTF-8 with their lengths. Times are nanoseconds since 1970, or microseconds in a column with
years that these do not reach, such as 9999 (their unit in storage does not matter); chunks, offsets, dictionaries and what
stands under a missing value don't matter either. Numbers of another width (float32, float64) are another type. What has no
such form (lists, decimals, dates) enters by its Python repr.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..canonical import stable_repr

Array = NDArray[Any]


def of_numbers(kind: str, values: Array, there: Array | None = None) -> str:
    """The digest of numbers or truth values; `there` says which are not missing (floats: all but NaN)."""
    if values.dtype.kind in "fc":
        there = ~np.isnan(values) if there is None else there & ~np.isnan(values)
        values = np.where(there, values, 0) + np.zeros(1, values.dtype)  # -0.0 + 0.0 is 0.0
    elif there is not None:
        values = np.where(there, values, np.zeros(1, values.dtype))
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return _digest(kind, values.size, there, little.tobytes())


def of_objects(values: Sequence[Any]) -> tuple[str, str]:
    """(type, digest) of Python values, None and NaN being missing: texts, bytes, truth values, or anything by its repr."""
    there = np.array([not _missing(v) for v in values], dtype=bool)
    kinds = {type(v) for v in values if not _missing(v)}
    if not kinds:
        return "empty", _digest("empty", len(values), there, b"")
    if kinds == {bool}:
        return "bool", of_numbers("bool", np.array([bool(t and v) for t, v in zip(there, values, strict=True)]), there)
    kind, encode = _FORMS.get(next(iter(kinds)), _FORMS[object]) if len(kinds) == 1 else _FORMS[object]
    encoded = [encode(v) if t else b"" for t, v in zip(there, values, strict=True)]
    lengths = np.array([len(e) for e in encoded], dtype="<i8").tobytes()
    return kind, _digest(kind, len(values), there, lengths, b"".join(encoded))


_FORMS: dict[type, tuple[str, Callable[[Any], bytes]]] = {
    str: ("text", lambda v: v.encode("utf-8", "surrogatepass")),
    bytes: ("bytes", bytes),
    object: ("other", lambda v: _other(v).encode("utf-8", "surrogatepass")),
}


def _other(v: Any) -> str:
    """The repr of what has no form of its own; arrays count as lists, whose repr leaves nothing out."""
    return stable_repr(v.tolist() if isinstance(v, np.ndarray) else v)


def _missing(v: Any) -> bool:
    if v is None or type(v).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(v, float | np.floating) and bool(np.isnan(v))


def _digest(kind: str, n: int, there: Array | None, *parts: bytes) -> str:
    """there=None: all of them are."""
    made = hashlib.sha256(f"{kind}\n{n}\n".encode())
    made.update(np.packbits(np.ones(n, bool) if there is None else there).tobytes())
    for part in parts:
        made.update(part)
    return made.hexdigest()


def of_pandas(column: Any) -> tuple[str, str]:
    """(type, digest) of a pandas Series or Index."""
    import pandas as pd

    series = pd.Series(column)
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        whole = getattr(dtype.categories.dtype, "kind", "") in "biu"  # of which NumPy's own types hold no missing value
        series = series.astype(pd.array(dtype.categories.to_numpy()).dtype if whole else dtype.categories.dtype)
        dtype = series.dtype
    if isinstance(dtype, pd.ArrowDtype):
        import pyarrow as pa

        return of_arrow(pa.chunked_array(pa.array(series)))
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf":
        return dtype.name, of_numbers(dtype.name, series.to_numpy())
    if isinstance(dtype, pd.DatetimeTZDtype) or getattr(dtype, "kind", "") in "Mm":
        zone = getattr(dtype, "tz", None)
        return _of_times(
            (series if zone is None else series.dt.tz_convert("UTC").dt.tz_localize(None)).to_numpy(), zone
        )
    inner = getattr(dtype, "numpy_dtype", None)  # Int64, Float32, boolean
    if inner is not None and inner.kind in "biuf":
        there = ~series.isna().to_numpy()
        values = series.fillna(inner.type(0)).to_numpy(dtype=inner)
        return inner.name, of_numbers(inner.name, values, there)
    return of_objects(series.tolist())


def _of_times(values: Array, zone: Any) -> tuple[str, str]:
    """(type, digest) of times in UTC, or of durations."""
    there, form = ~np.isnat(values), values.dtype.kind
    kind = "duration" if form == "m" else "time" if zone is None else f"time {zone}"
    distant = (np.abs(values[there].astype(f"{form}8[us]").astype("i8")) > _MOST_MICROSECONDS).any()
    made = values.astype(f"{form}8[{'us' if distant else 'ns'}]").astype("i8")
    kind += " in us" if distant else ""
    return kind, of_numbers(kind, made, there)


_MOST_MICROSECONDS = (2**63 - 1) // 1000  # that an integer holds as nanoseconds: 292 years


def of_arrow(column: Any) -> tuple[str, str]:
    """(type, digest) of an Arrow ChunkedArray."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind, t = str(column.type), pa.types
    if t.is_timestamp(column.type) or t.is_duration(column.type):
        return _of_times(column.to_numpy(), getattr(column.type, "tz", None))
    if not (t.is_boolean(column.type) or t.is_integer(column.type) or t.is_floating(column.type)):
        return of_objects(column.to_pylist())
    kind = {"halffloat": "float16", "float": "float32", "double": "float64"}.get(kind, kind)
    zero = False if t.is_boolean(column.type) else 0
    return kind, of_numbers(kind, column.fill_null(zero).to_numpy(), column.is_valid().to_numpy())
