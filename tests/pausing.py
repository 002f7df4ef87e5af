"""What holds of every policy that lets paused trials go on, in any order of arrival and with failures."""

from itertools import islice

import numpy as np

from trimtab.strategies import LEVEL, NUMBER, PARENT
from trimtab.strategies.points import size


def going_on(run):
    """Each turn's proposals for a paused trial to go on, in a campaign (see trimtab.testing.continuing) until its budget is
    nearly spent. Nobody goes on twice, each goes on to the next rung, and no worker waits."""
    rungs = run.problem.rungs
    for proposals in run.turns():
        if len(run.rows) + 1 >= run.problem.budget:
            break
        lines = np.concatenate([run.rows.lineage, run.state().under_way.lineage])
        parents = lines[~np.isnan(lines[:, PARENT]), PARENT]
        assert len(parents) == len(set(parents))
        levels = {int(n): level for n, level in lines[:, [NUMBER, LEVEL]]}
        on = [p for p in proposals if p.parent is not None]
        for p in on:
            assert p.fidelity == rungs[rungs.index(levels[p.parent]) + 1]
        yield on
        left = run.problem.budget - len(run.rows) - len(run.running)
        assert len(run.running) == run.workers or left <= len(rungs) or size(run.problem.space) <= run.count
    assert len(run.rows) + 1 >= run.problem.budget or size(run.problem.space) <= run.count


def alike_however_told(run):
    """Equal records give equal decisions, whether they were told at once or in two parts."""
    for turn, _ in enumerate(islice(run.turns(), 60)):
        if len(run.rows) + 1 >= run.problem.budget:
            break
        if turn % 9 == 5:
            first, second = run.ask(4), run.ask(4, cut=turn % len(run.rows))
            said = [[(p.x.tobytes(), p.parent, p.fidelity, dict(p.why)) for p in asked] for asked in (first, second)]
            assert said[0] == said[1]
