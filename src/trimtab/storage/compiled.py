"""SQLAlchemy Core statements, compiled once and run directly by the driver: for what is done for every trial.

Compiling a statement takes longer than running it."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import ClauseElement

Values = Mapping[str, Any]


@lru_cache(maxsize=256)
def _text(
    statement: ClauseElement, dialect: Dialect, names: tuple[str, ...]
) -> tuple[str, Values, Sequence[str] | None]:
    """A statement as (SQL text, values that are part of it, order of all values if the driver wants them by position).

    names: of the values that are given when it is run.
    """
    made: Any = statement.compile(dialect=dialect, column_keys=list(names))
    own = {k: value for k, value in made.construct_params(dict.fromkeys(names)).items() if k not in names}
    return str(made), own, made.positiontup if made.positional else None


def rows(connection: Connection, statement: ClauseElement, values: Values) -> list[dict[str, Any]]:
    """The rows of a SELECT."""
    return _found(_run(connection, statement, [values]))


def table(connection: Connection, statement: ClauseElement, values: Values) -> list[tuple[Any, ...]]:
    """The rows of a SELECT as tuples, which is faster for many rows."""
    cursor = _run(connection, statement, [values])
    try:
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found
    finally:
        cursor.close()


def write(connection: Connection, statement: ClauseElement, *values: Values) -> int:
    """Execute a statement once for each set of values, all with the same names. Returns how many rows it changed."""
    cursor = _run(connection, statement, values)
    try:
        return int(cursor.rowcount)
    finally:
        cursor.close()


def exchange(
    connection: Connection,
    writes: Sequence[tuple[ClauseElement, Sequence[Values]]],
    reads: Sequence[tuple[ClauseElement, Values]],
) -> list[list[dict[str, Any]]]:
    """Execute `writes` in order, then return the rows of each SELECT of `reads`. If the driver has a pipeline, all are sent
    together, in one round trip."""
    driver: Any = connection.connection.dbapi_connection
    several = len(writes) + len(reads) > 1
    try:
        with driver.pipeline() if several and hasattr(driver, "pipeline") else nullcontext():
            for statement, values in writes:
                write(connection, statement, *values)
            cursors = [_run(connection, statement, [values]) for statement, values in reads]
        return [_found(cursor) for cursor in cursors]
    except DBAPIError:
        raise
    except Exception as error:  # a pipeline raises the driver's own error, when the answer to a statement comes
        raise _translated(connection, "several statements", error) from None


def _found(cursor: Any) -> list[dict[str, Any]]:
    try:
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    finally:
        cursor.close()


def _run(connection: Connection, statement: ClauseElement, values: Sequence[Values]) -> Any:
    sql, own, order = _text(statement, connection.dialect, tuple(values[0]))
    full = [{**own, **v} for v in values]
    sets: list[Any] = full if order is None else [[v[name] for name in order] for v in full]
    cursor = connection.connection.cursor()
    try:
        if len(sets) == 1:
            cursor.execute(sql, sets[0])
        else:
            cursor.executemany(sql, sets)
    except Exception as error:
        raise _translated(connection, sql, error) from None
    return cursor


def _translated(connection: Connection, sql: str, error: Exception) -> Exception:
    """A driver's error as SQLAlchemy would have raised it. A connection that it has broken is not used again."""
    dialect: Any = connection.dialect
    if not isinstance(error, dialect.loaded_dbapi.Error):
        return error
    gone = dialect.is_disconnect(error, connection.connection.dbapi_connection, None)
    if gone:
        connection.invalidate(error)
    return DBAPIError(sql, None, error, connection_invalidated=gone)
