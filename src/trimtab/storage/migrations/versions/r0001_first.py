"""The first schema: studies, trials, reports, events and private texts of events."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    studies()
    trials()
    reports()
    events()
    private()


def studies() -> None:
    op.create_table(
        "studies",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("uid", sa.String(32), nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("active", sa.Text, unique=True),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("reserved", sa.Integer, nullable=False),
        sa.Column("spent", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("head", sa.String(64), nullable=False),
        sqlite_autoincrement=True,
    )


def trials() -> None:
    op.create_table(
        "trials",
        sa.Column("study", sa.Integer, sa.ForeignKey("studies.id"), primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("params", sa.Text, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("strategy", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("seen", sa.Integer, nullable=False),
        sa.Column("at", sa.Integer, nullable=False),
        sa.Column("batch", sa.Integer, nullable=False),
        sa.Column("parent", sa.Integer),
        sa.Column("replicate", sa.Integer),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("created", sa.Double, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("worker", sa.Text),
        sa.Column("lease_until", sa.Double),
        sa.Column("started", sa.Double),
        sa.Column("ended", sa.Double),
        sa.Column("metrics", sa.Text, nullable=False),
        sa.Column("reason", sa.String(16)),
        sa.Column("cost", sa.Text, nullable=False),
        sa.Column("private", sa.Text, nullable=False),
        sa.Column("told", sa.Integer),
        sa.Column("revision", sa.Integer, nullable=False),
    )
    op.create_index("trials_by_revision", "trials", ["study", "revision"])
    op.create_index("trials_by_state", "trials", ["study", "state"])


def reports() -> None:
    op.create_table(
        "reports",
        sa.Column("study", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("step", sa.Double, primary_key=True),
        sa.Column("metrics", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("written", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["study", "number"], ["trials.study", "trials.number"]),
        sa.UniqueConstraint("study", "written"),
    )


def events() -> None:
    op.create_table(
        "events",
        sa.Column("study", sa.Integer, sa.ForeignKey("studies.id"), primary_key=True, autoincrement=False),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )


def private() -> None:
    op.create_table(
        "private",
        sa.Column("study", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("salt", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["study", "position"], ["events.study", "events.position"]),
    )
