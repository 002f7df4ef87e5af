"""Fidelity of trials: how far one was to be trained, its metrics at the rungs, and why a rule stopped it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("trials", sa.Column("fidelity", sa.Double))
    op.add_column("trials", sa.Column("curve", sa.Text, nullable=False, server_default="{}"))
    op.add_column("trials", sa.Column("verdict", sa.Text, nullable=False, server_default="{}"))
