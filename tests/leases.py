"""Leases of workers that are dead: over at once, where what a test is about is not the wait for them."""

from sqlalchemy import update

from trimtab.records import State
from trimtab.storage.database import WRITES
from trimtab.storage.tables import trials
from trimtab.storage.urls import locate


def run_out(url, worker=None):
    """As if the leases of all trials that run in a store, or of one worker's, had run out."""
    lost = update(trials).where(trials.c.state == State.RUNNING.value).values(lease_until=0.0)
    engine = locate(url, timeout=30.0).connect()
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        connection.execute(lost if worker is None else lost.where(trials.c.worker == worker))
    engine.dispose()
