"""PostgreSQL: how Trimtab connects to it, waits for it, and explains its errors."""

import hashlib
import re
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import QueuePool

from ..errors import StorageError
from ..files import user_path
from .database import WRITES, driver_error

PATIENCE = 600.0  # seconds that a store waits for a server that went away
OPENING = 10.0  # the same for a server that has not answered this store before
FROZEN = 15  # seconds after which the server ends the transaction of a stopped program, since others wait for it

_NOW = "extract(epoch FROM clock_timestamp())::float8"
_BEGIN_READ = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT {_NOW}"  # one round trip, with the limits
_BEGIN_WRITE = f"BEGIN; SELECT pg_current_xact_id()::text, {_NOW}"
_EXACT = {"extra_float_digits": "1"}  # all digits of a number, even if an administrator has set 0, as before version 12
_TICKET, _TIME = "trimtab_ticket", "trimtab_time"

_MOMENTARY = frozenset({"40001", "40P01", "23505", "55P03", "57014", "25P04"})
"""SQLSTATEs of what passes: serialization, deadlock, two processes create one study, a lock not granted in time, a statement
or a transaction that the server ended (a limit of time, or somebody's hand)."""

_AWAY = frozenset({"57P01", "57P02", "57P03", "57P05", "53300", "25P03"})
"""SQLSTATEs of a server that stops, has crashed, is starting, ends idle connections, or has no connection left."""


@dataclass(frozen=True)
class Postgres:
    """A database on a server. timeout: seconds to wait for a lock that another transaction holds. limits: what the server
    sets for each transaction, and for it alone, since a pooler gives a session's next transaction to another back end."""

    url: str
    place: str
    witness: Path | None
    timeout: float
    limits: Mapping[str, str]
    address: URL = field(repr=False)

    def connect(self) -> Engine:
        engine = create_engine(
            self.address,
            poolclass=QueuePool,
            pool_reset_on_return=None,  # every transaction has ended when its connection comes back
            pool_size=2,  # a thread that works and one that renews leases
            max_overflow=-1,
            isolation_level="AUTOCOMMIT",  # transactions begin where we say
        )

        settings = {**self.limits, **_EXACT}
        limits = "".join(f", set_config('{name}', '{value}', true)" for name, value in settings.items())

        @event.listens_for(engine, "connect")
        def connect(driver: Any, _: object) -> None:
            if driver.execute("SELECT pg_backend_pid()").fetchone()[0] != driver.info.backend_pid:
                driver.prepare_threshold = None  # a pooler: what one back end has prepared, the next one does not know

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            if connection.get_execution_options().get(WRITES, False):
                _begin(connection, _BEGIN_WRITE + limits, _TICKET)
            else:
                _begin(connection, _BEGIN_READ + limits, _TIME)

        return engine

    def write_lock(self) -> AbstractContextManager[Any]:
        return nullcontext()  # rows are locked, not the database

    def prepare(self, engine: Engine) -> None:
        """Nothing to set up."""

    def lock(self, connection: Connection) -> None:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('trimtab'))")

    def now(self, connection: Connection) -> float | None:
        return float(connection.info[_TIME][0])

    def ticket(self, connection: Connection) -> tuple[float | None, str]:
        named, now = connection.info[_TICKET][:2]
        return now, named

    def committed(self, engine: Engine, ticket: str) -> bool:
        status = "in progress"
        while status == "in progress":  # the server has not yet noticed that our connection broke
            with engine.connect() as connection:
                try:
                    found = connection.exec_driver_sql("SELECT pg_xact_status(%s::xid8)", (ticket,)).scalar()
                except DBAPIError as error:
                    if _state(error) == "22023":  # after a crash, the server has not reached this transaction id
                        return False
                    raise
            status = str(found)
            time.sleep(0.05 if status == "in progress" else 0.0)
        return status == "committed"

    def retry_after(self, error: BaseException, waited: float, opening: bool) -> float | None:
        state = _state(error)
        if state in _MOMENTARY:
            return 0.02 if waited < self.timeout else None
        if not (state in _AWAY or _disconnected(error)) or waited > (OPENING if opening else PATIENCE):
            return None
        if opening and "FATAL" in str(error) and state is None and not _starting(error):
            return None  # the server has answered: a wrong password, no such database
        return min(1.0, 0.05 + waited / 4)

    def explain(self, error: BaseException) -> str:
        text = " ".join(str(driver_error(error)).split())
        return f"{self.place}: {_repair(_state(error), text, self.address.database or '')} ({text})"


def locate(url: str, timeout: float) -> Postgres:
    """The database that a URL names. Raises StorageError if the URL or the driver is wrong."""
    try:
        import_module("psycopg")
    except ImportError as error:
        raise StorageError(f"PostgreSQL needs the package psycopg ({error}): pip install 'trimtab[postgres]'") from None
    try:
        address = make_url(_without_hosts(url)).set(drivername="postgresql+psycopg")
        address.get_dialect()().create_connect_args(address)  # which counts hosts and ports
    except (ArgumentError, ValueError):
        raise StorageError("the storage URL cannot be read; write 'postgresql://user@host:5432/name'") from None
    if secret := sorted(_SECRETS & address.query.keys()):  # SQLAlchemy only hides a password in front of the host
        raise StorageError(
            f"the storage URL has its {secret[0]} in the query; put it in ~/.pgpass, PGPASSWORD or a service file"
        )
    if "@" in (address.host or ""):
        raise StorageError("the storage URL has two @; write %40 for one in the password, or put it in ~/.pgpass")
    if not address.database:
        raise StorageError(f"storage {address.set(drivername='postgresql').render_as_string()!r} names no database; "
                           "write 'postgresql://user@host/name'")  # fmt: skip
    limits = {"idle_in_transaction_session_timeout": f"{FROZEN}s", "lock_timeout": f"{int(timeout * 1000)}ms"}
    given = _text(address.query.get("options", ""))
    settings = {**_NETWORK, **address.query}
    shown = address.set(drivername="postgresql")
    place = f"{address.host or _text(address.query.get('host', 'local'))}/{address.database}"
    return Postgres(
        shown.render_as_string(),
        place,
        _witness(shown),
        timeout,
        {name: value for name, value in limits.items() if not re.search(rf"\b{name}\b", given)},
        address.set(query={k: _text(v) for k, v in settings.items()}),
    )


