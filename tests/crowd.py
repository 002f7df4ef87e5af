"""Processes that share a store in an SQL database."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from stores import DONE, SPEC, put, verify

WORKER = """
    import sys
    from stores import DONE, proposal
    from trimtab.errors import BudgetSpent, Stale
    from trimtab.storage.sql import Sql

    store = Sql(sys.argv[1])
    study = store.studies()[0].id
    while True:
        trial = store.claim(study, "w", 600.0)
        if trial is not None:
            store.finish(trial, DONE)
            print(trial.number, flush=True)
            continue
        record = store.trials(study, since=10**9).study
        try:
            store.enqueue(study, [proposal(record.count)], at=record.count, seen=record.position)
        except Stale:
            pass
        except BudgetSpent:
            break
    """


def worker(url):
    """Proposes and ends trials of a store's first study until the budget is spent; prints each number that is on record."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(WORKER), url], env=environment, **pipes)


def goes_on_after_fork(store):
    """Two processes, each of which ends half of the trials by the store that one of them opened."""
    study = store.create(SPEC).id
    put(store, study, 20)
    wait, done = os.pipe()
    child = os.fork()
    for _ in range(10):
        store.finish(store.claim(study, "w", 60.0), DONE)
    os.close(done)
    if child == 0:
        os.read(wait, 1)  # until the parent has closed its end too: `verify` reads what must not change meanwhile
        os._exit(0 if verify(store, study) == [] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(wait)
    assert [str(t.state) for t in store.trials(study).trials] == ["done"] * 20
    assert verify(store, study) == []
