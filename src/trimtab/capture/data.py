"""Fingerprints of data: a file, a folder, an array or a table; and which version of a file git or DVC keeps.

A fingerprint is JSON: {"kind", "sha256", ...}. For tables (DataFrames, Arrow, Parquet and Arrow files) `sha256` covers the
values (see `columns`) and `columns` names what each is; for other files it covers the bytes.
"""

import hashlib
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..canonical import digest, spelled_out
from ..errors import SpecError
from . import columns
from .versions import versions

TABLES = (".parquet", ".pq", ".arrow", ".feather", ".ipc")
SETTLED = 2.0  # seconds after a change in which a file's times may not yet tell of the next one
Fingerprint = dict[str, Any]


@dataclass(frozen=True)
class Input:
    """Something that results depend on: a path, or an array or table in memory."""

    name: str
    what: Any

    def __post_init__(self) -> None:
        if isinstance(self.what, str | os.PathLike):
            path = os.fspath(self.what) or "an empty path"
            if not os.path.exists(path):
                raise SpecError(
                    f"data {self.name!r}: {path} does not exist (from {os.getcwd()}); name a file or a folder"
                )
        elif not (_pandas(self.what) or _arrow(self.what) or _sparse(self.what) or hasattr(self.what, "__array__")):
            raise SpecError(
                f"data {self.name!r} is a {type(self.what).__name__}; give a path, an array, a sparse matrix, a DataFrame or "
                "an Arrow table"
            )


@dataclass(frozen=True)
class Look:
    """An input's fingerprint, with what shows cheaply whether it must be taken again."""

    fingerprint: Fingerprint
    marks: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # path -> size, times, inode
    settled: bool = False  # whether a change from now on will show in the marks


def look(given: Input, last: Look | None = None) -> Look:
    """The input as it is now. Files whose size, times and inode are unchanged since the last look are not read again."""
    if not isinstance(given.what, str | os.PathLike):
        return Look(_in_memory(given.what))
    path = Path(given.what)
    try:
        marks = _marks(path)
        if last is not None and last.settled and marks == last.marks:
            return last
        began = time.time()
        made = _folder(path) if path.is_dir() else _file(path)
    except OSError as error:
        return Look({"kind": "missing", "sha256": "", "path": _shown(path), "error": error.strerror or str(error)})
    newest = max((mark[2] for mark in marks.values()), default=0) / 1e9
    return Look({"path": _shown(path), **made}, marks, settled=newest < began - SETTLED)


def _shown(path: Path) -> str:
    """A path below the working directory relative to it, any other by its name only: where a user keeps files is
    private."""
    here, full = Path.cwd(), path.absolute()
    return spelled_out(str(full.relative_to(here)) if full.is_relative_to(here) else path.name)


