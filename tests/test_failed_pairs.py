"""Runs of the evidence that failed for every setting on their seed: they are made again, and nothing can be chosen by that."""

import random

import pytest

import trimtab as tt
from trimtab.errors import RunFailed

SPACE = {"x": tt.Float(0, 1, default=0.9)}


class Objective:
    """Raises for the evidence runs that `breaks` names by purpose, parent and replicate; counts its evidence runs."""

    def __init__(self):
        self.breaks, self.runs = (lambda trial: False), 0

    def __call__(self, trial):
        self.runs += trial.purpose != "search"
        if trial.purpose != "search" and self.breaks(trial):
            raise TypeError("rows.csv is missing")
        return (trial.params["x"] - 0.3) ** 2 + random.Random(f"{trial.seed} {trial.parent}").gauss(0, 0.05)


def searched(objective):
    made = tt.Study("mended", SPACE, minimize="loss", seed=2)
    made.run(objective, trials=20, quiet=True)
    return made


@pytest.fixture
def objective():
    return Objective()


@pytest.fixture
def study(objective):
    return searched(objective)


def certified(study):
    return [t for t in study.trials if t.purpose == "certify"]


@pytest.mark.parametrize("replicates", [5, 20])
def test_after_a_mistake_is_mended_the_same_line_gives_the_certificate_of_the_same_seeds(study, objective, replicates):
    """With 20 replicates, 20 failures in a row end the call before a certificate; with 5 there is one, of no pair."""
    untouched = searched(objective).evidence(objective, replicates=replicates, quiet=True)
    objective.breaks = lambda trial: True
    for _ in range(2):
        if replicates == 20:
            with pytest.raises(RunFailed, match="Fix the objective and run the same line again"):
                study.evidence(objective, replicates=replicates, quiet=True)
        else:
            assert study.evidence(objective, replicates=replicates, quiet=True).pairs == ()
    failed = [t for t in certified(study) if t.state == "failed"]
    objective.breaks = lambda trial: False
    found = study.evidence(objective, replicates=replicates, quiet=True)
    assert (found.pairs, found.interval, found.compared) == (untouched.pairs, untouched.interval, 1)
    assert (found.failed_pairs, found.sequential, len(found.finalists)) == (0, False, len(untouched.finalists))
    assert any("had failed and were made again, on the same seeds" in n for n in found.notices)
    assert failed
    assert [t for t in certified(study) if t.state == "failed"] == failed
    assert study.verify() == []
    before = objective.runs
    assert (study.evidence(objective, replicates=replicates, quiet=True), objective.runs) == (found, before)


def test_a_run_that_failed_beside_one_that_ended_stays_failed(study, objective):
    objective.breaks = lambda trial: trial.replicate == 0 or (trial.parent == 3 and trial.replicate % 2)
    first = study.evidence(objective, tuned=3, replicates=8, quiet=True)
    assert (len(first.pairs), first.failed_pairs) == (3, 5)
    assert any("1 pair failed on both sides: mend the cause" in n for n in first.notices)
    before, objective.breaks = objective.runs, lambda trial: False
    found = study.evidence(objective, tuned=3, replicates=8, quiet=True)
    assert (len(found.pairs), found.failed_pairs, objective.runs) == (4, 4, before + 2)
    assert (found.decision, found.doubtful) == ("not shown", True)


def test_who_saw_the_other_pairs_first_gets_an_interval_for_more_than_one_look(study, objective):
    objective.breaks = lambda trial: trial.replicate >= 4
    first = study.evidence(objective, tuned=3, replicates=8, quiet=True)
    objective.breaks = lambda trial: False
    found = study.evidence(objective, tuned=3, replicates=8, quiet=True)
    assert (len(first.pairs), first.sequential, len(found.pairs), found.sequential) == (4, False, 8, True)
    assert found.pairs[:4] == first.pairs


@pytest.mark.parametrize("order", [(3, 4, 3), (3, 3, 4)])
def test_the_baselines_new_runs_serve_all_settings(study, objective, order):
    objective.breaks = lambda trial: True
    study.evidence(objective, tuned=order[0], replicates=5, quiet=True)
    objective.breaks = lambda trial: False
    for tuned in order[1:]:
        found = study.evidence(objective, tuned=tuned, replicates=5, quiet=True)
        assert (len(found.pairs), found.failed_pairs) == (5, 0)
    assert sum(t.parent == 0 and t.state == "done" for t in certified(study)) == 5


def test_what_fails_for_all_each_time_ends_and_the_rest_is_judged(study, objective):
    objective.breaks = lambda trial: trial.replicate == 2
    first = study.evidence(objective, tuned=3, replicates=6, quiet=True)
    again = study.evidence(objective, tuned=3, replicates=6, quiet=True)
    assert (first.pairs, first.interval, first.failed_pairs) == (again.pairs, again.interval, 1)
