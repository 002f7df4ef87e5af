"""The database that a URL names. Only the driver of that kind of database is imported."""

from ..checks import without_password
from ..errors import StorageError, nearest
from .database import Database


def locate(url: str, timeout: float) -> Database:
    """The database that a URL names. Raises StorageError if there cannot be one."""
    scheme, separator, rest = url.partition("://")
    shown = without_password(url)
    if not separator:
        raise StorageError(f"storage {shown!r} is no URL; for a file write 'sqlite:///{shown}'")
    if scheme == "sqlite":
        from .sqlite import locate as file

        return file(url, timeout)
    if scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        from .postgres import locate as server

        return server(f"postgresql://{rest}", timeout)
    hint = nearest(scheme, ["sqlite", "postgresql", "memory"])
    raise StorageError(
        f"storage {shown!r}: unknown kind {scheme!r}{hint}; write 'sqlite:///file.db', 'postgresql://user@host/name' or "
        "'memory://'"
    )