def different(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What changed between two fingerprints, in words; "" if the content is the same."""
    if (
        before["kind"] != after["kind"]
        and "file_sha256" in before
        and before["file_sha256"] == after.get("file_sha256")
    ):
        return ""  # the same bytes, read with and without a library that knows tables
    if (before["kind"], before["sha256"]) == (after["kind"], after["sha256"]):
        return ""
    if after["kind"] == "missing":
        return f"it cannot be read any more ({after['error']})"
    old, new = before.get("columns"), after.get("columns")
    if old and new:
        names = [n for n in {**old, **new} if old.get(n) != new.get(n)]
        return f"columns {', '.join(names)}" if names else "the order of its columns"
    old, new = before.get("files"), after.get("files")
    if isinstance(old, dict) and isinstance(new, dict):
        names = [n for n in {**old, **new} if old.get(n) != new.get(n)]
        return f"files {', '.join(names[:5])}" + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return "its content"


# ------------------------------------------------------------------------------------------------------------- on disk


def _marks(path: Path) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for file in _walk(path):
        s = file.stat()
        found[str(file)] = (s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino)
    return found


def _walk(path: Path) -> list[Path]:
    return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def sha256(path: Path) -> str:
    """Of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _file(path: Path) -> Fingerprint:
    made = {"bytes": path.stat().st_size, "file_sha256": sha256(path), **versions(path)}
    if path.suffix.lower() in TABLES and (table := _read(path)) is not None:
        return {**_table(*table), **made}
    return {"kind": "file", "sha256": made["file_sha256"], **made}


def _folder(path: Path) -> Fingerprint:
    files = {spelled_out(str(p.relative_to(path))): sha256(p) for p in _walk(path)}
    return {"kind": "folder", "sha256": digest(files), "files": files, **versions(path)}


def _read(path: Path) -> tuple[int, Iterable[tuple[str, tuple[str, str]]]] | None:
    """Rows and columns of a Parquet or Arrow file; None if it cannot be read as a table (pyarrow is missing)."""
    try:
        import pyarrow as pa
        from pyarrow import feather, parquet
    except ImportError:
        return None
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            table = parquet.read_table(path, memory_map=True)
        else:
            table = feather.read_table(path, memory_map=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    return table.num_rows, _of_arrow(table)


# ----------------------------------------------------------------------------------------------------------- in memory


def _pandas(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "dtypes")


def _arrow(value: Any) -> bool:
    return hasattr(value, "__arrow_c_stream__")


def _sparse(value: Any) -> bool:
    return hasattr(value, "tocsr")


def _in_memory(value: Any) -> Fingerprint:
    if _pandas(value):
        return _table(len(value), _of_pandas(value))
    if _sparse(value):
        return _of_sparse(value)
    if _arrow(value):
        import pyarrow as pa

        table = pa.table(value)
        return _table(table.num_rows, _of_arrow(table))
    array = np.asarray(value)
    if array.dtype.kind in "biufc":
        made = columns.of_numbers(array.dtype.name, array)
        kind = array.dtype.name
    else:
        kind, made = columns.of_objects(array.ravel().tolist())
    return {
        "kind": "array",
        "sha256": digest([kind, list(array.shape), made]),
        "type": kind,
        "shape": list(array.shape),
    }


def _of_sparse(matrix: Any) -> Fingerprint:
    """By the values that are not 0 and their places, in the order of rows and columns; it is never made dense."""
    at = matrix.tocoo()
    made = at.tocsr()  # adds up values of the same place
    made.eliminate_zeros()
    made.sort_indices()
    kind, parts = made.dtype.name, [made.indptr.astype(np.int64), made.indices.astype(np.int64)]
    digests = [columns.of_numbers(kind, made.data), *(columns.of_numbers("int64", p) for p in parts)]
    return {
        "kind": "sparse",
        "sha256": digest([kind, list(made.shape), digests]),
        "type": kind,
        "shape": list(made.shape),
    }


def _of_pandas(frame: Any) -> Iterable[tuple[str, tuple[str, str]]]:
    """Columns, preceded by the index if it is more than row numbers."""
    if frame.ndim == 1:
        frame = frame.to_frame()
    if type(frame.index).__name__ != "RangeIndex":
        for i, name in enumerate(frame.index.names):
            values = frame.index.get_level_values(i)
            yield (f"__index_level_{i}__" if name is None else spelled_out(str(name))), columns.of_pandas(values)
    for i, name in enumerate(frame.columns):
        yield spelled_out(str(name)), columns.of_pandas(frame.iloc[:, i])


def _of_arrow(table: Any) -> Iterable[tuple[str, tuple[str, str]]]:
    """Columns, preceded by those that pandas wrote for an index."""
    names = sorted(enumerate(table.column_names), key=lambda item: (not _index(table, item[1]), item[0]))
    for i, name in names:
        yield name, columns.of_arrow(table.column(i))


def _index(table: Any, name: str) -> bool:
    said = (table.schema.pandas_metadata or {}).get("index_columns", [])
    return name in [n for n in said if isinstance(n, str)]


def _table(rows: int, made: Iterable[tuple[str, tuple[str, str]]]) -> Fingerprint:
    described = [[name, kind, sha] for name, (kind, sha) in made]
    return {
        "kind": "table",
        "sha256": digest([rows, described]),
        "rows": rows,
        "columns": {name: {"type": kind, "sha256": sha} for name, kind, sha in described},
    }
