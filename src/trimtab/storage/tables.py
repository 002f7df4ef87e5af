"""The tables of SQL stores. JSON is canonical text, times are doubles (seconds since the epoch)."""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    or_,
)

from ..records import OPEN

SCHEMA = "0002"
"""The version of the schema below: the newest migration's revision."""

VERSION_TABLE = "trimtab_version"

metadata = MetaData()

studies = Table(
    "studies",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("uid", String(32), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("active", Text, unique=True),  # the name, NULL once archived: at most one study of a name is not archived
    Column("spec", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created", Double, nullable=False),
    Column("count", Integer, nullable=False),
    Column("reserved", Integer, nullable=False),
    Column("spent", Text, nullable=False),
    Column("position", Integer, nullable=False),
    Column("head", String(64), nullable=False),
    sqlite_autoincrement=True,  # the id of a deleted study is never given out again
)

trials = Table(
    "trials",
    metadata,
    Column("study", Integer, ForeignKey("studies.id"), primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    Column("purpose", String(16), nullable=False),
    Column("params", Text, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("seen", Integer, nullable=False),
    Column("at", Integer, nullable=False),
    Column("batch", Integer, nullable=False),
    Column("parent", Integer),
    Column("replicate", Integer),
    Column("priority", Integer, nullable=False),
    Column("created", Double, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("worker", Text),
    Column("lease_until", Double),
    Column("started", Double),
    Column("ended", Double),
    Column("metrics", Text, nullable=False),
    Column("reason", String(16)),
    Column("cost", Text, nullable=False),
    Column("private", Text, nullable=False),
    Column("told", Integer),
    Column("revision", Integer, nullable=False),
    Column("fidelity", Double),
    Column("curve", Text, nullable=False, server_default="{}"),
    Column("verdict", Text, nullable=False, server_default="{}"),
    Index("trials_by_revision", "study", "revision"),
    Index("trials_by_state", "study", "state"),
)

reports = Table(
    "reports",
    metadata,
    Column("study", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("step", Double, primary_key=True),
    Column("metrics", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("written", Integer, nullable=False),  # 1, 2, 3, ... in the order of writing within the study
    ForeignKeyConstraint(["study", "number"], ["trials.study", "trials.number"]),
    UniqueConstraint("study", "written"),
)

events = Table(
    "events",
    metadata,
    Column("study", Integer, ForeignKey("studies.id"), primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(32), nullable=False),
    Column("number", Integer),
    Column("at", Double, nullable=False),
    Column("body", Text, nullable=False),
    Column("hash", String(64), nullable=False),
)

is_open = or_(*(trials.c.state == state.value for state in sorted(OPEN)))
"""The condition that a trial is queued or running."""

private = Table(
    "private",
    metadata,
    Column("study", Integer, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("salt", Text, nullable=False),
    Column("text", Text, nullable=False),
    ForeignKeyConstraint(["study", "position"], ["events.study", "events.position"]),
)