_SECRETS = frozenset({"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
"""Parameters of libpq that nobody else should read."""


def _without_hosts(url: str) -> str:
    """A URL with several hosts, as libpq takes them (h1:5432,h2:5433), with them in its query, where SQLAlchemy takes
    them. Any other URL is as it was."""
    start, _, rest = url.partition("://")
    place, slash, name = rest.partition("/")
    user, at, hosts = place.rpartition("@")
    if "," not in hosts:
        return url
    found = [re.fullmatch(r"\[?(.*?)\]?(?::(\d+))?", host) for host in hosts.split(",")]
    names, ports = zip(*((m[1], m[2] or "") for m in found if m), strict=True)
    database, _, query = name.partition("?")
    return f"{start}://{user}{at}{slash}{database}?host={','.join(names)}&port={','.join(ports)}{query and f'&{query}'}"


_NETWORK = {
    "application_name": "trimtab",
    "client_encoding": "utf8",  # whatever the database's is
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",  # a network that swallows packets is an error after 20 s
}


def _text(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else ",".join(value)


def _witness(url: URL) -> Path | None:
    """This user's witness file for the database. It is usually on another machine than the server."""
    where = f"{url.host or _text(url.query.get('host', ''))}:{url.port or 5432}/{url.database}"
    file = user_path(f"{hashlib.sha256(where.encode()).hexdigest()[:16]}.witness")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError:  # no home, or a read-only one
        return None
    return file


def _begin(connection: Connection, statement: str, answer: str) -> None:
    """Begin a transaction, and keep the row that the server answers in connection.info, under the name `answer`."""
    raw = connection.connection
    cursor = raw.cursor()
    try:
        cursor.execute(statement)
        cursor.nextset()
        connection.info[answer] = cursor.fetchone()
    except Exception as error:
        connection.invalidate(error)
        raise DBAPIError(statement, None, error) from None
    finally:
        cursor.close()


def _state(error: BaseException) -> str | None:
    """The SQLSTATE of an error; None if it has none, for example because the server cannot be reached."""
    return getattr(driver_error(error), "sqlstate", None)


def _disconnected(error: BaseException) -> bool:
    """Whether the connection broke, or could not be made."""
    import psycopg

    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    state = _state(error)
    return isinstance(driver_error(error), psycopg.OperationalError) and (state is None or state.startswith("08"))


def _starting(error: BaseException) -> bool:
    """Whether the server has refused a connection for a reason that passes."""
    text = str(error)
    words = "starting up", "shutting down", "recovery mode", "not yet accepting", *_CROWDED
    return any(word in text for word in words)


def _repair(state: str | None, text: str, name: str) -> str:
    """What is wrong and what to do: by SQLSTATE, or by the server's message if it refused the connection."""
    if state is None and any(words in text for words in _CROWDED):
        state = "53300"
    if state is None:
        for words, repair in _REFUSED.items():
            if words in text:
                return repair.format(name=name)
        if "FATAL" in text:
            return "the server refused the connection"
        return "the server cannot be reached; see that it runs, and that host, port and network are right"
    if state == "42501" and "must be owner" in text:
        return "only who owns the tables may change them: name that user in the URL"
    repairs = {
        "42501": "this user lacks the right; GRANT it, or name another user in the URL",
        "22P05": "the encoding of the database lacks a character; make the database with: createdb -E UTF8 -T template0 {name}",
        "25006": "the database is read-only (a standby?); name the primary in the URL",
        "42P01": "its tables are not there, perhaps because it is being restored; run the same again once they are",
        "53100": "the server's disk is full; free some space and run the same again (nothing that was stored is lost)",
        "53300": "the server has no connection left; raise max_connections (or the limit of this user or database), or "
        "start fewer workers",
        "57014": "the server cancelled what was asked of it; if nobody did that by hand, raise this user's "
        "statement_timeout",
        "25P04": "the server ended a transaction; raise this user's transaction_timeout",
        "55P03": "another program has kept rows locked for too long; see pg_stat_activity, and run the same again",
        "XX001": "the database is damaged; restore it from a backup",
        "XX002": "an index is damaged; REINDEX the database",
    }
    gone = state in _AWAY or state.startswith("08")  # 08: of connections
    return repairs.get(state, "the server went away" if gone else "the server refused").format(name=name)


_REFUSED = {
    "password": "user or password is wrong; give them in the URL, in ~/.pgpass or in PGPASSWORD",
    "no pg_hba.conf entry": "the server lets nobody in from here under this name; see its pg_hba.conf",
    "does not exist": "there is no such database or user; make the database with: createdb {name}",
}

_CROWDED = "too many clients", "too many connections", "slots are reserved", "no more connections allowed"
"""What the server, or PgBouncer, says when it, a user or a database has no connection left."""
