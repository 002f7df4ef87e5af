"""Statements of SQLAlchemy Core, compiled once and run by the driver itself: for what each trial does.

SQLAlchemy makes the SQL and keeps the connections; its own way of running a statement costs several times what the
database needs for it. Statements whose text depends on values (lists of unknown length) and those that return what they
have written go its way.
"""

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
    """SQL, the values that it brings itself, and the order of all values where the driver wants them in order."""
    made: Any = statement.compile(dialect=dialect, column_keys=list(names))
    own = {k: value for k, value in made.construct_params(dict.fromkeys(names)).items() if k not in names}
    return str(made), own, made.positiontup if made.positional else None


def rows(connection: Connection, statement: ClauseElement, values: Values) -> list[dict[str, Any]]:
    """What a SELECT finds."""
    return _found(_run(connection, statement, [values]))


def table(connection: Connection, statement: ClauseElement, values: Values) -> list[tuple[Any, ...]]:
    """What a SELECT finds, as tuples: for many rows."""
    cursor = _run(connection, statement, [values])
    try:
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found
    finally:
        cursor.close()


def write(connection: Connection, statement: ClauseElement, *values: Values) -> int:
    """Carry a statement out for each set of values (all of the same names); how many rows it changed."""
    cursor = _run(connection, statement, values)
    try:
        return int(cursor.rowcount)
    finally:
        cursor.close()


def exchange(
    connection: Connection,
    writes: Sequence[tuple[ClauseElement, Sequence[Values]]],
    looks: Sequence[tuple[ClauseElement, Values]],
) -> list[list[dict[str, Any]]]:
    """Carry statements out, in order, and return what each SELECT finds after them: sent together where the driver can."""
    driver: Any = connection.connection.dbapi_connection
    several = len(writes) + len(looks) > 1
    try:
        with driver.pipeline() if several and hasattr(driver, "pipeline") else nullcontext():
            for statement, values in writes:
                write(connection, statement, *values)
            cursors = [_run(connection, statement, [values]) for statement, values in looks]
        return [_found(cursor) for cursor in cursors]
    except DBAPIError:
        raise
    except Exception as error:  # the answer to one of them came when all were sent
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
    """The error as SQLAlchemy would have raised it; a connection that is gone is not used again."""
    dialect: Any = connection.dialect
    if not isinstance(error, dialect.loaded_dbapi.Error):
        return error
    gone = dialect.is_disconnect(error, connection.connection.dbapi_connection, None)
    if gone:
        connection.invalidate(error)
    return DBAPIError(sql, None, error, connection_invalidated=gone)
